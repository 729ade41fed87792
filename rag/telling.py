"""What a model has to tell besides its answer: that one has to wait, or why the answer is cut short.

Like the token of `rag.cancel`, the listener is found through the context, so that the chains in between need
not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Wait:
    """A place in the queue for the model."""

    before: int  # others that come first
    seconds: float | None  # until the first word, about; None where nothing is known yet


@dataclass(frozen=True)
class Cut:
    """The answer ends before it is complete."""

    reason: str  # a sentence for the person


News = Wait | Cut
_listener: ContextVar[Callable[[News], None] | None] = ContextVar("parley_telling", default=None)


@contextmanager
def listening(listener: Callable[[News], None]) -> Iterator[None]:
    """Have `listener` told, by the thread that reads the model, within the block."""
    previous = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(previous)


def tell(news: News) -> None:
    """Tell the listener of this context, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(news)
