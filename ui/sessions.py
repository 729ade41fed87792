"""Who has signed in, and how often an address has tried in vain. It knows no passwords."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ui.cookies import SESSION_SECONDS

_TRIES, _TRIES_SECONDS = 10, 60.0  # failed sign-ins of one address


class Sessions:
    """Who has signed in; in memory, so a restart signs everybody out."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}  # digest of the cookie → user, until when
        self._tries: dict[str, list[float]] = {}
        self._watched: dict[str, set[asyncio.Event]] = {}  # digest of the cookie → set when it is forgotten

    def open(self, user: str) -> str:
        """A new session's cookie."""
        now = time.time()
        self._open = {key: entry for key, entry in self._open.items() if entry[1] > now}
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = (user, now + SESSION_SECONDS)
        return token

    def user(self, token: str) -> str | None:
        user, until = self._open.get(_digest(token), ("", 0.0))
        return user if until > time.time() else None

    def forget(self, token: str) -> None:
        self._open.pop(_digest(token), None)
        for forgotten in self._watched.get(_digest(token), ()):
            forgotten.set()

    @contextmanager
    def watched(self, token: str) -> Iterator[asyncio.Event]:
        """An event for as long as somebody watches: the session is forgotten."""
        key, forgotten = _digest(token), asyncio.Event()
        watching = self._watched.setdefault(key, set())
        watching.add(forgotten)
        try:
            yield forgotten
        finally:
            watching.remove(forgotten)
            if not watching:
                del self._watched[key]

    def may_try(self, address: str) -> bool:
        recent = [at for at in self._tries.get(address, ()) if at > time.monotonic() - _TRIES_SECONDS]
        self._tries = {key: tries for key, tries in self._tries.items() if key != address}
        if recent:
            self._tries[address] = recent
        return len(recent) < _TRIES

    def failed(self, address: str) -> None:
        self._tries.setdefault(address, []).append(time.monotonic())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
