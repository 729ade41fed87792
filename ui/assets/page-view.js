// The place in a document that a passage comes from: the page as an image with the words marked, its text scrolled to
// them, or the recording at its moment. Nothing here is made of a document's text but text.

import { api, button, byId, el, reveal, scrollTo, toast } from "./dom.js";
import { paint } from "./highlight.js";
import { isWebPage, nameOf, patternOf, placeOf, quoted, quoteIn, written } from "./quotes.js";
import { talk } from "./talk.js";

const SHARPEST = 2; // pixels of an image for one of the window; more is not seen
const PATIENCE = 400; // milliseconds before it says that it is still looking
const EDGE = 2; // pixels from an end of the page that count as at it
const ARROWS = ["ArrowLeft", "ArrowRight"];
const LATER = 202; // what the server says of an image that may be drawn at another try
const LOUD = "The recording is paused: the microphone would hear it. End the conversation by voice first.";

// source: whose page is open; page: what the server told of it; kind: "page" or "text", what is shown of a PDF;
// words: [start, end, line, left, top, right, bottom] of the passage; spoken: the source and the words that are
// spoken now; asked: the latest request; opener: what had the focus before; drawer: which one was open, on a small
// screen.
const state = { source: null, page: null, kind: "page", large: false, words: [], spoken: { source: null, said: "" }, asked: null, opener: null, drawer: undefined };
const view = () => byId("page-view");
const isOpen = () => view().classList.contains("open");

export function mountPageView() {
  view().setAttribute("role", "region");
  view().setAttribute("aria-label", "Page of the document");
  view().addEventListener("keydown", onKey);
  closePage();
}

export function closePage() {
  const had = view().contains(document.activeElement);
  if (isOpen() && !state.drawer) delete document.body.dataset.drawer;
  Object.assign(state, { source: null, page: null, words: [], asked: null });
  view().replaceChildren();
  view().classList.remove("open");
  document.body.classList.remove("page-open");
  if (had && state.opener?.isConnected) state.opener.focus();
  state.opener = null;
}

// Show where the passage of `source` stands, and go there. `drawer`: on a small screen, open the drawer that it is in.
export function openPage(source, { drawer = true } = {}) {
  if (!view().contains(document.activeElement)) state.opener = document.activeElement;
  if (!isOpen()) state.drawer = document.body.dataset.drawer;
  if (drawer) document.body.dataset.drawer = "sources";
  return load(source);
}

// `where`: {page}, {number} of a part of the text; empty: where the passage is.
async function load(source, where = {}) {
  const asked = (state.asked = {});
  const query = new URLSearchParams({ source: source.source, start: source.start, end: source.end, ...where });
  try {
    const page = await api(`/api/page?${query}`);
    if (state.asked === asked) show(source, page);
  } catch (error) {
    if (state.asked === asked) put(head({ source: source.source, number: 0, count: 1, page: null }), note(error.message, "alert"));
  }
}

function show(source, page) {
  const focused = document.activeElement?.closest("#page-view button")?.getAttribute("aria-label");
  Object.assign(state, { source, page, words: [] });
  const body = isImage() ? imageOf(source, page) : textOf(source, page);
  const sound = page.original === "audio" || page.original === "video" ? recordingOf(source, page) : "";
  put(head(page), page.reason ? note(page.reason, "note", page.again) : "", sound, body);
  const same = [...view().querySelectorAll("button:enabled")].find((one) => one.getAttribute("aria-label") === focused);
  (same ?? body).focus({ preventScroll: true });
  if (isImage()) draw(body);
  else scrollTo(body, body.querySelector("mark mark") ?? body.querySelector("mark"));
  showSaid();
}

function put(...nodes) {
  view().replaceChildren(...nodes.filter((node) => node !== ""));
  view().classList.add("open");
  document.body.classList.add("page-open");
}

function isImage() {
  return isDrawable(state.page) && state.kind === "page";
}

function isDrawable({ original }) {
  return original === "pdf" || original === "picture";
}

function head(page) {
  const turns = steps(page);
  const place = title(page) ? el("span", { class: "place" }, title(page)) : "";
  return el(
    "div",
    { class: "head" },
    el("strong", { class: "file", title: page.source }, nameOf({ ...page, title: state.source?.title })),
    button("Close the page", { icon: "close", onclick: closePage, class: "plain" }),
    turns.some(Boolean) || isDrawable(page)
      ? el("div", { class: "turn-page" }, turner("Previous page", "left", "←", turns[0]), place, turner("Next page", "right", "→", turns[1]))
      : place,
    isDrawable(page) ? el("div", { class: "kinds" }, ...kinds()) : "",
    isWebPage(page.source) ? el("a", { class: "address", href: page.source, target: "_blank", rel: "noopener noreferrer" }, page.source) : "",
  );
}

