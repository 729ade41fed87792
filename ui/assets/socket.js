// The page's one WebSocket: sound and messages of the voice, frames of the microphone. It comes back by itself.
// It does not know what they mean: a message arrives as an event of its type, sound as "sound".
// Events of its own: "lost", "impossible" (no WebSocket can be opened, though the server answers), "slow".

import { api } from "./dom.js";

const RETRY = [500, 1000, 2000, 4000, 8000]; // milliseconds
const ASK_AFTER = 3; // times that the socket could not be opened
const SIGNED_OUT = 4401; // a close code of the server's
const STUCK = 5000; // milliseconds without a byte sent after which the connection counts as lost

class Socket extends EventTarget {
  constructor() {
    super();
    this.key = ""; // empty while there is no connection
    this.impossible = false;
    this.tries = 0;
    this.full = null; // since when frames are dropped
  }

  connect() {
    const url = new URL("/voice/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const raw = (this.raw = new WebSocket(url));
    raw.binaryType = "arraybuffer";
    raw.onmessage = ({ data }) => (typeof data === "string" ? this.#message(JSON.parse(data)) : this.#dispatch("sound", data));
    raw.onclose = ({ code }) => (code === SIGNED_OUT ? location.assign("/login") : this.#lost());
  }

  close() {
    this.raw.close();
  }

  tell(message) {
    if (this.raw?.readyState !== WebSocket.OPEN) return false;
    this.raw.send(JSON.stringify(message));
    return true;
  }

  // False: it is dropped, because more than `most` bytes wait to be sent.
  sendFrame(frame, most) {
    if (this.raw?.readyState !== WebSocket.OPEN) return false;
    if (this.raw.bufferedAmount + frame.byteLength > most) {
      this.#isFull();
      return false;
    }
    this.full = null;
    this.raw.send(frame);
    return true;
  }

  #isFull() {
    const waiting = this.raw.bufferedAmount;
    const now = performance.now();
    if (this.full === null) this.#dispatch("slow");
    if (waiting !== this.full?.waiting) this.full = { waiting, since: now };
    else if (now - this.full.since > STUCK) this.#giveUp();
  }

  // Closing in good order would wait for the other end.
  #giveUp() {
    this.raw.onclose = this.raw.onmessage = null;
    this.raw.close();
    this.#lost();
  }

  #lost() {
    this.key = "";
    this.full = null;
    this.#dispatch("lost");
    setTimeout(() => this.connect(), RETRY[Math.min(this.tries, RETRY.length - 1)]);
    this.tries += 1;
    if (this.tries % ASK_AFTER === 0) this.#ask();
  }

  // A refused socket does not say why; a request does, and leads to the sign-in page if that is missing.
  async #ask() {
    try {
      await api("/api/state");
    } catch {
      return; // the server is gone, and with it more than the socket; the page says so elsewhere
    }
    if (this.key || this.impossible) return;
    this.impossible = true;
    this.#dispatch("impossible");
  }

  #message(message) {
    if (message.type === "key") {
      this.key = message.key;
      this.tries = 0;
      this.impossible = false;
    }
    this.#dispatch(message.type, message);
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const socket = new Socket();
