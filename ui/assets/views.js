// The switch between the conversation and the evaluation: two tabs at the top, one panel below.

import { byId, el, icon } from "./dom.js";

const TABS = [
  ["chat", "Chat", "talk"],
  ["evaluation", "Evaluate", "chart"],
];
const shown = new EventTarget(); // "change", whenever another view is shown

export const view = () => document.body.dataset.view ?? TABS[0][0];
export const onView = (listener) => shown.addEventListener("change", listener);

export function mountViews() {
  const tabs = TABS.map(([name, text, image]) => tab(name, text, image));
  byId("brand").after(el("div", { class: "views", role: "tablist", "aria-label": "View", onkeydown: byArrow }, ...tabs));
  for (const [name] of TABS) {
    byId(name).setAttribute("role", "tabpanel");
    byId(name).setAttribute("aria-labelledby", `view-${name}`);
  }
  for (const id of ["new", "history"]) byId(id).addEventListener("click", () => show("chat"));
  show("chat");
}

function tab(name, text, image) {
  return el("button", { type: "button", role: "tab", id: `view-${name}`, "aria-controls": name, title: text, onclick: () => show(name) }, icon(image), el("span", {}, text));
}

export function show(name) {
  const before = view();
  document.body.dataset.view = name;
  for (const [each] of TABS) {
    byId(`view-${each}`).setAttribute("aria-selected", String(each === name));
    byId(`view-${each}`).tabIndex = each === name ? 0 : -1;
  }
  if (before !== name) shown.dispatchEvent(new Event("change"));
}

// One tab is in the tab order; arrows go from one to the other.
function byArrow(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = TABS.findIndex(([name]) => name === view());
  const [name] = TABS.at((at + step) % TABS.length);
  show(name);
  byId(`view-${name}`).focus();
}
