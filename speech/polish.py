"""The last hand on synthesised speech: one rate, even levels, even pauses, no clicks, small chunks.

Engines differ in rate, loudness and in how much silence they leave around a sentence. What leaves here is
at `RATE`, about equally loud, begins almost at once and ends in the same short pause, so that sentences
follow each other evenly even when the engine changes between two of them. An engine's marks move with the
sound. It works on the stream as it comes. It does not know any engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from speech.audio import AudioChunk, Mark, Samples

RATE = 24_000  # samples per second of all synthesised speech
PAUSE = 0.25  # seconds of silence after a sentence
BREATH = 0.1  # seconds of silence between two parts of a sentence
CHUNK = 0.25  # seconds of a chunk at most, and so the longest that speech goes on after a stop
_LEAD = 0.01  # seconds of silence kept before a sentence
_DECAY = 0.05  # seconds in which the last sound dies away
_FADE = 0.005
_SILENT = 0.005  # amplitude under which nothing is heard (-46 dBFS)
_LEVEL = 0.1  # root mean square of speech (-20 dBFS)
_PEAK = 0.9
_MEASURED = 0.4  # seconds of speech that the level is taken from when the sound comes as a stream


class Sound(NamedTuple):
    """What an engine has made, a piece at a time."""

    samples: Samples  # (n,), mono
    rate: int
    marks: tuple[Mark, ...] = ()  # `at` counts from this piece's first sample


def polish(
    pieces: Iterable[Sound | tuple[Samples, int]], text: str, *, pause: float = PAUSE
) -> Iterator[AudioChunk]:
    """The raw sound of one sentence → chunks of at most `CHUNK` seconds that say `text`.

    Where `pieces` raise, what was given out so far is eased out and paused after as at the end.

    Args:
        pieces: mono samples (n,) and their rate, in order, with marks where the engine gives them.
        text: the sentence, carried by every chunk.
        pause: seconds of silence at the end.
    """
    edges = _Edges()
    sound = _trimmed(_levelled(_resampled(edges.passing(pieces))), edges)
    passed = 0
    for samples, rest in _faded(sound, edges, pause):
        begin = 0
        while begin < len(samples):
            end = _steady(samples, begin + int(CHUNK * RATE))
            quiet = max(0, end - max(begin, len(samples) - rest))
            last = rest > 0 and end == len(samples)
            marks = edges.marks(passed + begin, end - begin, last)
            yield AudioChunk(samples[begin:end], RATE, text, marks, quiet)
            begin = end
        passed += len(samples)


def _steady(samples: Samples, latest: int) -> int:
    """Where to part the sound, a little before `latest`: where it changes least from a sample to the next."""
    if latest >= len(samples):
        return len(samples)
    earliest = max(1, latest - int(_FADE * RATE))
    steps = np.abs(np.diff(samples[earliest - 1 : latest + 1]))
    return earliest + int(np.argmin(steps))


class _Edges:
    """What is known of the beginning and the end of the sound, and the marks that have not been passed."""

    def __init__(self) -> None:
        self.lead = 0  # samples that were cut before the first sound
        self.tail = 0  # quiet samples that were kept after the last one
        self._marks: deque[Mark] = deque()

    def passing(self, pieces: Iterable[Sound | tuple[Samples, int]]) -> Iterator[tuple[Samples, int]]:
        """The pieces without their marks, which are kept, by the time since the first piece."""
        seconds = 0.0
        for piece in pieces:
            sound = Sound(*piece)
            self._marks.extend(replace(mark, at=seconds + mark.at) for mark in sound.marks)
            seconds += len(sound.samples) / sound.rate
            yield sound.samples, sound.rate

    def marks(self, begin: int, count: int, last: bool) -> tuple[Mark, ...]:
        """Those that fall into `count` samples from `begin` on, and on the last chunk all that are left."""
        found = []
        while self._marks and (last or self._place(self._marks[0]) < begin + count):
            mark = self._marks.popleft()
            at = min(max(0, self._place(mark) - begin), count - 1)
            found.append(replace(mark, at=at / RATE))
        return tuple(found)

    def _place(self, mark: Mark) -> int:
        return round(mark.at * RATE) - self.lead


def stretched(samples: Samples, rate: int, speed: float) -> Samples:
    """The same speech `speed` times (0.5 to 2) as fast at the same pitch, by FFmpeg's atempo."""
    import av
    from av.filter import Graph

    graph: Any = Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=None)
    tempo = graph.add("atempo", str(speed))
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1).astype(np.float32), format="flt", layout="mono")
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    return _joined(_pulled(graph))


