// The answers on their way, by request or by the live conversation: each is shown as its lines come.
// It asks for none, and does not know which conversation they belong to.

import { speaks } from "./captions.js";
import { announce, toast } from "./dom.js";
import { showLatency } from "./latency.js";
import { closePage } from "./page-view.js";
import { player } from "./player.js";
import { settings } from "./settings.js";
import { requote, showSources, showSourcesOf } from "./sources.js";
import { TurnView } from "./turn-view.js";

const ANNOUNCED = 500; // characters of an answer that are read out by themselves

// Events: "change" (something begins or ends), "kept" (the server keeps a turn more, or another one).
class Answers extends EventTarget {
  constructor() {
    super();
    this.running = null; // the one that comes now
    this.byTurn = new Map(); // the number under which it is spoken → all of the conversation that is shown
  }

  tell(type) {
    this.dispatchEvent(new Event(type));
  }
}

export const answers = new Answers();
let log; // the node that holds the turns
let acts; // what the buttons of a turn do

export function mountAnswers(node, actions) {
  log = node;
  acts = actions;
}

// Show a question, and be ready for its answer. `turn`: the number under which it is spoken; `abort` ends the
// request that brings it, which a turn of the live conversation has not.
export function begin(text, { turn, abort = null, again = null }) {
  const run = { turn, abort, again, text: "", asked: performance.now(), sources: [], timings: {}, over: false };
  answers.running = run;
  answers.byTurn.set(turn, run);
  run.view = new TurnView(text, acts);
  put(run.view.node);
  speaks(turn, run.view);
  showSources([]);
  closePage();
  log.scrollTop = log.scrollHeight;
  announce(abort ? "Searching the documents." : `You asked: ${text}`);
  answers.tell("change");
  return run;
}

// The one that came now comes no more.
export function ended(run) {
  if (answers.running === run) answers.running = null;
  answers.tell("change");
}

// Show a node at the end of the conversation.
export function put(node) {
  log.querySelector(".welcome")?.remove();
  log.append(node);
  follow();
}

// One line of an answer, however it came.
export function take(run, line) {
  handlers[line.type](run, line);
}

const handlers = {
  turn(run, { id, spoken, replaces }) {
    run.id = run.view.id = id;
    if (!replaces) bringBack(run);
    if (spoken || player.turn !== run.turn) return;
    player.silence();
    if (settings.speaks()) toast("The voice is not connected. This answer is not spoken.");
  },
  standalone(run, { question: understood }) {
    run.view.understood(understood);
  },
  sources(run, { sources }) {
    run.sources = run.view.sources = sources;
    showSources(sources, true);
  },
  notice(run, { message }) {
    run.view.notice(message);
  },
  queued(run, { before, seconds }) {
    run.view.queued(before, seconds);
  },
  token(run, { text }) {
    run.text += text;
    draw(run);
  },
  checked(run, { start, end, supported }) {
    if (supported) return;
    run.view.doubt(start, end);
    draw(run);
  },
  replaced(run, { reason }) {
    run.text = "";
    run.view.doubted = [];
    run.view.notice(reason);
    draw(run);
  },
  nearest(run, { sources }) {
    showSources(sources, false);
  },
  done(run, { turn }) {
    run.over = true;
    run.text = turn.answer;
    Object.assign(turn.timings, run.timings);
    run.again?.node.remove();
    run.view.finish(turn);
    showSourcesOf(turn);
    showLatency(turn);
    follow();
    if (run.abort || player.turn !== run.turn) announce(`Answer: ${turn.answer.slice(0, ANNOUNCED)}`); // else it is heard
    answers.tell("kept");
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

export function failed(run, reason) {
  run.over = true;
  bringBack(run);
  run.view.answered = Boolean(run.text);
  if (run.text) run.view.show(run.text); // no frame draws what came last
  player.silence();
  run.view.fail(reason, Boolean(run.id));
  announce(reason);
}

// At most 25 times a second, however fast the tokens come.
const REDRAWN = 40; // milliseconds

function draw(run) {
  if (run.drawing) return;
  run.drawing = true;
  const wait = (run.drawn ?? -REDRAWN) + REDRAWN - performance.now();
  setTimeout(() => requestAnimationFrame(() => {
    run.drawing = false;
    run.drawn = performance.now();
    if (run.over) return;
    run.view.show(run.text);
    follow();
  }), Math.max(0, wait));
}

// Keep the newest text in sight, unless the person has scrolled up to read.
function follow() {
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 160) log.scrollTop = log.scrollHeight;
}

// The answer ends here; `text` is what remains of it.
export function cutOff(run, text, why) {
  run.over = true;
  run.why ??= why;
  run.text = text;
  bringBack(run);
  const turn = run.view.turn ?? { id: run.id, question: run.view.question, sources: run.sources };
  run.view.stopped({ ...turn, answer: text, sources: requote(turn.sources, text) }, run.why);
}

// More is known of how long it took.
export function timed(turn, timings) {
  const run = answers.byTurn.get(turn);
  if (!run) return;
  Object.assign(run.timings, timings);
  if (run.over) run.view.timed(timings);
}
