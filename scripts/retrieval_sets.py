"""What the scripts about retrieval share: sets of questions, read or made, and their documents in a store.

Vectors are kept in the system's temporary folder, so that a second run embeds only what is new.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag.chunks import Chunk, split_documents
from rag.documents import load_file
from rag.embeddings import MINILM, Embedder, open_embedder
from rag.evaluate import Row, read_questions
from rag.store import ChunkStore, Page, Source, open_store
from scripts.made_sets import Made, all_made, misheard, misspelt

KEPT = Path(tempfile.gettempdir(), "parley-vectors.npz")
SPOILT = 200  # questions of the first folder that are asked with a misspelt, and with a misheard word
MANY = 8  # documents
Split = Callable[[Sequence[Document]], list[Chunk]]


@dataclass(frozen=True)
class QuestionSet:
    """Questions and the documents that they are asked of, each document page by page."""

    name: str
    documents: Sequence[Sequence[Document]]
    rows: Sequence[Row]


class Remembered(Embeddings):
    """The bundled MiniLM, which embeds no text twice; `save` keeps what it has learnt."""

    name = MINILM

    def __init__(self) -> None:
        self._known: dict[str, NDArray[np.float32]] = {}
        self._model: Embedder | None = None
        self.dimension = 384
        if KEPT.is_file():
            with np.load(KEPT) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimension), unit length."""
        keys = [
            hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest() for text in texts
        ]
        if missing := {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}:
            self._model = self._model or open_embedder(MINILM, device="cpu", offline=True)
            self._known |= dict(zip(missing, self._model.embed_array(list(missing.values())), strict=True))
        return np.array([self._known[key] for key in keys], np.float32).reshape(len(texts), self.dimension)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed_array(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    def save(self) -> None:
        beside = KEPT.with_suffix(".new.npz")
        np.savez(beside, keys=list(self._known), vectors=np.array(list(self._known.values())))
        beside.replace(KEPT)


def read_sets(folders: Sequence[Path]) -> list[QuestionSet]:
    """The sets in `folders` (questions.jsonl and corpus/), and those that are made up."""
    sets = [read_folder(folder) for folder in folders] + [_made(made) for made in all_made()]
    if folders:
        some = random.Random(0).sample(list(sets[0].rows), min(SPOILT, len(sets[0].rows)))
        sets += [
            QuestionSet(name, sets[0].documents, spoil(some))
            for name, spoil in (("misspelt", misspelt), ("misheard", misheard))
        ]
    return sets


def read_folder(folder: Path) -> QuestionSet:
    rows = [row for row in read_questions(folder / "questions.jsonl") if row.tests_retrieval]
    documents = [load_file(path, path.name) for path in sorted((folder / "corpus").iterdir())]
    return QuestionSet(folder.name, documents, rows)


def _made(made: Made) -> QuestionSet:
    return QuestionSet(made.name, [_pages(*each) for each in made.documents.items()], made.rows)


def _pages(source: str, pages: Sequence[str]) -> list[Document]:
    """As `rag.documents` would read it: only a PDF has pages, and its first line may be a title."""
    paged, start, documents = source.endswith(".pdf"), 0, list[Document]()
    first = pages[0].split("\n", 1)[0]
    title = first if paged and len(first) <= 100 and not first.endswith(".") else Path(source).stem
    for number, text in enumerate(pages, 1):
        place = {"page": number if paged else None, "start": start}
        documents.append(Document(text, metadata={"source": source, "title": title, **place}))
        start += len(text) + 1
    return documents


@dataclass(frozen=True)
class Indexed:
    """A store and the chunks in it."""

    store: ChunkStore
    chunks: Sequence[Chunk]

    def answers(self, row: Row) -> bool:
        """Whether it holds a chunk from the place that the question is about."""
        return any(is_relevant(row, chunk) for chunk in self.chunks)


def is_relevant(row: Row, chunk: Chunk) -> bool:
    """Whether the chunk is from the right place."""
    if chunk.source != row.source or (row.pages and chunk.page not in row.pages):
        return False
    return not row.spans or any(chunk.start < last and chunk.end > first for first, last in row.spans)


@contextmanager
def indexed(
    documents: Sequence[Sequence[Document]], embedder: Remembered, split: Split = split_documents
) -> Iterator[Indexed]:
    """The documents in a store of their own."""
    found: list[Chunk] = []
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder, dimension=embedder.dimension, embedder=embedder.name)
        for pages in documents:
            source, chunks = pages[0].metadata["source"], split(pages)
            if not chunks:
                continue
            vectors = embedder.embed_array([chunk.indexed_text for chunk in chunks])
            texts = [Page(p.page_content, p.metadata["start"], p.metadata["page"]) for p in pages]
            store.add(Source(source, content_hash=source, chunks=len(chunks)), texts, chunks, vectors)
            found += chunks
        yield Indexed(store, found)
        store.close()


@contextmanager
def half(given: QuestionSet, embedder: Remembered, odd: int) -> Iterator[Indexed]:
    """The set without every second document; where they are few and long, without every second two chunks."""

    def some(pages: Sequence[Document]) -> list[Chunk]:
        return [chunk for n, chunk in enumerate(split_documents(pages)) if n // 2 % 2 == odd]

    many = len(given.documents) >= MANY
    documents = given.documents[odd::2] if many else given.documents
    with indexed(documents, embedder, split_documents if many else some) as kept:
        yield kept
