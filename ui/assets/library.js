// The documents: drop files, add a web page, see what becomes of them, find one among thousands, take it away.

import { announce, api, button, byId, el, icon, ServerError, toast } from "./dom.js";
import { socket } from "./socket.js";

const QUICK = 700; // milliseconds between two looks at the server while something is on its way
const SLOW = 4000; // while nothing is: a file that was changed in a folder shows up soon
const TOGETHER = 3; // files on their way to the server at once
const PART = 100; // documents of the list that are shown at once
const FEW = 12; // documents among which nobody searches
const STATES = { waiting: "waiting", reading: "reading", failed: "failed", ready: "ready" };
const FILTERS = { "": "All", reading: "Reading", waiting: "Waiting", failed: "Failed" };

const queue = []; // files to be sent
const sending = new Map(); // name → share, what is on its way to the server
const rows = new Map(); // what is in a row, as text → its node
const view = { state: "", search: "", offset: 0 }; // the part of the list that is shown
const list = el("ul", { class: "documents" });
const progress = el("div", { class: "progress", hidden: true });
const filters = el("div", { class: "filters", role: "group", "aria-label": "Show documents" });
const search = el("input", { type: "search", placeholder: "Find a document", "aria-label": "Find a document", autocomplete: "off" });
const pages = el("div", { class: "pages", hidden: true });
const watching = el("p", { class: "watching", hidden: true });
let tell; // takes what the server told of itself
let timer = 0;
let last = { items: [], total: 0 };
let limits = { bytes: Infinity, files: Infinity };

// `told`: called with the server's state each time that it is known anew.
export function mountLibrary(told) {
  tell = told;
  byId("upload").replaceChildren(dropZone(), urlForm());
  byId("library").replaceChildren(el("h2", {}, "Documents"), progress, watching, filters, search, list, pages);
  search.addEventListener("input", () => show({ search: search.value }));
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
  let closeRefusal; // once another address is tried, what was wrong with the last one is settled
  const add = async () => {
    const url = input.value.trim();
    if (!url) return input.focus();
    closeRefusal?.();
    try {
      await api("/api/library/urls", { json: { url } });
      input.value = "";
      refresh();
    } catch (error) {
      closeRefusal = toast(error.message);
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
  document.addEventListener("drop", async (event) => {
    document.body.classList.remove("dropping");
    if (!files(event)) return;
    event.preventDefault();
    upload(await dropped(event.dataTransfer));
  });
}

// What was dropped; of a folder, the files in it.
async function dropped(transfer) {
  const loose = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return loose;
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (!entry || entry.name.startsWith(".")) return [];
  if (entry.isFile) return new Promise((resolve) => entry.file((file) => resolve([file]), () => resolve([])));
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([]))); // a hundred at a time
    if (!some.length) return (await Promise.all(found.map(filesIn))).flat();
    found.push(...some);
  }
}

export function upload(files) {
  if (files.length > limits.files) return toast(`${number(files.length)} files are more than can be added here, which is ${number(limits.files)}. Put them into a folder and name it in PARLEY_CORPUS.`);
  queue.push(...files);
  while (sending.size < TOGETHER && queue.length) sendNext();
  draw();
}

async function sendNext() {
  const file = queue.shift();
  sending.set(file.name, 0);
  try {
    await sendOne(file);
  } finally {
    sending.delete(file.name);
    if (queue.length) sendNext();
    refresh();
  }
}

async function sendOne(file) {
  if (file.size > limits.bytes) return toast(`${file.name} is larger than ${Math.floor(limits.bytes / 2 ** 20)} MB. Split it into parts.`);
  draw();
  try {
    await post(file);
    announce(`${file.name} is being read.`);
  } catch (error) {
    if (error.status !== 429) return toast(`${file.name}: ${error.message}`);
    queue.unshift(file); // the server has enough to read for now
    await new Promise((resolve) => setTimeout(resolve, QUICK));
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
      return reject(new ServerError(reason, request.status));
    };
    request.onerror = () => reject(new ServerError("it could not be sent. Check that Parley runs and that the file can be read."));
    request.open("POST", `/api/library/files?${new URLSearchParams({ name: file.name })}`);
    request.send(file);
  });
}

export async function refresh() {
  clearTimeout(timer);
  let busy = false;
  try {
    const wish = new URLSearchParams({ ...view, limit: PART });
    const [state, part] = await Promise.all([api("/api/state"), api(`/api/library?${wish}`)]);
    busy = state.busy;
    last = part;
    limits = { bytes: state.max_upload, files: state.max_uploads };
    input.accept = state.types.join(",");
    input.parentElement.title = `Parley reads ${state.types.join(", ")}`;
    tell(state);
    watching.hidden = !state.watching;
    watching.textContent = state.watching;
    drawProgress(state.progress);
    drawFilters(state.documents);
    draw();
  } catch (error) {
    progress.hidden = false;
    progress.replaceChildren(el("p", { role: "alert" }, error.message));
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, busy || queue.length ? QUICK : SLOW);
}

