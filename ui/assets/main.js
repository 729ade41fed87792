// Starts the page's parts as soon as Gradio has drawn their places.

import { mountChat } from "./chat.js";
import { mountMessages } from "./dom.js";
import { mountLibrary } from "./library.js";
import { mountMic } from "./mic.js";
import { mountPlayer } from "./player.js";
import { mountSettings } from "./settings.js";
import { mountSources } from "./sources.js";

const PLACES = ["brand", "engines", "tools", "new", "upload", "library", "history", "chat", "hint", "question", "mic", "latency", "stop", "send", "sources", "page-view"];

function ready() {
  return PLACES.every((id) => document.getElementById(id)) && document.querySelector("#question textarea");
}

function start() {
  mountMessages();
  mountSources();
  mountSettings();
  mountPlayer();
  mountChat();
  mountMic();
  mountLibrary();
  document.body.classList.add("parley-ready");
}

if (ready()) start();
else {
  const observer = new MutationObserver(() => {
    if (!ready()) return;
    observer.disconnect();
    start();
  });
  observer.observe(document.documentElement, { childList: true, subtree: true });
}
