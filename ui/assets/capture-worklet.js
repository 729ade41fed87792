// The microphone's sound in frames of int16 samples, behind a header that the page fills in.
// `processorOptions`: samples of a frame, and bytes of the header.

class CaptureProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { length, header } }) {
    super();
    this.header = header;
    this.samples = new Float32Array(length);
    this.filled = 0;
  }

  process([input]) {
    const [sound] = input;
    for (let at = 0; sound && at < sound.length; ) {
      const piece = sound.subarray(at, at + this.samples.length - this.filled);
      this.samples.set(piece, this.filled);
      this.filled += piece.length;
      at += piece.length;
      if (this.filled === this.samples.length) this.#send(currentTime + (at - this.filled) / sampleRate);
    }
    return true;
  }

  // `time`: of the frame's first sample.
  #send(time) {
    const frame = new ArrayBuffer(this.header + 2 * this.filled);
    const view = new DataView(frame, this.header);
    let sum = 0;
    this.samples.forEach((sample, at) => {
      sum += sample * sample;
      view.setInt16(2 * at, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
    });
    this.port.postMessage({ frame, time, level: Math.sqrt(sum / this.filled) }, [frame]);
    this.filled = 0;
  }
}

registerProcessor("parley-capture", CaptureProcessor);
