"""When a voice over an answer that is being played counts as an interruption.

About `minimum` seconds of speech do, within a slightly longer stretch, so that a stop consonant does not
begin the count anew. A frame is speech where Silero says so and where it is louder than what an echo canceller
leaves of the answer. A sound that hardly changes its colour, as "mm-hm" and "uh-huh" do, is a listener's
murmur until it has lasted longer than those do.

It knows neither words nor whose voice it is, and it takes for granted that an answer is being played: feed it
only then.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, Samples

FRAME = 512  # samples of a frame, as speech.vad takes them
BOUNDS = (0.2, 1.0)  # seconds that `minimum` may be

_SPEECH = 0.3  # Silero's probability from which on a frame may be speech
_SLACK = 4  # frames without speech that the stretch has room for
_LATE = 2  # frames that Silero takes to be sure, and that nobody need wait for
_MURMUR = 0.6  # seconds; what stays as even for longer is no murmur
_EVEN = 3.0  # dB that the shape of a murmur's spectrum varies by at most
_QUIET = 1e-6  # power below which nobody speaks (-60 dBFS)
_LEFT = 10 ** (-35 / 10)  # share of the answer's power that an echo canceller may leave
_ECHO = 13  # frames in which an echo comes back, 0.4 s
_EDGES = (100, 400, 700, 1000, 1500, 2200, 3200, 4500, 7800)  # of the bands of a spectrum's shape, Hz


@dataclass(frozen=True)
class _Heard:
    """A frame: whether it may be speech, and the power in each band, (8,), if so."""

    bands: NDArray[np.float32] | None


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
        self._heard: deque[_Heard] = deque(maxlen=self._surely + _SLACK)
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
        speech = probability >= _SPEECH and power > max(_QUIET, _LEFT * max(self._played))
        self._heard.append(_Heard(_bands(frame) if speech else None))
        if self._told:
            self._told = any(each.bands is not None for each in self._recent(self._enough))
            return None
        for enough in {self._enough, self._surely}:
            stretch = self._recent(enough)
            if sum(each.bands is not None for each in stretch) < enough:
                continue
            if enough == self._surely or _variety(stretch) > _EVEN:
                self._told = True
                return _length(stretch)
        return None

    def _recent(self, enough: int) -> list[_Heard]:
        return list(self._heard)[-(enough + _SLACK) :]


def _frames(seconds: float) -> int:
    return max(1, math.ceil(seconds * RATE / FRAME) - _LATE)


def _power(sound: Samples) -> float:
    return float(np.mean(np.square(sound, dtype=np.float32)))


def _length(stretch: list[_Heard]) -> int:
    """Samples from the first frame of speech on, and those in which Silero made up its mind."""
    spoken = list(dropwhile(lambda each: each.bands is None, stretch))
    return (len(spoken) + 1) * FRAME


_WINDOW = np.hanning(FRAME).astype(np.float32)
_STARTS = [edge * FRAME // RATE for edge in _EDGES]


def _bands(frame: Samples) -> NDArray[np.float32]:
    """Power of a frame in each band, (8,)."""
    spectrum = np.fft.rfft(frame * _WINDOW)
    power = spectrum.real**2 + spectrum.imag**2
    bands: NDArray[np.float32] = np.add.reduceat(power[: _STARTS[-1]], _STARTS[:-1]).astype(np.float32)
    return bands


def _variety(stretch: list[_Heard]) -> float:
    """How much the shape of the spectrum varies in the frames of speech, in dB; loud frames count more."""
    bands = np.array([each.bands for each in stretch if each.bands is not None])
    whole = bands.sum(axis=1, keepdims=True) + np.float32(1e-12)
    shapes = 10 * np.log10(bands / whole + np.float32(1e-3))
    weights = np.sqrt(whole / whole.sum())
    weights /= weights.sum()
    mean = (weights * shapes).sum(axis=0)
    return float(np.mean(np.sqrt((weights * (shapes - mean) ** 2).sum(axis=0))))
