"""What is taken of a device's memory while something is measured, and giving it back.

On a GPU it is what torch has given out, or for what is not torch's, what the device says is taken. On the CPU
both are the process's own size, which is rough.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


class Memory:
    """Bytes taken since the beginning, on all GPUs together or in main memory."""

    def __init__(self, device: str) -> None:
        self._gpu = device.startswith("cuda")
        give_back()
        self._begin = self._level()
        self._whole_begin = self._whole()

    def taken(self) -> int:
        """By tensors."""
        return self._level() - self._begin

    def taken_in_all(self) -> int:
        """By whatever library, as the device counts it; others may use it at the same time."""
        give_back()
        return self._whole() - self._whole_begin

    def forget_peak(self) -> None:
        import torch

        if self._gpu:
            for gpu in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(gpu)

    def peak(self) -> int:
        """The most that tensors took since `forget_peak`; on the CPU, since the program's start."""
        import torch

        if self._gpu:
            gpus = range(torch.cuda.device_count())
            return sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus) - self._begin
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _level(self) -> int:
        import torch

        if not self._gpu:
            return _resident()
        gc.collect()  # what is garbage already is not counted
        synchronize()
        return sum(torch.cuda.memory_allocated(gpu) for gpu in range(torch.cuda.device_count()))

    def _whole(self) -> int:
        import torch

        if not self._gpu:
            return _resident()
        infos = (torch.cuda.mem_get_info(gpu) for gpu in range(torch.cuda.device_count()))
        return sum(total - free for free, total in infos)


def _resident() -> int:
    import psutil  # type: ignore[import-untyped]

    return int(psutil.Process().memory_info().rss)


def synchronize() -> None:
    """Wait until every GPU has done what it was told."""
    import torch

    if torch.cuda.is_available():
        for gpu in range(torch.cuda.device_count()):
            torch.cuda.synchronize(gpu)


def give_back() -> None:
    """To the device, what nobody holds any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def given_back() -> Iterator[None]:
    """Whatever happens within, also Ctrl-C: what it leaves is given back."""
    try:
        yield
    finally:
        give_back()


def gigabytes(size: int) -> float:
    """Of 10⁹ bytes, to four digits."""
    return float(f"{size / 1e9:.4g}")