// A button that turns the page, and the key that does the same.
function turner(name, image, key, where) {
  return button(name, { icon: image, title: `${name} (${key})`, onclick: () => load(state.source, where), disabled: !where, class: "plain" });
}

// Where the pages before and after are: of an image the next page, of a text its next part; null: nowhere.
function steps(page) {
  if (isDrawable(page) && state.kind === "page") {
    return [page.page > 1 ? { page: page.page - 1 } : null, page.page < page.pages ? { page: page.page + 1 } : null];
  }
  return [page.number > 0 ? { number: page.number - 1 } : null, page.number + 1 < page.count ? { number: page.number + 1 } : null];
}

function title(page) {
  const place = placeOf(page);
  if (page.page !== null) return place.endsWith(` ${page.page}`) ? `${place} of ${page.pages}` : place;
  return [place, page.count > 1 ? `part ${page.number + 1} of ${page.count}` : ""].filter(Boolean).join(", ");
}

function kinds() {
  const large = state.large ? "Fit the page to the width" : "Enlarge the page";
  const kind = (name, text) =>
    button(text, { text: true, class: "plain kind", "aria-pressed": String(state.kind === name), onclick: () => again({ kind: name }) });
  const zoom = button(large, { icon: state.large ? "smaller" : "larger", class: "plain", onclick: () => again({ large: !state.large }) });
  return [isImage() ? zoom : "", kind("page", "Page"), kind("text", "Text")];
}

// The same page, shown in another way.
function again(change) {
  Object.assign(state, change);
  show(state.source, state.page);
}

// `again`: the page as it may be tried once more.
function note(text, role = "note", again) {
  const retry = again ? button("Try again", { text: true, class: "plain", onclick: () => show(state.source, again) }) : "";
  return el("p", { class: "page-note", role }, text, retry);
}

// The text

function textOf(source, page) {
  const text = el("div", { class: "page-text", tabindex: "0", role: "group", "aria-label": `Text of ${page.source}, ${title(page)}` });
  const mark = page.passage ? el("mark", {}, ...(isWhole() ? quoted(source.pieces) : written(page.passage))) : "";
  text.append(...written(page.before), mark, ...written(page.after));
  return text;
}

// Whether all of the passage is on this page; else a part of it, or the document was indexed anew.
function isWhole() {
  return state.page.passage === state.source.text;
}

// The image

function imageOf(source, page) {
  const name = [title(page), page.source].filter(Boolean).join(" of ");
  const image = el("img", { alt: `Image of ${name}`, draggable: "false" });
  const layers = ["marked-passage", "marked-quote", "marked-said", "underline"].map((kind) => el("div", { class: `layer ${kind}` }));
  const sheet = el("div", { class: state.large ? "sheet large" : "sheet" }, image, el("div", { class: "marks", "aria-hidden": "true" }, ...layers));
  const heard = page.passage ? el("p", { class: "unseen" }, `Marked on this page: ${page.passage}`) : "";
  return el("div", { class: "page-image", tabindex: "0", role: "group", "aria-label": name }, sheet, heard);
}

// Once the box is on the page, so that its width is known.
async function draw(box) {
  const { source, page } = state;
  const asText = (reason, again) => show(source, { ...page, original: null, reason, again });
  const name = { source: page.source, page: page.page ?? 1 };
  const width = Math.ceil(box.querySelector(".sheet").clientWidth * Math.min(devicePixelRatio, SHARPEST));
  const words = page.passage ? wordsOf(source, name) : [];
  const drawn = waitingFor(box, "Drawing the page…");
  try {
    const image = await api(`/api/page/image?${new URLSearchParams({ ...name, width })}`, { raw: true });
    if (image.status === LATER) return box.isConnected && asText((await image.json()).reason, page);
    await fill(box.querySelector("img"), await image.blob());
  } catch (error) {
    if (box.isConnected) asText(error.message);
    return;
  } finally {
    drawn();
  }
  if (!page.passage || !box.isConnected) return;
  const looked = waitingFor(box, "Looking for the words on the page…"); // a scan is read once more
  const found = await words;
  looked();
  if (!box.isConnected) return;
  state.words = found;
  if (!state.words.length) box.before(note("These words cannot be marked on the page. They are under Text."));
  const quotes = isWhole() ? quotesOf(source) : [];
  mark("marked-passage", [[source.start, source.end]]);
  for (const kind of ["marked-quote", "underline"]) mark(kind, quotes);
  goTo(box.querySelector(".marked-quote i") ?? box.querySelector(".marked-passage i"));
  showSaid();
}

// Says above `box` what takes its time. Returns what takes it away.
function waitingFor(box, what) {
  const waiting = note(what, "status");
  const slow = setTimeout(() => box.before(waiting), PATIENCE);
  return () => {
    clearTimeout(slow);
    waiting.remove();
  };
}

