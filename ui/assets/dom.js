// Building the page's nodes and talking to the server. Text always becomes a text node, never HTML.

const TOGETHER = 400; // milliseconds within which announcements are read out as one
const SHORTEST = 5000; // milliseconds that a message stays which goes away by itself
const READING = 60; // milliseconds that reading a character takes

const PATHS = {
  send: "M4 12h15M13 6l6 6-6 6",
  stop: "M7 7h10v10H7z",
  mic: "M12 4a2.5 2.5 0 0 0-2.5 2.5v5a2.5 2.5 0 0 0 5 0v-5A2.5 2.5 0 0 0 12 4zM6.5 11.5a5.5 5.5 0 0 0 11 0M12 17v3.5",
  mic_off: "M9.500 8v3.500a2.500 2.500 0 0 0 4.300 1.700M14.500 10V6.500a2.500 2.500 0 0 0-4.800-1M6.500 11.500a5.500 5.500 0 0 0 8.700 4.500M17.500 11.500a5.500 5.500 0 0 1-.5 2.300M12 17v3.500M4.500 4l15 16",
  record: "M4 12a8 8 0 1 0 16 0a8 8 0 1 0-16 0zM10 12a2 2 0 1 0 4 0a2 2 0 1 0-4 0zM11 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0z",
  voice: "M4 10.500v3M8 7.500v9M12 4.500v15M16 8v8M20 10.500v3",
  ready: "M5 12.500l4.500 4.500L19 7.500",
  warning: "M12 4.500L21 19.500H3zM12 10.500v4M12 17v.2",
  thinking: "M4 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0zM11 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0zM18 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0z",
  copy: "M9 9h10v11H9zM5 15V4h10",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4.5h-4.5",
  up: "M8 11l4-7c1.6 0 2.5 1.2 2.1 2.8L13.5 10H18c1.3 0 2 1 1.7 2.2l-1.4 6c-.2 1-1 1.8-2 1.8H8zM4 11h4v9H4z",
  down: "M8 13l4 7c1.6 0 2.5-1.2 2.1-2.8L13.5 14H18c1.3 0 2-1 1.7-2.2l-1.4-6C18.100 4.800 17.300 4 16.300 4H8zM4 13h4V4H4z",
  play: "M8 5l11 7-11 7z",
  sound: "M5 10v4h3l4 4V6L8 10zM15.500 9a4.500 4.500 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11",
  mute: "M5 10v4h3l4 4V6L8 10zM16 9.500l5 5M21 9.500l-5 5",
  larger: "M4 10.500a6.500 6.500 0 1 0 13 0a6.500 6.500 0 1 0-13 0zM15.500 15.500L20 20M7.500 10.500h6M10.500 7.500v6",
  smaller: "M4 10.500a6.500 6.500 0 1 0 13 0a6.500 6.500 0 1 0-13 0zM15.500 15.500L20 20M7.500 10.500h6",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  book: "M5 5.500c2.500-1 4.800-.8 7 .8 2.200-1.600 4.500-1.800 7-.8v13c-2.500-1-4.800-.8-7 .8-2.200-1.600-4.500-1.800-7-.8zM12 6.300v13",
  folder: "M4 6h6l2 2.500h8V19H4z",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.800v4.400M9 14.800v4.400",
  talk: "M5 5h14v10h-8l-4 4v-4H5z",
  chart: "M4 20h16M7 20v-6M12 20V6M17 20v-10",
  down_line: "M12 4v11M7 11l5 5 5-5M5 20h14",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" }, svg("path", { d: PATHS[name] }));
}

// The same for SVG, whose nodes are of another kind.
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children.flat());
  return node;
}

// el("p", {class: "x", onclick: f, "aria-label": "…"}, "text", node, …)
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(label, { icon: name, text = false, ...props } = {}, ...children) {
  const parts = [name ? icon(name) : null, text ? el("span", {}, label) : null, ...children];
  return el("button", { type: "button", "aria-label": label, title: label, ...props }, ...parts);
}

