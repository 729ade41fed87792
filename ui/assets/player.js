// What is heard: the sound of one turn, played without a gap, silenced, held and gone on with at once.
// Each chunk carries the number of its turn; nothing of an earlier turn is ever played.
// Events: "change", "first" {turn, at}, and "mark" {turn, start, end, kind} when that stretch of the text is heard.

import { announce, recall, remember, toast } from "./dom.js";
import { openOutput, RATE, Resampler } from "./output.js";
import { socket } from "./socket.js";

const TELL = 200; // milliseconds between two words to the server about how far a turn has been played
const REMEMBERED = 64; // reports: a second
const AGAIN = 10 * 60 * 1000; // milliseconds within which the voice says nothing twice about itself

class Player extends EventTarget {
  constructor() {
    super();
    this.turn = 0; // what is played now
    this.muted = recall("muted", false);
    this.startedAt = null; // performance.now() at the turn's first sound
    this.stoppedAt = null; // performance.now() when the last turn was silenced
    this.underruns = 0; // gaps within turns since the page was opened
    this.gaps = []; // their seconds
    this.context = null;
    this.output = null;
    this.over = true; // whether the turn's last chunk has come
    this.noticed = new Map(); // what the voice said about itself → performance.now()
    this.run = 0; // what the output plays: another number for each turn, and for what replaces its beginning
    this.left = Promise.resolve({ turn: 0, samples: 0 }); // how far the last turn was played that was cut off
    this.position = 0; // samples of the turn given to the loudspeaker
    this.#forget();
  }

  get socket() {
    return socket;
  }

  get key() {
    return socket.key; // empty while there is no connection
  }

  // Seconds of the turn that were given to the loudspeaker.
  get played() {
    return this.position / RATE;
  }

  // Seconds that the device adds.
  get latency() {
    return this.context?.outputLatency || this.context?.baseLatency || 0;
  }

  // idle, waiting (for sound), blocked (by the browser, until a gesture), paused, playing
  get state() {
    const running = this.context?.state === "running";
    if (this.waiting.length) return running ? "waiting" : "blocked";
    if (this.received <= this.position) return this.over ? "idle" : "waiting";
    if (this.paused) return "paused";
    return running ? "playing" : "blocked";
  }

  // How loud it is right now, 0 to 1, as it leaves the page.
  rms() {
    if (!this.context) return 0;
    const samples = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
  }

  // A browser plays nothing before a gesture; every gesture comes here.
  unlock() {
    if (!this.context) this.#open();
    if (this.context.state === "suspended" && !this.paused) this.context.resume().catch(() => {});
    this.#play();
  }

  async #open() {
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    this.gain = this.context.createGain();
    this.meter = this.context.createAnalyser();
    this.gain.gain.value = this.muted ? 0 : 1;
    this.gain.connect(this.meter).connect(this.context.destination);
    this.context.onstatechange = () => this.#play();
    this.output = await openOutput(this.context, this.gain, (event) => this.#told(event));
    this.output.begin(this.run);
    if (this.paused) this.output.pause();
    this.#play();
  }

