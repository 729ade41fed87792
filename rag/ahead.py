"""Doing things ahead in a few threads, while whoever needs the results works on those that are there.

It does not know what is done.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Self, TypeVar

from rag import cancel

T = TypeVar("T")
R = TypeVar("R")
_LOOK = 0.2  # seconds that the reader waits for a result before it does something else


class Ahead(Generic[T, R]):
    """`work` on each of the items, in `threads` threads, at most `most` of them ahead of the reader.

    Results come as they are ready, not in the items' order; while there is none, the reader does `meanwhile`,
    over and over. The threads see the context of whoever made this (its cancel token, for one) and die with
    the program: a result that takes for ever holds nobody up.
    """

    def __init__(
        self,
        items: Iterable[T],
        work: Callable[[T], R],
        *,
        threads: int,
        most: int,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._items = deque(items)
        self._left = len(self._items)
        self._work = work
        self._meanwhile = meanwhile
        self._room = threading.Semaphore(most)
        self._results: queue.SimpleQueue[tuple[T, R | BaseException]] = queue.SimpleQueue()
        self._threads = min(threads, self._left)
        for _ in range(self._threads):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._run,), name="ahead", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Begin nothing more; what is being done is not waited for."""
        self._items.clear()
        self._room.release(max(1, self._threads))

    def __iter__(self) -> Iterator[tuple[T, R]]:
        """Item and result; raises what `work` raised, and `Cancelled` while it waits."""
        while self._left:
            item, result = self._next()
            self._left -= 1
            self._room.release()
            if isinstance(result, BaseException):
                raise result
            yield item, result

    def _next(self) -> tuple[T, R | BaseException]:
        while True:
            cancel.current().raise_if_cancelled()
            try:
                return self._results.get(timeout=_LOOK)
            except queue.Empty:
                self._meanwhile()

    def _run(self) -> None:
        while True:
            self._room.acquire()
            try:
                item = self._items.popleft()
            except IndexError:
                self._room.release()  # for the next thread to see the end, too
                return
            try:
                result: R | BaseException = self._work(item)
            except BaseException as error:  # raised in the reader
                result = error
            self._results.put((item, result))
