"""One document after another: read, split, embed what has no vector yet, store.

It does not know folders, nor why a document is to be indexed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from rag import priority
from rag.chunks import Chunk, split_documents
from rag.documents import DocumentError, load_file
from rag.recordings import Hear
from rag.store import ChunkStore, NameTakenError, Page, Source

Splitter = Literal["recursive", "character"]
STEP = 64  # texts that are embedded before a question may go first; half as many pad a twentieth more
_RECIPE = 4  # changes with the way documents are read and split: older ones are then made again


class TextEmbedder(Protocol):
    """What indexing needs of an embedder."""

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimension), unit length."""


@dataclass(frozen=True)
class Parsed:
    """A document that was read and split, and waits to be embedded."""

    record: Source
    pages: list[Page]
    chunks: list[Chunk]


class Indexer:
    """Splits and embeds always in the same way; `recipe` names it."""

    def __init__(
        self,
        store: ChunkStore,
        embedder: TextEmbedder,
        *,
        size: int,
        overlap: int,
        splitter: Splitter,
        ocr: str = "auto",
        hear: Hear | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._size = size
        self._overlap = overlap
        self._splitter: Splitter = splitter
        self._ocr = ocr
        self._hear = hear
        self.recipe = f"{splitter} {size} {overlap} {_RECIPE}"

    def load(self, path: Path, source: str) -> list[Document]:
        """Read a file; see `rag.documents.load_file`."""
        return load_file(path, source, ocr=self._ocr, hear=self._hear)

    def parse(self, record: Source, load: Callable[[], list[Document]]) -> Parsed:
        """Read and split one document; raises what `load` raises."""
        documents = load()
        chunks = split_documents(documents, size=self._size, overlap=self._overlap, splitter=self._splitter)
        if not chunks:
            raise DocumentError("The document has no text. Check that the right file was saved.")
        pages = [_page(document) for document in documents]
        told = {name: documents[0].metadata.get(name, "") for name in ("title", "notice", "able")}
        return Parsed(replace(record, recipe=self.recipe, **told), pages, chunks)

    def store(self, batch: Sequence[Parsed]) -> dict[str, NameTakenError]:
        """Embed several documents together, for full batches, then store each, whole.

        Returns source → error for those whose name another process took meanwhile.
        """
        vectors = self._vectors(list({c.indexed_text: None for parsed in batch for c in parsed.chunks}))
        refused: dict[str, NameTakenError] = {}
        for parsed in batch:
            rows = np.stack([vectors[chunk.indexed_text] for chunk in parsed.chunks])
            try:
                self._store.add(parsed.record, parsed.pages, parsed.chunks, rows)
            except NameTakenError as error:
                refused[parsed.record.source] = error
        self._store.follow()  # here, in the background, and not in the next question's search
        return refused

    def _vectors(self, texts: list[str]) -> dict[str, NDArray[np.float32]]:
        """Those that are stored, and for the rest new ones, made a few at a time between questions."""
        vectors = self._store.find_vectors(texts)
        missing = [text for text in texts if text not in vectors]
        missing.sort(key=len)  # texts of one length need no padding
        for at in range(0, len(missing), STEP):
            priority.give_way()
            some = missing[at : at + STEP]
            vectors |= zip(some, self._embedder.embed_array(some), strict=True)
        return vectors


def _page(document: Document) -> Page:
    told = document.metadata
    return Page(document.page_content, told["start"], told["page"], told.get("place", ""), told.get("at"))


def hash_text(pages: Sequence[Page]) -> str:
    """SHA-256 of a document's whole text, in hex."""
    return hashlib.sha256("\f".join(page.text for page in pages).encode("utf-8", "replace")).hexdigest()
