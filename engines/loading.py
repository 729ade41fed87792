"""Loading: one engine that is opened once, in the background, and whose state anyone may ask for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
State = Literal["waiting", "loading", "ready", "failed"]


class Loading(Generic[T]):
    """`start()` opens it in the background, `get()` waits for it; it is opened once, whoever asks first."""

    def __init__(self, name: str, load: Callable[[], T]) -> None:
        self.name = name
        self._load = load
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._started = False
        self._value: T | None = None
        self._error: Exception | None = None

    @property
    def state(self) -> State:
        if self._finished.is_set():
            return "failed" if self._error is not None else "ready"
        return "loading" if self._started else "waiting"

    @property
    def error(self) -> Exception | None:
        return self._error

    def start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
        threading.Thread(target=self._run, name=f"load {self.name}", daemon=True).start()

    def get(self) -> T:
        """The engine; waits until it is there, and raises what made it fail."""
        self.start()
        self._finished.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def ready(self) -> T | None:
        """The engine if it is there, without waiting."""
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._load()
        except Exception as error:
            log.debug("%s could not be opened", self.name, exc_info=True)
            self._error = error  # raised in whoever asks for it
        finally:
            self._finished.set()
