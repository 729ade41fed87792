"""When a voice over an answer that is being played counts as an interruption.

About `minimum` seconds of speech do, within a slightly longer stretch, so that a stop consonant does not
begin the count anew. A frame is speech where Silero says so, or where it is nearly as loud as those beside
it: Silero takes a while to be sure, longest of an "s" or an "h". A sound that hardly changes its colour, as
"mm-hm" and "uh-huh" do, is a listener's murmur until it has lasted longer than those.

It knows neither words nor whose voice it is, and it takes for granted that an answer is being played: feed it
only then.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, Samples

FRAME = 512  # samples of a frame, as speech.vad takes them
BOUNDS = (0.2, 1.0)  # seconds that `minimum` may be

_SPEECH = 0.3  # Silero's probability from which on a frame is speech
_LOUD = 0.01  # share of the power of those frames that makes speech of others beside them
_BEFORE = 4  # frames at most that Silero is late
_SURE = 0.4  # share of the speech that has to be so by Silero
_SLACK = 4  # frames without speech that the stretch has room for
_LATE = 3  # frames that are not waited for, since the begin of speech is seldom clear
_MURMUR = 0.65  # seconds; what stays as even for longer is no murmur
_EVEN = 3.0  # dB that the shape of a murmur's spectrum varies by at most
_QUIET = 1e-6  # power below which nobody speaks (-60 dBFS)
_LEFT = 10 ** (-35 / 10)  # share of the answer's power that an echo canceller may leave
_ECHO = 13  # frames in which an echo comes back, 0.4 s
_EDGES = (100, 400, 700, 1000, 1500, 2200, 3200, 4500, 7800)  # of the bands of a spectrum's shape, Hz

Power = NDArray[np.float32]


@dataclass(frozen=True)
class _Heard:
    """A frame that may be speech."""

    sure: bool  # Silero says so
    bands: Power  # (8,)
    power: float


class Bargein:
    """One microphone, while an answer is played; for one thread at a time.

    Args:
        minimum: seconds of speech, 0.2 to 1, that count as an interruption.
    """

    def __init__(self, minimum: float = 0.4) -> None:
        if not BOUNDS[0] <= minimum <= BOUNDS[1]:
            raise ValueError(f"an interruption takes {BOUNDS[0]} to {BOUNDS[1]} s of speech, not {minimum}")
        self._enough = _frames(minimum)
        self._surely = max(self._enough, _frames(_MURMUR))
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._heard: deque[_Heard | None] = deque(maxlen=self._surely + _SLACK)  # None: too quiet
        self._played: deque[float] = deque(maxlen=_ECHO)  # power of what was played
        self._told = False

    def feed(self, frame: Samples, probability: float, played: Samples) -> int | None:
        """How many samples before the end of `frame` a voice began that interrupts; else None.

        Said once: not again before that voice has been silent, or `reset`.

        Args:
            frame: 512 samples at 16 kHz of the microphone, without echo (see `speech.echo`).
            probability: Silero's, that there is speech in `frame`.
            played: what went to the loudspeaker meanwhile, 512 samples at 16 kHz; zeros for nothing.
        """
        self._played.append(_power(played))
        power = _power(frame)
        heard = None
        if power > max(_QUIET, _LEFT * max(self._played)):
            heard = _Heard(probability >= _SPEECH, _bands(frame), power)
        self._heard.append(heard)
        if self._told:
            self._told = any(each is not None and each.sure for each in self._recent(self._enough))
        elif heard is not None and heard.sure:
            for enough in (self._enough, self._surely):
                begun = self._begun(self._recent(enough), enough)
                if begun is not None:
                    self._told = True
                    return begun * FRAME
        return None

    def _recent(self, enough: int) -> list[_Heard | None]:
        return list(self._heard)[-(enough + _SLACK) :]

    def _begun(self, stretch: list[_Heard | None], enough: int) -> int | None:
        """How many frames ago the voice in the stretch began, if there is enough of it."""
        sure = [(number, each.power) for number, each in enumerate(stretch) if each and each.sure]
        if len(sure) < _SURE * enough:
            return None
        begin, least = sure[0][0], _LOUD * sum(power for _, power in sure) / len(sure)
        for number in range(begin - 1, max(0, begin - _BEFORE) - 1, -1):
            each = stretch[number]
            if each is None or each.power < least:
                break
            begin = number
        speech = [each for each in stretch[begin:] if each and (each.sure or each.power >= least)]
        if len(speech) < enough or (enough < self._surely and _variety(speech) <= _EVEN):
            return None
        return len(stretch) - begin


def _frames(seconds: float) -> int:
    return max(1, math.ceil(seconds * RATE / FRAME) - _LATE)


def _power(sound: Samples) -> float:
    return float(np.mean(np.square(sound, dtype=np.float32)))


_WINDOW = np.hanning(FRAME).astype(np.float32)
_STARTS = [edge * FRAME // RATE for edge in _EDGES]


def _bands(frame: Samples) -> Power:
    """Power of a frame in each band, (8,)."""
    spectrum = np.fft.rfft(frame * _WINDOW)
    power = spectrum.real**2 + spectrum.imag**2
    bands: Power = np.add.reduceat(power[: _STARTS[-1]], _STARTS[:-1]).astype(np.float32)
    return bands


def _variety(speech: list[_Heard]) -> float:
    """How much the shape of the spectrum varies between frames, in dB; each counts by its power."""
    bands = np.array([each.bands for each in speech])
    whole = bands.sum(axis=1, keepdims=True) + np.float32(1e-12)
    shapes = 10 * np.log10(bands / whole + np.float32(1e-4))
    weights = whole / whole.sum()
    mean = (weights * shapes).sum(axis=0)
    return float(np.mean(np.sqrt((weights * (shapes - mean) ** 2).sum(axis=0))))
