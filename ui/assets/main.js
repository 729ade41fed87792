// Starts the page's parts as soon as Gradio has drawn their places.

import { mountChat, setSuggestions } from "./chat.js";
import { mountCollections, setCollections } from "./collections.js";
import { byId, el, mountMessages } from "./dom.js";
import { mountEvaluation } from "./evaluation.js";
import { mountLibrary } from "./library.js";
import { mountLive } from "./live.js";
import { mountMic } from "./mic.js";
import { mountPlayer } from "./player.js";
import { mountSettings, setEngines, setUser, setVoices } from "./settings.js";
import { mountSources } from "./sources.js";
import { mountTalk } from "./talk.js";

const PLACES = ["brand", "engines", "tools", "new", "upload", "library", "history", "chat", "hint", "question", "talk", "mic", "latency", "stop", "send", "sources", "page-view"];

function ready() {
  return PLACES.every((id) => document.getElementById(id)) && document.querySelector("#question textarea");
}

// A frame around what can be scrolled is for people who go there by key; a click and then any key is not that.
function watchKeys() {
  const tabbing = (on) => document.body.classList.toggle("tabbing", on);
  document.addEventListener("keydown", ({ key }) => key === "Tab" && tabbing(true), { capture: true });
  document.addEventListener("pointerdown", () => tabbing(false), { capture: true });
}

// What the server told of itself, wherever the page shows it.
function show({ voices, engines, user, suggestions, collections }) {
  setVoices(voices);
  setEngines(engines);
  setUser(user);
  setSuggestions(suggestions);
  setCollections(collections);
}

function start() {
  watchKeys();
  mountMessages();
  mountSources();
  mountSettings();
  mountPlayer();
  mountChat();
  mountLive();
  mountCollections();
  const tools = el("div", { class: "talk-tools" });
  byId("talk").after(tools);
  mountTalk();
  tools.append(...[".push", "#mic", ".mute-mic", ".level"].map((one) => byId("actions").querySelector(one)));
  mountMic();
  mountLibrary(show);
  mountEvaluation();
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
