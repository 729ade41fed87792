// Talk: the live conversation as a person begins, mutes, holds and ends it, and the microphone's way to the server.
// What is said in it is shown by chat.js and captions.js; what is heard is played by player.js.

import { collection } from "./collections.js";
import { announce, button, byId, el, icon, label, recall, toast } from "./dom.js";
import { HEADER, Microphone } from "./microphone.js";
import { player } from "./player.js";
import { settings } from "./settings.js";
import { socket } from "./socket.js";

const TAP = 200; // milliseconds that the space bar or the button must be held to talk
const TAIL = 150; // milliseconds after letting go in which the last sound still arrives
const EARLY = 31; // frames kept until the server listens: a second
const SAY = 1000; // milliseconds between two announcements
const NOTHING = 1000; // milliseconds after letting go in which the server has noticed whatever was said
const SLOW = 10000; // milliseconds between two words about a slow connection
const DRIFT = 0.005; // seconds that two audio clocks may drift apart before their distance is taken anew
const HOW = "Hold the space bar, or the button Hold, while you speak; let go when you have finished.";
const IMPOSSIBLE =
  "A live conversation is not possible through this connection: it lets no WebSocket through. A proxy in between has to allow them. Record and typing work.";
const FIELD = "input, textarea, select, [contenteditable='true']";
const CONTROL = `${FIELD}, button, a[href], summary, audio, video, [role='button'], [role='slider']`;

// What the button shows: icon, text, what a press does; and what is announced.
const LOOKS = {
  idle: ["voice", "Talk", "Talk: begin a conversation by voice", "The conversation by voice has ended."],
  connecting: ["again", "Connecting", "Connecting. Press to cancel"],
  listening: ["mic", "Listening", "Listening. Press to end the conversation", "Listening."],
  hearing: ["mic", "Hearing you", "Listening, and hearing you. Press to end the conversation"],
  thinking: ["thinking", "Thinking", "Thinking. Press to end the conversation", "Thinking."],
  speaking: ["sound", "Speaking", "Speaking; talk to interrupt. Press to end the conversation", "Speaking."],
  muted: ["mic_off", "Muted", "Microphone muted. Press to end the conversation; M unmutes", "Microphone muted."],
  waiting: ["mic", "Hold to talk\u00a0· press to end", "The microphone listens while you hold the space bar or the button Hold. Press to end the conversation", "Hold the space bar to talk."],
};

// The distance between two audio clocks, which are read in steps: smoothed, and held still, so that times stay even.
class Distance {
  constructor() {
    this.mean = this.held = null;
  }

  take(now) {
    if (this.mean === null || Math.abs(now - this.mean) > 0.1) this.mean = this.held = now;
    this.mean += 0.02 * (now - this.mean);
    if (Math.abs(this.mean - this.held) > DRIFT) this.held = this.mean;
    return this.held;
  }
}

// Events: "begin" (the microphone is about to listen, and would hear an answer), "change".
class Talk extends EventTarget {
  constructor() {
    super();
    this.microphone = null;
    this.attempt = null; // the press that began it; null: no live conversation
    this.joined = false; // the server listens
    this.broken = false; // the connection was lost in the middle
    this.conversation = null; // its id; empty: a new one; null: the one that was shown last
    this.muted = this.held = this.push = false; // push: it hears only what is said while the key is held
    this.server = { state: "listening", hearing: false };
    this.words = "";
    this.hold = null; // the last one: whether anything was noticed in it, and whether that is still to be answered
    this.warned = false; // that the recogniser is weak
    this.frames = this.lost = 0; // sent, and dropped, since the conversation began
    this.said = "idle";
    this.saidAt = this.slowAt = -Infinity;
  }

  get on() {
    return this.attempt !== null;
  }

  // idle, listening, thinking, speaking, muted
  get state() {
    if (!this.joined) return "idle";
    if (this.#deaf && this.server.state === "listening") return "muted";
    return this.muted ? "muted" : this.server.state;
  }

  get hearing() {
    return this.joined && this.server.hearing;
  }

  // Whether nothing that is said goes to the server.
  get #deaf() {
    return !this.held && !this.tail && (this.muted || this.push);
  }