// What is wrong with a page, its image tells.
async function wordsOf({ start, end }, name) {
  try {
    return (await api(`/api/page/words?${new URLSearchParams({ ...name, start, end })}`)).words;
  } catch {
    return [];
  }
}

async function fill(image, blob) {
  const url = URL.createObjectURL(blob);
  image.src = url;
  await image.decode();
  URL.revokeObjectURL(url);
}

function mark(kind, spans) {
  const layer = view().querySelector(`.layer.${kind}`);
  layer?.replaceChildren(...spans.flatMap(boxesOf).map(([left, top, right, bottom]) => {
    const box = el("i");
    Object.assign(box.style, { left: share(left), top: share(top), width: share(right - left), height: share(bottom - top) });
    return box;
  }));
}

const share = (value) => `${100 * value}%`;

// The words of a span, those beside each other on one line as one box.
function boxesOf([start, end]) {
  const boxes = new Map();
  for (const [first, last, line, left, top, right, bottom] of state.words) {
    if (first >= end || last <= start) continue;
    const [l, t, r, b] = boxes.get(line) ?? [1, 1, 0, 0];
    boxes.set(line, [Math.min(l, left), Math.min(t, top), Math.max(r, right), Math.max(b, bottom)]);
  }
  return [...boxes.values()];
}

// The stretches of the passage that the answer quotes, in characters of the document (JavaScript counts otherwise).
function quotesOf({ start, pieces }) {
  let at = start;
  return pieces.flatMap(([text, isQuoted]) => {
    const begin = at;
    at += [...text].length;
    return isQuoted ? [[begin, at]] : [];
  });
}

function goTo(box) {
  if (!box) return;
  const frame = view().querySelector(".page-image");
  const [place, within] = [box.getBoundingClientRect(), frame.getBoundingClientRect()];
  frame.scrollTop += place.top - within.top - frame.clientHeight / 4;
  frame.scrollLeft += Math.min(place.left - within.left - 16, Math.max(0, place.right - within.right + 16));
}

// What is being spoken

// `said` are the words that are spoken now, of the passage of `source`; null: of none.
export function speakPage(source, said) {
  state.spoken = { source, said };
  if (state.page) showSaid();
}

function showSaid() {
  const { source, said } = state.spoken;
  const open = source && ["source", "start", "end"].every((key) => source[key] === state.source[key]);
  const text = view().querySelector(".page-text mark");
  paint("spoken-page", text && open ? quoteIn(text, said) : []);
  if (!isImage()) return;
  const found = open && isWhole() ? patternOf(said)?.exec(state.source.text) : null;
  const start = state.source.start + (found ? [...state.source.text.slice(0, found.index)].length : 0);
  mark("marked-said", found ? [[start, start + [...found[0]].length]] : []);
  const first = view().querySelector(".marked-said i");
  if (first) reveal(view().querySelector(".page-image"), first.getBoundingClientRect(), 40);
}

// Recordings

function recordingOf(source, page) {
  const moment = (page.passage ? source.at : null) ?? page.at ?? 0;
  const sound = el(page.original, {
    class: "recording",
    controls: true,
    preload: "metadata",
    src: `/api/recording?${new URLSearchParams({ source: page.source })}`,
    "aria-label": `Recording ${page.source}, from ${title(page)}`,
  });
  sound.addEventListener("loadedmetadata", () => (sound.currentTime = moment), { once: true });
  sound.addEventListener("play", () => {
    if (!talk.on && byId("mic").dataset.state !== "recording") return;
    sound.pause();
    toast(LOUD, "hint");
  });
  sound.addEventListener("error", () => sound.replaceWith(note("This browser cannot play the recording. This is what was heard in it.")));
  return sound;
}

// Somebody is going to speak, or an answer is.
export function pauseRecording() {
  view().querySelector(".recording")?.pause();
}

// Keys: the arrows turn the page, unless it is enlarged and they move it; so does the end of a page, as in any reader;
// Escape closes what nothing else stops.

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && byId("stop").disabled) return closePage();
  if (ARROWS.includes(event.key)) return turnBy(event);
  if (!["PageDown", "PageUp"].includes(event.key) || !state.page) return;
  const box = view().querySelector(".page-image, .page-text");
  const down = event.key === "PageDown";
  const atEnd = down ? box.scrollTop + box.clientHeight >= box.scrollHeight - EDGE : box.scrollTop <= EDGE;
  event.preventDefault();
  if (!atEnd) return box.scrollBy({ top: (down ? 0.9 : -0.9) * box.clientHeight });
  const where = steps(state.page)[down ? 1 : 0];
  if (where) load(state.source, where);
}

function turnBy(event) {
  const moves = event.target.closest("audio, video") || (isImage() && state.large);
  if (!state.page || moves || event.shiftKey) return;
  event.preventDefault();
  const where = steps(state.page)[ARROWS.indexOf(event.key)];
  if (where) load(state.source, where);
}
