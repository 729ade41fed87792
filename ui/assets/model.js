// The language model in the settings: which one answers, what another one would mean, and how far that is.

import { announce, api, el, toast } from "./dom.js";
import { refresh } from "./library.js";

const QUICK = 600; // milliseconds between two looks while a model is on its way
const OTHER = "";

const now = el("p", { class: "answers-now" });
const select = el("select", { id: "model-offers", "aria-label": "Language model", onchange: changed });
const other = el("input", { type: "text", "aria-label": "Name of a model", placeholder: "org/name, a path, or remote:NAME", maxlength: "500", spellcheck: "false", autocomplete: "off", oninput: unsettled });
const ASK = "What would it mean?";
const lookButton = el("button", { type: "submit", class: "go" }, ASK);
const form = el("form", { class: "choose" }, select, other, lookButton);
const meaning = el("p", { role: "status" });
const useButton = el("button", { type: "button", class: "go", onclick: use }, "Use it");
const notNow = el("button", { type: "button", class: "plain", onclick: unsettled }, "Not now");
const prospect = el("div", { class: "prospect", hidden: true }, meaning, el("div", { class: "buttons" }, useButton, notNow));
const far = el("p", {});
const bar = el("progress", { "aria-label": "The model on its way" });
const agreeButton = el("button", { type: "button", class: "go", onclick: agree }, "Download it");
const cancelButton = el("button", { type: "button", class: "plain", onclick: cancel }, "Cancel");
const coming = el("div", { class: "coming", hidden: true }, far, bar, el("div", { class: "buttons" }, agreeButton, cancelButton));
const problem = el("p", { class: "problem", role: "alert" });
const note = el("p", { class: "note-soft" });
const section = el("section", { class: "model", "aria-label": "Language model" }, el("h3", {}, "Language model"), now, coming, problem, form, prospect, note);

let looked = null; // what is being considered, as the server described it
let waiting = ""; // the model that this page chose and that is on its way
let timer = 0;

// `details`: the menu that it is in; what is there is looked at each time it opens.
export function modelSection(details) {
  form.addEventListener("submit", look);
  details.addEventListener("toggle", () => (details.open ? open() : leave()));
  return section;
}

async function open() {
  try {
    const state = await api("/api/model");
    note.textContent = state.barred;
    form.hidden = Boolean(state.barred);
    cancelButton.hidden = Boolean(state.barred);
    offer(state);
    draw(state);
  } catch (error) {
    problem.textContent = error.message;
  }
}

function leave() {
  if (!waiting) clearTimeout(timer);
  unsettled();
}

function offer({ offers, name }) {
  const options = offers.map((one) => el("option", { value: one.name }, `${one.name} (${one.note})`));
  const chosen = select.value;
  select.replaceChildren(...options, el("option", { value: OTHER }, "Another one…"));
  const known = [chosen, name].find((one) => one && offers.some((each) => each.name === one));
  select.value = known ?? offers[0]?.name ?? OTHER;
  changed();
}

function changed() {
  other.hidden = select.value !== OTHER;
  unsettled();
}

function unsettled() {
  if (prospect.contains(document.activeElement)) lookButton.focus();
  looked = null;
  prospect.hidden = true;
}

async function look(event) {
  event.preventDefault();
  const name = select.value === OTHER ? other.value.trim() : select.value;
  if (!name) return other.focus();
  problem.textContent = "";
  lookButton.disabled = true;
  lookButton.textContent = "Looking…";
  try {
    looked = await api("/api/model/look", { json: { name } });
    meaning.textContent = looked.text;
    useButton.textContent = looked.download ? `Download ${size(looked.download)} and use it` : "Use it";
    useButton.hidden = looked.in_force;
    notNow.textContent = looked.in_force ? "Good" : "Not now";
    prospect.hidden = false;
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    lookButton.disabled = false;
    lookButton.textContent = ASK;
    if (document.activeElement === document.body) (prospect.hidden ? lookButton : looked.in_force ? notNow : useButton).focus();
  }
}

async function use() {
  if (!looked) return;
  const { name, download } = looked;
  await act("/api/model", { json: { name, agreed: download } }, () => (waiting = name));
}

function agree() {
  return act("/api/agree", { method: "POST" });
}

function cancel() {
  return act("/api/model/cancel", { method: "POST" }, () => (waiting = ""));
}

async function act(path, request, done = () => {}) {
  try {
    await api(path, request);
    done();
    unsettled();
    await follow();
    refresh();
  } catch (error) {
    problem.textContent = error.message;
  }
}

// Look again until nothing is on its way, also when the menu is closed if this page has chosen it.
async function follow() {
  clearTimeout(timer);
  try {
    draw(await api("/api/model/state"));
  } catch (error) {
    far.textContent = error.message;
    timer = setTimeout(follow, QUICK);
  }
}

function draw(state) {
  clearTimeout(timer);
  now.replaceChildren("Answers now: ", el("strong", {}, state.name), state.where ? ` on ${state.where}` : "");
  coming.hidden = !state.coming;
  agreeButton.hidden = !state.asks || cancelButton.hidden;
  if (state.coming) {
    far.textContent = `${state.coming}: ${state.text}`;
    if (state.total) bar.max = state.total;
    if (state.total && !state.asks) bar.value = state.done;
    else bar.removeAttribute("value");
    bar.hidden = Boolean(state.asks);
    problem.textContent = "";
    timer = setTimeout(follow, QUICK);
    return;
  }
  problem.textContent = state.error;
  if (!form.hidden) note.textContent = state.keep;
  if (waiting) arrived(state);
}

function arrived(state) {
  waiting = "";
  refresh();
  if (state.error) toast(state.error);
  else {
    announce(`${state.name} answers from now on.`);
    toast(`${state.name} answers from now on.`, "done");
  }
}

function size(bytes) {
  return bytes >= 1e8 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}
