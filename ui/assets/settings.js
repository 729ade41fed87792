// What a person chooses for this browser: voice, speed, mute, and whether speech is sent at once.

import { api, button, byId, el, icon, recall, remember, toast } from "./dom.js";
import { modelSection } from "./model.js";
import { player } from "./player.js";

const OFF = "off";
// What an engine can be, the most pressing first: as the page says it, and its icon.
const STATES = { failed: ["failed", "close"], asking: ["waits", "down_line"], loading: ["loading", "again"], weak: ["weak", "warning"], ready: ["ready", "ready"] };
const NAMES = { llm: "Answers", embedder: "Search", asr: "Listens", tts: "Speaks" };

export const settings = {
  voices: [],
  engines: [], // as the server has them
  voice: recall("voice", ""),
  speed: recall("speed", 1),
  sendAtOnce: recall("sendAtOnce", false),
  hasVoice: () => settings.voice !== OFF && settings.voices.length > 0,
  speaks: () => settings.hasVoice() && !player.muted,
};

const signOut = el("form", { method: "post", action: "/logout", hidden: true });
let voiceSelect;
let voiceNote;
let drawnEngines = "";

export function mountSettings() {
  byId("brand").replaceChildren(el("span", { class: "logo" }, icon("book")), el("span", { class: "name" }, "Parley"));
  const mute = button("Mute the voice", { class: "plain mute", onclick: () => player.mute(!player.muted) });
  let shown;
  const showMute = () => {
    if (shown === player.muted) return; // a button that is drawn anew between press and release is not clicked
    shown = player.muted;
    mute.replaceChildren(icon(player.muted ? "mute" : "sound"));
    mute.dataset.state = player.muted ? "muted" : "";
    mute.title = player.muted ? "Unmute the voice" : "Mute the voice";
    mute.setAttribute("aria-label", mute.title);
  };
  player.addEventListener("change", showMute);
  showMute();
  const drawer = (name, text, image) =>
    button(text, { icon: image, class: `plain drawer-${name}`, onclick: () => toggleDrawer(name) });
  byId("middle").addEventListener("click", closeDrawer, { capture: true });
  byId("tools").replaceChildren(drawer("documents", "Documents", "folder"), drawer("sources", "Sources", "book"), mute, menu());
}

// Back to the conversation; a click on a citation opens the drawer again after this.
function closeDrawer() {
  delete document.body.dataset.drawer;
}

function toggleDrawer(name) {
  if (document.body.dataset.drawer === name) delete document.body.dataset.drawer;
  else document.body.dataset.drawer = name;
}

function menu() {
  voiceSelect = el("select", { "aria-label": "Voice", onchange: () => chooseVoice(voiceSelect.value) });
  voiceNote = el("p", { class: "note" });
  const speedShown = el("output", {}, `${settings.speed}×`);
  const speed = el("input", { type: "range", "aria-label": "Speed", min: "0.5", max: "2", step: "0.1", value: settings.speed });
  speed.addEventListener("input", () => {
    settings.speed = Number(speed.value);
    speedShown.textContent = `${settings.speed}×`;
    remember("speed", settings.speed);
  });
  const once = el("input", { type: "checkbox" });
  once.checked = settings.sendAtOnce;
  once.addEventListener("change", () => {
    settings.sendAtOnce = once.checked;
    remember("sendAtOnce", once.checked);
  });
  const panel = el(
    "div",
    { class: "panel" },
    el("label", {}, el("span", {}, "Voice"), voiceSelect),
    voiceNote,
    el("label", {}, el("span", {}, "Speed"), speed, speedShown),
    el("label", { class: "check" }, once, el("span", {}, "Send what I say at once")),
    signOut,
  );
  const details = el("details", { class: "menu" }, el("summary", { "aria-label": "Settings", title: "Settings" }, icon("gear")), panel);
  panel.insertBefore(modelSection(details), signOut);
  closesByItself(details);
  return details;
}

