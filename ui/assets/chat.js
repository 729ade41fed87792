// The conversation: ask, show the answer as it comes, stop it, ask again, hear it again, keep it.

import { answers, begin, cutOff, ended, failed, mountAnswers, take, timed } from "./answers.js";
import { mountCaptions, speaks } from "./captions.js";
import { collection } from "./collections.js";
import { announce, api, byId, el, icon, label, recall, remember, toast } from "./dom.js";
import { showHistory } from "./history.js";
import { clearLatency, showLatency } from "./latency.js";
import { closePage, pauseRecording } from "./page-view.js";
import { player } from "./player.js";
import { settings } from "./settings.js";
import { socket } from "./socket.js";
import { showSources, showSourcesOf } from "./sources.js";
import { asking, talk } from "./talk.js";
import { TurnView } from "./turn-view.js";

const state = { id: recall("conversation", null), number: 0, transcript: null, suggestions: [], cancel: null, sound: null };
const acts = { ask, replay, newest: (view) => [...log.querySelectorAll(".turn")].at(-1) === view.node, conversation };
let log; // the node that holds the turns

export function question() {
  return byId("question").querySelector("textarea");
}

// Put text into Gradio's text box, as if it were typed.
export function setQuestion(text) {
  const box = question();
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

// What the microphone heard; `took` is how long writing it down was, in seconds.
export function setTranscript(text, took) {
  setQuestion(text);
  state.transcript = took;
  question().focus();
}

// What Stop does while the microphone's recording is written down; null when it is.
export function listening(cancel) {
  state.cancel = cancel;
  controls();
}

export function mountChat() {
  log = el("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Conversation" });
  byId("chat").replaceChildren(log);
  keepEnd();
  mountAnswers(log, acts);
  mountCaptions(log);
  byId("latency").setAttribute("aria-label", "How long the last answer took");
  byId("latency").setAttribute("role", "group");
  label(byId("send"), "send", "Send", "Send the question (Enter)");
  label(byId("stop"), "stop", "Stop", "Stop the answer and the voice (Escape)");
  label(byId("new"), "plus", "New conversation");
  byId("send").addEventListener("click", send);
  byId("stop").addEventListener("click", stop);
  byId("new").addEventListener("click", () => open(null));
  question().addEventListener("keydown", onKey, { capture: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("stop").disabled) stop();
    else if (typed(event)) question().focus(); // the letter goes where it was meant
  });
  player.addEventListener("first", ({ detail }) => heard(detail));
  player.addEventListener("change", controls);
  answers.addEventListener("change", controls);
  answers.addEventListener("kept", refreshHistory);
  talk.addEventListener("begin", stop);
  controls();
  open(state.id);
}

// Whether this is the first letter of a question, by somebody who is nowhere on the page.
function typed({ key, target, ctrlKey, metaKey, altKey }) {
  return target === document.body && key.length === 1 && key !== " " && !ctrlKey && !metaKey && !altKey && !talk.on;
}

// When something else takes room, the end of the conversation stays in sight.
function keepEnd() {
  let height = 0;
  const observer = new ResizeObserver(() => {
    if (height && log.scrollHeight - log.scrollTop - height < 8) log.scrollTop = log.scrollHeight;
    height = log.clientHeight;
  });
  observer.observe(log);
}

function onKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  send();
}

// Only while something can be stopped is there something to press.
function controls() {
  const idle = !answers.running && !state.cancel && player.state === "idle" && (state.sound?.paused ?? true);
  byId("stop").disabled = idle;
  document.body.classList.toggle("answering", Boolean(answers.running));
  byId("hint").replaceChildren(...(player.state === "blocked" && !player.muted ? [el("p", {}, "Your browser waits for a click or a key before it plays the voice.")] : []));
}

export function send() {
  const text = question().value.trim();
  if (!text) return question().focus();
  const timings = state.transcript === null ? {} : { transcript: state.transcript };
  state.transcript = null;
  setQuestion("");
  return ask(text, { timings });
}

// `again`: the view of the turn that this one is to replace, if it is answered.
async function ask(text, { again = null, timings = {} } = {}) {
  if (asking(text)) return; // in the live conversation
  stop();
  player.unlock();
  if (again) again.node.hidden = true;
  const run = begin(text, { turn: nextTurn(), abort: new AbortController(), again });
  try {
    await stream(run, text, timings);
  } catch (error) {
    if (!run.over) failed(run, error.message);
  } finally {
    ended(run);
  }
}

function nextTurn() {
  state.number += 1;
  return state.number;
}

