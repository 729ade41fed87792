// A small part of Markdown as nodes: paragraphs, lists, headings, quotes, code, bold, italics, citations.
// Links and images stay text; HTML is text like any other. Nothing here can load, link or run anything.

import { el } from "./dom.js";

const INLINE =
  /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(\*[^*\s][^*\n]*\*)|(!?\[[^\]\n]*\]\([^()\s]*\))|(\[\d{1,3}\])/g;
const ITEM = /^\s{0,6}(?:[-*•]|(\d{1,3})[.)])\s+(.*)$/;

// `cite(number)` gives the node of a citation, or null where there is no such source.
export function render(text, cite) {
  const fragment = document.createDocumentFragment();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) at += 1;
    else if (/^\s*```/.test(lines[at])) at = code(lines, at, fragment);
    else if (ITEM.test(lines[at])) at = list(lines, at, fragment, cite);
    else at = paragraph(lines, at, fragment, cite);
  }
  return fragment;
}

function code(lines, at, into) {
  let end = at + 1;
  while (end < lines.length && !/^\s*```/.test(lines[end])) end += 1;
  into.append(el("pre", {}, el("code", {}, lines.slice(at + 1, end).join("\n"))));
  return end + 1;
}

function list(lines, at, into, cite) {
  const first = ITEM.exec(lines[at]);
  const node = el(first[1] ? "ol" : "ul", first[1] ? { start: first[1] } : {});
  while (at < lines.length && ITEM.test(lines[at])) {
    let text = ITEM.exec(lines[at])[2];
    at += 1;
    while (at < lines.length && /^\s+\S/.test(lines[at]) && !ITEM.test(lines[at])) {
      text += ` ${lines[at].trim()}`;
      at += 1;
    }
    node.append(el("li", {}, ...inline(text, cite)));
  }
  into.append(node);
  return at;
}

function paragraph(lines, at, into, cite) {
  const heading = /^#{1,6}\s+(.*)$/.exec(lines[at]);
  if (heading) {
    into.append(el("p", { class: "heading" }, ...inline(heading[1], cite)));
    return at + 1;
  }
  const quote = /^\s*>/.test(lines[at]);
  const taken = [];
  while (at < lines.length && lines[at].trim() && !/^\s*```|^#{1,6}\s/.test(lines[at]) && !ITEM.test(lines[at])) {
    if (/^\s*>/.test(lines[at]) !== quote) break;
    taken.push(quote ? lines[at].replace(/^\s*>\s?/, "") : lines[at]);
    at += 1;
  }
  into.append(el(quote ? "blockquote" : "p", {}, ...inline(taken.join("\n"), cite)));
  return at;
}

function inline(text, cite) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(at, match.index), span(match, cite));
    at = match.index + match[0].length;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

function span([whole, code, bold, italic, , citation], cite) {
  if (code) return el("code", {}, code.slice(1, -1));
  if (bold) return el("strong", {}, ...inline(bold.slice(2, -2), cite));
  if (italic) return el("em", {}, ...inline(italic.slice(1, -1), cite));
  if (citation) return cite(Number(citation.slice(1, -1))) ?? whole;
  return whole;
}
