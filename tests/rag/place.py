"""Folders, a store, and the corpus that keeps one equal to the other; the embedder costs nothing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.corpus import Corpus
from rag.store import ChunkStore

PARAGRAPH = "The museum opens at nine, and its garden is free of charge for everybody who comes by train. "


@dataclass
class WordHashes:
    """A true embedder, if a plain one: words hashed into a vector. It counts what it is given."""

    texts: list[str] = field(default_factory=list)

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        rows = np.full((len(texts), 64), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                rows[row, zlib.crc32(word.encode("utf-8", "replace")) % 64] += 1
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


@dataclass
class Place:
    """A data folder, two corpus folders, and what works on them."""

    root: Path
    store: ChunkStore
    embedder: WordHashes
    corpus: Corpus

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def names(self) -> list[str]:
        return sorted(source.source for source in self.store.sources())

    def counts(self, *folders: str) -> tuple[int, ...]:
        """added, updated, moved, removed, unchanged, failed"""
        r = self.corpus.sync([self.root / folder for folder in folders] or None)
        return r.added, r.updated, r.moved, r.removed, r.unchanged, len(r.failed)

    def embedded(self) -> int:
        """How many texts were embedded since the last call."""
        count, self.embedder.texts = len(self.embedder.texts), []
        return count
