// What is heard: chunks of sound from the voice socket, played without a gap, silenced at once.
// Each chunk carries the number of its turn; nothing of an earlier turn is ever played.

import { announce, api, recall, remember, toast } from "./dom.js";

const RATE = 24000; // of all engines; a chunk at another rate is resampled by the browser
const LEAD = 0.03; // seconds between a chunk's arrival and its beginning
const RETRY = [500, 1000, 2000, 4000, 8000]; // milliseconds
const ASK_AFTER = 3; // times that the socket could not be opened

class Player extends EventTarget {
  constructor() {
    super();
    this.turn = 0; // what is played now
    this.key = ""; // of the voice socket; empty while there is none
    this.muted = recall("muted", false);
    this.played = 0; // seconds of sound begun in this turn
    this.startedAt = null; // performance.now() at the turn's first sound
    this.stoppedAt = null; // performance.now() when the last turn was silenced
    this.context = null;
    this.playing = new Set();
    this.waiting = []; // chunks that came before the first gesture
    this.over = true; // whether the turn's last chunk has come
    this.tries = 0;
  }

  // idle, waiting (for sound), blocked (by the browser, until a gesture), playing
  get state() {
    if (this.playing.size) return this.context.state === "running" ? "playing" : "blocked";
    if (this.waiting.length) return "blocked";
    return this.over ? "idle" : "waiting";
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
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
      this.gain = this.context.createGain();
      this.meter = this.context.createAnalyser();
      this.gain.gain.value = this.muted ? 0 : 1;
      this.gain.connect(this.meter).connect(this.context.destination);
    }
    const play = () => {
      for (const [rate, samples] of this.waiting.splice(0)) this.#schedule(rate, samples);
      this.#changed();
    };
    if (this.context.state === "suspended") this.context.resume().then(play, () => {});
    else play();
  }

  // From now on only this turn is heard.
  begin(turn) {
    this.silence();
    this.turn = turn;
    this.over = false;
    this.startedAt = null;
    this.played = 0;
    this.#changed();
  }

  silence() {
    if (this.state !== "idle") this.stoppedAt = performance.now();
    this.#cut();
    this.over = true;
    this.turn = 0;
    this.#changed();
  }

  #cut() {
    for (const source of this.playing) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.playing.clear();
    this.waiting.length = 0;
    this.next = 0;
  }

  stop() {
    const { turn } = this;
    this.silence();
    if (turn) this.#tell({ type: "stop", turn });
  }

  mute(muted) {
    this.muted = muted;
    remember("muted", muted);
    if (this.context) this.gain.gain.value = muted ? 0 : 1;
    announce(muted ? "Sound is off." : "Sound is on.");
    this.#changed();
  }

  #schedule(rate, samples) {
    const buffer = this.context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    const at = Math.max(this.context.currentTime + LEAD, this.next);
    this.next = at + buffer.duration;
    source.onended = () => {
      this.playing.delete(source);
      this.#changed();
    };
    this.playing.add(source);
    source.start(at);
    this.played += buffer.duration;
    if (this.startedAt === null) this.#first(at);
    this.#changed();
  }

  #first(at) {
    const { turn } = this;
    this.startedAt = performance.now() + 1000 * (at - this.context.currentTime);
    this.dispatchEvent(new CustomEvent("first", { detail: { turn, at: this.startedAt } }));
  }

  #chunk(data) {
    const view = new DataView(data);
    const turn = view.getUint32(0, true);
    if (turn !== this.turn) return;
    const rate = view.getUint32(4, true);
    const samples = Float32Array.from(new Int16Array(data, 8), (value) => value / 32768);
    if (!samples.length) return;
    if (this.context?.state === "running") this.#schedule(rate, samples);
    else this.waiting.push([rate, samples]);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #tell(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  connect() {
    const url = new URL("/voice/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#message(JSON.parse(data)) : this.#chunk(data));
    socket.onclose = () => {
      this.key = "";
      this.over = true;
      this.#changed();
      setTimeout(() => this.connect(), RETRY[Math.min(this.tries, RETRY.length - 1)]);
      this.tries += 1;
      // A refused socket does not say why; a request does, and leads to the sign-in page if that is missing.
      if (this.tries % ASK_AFTER === 0) api("/api/state").catch(() => {});
    };
  }

  #message({ type, key, turn, message }) {
    if (type === "key") {
      this.key = key;
      this.tries = 0;
    } else if (type === "end" && turn === this.turn) {
      this.over = true;
    } else if (type === "flush" && turn === this.turn) {
      this.#cut();
    } else if (type === "notice" && turn === this.turn) {
      toast(message);
    }
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
