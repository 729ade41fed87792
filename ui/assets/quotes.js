// A passage: where in its document it stands, and where it has the words of an answer, however they are spaced.

import { el } from "./dom.js";
import { spansOf } from "./highlight.js";

const SHORTEST_QUOTE = 12; // characters; what is shorter agrees by chance
const SENTENCE = /(?:[^.!?。！？\n]|[.!?]+(?=[\p{L}\p{N}_]))+[.!?。！？]*/gu; // the point of 3.95 ends none
const RULE = /(^\|(?: ?:?-{3,}:? ?\|)+ *(?:\n|$))/m; // the line below the head of a table

// What a document is called: a web page by its title.
export function nameOf({ source, title }) {
  return (isWebPage(source) && title) || source;
}

export function isWebPage(source) {
  return /^https?:\/\//i.test(source);
}

// Where in its document a passage stands: a page, a slide, a sheet, a moment; empty: nowhere in particular.
export function placeOf({ place, page }) {
  return place || (page === null ? "" : `page ${page}`);
}

// How the words of `said` are found; null: too few of them.
export function patternOf(said) {
  const words = said.replace(/^[\s"'“”„«»*]+|[\s"'“”„«»*]+$/g, "").split(/\s+/);
  if (words.join("").length < SHORTEST_QUOTE) return null;
  const values = words.join(" ").replace(/\.$/, "").split("; ").map((value) => value.slice(value.indexOf(": ") < 0 ? 0 : value.indexOf(": ") + 2));
  const row = values.length > 1 ? `|${values.map(exactly).join("\\s*\\|[\\s|]*")}` : ""; // a table's, with its columns' names
  return new RegExp(words.map(exactly).join("\\s+") + row);
}

function exactly(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

// The passage in pieces, each with whether the answer quotes it. The server does the same for what it keeps.
export function piecesOf(text, answer) {
  const patterns = (answer.replace(/\s*\[\d+\]/g, "").match(SENTENCE) ?? []).map(patternOf).filter(Boolean);
  const spans = patterns.map((pattern) => pattern.exec(text)).filter(Boolean).map((found) => [found.index, found.index + found[0].length]);
  const edges = [...new Set([0, text.length, ...spans.flat()])].sort((a, b) => a - b);
  return edges.slice(1).map((end, number) => {
    const start = edges[number];
    return [text.slice(start, end), spans.some(([first, last]) => first <= start && end <= last)];
  });
}

// The stretches of `node`'s text ([{node, start, end}]) that are the words of `said`.
export function quoteIn(node, said) {
  const pattern = patternOf(said);
  if (!pattern) return [];
  const places = [];
  let length = 0;
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    const begin = length;
    length += text.length;
    places.push({ node: text, at: Array.from({ length: text.length }, (_, unit) => begin + unit) });
  }
  const found = pattern.exec(node.textContent);
  return found ? spansOf(places, found.index, found.index + found[0].length) : [];
}

// The pieces as nodes, what is quoted marked.
export function quoted(pieces) {
  return pieces.flatMap(([text, isQuoted]) => (isQuoted ? el("mark", {}, ...written(text)) : written(text)));
}

// A text as nodes. All of its characters are there; of a table, the rule below its head is not shown.
export function written(text) {
  return text.split(RULE).map((part, at) => (at % 2 ? el("span", { class: "table-rule" }, part) : part));
}
