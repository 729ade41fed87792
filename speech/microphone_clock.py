"""When a sample of the microphone's stream was spoken, by the clock of this machine. It keeps no sound."""

from __future__ import annotations

import time
from collections import deque

from speech.audio import RATE
from speech.vad import FRAME

_STOOD_STILL = 1.0  # seconds without a frame after which it is set anew
_FRAMES = round(3.0 * RATE / FRAME)  # by which it is set: a microphone's clock is not ours


class MicrophoneClock:
    """Set by the latest frame that came with little delay. A pause of the microphone moves it."""

    def __init__(self) -> None:
        self._offset = float("inf")  # time.monotonic() of the stream's first sample
        self._begun: deque[float] = deque(maxlen=_FRAMES)  # the same by each of the last frames

    def set(self, position: int) -> None:
        """The stream's samples up to `position` have just come."""
        begun = time.monotonic() - position / RATE
        if begun - self._offset > _STOOD_STILL:
            self._begun.clear()
        self._begun.append(begun)
        self._offset = min(self._begun)

    def at(self, position: int) -> float:
        """When that sample was spoken (`time.monotonic`)."""
        return self._offset + position / RATE

    def reset(self) -> None:
        self._offset = float("inf")
        self._begun.clear()
