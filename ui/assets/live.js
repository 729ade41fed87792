// The turns of the live conversation: the words while they are spoken, then a question and its answer as any other.

import { answers, begin, cutOff, ended, failed, put, take, timed } from "./answers.js";
import { conversation, endRequest, shows, welcome } from "./chat.js";
import { el } from "./dom.js";
import { socket } from "./socket.js";
import { talk } from "./talk.js";

const LOST = "The connection was lost in the middle of this answer. Ask again.";

let bubble = null; // the words that are being spoken

export function mountLive() {
  const on = (type, handle) => socket.addEventListener(type, ({ detail }) => handle(detail));
  on("talking", (message) => shows(message.conversation)); // a new one has a name now
  on("words", words);
  on("unheard", unheard);
  on("asked", asked);
  on("line", line);
  on("interrupted", interrupted);
  on("latency", ({ turn, timings }) => timed(turn, timings));
  on("lost", () => leaveOff((run) => failed(run, LOST)));
  talk.addEventListener("change", () => talk.on || leaveOff((run) => cutOff(run, run.text, "Stopped")));
}

// Seen only: who hears the page hears the question when it is complete.
function words({ text, final }) {
  if (!text) return;
  bubble ??= el("div", { class: "asked live", "aria-hidden": "true" });
  bubble.textContent = text;
  bubble.classList.toggle("final", Boolean(final));
  put(bubble);
}

// What was heard is a question now, or was nothing.
function unheard() {
  if (!bubble) return;
  bubble.remove();
  bubble = null;
  welcome();
}

// Late messages of a live conversation that belongs to another one than is shown are left out.
function asked({ turn, conversation: id, question }) {
  if (id !== conversation()) return;
  unheard();
  const before = answers.running;
  if (before && !before.over) cutOff(before, before.text, "Interrupted");
  if (before?.abort) endRequest(before);
  begin(question, { turn });
}

function line({ turn, line: content }) {
  const run = answers.byTurn.get(turn);
  if (!run || run.over) return;
  take(run, content);
  if (run.over) ended(run);
}

// Somebody spoke over the answer; only what was heard of it remains.
function interrupted({ turn, answer }) {
  const run = answers.byTurn.get(turn);
  if (!run) return;
  cutOff(run, answer, "Interrupted");
  ended(run);
  answers.tell("kept");
}

// What is being said, and what was being answered, will not come any more.
function leaveOff(end) {
  unheard();
  const run = answers.running;
  if (!run || run.abort || run.over) return;
  end(run);
  ended(run);
}
