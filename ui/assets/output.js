// Two ways to give sound to the loudspeaker behind one interface: begin(run), push(samples), pause(), resume(), cut().
// `pause` and `cut` promise the position, in samples of the run, at which they took effect. What happens is told to
// `told`: {type: "report", run, position, time, playing}, {type: "first", run, time}, {type: "gap", run, seconds};
// times are those of the audio context. They know neither turns nor the socket.

export const RATE = 24000; // samples per second of all that is pushed
const AUDIBLE = 0.002; // of full scale
const LEAD = 0.03; // seconds between a chunk's arrival and its beginning, where chunks are scheduled
const REPORT = 20; // milliseconds

// A browser has audio worklets only where the page came over https or from this machine.
export async function openOutput(context, target, told) {
  if (!context.audioWorklet) return new Scheduled(context, target, told);
  try {
    await context.audioWorklet.addModule("/parley/player-worklet.js");
    return new Streamed(context, target, told);
  } catch (error) {
    console.info(`The voice is played without an audio worklet: ${error.message}`);
    return new Scheduled(context, target, told);
  }
}

class Streamed {
  constructor(context, target, told) {
    this.asked = new Map();
    this.number = 0;
    const node = new AudioWorkletNode(context, "parley-player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.connect(target);
    this.port = node.port;
    this.port.onmessage = ({ data }) => (data.type === "answer" ? this.#answered(data) : told(data));
  }

  begin(run) {
    this.port.postMessage({ type: "begin", run });
  }

  push(samples) {
    this.port.postMessage({ type: "push", samples }, [samples.buffer]);
  }

  pause() {
    return this.#ask({ type: "pause" });
  }

  resume() {
    this.port.postMessage({ type: "resume" });
  }

  cut() {
    return this.#ask({ type: "begin", run: 0 });
  }

  #ask(message) {
    const answer = (this.number += 1);
    this.port.postMessage({ ...message, answer });
    return new Promise((resolve) => this.asked.set(answer, resolve));
  }

  #answered({ answer, position }) {
    this.asked.get(answer)(position);
    this.asked.delete(answer);
  }
}

// Each chunk a source of its own, one after the other. To pause, the whole context stands still.
class Scheduled {
  constructor(context, target, told) {
    Object.assign(this, { context, target, told, sources: new Set() });
    this.begin(0);
  }

  begin(run) {
    this.cut();
    Object.assign(this, { run, pieces: [], end: 0, heard: false });
  }

  push(samples) {
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.target);
    const earliest = this.context.currentTime + LEAD;
    const last = this.pieces.at(-1);
    const at = last ? Math.max(earliest, last.end) : earliest;
    if (last && at > last.end) this.told({ type: "gap", run: this.run, seconds: at - last.end });
    this.pieces.push({ at, from: this.end, end: at + buffer.duration });
    this.end += samples.length;
    source.onended = () => this.#ended(source);
    this.sources.add(source);
    source.start(at);
    this.#listen(samples, at);
    this.timer ??= setInterval(() => this.#report(true), REPORT);
  }

  async pause() {
    await this.context.suspend();
    this.#report(false);
    return this.#position();
  }

  resume() {
    this.context.resume();
  }

  async cut() {
    const position = this.pieces ? this.#position() : 0;
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.sources.clear();
    this.#rest();
    return position;
  }

  #listen(samples, at) {
    const first = this.heard ? -1 : samples.findIndex((sample) => Math.abs(sample) > AUDIBLE);
    if (first < 0) return;
    this.heard = true;
    this.told({ type: "first", run: this.run, time: at + first / RATE });
  }

  #ended(source) {
    this.sources.delete(source);
    if (this.sources.size) return;
    this.#rest();
    this.#report(false);
  }

  #rest() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  #report(playing) {
    this.told({ type: "report", run: this.run, position: this.#position(), time: this.context.currentTime, playing });
  }

  #position() {
    if (!this.sources.size) return this.end;
    const now = this.context.currentTime;
    const piece = this.pieces.findLast(({ at }) => at <= now);
    return piece ? piece.from + Math.round((Math.min(now, piece.end) - piece.at) * RATE) : 0;
  }
}

// To RATE, chunk after chunk without a seam: a cubic through each four samples.
export class Resampler {
  constructor(rate) {
    this.step = rate / RATE;
    this.kept = new Float32Array(1);
    this.at = 1; // place of the next sample, in samples of what is kept and comes
  }

  take(samples) {
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    const out = new Float32Array(Math.max(0, Math.ceil((all.length - 2 - this.at) / this.step)));
    for (let index = 0; index < out.length; index += 1) out[index] = between(all, this.at + index * this.step);
    this.at += out.length * this.step;
    const done = Math.min(all.length, Math.floor(this.at) - 1);
    this.kept = all.slice(done);
    this.at -= done;
    return out;
  }
}

function between(samples, place) {
  const index = Math.floor(place);
  const part = place - index;
  const [a, b, c, d] = samples.subarray(index - 1, index + 3);
  return b + (part / 2) * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)));
}
