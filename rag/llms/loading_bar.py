"""How far transformers is with loading weights, and a way to stop it: it counts them in a progress bar.

It knows that bar and nothing of models. transformers has one hook for the whole process; this one acts only
for the thread that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rag.cancel import current
from rag.importing import import_transformers

Told = Callable[[int, int], None]  # weights that are loaded, of how many

_told: ContextVar[Told | None] = ContextVar("parley_loading", default=None)


@contextmanager
def watched(told: Told) -> Iterator[None]:
    """What this thread loads in the block is told to `told`, and stops once its token is cancelled."""
    import_transformers()
    from transformers.utils import logging

    logging.set_tqdm_hook(_bar)
    before = _told.set(told)
    try:
        yield
    finally:
        _told.reset(before)


def counted(things: Any, **_: Any) -> Any:
    """In the place of a progress bar over `things`: what this thread has done is told, and can be stopped."""
    told = _told.get()
    return things if told is None or not hasattr(things, "__len__") else _counted(things, told)


def _bar(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if _told.get() is None or not args or not hasattr(args[0], "__len__"):
        return factory(*args, **kwargs)
    return counted(args[0])


def _counted(things: Any, told: Told) -> Iterator[Any]:
    for number, thing in enumerate(things, 1):
        current().raise_if_cancelled()
        yield thing
        told(number, len(things))
