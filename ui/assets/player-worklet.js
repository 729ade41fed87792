// Plays sound sample after sample, in the audio thread: what it is told takes effect with the next 128 samples.
// It knows nothing of turns: `run` is a number that it gives back, so that nobody mixes up what was before.

const FADE = Math.round(0.004 * sampleRate); // samples in which a jump of the signal is smoothed
const REPORT = Math.max(1, Math.round((0.016 * sampleRate) / 128)); // render quanta between two reports
const AUDIBLE = 0.002; // of full scale

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.last = 0; // the sample that went out last
    this.jump = 0; // what is left to smooth, and in how many samples
    this.left = 0;
    this.sounding = this.broken = false;
    this.quanta = 0;
    this.begin({ run: 0 });
    const told = { begin: (data) => this.begin(data), push: (data) => this.push(data), pause: (data) => this.pause(data), resume: () => this.resume() };
    this.port.onmessage = ({ data }) => told[data.type](data);
  }

  // From now on another sound; what is held of the one before is dropped. `answer`: wants to know how far that one was.
  begin({ run, answer }) {
    if (answer) this.port.postMessage({ type: "answer", answer, position: this.position });
    this.run = run;
    this.chunks = [];
    this.offset = 0; // in the first chunk
    this.position = 0; // samples played
    this.gap = 0; // samples of silence since it ran dry
    this.heard = this.paused = false;
    this.broken = true;
  }

  push({ samples }) {
    this.chunks.push(samples);
  }

  pause({ answer }) {
    this.paused = true;
    if (this.sounding) this.#report(currentTime, false);
    this.port.postMessage({ type: "answer", answer, position: this.position });
  }

  resume() {
    this.paused = false;
  }

  process(_, [[out]]) {
    const count = this.paused ? 0 : this.#fill(out);
    if (count && !this.heard) this.#listen(out, count);
    this.#count(count, out.length);
    this.#smooth(out, count);
    return true;
  }

  // How many samples there were; the rest of `out` is silence.
  #fill(out) {
    let filled = 0;
    while (filled < out.length && this.chunks.length) {
      const chunk = this.chunks[0];
      const piece = chunk.subarray(this.offset, this.offset + out.length - filled);
      out.set(piece, filled);
      filled += piece.length;
      this.offset += piece.length;
      if (this.offset < chunk.length) break;
      this.chunks.shift();
      this.offset = 0;
    }
    return filled;
  }

  #listen(out, count) {
    const at = out.subarray(0, count).findIndex((sample) => Math.abs(sample) > AUDIBLE);
    if (at < 0) return;
    this.heard = true;
    this.port.postMessage({ type: "first", run: this.run, time: currentTime + at / sampleRate });
  }

  #count(count, length) {
    this.quanta += 1;
    if (count && (!this.sounding || this.broken || this.quanta % REPORT === 0)) this.#report(currentTime, true);
    if (count && this.gap) this.port.postMessage({ type: "gap", run: this.run, seconds: this.gap / sampleRate });
    if (count) this.gap = 0;
    this.position += count;
    if (!this.paused && this.position) this.gap += length - count;
    if (count ? count < length : this.sounding && !this.paused && !this.broken) this.#report(currentTime + count / sampleRate, false);
  }

  #report(time, playing) {
    this.port.postMessage({ type: "report", run: this.run, position: this.position, time, playing });
  }

  // Where the signal jumps (cut, paused, resumed, run dry) the difference fades out: no click, and no sample of what was cut.
  #smooth(out, count) {
    for (let at = 0; at < out.length; at += 1) {
      const sounding = at < count;
      if (sounding !== this.sounding || this.broken) {
        this.jump = this.last - out[at];
        this.left = FADE;
        this.sounding = sounding;
        this.broken = false;
      }
      if (this.left) {
        out[at] += (this.jump * this.left) / FADE;
        this.left -= 1;
      }
      this.last = out[at];
    }
  }
}

registerProcessor("parley-player", PlayerProcessor);
