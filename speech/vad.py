"""Where in a recording somebody speaks: Silero VAD on onnxruntime. It does not know what is said.

The primitive is `VadStream`, fed one frame of 32 ms at a time, as a microphone gives them;
`speech_segments` runs it over a whole recording. The model is the file in the `silero-vad` package, run
without that package's own code, which needs torch. (Silero Team, "Silero VAD",
https://github.com/snakers4/silero-vad.)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, AudioError, Samples

FRAME = 512  # samples that the model takes at once, 32 ms
_CONTEXT = 64  # samples of the frame before, which the model wants again


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, in samples of the recording."""

    start: int
    end: int


@dataclass(frozen=True)
class VadOptions:
    """When a sound counts as speech; the defaults are Silero's own, but for `silence`."""

    threshold: float = 0.5  # probability from which on speech begins
    hold: float = 0.35  # speech goes on until the probability falls below this
    speech: float = 0.25  # seconds; what is shorter is a click or a cough
    silence: float = 0.3  # seconds without speech that end a segment
    pad: float = 0.1  # seconds added on both sides


class VadStream:
    """The model's state along one recording or one microphone; for one thread at a time."""

    def __init__(self) -> None:
        self._session = _session()
        self.reset()

    def reset(self) -> None:
        """Forget what was heard; the next frame begins a new recording."""
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), np.float32)
        self._context: Samples = np.zeros(_CONTEXT, np.float32)

    def feed(self, frame: Samples) -> float:
        """Probability, 0 to 1, that somebody speaks in `frame` (512 samples at 16 kHz)."""
        if frame.shape != (FRAME,):
            raise ValueError(f"a frame has {FRAME} samples, not {frame.shape}")
        window = np.concatenate([self._context, frame])[None].astype(np.float32)
        probability, self._state = self._session.run(
            None, {"input": window, "state": self._state, "sr": np.array(RATE, np.int64)}
        )
        self._context = window[0, -_CONTEXT:]
        return float(probability[0, 0])


def probabilities(audio: Samples) -> list[float]:
    """Speech probability of each frame of a recording at 16 kHz; the last frame is filled up with silence."""
    stream = VadStream()
    padded = np.pad(audio, (0, -len(audio) % FRAME))
    return [stream.feed(frame) for frame in padded.reshape(-1, FRAME)]


def speech_segments(audio: Samples, options: VadOptions | None = None) -> list[Segment]:
    """The stretches of speech in a recording (n,) at 16 kHz, in order, apart from each other."""
    return list(segments_of(probabilities(audio), len(audio), options))


def segments_of(frames: Iterable[float], length: int, options: VadOptions | None = None) -> Iterator[Segment]:
    """The same from the probability of each frame, one by one; `length` of the recording in samples."""
    options = options or VadOptions()
    pad = round(options.pad * RATE)
    return _merged(
        Segment(max(0, start * FRAME - pad), min(length, end * FRAME + pad))
        for start, end in _runs(frames, options)
        if (end - start) * FRAME >= options.speech * RATE
    )


def shorten_silence(audio: Samples, segments: Iterable[Segment], *, longest: float = 3.0) -> Samples:
    """The recording without most of each pause over `longest` seconds; half a second is kept at each side.

    Whisper fills long silence with sentences that nobody said. With no such pause the result is `audio`
    itself, untouched.
    """
    keep, most = RATE // 2, round(longest * RATE)
    parts: list[Samples] = []
    last, taken = 0, 0  # where the last speech ended; up to where samples were taken
    for start, end in [*((s.start, s.end) for s in segments), (len(audio), len(audio))]:
        if start - last > most:
            parts.append(audio[taken : last + (keep if last else 0)])
            taken = start - (keep if start < len(audio) else 0)
        last = end
    return np.concatenate([*parts, audio[taken:]]) if parts else audio


def _runs(frames: Iterable[float], options: VadOptions) -> Iterator[tuple[int, int]]:
    """Frame numbers [start, end) of speech: begun at `threshold`, ended by `silence` below `hold`."""
    wait = max(1, round(options.silence * RATE / FRAME))
    start: int | None = None
    end = 0
    for number, probability in enumerate(frames):
        if start is None and probability >= options.threshold:
            start = number
        if start is not None and probability >= options.hold:
            end = number + 1
        elif start is not None and number + 1 - end >= wait:
            yield start, end
            start = None
    if start is not None:
        yield start, end


def _merged(segments: Iterable[Segment]) -> Iterator[Segment]:
    last: Segment | None = None
    for segment in segments:
        if last and segment.start <= last.end:
            last = Segment(last.start, segment.end)
            continue
        if last:
            yield last
        last = segment
    if last:
        yield last


@cache
def _session() -> Any:
    """One for the process: running it changes nothing in it, and it may be run from several threads."""
    try:
        import onnxruntime
    except ImportError as error:
        raise AudioError("onnxruntime is missing. Install it: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a frame is too small to share
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(_model_file()), options, providers=["CPUExecutionProvider"])


def _model_file() -> Path:
    """Found without importing the package, which would import torch."""
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    raise AudioError("The Silero VAD model is missing. Install it: pip install silero-vad")
