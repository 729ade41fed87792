"""What is put into the stores of these tests, and what is found of it."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.store import ChunkStore, Page, Source

DIMENSION = 16
WORDS = ["library", "bee", "honey", "river", "opening", "train", "ticket", "garden", "museum", "tea"]


def vectors_for(seed: int, count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def chunks_for(name: str, seed: int, count: int = 4) -> list[Chunk]:
    rng = random.Random(seed)
    return [
        Chunk(
            name,
            f"{' '.join(rng.choices(WORDS, k=8))} v{seed}n{i}",
            i * 100,
            i * 100 + 50,
            i + 1,
            name,
            "",
            name,
        )
        for i in range(count)
    ]


def put(store: ChunkStore, name: str, seed: int, count: int = 4) -> None:
    chunks = chunks_for(name, seed, count)
    pages = [Page(chunk.text, chunk.start, chunk.page) for chunk in chunks]
    store.add(Source(name, f"hash{seed}", name, location=name), pages, chunks, vectors_for(seed, count))


def texts(store: ChunkStore) -> set[str]:
    """The text of all chunks that a vector search can find."""
    return {hit.chunk.text for hit in store.search_vector(vectors_for(99, 1)[0], 10_000)}