  #play() {
    if (this.output && this.context.state === "running") {
      for (const samples of this.waiting.splice(0)) this.#push(samples);
    }
    this.#changed();
  }

  // From now on only this turn is heard.
  begin(turn) {
    this.silence();
    this.turn = turn;
    this.over = false;
    this.startedAt = null;
    this.#anew();
    this.#changed();
  }

  silence() {
    const { turn } = this;
    if (this.state !== "idle") this.stoppedAt = performance.now();
    const position = this.#ask("cut");
    if (turn) this.left = position.then((samples) => ({ turn, samples }));
    this.#forget();
    this.over = true;
    this.turn = 0;
    this.run += 1;
    this.#changed();
  }

  stop() {
    const { turn } = this;
    this.silence();
    if (turn) socket.tell({ type: "stop", turn });
  }

  mute(muted) {
    this.muted = muted;
    remember("muted", muted);
    this.gain?.gain.setTargetAtTime(muted ? 0 : 1, this.context.currentTime, 0.002); // no click
    announce(muted ? "The voice is muted." : "The voice is on.");
    this.#changed();
  }

  // What was on the loudspeaker when the context's clock showed `time`; turn 0: nothing.
  at(time) {
    const index = this.reports.findLastIndex((report) => report.time <= time);
    const report = this.reports[index];
    if (!report?.playing || this.muted) return { turn: 0, samples: 0 };
    const next = this.reports[index + 1]?.position ?? this.received;
    return { turn: this.turn, samples: Math.min(next, report.position + Math.round((time - report.time) * RATE)) };
  }

  // What is held, and all that is known of what was played, is nothing any more.
  #forget() {
    clearTimeout(this.timer);
    this.waiting = []; // chunks that came before the first gesture
    this.received = this.position; // samples; more than `position`: there is something to play
    this.paused = false;
    this.resampler = null;
    this.marks = [];
    this.reports = [];
    this.told = 0; // performance.now() when the server was last told
  }

  // What comes now is the beginning of the turn's sound.
  #anew() {
    this.position = 0;
    this.#forget();
    this.run += 1;
    this.output?.begin(this.run);
  }

  #chunk(data) {
    const view = new DataView(data);
    if (view.getUint32(0, true) !== this.turn) return;
    const rate = view.getUint32(4, true);
    const samples = this.#resampled(rate, Float32Array.from(new Int16Array(data, 8), (value) => value / 32768));
    if (!samples.length) return;
    if (this.output && this.context.state === "running") this.#push(samples);
    else this.waiting.push(samples);
    this.#changed();
  }

  #resampled(rate, samples) {
    if (rate === RATE) return samples;
    if (this.resampler?.rate !== rate) this.resampler = { rate, way: new Resampler(rate) };
    return this.resampler.way.take(samples);
  }

  #push(samples) {
    this.received += samples.length;
    this.output.push(samples);
  }

  #told(event) {
    if (event.run !== this.run) return;
    if (event.type === "report") this.#report(event);
    else if (event.type === "first") this.#first(event.time);
    else {
      this.underruns += 1;
      this.gaps.push(event.seconds);
    }
  }

  #first(time) {
    const { turn } = this;
    this.startedAt = performance.now() + 1000 * (time - this.context.currentTime);
    socket.tell({ type: "first", turn, latency: this.latency });
    this.dispatchEvent(new CustomEvent("first", { detail: { turn, at: this.startedAt } }));
  }

  #report(report) {
    const began = report.playing !== this.reports.at(-1)?.playing;
    this.position = report.position;
    this.reports.push(report);
    if (this.reports.length > REMEMBERED) this.reports.shift();
    const now = performance.now();
    if (!report.playing || now - this.told >= TELL) {
      this.told = now;
      socket.tell({ type: "playing", turn: this.turn, samples: this.position });
    }
    this.#mark();
    if (began) this.#changed();
  }

  // Seconds of the turn that have left the loudspeaker.
  #heard() {
    const last = this.reports.at(-1);
    if (!last) return 0;
    const since = this.context.currentTime - last.time - this.latency;
    return last.position / RATE + (last.playing ? since : Math.min(0, since));
  }

  #mark() {
    clearTimeout(this.timer);
    const heard = this.#heard();
    while (this.reports.length && this.marks.length && this.marks[0].at <= heard) {
      const { turn, start, end, kind } = this.marks.shift();
      this.dispatchEvent(new CustomEvent("mark", { detail: { turn, start, end, kind } }));
    }
    const [next] = this.marks; // there are no reports any more while the device plays the rest
    if (next && this.reports.length && next.at <= this.played) this.timer = setTimeout(() => this.#mark(), 1000 * (next.at - heard) + 1);
  }

  // Where nothing runs, nobody answers.
  #ask(what) {
    if (!this.output || this.context.state !== "running") {
      this.output?.[what]();
      return Promise.resolve(this.position);
    }
    return this.output[what]();
  }

  async #pause(turn) {
    if (turn !== this.turn || this.state === "idle") return this.#answer("paused", turn);
    this.paused = true;
    const samples = await this.#ask("pause");
    socket.tell({ type: "paused", turn, samples });
    this.#changed();
  }

  #resume(turn) {
    if (turn !== this.turn || !this.paused) return;
    this.paused = false;
    this.output?.resume();
    this.#changed();
  }

  #clear(turn) {
    if (turn === this.turn) this.silence();
    this.#answer("cleared", turn);
  }

  async #answer(type, turn) {
    const left = turn === this.turn ? { turn, samples: this.position } : await this.left;
    socket.tell({ type, turn, samples: left.turn === turn ? left.samples : 0 });
  }

  #lost() {
    if (this.paused) this.silence(); // nobody would let it go on
    this.over = true;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  connect() {
    const current = (handle) => (event) => event.detail.turn === this.turn && handle(event.detail);
    const handlers = {
      sound: ({ detail }) => this.#chunk(detail),
      mark: current((mark) => this.marks.push(mark)),
      pause: ({ detail }) => this.#pause(detail.turn),
      resume: ({ detail }) => this.#resume(detail.turn),
      clear: ({ detail }) => this.#clear(detail.turn),
      interrupted: current(() => this.silence()),
      flush: current(() => this.#flush()),
      end: current(() => this.#end()),
      notice: ({ detail }) => this.#notice(detail),
      key: () => this.#changed(),
      lost: () => this.#lost(),
    };
    for (const [type, handle] of Object.entries(handlers)) socket.addEventListener(type, handle);
    socket.connect();
  }

  // What belongs to no turn is a problem with what was said; of a turn, it is how that is spoken.
  #notice({ turn, message }) {
    if (!turn) toast(message);
    else if (turn === this.turn && performance.now() - (this.noticed.get(message) ?? -Infinity) > AGAIN) {
      this.noticed.set(message, performance.now());
      toast(message, "hint");
    }
  }

  #flush() {
    const { paused } = this;
    this.#anew();
    this.paused = paused;
    if (paused) this.output?.pause();
    this.#changed();
  }

  #end() {
    this.over = true;
    this.#changed();
  }
}

export const player = new Player();
window.parleyPlayer = player; // for tools that want to know what is heard

export function mountPlayer() {
  player.connect();
  for (const gesture of ["pointerdown", "keydown"]) {
    document.addEventListener(gesture, () => player.unlock(), { capture: true });
  }
}
