"""What is told of documents: what a run did, how far it is, and how each document is.

It does not know how any of it comes about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, Literal

UPLOAD, URL = "upload", "url"  # origins; any other is a corpus folder

State = Literal["waiting", "reading", "ready", "failed"]


class CorpusError(Exception):
    """A folder or source that cannot be used as asked; the message says why and what to do."""


@dataclass
class Report:
    """What a sync did. `moved` documents have a new place and the same content; they count nowhere else.

    A copy of another document counts like any other: it is there, and can be found.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)  # {"source", "error"}
    notices: list[str] = field(default_factory=list)  # what a person should know, such as a missing folder
    chunks: int = 0  # in the whole index, afterwards
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Step:
    """Something happened to a document of a run."""

    done: int
    total: int  # documents of the run that are new or changed
    source: str
    state: State
    seconds_left: float | None = None  # None: too early to say


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class SourceStatus:
    """One document, for the page's list."""

    source: str
    state: State
    reason: str = ""  # why it failed
    title: str = ""
    origin: str = ""  # the corpus folder, "upload" or "url"
    pages: int = 0
    chunks: int = 0
    copy_of: str = ""  # the document with the same content that is found in its stead
    notice: str = ""  # what of it was not read, and what to do


class Statuses:
    """What is being done to documents now; what was done before is in the store and the records."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_source: dict[str, SourceStatus] = {}

    def set(self, status: SourceStatus) -> None:
        with self._lock:
            self._by_source[status.source] = status

    def forget_all(self, origins: Iterable[str]) -> None:
        unwanted = set(origins)
        with self._lock:
            self._by_source = {k: s for k, s in self._by_source.items() if s.origin not in unwanted}

    def forget(self, source: str) -> None:
        with self._lock:
            self._by_source.pop(source, None)

    def all(self) -> dict[str, SourceStatus]:
        with self._lock:
            return dict(self._by_source)


@dataclass(frozen=True)
class Collection:
    """Documents that belong together by where they come from."""

    name: str
    origin: str


def collections(folders: Iterable[str], filled: AbstractSet[str]) -> list[Collection]:
    """One for each folder, uploads and web pages, as far as there are documents in it (`filled`: origins).

    A folder goes by its own name, with more of its path before it where another one has that name.
    """
    found = [Collection(label, origin) for origin, label in _LABELS.items() if origin in filled]
    taken = {one.name.casefold() for one in found}
    named = []
    for folder in folders:
        if folder in filled:
            name = next(name for name in _names(folder) if name.casefold() not in taken)
            taken.add(name.casefold())
            named.append(Collection(name, folder))
    return named + found


_LABELS = {UPLOAD: "Uploads", URL: "Web pages"}
_EMPTY = {"uploads": "no file was added on the page yet", "web pages": "no web page was added yet"}


def why_empty(name: str) -> str:
    """Of a collection that is not there: what would make it; nothing for a name that no one knows."""
    reason = _EMPTY.get(name.casefold())
    return f": {reason}" if reason else ""


def _names(folder: str) -> Iterator[str]:
    parts = PurePath(folder).parts
    yield from ("/".join(parts[-count:]) for count in range(1, len(parts)))
    yield folder
