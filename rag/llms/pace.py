"""How long passes take on this machine, learnt from those that were made.

It answers two questions: whether it pays to check guesses, and how long somebody who waits will wait. It does
not know what a pass computes.
"""

from __future__ import annotations

from collections.abc import Sequence

OFTEN = 0.2  # weight of the newest observation
AGAIN = 500  # passes after which all is learnt anew: one slow pass must not count for ever
WIDEST = 64  # tokens of a pass that is still counted as one that only writes


class Pace:
    """Seconds of passes that only write, by their tokens, and of one token of a prompt."""

    def __init__(self) -> None:
        self._writing: dict[int, float] = {}
        self._reading: float | None = None
        self._passes = 0

    def saw(self, seconds: float, *, read: int, written: int) -> None:
        """A pass over `read` tokens of prompts and `written` tokens of answers, guesses among them."""
        self._passes += 1
        if self._passes % AGAIN == 0:
            self._writing.clear()
        if not read and written <= WIDEST:
            self._writing[written] = _mixed(self._writing.get(written), seconds)
        elif read:
            own = max(seconds - self.writing(written), seconds / 4)
            self._reading = _mixed(self._reading, own / read, min(1.0, read / 256))

    def writing(self, tokens: int) -> float:
        """Seconds of a pass that writes so many; by the nearest smaller one that was seen."""
        if not tokens or not self._writing:
            return 0.0
        nearest = max((seen for seen in self._writing if seen <= tokens), default=min(self._writing))
        return self._writing[nearest]

    def reading(self, tokens: int) -> float | None:
        """Seconds until so many tokens of prompts are read; None as long as none was."""
        return None if self._reading is None else tokens * self._reading

    def best(self, writers: int, gains: Sequence[float]) -> int:
        """How many guesses to check: the most tokens a second.

        gains[n]: the tokens that the first n guesses of all are expected to be worth; gains[0] is 0.
        """
        if not writers or not self._writing:
            return 0
        speeds = [(writers + gain) / self.writing(writers + n) for n, gain in enumerate(gains)]
        return max(range(len(speeds)), key=speeds.__getitem__)


def _mixed(old: float | None, new: float, weight: float = 1.0) -> float:
    return new if old is None else old + OFTEN * weight * (new - old)
