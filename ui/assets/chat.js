// The conversation: ask, show the answer as it comes, stop it, ask again, rate it, keep it.

import { announce, api, button, byId, copyText, el, icon, label, recall, remember, seconds, toast } from "./dom.js";
import { render } from "./markdown.js";
import { player } from "./player.js";
import { settings } from "./settings.js";
import { bar, closePage, selectSource, showSources, sureness } from "./sources.js";

const ANNOUNCED = 500; // characters of an answer that are read out by themselves

const state = { id: recall("conversation", null), running: null, last: null, number: 0, transcript: null, suggestions: [], cancel: null };
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
  });
  player.addEventListener("first", ({ detail }) => heard(detail));
  player.addEventListener("change", controls);
  controls();
  open(state.id);
}

function onKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  send();
}

// Only while something can be stopped is there something to press.
function controls() {
  const idle = !state.running && !state.cancel && player.state === "idle";
  byId("stop").disabled = idle;
  document.body.classList.toggle("answering", Boolean(state.running));
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
export async function ask(text, { again = null, timings = {} } = {}) {
  stop();
  player.unlock();
  const run = (state.running = { text: "", asked: performance.now(), abort: new AbortController(), sources: [], spoken: nextTurn(), again });
  log.querySelector(".welcome")?.remove();
  if (again) again.node.hidden = true;
  run.view = turnView({ question: text });
  log.append(run.view.node);
  showSources([]);
  closePage();
  log.scrollTop = log.scrollHeight;
  announce("Searching the documents.");
  controls();
  try {
    await stream(run, text, timings);
  } catch (error) {
    if (!run.over) failed(run, error.message);
  } finally {
    if (state.running === run) state.running = null;
    controls();
  }
}

function nextTurn() {
  state.number += 1;
  return state.number;
}

async function stream(run, text, timings) {
  state.id ??= (await api("/api/conversations", { method: "POST" })).id;
  if (run.over) return;
  remember("conversation", state.id);
  const key = settings.speaks() ? player.key : "";
  if (key) player.begin(run.spoken);
  const json = { question: text, again: run.again?.id ?? null, key, turn: run.spoken, voice: settings.voice, speed: settings.speed, timings };
  const response = await api(`/api/conversations/${state.id}/ask`, { json, signal: run.abort.signal, raw: true });
  for await (const line of lines(response)) {
    if (run.over) return;
    handlers[line.type](run, line);
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

const handlers = {
  turn(run, { id, spoken, replaces }) {
    run.id = run.view.id = id;
    if (!replaces) bringBack(run);
    if (spoken || player.turn !== run.spoken) return;
    player.silence();
    toast("The voice is not connected. This answer is not spoken.");
  },
  standalone(run, { question: understood }) {
    run.view.understood(understood);
  },
  sources(run, { sources }) {
    run.sources = sources;
    run.view.sources = sources;
    showSources(sources, true);
  },
  notice(run, { message }) {
    run.view.notice(message);
  },
  token(run, { text }) {
    run.text += text;
    draw(run);
  },
  replaced(run, { reason }) {
    run.text = "";
    run.view.notice(reason);
    draw(run);
  },
  done(run, { turn }) {
    run.over = true;
    state.last = run;
    run.text = turn.answer;
    if (run.firstAudio !== undefined) turn.timings.first_audio = run.firstAudio;
    run.again?.node.remove();
    run.view.finish(turn);
    showSources(turn.sources, turn.answered);
    latency(turn);
    follow();
    announce(`Answer: ${turn.answer.slice(0, ANNOUNCED)}`);
    refreshHistory();
  },
  failed(run, { reason }) {
    failed(run, reason);
  },
};

// The answer that was to be replaced stays, unless there was none; the server does the same.
function bringBack(run) {
  if (!run.again) return;
  if (run.again.answered) run.again.node.hidden = false;
  else run.again.node.remove();
  run.again = null;
}

function failed(run, reason) {
  run.over = true;
  bringBack(run);
  run.view.answered = Boolean(run.text);
  player.silence();
  run.view.fail(reason, Boolean(run.id));
  announce(reason);
}

// At most once a frame, however fast the tokens come.
function draw(run) {
  if (run.drawing) return;
  run.drawing = true;
  requestAnimationFrame(() => {
    run.drawing = false;
    if (run.over) return;
    run.view.show(run.text);
    follow();
  });
}

// Keep the newest text in sight, unless the person has scrolled up to read.
function follow() {
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 160) log.scrollTop = log.scrollHeight;
}

// Silence and a frozen text at once; then the server is told.
export function stop() {
  state.cancel?.();
  const run = state.running;
  state.running = null;
  player.stop();
  if (run && !run.over) {
    run.over = true;
    bringBack(run);
    const shown = run.text;
    run.view.show(shown);
    run.view.stopped({ id: run.id, answer: shown, question: run.view.question, sources: run.sources });
    const told = run.id ? api(`/api/conversations/${state.id}/stop`, { json: { shown: shown.length } }) : Promise.resolve();
    told.catch(() => {}).finally(() => {
      run.abort.abort(); // a closed request stops the answer, too
      refreshHistory();
    });
    announce("Stopped.");
  }
  controls();
}

function heard({ turn, at }) {
  const run = state.running;
  const last = state.last;
  const target = [run, last].find((one) => one && one.spoken === turn);
  const took = (at - (target?.asked ?? at)) / 1000;
  if (!target || target.firstAudio !== undefined) return;
  target.firstAudio = took;
  if (target.id) api(`/api/conversations/${state.id}/turns/${target.id}/heard`, { json: { first_audio: took } }).catch(() => {});
  if (target.over) target.view.heard(took);
}

// One question with its answer, as nodes.
function turnView({ question: text }) {
  const body = el("div", { class: "body" });
  const notices = el("ul", { class: "notices" });
  const foot = el("div", { class: "foot" });
  const waiting = el("span", { class: "waiting", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
  const answer = el("div", { class: "answer", "aria-busy": "true" }, body, waiting, notices, foot);
  const view = { question: text, sources: [], turn: null };
  view.node = el("article", { class: "turn" }, el("div", { class: "asked" }, text), answer);
  const cite = (number) => citation(view, number);
  view.show = (answerText) => {
    waiting.remove();
    body.replaceChildren(render(answerText.replace(/ ?\[\d*$/, ""), cite));
  };
  view.notice = (message) => notices.append(el("li", {}, message));
  view.understood = (understood) => {
    if (understood) answer.prepend(el("details", { class: "understood" }, el("summary", {}, "Understood as…"), el("p", {}, understood)));
  };
  const end = (turn) => {
    view.turn = turn;
    view.id = turn.id;
    view.answered = Boolean(turn.answer);
    view.sources = turn.sources;
    waiting.remove();
    answer.setAttribute("aria-busy", "false");
    foot.replaceChildren(...footer(view, turn));
  };
  view.finish = (turn) => {
    body.replaceChildren(render(turn.answer, cite));
    body.classList.add("answer-done");
    answer.classList.toggle("unanswered", !turn.answered);
    end(turn);
  };
  view.stopped = (turn) => {
    body.classList.add("answer-stopped");
    end(turn);
    foot.prepend(el("span", { class: "state" }, "Stopped"));
  };
  view.fail = (reason, kept) => {
    waiting.remove();
    answer.setAttribute("aria-busy", "false");
    answer.classList.add("failed");
    notices.append(el("li", { class: "problem", role: "alert" }, reason));
    foot.replaceChildren(button("Try again", { icon: "again", text: true, class: "plain", onclick: () => ask(text, { again: kept && log.lastElementChild === view.node ? view : null }) }));
  };
  view.heard = (took) => {
    view.turn.timings.first_audio = took;
    foot.querySelector(".how")?.replaceWith(how(view.turn));
    latency(view.turn);
  };
  return view;
}

function citation(view, number) {
  if (number < 1 || number > view.sources.length) return null;
  const { source, page } = view.sources[number - 1];
  const place = page === null ? source : `${source}, page ${page}`;
  const show = () => {
    showSources(view.turn?.sources ?? view.sources, true);
    selectSource(number);
  };
  return el("button", { type: "button", class: "cite", onclick: show, title: place, "aria-label": `Source ${number}: ${place}` }, `[${number}]`);
}

function footer(view, turn) {
  const actions = el("div", { class: "actions" });
  const copy = () => copyText(turn.answer).then(() => toast("Copied.", "done"), () => toast("The browser did not allow to copy. Select the text and copy it yourself."));
  const newest = () => log.lastElementChild === view.node;
  actions.append(
    button("Copy the answer", { icon: "copy", class: "plain", onclick: copy }),
    button("Hear the answer", { icon: "play", class: "plain replay", onclick: () => replay(turn) }),
    button("Answer again", { icon: "again", class: "plain regenerate", onclick: () => newest() && ask(turn.question, { again: view }) }),
    ...rating(turn),
  );
  const about = turn.sources.length ? button("Show the sources of this answer", { icon: "book", class: "plain", onclick: () => showSourcesOf(turn) }) : null;
  if (about) actions.append(about);
  return turn.engine ? [actions, how(turn)] : [actions];
}

function how(turn) {
  return el("details", { class: "how" }, el("summary", {}, confidence(turn)), figures(turn));
}

function showSourcesOf(turn) {
  showSources(turn.sources, turn.answered);
  document.body.dataset.drawer = "sources";
}

function confidence(turn) {
  if (!turn.sources.length) return "nothing found";
  return `${sureness(turn.confidence)} · ${seconds(turn.timings.total ?? 0)}`;
}

function rating(turn) {
  const marks = { up: "Good answer", down: "Bad answer: keep the question for testing" };
  const nodes = Object.entries(marks).map(([mark, text]) =>
    button(text, { icon: mark, class: `plain rate-${mark}`, "aria-pressed": String(turn.rating === mark), onclick: () => rate(mark) }),
  );
  const rate = async (mark) => {
    const wanted = turn.rating === mark ? "" : mark;
    try {
      await api(`/api/conversations/${state.id}/turns/${turn.id}/rating`, { json: { rating: wanted } });
    } catch (error) {
      return toast(error.message);
    }
    turn.rating = wanted;
    Object.keys(marks).forEach((name, at) => nodes[at].setAttribute("aria-pressed", String(wanted === name)));
    if (wanted === "down") toast("Thank you. The question is kept in feedback.jsonl, to be tested with `eval`.", "done");
  };
  return nodes;
}

async function replay(turn) {
  if (!turn.id || !player.key) return toast("The voice is not connected. Wait a moment, then try again.");
  if (!settings.hasVoice()) return toast("The voice is off. Choose one in the settings at the top.");
  if (player.muted) player.mute(false);
  const spoken = nextTurn();
  stop();
  player.unlock();
  player.begin(spoken);
  const json = { key: player.key, turn: spoken, voice: settings.voice, speed: settings.speed };
  try {
    await api(`/api/conversations/${state.id}/turns/${turn.id}/say`, { json });
  } catch (error) {
    player.silence();
    toast(error.message);
  }
}

const FIGURES = [
  ["transcript", "Transcript"],
  ["standalone", "Question understood"],
  ["retrieval", "Retrieval"],
  ["first_token", "First token"],
  ["first_audio", "First audio"],
  ["total", "All"],
];

function figures(turn) {
  const rows = FIGURES.filter(([name]) => name in turn.timings).flatMap(([name, text]) => [el("dt", {}, text), el("dd", {}, seconds(turn.timings[name]))]);
  return el("dl", {}, el("dt", {}, "Engine"), el("dd", {}, turn.engine), el("dt", {}, "Retrieval is sure"), el("dd", {}, `${sureness(turn.confidence)}, ${Math.round(100 * turn.confidence)} %`), ...rows);
}

function latency(turn) {
  const shown = FIGURES.filter(([name]) => name in turn.timings && name !== "standalone");
  const parts = shown.map(([name, text]) => el("span", { "data-name": name }, `${text.toLowerCase()} `, el("b", {}, seconds(turn.timings[name]))));
  byId("latency").replaceChildren(el("span", { class: "engine" }, turn.engine), ...parts, el("span", { class: "sure" }, bar(turn.confidence), sureness(turn.confidence)));
}

// Open a conversation, or with null a new one.
async function open(id) {
  stop();
  state.id = id;
  remember("conversation", id);
  log.replaceChildren();
  byId("latency").replaceChildren();
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
    if (last) showSources(last.sources, last.answered);
    if (last?.engine) latency(last);
    log.scrollTop = log.scrollHeight;
  } catch (error) {
    if (error.status !== 404) return toast(error.message);
    state.id = null; // deleted, or another person's
    remember("conversation", null);
  }
}

function restored(turn) {
  const view = turnView(turn);
  view.sources = turn.sources;
  view.id = turn.id;
  view.answered = Boolean(turn.answer);
  view.understood(turn.standalone);
  turn.notices.forEach(view.notice);
  if (turn.state === "done") view.finish(turn);
  else if (turn.state === "failed") view.fail("This question was not answered.", true);
  else {
    view.show(turn.answer);
    view.stopped(turn);
  }
  return view;
}

export function setSuggestions(suggestions) {
  if (JSON.stringify(suggestions) === JSON.stringify(state.suggestions)) return;
  state.suggestions = suggestions;
  if (log.querySelector(".welcome")) welcome();
}

function welcome() {
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

async function refreshHistory() {
  let found;
  try {
    found = (await api("/api/conversations")).conversations;
  } catch {
    return; // the list is an extra; the conversation itself says when the server is gone
  }
  byId("history").replaceChildren(el("h2", {}, "Conversations"), exportLink(), el("ul", {}, ...found.map(historyItem)));
}

function exportLink() {
  const empty = !state.id;
  return el("a", { class: "export plain", download: "conversation.md", href: empty ? null : `/api/conversations/${state.id}/export`, "aria-disabled": empty ? "true" : null, title: "Export this conversation as Markdown" }, icon("down_line"), "Export");
}

function historyItem({ id, title }) {
  const remove = async () => {
    try {
      await api(`/api/conversations/${id}`, { method: "DELETE" });
    } catch (error) {
      toast(error.message);
    }
    if (id === state.id) open(null);
    else refreshHistory();
  };
  return el(
    "li",
    { class: id === state.id ? "current" : null },
    el("button", { type: "button", class: "open", "aria-current": id === state.id ? "true" : null, onclick: () => open(id) }, title),
    button(`Delete the conversation “${title}”`, { icon: "close", class: "plain", onclick: remove }),
  );
}