async function stream(run, text, timings) {
  if (!state.id) shows((await api("/api/conversations", { method: "POST" })).id);
  if (run.over) return;
  const key = settings.speaks() ? player.key : "";
  if (key) player.begin(run.turn);
  const json = { question: text, again: run.again?.id ?? null, key, turn: run.turn, voice: settings.voice, speed: settings.speed, collection: collection(), timings };
  const response = await api(`/api/conversations/${state.id}/ask`, { json, signal: run.abort.signal, raw: true });
  for await (const line of lines(response)) {
    if (run.over) return;
    take(run, line);
  }
  if (!run.over) failed(run, "The answer broke off. Ask again.");
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

// Silence and a frozen text at once; then the server is told.
export function stop() {
  state.cancel?.();
  state.sound?.pause();
  pauseRecording();
  const run = answers.running;
  answers.running = null;
  const { turn } = player;
  player.stop();
  if (run && !run.over) {
    cutOff(run, run.text, "Stopped");
    if (run.abort) endRequest(run);
    else if (turn !== run.turn) socket.tell({ type: "stop", turn: run.turn });
    announce("Stopped.");
  }
  controls();
}

// Tell the server how much of the answer was shown, and end it there.
export function endRequest(run) {
  const told = run.id ? api(`/api/conversations/${state.id}/stop`, { json: { shown: run.text.length } }) : Promise.resolve();
  told.catch(() => {}).finally(() => {
    run.abort.abort(); // a closed request stops the answer, too
    refreshHistory();
  });
}

function heard({ turn, at }) {
  const run = answers.byTurn.get(turn);
  if (!run?.abort || "first_audio" in run.timings) return; // the server itself knows it of a live turn
  const took = (at - run.asked) / 1000;
  if (run.id) api(`/api/conversations/${state.id}/turns/${run.id}/heard`, { json: { first_audio: took } }).catch(() => {});
  timed(turn, { first_audio: took });
}

// The id of the conversation that is shown, or null for a new one.
export function conversation() {
  return state.id;
}

// This conversation is the one that is shown from now on, whatever the log holds; null: a new one.
export function shows(id) {
  state.id = id;
  remember("conversation", id);
  talk.converse(id);
}

async function replay(view) {
  const { turn } = view;
  if (!settings.hasVoice()) return toast("The voice is off. Choose one in the settings at the top.");
  if (turn.id && socket.impossible) return playWhole(turn);
  if (!turn.id || !player.key) return toast("The voice is not connected. Wait a moment, then try again.");
  if (player.muted) player.mute(false);
  const number = nextTurn();
  stop();
  player.unlock();
  player.begin(number);
  speaks(number, view);
  showSourcesOf(turn);
  const json = { key: player.key, turn: number, voice: settings.voice, speed: settings.speed };
  try {
    await api(`/api/conversations/${state.id}/turns/${turn.id}/say`, { json });
  } catch (error) {
    player.silence();
    toast(error.message);
  }
}

// Where no socket can be opened: the whole answer as one sound.
async function playWhole(turn) {
  stop();
  const wish = new URLSearchParams({ voice: settings.voice, speed: settings.speed });
  const sound = new Audio(`/api/conversations/${state.id}/turns/${turn.id}/sound?${wish}`);
  state.sound = sound;
  sound.onplay = sound.onpause = sound.onended = controls;
  sound.onerror = () => state.sound === sound && toast("This answer cannot be said aloud. Choose another voice in the settings at the top.");
  await sound.play().catch(() => {}); // stopped before it began; what else can go wrong is told above
}

// Open a conversation, or with null a new one; without either, only the list is drawn anew.
async function open(id) {
  if (id === undefined) return refreshHistory();
  stop();
  if (id !== state.id) talk.end(); // it belongs to the conversation that was shown
  shows(id);
  answers.byTurn.clear();
  log.replaceChildren();
  clearLatency();
  showSources([]);
  closePage();
  if (id) await restore(id);
  welcome();
  refreshHistory();
  delete document.body.dataset.drawer;
}

async function restore(id) {
  try {
    const { turns } = await api(`/api/conversations/${id}`);
    if (state.id !== id) return;
    for (const turn of turns) log.append(restored(turn).node);
    const last = turns.at(-1);
    if (last) showSourcesOf(last);
    if (last?.engine) showLatency(last);
    log.scrollTop = log.scrollHeight;
  } catch (error) {
    if (error.status !== 404) return toast(error.message);
    shows(null); // deleted, or another person's
  }
}

function restored(turn) {
  const view = new TurnView(turn.question, acts);
  view.id = turn.id;
  view.answered = Boolean(turn.answer);
  view.sources = turn.sources;
  view.understood(turn.standalone);
  for (const message of turn.notices) view.notice(message);
  if (turn.state === "done") view.finish(turn);
  else if (turn.state === "failed") view.fail("This question was not answered.", true);
  else view.stopped(turn, turn.state === "interrupted" ? "Interrupted" : "Stopped");
  return view;
}

function refreshHistory() {
  return showHistory(() => state.id, open);
}

export function setSuggestions(suggestions) {
  if (JSON.stringify(suggestions) === JSON.stringify(state.suggestions)) return;
  state.suggestions = suggestions;
  if (log.querySelector(".welcome")) welcome();
}

export function welcome() {
  log.querySelector(".welcome")?.remove();
  if (log.children.length) return;
  const ideas = state.suggestions.map((text) => el("button", { type: "button", class: "idea", onclick: () => ask(text) }, text));
  log.append(
    el(
      "div",
      { class: "welcome" },
      icon("book"),
      el("h1", {}, "Talk with your documents"),
      el("p", {}, "Ask by voice or by text. Each answer names the pages it came from."),
      el("div", { class: "ideas" }, ...ideas),
    ),
  );
}
