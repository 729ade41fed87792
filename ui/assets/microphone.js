// The microphone: asking for it, its sound in frames, and in plain words why there is none and what to do.
// It does not know what the sound is for. Events: "frame" {frame, time, level}, "ended" and "silent" with a reason.

const RATE = 16000; // samples per second that are wanted
const FRAME = 0.032; // seconds
export const HEADER = 12; // bytes before a frame's samples, for the page to fill in
const WISHES = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

// An Error whose message is for people. `name` as the browser gave it, or "Insecure", "Unknown".
export class NoMicrophone extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

// The stream of the microphone. `button`: what to press again.
export async function askForMicrophone(button) {
  if (!window.isSecureContext) throw new NoMicrophone("Insecure", insecure());
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new NoMicrophone("Unknown", "This browser gives pages no microphone. Open Parley in a current Firefox, Chrome, Edge or Safari; typing works here.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: WISHES });
  } catch (error) {
    throw new NoMicrophone(error.name, `${refused(error)} Then press ${button} again.`);
  }
}

function insecure() {
  const { port, hostname } = location;
  const at = (scheme, host) => `${scheme}://${host}${port ? `:${port}` : ""}`;
  return `Browsers give a page the microphone only over https or on the machine itself. Start Parley with PARLEY_HTTPS=auto and open ${at("https", hostname)}, or open ${at("http", "localhost")} on the machine where Parley runs. Typing works here, too.`;
}

function refused({ name, message }) {
  if (name === "NotAllowedError" || name === "SecurityError") return notAllowed(message);
  if (name === "NotFoundError" || name === "OverconstrainedError") return "There is no microphone. Connect one.";
  if (name === "NotReadableError" || name === "AbortError") return "The microphone gives no sound: another program uses it, or the system holds it back. Close that program.";
  return `The microphone cannot be used (${name}). Check it in the system's settings.`;
}

function notAllowed(message) {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  if (policy?.allowsFeature("microphone") === false || /permissions? policy/i.test(message)) {
    return "A Permissions-Policy forbids this page the microphone: it comes from the page around this one, or from a proxy. Open Parley in a tab of its own, or let the proxy send “microphone=(self)”.";
  }
  if (/system/i.test(message)) return "The system does not let this browser use the microphone. Allow it in the system's privacy settings.";
  if (/dismissed/i.test(message)) return "The browser's question about the microphone was closed without an answer. Choose Allow.";
  return "The browser may not use the microphone. Allow it in the address bar's site settings.";
}

export class Microphone extends EventTarget {
  constructor(stream) {
    super();
    this.stream = stream;
    [this.track] = stream.getAudioTracks();
    this.rate = 0;
  }

  static async open(button) {
    const microphone = new Microphone(await askForMicrophone(button));
    try {
      await microphone.#listen();
    } catch (error) {
      microphone.close();
      throw new NoMicrophone(error.name, `This browser cannot take the microphone's sound (${error.name}). Reload the page, or use another browser; Record and typing work.`);
    }
    return microphone;
  }

  async #listen() {
    const source = this.#source();
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule("/parley/capture-worklet.js");
    const length = Math.round(FRAME * this.rate);
    const node = new AudioWorkletNode(this.context, "parley-capture", { channelCount: 1, channelCountMode: "explicit", processorOptions: { length, header: HEADER } });
    node.port.onmessage = ({ data }) => this.#tell("frame", data);
    source.connect(node).connect(this.context.destination); // which plays nothing, but lets it run
    this.track.onended = () => this.#ended();
    this.track.onmute = () => this.#tell("silent", "The microphone has gone silent: the system, a switch on it, or another call has muted it. Unmute it there.");
    await this.context.resume();
  }

  // Some browsers take a microphone only at the device's own rate.
  #source() {
    try {
      this.context = new AudioContext({ sampleRate: RATE });
      return this.context.createMediaStreamSource(this.stream);
    } catch {
      this.context?.close();
      this.context = new AudioContext();
      return this.context.createMediaStreamSource(this.stream);
    }
  }

  #ended() {
    this.close();
    this.#tell("ended", "The microphone was taken away: it was unplugged, or its permission was withdrawn. Connect or allow it, then press Talk again.");
  }

  get now() {
    return this.context.currentTime;
  }

  // Off: it gives silence, and browsers show that nothing is recorded.
  set on(on) {
    this.track.enabled = on;
  }

  close() {
    this.track.onended = this.track.onmute = null;
    this.stream.getTracks().forEach((track) => track.stop());
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