export const byId = (id) => document.getElementById(id);

// Gradio's buttons are filled anew, so that they can change what they say.
export function label(node, name, text, hint = text) {
  node.replaceChildren(icon(name), el("span", { class: "label" }, text));
  node.setAttribute("aria-label", hint);
  node.title = hint;
}

export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status; // 0: there was no answer
  }
}

export async function api(path, { method = "GET", json, body, signal, raw = false } = {}) {
  const headers = json === undefined ? {} : { "Content-Type": "application/json" };
  const sent = json === undefined ? body : JSON.stringify(json);
  let response;
  try {
    response = await fetch(path, { method: sent === undefined ? method : "POST", headers, body: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("Parley does not answer. Check that it is still running, then try again.");
  }
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new ServerError(await reason(response), response.status);
  return raw ? response : response.json();
}

async function reason(response) {
  try {
    const { error, detail } = await response.json();
    return error || detail?.[0]?.msg || `The server refused this (${response.status}).`;
  } catch {
    return `The server refused this (${response.status}). Reload the page and try again.`;
  }
}

const live = el("div", { class: "unseen", role: "status", "aria-live": "polite" });
const toasts = el("div", { class: "toasts" });

// Messages take room of their own at the top of the conversation: whatever they say, they cover nothing.
export function mountMessages() {
  document.body.append(live);
  byId("middle").prepend(toasts);
  new ResizeObserver(() => document.body.style.setProperty("--messages", `${toasts.offsetHeight}px`)).observe(toasts);
}

let announced = 0; // performance.now()

// For people who hear the page. What was said a moment ago has not been read out yet, and is not lost.
export function announce(text) {
  const now = performance.now();
  live.textContent = now - announced < TOGETHER ? `${live.textContent} ${text}` : text;
  announced = now;
}

// A problem stays until it is closed; anything else ("hint", "done") until it has been read. Returns what closes it.
export function toast(text, kind = "problem") {
  const node = el("div", { class: `toast ${kind}`, role: kind === "problem" ? "alert" : "status" }, el("span", {}, text));
  node.addEventListener("click", () => node.classList.toggle("whole")); // on a phone it shows its beginning
  const close = () => node.remove();
  node.append(button("Close", { icon: "close", class: "plain", onclick: close }));
  for (const other of [...toasts.children]) if (other.textContent === node.textContent) other.remove(); // said again, not twice
  toasts.append(node);
  if (kind !== "problem") setTimeout(() => leave(node), Math.max(SHORTEST, READING * text.length));
  return close;
}

// Not from under the pointer, and not with the focus in it.
function leave(node) {
  if (node.matches(":hover, :focus-within")) setTimeout(() => leave(node), 1000);
  else node.remove();
}

// On plain http a browser has no clipboard to write to, only the old command.
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = el("textarea", { class: "unseen", readonly: true });
  box.value = text;
  document.body.append(box);
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  if (!copied) throw new Error("not allowed");
}

// Bring `target` into the upper part of `box`, and move nothing else.
export function scrollTo(box, target) {
  if (target) box.scrollTop = target.offsetTop - box.clientHeight / 4;
}

// Scroll `box`, and nothing else, if `place` (a rectangle of the window) is not in sight; `above`: pixels left over it.
export function reveal(box, place, above) {
  const frame = box.getBoundingClientRect();
  if (place.top < frame.top || place.bottom > frame.bottom) box.scrollTop += place.top - frame.top - above;
}

// How long something took, as it is written everywhere: 430 ms, 1.2 s.
export function seconds(value) {
  const tens = Math.round(100 * value);
  return tens < 100 ? `${10 * tens} ms` : `${value.toFixed(1)} s`;
}

export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(`parley.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`parley.${name}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still works; it forgets at reload.
  }
}
