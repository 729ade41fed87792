"""Who goes first on a machine that indexes and answers at the same time: the question.

Work in the background runs in threads of low priority, and stands still between two steps while somebody
waits for the first word of an answer. One count for the whole process, since what is shared is its processor.
It does not know what either side does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 5.0  # seconds that a step waits; however many questions are asked, the background moves on
_LOWER = 10  # steps of niceness, after which a thread gets about a tenth of what the others get of a core
_LOWEST = 19
_changed = threading.Condition()
_waiting = 0  # questions whose first word is not there yet


@contextmanager
def urgent() -> Iterator[None]:
    """Somebody waits for what the block does; may be nested, from any thread."""
    global _waiting
    with _changed:
        _waiting += 1
    try:
        yield
    finally:
        with _changed:
            _waiting -= 1
            _changed.notify_all()


def give_way() -> None:
    """For the background, between two steps: wait while anybody waits, at most `LONGEST` seconds."""
    deadline = time.monotonic() + LONGEST
    with _changed:
        while _waiting and (left := deadline - time.monotonic()) > 0:
            _changed.wait(left)


def lower() -> None:
    """From now on the calling thread, and what it starts, is in the background. It cannot be undone.

    Only Linux knows priorities of threads; elsewhere the background has only `give_way`.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _LOWER
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _LOWEST))
