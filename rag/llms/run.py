"""One answer while it is written: what was asked for, what came so far, and the reader's end of it.

It does not know how tokens are made; an engine fills it from its own thread.
"""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol
from weakref import WeakSet

from rag.cancel import CancelToken
from rag.llms.choosing import Sampling
from rag.telling import Queued, tell

Finish = Literal["stop", "length", "time", "repetition"]
LOOPED = 32  # tokens that do nothing but repeat, and
TIMES = 4  # how often at least, before an answer is ended
PATIENCE = 120.0  # seconds of waiting after which somebody is told to come back later
THREAD = "generation"  # name of the threads that make tokens
GRACE = 5.0  # seconds for each of them at the program's end
PERIOD = 40  # tokens of the longest phrase whose repetition is looked for


_runs: WeakSet[Run] = WeakSet()


class Run:
    """Read it as an iterator of new token ids; as a context manager, leaving it cancels the work.

    seconds: how long it may take from now on; None for any time.
    """

    def __init__(
        self, prompt: Sequence[int], limit: int, sampling: Sampling, seconds: float | None = None
    ) -> None:
        self.prompt = list(prompt)
        self.limit = limit
        self.sampling = sampling
        self.token = CancelToken()
        self.written: list[int] = []
        self.finish: Finish | None = None
        self.asked = time.monotonic()
        self.looped = True  # whether it is ended where it only repeats itself
        self.deadline = None if seconds is None else self.asked + seconds
        self.ended = threading.Event()
        self._news: queue.SimpleQueue[list[int] | Queued | BaseException | None] = queue.SimpleQueue()
        _runs.add(self)

    # The engine's end

    @property
    def over(self) -> bool:
        """Whether nobody wants more of it."""
        return self.token.cancelled or self.ended.is_set()

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def write(self, tokens: Sequence[int], ends: frozenset[int]) -> None:
        """Add tokens, up to one that ends the answer, the limit, the time, or a loop."""
        new: list[int] = []
        for token in tokens:
            if token in ends:
                self.finish = "stop"
                break
            new.append(token)
            self.written.append(token)
            if len(self.written) >= self.limit:
                self.finish = "length"
                break
            if self.looped and looping(self.written):
                self.finish = "repetition"
                break
        if new:
            self._news.put(new)
        if self.finish is None and self.late:
            self.finish = "time"
        if self.finish is not None:
            self.end()

    def inform(self, news: Queued) -> None:
        self._news.put(news)

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come; the reader raises `error`."""
        if not self.ended.is_set():
            self.ended.set()
            self._news.put(error)

    # The reader's end

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.token.cancel()
        if threading.current_thread().name != THREAD:  # where a forgotten stream may be collected
            self.ended.wait()

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            news = self._news.get()
            match news:
                case None:
                    return
                case Queued():
                    tell(news)
                case list():
                    yield news
                case _:
                    raise news


class Writer(Protocol):
    """What writes answers with one model: several at once, or one after the other."""

    def start(self, run: Run) -> None:
        """Begin, or put it in the queue; returns at once."""

    @property
    def busy(self) -> bool:
        """Whether there is something to write."""


def generation_thread(work: Callable[[], None]) -> threading.Thread:
    """Started; it does not keep the program from ending, nor is it cut off inside a forward pass then."""
    thread = threading.Thread(target=work, name=THREAD, daemon=True)
    thread.start()
    return thread


@atexit.register
def _leave() -> None:
    """A thread that is killed while C++ code of torch runs in it takes the program down with an abort."""
    for run in list(_runs):
        run.token.cancel()
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(GRACE)


def looping(tokens: Sequence[int]) -> bool:
    """Whether the last tokens are one phrase again and again."""
    for period in range(1, PERIOD + 1):
        span = max(LOOPED, TIMES * period)
        if span > len(tokens):
            return False
        if tokens[-1] == tokens[-1 - period] and tokens[-span:-period] == tokens[period - span :]:
            return True
    return False
