// The evaluation: choose questions, say what to compare, run it behind the page, look at what came of it.

import { announce, api, button, byId, el, toast } from "./dom.js";
import { changedText, resultView } from "./evaluation-result.js";
import { offer, questionSet, ready, showProposed } from "./question-set.js";
import { closePage } from "./page-view.js";
import { showSources } from "./sources.js";
import { mountViews, onView, view } from "./views.js";

const QUICK = 500; // milliseconds between two looks at what runs
const NOISES = [["", "in a quiet room"], ["20", "in light noise (20 dB)"], ["10", "in noise (10 dB)"], ["5", "in loud noise (5 dB)"]];

// told: what the server told last; mine: the number of the job that this page has begun, seen: of one that it saw
// running, handled: of the last whose end it has shown; shown: the id of the result in sight, showing: its promise.
const state = { told: null, mine: 0, seen: 0, handled: 0, shown: null, showing: null, timer: 0, controls: {} };

const compared = el("div", { class: "choices" });
const spoken = el("input", { type: "checkbox" });
const noise = el("select", { "aria-label": "Noise", hidden: true }, ...NOISES.map(([value, text]) => el("option", { value }, text)));
const mute = el("p", { class: "note", hidden: true });
const run = el("button", { type: "button", class: "go", onclick: begin }, "Run the evaluation");
const running = el("div", { class: "running", hidden: true });
const results = el("select", { "aria-label": "Result", onchange: () => showResult(results.value) });
const links = el("span", { class: "row" });
const result = el("div", { class: "result" });

export function mountEvaluation() {
  byId("chat").before(panel());
  mountViews();
  spoken.addEventListener("change", drawSpoken);
  onView(() => (view() === "evaluation" ? look() : leave()));
}

function panel() {
  const aloud = el("label", { class: "check" }, spoken, "Also ask each question aloud");
  return el(
    "div",
    { id: "evaluation", tabindex: "0", "aria-label": "Evaluation" },
    questionSet({ propose, changed: look }),
    el(
      "section",
      { class: "run" },
      el("h2", {}, "Measure"),
      el("details", { class: "compare" }, el("summary", {}, "Compare with other settings"), compared),
      el("div", { class: "row" }, aloud, noise),
      mute,
      el("div", { class: "row" }, run),
      running,
    ),
    el("section", { class: "results", hidden: true }, el("h2", {}, "Results"), el("div", { class: "row" }, results, links), result),
  );
}

// What was looked at here is not what the conversation's answer rests on.
function leave() {
  clearTimeout(state.timer);
  if (!result.querySelector("[aria-expanded='true']")) return;
  showSources([]);
  closePage();
}

async function look() {
  clearTimeout(state.timer);
  try {
    take(await api("/api/evaluation"));
  } catch (error) {
    running.hidden = false;
    running.replaceChildren(el("p", { role: "alert" }, error.message));
  }
  const busy = state.told?.job?.state === "running";
  if (view() === "evaluation" && busy) state.timer = setTimeout(look, QUICK);
}

function take(told) {
  const before = JSON.stringify(state.told?.choices);
  state.told = told;
  offer(told);
  if (JSON.stringify(told.choices) !== before) drawChoices(told.choices);
  drawSpoken();
  drawJob(told.job);
  drawResults(told.results);
}

function drawChoices(choices) {
  state.controls = Object.fromEntries(choices.map((choice) => [choice.name, control(choice)]));
  compared.replaceChildren(...choices.map(({ name, label, now }) => el("label", { "data-spoken": String(choices.find((one) => one.name === name).spoken) }, el("span", {}, label), state.controls[name], el("small", {}, `now ${now}`))));
}

function control({ values, now, least, most, step }) {
  if (!values.length) return el("input", { type: "number", min: least, max: most, step, placeholder: now });
  return el("select", {}, el("option", { value: "" }, "as it is"), ...values.filter((value) => value !== now).map((value) => el("option", { value }, value)));
}

function drawSpoken() {
  const why = state.told?.mute ?? "";
  spoken.disabled = Boolean(why);
  noise.hidden = !spoken.checked;
  mute.hidden = !why;
  mute.textContent = why;
  for (const node of compared.querySelectorAll("[data-spoken='true']")) node.hidden = !spoken.checked;
}

