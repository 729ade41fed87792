// The passages behind an answer, and the page that a passage stands on.

import { api, button, byId, el, icon } from "./dom.js";
import { paint, spansOf } from "./highlight.js";

const SHORTEST_QUOTE = 20; // characters; what is shorter agrees by chance
const SENTENCE = /[^.!?。！？\n]+[.!?。！？]*/g;

const state = { sources: [], view: null, spoken: { sources: null, numbers: [], said: "" } };

export function mountSources() {
  byId("sources").setAttribute("role", "region");
  byId("sources").setAttribute("aria-label", "Sources");
  byId("page-view").setAttribute("role", "region");
  byId("page-view").setAttribute("aria-label", "Page of the document");
  showSources([]);
  closePage();
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

export function showSources(sources, answered = null) {
  state.sources = sources;
  const title = el("h2", {}, "Sources");
  if (sources.length) {
    byId("sources").replaceChildren(title, el("ol", { class: "cards" }, ...sources.map(card)));
    document.querySelectorAll("#sources .passage").forEach((passage) => scrollTo(passage, passage.querySelector("mark")));
    showSpoken();
    return;
  }
  const text = answered === null ? "The passages that an answer rests on appear here." : "Nothing in the documents fits this question.";
  byId("sources").replaceChildren(title, el("p", { class: "empty" }, text));
}

function card(source, index) {
  const number = index + 1;
  const place = source.page === null ? "" : `page ${source.page}`;
  const open = (event) => {
    event.stopPropagation();
    selectSource(number);
  };
  const head = el(
    "button",
    { type: "button", class: "head", onclick: open, "aria-label": `Source ${number}: ${source.source} ${place}. Show the page` },
    el("span", { class: "number" }, String(number)),
    el("span", { class: "file" }, source.source),
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
  const section = source.section ? el("div", { class: "section" }, source.section) : null;
  const passage = el("blockquote", { class: "passage" }, ...quoted(source.pieces.map(([text, isQuoted]) => [text.replace(/\n\s*\n/g, "\n"), isQuoted])));
  return el("li", { class: "card", "data-number": number, onclick: open }, head, match, section, passage);
}

// Bring `target` into the upper part of `box`, and move nothing else.
function scrollTo(box, target) {
  if (target) box.scrollTop = target.offsetTop - box.clientHeight / 4;
}

function quoted(pieces) {
  return pieces.map(([text, isQuoted]) => (isQuoted ? el("mark", {}, text) : text));
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
  document.body.dataset.drawer = "sources";
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
  paint("spoken-source", found);
}

// How the words of `said` are found, however they are spaced; null: too few of them.
function patternOf(said) {
  const words = said.replace(/^[\s"'“”„«»*]+|[\s"'“”„«»*]+$/g, "").split(/\s+/);
  if (words.join("").length < SHORTEST_QUOTE) return null;
  return new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+"));
}

// The same sources, with nothing marked but what this answer quotes: less than before, when it was cut short.
// The server does the same for what it keeps.
export function requote(sources, answer) {
  const patterns = (answer.replace(/\s*\[\d+\]/g, "").match(SENTENCE) ?? []).map(patternOf).filter(Boolean);
  const again = sources.map((source) => ({ ...source, pieces: piecesOf(source.text, patterns) }));
  if (JSON.stringify(again) === JSON.stringify(sources)) return sources;
  if (state.sources === sources) showSources(again, true);
  return again;
}

function piecesOf(text, patterns) {
  const spans = patterns.map((pattern) => pattern.exec(text)).filter(Boolean).map((found) => [found.index, found.index + found[0].length]);
  const edges = [...new Set([0, text.length, ...spans.flat()])].sort((a, b) => a - b);
  return edges.slice(1).map((end, number) => {
    const start = edges[number];
    return [text.slice(start, end), spans.some(([first, last]) => first <= start && end <= last)];
  });
}

function quoteIn(passage, said) {
  const pattern = patternOf(said);
  if (!pattern) return [];
  const places = [];
  let length = 0;
  const walker = document.createTreeWalker(passage, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const begin = length;
    length += node.length;
    places.push({ node, at: Array.from({ length: node.length }, (_, unit) => begin + unit) });
  }
  const found = pattern.exec(passage.textContent);
  return found ? spansOf(places, found.index, found.index + found[0].length) : [];
}

// Scroll `box`, and nothing else, if `place` (a rectangle of the window) is not in sight; `above`: pixels left over it.
function reveal(box, place, above) {
  const frame = box.getBoundingClientRect();
  if (place.top < frame.top || place.bottom > frame.bottom) box.scrollTop += place.top - frame.top - above;
}

async function openPage(source, number = null) {
  const query = new URLSearchParams({ source: source.source, start: source.start, end: source.end });
  if (number !== null) query.set("number", number);
  const asked = (state.view = {});
  try {
    const page = await api(`/api/page?${query}`);
    if (state.view === asked) showPage(source, page);
  } catch (error) {
    if (state.view === asked) pageView(el("p", { class: "empty", role: "alert" }, error.message));
  }
}

function showPage(source, page) {
  const part = page.count > 1 ? `part ${page.number + 1} of ${page.count}` : "";
  const title = page.page === null ? part : `page ${page.page}`;
  const turn = (step) => () => openPage(source, page.number + step);
  const head = el(
    "div",
    { class: "head" },
    el("strong", { class: "file" }, page.source),
    el("span", { class: "place" }, title),
    button("Previous page", { icon: "left", onclick: turn(-1), disabled: page.number === 0, class: "plain" }),
    button("Next page", { icon: "right", onclick: turn(1), disabled: page.number + 1 >= page.count, class: "plain" }),
    button("Close the page", { icon: "close", onclick: closePage, class: "plain" }),
  );
  const whole = page.passage === source.text; // else a part of it, on this page
  const mark = page.passage ? el("mark", {}, ...(whole ? quoted(source.pieces) : [page.passage])) : null;
  const text = el("div", { class: "page-text", tabindex: "0", "aria-label": `Text of ${page.source}, ${title}` });
  text.append(page.before, ...(mark ? [mark] : []), page.after);
  pageView(head, text);
  scrollTo(text, text.querySelector("mark mark") ?? mark);
}

function pageView(...nodes) {
  byId("page-view").replaceChildren(...nodes);
  byId("page-view").classList.add("open");
}

export function closePage() {
  state.view = null;
  byId("page-view").replaceChildren();
  byId("page-view").classList.remove("open");
}
