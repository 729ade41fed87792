"""How long a run of many documents will still take.

A kind of file (its suffix) has a pace of its own, seconds a byte, learnt while the run goes on; a kind that
was not met yet is taken to be like the others. It does not know what is done with the documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FIRST = 3.0  # seconds after which there is something to say
_OVERHEAD = 2000  # bytes that reading takes as long as everything else about a file
_ENOUGH = 20 * _OVERHEAD  # bytes that a kind's own pace is known from
_SMOOTH = 10.0  # seconds in which a new estimate takes the place of the one before


@dataclass
class _Kind:
    """What is known of one kind of file."""

    left: int = 0  # bytes
    done: int = 0
    seconds: float = 0.0


class Estimate:
    """The seconds that are left. `now` is a clock that only goes forward."""

    def __init__(self, files: Iterable[tuple[str, int]], now: float) -> None:
        """files: kind and bytes of each."""
        self._kinds: dict[str, _Kind] = {}
        for kind, size in files:
            self._kind(kind).left += size + _OVERHEAD
        self._begun = self._last = self._at = now
        self._estimate: float | None = None

    def finished(self, files: Iterable[tuple[str, int]], now: float) -> None:
        """These are done, and took the time since the last ones."""
        done = [(self._kind(kind), size + _OVERHEAD) for kind, size in files]
        total = sum(size for _, size in done)
        for kind, size in done:
            kind.left -= size
            kind.done += size
            kind.seconds += (now - self._last) * size / total
        self._last = now

    def seconds(self, now: float) -> float | None:
        """None while it is too early to say."""
        if now - self._begun < FIRST:
            return None
        fresh = self._fresh()
        if fresh is None:
            return None
        if self._estimate is None:
            self._estimate = fresh
        else:
            passed = now - self._at
            aged = max(0.0, self._estimate - passed)
            self._estimate = aged + min(1.0, passed / _SMOOTH) * (fresh - aged)
        self._at = now
        return self._estimate

    def _fresh(self) -> float | None:
        kinds = list(self._kinds.values())
        done = sum(kind.done for kind in kinds)
        if not done:
            return None
        common = sum(kind.seconds for kind in kinds) / done
        # Until a kind has shown enough of itself, it also counts as what all are like.
        return sum(k.left * (k.seconds + _ENOUGH * common) / (k.done + _ENOUGH) for k in kinds)

    def _kind(self, name: str) -> _Kind:
        return self._kinds.setdefault(name, _Kind())


def in_words(seconds: float) -> str:
    """As one says it: a number that changes every second would promise too much."""
    if seconds < 45:
        return "less than a minute"
    if seconds < 90 * 60:
        minutes = max(1, round(seconds / 60))
        return "about a minute" if minutes == 1 else f"about {minutes} minutes"
    return f"about {round(seconds / 3600)} hours"