// The settings that differ in the second measurement.
function changes() {
  const chosen = state.told.choices.filter(({ spoken: aloud }) => !aloud || spoken.checked).map(({ name, now }) => [name, state.controls[name].value.trim(), now]);
  return Object.fromEntries(chosen.filter(([, value, now]) => value && value !== now).map(([name, value]) => [name, value]));
}

async function begin() {
  const name = await ready();
  if (!name) return;
  const wanted = { name, changes: changes(), spoken: spoken.checked, noise: spoken.checked && noise.value ? Number(noise.value) : null };
  start("/api/evaluation/run", wanted);
}

function propose(without) {
  start("/api/evaluation/propose", { count: 10, without });
}

async function start(path, body) {
  try {
    const job = await api(path, { json: body });
    state.mine = job.number;
    look();
  } catch (error) {
    toast(error.message);
  }
}

const stop = button("Stop", { icon: "stop", text: true, class: "plain", onclick: () => api("/api/evaluation/cancel", { method: "POST" }).catch((error) => toast(error.message)) });
const bar = el("progress", { "aria-label": "Evaluation" });
const far = el("p", {});

function drawJob(job) {
  const busy = job?.state === "running";
  run.disabled = busy;
  running.hidden = !busy;
  if (busy) {
    state.seen = job.number;
    bar.max = job.total || 1;
    bar.value = job.done;
    const doing = job.kind === "measure" ? "Question" : "Proposed";
    far.textContent = `${doing} ${Math.min(job.done + (job.kind === "measure"), job.total)} of ${job.total}${job.what ? `: ${job.what}` : ""}`;
    if (!running.contains(bar)) running.replaceChildren(bar, far, stop);
    return;
  }
  const here = job && (job.number === state.mine || (job.number === state.seen && job.kind === "measure"));
  if (!here || job.number === state.handled) return;
  state.handled = job.number;
  finish(job);
}

function finish(job) {
  if (job.state === "failed") return toast(job.error);
  if (job.state === "cancelled") return announce("Stopped.");
  if (job.kind === "propose") return showProposed(job.rows);
  announce("The evaluation is done.");
  return showResult(job.result).then(() => result.closest("section").scrollIntoView({ block: "start" }));
}

function drawResults(all) {
  const key = all.map(({ id }) => id).join();
  results.closest("section").hidden = !all.length;
  if (results.dataset.key === key) return;
  results.dataset.key = key;
  results.replaceChildren(...all.map((each) => el("option", { value: each.id }, titled(each))));
  const id = all.some((each) => each.id === state.shown) ? state.shown : all[0]?.id;
  if (id && id !== state.shown) showResult(id);
  else results.value = id ?? "";
}

function titled({ at, name, questions, changed, spoken: aloud }) {
  const when = new Date(1000 * at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const against = changedText(changed);
  return `${when} · ${name} (${questions})${against ? ` · ${against}` : ""}${aloud ? " · aloud" : ""}`;
}

// Shown once, whoever asks for it first.
function showResult(id) {
  if (state.shown !== id) Object.assign(state, { shown: id, showing: fetchResult(id) });
  return state.showing;
}

async function fetchResult(id) {
  try {
    const found = await api(`/api/evaluation/results/${id}`);
    if (state.shown !== id) return;
    results.value = id;
    result.replaceChildren(...resultView(found, { tries: prepare, can }));
    links.replaceChildren(...["csv", "json"].map((form) => el("a", { class: "plain", href: `/api/evaluation/results/${id}?form=${form}`, download: "" }, form === "csv" ? "As a table (CSV)" : "JSON")), button("Remove this result", { icon: "close", class: "plain", onclick: () => removeResult(id) }));
  } catch (error) {
    if (state.shown === id) state.shown = null;
    toast(error.message);
  }
}

async function removeResult(id) {
  try {
    await api(`/api/evaluation/results/${id}`, { method: "DELETE" });
    state.shown = null;
    result.replaceChildren();
    look();
  } catch (error) {
    toast(error.message);
  }
}

function can(setting, value) {
  const choice = state.told.choices.find(({ name }) => name === setting);
  return Boolean(choice) && choice.now !== value && (!choice.values.length || choice.values.includes(value));
}

// Advice that can be compared here: fill it in, and let the person run it.
function prepare(setting, value) {
  if (state.told.choices.find(({ name }) => name === setting).spoken) spoken.checked = true;
  drawSpoken();
  state.controls[setting].value = value;
  const details = byId("evaluation").querySelector(".compare");
  details.open = true;
  details.scrollIntoView({ block: "center" });
  state.controls[setting].focus();
}
