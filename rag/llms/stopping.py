"""Texts that are watched for in a stream: it is cut before the first of them. It does not know the model."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Cuts a text that comes in pieces at the first stop string.

    It holds back what may be the beginning of one, and nothing else.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._pending = ""
        self.found = False

    def feed(self, text: str) -> str:
        """What is sure to be said now; `found` is set once a stop string was seen."""
        if self.found:
            return ""
        self._pending += text
        at = min((i for stop in self._stops if (i := self._pending.find(stop)) >= 0), default=-1)
        self.found = at >= 0
        cut = at if self.found else len(self._pending) - beginning(self._pending, self._stops)
        sure, self._pending = self._pending[:cut], "" if self.found else self._pending[cut:]
        return sure

    def rest(self) -> str:
        """What was held back, when the stream has ended."""
        return self._pending


def beginning(text: str, marks: Sequence[str]) -> int:
    """Characters at the end of `text` that one of `marks` may begin with, the whole mark excepted."""
    longest = max((len(mark) for mark in marks), default=0)
    for size in range(min(len(text), longest - 1), 0, -1):
        if any(mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
