// One question with its answer, as nodes. It asks nothing of the server but a rating; what its buttons do
// otherwise is given to it.

import { redrawn } from "./captions.js";
import { api, button, copyText, el, seconds, toast } from "./dom.js";
import { figures, showLatency } from "./latency.js";
import { render } from "./markdown.js";
import { placeOf } from "./quotes.js";
import { selectSource, showSources, showSourcesOf, sureness } from "./sources.js";

const MARKS = { up: "Good answer", down: "Bad answer: keep the question for testing" };

// `acts`: ask(text, {again}), replay(view), newest(view), conversation().
export class TurnView {
  constructor(question, acts) {
    this.question = question;
    this.acts = acts;
    this.sources = [];
    this.turn = null; // as the server keeps it, once it has ended
    this.doubted = []; // [start, end) of the sentences that no source supports
    this.raw = ""; // the answer as it was written, and where each part of that is shown
    this.places = [];
    this.body = el("div", { class: "body" });
    this.notices = el("ul", { class: "notices" });
    this.foot = el("div", { class: "foot" });
    this.place = el("span", { class: "place", role: "status" });
    this.waiting = el("span", { class: "waiting" }, el("i"), el("i"), el("i"), this.place);
    this.answer = el("div", { class: "answer", "aria-busy": "true" }, this.body, this.waiting, this.notices, this.foot);
    this.node = el("article", { class: "turn" }, el("div", { class: "asked" }, question), this.answer);
  }

  #draw(text) {
    this.raw = text;
    this.places = [];
    this.body.replaceChildren(render(text, (number) => this.#citation(number), this.places, this.doubted));
    redrawn(this);
  }

  // As much of the answer as there is; a citation that is only half there is not shown.
  show(text) {
    this.waiting.remove();
    this.#draw(text.replace(/ ?\[\d*$/, ""));
  }

  doubt(start, end) {
    this.doubted.push([start, end]);
  }

  notice(message) {
    this.notices.append(el("li", {}, message));
  }

  // Others' answers come first.
  queued(before, wait) {
    const who = before ? `${before} before you` : "Others are being answered, too";
    this.place.textContent = wait === null ? who : `${who}, about ${Math.max(1, Math.round(wait))} s`;
  }

  understood(text) {
    if (text) this.answer.prepend(el("details", { class: "understood" }, el("summary", {}, "Understood as…"), el("p", {}, text)));
  }

  #end(turn) {
    this.turn = turn;
    this.id = turn.id;
    this.answered = Boolean(turn.answer);
    this.sources = turn.sources;
    this.waiting.remove();
    this.answer.setAttribute("aria-busy", "false");
    this.foot.replaceChildren(...this.#footer(turn));
  }

  finish(turn) {
    this.sources = turn.sources;
    this.doubted = turn.unsupported;
    this.#draw(turn.answer);
    this.body.classList.add("answer-done");
    this.answer.classList.toggle("unanswered", !turn.answered);
    this.#end(turn);
  }

  // The answer ended before its end; `turn.answer` is what remains of it.
  stopped(turn, why = "Stopped") {
    this.sources = turn.sources;
    this.doubted = turn.unsupported ?? this.doubted;
    this.show(turn.answer);
    this.body.classList.remove("answer-done");
    this.body.classList.add("answer-stopped");
    this.#end(turn);
    this.foot.prepend(el("span", { class: "state" }, why));
  }

  fail(reason, kept) {
    this.waiting.remove();
    this.answer.setAttribute("aria-busy", "false");
    this.answer.classList.add("failed");
    this.notices.append(el("li", { class: "problem", role: "alert" }, reason));
    const again = () => this.acts.ask(this.question, { again: kept && this.acts.newest(this) ? this : null });
    this.foot.replaceChildren(button("Try again", { icon: "again", text: true, class: "plain", onclick: again }));
  }

  // More is known of how long it took.
  timed(timings) {
    if (!this.turn) return;
    this.turn.timings = { ...this.turn.timings, ...timings };
    const how = this.foot.querySelector(".how");
    if (!how) return;
    const { open } = how;
    how.replaceWith(this.#how(this.turn));
    this.foot.querySelector(".how").open = open;
    showLatency(this.turn);
  }

  #citation(number) {
    if (number < 1 || number > this.sources.length) return null;
    const cited = this.sources[number - 1];
    const place = [cited.source, placeOf(cited)].filter(Boolean).join(", ");
    const show = () => {
      showSources(this.sources, true);
      selectSource(number);
    };
    return el("button", { type: "button", class: "cite", onclick: show, title: place, "aria-label": `Source ${number}: ${place}` }, `[${number}]`);
  }

  #footer(turn) {
    const copied = () => toast("Copied.", "done");
    const refused = () => toast("The browser did not allow to copy. Select the text and copy it yourself.");
    const actions = el(
      "div",
      { class: "actions" },
      button("Copy the answer", { icon: "copy", class: "plain", onclick: () => copyText(turn.answer).then(copied, refused) }),
      button("Hear the answer", { icon: "play", class: "plain replay", onclick: () => this.acts.replay(this) }),
      button("Answer again", { icon: "again", class: "plain regenerate", onclick: () => this.acts.newest(this) && this.acts.ask(turn.question, { again: this }) }),
      ...this.#rating(turn),
      turn.sources.length || turn.nearest?.length ? button("Show the sources of this answer", { icon: "book", class: "plain", onclick: () => openSources(turn) }) : null,
    );
    return turn.engine ? [actions, this.#how(turn)] : [actions];
  }

  #how(turn) {
    return el("details", { class: "how" }, el("summary", {}, confidence(turn)), figures(turn));
  }

  #rating(turn) {
    const nodes = Object.entries(MARKS).map(([mark, text]) =>
      button(text, { icon: mark, class: `plain rate-${mark}`, "aria-pressed": String(turn.rating === mark), onclick: () => rate(mark) }),
    );
    const rate = async (mark) => {
      const rating = turn.rating === mark ? "" : mark;
      try {
        await api(`/api/conversations/${this.acts.conversation()}/turns/${turn.id}/rating`, { json: { rating } });
      } catch (error) {
        return toast(error.message);
      }
      turn.rating = rating;
      Object.keys(MARKS).forEach((name, at) => nodes[at].setAttribute("aria-pressed", String(rating === name)));
      if (rating === "down") toast("Thank you. The question is kept in feedback.jsonl, to be tested with `eval`.", "done");
    };
    return nodes;
  }
}

function openSources(turn) {
  showSourcesOf(turn);
  document.body.dataset.drawer = "sources";
}

function confidence(turn) {
  if (!turn.sources.length) return "not in the documents";
  return `${sureness(turn.confidence)} · ${seconds(turn.timings.total ?? 0)}`;
}
