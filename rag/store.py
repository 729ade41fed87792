"""ChunkStore: where chunks, their vectors and their sources live. The seam; engines are chosen by URI.

It does not know files, folders, or how a vector is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk


class StoreError(Exception):
    """The index cannot be used; the message says why and what to do."""


class EmbedderMismatchError(StoreError):
    """The index was made with another embedding model."""

    def __init__(self, stored: str, wanted: str) -> None:
        super().__init__(
            f"The index was made with the embedding model {stored}, not {wanted}. "
            f"Set PARLEY_EMBEDDER={stored} to keep it, or index again to embed its documents anew."
        )
        self.stored = stored
        self.wanted = wanted


class NameTakenError(StoreError):
    """A document was to get a name that another one has."""

    def __init__(self, source: str) -> None:
        super().__init__(f"Another document got the name {source} at this moment. Try again.")


@dataclass(frozen=True)
class Source:
    """One document in the store."""

    source: str  # its name, unique in the store
    content_hash: str  # SHA-256 of the file's bytes, or of a web page's extracted text
    title: str = ""
    pages: int = 0
    chunks: int = 0
    location: str = ""  # absolute path or URL it was read from
    origin: str = ""  # the corpus folder, "upload" or "url"
    size: int = 0  # bytes; with mtime_ns, what tells an unchanged file without reading it
    mtime_ns: int = 0
    recipe: str = ""  # how it was cut into chunks; with another, it is cut again
    notice: str = ""  # what of it was not read, and what to do
    able: str = ""  # what OCR, or hearing, could do for that then; "" if it does not matter


@dataclass(frozen=True)
class Page:
    """One page's text; `start` is where it begins in the source's whole text. See `Chunk` for the rest."""

    text: str
    start: int = 0
    page: int | None = None
    place: str = ""
    at: float | None = None


@dataclass(frozen=True)
class Hit:
    """A chunk that a search found; `score` is the search's own (cosine, or BM25), higher is better."""

    id: int
    chunk: Chunk
    score: float


@runtime_checkable
class ChunkStore(Protocol):
    """Every method is safe from any thread; readers never wait for a writer's embedding."""

    def add(
        self, source: Source, pages: Sequence[Page], chunks: Sequence[Chunk], vectors: NDArray[np.float32]
    ) -> None:
        """Add or replace one source, whole or not at all.

        `vectors`: (len(chunks), dimension), unit length. A name that a document from another location has is
        a `NameTakenError`.
        """

    def follow(self) -> None:
        """Do now what the next search would have to do first, after several documents were added."""

    def delete(self, source: str) -> bool:
        """Remove a source with all its chunks; False if it was not there."""

    def update(self, source: str, record: Source) -> bool:
        """Change what is recorded of a source (its name, place, size, time…); False if it is not there.

        What was read of it stays: its title, pages, chunks and notice.
        A `record.source` that another document has is a `NameTakenError`.
        """

    def find_vectors(self, indexed_texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are already stored for some of these texts, so that none is embedded twice."""

    def search_vector(
        self, vector: NDArray[np.float32], k: int, within: frozenset[int] | None = None
    ) -> list[Hit]:
        """The k nearest chunks by cosine. `vector`: (dimension,), unit length.

        `within`: only in these documents, as `documents` numbers them.
        """

    def search_text(self, query: str, k: int, within: frozenset[int] | None = None) -> list[Hit]:
        """The k best chunks by stemmed BM25 over header and text. Any text is a valid query."""

    def sources(self) -> list[Source]: ...

    def origins(self) -> set[str]:
        """Where the documents come from, each once."""

    def documents(self, *, origin: str | None = None, locations: Sequence[str] = ()) -> frozenset[int]:
        """The numbers of the documents from an origin, and of those at these locations.

        A document that is replaced gets a new number.
        """

    def find_source(self, source: str) -> Source | None:
        """What is recorded of one source."""

    def pages(self, source: str) -> list[Page]:
        """The source's text page by page, for the page view; empty if the source is unknown."""

    def count(self) -> int:
        """Number of chunks."""

    def close(self) -> None: ...


def open_store(uri: str | Path, *, dimension: int, embedder: str) -> ChunkStore:
    """Open or make the store at `uri`: a folder. `embedder` and `dimension` are of the vectors it holds.

    Raises `EmbedderMismatchError` if it was made with another embedder, `StoreError` if it cannot be opened.
    """
    scheme, separator, _ = str(uri).partition("://")
    engine = scheme if separator else "local"
    if engine not in ENGINES:
        raise StoreError(f"There is no chunk store named {engine}. Choose one of: {', '.join(ENGINES)}.")
    return ENGINES[engine](uri, dimension, embedder)


def _open_local(uri: str | Path, dimension: int, embedder: str) -> ChunkStore:
    from rag.store_local import LocalStore

    return LocalStore(Path(str(uri).removeprefix("local://")), dimension=dimension, embedder=embedder)


ENGINES: dict[str, Callable[[str | Path, int, str], ChunkStore]] = {"local": _open_local}
