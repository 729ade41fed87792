// Which documents a question is put to: all, or one collection. Shown where there is a choice.

import { announce, byId, el, recall, remember } from "./dom.js";

const ALL = "All documents";
const select = el("select", { onchange: () => choose(select.value) });
const picker = el("label", { class: "collections", hidden: true }, el("span", {}, "Ask"), select);
let names = [];
let chosen = recall("collection", "");

export function mountCollections() {
  byId("composer").prepend(picker);
  draw();
}

// The chosen one's name; empty: all documents.
export function collection() {
  return chosen;
}

export function setCollections(found) {
  if (JSON.stringify(found) === JSON.stringify(names)) return;
  names = found;
  draw();
}

function choose(name) {
  chosen = name;
  remember("collection", name);
  announce(`Questions go to ${name || "all documents"}.`);
  draw();
}

// One that was chosen stays chosen while it is not there, so that no question goes to other documents unnoticed.
function draw() {
  const shown = chosen && !names.includes(chosen) ? [...names, chosen] : names;
  picker.hidden = shown.length < 2 && !chosen;
  select.replaceChildren(el("option", { value: "" }, ALL), ...shown.map((name) => el("option", { value: name }, name)));
  select.value = chosen;
}
