"""The words of an utterance while it is spoken, from its first sample on.

It does not know what they lead to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from speech.audio import RATE, Samples
from speech.outside import Said, Words
from speech.vad import FRAME

KEPT = 3.0  # seconds of sound that are kept for words which began before they were noticed


class WordsWhileSpoken:
    """One utterance after the other.

    Args:
        opened: starts an utterance's words, which are told as they become known, from any thread.
        do: does something when it is its turn.
        on_text: the words so far; called when it is its turn.
    """

    def __init__(
        self,
        opened: Callable[[Callable[[str], None]], Words | None],
        do: Callable[[Callable[[], None]], None],
        on_text: Callable[[str], None],
    ) -> None:
        self._opened, self._do, self._on_text = opened, do, on_text
        self._recent: deque[Samples] = deque(maxlen=round(KEPT * RATE / FRAME))
        self._live: Words | None = None
        self._from_begin = False  # it hears the utterance from its first sample on

    @property
    def known(self) -> bool:
        """Whether there are any: not every recogniser has them."""
        return self._live is not None

    def feed(self, frame: Samples) -> None:
        self._recent.append(frame)
        if self._live is not None:
            self._live.feed(frame)

    def begin(self, uttered: int) -> None:
        """Of the utterance that began `uttered` samples ago; nothing changes once it has begun."""
        if self._live is not None:
            return
        told: list[Words | None] = []

        def on_text(text: str) -> None:
            self._do(lambda: self._told(told[0] if told else None, text))

        live = self._opened(on_text)
        told.append(live)
        self._live = live
        if live is not None:
            kept = np.concatenate(self._recent)
            self._from_begin = uttered <= len(kept)
            live.feed(kept[-uttered:])

    def _told(self, source: Words | None, text: str) -> None:
        if source is self._live and text:
            self._on_text(text)

    def transcript(self) -> Callable[[Callable[[], bool]], Said | None] | None:
        """See `Words.transcript`; None also where the beginning of the utterance was missed."""
        return self._live.transcript() if self._live is not None and self._from_begin else None

    def end(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.close()

    def forget(self) -> None:
        """Nothing that was heard until now belongs to an utterance to come."""
        self._recent.clear()
