// A small part of Markdown as nodes: paragraphs, lists, headings, quotes, code, bold, italics, citations.
// Links and images stay text; HTML is text like any other. Nothing here can load, link or run anything.
//
// Each node's text remembers where it stands in what was written, so that a stretch of that can be found again.

import { el } from "./dom.js";

const INLINE =
  /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(\*[^*\s][^*\n]*\*)|(!?\[[^\]\n]*\]\([^()\s]*\))|(\[\d{1,3}\])/g;
const ITEM = /^\s{0,6}(?:[-*•]|(\d{1,3})[.)])\s+(.*)$/;

// `cite(number)` gives the node of a citation, or null where there is no such source. `places` is filled with
// {node, at, cite}: a text node, the offset in `text` of each of its units, and, in a citation, its number.
// `doubted` are stretches of `text`, [start, end), that nothing supports: they are underlined, and it says so.
export function render(text, cite, places = [], doubted = []) {
  const fragment = document.createDocumentFragment();
  const made = { cite, places, doubts: doubted.map(([start, end]) => ({ start, end, last: null })) };
  const lines = linesOf(text);
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].text.trim()) at += 1;
    else if (/^\s*```/.test(lines[at].text)) at = code(lines, at, fragment, made);
    else if (ITEM.test(lines[at].text)) at = list(lines, at, fragment, made);
    else at = paragraph(lines, at, fragment, made);
  }
  for (const { last } of made.doubts) last?.after(el("span", { class: "doubt" }, "not in the documents"));
  return fragment;
}

// A piece is {text, at}: some text, and where each of its units stood.
function linesOf(text) {
  let start = 0;
  return text.split("\n").map((line) => {
    const begin = start;
    start += line.length + 1;
    return { text: line, at: Array.from({ length: line.length }, (_, unit) => begin + unit) };
  });
}

function cut({ text, at }, from, to) {
  return { text: text.slice(from, to), at: at.slice(from, to) };
}

// Pieces with one character between them, which stands where the next one begins.
function join(pieces, between) {
  return pieces.reduce((whole, piece) => ({
    text: whole.text + between + piece.text,
    at: [...whole.at, piece.at[0] ?? whole.at.at(-1), ...piece.at],
  }));
}

// The text as nodes: what is doubted in elements of its own.
function textNode(piece, made) {
  const parts = document.createDocumentFragment();
  for (const { doubt, text, at } of split(piece, made.doubts)) {
    const node = document.createTextNode(text);
    made.places.push({ node, at });
    if (doubt) doubt.last = el("span", { class: "unsupported", title: "No passage that was found says this." }, node);
    parts.append(doubt?.last ?? node);
  }
  return parts;
}

function split(piece, doubts) {
  const of = piece.at.map((unit) => doubts.find(({ start, end }) => start <= unit && unit < end));
  const edges = [0, ...[...of.keys()].filter((unit) => unit && of[unit] !== of[unit - 1]), piece.at.length];
  return edges.slice(1).map((to, number) => ({ doubt: of[edges[number]], ...cut(piece, edges[number], to) }));
}

function code(lines, at, into, made) {
  let end = at + 1;
  while (end < lines.length && !/^\s*```/.test(lines[end].text)) end += 1;
  const taken = lines.slice(at + 1, end);
  into.append(el("pre", {}, el("code", {}, taken.length ? textNode(join(taken, "\n"), made) : "")));
  return end + 1;
}

function list(lines, at, into, made) {
  const first = ITEM.exec(lines[at].text);
  const node = el(first[1] ? "ol" : "ul", first[1] ? { start: first[1] } : {});
  while (at < lines.length && ITEM.test(lines[at].text)) {
    const pieces = [cut(lines[at], lines[at].text.length - ITEM.exec(lines[at].text)[2].length)];
    at += 1;
    while (at < lines.length && /^\s+\S/.test(lines[at].text) && !ITEM.test(lines[at].text)) {
      pieces.push(trimmed(lines[at]));
      at += 1;
    }
    node.append(el("li", {}, ...inline(join(pieces, " "), made)));
  }
  into.append(node);
  return at;
}

function trimmed(line) {
  const from = line.text.length - line.text.trimStart().length;
  return cut(line, from, line.text.trimEnd().length);
}

function paragraph(lines, at, into, made) {
  const heading = /^#{1,6}\s+/.exec(lines[at].text);
  if (heading) {
    into.append(el("p", { class: "heading" }, ...inline(cut(lines[at], heading[0].length), made)));
    return at + 1;
  }
  const quote = /^\s*>/.test(lines[at].text);
  const taken = [];
  while (at < lines.length && lines[at].text.trim() && !/^\s*```|^#{1,6}\s/.test(lines[at].text) && !ITEM.test(lines[at].text)) {
    if (/^\s*>/.test(lines[at].text) !== quote) break;
    taken.push(quote ? cut(lines[at], /^\s*>\s?/.exec(lines[at].text)[0].length) : lines[at]);
    at += 1;
  }
  into.append(el(quote ? "blockquote" : "p", {}, ...inline(join(taken, "\n"), made)));
  return at;
}

function inline(piece, made) {
  const nodes = [];
  let at = 0;
  const plain = (to) => to > at && nodes.push(textNode(cut(piece, at, to), made));
  for (const match of piece.text.matchAll(INLINE)) {
    plain(match.index);
    at = match.index + match[0].length;
    nodes.push(span(match, cut(piece, match.index, at), made));
  }
  plain(piece.text.length);
  return nodes;
}

function span([, coded, bold, italic, , citation], piece, made) {
  if (coded) return el("code", {}, textNode(cut(piece, 1, -1), made));
  if (bold) return el("strong", {}, ...inline(cut(piece, 2, -2), made));
  if (italic) return el("em", {}, ...inline(cut(piece, 1, -1), made));
  const number = citation ? Number(citation.slice(1, -1)) : null;
  const node = citation ? made.cite(number) : null;
  if (!node) return textNode(piece, made);
  made.places.push({ node: node.firstChild, at: piece.at, cite: number });
  return node;
}
