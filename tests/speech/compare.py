"""How alike two pieces of speech are; espeak-ng never says a thing twice with the same samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speech.audio import AudioChunk, Samples

_FRAME = 480  # 20 ms at 24 kHz


def sound(chunks: list[AudioChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


def alike(one: Samples, other: Samples) -> float:
    """The correlation of their log spectra, frame by frame: over 0.9 for the same words only."""
    count = min(len(one), len(other)) // _FRAME
    return float(np.corrcoef(_bands(one, count).ravel(), _bands(other, count).ravel())[0, 1])


def _bands(samples: Samples, frames: int) -> NDArray[np.float64]:
    window = samples[: frames * _FRAME].reshape(frames, _FRAME) * np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(window, axis=1))[:, :240].reshape(frames, 24, 10).mean(axis=2)
    return np.asarray(np.log(power + 1e-3), np.float64)
