"""Work done one piece after another, for many at once, in a few threads that all share.

A thread for each would be simpler, but with many of them each waits for Python's lock most of the time, and
so does the event loop beside them. It knows nothing of the work.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

Work = Callable[[], None]

_AT_ONCE = 50  # pieces after which others get their turn
_TICK = 0.25  # seconds


class Serial:
    """Does what it is given in order, never two pieces at a time. Its methods are for any thread, and quick.

    A piece must not raise, nor wait for another piece.

    Args:
        tick: done about four times a second.
        last: done once, after `close` and after whatever is being done then.
    """

    def __init__(self, *, tick: Work, last: Work) -> None:
        self._tick, self._last = tick, last
        self._lock = threading.Lock()
        self._waiting: deque[Work] = deque()
        self._busy = self._closed = False

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Tick from now on."""
        _clock().add(self)

    def do(self, work: Work) -> None:
        """The next piece; nothing after `close`."""
        with self._lock:
            if self._closed:
                return
            self._waiting.append(work)
            self._go_on()

    def tick(self) -> None:
        self.do(self._tick)

    def close(self) -> None:
        """What waits is not done any more."""
        _clock().remove(self)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.clear()
            self._waiting.append(self._last)
            self._go_on()

    def _go_on(self) -> None:
        if not self._busy:
            self._busy = True
            _workers().submit(self._work)

    def _work(self) -> None:
        for _ in range(_AT_ONCE):
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                work = self._waiting.popleft()
            work()
        _workers().submit(self._work)


class _Clock:
    """Ticks for all, in a thread of its own, which rests while there is nobody."""

    def __init__(self) -> None:
        self._all: set[Serial] = set()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="ticks", daemon=True).start()

    def add(self, serial: Serial) -> None:
        with self._changed:
            self._all.add(serial)
            self._changed.notify()

    def remove(self, serial: Serial) -> None:
        with self._changed:
            self._all.discard(serial)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._all)
                everybody = list(self._all)
            for serial in everybody:
                serial.tick()
            time.sleep(_TICK)


@cache
def _clock() -> _Clock:
    return _Clock()


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="serial")
