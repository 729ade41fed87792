"""The last hand on synthesised speech: one rate, even levels, even pauses, no clicks, small chunks.

Engines differ in rate, loudness and in how much silence they leave around a sentence. What leaves here is
at `RATE`, about equally loud, begins almost at once and ends in the same short pause, so that sentences
follow each other evenly even when the engine changes between two of them. It works on the stream as it
comes. It does not know any engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from speech.audio import AudioChunk, Samples

RATE = 24_000  # samples per second of all synthesised speech
PAUSE = 0.25  # seconds of silence after a sentence
CHUNK = 0.25  # seconds of a chunk at most, and so the longest that speech goes on after a stop
_LEAD = 0.02  # seconds of silence kept before a sentence
_DECAY = 0.05  # seconds in which the last sound dies away
_FADE = 0.005
_SILENT = 0.005  # amplitude under which nothing is heard (-46 dBFS)
_LEVEL = 0.1  # root mean square of speech (-20 dBFS)
_PEAK = 0.9
_MEASURED = 0.4  # seconds of speech that the level is taken from when the sound comes as a stream


def polish(pieces: Iterable[tuple[Samples, int]], text: str, *, pause: float = PAUSE) -> Iterator[AudioChunk]:
    """The raw sound of one sentence → chunks of at most `CHUNK` seconds that say `text`.

    Args:
        pieces: mono samples (n,) and their rate, in order.
        text: the sentence, carried by every chunk.
        pause: seconds of silence at the end.
    """
    sound = _trimmed(_levelled(_resampled(pieces)))
    for samples in _faded(sound, pause):
        for at in range(0, len(samples), int(CHUNK * RATE)):
            yield AudioChunk(samples[at : at + int(CHUNK * RATE)], RATE, text)


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
    """Scaled to one loudness, measured on the first part of the speech and then held."""
    held: list[Samples] = []
    heard, gain = 0, 0.0
    for samples in pieces:
        if gain:
            yield _scaled(samples, gain)
            continue
        held.append(samples)
        heard += int(np.count_nonzero(np.abs(samples) > _SILENT))
        if heard >= _MEASURED * RATE:
            gain = _gain(_joined(held))
            yield _scaled(_joined(held), gain)
    if not gain and held:
        yield _scaled(_joined(held), _gain(_joined(held)))


def _gain(samples: Samples) -> float:
    audible = samples[np.abs(samples) > _SILENT]
    if not audible.size:
        return 1.0
    level = float(np.sqrt(np.mean(np.square(audible, dtype=np.float64))))
    return float(np.clip(_LEVEL / level, 0.1, 8.0))


def _scaled(samples: Samples, gain: float) -> Samples:
    """Scaled, with what would go over the peak bent softly under it."""
    scaled = samples * np.float32(gain)
    loud = np.abs(scaled) > _PEAK
    if loud.any():
        over = np.abs(scaled[loud]) - _PEAK
        scaled[loud] = np.sign(scaled[loud]) * (_PEAK + (1 - _PEAK) * np.tanh(over / (1 - _PEAK)))
    return scaled.astype(np.float32)


def _trimmed(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """Silence before the first sound cut to `_LEAD`, silence after the last to `_DECAY`."""
    held = np.empty(0, np.float32)
    begun = False
    for samples in pieces:
        held = np.concatenate([held, samples])
        loud = np.flatnonzero(np.abs(held) > _SILENT)
        if not loud.size:
            continue
        begin = 0 if begun else max(0, int(loud[0]) - int(_LEAD * RATE))
        end = int(loud[-1]) + 1
        yield held[begin:end]
        held, begun = held[end:], True
    if begun:
        yield held[: int(_DECAY * RATE)]


def _faded(pieces: Iterable[Samples], pause: float) -> Iterator[Samples]:
    """The sound eased in and out, so that neither end clicks, and the pause after it; nothing for silence."""
    count = int(_FADE * RATE)
    ramp = np.linspace(0, 1, count, dtype=np.float32)
    held = np.empty(0, np.float32)
    begun = False
    for samples in pieces:
        held = np.concatenate([held, samples])
        if len(held) <= count:
            continue
        if not begun:
            held[:count] *= ramp
            begun = True
        yield held[:-count]
        held = held[-count:]
    if len(held):
        held = held * np.linspace(1, 0, len(held), dtype=np.float32)
        yield np.concatenate([held, np.zeros(int(pause * RATE), np.float32)])