// A menu closes when one clicks elsewhere or presses Escape.
export function closesByItself(details) {
  document.addEventListener("click", (event) => {
    if (!details.contains(event.target)) details.open = false;
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    details.querySelector("summary").focus();
    event.stopPropagation();
  });
}

function chooseVoice(name) {
  settings.voice = name;
  remember("voice", name);
  if (name === OFF) player.stop();
  showNote();
  drawEngines();
}

function showNote() {
  const { note, why } = settings.voices.find(({ name }) => name === settings.voice) ?? {};
  voiceNote.textContent = why || note || ""; // why another one speaks, once that is known
}

export function setVoices(voices) {
  if (JSON.stringify(voices) === JSON.stringify(settings.voices)) return;
  settings.voices = voices;
  if (settings.voice !== OFF && !voices.some(({ name }) => name === settings.voice)) settings.voice = voices[0]?.name ?? "";
  const options = [...voices, { name: OFF, label: "Off" }].map(({ name, label }) => el("option", { value: name }, label));
  voiceSelect.replaceChildren(...options);
  voiceSelect.value = voices.length ? settings.voice : OFF;
  showNote();
}

// Who has signed in; empty where nobody needs to.
export function setUser(name) {
  signOut.hidden = !name;
  if (signOut.dataset.user === name) return;
  signOut.dataset.user = name;
  signOut.replaceChildren(el("button", { class: "logout" }, `Sign out ${name}`));
}

// The line that says which engines are active; opened, why and how to change them.
export function setEngines(engines) {
  settings.engines = engines;
  drawEngines();
}

// The engine as it is for this page, whose voice may be another one than the server's.
function here(engine) {
  if (engine.kind !== "tts" || !settings.voice || !settings.voices.length) return engine;
  if (settings.voice === OFF) return { ...engine, name: "off", state: "ready", why: "You have switched it off in the settings of this page.", remedy: "" };
  const { label, note, speaks, why } = settings.voices.find(({ name }) => name === settings.voice);
  return { ...engine, name: speaks || label, state: "ready", why: why || note };
}

function drawEngines() {
  const engines = settings.engines.map(here);
  if (JSON.stringify(engines) === drawnEngines) return;
  drawnEngines = JSON.stringify(engines);
  const open = byId("engines").querySelector("details")?.open ?? false;
  const line = engines.map(({ kind, name, state }) =>
    el("span", { class: `engine ${state}` }, el("span", { class: "kind" }, `${NAMES[kind]} `), name ? el("span", { class: "which" }, `${name} `) : null, state === "ready" ? null : el("em", {}, STATES[state][0])),
  );
  const rows = engines.map((engine) =>
    el(
      "li",
      { class: engine.state },
      el("strong", {}, [NAMES[engine.kind], engine.name].filter(Boolean).join(": ")),
      el("span", { class: "state" }, engine.state === "asking" ? "waits for you" : engine.state),
      engine.why ? el("p", {}, engine.why) : null,
      engine.remedy ? el("p", { class: "remedy" }, engine.remedy) : null,
      engine.state === "asking" ? el("button", { type: "button", onclick: () => api("/api/agree", { method: "POST" }).catch(({ message }) => toast(message)) }, "Download it") : null,
    ),
  );
  const details = el("details", { class: "menu" }, el("summary", { title: "Which engines are active, and how to change them" }, overall(engines), ...line), el("ul", { class: "panel" }, ...rows));
  details.open = open;
  closesByItself(details);
  byId("engines").replaceChildren(details);
}

// All of them in a word and a sign, where there is no room for the line.
function overall(engines) {
  const state = Object.keys(STATES).find((one) => engines.some((engine) => engine.state === one)) ?? "loading";
  const [text, image] = STATES[state];
  return el("span", { class: `overall ${state}` }, icon(image), el("span", {}, "Engines", el("span", { class: "unseen" }, `: ${text}`)));
}
