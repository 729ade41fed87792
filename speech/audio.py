"""Sound as arrays: decode anything, mono, resample, int16 and float32. It does not know what is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # mono, -1.0 to 1.0


@dataclass(frozen=True)
class AudioChunk:
    """A piece of speech, ready to play."""

    samples: Samples  # (n,)
    rate: int  # samples per second
    text: str = ""  # what it says, as it is spoken (the sentence, normalised)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate
