"""What was sent to a loudspeaker elsewhere, and how far it was played: the text heard, the sound to expect.

It does not know who plays it, nor how the position comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from speech.audio import RATE as MICROPHONE_RATE
from speech.audio import AudioChunk, Samples
from speech.polish import RATE

__all__ = ["RATE", "Loudspeaker"]

_REMEMBERED = 8 * MICROPHONE_RATE  # samples of the sound to expect, which is at most so far behind
_BEGUN = 0.08  # seconds of a word that must have been played for it to count as heard
_SLACK = RATE // 20  # a page that resamples may count a little otherwise


class _Stretch(NamedTuple):
    """From sample `at` on, this stretch of the text is spoken."""

    at: int
    start: int
    end: int
    kind: str


class Loudspeaker:
    """One turn's sound, at `RATE`. For one thread at a time, but for `window`."""

    def __init__(self) -> None:
        self.sent = 0  # samples
        self.played = 0  # samples
        self._stretches: list[_Stretch] = []
        self._resampler: Any = None
        self._expected = (
            0,
            np.empty(0, np.float32),
        )  # at 16 kHz: samples not kept any more, the rest

    @property
    def waiting(self) -> int:
        """Samples that were sent and not played."""
        return self.sent - self.played

    def add(self, chunk: AudioChunk) -> int:
        """A chunk is sent; the sample of the turn at which it begins."""
        begin = self.sent
        self.sent += round(len(chunk.samples) * RATE / chunk.rate)
        for mark in chunk.marks:
            self._stretches.append(_Stretch(begin + round(mark.at * RATE), mark.start, mark.end, mark.kind))
        self._expect(chunk)
        return begin

    def played_to(self, samples: int) -> bool:
        """It has been played so far; whether that is news."""
        samples = min(samples, self.sent)
        if self.sent - samples <= _SLACK:
            samples = self.sent
        news = samples > self.played
        self.played = max(self.played, samples)
        return news

    def heard(self, text: str) -> int:
        """How many characters of `text` were heard: up to the last word that was begun."""
        until = self.played - round(_BEGUN * RATE)
        begun = [stretch for stretch in self._stretches if stretch.at <= until]
        words = [stretch for stretch in begun if stretch.kind == "word"]
        sentences = [stretch for stretch in begun if stretch.kind == "sentence"]
        if not sentences:
            return 0
        last = sentences[-1]
        if words and words[-1].at >= last.at:
            return max(words[-1].end, last.start)
        return self._within(last, text)

    def _within(self, sentence: _Stretch, text: str) -> int:
        """A voice without word events: in proportion, rounded down to a word."""
        following = [stretch.at for stretch in self._stretches if stretch.at > sentence.at]
        ends = min(following, default=self.sent)
        share = (self.played - sentence.at) / max(1, ends - sentence.at)
        if share >= 1:
            return sentence.end
        most = sentence.start + int(share * (sentence.end - sentence.start))
        word_ends = (match.end() for match in re.finditer(r"\S+", text[: sentence.end]))
        return max((end for end in word_ends if end <= most), default=sentence.start)

    def window(self, position: int, count: int) -> Samples:
        """What it sounds like, `count` samples at 16 kHz from sample `position` on; silence where unknown."""
        dropped, expected = self._expected
        begin = position * MICROPHONE_RATE // RATE - dropped
        if begin < 0 or begin >= len(expected):
            return np.zeros(count, np.float32)
        found = expected[begin : begin + count]
        return np.pad(found, (0, count - len(found)))

    def _expect(self, chunk: AudioChunk) -> None:
        dropped, expected = self._expected
        known = np.concatenate([expected, *self._resampled(chunk)])
        surplus = max(0, len(known) - _REMEMBERED)
        self._expected = (dropped + surplus, known[surplus:])

    def _resampled(self, chunk: AudioChunk) -> Iterator[Samples]:
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=MICROPHONE_RATE)
        if not len(chunk.samples):
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(chunk.samples.reshape(1, -1), np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = chunk.rate
        for out in self._resampler.resample(frame):
            yield out.to_ndarray().reshape(-1)
