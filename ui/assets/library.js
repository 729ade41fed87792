// The documents: drop files, add a web page, see what becomes of them, take them away.

import { setSuggestions } from "./chat.js";
import { announce, api, button, byId, el, icon, ServerError, toast } from "./dom.js";
import { setEngines, setUser, setVoices } from "./settings.js";
import { socket } from "./socket.js";

const QUICK = 700; // milliseconds between two looks at the server while something is on its way
const SLOW = 15000;
const STATES = { waiting: "waits", reading: "is being read", failed: "failed", ready: "" };

const sending = new Map(); // name → {share}, what is on its way to the server
const list = el("ul", { class: "documents" });
const progress = el("div", { class: "progress", hidden: true });
let timer = 0;
let last = [];
let limit = Infinity; // bytes of a file

export function mountLibrary() {
  byId("upload").replaceChildren(dropZone(), urlForm());
  byId("library").replaceChildren(el("h2", {}, "Documents"), progress, list);
  dropAnywhere();
  socket.addEventListener("notice", refresh); // another voice may speak
  refresh();
}

const input = el("input", { type: "file", multiple: true, "aria-label": "Add documents" });

function dropZone() {
  input.addEventListener("change", () => {
    upload([...input.files]);
    input.value = "";
  });
  return el("label", { class: "drop" }, input, icon("plus"), el("span", {}, el("b", {}, "Add documents"), el("small", {}, "PDF, Office, e-mails, images, recordings; or drop them anywhere")));
}

function urlForm() {
  const input = el("input", { type: "text", inputmode: "url", placeholder: "https://… a web page", "aria-label": "Address of a web page", autocomplete: "off" });
  const add = async () => {
    const url = input.value.trim();
    if (!url) return input.focus();
    try {
      await api("/api/library/urls", { json: { url } });
      input.value = "";
      refresh();
    } catch (error) {
      toast(error.message);
    }
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && add());
  return el("div", { class: "url" }, input, button("Add the web page", { icon: "plus", class: "plain", onclick: add }));
}

function dropAnywhere() {
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!files(event)) return;
    event.preventDefault();
    upload([...event.dataTransfer.files]);
  });
}

export function upload(files) {
  for (const file of files) uploadOne(file);
}

async function uploadOne(file) {
  if (file.size > limit) return toast(`${file.name} is larger than ${Math.floor(limit / 2 ** 20)} MB. Split it into parts.`);
  sending.set(file.name, 0);
  draw();
  try {
    await post(file);
    announce(`${file.name} is being read.`);
  } catch (error) {
    toast(`${file.name}: ${error.message}`);
  } finally {
    sending.delete(file.name);
    refresh();
  }
}

// fetch() does not say how far an upload has come; XMLHttpRequest does.
function post(file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      sending.set(file.name, total ? loaded / total : 0);
      draw();
    };
    request.onload = () => {
      if (request.status < 300) return resolve();
      let reason = `the server refused it (${request.status})`;
      try {
        reason = JSON.parse(request.responseText).error;
      } catch {
        // a proxy's own page; the status says enough
      }
      return reject(new ServerError(reason));
    };
    request.onerror = () => reject(new ServerError("it could not be sent. Check that Parley runs and that the file can be read."));
    request.open("POST", `/api/library/files?${new URLSearchParams({ name: file.name })}`);
    request.send(file);
  });
}

async function refresh() {
  clearTimeout(timer);
  let busy = false;
  try {
    const state = await api("/api/state");
    busy = state.busy;
    last = state.library;
    limit = state.max_upload;
    input.accept = state.types.join(",");
    setVoices(state.voices);
    setEngines(state.engines);
    setUser(state.user);
    setSuggestions(state.suggestions);
    drawProgress(state.progress);
    draw();
  } catch (error) {
    progress.hidden = false;
    progress.replaceChildren(el("p", { role: "alert" }, error.message));
  }
  timer = setTimeout(refresh, busy ? QUICK : SLOW);
}

function drawProgress(now) {
  progress.hidden = !now;
  if (!now) return;
  const node = el("progress", { max: now.total || 1, value: now.done, "aria-label": "Indexing" });
  const far = now.total ? `Indexing ${now.done} of ${now.total}${now.what ? `: ${now.what}` : ""}` : "Opening the documents…";
  progress.replaceChildren(node, el("p", {}, far));
}

let drawn = "";

function draw() {
  const items = [...[...sending].map(([source, share]) => ({ source, state: "sending", share })), ...last];
  const key = JSON.stringify([items, progress.hidden]);
  if (key === drawn) return;
  drawn = key;
  list.replaceChildren(...(items.length ? items.map(row) : [el("li", { class: "empty" }, progress.hidden ? "No documents yet." : "")]));
}

function row(item) {
  const size = item.pages > 1 ? `${item.pages} pages` : "";
  const what = item.state === "sending" ? `${Math.round(100 * item.share)} % sent` : (STATES[item.state] || size);
  return el(
    "li",
    { class: item.state, "data-state": item.state, "data-source": item.source },
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("span", { class: "file", title: item.title || item.source }, item.source),
    el("span", { class: "what" }, what),
    removable(item) ? button(`Remove ${item.source}`, { icon: "close", class: "plain", onclick: () => remove(item) }) : null,
    item.reason ? el("p", { class: "reason" }, item.reason) : null,
  );
}

// What is in a folder of the person's own is not the page's to take away.
function removable({ state, origin }) {
  return (state === "ready" || state === "failed") && (origin === "upload" || origin === "url");
}

async function remove({ source }) {
  try {
    await api("/api/library/remove", { json: { source } });
    announce(`${source} is removed.`);
  } catch (error) {
    toast(error.message);
  }
  refresh();
}
