"""ChunkStore: where chunks, their vectors and their sources live. The seam; engines are chosen by URI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk


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


@dataclass(frozen=True)
class Page:
    """One page's text; `start` is where it begins in the source's whole text."""

    text: str
    start: int = 0
    page: int | None = None


@dataclass(frozen=True)
class Hit:
    """A chunk that a search found; `score` is the search's own (cosine, or BM25), higher is better."""

    id: int
    chunk: Chunk
    score: float


@runtime_checkable
class ChunkStore(Protocol):
    """Every method is safe from any thread; readers never wait for a writer's embedding."""

    def add(self, source: Source, pages: Sequence[Page], chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Add or replace one source, whole or not at all. `vectors`: (len(chunks), dimension), unit length."""

    def delete(self, source: str) -> bool:
        """Remove a source with all its chunks; False if it was not there."""

    def search_vector(self, vector: NDArray[np.float32], k: int) -> list[Hit]:
        """The k nearest chunks by cosine. `vector`: (dimension,), unit length."""

    def search_text(self, query: str, k: int) -> list[Hit]:
        """The k best chunks by stemmed BM25 over header and text. Any text is a valid query."""

    def sources(self) -> list[Source]: ...

    def pages(self, source: str) -> list[Page]:
        """The source's text page by page, for the page view; empty if the source is unknown."""

    def count(self) -> int:
        """Number of chunks."""

    def close(self) -> None: ...