def _pulled(graph: Any) -> Iterator[Samples]:
    import av

    while True:
        try:
            yield graph.pull().to_ndarray().reshape(-1)
        except (av.EOFError, av.BlockingIOError):
            return


def _joined(pieces: Iterable[Samples]) -> Samples:
    held = list(pieces)
    return np.concatenate(held).astype(np.float32) if held else np.empty(0, np.float32)


def _resampled(pieces: Iterable[tuple[Samples, int]]) -> Iterator[Samples]:
    resampler: Any = None
    for samples, rate in pieces:
        if rate == RATE:
            yield samples
            continue
        import av

        if resampler is None:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        if len(samples):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples.reshape(1, -1), np.float32), format="flt", layout="mono"
            )
            frame.sample_rate = rate
            yield _joined(out.to_ndarray().reshape(-1) for out in resampler.resample(frame))
    if resampler is not None:
        yield _joined(out.to_ndarray().reshape(-1) for out in resampler.resample(None))


def _levelled(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """Scaled to one loudness: measured on the first part of the speech, and from then on all that was heard.

    The gain glides, so that no step is heard where more of the speech changes the judgement.
    """
    held: list[Samples] = []
    loudness, gain = _Loudness(), 0.0
    for samples in pieces:
        loudness.hear(samples)
        if gain:
            before, gain = gain, loudness.gain
            yield _scaled(samples, np.linspace(before, gain, len(samples), dtype=np.float32))
            continue
        held.append(samples)
        if loudness.heard >= _MEASURED * RATE:
            gain = loudness.gain
            yield _scaled(_joined(held), gain)
    if not gain and held:
        yield _scaled(_joined(held), loudness.gain)


class _Loudness:
    """The loudness of what is audible of a sound, as it comes."""

    def __init__(self) -> None:
        self.heard = 0  # audible samples
        self._energy = 0.0

    def hear(self, samples: Samples) -> None:
        audible = samples[np.abs(samples) > _SILENT]
        self.heard += audible.size
        self._energy += float(np.sum(np.square(audible, dtype=np.float64)))

    @property
    def gain(self) -> float:
        if not self.heard:
            return 1.0
        return float(np.clip(_LEVEL / np.sqrt(self._energy / self.heard), 0.1, 8.0))


def _scaled(samples: Samples, gain: float | Samples) -> Samples:
    """Scaled, with what would go over the peak bent softly under it."""
    scaled = samples * np.asarray(gain, np.float32)
    loud = np.abs(scaled) > _PEAK
    if loud.any():
        over = np.abs(scaled[loud]) - _PEAK
        scaled[loud] = np.sign(scaled[loud]) * (_PEAK + (1 - _PEAK) * np.tanh(over / (1 - _PEAK)))
    return scaled.astype(np.float32)


def _trimmed(pieces: Iterable[Samples], edges: _Edges) -> Iterator[Samples]:
    """Silence before the first sound cut to `_LEAD`, silence after the last to `_DECAY`."""
    held = np.empty(0, np.float32)
    begun = False
    for samples in pieces:
        held = np.concatenate([held, samples])
        loud = np.flatnonzero(np.abs(held) > _SILENT)
        if not loud.size:
            continue
        begin = 0 if begun else max(0, int(loud[0]) - int(_LEAD * RATE))
        if not begun:
            edges.lead = begin
        end = int(loud[-1]) + 1
        yield held[begin:end]
        held, begun = held[end:], True
    if begun:
        edges.tail = min(len(held), int(_DECAY * RATE))
        yield held[: edges.tail]


def _faded(pieces: Iterable[Samples], edges: _Edges, pause: float) -> Iterator[tuple[Samples, int]]:
    """The sound eased in and out, so that neither end clicks, and the pause after it; nothing for silence.

    With each piece, how many samples at its end are the pause.
    """
    count = int(_FADE * RATE)
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    held = np.empty(0, np.float32)
    begun = False
    failure: Exception | None = None
    try:
        for samples in pieces:
            held = np.concatenate([held, samples])
            if len(held) <= 2 * count:
                continue
            if not begun:
                held[:count] *= ramp
                begun = True
            end = _steady(held, len(held) - count)
            yield held[:end], 0
            held = held[end:]
    except Exception as error:  # raised again below, when the sound before it has died away
        failure = error
    if len(held):
        held = held.copy()
        if not begun:
            held[:count] *= ramp[: len(held)]
        held[-count:] *= ramp[::-1][-len(held) :]
        rest = max(0, int(pause * RATE) - edges.tail)
        yield np.concatenate([held, np.zeros(rest, np.float32)]), rest
    if failure is not None:
        raise failure