  async start({ push = false } = {}) {
    if (socket.impossible) return toast(IMPOSSIBLE);
    const attempt = (this.attempt = {});
    Object.assign(this, { push, muted: false, joined: false, broken: false, words: "" });
    player.unlock();
    this.dispatchEvent(new Event("begin"));
    this.#changed();
    let microphone;
    try {
      microphone = await Microphone.open("Talk");
    } catch (error) {
      if (this.attempt === attempt) this.end(error.message);
      return;
    }
    if (this.attempt !== attempt) return microphone.close();
    this.microphone = microphone;
    this.distance = new Distance();
    microphone.addEventListener("frame", ({ detail }) => this.#frame(detail));
    microphone.addEventListener("ended", ({ detail }) => this.end(detail));
    microphone.addEventListener("silent", ({ detail }) => toast(detail));
    this.#quieten();
    this.#join();
  }

  end(problem = "") {
    if (!this.on) return;
    if (this.joined) player.silence();
    socket.tell({ type: "quiet" });
    this.microphone?.close();
    clearTimeout(this.tail);
    Object.assign(this, { attempt: null, microphone: null, joined: false, held: false, tail: null, hold: null, words: "" });
    this.#changed();
    if (problem) toast(problem);
  }

  toggleMute() {
    this.muted = !this.muted;
    if (this.joined) socket.tell({ type: "mute", on: this.muted });
    this.#quieten();
    this.#changed();
  }

  // The key or the button is held: what is said until `up` is one utterance.
  down() {
    if (this.held) return;
    clearTimeout(this.tail);
    const goesOn = Boolean(this.tail);
    Object.assign(this, { held: true, tail: null, downAt: performance.now() });
    this.hold = { noticed: false, open: false, over: ["thinking", "speaking"].includes(this.state) };
    if (!this.on) this.start({ push: true });
    else if (this.joined && !goesOn) socket.tell({ type: "push", down: true });
    this.#quieten();
    this.#changed();
  }

  up() {
    if (!this.held) return;
    Object.assign(this, { held: false, upAt: performance.now() });
    const tap = this.upAt - this.downAt < TAP;
    if (tap) toast(HOW, "hint");
    if (tap && !this.microphone) return this.end();
    this.tail = setTimeout(() => this.#upNow(), TAIL);
  }

  #upNow() {
    this.tail = null;
    if (this.joined) socket.tell({ type: "push", down: false, ago: (performance.now() - this.upAt) / 1000 });
    this.#expect(this.hold);
    this.#quieten();
    this.#changed();
  }

  // Where nothing at all was noticed, the server has nothing to tell.
  #expect(hold) {
    if (!this.joined || hold.over) return; // over an answer it has been for its silence
    hold.open = true;
    setTimeout(() => hold.noticed || this.#unheard(hold), NOTHING);
  }

  #unheard(hold) {
    if (hold?.open && hold === this.hold && this.on && !this.words) toast("I heard nothing.", "hint");
    if (hold) hold.open = false;
    this.words = "";
  }

