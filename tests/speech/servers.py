"""Real HTTP servers on loopback that behave like the voice services, well or badly."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np

from speech.audio import Samples, to_int16

Reply = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server(ThreadingHTTPServer):
    """Answers every POST by `reply`; keeps the bodies it was sent."""

    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.bodies: list[bytes] = []
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        try:
            self.server.reply(self, body)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client had enough

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(reply: Reply) -> Iterator[Server]:
    server = Server(reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


def send(
    handler: BaseHTTPRequestHandler, body: bytes, kind: str = "application/json", status: int = 200
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hangs(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    assert isinstance(handler.server, Server)
    handler.server.released.wait(30)


def drips(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    """A byte now and then, for ever: no read of it times out."""
    assert isinstance(handler.server, Server)
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b" ")


def tone(seconds: float, rate: int = 24_000, level: float = 0.05) -> Samples:
    """A quiet hum with silence around it: what a voice is to the code that levels and trims."""
    time = np.arange(int(seconds * rate)) / rate
    hum = level * np.sin(2 * np.pi * 180 * time) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
    quiet = np.zeros(int(0.4 * rate))
    return np.concatenate([quiet, hum, quiet]).astype(np.float32)


def mp3(samples: Samples, rate: int = 24_000) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream: Any = container.add_stream("mp3", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(to_int16(samples).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        for some in (frame, None):
            container.mux(stream.encode(some))
    return buffer.getvalue()


def google(sound: bytes) -> bytes:
    """An answer in the form of Google Translate's batchexecute call."""
    inner = json.dumps([base64.b64encode(sound).decode()])
    outer = json.dumps([["wrb.fr", "jQ1olc", inner, None, None, None, "generic"]], separators=(",", ":"))
    return f')]}}\'\n\n{len(outer)}\n{outer}\n25\n[["e",4]]\n'.encode()


def google_voice(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, google(mp3(tone(1.2))))


def speech_server(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    sound = to_int16(tone(1.2)).astype("<i2").tobytes()
    assert json.loads(body)["response_format"] == "pcm"
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/pcm")
    handler.end_headers()
    for at in range(0, len(sound), 4095):  # odd, so that samples are torn
        handler.wfile.write(sound[at : at + 4095])