// Another part of the list.
function show(change) {
  Object.assign(view, { offset: 0 }, change);
  refresh();
}

function drawProgress(now) {
  progress.hidden = !now;
  if (!now) return;
  const node = el("progress", { max: now.total || 1, value: now.done, "aria-label": "Indexing" });
  const left = now.seconds_left === null ? "" : `, ${duration(now.seconds_left)} left`;
  const far = now.total ? `${number(now.done)} of ${number(now.total)} files${left}` : "Opening the documents…";
  progress.replaceChildren(node, el("p", {}, far), el("p", { class: "what" }, now.what));
}

const number = (value) => value.toLocaleString("en");

// As one says it: a number that changes every second would promise too much.
function duration(seconds) {
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (seconds < 45) return "less than a minute";
  if (minutes === 1) return "about a minute";
  return minutes < 90 ? `about ${minutes} minutes` : `about ${Math.round(minutes / 60)} hours`;
}

function drawFilters(counts) {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const shown = Object.entries(FILTERS).filter(([state]) => !state || counts[state] || view.state === state);
  filters.hidden = all <= FEW && !counts.failed && !view.state;
  search.hidden = all <= FEW && !view.search;
  keep(filters, shown.map(([state, name]) => {
    const text = `${name} ${number(state ? counts[state] : all)}`;
    return rowOf(`filter ${text} ${view.state === state}`, () =>
      el("button", { type: "button", class: "filter", "data-state": state, "aria-pressed": String(view.state === state), onclick: () => show({ state }) }, text),
    );
  }));
}

function draw() {
  const own = [...sending].map(([source, share]) => ({ source, state: "sending", share }));
  if (queue.length) own.push({ source: `${number(queue.length)} more`, state: "sending", queued: true });
  const items = view.state || view.search || view.offset ? last.items : [...own, ...last.items];
  const nodes = items.map((item) => rowOf(JSON.stringify(item), () => row(item)));
  const none = view.search || view.state ? "None of the documents." : "No documents yet.";
  keep(list, nodes.length ? nodes : [rowOf(`none ${none} ${progress.hidden}`, () => el("li", { class: "empty" }, progress.hidden ? none : ""))]);
  drawPages();
}

function drawPages() {
  const { offset } = view;
  pages.hidden = last.total <= PART && !offset;
  const step = (name, to, possible) =>
    rowOf(`${name} ${to} ${possible}`, () => button(name, { icon: name === "Earlier" ? "left" : "right", class: "plain", disabled: !possible, onclick: () => show({ offset: to }) }));
  const range = `${number(Math.min(offset + 1, last.total))}–${number(offset + last.items.length)} of ${number(last.total)}`;
  keep(pages, [
    step("Earlier", Math.max(0, offset - PART), offset > 0),
    rowOf(range, () => el("span", {}, range)),
    step("Later", offset + PART, offset + PART < last.total),
  ]);
}

// The node for what `key` says, the one that is there if there is one: a button that is drawn anew is not clicked.
function rowOf(key, make) {
  const node = rows.get(key) ?? make();
  rows.set(key, node);
  return node;
}

// Make these the children; those that are there already stay untouched.
function keep(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, at) => parent.children[at] !== node && parent.insertBefore(node, parent.children[at] ?? null));
  for (const [key, node] of rows) if (!node.isConnected) rows.delete(key);
}

function row(item) {
  return el(
    "li",
    { class: item.state, "data-state": item.state, "data-source": item.source },
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("span", { class: "file", title: item.title ? `${item.title} (${item.source})` : item.source }, ...path(item.source)),
    el("span", { class: "what" }, what(item)),
    removable(item) ? button(`Remove ${item.source}`, { icon: "close", class: "plain", onclick: () => remove(item) }) : null,
    item.reason ? el("p", { class: "reason" }, item.reason) : null,
    item.notice ? el("p", { class: "partly" }, item.notice) : null,
    item.copy_of ? el("p", { class: "same" }, `The same as ${item.copy_of}`) : null,
  );
}

// Where there is little room, of a path the file's name is what tells it from its neighbours.
function path(source) {
  const at = source.includes("://") ? 0 : source.lastIndexOf("/") + 1;
  return [at ? el("span", { class: "folder" }, source.slice(0, at)) : null, el("span", { class: "name" }, source.slice(at))];
}

function what(item) {
  if (item.state === "sending") return item.queued ? "wait to be sent" : `${Math.round(100 * item.share)} % sent`;
  if (item.copy_of) return "copy";
  return item.pages > 1 && /\.pdf$/i.test(item.source) ? `${number(item.pages)} pages` : STATES[item.state];
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