  #quieten() {
    if (this.microphone) this.microphone.on = !this.#deaf;
  }

  #wish() {
    return { voice: settings.hasVoice() ? settings.voice : "", speed: settings.speed, speak: settings.speaks(), language: settings.language ?? "", collection: collection() };
  }

  // Without a connection this comes again as soon as there is one.
  #join() {
    this.joined = false;
    this.early = [];
    this.frames = this.lost = 0;
    this.wish = this.#wish();
    this.server = { state: "listening", hearing: false };
    const conversation = this.conversation ?? recall("conversation", null) ?? "";
    if (socket.key) socket.tell({ type: "talk", conversation, rate: this.microphone.rate, ...this.wish });
    this.#changed();
  }

  #talking({ conversation, notice }) {
    if (!this.microphone) return;
    this.joined = true;
    this.conversation = conversation;
    if (this.muted) socket.tell({ type: "mute", on: true });
    if (this.held || this.tail) socket.tell({ type: "push", down: true });
    else if (this.push && !this.broken) toast(`The microphone is ready. ${HOW}`, "hint");
    for (const [frame, time] of this.early.splice(0)) this.#send(frame, time);
    if (notice) toast(notice, "hint");
    if (this.broken) toast("The connection is back, and the conversation goes on. What was being said is lost: say it again.", "hint");
    this.closeLoss?.();
    this.broken = false;
    this.#warn();
    this.#changed();
  }

  // Once a page: a person who is misheard should know that it need not be so.
  #warn() {
    const weak = settings.engines.find(({ kind, state }) => kind === "asr" && state === "weak");
    if (!weak || this.warned) return;
    this.warned = true;
    toast([weak.why, weak.remedy].filter(Boolean).join(" "), "hint");
  }

  #lost() {
    if (!this.microphone || this.broken) return;
    if (this.joined) player.silence();
    this.broken = true;
    this.#join();
    this.closeLoss = toast("The connection is lost. What was being said is lost with it; the conversation goes on when it is back.");
  }

  // A wish that has changed is told when it disturbs nobody.
  #renew() {
    if (!this.joined || this.server.state !== "listening" || this.server.hearing || this.held) return;
    if (JSON.stringify(this.wish) !== JSON.stringify(this.#wish())) this.#join();
  }

  // This conversation is shown now; null: a new one.
  converse(id) {
    if ((id ?? "") === this.conversation) return;
    this.conversation = id ?? "";
    if (this.joined) this.#join();
  }

  #frame({ frame, time, level }) {
    this.#meter(level);
    if (this.#deaf) return;
    if (this.joined) return this.#send(frame, time);
    this.early.push([frame, time]);
    if (this.early.length > EARLY) this.early.shift();
  }

  #send(frame, time) {
    const { turn, samples } = this.#played(time);
    const view = new DataView(frame);
    [this.frames + this.lost, turn, samples].forEach((value, at) => view.setUint32(4 * at, value, true));
    // Half a second of int16 samples is as many bytes as a second has samples.
    if (socket.sendFrame(frame, this.microphone.rate + HEADER)) this.frames += 1;
    else this.lost += 1;
  }

  // What went to the loudspeaker when the microphone's clock showed `time`.
  #played(time) {
    if (!player.context) return { turn: 0, samples: 0 };
    return player.at(time + this.distance.take(player.context.currentTime - this.microphone.now));
  }

  #meter(level) {
    const now = performance.now();
    if (now - (this.metered ?? 0) < (matchMedia("(prefers-reduced-motion: reduce)").matches ? 500 : 60)) return;
    this.metered = now;
    meter.value = this.#deaf ? 0 : Math.max(0, 1 + Math.log10(level + 1e-6) / 2.5); // of 50 dB
  }

  #changed() {
    draw();
    this.#say();
    this.dispatchEvent(new Event("change"));
  }

  // Not over the person's own words, and not every moment.
  #say() {
    this.saying ??= setTimeout(() => {
      this.saying = null;
      const look = this.look;
      if (this.hearing || look === this.said || !LOOKS[look][3]) return;
      this.said = look;
      this.saidAt = performance.now();
      announce(LOOKS[look][3]);
    }, Math.max(0, this.saidAt + SAY - performance.now()));
  }

  // What of LOOKS is shown.
  get look() {
    if (this.on && !this.joined) return "connecting";
    if (this.state === "muted" && !this.muted) return "waiting";
    return this.state === "listening" && this.hearing ? "hearing" : this.state;
  }

  connect() {
    const handlers = {
      key: () => this.microphone && !this.joined && this.#join(),
      lost: () => this.#lost(),
      talking: (message) => this.#talking(message),
      refused: ({ message }) => this.end(message),
      state: ({ state, hearing }) => {
        this.server = { state, hearing };
        if (this.hold && hearing) this.hold.noticed = true;
        this.#changed();
        this.#renew();
      },
      words: ({ text }) => (this.words = text),
      unheard: () => this.#unheard(this.hold),
      asked: ({ turn }) => this.#asked(turn),
      slow: () => this.#slow(),
      impossible: () => (this.on ? this.end(IMPOSSIBLE) : toast(IMPOSSIBLE)),
    };
    for (const [type, handle] of Object.entries(handlers)) socket.addEventListener(type, ({ detail }) => handle(detail));
    for (const type of ["key", "impossible"]) socket.addEventListener(type, draw);
    player.addEventListener("change", () => this.#renew());
  }

  #asked(turn) {
    this.hold = null;
    if (this.wish?.speak && player.turn !== turn) player.begin(turn);
  }

  #slow() {
    const now = performance.now();
    if (now - this.slowAt < SLOW) return;
    this.slowAt = now;
    toast("The connection is slow: part of what you say is lost. Speak again when it is better, or type.");
  }
}

