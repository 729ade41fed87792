"""Cancelling, and holding still: one token that everything behind an answer reads.

A plain generator's ``close()`` fails from another thread, and an LCEL stream drains its model when it is
closed. So the work behind an answer runs under a `CancelToken`: the thread that does it enters
``scope(token)``, and whoever computes below it (a model's stopping criterion, an HTTP stream, a chain between
two calls) asks ``current()``. LangChain copies the context into the threads it starts, so the token is seen
there too. While a token is held, that work waits where it is; it goes on from there.

It does not know what is being cancelled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST_HOLD = 10.0  # seconds; what is held may have a model or a server that others wait for


class Cancelled(BaseException):
    """The person stopped the answer; not an error, and never shown as one.

    Like `asyncio.CancelledError` no `Exception`, so that what retries or falls back on errors (LangChain's
    `with_fallbacks` and `with_retry` do) does not start again on what was stopped.
    """


class CancelToken:
    """Cancelled once, held and released any number of times, each from any thread.

    A hold ends by itself after `longest_hold` seconds, and a further `hold` without a `release` in between
    does not make it longer.
    """

    def __init__(self, longest_hold: float = LONGEST_HOLD) -> None:
        self._event = threading.Event()
        self._lock = threading.Condition()
        self._callbacks: list[Callable[[], None]] = []
        self._followers: list[CancelToken] = []
        self._longest = longest_hold
        self._held_until: float | None = None
        self._holds = 0

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    @property
    def held(self) -> bool:
        until = self._held_until
        return until is not None and not self.cancelled and time.monotonic() < until

    @property
    def holds(self) -> int:
        """How often it was held so far: whoever measures time sees by it that some was spent waiting."""
        return self._holds

    def cancel(self) -> None:
        """Set the token and run what was registered with `on_cancel`, each once."""
        with self._lock:
            self._event.set()
            self._lock.notify_all()
            callbacks, self._callbacks = self._callbacks, []
            followers, self._followers = self._followers, []
        for follower in followers:
            follower.cancel()
        for callback in callbacks:
            callback()

    def hold(self) -> None:
        """Let the work that asks `checkpoint` wait, until `release`, `cancel`, or the longest hold's end."""
        with self._lock:
            if self._held_until is None:
                self._hold_until(time.monotonic() + self._longest)

    def release(self) -> None:
        with self._lock:
            self._hold_until(None)

    def _hold_until(self, moment: float | None) -> None:
        """Under the lock, which a follower's own is always taken after."""
        self._held_until = moment
        self._holds += moment is not None
        self._lock.notify_all()
        for follower in self._followers:
            with follower._lock:
                follower._hold_until(moment)

    def wait_while_held(self) -> None:
        while (until := self._held_until) is not None and not self.cancelled:
            left = until - time.monotonic()
            if left <= 0:
                return
            with self._lock:
                if self._held_until == until and not self.cancelled:
                    self._lock.wait(left)

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled; never waits, for code that holds what others need."""
        if self.cancelled:
            raise Cancelled

    def checkpoint(self) -> None:
        """The point between two steps: waits here while held; raises Cancelled."""
        self.wait_while_held()
        self.raise_if_cancelled()

    @contextmanager
    def leads(self, follower: CancelToken) -> Iterator[None]:
        """Cancel, hold and release `follower` too for the block; it may also be cancelled by itself."""
        with self._lock:
            already = self.cancelled
            if not already:
                self._followers.append(follower)
                if self._held_until is not None:
                    with follower._lock:
                        follower._hold_until(self._held_until)
        if already:
            follower.cancel()
        try:
            yield
        finally:
            with self._lock:
                if follower in self._followers:
                    self._followers.remove(follower)

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
