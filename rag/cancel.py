"""Cancelling: one token that everything behind an answer reads.

A plain generator's ``close()`` fails from another thread, and an LCEL stream drains its model when it is
closed. So the work behind an answer runs under a `CancelToken`: the thread that does it enters
``scope(token)``, and whoever computes below it (a model's stopping criterion, an HTTP stream, a chain between
two calls) asks ``current()``. LangChain copies the context into the threads it starts, so the token is seen
there too.

It does not know what is being cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Cancelled(BaseException):
    """The person stopped the answer; not an error, and never shown as one.

    Like `asyncio.CancelledError` no `Exception`, so that what retries or falls back on errors (LangChain's
    `with_fallbacks` and `with_retry` do) does not start again on what was stopped.
    """


class CancelToken:
    """Set once, from any thread, any number of times."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Set the token and run what was registered with `on_cancel`, each once."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled

    def wait(self, seconds: float) -> bool:
        """Wait until cancelled, at most `seconds`; True if it was."""
        return self._event.wait(seconds)

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        """Run `callback` if the token is set while the block runs (at once if it is already).

        For what cannot poll, such as a blocked socket. It runs in the thread that cancels, so it must be
        quick and must not raise.
        """
        with self._lock:
            already = self._event.is_set()
            if not already:
                self._callbacks.append(callback)
        if already:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)


_current: ContextVar[CancelToken | None] = ContextVar("parley_cancel", default=None)
_never = CancelToken()  # nobody holds it, so it is never set


def current() -> CancelToken:
    """The token of the work that this thread does; one that is never set outside any `scope`."""
    return _current.get() or _never


@contextmanager
def scope(token: CancelToken) -> Iterator[CancelToken]:
    """Make `token` the current one for the block."""
    previous = _current.set(token)
    try:
        yield token
    finally:
        _current.reset(previous)