export const talk = new Talk();
window.parleyTalk = talk; // for tools: state, hearing, words, frames, lost

// Ask in the live conversation; false if there is none.
export function asking(text) {
  return talk.joined && socket.tell({ type: "ask", text });
}

const meter = el("meter", { class: "level", min: 0, max: 1, "aria-label": "Microphone level", title: "How loud the microphone is" });
const mute = button("Mute the microphone", { class: "mute-mic", "aria-keyshortcuts": "M", onclick: () => talk.toggleMute() });
const hold = button("Hold to talk (or hold the space bar)", { icon: "mic", class: "push" }, el("span", { class: "label" }, "Hold"));
let drawn = "";

function draw() {
  const look = talk.look;
  const node = byId("talk");
  Object.assign(node.dataset, { state: talk.state, look, hearing: talk.hearing });
  node.setAttribute("aria-pressed", String(talk.on));
  node.setAttribute("aria-busy", String(look === "connecting"));
  for (const one of [mute, meter]) one.style.visibility = talk.on ? "" : "hidden"; // its place is kept
  mute.dataset.state = talk.muted ? "muted" : "";
  hold.setAttribute("aria-pressed", String(talk.held));
  const wanted = `${look} ${talk.muted} ${socket.impossible}`;
  if (wanted === drawn) return;
  drawn = wanted;
  const [image, text, hint] = LOOKS[look];
  label(node, image, text, socket.impossible && !talk.on ? IMPOSSIBLE : hint);
  mute.replaceChildren(icon(talk.muted ? "mic_off" : "mic"));
  const does = talk.muted ? "Unmute the microphone" : "Mute the microphone";
  mute.title = `${does} (M)`;
  mute.setAttribute("aria-label", does);
  for (const child of [...node.children, ...mute.children]) child.style.pointerEvents = "none"; // drawn anew under a finger, a button is still pressed
}

export function mountTalk() {
  byId("talk").after(hold, mute, meter);
  byId("talk").addEventListener("click", () => (talk.on ? talk.end() : talk.start()));
  hold.style.touchAction = "none"; // a finger that moves a little neither scrolls nor lets go
  hold.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    hold.setPointerCapture(event.pointerId);
    press();
  });
  for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) hold.addEventListener(type, () => talk.up());
  hold.addEventListener("contextmenu", (event) => event.preventDefault()); // what a long touch would open
  document.addEventListener("keydown", onKeyDown);
  document.addEventListener("keyup", (event) => [" ", "Enter"].includes(event.key) && talk.up());
  window.addEventListener("blur", () => talk.up());
  document.addEventListener("visibilitychange", () => document.hidden && talk.up());
  talk.connect();
  draw();
}

function press() {
  if (!byId("talk").disabled) talk.down();
}

function onKeyDown(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (key.toLowerCase() === "m" && talk.on && !target.closest(FIELD)) return event.repeat || talk.toggleMute();
  const holds = hold.contains(target) ? [" ", "Enter"].includes(key) : key === " " && !target.closest(CONTROL);
  if (!holds) return;
  event.preventDefault();
  if (!event.repeat) press();
}
