"""Pages whose voice socket is played by the test, so that each message comes when the test says so."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Site
from ui.conversations import Passage, Turn

RATE = 24_000
LIVE = 1 << 20  # the first turn of a live conversation
ID = "a-conversation"
ANSWER = (
    "Two things:\n\n"
    "1. **The lamp room** closes at half past five in winter. [1]\n"
    "2. It was built in *1869*\n   by local masons [2]. 🙂 Ask *again*.\n"
)
CLOSES = "**The lamp room** closes at half past five in winter."
BUILT = "It was built in *1869*\n   by local masons [2]."
SOURCES = [
    Passage(
        "lighthouse.pdf",
        2,
        0,
        90,
        0.9,
        "Visitors may climb.\nThe lamp room closes at\nhalf past five in winter.",
    ),
    Passage("masons.txt", None, 0, 40, 0.4, "The local masons were paid in fish."),
]
SHOWN = [passage.__dict__ | {"pieces": [[passage.text, False]]} for passage in SOURCES]


class Server:
    """The other end of a page's voice socket."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.received: list[dict[str, Any]] = []
        page.route_web_socket("**/voice/ws", self._opened)

    def _opened(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(self._take)
        self.tell("key", key="the key")

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            return
        self.received.append(json.loads(message))
        if self.received[-1]["type"] == "talk":
            self.tell("talking", conversation=self.received[-1]["conversation"] or ID, notice="")
            self.state("listening")

    def tell(self, type: str, **message: object) -> None:
        self.socket.send(json.dumps({"type": type, **message}))

    def state(self, state: str) -> None:
        self.tell("state", state=state, hearing=False)

    def line(self, kind: str, of: int = LIVE, **line: object) -> None:
        self.tell("line", turn=of, line={"type": kind, **line})

    def asked(self, question: str = "When?", turn: int = LIVE) -> None:
        self.tell("asked", turn=turn, conversation=ID, question=question)
        self.line("turn", turn, id=7, spoken=True, replaces=False)
        self.line("sources", turn, sources=SHOWN)

    def done(self, answer: str = ANSWER, turn: int = LIVE, **timings: float) -> None:
        kept = Turn(
            "When?", answer, "done", answered=True, confidence=0.9, engine="played", timings=timings, id=7
        )
        self.line("done", turn, turn=kept.__dict__ | {"sources": SHOWN})

    def sound(self, turn: int = LIVE, seconds: float = 10.0) -> None:
        tone = 3000 * np.sin(2 * np.pi * 330 * np.arange(int(RATE * seconds)) / RATE)
        self.socket.send(struct.pack("<II", turn, RATE) + tone.astype("<i2").tobytes())

    def mark(self, stretch: str, kind: str = "sentence", turn: int = LIVE, text: str = ANSWER) -> None:
        """From now on this stretch of the answer is spoken."""
        start = units(text[: text.index(stretch)])
        self.tell("mark", turn=turn, at=0.0, start=start, end=start + units(stretch), kind=kind)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


class Stage:
    """Opens pages whose voice socket the test plays."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.errors: list[str] = []

    def open(self, script: str = "", **options: Any) -> tuple[Page, Server]:
        page = self.site.context(**options).new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if script:
            page.add_init_script(script)
        server = Server(page)
        return self.site.open(page), server

    def talking(self, script: str = "", **options: Any) -> tuple[Page, Server]:
        """A page in a live conversation."""
        page, server = self.open(script, **options)
        page.locator("#talk").click()
        expect(page.locator("#talk")).to_have_attribute("data-state", "listening")
        return page, server

    def speaking(self, answer: str = ANSWER, **options: Any) -> tuple[Page, Server]:
        """A page that speaks the answer."""
        page, server = self.talking(**options)
        server.asked()
        server.line("token", text=answer)
        server.done(answer, retrieval=0.01, total=0.2)
        server.sound()
        server.state("speaking")
        page.wait_for_function("window.parleyPlayer.state === 'playing'")
        return page, server


def highlighted(page: Page, name: str, text: str) -> None:
    """Wait until this text is highlighted under this name, and no other; its parts are joined by bars."""
    page.wait_for_function(
        """([name, text]) => {
             const ranges = CSS.highlights ? [...(CSS.highlights.get(name) ?? [])]
               : [...document.querySelectorAll(`mark.${name}`)];
             return ranges.map((one) => one.textContent ?? one.toString()).join("|") === text;
           }""",
        arg=[name, text],
    )
