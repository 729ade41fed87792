"""When somebody has begun to speak to Parley, pauses, goes on, and has finished.

`Listener` is fed a microphone's frames with Silero's probabilities and answers with events:
Began (Paused WentOn)* [Paused] and then Ended or Dropped. A frame is speech by its probability and by how far
its level stands above the noise: voices in the background are speech for Silero, too. How long a silence has
to last depends on how finished the utterance is (`speech.completeness`). It keeps no model, knows nothing of
the words but what it hands on, and one thread feeds it; `heard` and `hold` may be called from others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, Samples
from speech.completeness import completeness
from speech.vad import FRAME


@dataclass(frozen=True)
class ListenOptions:
    """When to begin and to end; times in seconds, levels in dB, evidence in log odds."""

    quickest: float = 0.4  # of silence after which a finished question ends
    longest: float = 1.8  # … after which anything ends
    short: float = 0.2  # … after which it is a pause, and work may begin on what was said so far
    pre_roll: float = 0.3  # before the first sound of speech
    least: float = 0.2  # of speech; less was a cough or a door
    most: float = 60.0  # after which an utterance ends at its next pause, and after twice that in any case
    begin: float = 4.5  # evidence from which on somebody speaks
    again: float = 2.0  # … and goes on after a pause
    end: float = 0.0  # evidence below which nobody speaks
    threshold: float = 0.5  # Silero's probability without which no frame begins speech
    hold: float = 0.2  # … and without which none continues it

    def __post_init__(self) -> None:
        if not 0 < self.short <= self.quickest <= self.longest:
            raise ValueError("short, quickest and longest have to be positive and in this order")


@dataclass(frozen=True)
class Began:
    start: int  # sample of the stream at which the utterance's audio begins, pre-roll included


@dataclass(frozen=True)
class Paused:
    audio: Samples  # the utterance so far, with the pre-roll and the silence so far
    end: int  # sample of the stream after its last speech


@dataclass(frozen=True)
class WentOn:
    """The person speaks again, after `Paused`."""


@dataclass(frozen=True)
class Ended:
    audio: Samples  # from `start` to `decided`
    start: int
    end: int  # sample after the last speech
    decided: int  # samples fed when it was decided


@dataclass(frozen=True)
class Dropped:
    """What began was no speech."""


Event = Began | Paused | WentOn | Ended | Dropped
Complete = Callable[[Samples, str], float]


class Listener:
    """Where utterances begin and end in one microphone's sound."""

    def __init__(self, options: ListenOptions | None = None, complete: Complete | None = None) -> None:
        self._options = options or ListenOptions()
        self._complete: Complete = complete or completeness
        self._held = False
        self.position = 0
        self.reset()

    def reset(self) -> None:
        """Forget the sound, the noise and the utterance; positions count from 0 again."""
        self.position = 0
        self._evidence = _Evidence()
        self._frames: deque[Samples] = deque()  # the last ones up to `position`
        self._recent: deque[tuple[float, float]] = deque(maxlen=_LOOK_BACK)  # (probability, dB above noise)
        self._first = True  # no utterance yet
        self._free = 0  # sample before which another utterance has its speech
        self._forget()

    def _forget(self) -> None:
        self._start: int | None = None  # of the utterance; None between utterances
        self._onset: int | None = None  # of what might become one
        self._end = 0  # sample after the last speech
        self._speaking = False  # in the last frame
        self._spoken = 0  # frames of speech
        self._pause: Samples | None = None  # the utterance at its pause, as it is judged
        self._wait = 0.0  # seconds of silence that end it
        self._text = self._judged = ""

    def heard(self, text: str) -> None:
        """What the recogniser makes of this utterance so far."""
        self._text = text

    def hold(self, held: bool) -> None:
        """While held no endpoint is decided, however long the silence."""
        self._held = held

    def finish(self) -> list[Event]:
        """End now: [Ended], [Dropped] or, between utterances, []."""
        return [] if self._start is None else [self._ended()]

    def feed(self, frame: Samples, probability: float) -> list[Event]:
        """One frame of 512 samples at 16 kHz, and Silero's probability of speech in it."""
        if frame.shape != (FRAME,):
            raise ValueError(f"a frame has {FRAME} samples, not {frame.shape}")
        evidence, above = self._evidence.of(frame, probability)
        self._frames.append(frame.copy())
        self._recent.append((probability, above))
        self.position += FRAME
        if self._start is None:
            return self._await(evidence, probability)
        return self._spoke() if self._speaks(evidence, probability) else self._silent()

    def _speaks(self, evidence: float, probability: float) -> bool:
        options = self._options
        if self._pause is None:
            return evidence >= options.end and probability >= options.hold
        return evidence >= options.again and probability >= options.threshold

    def _await(self, evidence: float, probability: float) -> list[Event]:
        """Between utterances: what might be speech is kept from its onset on, until it is sure to be some."""
        options = self._options
        if self._onset is None and self._first and self.position <= _YOUNG * FRAME:
            before = self._evidence.looking_back(options.threshold)
            if max(before) >= options.begin:
                return self._begun_before(before)
        sign = probability >= options.threshold and (evidence >= options.again or self._held)
        if sign and self._onset is None:
            self._onset = self._onset_now()
        if self._onset is None:
            pass
        elif sign or (evidence >= options.end and probability >= options.hold):
            self._spoken, self._end = self._spoken + 1, self.position
        elif self.position - self._end >= options.short * RATE:
            self._forget()
        if self._onset is not None and sign and (evidence >= options.begin or self._held):
            return self._begun(self._onset)
        self._keep(_YOUNG * FRAME if self._onset is None else round(options.most * RATE))
        return []

    def _onset_now(self) -> int:
        """Where the sound that made this frame a sign of speech began: as far back as there was any of it."""
        frames = onset = 1
        for probability, above in list(self._recent)[-2::-1]:
            frames += 1
            if probability >= self._options.hold or above >= _SIGN:
                onset = frames
            elif frames - onset > 2:
                break
        return self.position - onset * FRAME

    def _begun_before(self, before: list[float]) -> list[Event]:
        """Somebody spoke from the first moment on, as shows now that there is silence to compare with."""
        spoken = [at for at, evidence in enumerate(before) if evidence >= self._options.again]
        began = self.position - (len(before) - spoken[0]) * FRAME
        self._spoken, self._end = len(spoken), self.position - (len(before) - 1 - spoken[-1]) * FRAME
        return self._begun(began)

    def _begun(self, onset: int) -> list[Event]:
        start = max(onset - round(self._options.pre_roll * RATE), self._free)
        self._start = max(start, self.position - sum(map(len, self._frames)))
        self._cut_to(self._start)
        self._text, self._speaking, self._first = "", True, False
        return [Began(self._start)]

    def _keep(self, samples: int) -> None:
        """Drop what lies before the last `samples` and the pre-roll before them."""
        keep = math.ceil((samples + self._options.pre_roll * RATE) / FRAME)
        while len(self._frames) > keep:
            self._frames.popleft()

    def _cut_to(self, start: int) -> None:
        surplus = start - (self.position - sum(map(len, self._frames)))
        while surplus >= len(self._frames[0]):
            surplus -= len(self._frames.popleft())
        self._frames[0] = self._frames[0][surplus:]

    def _spoke(self) -> list[Event]:
        self._end = self.position
        self._spoken += 1
        self._speaking = True
        went_on: list[Event] = [WentOn()] if self._pause is not None else []
        self._pause = None
        if self._long(2):
            return [*went_on, self._ended()]
        return went_on

    def _long(self, times: int) -> bool:
        assert self._start is not None
        return self.position - self._start >= times * self._options.most * RATE

    def _silent(self) -> list[Event]:
        if self._speaking:  # the evidence lags, being drawn from several frames
            self._end = min(self._end, self._evidence.last_sound(self.position))
            self._speaking = False
        silence = (self.position - self._end) / RATE
        if silence + _LATE < self._options.short:
            return []
        events: list[Event] = []
        if self._pause is None:
            if not self._enough():
                return self._too_little(silence)
            self._pause = self._audio()
            events.append(Paused(self._pause, self._end))
            self._judge()
        elif self._text != self._judged:
            self._judge()
        over = silence + _LATE > self._wait or self._long(1)
        return [*events, self._ended()] if over and not self._held else events

    def _enough(self) -> bool:
        return self._spoken * FRAME >= self._options.least * RATE

    def _too_little(self, silence: float) -> list[Event]:
        return [self._ended()] if silence >= self._options.quickest and not self._held else []

    def _judge(self) -> None:
        """How long this silence has to last: `longest` for the least complete, `quickest` for the most."""
        assert self._pause is not None
        self._judged = self._text
        complete = self._complete(self._pause, self._judged)
        share = min(max((complete - _UNSURE) / (1 - 2 * _UNSURE), 0.0), 1.0)
        quickest, longest = self._options.quickest, self._options.longest
        self._wait = longest * (quickest / longest) ** share

    def _audio(self) -> Samples:
        return np.concatenate(self._frames)

    def _ended(self) -> Event:
        assert self._start is not None
        event: Event = Dropped()
        if self._enough():
            event = Ended(self._audio(), self._start, self._end, self.position)
            self._free = self._end
        self._forget()
        return event


