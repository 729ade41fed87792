"""What those who make an answer have to tell besides it: that one has to wait, or that something is amiss.

Like the token of `rag.cancel`, the listener is found through the context, so that the chains in between need
not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Queued:
    """The model writes for others first; each of these replaces the one before, a token all of them."""

    before: int  # how many come first
    seconds: float | None  # until the first token, about; None where nothing is known yet


@dataclass(frozen=True)
class Notice:
    """What the person should know: an answer that ends early, a passage dropped, an engine that fell back."""

    message: str


News = Queued | Notice
_listener: ContextVar[Callable[[News], None] | None] = ContextVar("parley_telling", default=None)


@contextmanager
def listening(listener: Callable[[News], None]) -> Iterator[None]:
    """Have `listener` told, by whichever thread does the work, within the block."""
    previous = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(previous)


def tell(news: News) -> None:
    """Tell the listener of this context, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(news)
