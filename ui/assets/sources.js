// The passages behind an answer.

import { byId, el, icon, reveal, scrollTo } from "./dom.js";
import { paint } from "./highlight.js";
import { mountPageView, openPage, speakPage } from "./page-view.js";
import { piecesOf, nameOf, placeOf, quoted, quoteIn } from "./quotes.js";

const state = { sources: [], spoken: { sources: null, numbers: [], said: "" } };

export function mountSources() {
  byId("sources").setAttribute("role", "region");
  byId("sources").setAttribute("aria-label", "Sources");
  showSources([]);
  mountPageView();
}

// How sure the retrieval is, in words.
export function sureness(score) {
  if (score >= 0.7) return "strong match";
  if (score >= 0.4) return "good match";
  if (score >= 0.15) return "weak match";
  return "very weak match";
}

export function bar(score) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.round(100 * Math.min(1, Math.max(0, score)))}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, fill);
}

// `answered`: whether the documents answer the question; null: not known, or not yet.
export function showSources(sources, answered = null) {
  state.sources = sources;
  const title = el("h2", {}, "Sources");
  if (sources.length) {
    const nearest = answered === false ? el("p", { class: "nearest" }, "The documents do not say. This is the nearest that was found.") : "";
    byId("sources").replaceChildren(title, nearest, el("ol", { class: "cards" }, ...sources.map(card)));
    document.querySelectorAll("#sources .passage").forEach((passage) => {
      scrollTo(passage, passage.querySelector("mark"));
      wholeLines(passage);
    });
    showSpoken();
    return;
  }
  const text = answered === null ? "The passages that an answer rests on appear here." : "Nothing in the documents fits this question.";
  byId("sources").replaceChildren(title, el("p", { class: "empty" }, text));
}

// Scroll back to where a line begins, so that none is cut at the top.
function wholeLines(passage) {
  passage.scrollTop -= passage.scrollTop % parseFloat(getComputedStyle(passage).lineHeight);
}

export function showSourcesOf(turn) {
  showSources(turn.sources.length ? turn.sources : turn.nearest ?? [], turn.state === "done" ? turn.answered : null);
}

function card(source, index) {
  const number = index + 1;
  const place = placeOf(source);
  const open = (event) => {
    event.stopPropagation();
    selectSource(number);
  };
  const head = el(
    "button",
    { type: "button", class: "head", onclick: open, "aria-label": `Source ${number}: ${nameOf(source)} ${place}. Show the page` },
    el("span", { class: "number" }, String(number)),
    el("span", { class: "file", title: source.source }, nameOf(source)),
    el("span", { class: "place" }, place),
  );
  const now = el("span", { class: "now", hidden: true }, icon("sound"), "spoken now");
  const match = el(
    "div",
    { class: "match" },
    bar(source.score),
    el("span", {}, `${sureness(source.score)} · ${Math.round(100 * source.score)} %`),
    now,
  );
  const section = source.section && !source.text.startsWith(source.section) ? el("div", { class: "section" }, source.section) : null;
  const passage = el("blockquote", { class: "passage" }, ...quoted(source.pieces.map(([text, isQuoted]) => [text.replace(/\n\s*\n/g, "\n"), isQuoted])));
  return el("li", { class: "card", "data-number": number, onclick: open }, head, match, section, passage);
}

// Show the page of source `number`, the passage highlighted.
export function selectSource(number) {
  const source = state.sources[number - 1];
  if (!source) return;
  for (const node of document.querySelectorAll("#sources .card")) {
    const selected = node.dataset.number === String(number);
    node.classList.toggle("selected", selected);
    if (selected) node.scrollIntoView({ block: "nearest" });
  }
  openPage(source);
}

// The sources that what is being spoken rests on, and its words. The first one is brought into sight, with the words
// where it has them; no focus moves and no drawer opens. Where the sources of another answer are shown, they stay.
export function speakSources(sources, numbers, said = "") {
  const before = state.spoken;
  state.spoken = { sources, numbers, said };
  if (sources !== before.sources || said !== before.said || String(numbers) !== String(before.numbers)) showSpoken();
}

function showSpoken() {
  const { sources, numbers, said } = state.spoken;
  const spoken = sources === state.sources ? numbers : [];
  const cards = [...document.querySelectorAll("#sources .card")];
  const before = cards.filter((node) => node.classList.contains("spoken")).map((node) => Number(node.dataset.number));
  for (const node of cards) {
    const now = spoken.includes(Number(node.dataset.number));
    node.classList.toggle("spoken", now);
    node.querySelector(".now").hidden = !now;
  }
  const first = cards.find((node) => node.dataset.number === String(spoken[0]));
  if (first && before[0] !== spoken[0]) reveal(byId("sources"), first.getBoundingClientRect(), 0);
  showSaid(first?.querySelector(".passage"), said);
  speakPage(first ? sources[spoken[0] - 1] : null, said);
}

// Highlight the words that are being said, where the passage has them.
function showSaid(passage, said) {
  paint("spoken-source", []);
  const found = passage ? quoteIn(passage, said) : [];
  if (!found.length) return;
  const range = document.createRange();
  range.setStart(found[0].node, found[0].start);
  range.setEnd(found.at(-1).node, found.at(-1).end);
  reveal(passage, range.getBoundingClientRect(), passage.clientHeight / 4);
  wholeLines(passage);
  paint("spoken-source", found);
}

// The same sources, with nothing marked but what this answer quotes: less than before, when it was cut short.
// The server does the same for what it keeps.
export function requote(sources, answer) {
  const again = sources.map((source) => ({ ...source, pieces: piecesOf(source.text, answer) }));
  if (JSON.stringify(again) === JSON.stringify(sources)) return sources;
  if (state.sources === sources) showSources(again, true);
  return again;
}