_LATE = FRAME / RATE  # what is decided a frame later would be too late
_UNSURE = 0.2  # completeness beyond which, at both ends, it is taken for sure
_LOOK_BACK = 16  # frames before the evidence is there in which the onset may lie: half a second
_YOUNG = 160  # frames, 5 s, in which the noise is hardly known
_SIGN = 6.0  # dB above the noise that are a sign of speech
_SMOOTH = 5  # frames that the evidence is drawn from
_MEMORY = 300  # frames, 10 s, whose quiet ones are the noise
_QUIET = 0.2  # share of them that is taken for noise
_AT_LEAST = 31  # frames that the memory is taken to have; before it has them, less is taken for noise
_FLOOR = -70.0  # dB; no room is quieter
_NONE = -99.0  # evidence
_CLEAR = 20.0  # dB above the noise; more adds nothing
_HOPS = 4  # parts of a frame in which the end of speech is looked for
# Fitted (logistic regression, clean speech, pink noise and babble at 10 dB alike):
_LEVEL, _VOICE, _BIAS = 0.36, 0.26, -2.0


class _Evidence:
    """Log odds that somebody near speaks: by the level above the running noise floor, and by Silero."""

    def __init__(self) -> None:
        self._powers: deque[float] = deque(maxlen=_SMOOTH)
        self._odds: deque[float] = deque(maxlen=_SMOOTH)
        self._levels: deque[float] = deque(maxlen=_MEMORY)
        self._past: deque[tuple[float, float, float]] = deque(maxlen=_YOUNG)  # level, odds, probability
        self._hops: deque[list[float]] = deque(maxlen=_SMOOTH)
        self._floor = _FLOOR

    def of(self, frame: Samples, probability: float) -> tuple[float, float]:
        """The evidence after this frame, and the frame's own level above the noise."""
        clean = frame if np.isfinite(frame).all() else np.nan_to_num(frame, posinf=1.0, neginf=-1.0)
        voice = min(max(probability, 0.0), 1.0) if probability == probability else 0.0
        self._powers.append(_power(clean))
        self._odds.append(math.log((voice + 0.01) / (1.01 - voice)))
        self._hops.append([_decibels(_power(part)) for part in clean.reshape(_HOPS, -1)])
        self._levels.append(_decibels(_mean(list(self._powers)[-3:])))
        ordered = sorted(self._levels)
        quiet = int(_QUIET * (max(len(ordered), _AT_LEAST) - 1))
        self._floor = max(_FLOOR, ordered[min(quiet, len(ordered) - 1)])
        level, odds = _decibels(_mean(self._powers)), _mean(self._odds)
        self._past.append((level, odds, voice))
        return self._weighed(level, odds), _decibels(self._powers[-1]) - self._floor

    def _weighed(self, level: float, odds: float) -> float:
        return _LEVEL * min(max(level - self._floor, 0.0), _CLEAR) + _VOICE * odds + _BIAS

    def looking_back(self, threshold: float) -> list[float]:
        """The last frames' evidence, by the noise as it is known now; none where Silero hears no speech."""
        return [
            self._weighed(level, odds) if probability >= threshold else _NONE
            for level, odds, probability in self._past
        ]

    def last_sound(self, position: int) -> int:
        """Sample after the last part of a recent frame that stood out from the noise."""
        hop = FRAME // _HOPS
        parts = [level for frame in self._hops for level in frame]
        for back, level in enumerate(reversed(parts)):
            if level > self._floor + _SIGN + 2:
                return position - back * hop
        return position - len(parts) * hop


def _power(sound: Samples) -> float:
    """Mean power from 250 to 4000 Hz, where speech stands out best from the hum and hiss of rooms."""
    size = len(sound)
    spectrum = np.abs(np.fft.rfft(sound * _window(size))) ** 2
    return float(spectrum[size // 64 : size // 4].sum()) / (size * size)


def _decibels(power: float) -> float:
    return 10 * math.log10(power + 1e-9)


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


@cache
def _window(size: int) -> NDArray[np.float64]:
    return np.hanning(size)
