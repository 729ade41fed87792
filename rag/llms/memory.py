"""Giving memory back when a model is no longer needed. It knows the allocators, and no model."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import weakref
from typing import Any


def give_back() -> None:
    """Return what nothing refers to any more to the GPU and to the system.

    PyTorch keeps a GPU's freed memory for itself, and glibc that of freed weights; either would count as used
    when the next model is placed.
    """
    gc.collect()
    torch = sys.modules.get("torch")  # without it there is nothing on a GPU
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform != "win32" else None
    if trim is not None:
        trim(0)


class Farewell:
    """Tells when an object is gone, whoever still used it when it was no longer wanted."""

    def __init__(self, leaving: Any) -> None:
        self._gone = threading.Event()
        weakref.finalize(leaving, self._gone.set).atexit = False

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is gone; waits at most `seconds`."""
        return self._gone.wait(seconds)
