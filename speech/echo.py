"""Takes the answer's own sound out of the microphone, where the browser has not done it already.

Three steps, all of them numpy. The delay between what was played and what came back is the peak of their
whitened cross-correlation (GCC-PHAT), found within a quarter of a second of the first echo. From there a
partitioned frequency-domain Kalman filter learns the room (Enzner and Vary, "Frequency-domain adaptive Kalman
filter for acoustic echo control in hearing aids and hands-free telephones", 2006): how far it goes in each
step follows from how unsure it is, so that a voice over the echo does not lead it astray. What may be left is
turned down, as far as the filter's own doubt says that it is echo, and no further: a voice stays whole, which
a suppressor with a harder grip (WebRTC's) does not grant. In the first second of the first answer, when
nothing is known of the room, whatever sounds like the answer is turned down.

It knows one microphone and one loudspeaker, nothing of speech, and no loudspeaker that distorts much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, Samples

FRAME = 512  # samples of a frame, as speech.vad takes them
DELAY = 128  # samples that the cleaned sound comes later than the microphone's, always
LONGEST = 0.4  # seconds after which an echo is not looked for any more

Spectrum = NDArray[np.complex64]
Power = NDArray[np.float32]

_BLOCK = 256  # samples that the filter takes at once
_PARTS = 6  # blocks of the room that it learns, 96 ms
_LEAD = 48  # samples before the delay found that the filter begins with
_BLIND = RATE  # samples of sound played before it is known whether there is an echo, and of what room
_BLINDLY = 0.2  # until then: the power of what may be echo, as a share of what was played
_QUIET = np.float32(1e-6)  # power below which a sound says nothing about an echo (-60 dBFS)


class EchoCanceller:
    """One microphone and one loudspeaker; for one thread at a time.

    `notice` says, for people, why nothing is cancelled; it is empty when all is well.
    """

    notice = ""

    def __init__(self) -> None:
        self._delay = _DelayFinder()
        self._room: _Room | None = None
        self._left = _Suppressor()
        self._played = np.zeros(_DelayFinder.SPAN + _LEAD, np.float32)
        self._heard = np.zeros(_DelayFinder.HEARD, np.float32)
        self._idle = len(self._played)  # samples since something was played
        self._sounded = 0  # samples of sound played so far

    def clean(self, frame: Samples, played: Samples) -> Samples:
        """The microphone's sound without the echo of what was played, `DELAY` samples later.

        Args:
            frame: 512 samples of the microphone at 16 kHz.
            played: what went to the loudspeaker in the same 32 ms, at 16 kHz; zeros for nothing.
        """
        if frame.shape != (FRAME,) or played.shape != (FRAME,):
            raise ValueError(f"a frame has {FRAME} samples, not {frame.shape} and {played.shape}")
        self._idle = 0 if played.any() else self._idle + FRAME
        if self._idle > len(self._played) + _PARTS * _BLOCK:
            return self._left.passed(frame)  # no echo can come any more
        self._played = np.concatenate([self._played[FRAME:], played], dtype=np.float32)
        self._heard = np.concatenate([self._heard[FRAME:], frame], dtype=np.float32)
        self._sounded += FRAME * bool(played.dot(played) > _QUIET * FRAME)
        self._find()
        if self._room is None and self._sounded >= _BLIND:
            return self._left.passed(frame)
        rest, doubts = frame, [np.zeros(_BLOCK + 1, np.float32)]
        if self._room is not None:
            rest, doubts = self._room.cancel(frame, self._played)
        if self._sounded < _BLIND:
            whatever = self._whatever()
            doubts = [np.maximum(doubt, whatever) for doubt in doubts]
        return self._left.feed(rest, doubts)

    def _whatever(self) -> Power:
        """Power (bins,) of a block that the loudest echo would have, of all that was played lately."""
        count = len(self._played) // _BLOCK - 1
        windows = np.lib.stride_tricks.sliding_window_view(self._played, 2 * _BLOCK)[::_BLOCK][-count:]
        fading = 1 - self._sounded / _BLIND
        whatever: Power = _power(_spectra(windows)).max(axis=0) * np.float32(_BLINDLY * fading / 2)
        return whatever

    def _find(self) -> None:
        lag = self._delay.feed(self._played[-_DelayFinder.SPAN :], self._heard)
        if lag is not None and (self._room is None or not self._room.covers(lag)):
            self._room = _Room(lag)


def open_echo_canceller() -> EchoCanceller:
    """An echo canceller for one microphone. Raises nothing."""
    return EchoCanceller()


class _DelayFinder:
    """How many samples after it was played a sound comes back, from their whitened cross-correlation."""

    SPAN = 8192  # samples played that are looked at
    HEARD = 1024  # samples heard that are looked for among them
    _KEPT = np.float32(0.93)  # share of what was seen before, in each step
    _CLEAR = 20.0  # times its deviation that a peak has to reach, twice in a row at the same place
    _EAGER = 30  # steps at the beginning in each of which it looks; afterwards in every fourth
    _WINDOW = np.hanning(HEARD).astype(np.float32)
    _BAND = slice(200 * SPAN // RATE, 6000 * SPAN // RATE)

    def __init__(self) -> None:
        self._seen: Spectrum = np.zeros(self.SPAN // 2 + 1, np.complex64)
        self._lag: int | None = None
        self._guess: int | None = None
        self._steps = 0

    def feed(self, played: Samples, heard: Samples) -> int | None:
        """The lag in samples, None while there is no echo to be seen."""
        longest = round(LONGEST * RATE)
        if played[-longest:].dot(played[-longest:]) < _QUIET * longest:
            return self._lag
        if heard.dot(heard) < _QUIET * self.HEARD:
            return self._lag
        self._steps += 1
        if self._lag is not None and self._steps > self._EAGER and self._steps % 4:
            return self._lag
        late = np.zeros(self.SPAN, np.float32)
        late[-self.HEARD :] = heard * self._WINDOW
        cross = (_spectra(late) * _spectra(played).conj())[self._BAND]
        size = np.abs(cross)
        self._seen[self._BAND] *= self._KEPT
        self._seen[self._BAND] += cross / (size + np.float32(1e-3) * size.mean() + np.float32(1e-6))
        self._look(np.abs(_sound(self._seen)[:longest]))
        return self._lag

    def _look(self, peaks: Samples) -> None:
        best, guess = int(peaks.argmax()), self._guess
        self._guess = best if peaks[best] >= self._CLEAR * np.sqrt(np.mean(peaks**2)) else None
        if self._guess is None or guess is None or abs(best - guess) > 2:
            return
        if (
            self._lag is None
            or peaks[best] > 1.5 * peaks[max(0, self._lag - _LEAD) : self._lag + _LEAD].max()
        ):
            self._lag = best


class _Room:
    """The way from the loudspeaker to the microphone as a filter, learnt block by block, with its doubt.

    Arrays are (parts, bins): the response of each `_BLOCK` samples of the room.
    """

    _BINS = _BLOCK + 1
    _STAYS = np.float32(0.999**2)  # how much of the room is the same one block later
    _FIRST = 0.1  # power of the response at first, of the first part; the later ones are weaker
    _NOISE = np.float32(1e-3)  # power of a bin that the microphone has by itself
    _MISSED = np.float32(0.05)  # share of the echo that no linear filter takes away
    _LEARNS = 0.8  # seconds of sound by which the room is known well enough to trust the doubt
    _FADES = np.float32(0.7)  # how fast, from block to block, the room's end dies away

    def __init__(self, lag: int) -> None:
        self._lag = max(0, lag - _LEAD)
        self._forget()

    def _forget(self) -> None:
        shape = (_PARTS, self._BINS)
        self._played: Spectrum = np.zeros(shape, np.complex64)
        self._response: Spectrum = np.zeros(shape, np.complex64)
        first = self._FIRST * np.exp(-np.arange(_PARTS) / 0.7)
        self._unsure: Power = np.repeat(first[:, None], self._BINS, axis=1).astype(np.float32)
        self._near: Power | None = None  # power of what is no echo
        self._doubt: Power = np.zeros(self._BINS, np.float32)
        self._learnt = 0.0  # seconds

    def covers(self, lag: int) -> bool:
        return abs(max(0, lag - _LEAD) - self._lag) <= _LEAD // 2

    def cancel(self, frame: Samples, played: Samples) -> tuple[Samples, list[Power]]:
        """What is left of the frame, and for each block the power (bins,) of it that may be echo yet."""
        left, doubts = [], []
        for start in range(0, FRAME, _BLOCK):
            end = len(played) - FRAME + start + _BLOCK - self._lag
            rest = self._cancel(frame[start : start + _BLOCK], played[end - 2 * _BLOCK : end])
            left.append(rest)
            doubts.append(self._doubt)
        return np.concatenate(left), doubts

    def _cancel(self, heard: Samples, played: Samples) -> Samples:
        self._played = np.concatenate([_spectra(played)[None], self._played[:-1]])
        power = _power(self._played)
        self._learn(_padded(heard - _sound(self._echo())[_BLOCK:]), power)
        echo = self._echo()
        rest = heard - _sound(echo)[_BLOCK:]
        if not rest.dot(rest) <= 4 * heard.dot(heard) + _QUIET:  # led astray: learn again
            self._forget()
            echo, rest = np.zeros_like(echo), heard
        self._judge(_power(echo) * np.float32(0.5), power)
        return rest

    def _echo(self) -> Spectrum:
        """Of two blocks, as played; of their sound, only the second block is right."""
        whole: Spectrum = (self._played * self._response).sum(axis=0)
        return whole

    def _learn(self, rest: Spectrum, power: Power) -> None:
        unsure = (power * self._unsure).sum(axis=0) / 2
        seen = _power(rest)
        if self._near is None:
            self._near = seen * np.float32(0.25) + self._NOISE
        share = self._near / (self._near + unsure)
        self._near += seen * share * share + self._NOISE
        self._near *= np.float32(0.5)
        step = self._unsure / (unsure + self._near)
        change = _sound(step * self._played.conj() * rest)
        change[:, _BLOCK:] = 0
        self._response += _spectra(change)
        kept = np.maximum(1 - step * power / 2, np.float32(0.05))
        self._unsure *= self._STAYS * kept
        self._unsure += (1 - self._STAYS) * _power(self._response) + np.float32(1e-7)

    def _judge(self, echo: Power, power: Power) -> None:
        if power[0].sum() > 1:
            self._learnt += _BLOCK / RATE
        missed = self._MISSED + (1 - self._MISSED) * np.float32(np.exp(-self._learnt / self._LEARNS))
        doubt = (power * self._unsure).sum(axis=0) / 2 + missed * echo
        self._doubt = np.maximum(doubt, self._FADES * self._doubt)


class _Suppressor:
    """Turns down, bin by bin, what may be echo yet. `DELAY` samples late, whether it has work or not."""

    _SIZE = 2 * DELAY
    _HOPS = FRAME // DELAY
    _WINDOW = np.sqrt(np.hanning(_SIZE + 1)[:_SIZE]).astype(np.float32)
    _OVER = np.float32(2.0)  # times the doubt that is taken off
    _LEAST = np.float32(0.03)  # the most that a bin is turned down to

    def __init__(self) -> None:
        self._before = np.zeros(DELAY, np.float32)  # the newest input
        self._begun = np.zeros(DELAY, np.float32)  # output that the next window adds to
        self._seen: Power = np.zeros(DELAY + 1, np.float32)

    def passed(self, frame: Samples) -> Samples:
        """The frame as it is, late."""
        both = np.concatenate([self._before, frame], dtype=np.float32)
        self._before = both[FRAME:]
        self._begun = self._before * self._WINDOW[DELAY:] ** 2
        return both[:FRAME]

    def feed(self, frame: Samples, doubts: list[Power]) -> Samples:
        both = np.concatenate([self._before, frame])
        self._before = both[FRAME:]
        windows = np.lib.stride_tricks.sliding_window_view(both, self._SIZE)[::DELAY] * self._WINDOW
        spectra = _spectra(windows)
        # a window's power is half a block's: the square of its window sums up to DELAY
        doubt = np.repeat([each[::2] / 2 for each in doubts], self._HOPS // len(doubts), axis=0)
        sound = _sound(spectra * self._gains(_power(spectra), doubt)) * self._WINDOW
        halves = np.concatenate([self._begun, *sound]).reshape(-1, DELAY)
        self._begun = halves[-1]
        out: Samples = (halves[:-1:2] + halves[1:-1:2]).reshape(-1)
        return out

    def _gains(self, powers: Power, doubt: Power) -> Power:
        smooth = np.empty_like(powers)
        for hop, power in enumerate(powers):
            self._seen = smooth[hop] = np.float32(0.4) * self._seen + np.float32(0.6) * power
        gains = np.maximum(1 - self._OVER * doubt / (smooth + np.float32(1e-9)), self._LEAST)
        wide = gains[:, [0, 0, *range(DELAY + 1), -1, -1]]  # even over five bins, or it would tinkle
        even: Power = sum(wide[:, at : at + DELAY + 1] for at in range(5)) / np.float32(5)
        return even


def _padded(block: Samples) -> Spectrum:
    """The spectrum (bins,) of a block after as much silence."""
    return _spectra(np.concatenate([np.zeros(_BLOCK, np.float32), block]))


def _spectra(sound: Samples) -> Spectrum:
    """Of the sound (n,), or of each row (rows, n)."""
    return np.fft.rfft(sound).astype(np.complex64, copy=False)


def _sound(spectra: Spectrum) -> Samples:
    return np.fft.irfft(spectra).astype(np.float32, copy=False)


def _power(spectrum: Spectrum) -> Power:
    power: Power = spectrum.real**2 + spectrum.imag**2
    return power
