// What is being spoken, in sight: the sentence as a caption and highlighted in its answer, the word in both,
// the citation that belongs to it, and the passage that is cited. All of it ends with the sound.

import { el } from "./dom.js";
import { paint, spansOf } from "./highlight.js";
import { player } from "./player.js";
import { nameOf, placeOf } from "./quotes.js";
import { socket } from "./socket.js";
import { speakSources } from "./sources.js";

const LEADING = /^\s*(?:\[\d{1,3}\]\s*)*/; // citations of the sentence before
const FOLLOWING = /^(?:[ \t]*\[\d{1,3}\])*/; // of this one, after its full stop

const state = { turn: 0, view: null, sentence: null, word: null }; // sentence, word: [start, end) of view.raw
let log; // the node with the conversation, and below it the one with the caption
let line;

export function mountCaptions(node) {
  log = node;
  line = el("div", { class: "captions", role: "group", "aria-label": "Captions", hidden: true });
  log.after(line);
  player.addEventListener("mark", ({ detail }) => mark(detail));
  socket.addEventListener("flush", ({ detail }) => detail.turn === state.turn && clear()); // another text takes its place
  player.addEventListener("change", () => {
    if (state.sentence && (player.state === "idle" || player.turn !== state.turn)) clear();
  });
}

// What is spoken as this turn is the answer of this view.
export function speaks(turn, view) {
  clear();
  Object.assign(state, { turn, view });
}

// The view has drawn its answer anew.
export function redrawn(view) {
  if (view === state.view && state.sentence) show();
}

function clear() {
  const had = state.sentence;
  state.sentence = state.word = null;
  if (had) show();
}

function mark({ turn, start, end, kind }) {
  if (!state.view || turn !== state.turn) return;
  if (kind === "sentence") {
    state.sentence = [start, end];
    state.word = null;
  } else {
    state.word = [start, end];
    if (!state.sentence || start < state.sentence[0] || start >= state.sentence[1]) state.sentence = sentenceAt(state.view.raw, start, end);
  }
  show();
}

// Where a voice tells words alone: from the full stop or line end before the word to the one after it.
function sentenceAt(raw, start, end) {
  const before = Math.max(...[...raw.slice(0, start).matchAll(/[.!?]\s+|\n/g)].map((match) => match.index + match[0].length), 0);
  const after = /[.!?](?=\s|$)|\n|$/.exec(raw.slice(end));
  return [before, end + after.index + after[0].length];
}

function show() {
  const { view, sentence, word } = state;
  const texts = sentence ? view.places.filter(({ cite }) => !cite) : [];
  const spoken = spansOf(texts, ...(sentence ?? [0, 0]));
  const words = word ? spansOf(texts, ...word) : [];
  const cites = sentence ? citesOf(view, sentence) : [];
  for (const place of view.places) if (place.cite) place.node.parentElement.classList.toggle("spoken", cites.includes(place));
  const numbers = cites.map(({ cite }) => cite);
  paint("spoken-sentence", spoken);
  paint("spoken-word", words);
  const said = spoken.map(({ node, start, end }) => node.data.slice(start, end)).join("");
  speakSources(view.sources, numbers, said);
  caption(view.raw, spoken, words, view.sources[numbers[0] - 1]);
}

// The citations that belong to the sentence, which may stand behind its full stop.
function citesOf(view, [start, end]) {
  const from = start + (start > 0 ? LEADING.exec(view.raw.slice(start, end))[0].length : 0);
  const to = end + FOLLOWING.exec(view.raw.slice(end))[0].length;
  return view.places.filter(({ cite, at }) => cite && from <= at[0] && at[0] < to);
}

function caption(raw, spoken, words, source) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  write(raw, spoken, words, source);
  if (atEnd) log.scrollTop = log.scrollHeight; // the caption takes room from it
}

function write(raw, spoken, words, source) {
  line.hidden = !spoken.length;
  if (!spoken.length) return line.replaceChildren();
  const text = el("p", { class: "said" }, ...spoken.flatMap((span, number) => captionPart(raw, span, words, spoken[number - 1])));
  line.replaceChildren(text, source ? el("p", { class: "from" }, [nameOf(source), placeOf(source)].filter(Boolean).join(", ")) : "");
  const now = text.querySelector(".word");
  if (now) text.scrollTop = now.offsetTop - text.clientHeight / 2;
}

function captionPart(raw, { node, at, start, end }, words, before) {
  const gap = before && raw.slice(before.at[before.end - 1], at[start]).includes("\n") ? " " : "";
  const word = words.find((one) => one.node === node);
  const from = Math.min(Math.max(word?.start ?? end, start), end);
  const to = Math.min(Math.max(word?.end ?? end, from), end);
  const parts = [gap + node.data.slice(start, from), word ? el("span", { class: "word" }, node.data.slice(from, to)) : "", node.data.slice(to, end)];
  return parts.filter((part) => part !== "");
}
