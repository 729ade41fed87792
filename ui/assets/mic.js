// Push to record: press, speak, press again; what was said comes back as text in the question.
// It goes over HTTP: the way to speak where no live conversation is possible.

import { listening, send, setTranscript, stop as stopAnswer } from "./chat.js";
import { announce, api, byId, label, toast } from "./dom.js";
import { askForMicrophone } from "./microphone.js";
import { settings } from "./settings.js";
import { talk } from "./talk.js";

const LONGEST = 5 * 60 * 1000; // milliseconds
const state = { phase: "idle", recorder: null };

export function mountMic() {
  phase("idle");
  byId("mic").addEventListener("click", press);
  talk.addEventListener("change", draw);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.phase === "recording") cancel();
  });
}

function phase(name) {
  state.phase = name;
  byId("talk").disabled = name !== "idle"; // one of them has the microphone
  draw();
}

function draw() {
  const name = state.phase;
  const mic = byId("mic");
  mic.dataset.state = name;
  mic.setAttribute("aria-pressed", String(name === "recording"));
  mic.disabled = name === "writing" || talk.on; // while a conversation goes on, it has the microphone
  if (name === "recording") label(mic, "stop", "Done", "Stop recording");
  else if (name === "writing") label(mic, "mic", "Writing…", "Writing down what you said");
  else label(mic, "record", "Record", talk.on ? "Record: not while a conversation goes on" : "Record one question");
}

function press() {
  if (state.phase === "recording") state.recorder.stop();
  else if (state.phase === "idle") record();
}

function cancel() {
  state.recorder.ondataavailable = null;
  state.cancelled = true;
  state.recorder.stop();
}

async function record() {
  stopAnswer(); // the microphone would hear it
  phase("opening");
  let stream;
  try {
    stream = await askForMicrophone("Record");
  } catch (error) {
    phase("idle");
    return toast(error.message);
  }
  const pieces = [];
  try {
    const recorder = (state.recorder = new MediaRecorder(stream));
    state.cancelled = false;
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.onstop = () => {
      release(stream);
      if (state.cancelled) return phase("idle");
      return write(new Blob(pieces, { type: recorder.mimeType }));
    };
    recorder.start();
    setTimeout(() => end(recorder), LONGEST);
  } catch (error) {
    release(stream);
    phase("idle");
    return toast(`This browser cannot record (${error.name}). Type the question, or use another browser.`);
  }
  phase("recording");
  announce("Recording. Press again when you have spoken.");
}

function release(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

function end(recorder) {
  if (recorder.state !== "recording") return;
  recorder.stop();
  toast("A recording ends after five minutes. What you said until now is being written down.");
}

async function write(recording) {
  phase("writing");
  const begun = performance.now();
  const abort = new AbortController();
  listening(() => abort.abort());
  try {
    const transcript = await api("/api/transcribe", { body: recording, signal: abort.signal });
    listening(null); // sending the question stops whatever can be stopped
    if (!transcript.text) return toast("I heard nothing. Come closer to the microphone and try again.");
    setTranscript(transcript.text, (performance.now() - begun) / 1000);
    announce(`You said: ${transcript.text}`);
    if (settings.sendAtOnce) send();
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message);
  } finally {
    listening(null);
    phase("idle");
  }
}
