// How long the last answer took: from the end of speech, from letting go of push-to-talk or from sending, to each
// thing that had to happen.

import { byId, el, seconds } from "./dom.js";
import { bar, sureness } from "./sources.js";

const TOTAL = "total";
const FIRST = [TOTAL, "endpoint", "release", "transcript", "first_token", "first_audio"]; // what is always in sight
// In the order in which they happen; what an engine or a typed question has not got is left out.
const STEPS = [
  ["endpoint", "End of speech noticed", "endpoint"],
  ["release", "Letting go noticed", "release"],
  ["transcript", "Transcript", "transcript"],
  ["standalone", "Question understood", null],
  ["retrieval", "Retrieval", "retrieval"],
  ["first_token", "First token", "first token"],
  ["first_sentence", "First sentence", "first sentence"],
  ["audio_sent", "First audio sent", "audio sent"],
  ["first_audio", "First audio", "first audio"],
];

export function clearLatency() {
  byId("latency").replaceChildren();
}

// The bar of one turn: how long it took in all, then each step as a segment and as a figure.
export function showLatency(turn) {
  const steps = stepsOf(turn.timings);
  const parts = steps.map(({ name, short, at, took }) => figure(name, short, turn.timings[name], explain(turn.timings, name, at, took)));
  if (TOTAL in turn.timings) parts.unshift(figure(TOTAL, "total", turn.timings[TOTAL], "Until the whole answer was there"));
  const first = live(turn.timings) ? FIRST : [...FIRST, "retrieval"]; // a typed question has fewer
  const inSight = ({ dataset }) => first.includes(dataset.name);
  const sure = el("span", { class: "sure" }, bar(turn.confidence), sureness(turn.confidence));
  const rest = [...parts.filter((part) => !inSight(part)), el("span", { class: "engine" }, turn.engine), sure];
  byId("latency").replaceChildren(strip(steps), el("div", { class: "figures" }, ...parts.filter(inSight), more(rest)));
}

// Unfolded, it stays so for the answers that follow.
function more(nodes) {
  const open = byId("latency").querySelector("details")?.open ?? false;
  return el("details", { open }, el("summary", {}, "All steps"), el("div", { class: "figures" }, ...nodes));
}

// Each step with when it came (seconds from the beginning of the bar) and how long after the one before.
// A recording was written down before its question was sent: it comes first, and moves what follows.
function stepsOf(timings) {
  const before = live(timings) ? 0 : (timings.transcript ?? 0);
  let last = 0;
  return STEPS.filter(([name, , short]) => short && name in timings).map(([name, long, short]) => {
    const at = name === "transcript" ? timings[name] : timings[name] + before;
    const took = Math.max(0, at - last);
    last = Math.max(last, at);
    return { name, long, short, at, took };
  });
}

function strip(steps) {
  if (!steps.length) return "";
  const segments = steps.map(({ name, long, took }) => {
    const node = el("span", { class: "segment", "data-step": name, title: `${long}: ${seconds(took)}` });
    node.style.flexGrow = String(Math.max(1000 * took, 1)); // less than 1 in all would not fill the strip
    return node;
  });
  const said = steps.map(({ long, took }) => `${long.toLowerCase()} ${seconds(took)}`).join(", ");
  return el("span", { class: "strip", role: "img", "aria-label": `Step by step: ${said}` }, ...segments);
}

function figure(name, text, value, title) {
  return el("span", { class: "figure", "data-name": name, title }, el("i", { class: "segment", "data-step": name, "aria-hidden": "true" }), `${text} `, el("b", {}, seconds(value)));
}

// Whether it was said in a live conversation: then all times count from the end of what was said.
function live(timings) {
  return "endpoint" in timings || "release" in timings;
}

function explain(timings, name, at, took) {
  return `${seconds(timings[name])} after ${origin(timings, name)}; ${seconds(took)} after the step before`;
}

function origin(timings, name) {
  if ("release" in timings) return "you let go";
  return "endpoint" in timings || name === "transcript" ? "the end of speech" : "the question was sent";
}

// The same as a list, below an answer.
export function figures(turn) {
  const rows = [...STEPS, [TOTAL, "All"]].filter(([name]) => name in turn.timings).flatMap(([name, text]) => [el("dt", {}, text), el("dd", {}, seconds(turn.timings[name]))]);
  const sure = `${sureness(turn.confidence)}, ${Math.round(100 * turn.confidence)} %`;
  return el("dl", {}, el("dt", {}, "Engine"), el("dd", {}, turn.engine), el("dt", {}, "Retrieval is sure"), el("dd", {}, sure), ...rows);
}
