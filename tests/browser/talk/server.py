"""The server's end of a page's socket, played by the test, and what tests of it have in common."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from playwright.sync_api import Page, WebSocketRoute, expect

RATE = 24_000
TURN = 1 << 20
HEADER = struct.Struct("<III")
TALKING = {"type": "talking", "conversation": "c1", "notice": ""}


class Server:
    """The server's end of a page's socket."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.connections: list[WebSocketRoute] = []
        self.open = True
        page.route_web_socket(re.compile("/voice/ws$"), self._connected)

    def _connected(self, socket: WebSocketRoute) -> None:
        if not self.open:
            socket.close(code=1011)
            return
        self.connections.append(socket)
        socket.on_message(self._got)
        self.tell(type="key", key=f"key {len(self.connections)}")

    def _got(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.frames.append(message)
        else:
            self.messages.append(json.loads(message))

    def tell(self, **message: object) -> None:
        self.connections[-1].send(json.dumps(message))

    def sound(self, samples: np.ndarray, turn: int = TURN, rate: int = RATE) -> None:
        """Samples as int16, in chunks of a tenth of a second."""
        step = rate // 10
        for at in range(0, len(samples), step):
            header = struct.pack("<II", turn, rate)
            self.connections[-1].send(header + samples[at : at + step].astype("<i2").tobytes())

    def until(self, wanted: Callable[[], object]) -> None:
        """Wait for what only the page's messages can bring about."""
        for _ in range(400):
            if wanted():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"it did not happen; the page said {self.messages[-5:]}")

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        self.until(lambda: len(self.said(kind)) >= count)
        return self.said(kind)[count - 1]


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("body.parley-ready").wait_for()


def begin(server: Server, **state: object) -> None:
    """Press Talk, and answer as the server does."""
    server.page.locator("#talk").click()
    server.wait("talk")
    server.tell(**TALKING)
    server.tell(**({"type": "state", "state": "listening", "hearing": False} | state))
    expect(server.page.locator("#talk")).not_to_have_attribute("data-state", "idle")


def header(frame: bytes) -> tuple[int, int, int]:
    number, turn, samples = HEADER.unpack_from(frame)
    return number, turn, samples


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    """Samples that tell by themselves where they belong; the first is zero."""
    samples = np.random.default_rng(seed).integers(-9_000, 9_000, round(seconds * RATE)) | 1
    samples[0] = 0
    return samples


def begin_turn(page: Page, turn: int = TURN) -> None:
    page.evaluate("turn => window.parleyPlayer.begin(turn)", turn)


def play(server: Server, samples: np.ndarray, turn: int = TURN, rate: int = RATE) -> None:
    """Let the sound go on only when all of it has come, however slow this machine is at the moment."""
    page = server.page
    page.wait_for_function("window.parleyPlayer.output")
    page.evaluate("window.parleyPlayer.output.pause()")
    server.sound(samples, turn, rate)
    wanted = len(samples) * RATE / rate - 5
    page.wait_for_function("count => window.parleyPlayer.received >= count", arg=wanted)
    page.evaluate("window.parleyPlayer.output.resume()")
