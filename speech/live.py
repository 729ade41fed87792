"""Words that appear while they are spoken. It does not know who speaks, nor how the words are shown.

An engine that can do it lends a `Live` (speech.asr) for one utterance; here it gets a thread of its own, and
what it makes of the sound is calmed down to a text that hardly changes once it is shown. What is asked and
answered is the engine's last word, where that is as good as a transcript of the whole utterance; where it is
not, that is made afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial

import numpy as np

from speech.asr import FinalLive, Live, LiveTranscriber, Recognised, ShouldStop, Stopped, TooSlow, Transcriber
from speech.audio import Samples

logger = logging.getLogger(__name__)

_LOOSE = 3  # words at the end of what is shown that may still change
_PATIENCE = 4.0  # seconds; an engine that takes longer at once is of no use here
_LOOK = 0.05  # seconds after which who waits for a transcript looks whether it is still wanted

# Scripts without spaces are taken character by character.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_GAP = re.compile(rf"(?<=[^\s{_UNSPACED}]) (?=[{_UNSPACED}])|(?<=[{_UNSPACED}]) ")


def open_live(
    transcriber: Transcriber,
    on_text: Callable[[str], None],
    *,
    language: str | None = None,
    hint: str | None = None,
) -> LiveTranscript | None:
    """Words of one utterance while it is spoken; None where the engine cannot do it in time.

    `on_text` gets the text so far whenever it has changed, from a thread of its own.
    """
    live = transcriber.live(language, hint) if isinstance(transcriber, LiveTranscriber) else None
    return LiveTranscript(live, on_text) if live else None


_Asked = Future[Recognised | None]


class LiveTranscript:
    """One utterance. `feed` and `close` are quick; all are for any thread."""

    def __init__(self, live: Live, on_text: Callable[[str], None]) -> None:
        self._live, self._on_text = live, on_text
        self._waiting: list[Samples | _Asked] = []
        self._asked: list[_Asked] = []  # not answered yet, whether waiting or being worked at
        self._arrived = threading.Condition()
        self._telling = threading.RLock()  # one may close from within `on_text`
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="live words", daemon=True)
        self._thread.start()

    def feed(self, samples: Samples) -> None:
        """The next samples (n,) at 16 kHz."""
        with self._arrived:
            if not self._closed:
                self._waiting.append(np.array(samples, np.float32))
                self._arrived.notify()

    def transcript(self) -> Callable[[ShouldStop], Recognised | None] | None:
        """Ask for all that was fed so far; None where a transcript of the recording is better.

        What is returned waits for it, also when this is closed meanwhile. It returns None if nothing can be
        had, and raises `Stopped` soon after its `should_stop` is true.
        """
        asked: _Asked = Future()
        with self._arrived:
            if not isinstance(self._live, FinalLive) or self._closed:
                return None
            self._waiting.append(asked)
            self._asked.append(asked)
            self._arrived.notify()
        return partial(_wait, asked)

    def close(self) -> None:
        """The utterance has ended. An `on_text` that is running is waited for; none comes after it."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        with self._telling:
            return

    def _run(self) -> None:
        stable, shown = StableText(), ""
        try:
            while (item := self._next()) is not None:
                if isinstance(item, Future):
                    _answer(item, self._live.transcript() if isinstance(self._live, FinalLive) else None)
                    continue
                began = time.monotonic()
                heard = self._live.hear(item, self._is_unwanted)
                if time.monotonic() - began > _PATIENCE:
                    raise TooSlow(f"it took {time.monotonic() - began:.1f} s at once")
                if heard is not None and (text := stable.update(heard)) != shown:
                    shown = text
                    self._tell(text)
        except Stopped:
            pass
        except TooSlow as reason:
            logger.debug("no words before the end of this utterance: %s", reason)
        except Exception:
            logger.exception("no words before the end of this utterance")
        finally:
            self.close()
            self._live.close()
            for asked in self._asked:
                _answer(asked, None)

    def _next(self) -> Samples | _Asked | None:
        """Somebody who asks, or all the sound before; None when nobody wants anything any more."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting or self._closed)
            if self._is_unwanted():
                return None
            sound: list[Samples] = []
            while self._waiting:
                first = self._waiting[0]
                if isinstance(first, Future):
                    break
                sound.append(first)
                del self._waiting[0]
            if sound:
                return np.concatenate(sound)
            return self._waiting.pop(0)

    def _tell(self, text: str) -> None:
        with self._telling:
            if not self._closed:
                self._on_text(text)

    def _is_unwanted(self) -> bool:
        return self._closed and all(asked.done() for asked in self._asked)


def _wait(asked: _Asked, should_stop: ShouldStop) -> Recognised | None:
    while True:
        try:
            return asked.result(_LOOK)
        except TimeoutError:
            if should_stop():
                asked.cancel()
                raise Stopped from None


def _answer(asked: _Asked, with_: Recognised | None) -> None:
    with contextlib.suppress(InvalidStateError):  # nobody waits any more
        asked.set_result(with_)


class StableText:
    """What is shown of a text that is guessed again and again: only its last three words ever change.

    Beyond what two guesses in a row have in common at most three words are shown, for a guess that nothing
    confirms is often wrong. (Local agreement: Macháček et al. 2023, https://arxiv.org/abs/2307.14743.)
    """

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._before: list[str] = []

    def update(self, hypothesis: str) -> str:
        """The text to show, now that `hypothesis` is the guess at all that was said."""
        words = _WORD.findall(hypothesis)
        fixed = self._shown[: max(0, len(self._shown) - _LOOSE)]
        agreed = _common(words, self._before)
        start = _place(fixed, words)
        self._before = words
        self._shown = fixed + words[start : max(start, agreed) + _LOOSE]
        return _GAP.sub("", " ".join(self._shown))


def _common(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))


def _place(fixed: list[str], words: list[str]) -> int:
    """Where in `words` that begins which follows `fixed`: after the words most like it, by edit distance."""
    costs = list(range(len(words) + 1))
    for row, word in enumerate(fixed, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(words, 1):
            cheapest = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (word != other))
            diagonal, costs[column] = costs[column], cheapest
    return min(range(len(costs)), key=lambda column: (costs[column], abs(column - len(fixed))))
