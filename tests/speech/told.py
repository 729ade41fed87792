"""An engine of live words that does what a test wants, and who is told them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from speech.asr import ShouldStop
from speech.audio import RATE, Samples
from speech.live import LiveTranscript

FRAME = 512
SECOND: Samples = np.zeros(RATE, np.float32)


class Told:
    """What `on_text` was given, and a way to wait for it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._news = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._news:
            self.texts.append(text)
            self._news.notify_all()

    def until(self, enough: Callable[[list[str]], bool]) -> list[str]:
        with self._news:
            assert self._news.wait_for(lambda: enough(self.texts), 20), self.texts
            return list(self.texts)


class Scripted:
    """A `Live` that says how many samples it has heard, or does what a test wants."""

    def __init__(self, hear: Callable[[ShouldStop], None] = lambda should_stop: None) -> None:
        self.heard, self.closed = 0, threading.Event()
        self._hear = hear

    def hear(self, samples: Samples, should_stop: ShouldStop) -> str | None:
        self._hear(should_stop)
        self.heard += len(samples)
        return f"{self.heard}"

    def close(self) -> None:
        self.closed.set()


def ended(live: LiveTranscript) -> bool:
    thread: threading.Thread = vars(live)["_thread"]
    thread.join(5)
    return not thread.is_alive()
