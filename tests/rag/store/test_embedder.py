"""Vectors of another embedding model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.reembed import reembed
from rag.store import EmbedderMismatchError, open_store
from rag.store_local import LocalStore, stored_embedder
from tests.rag.store.filling import chunks_for, put, texts


def test_another_embedder_is_refused_with_the_remedy(local: Callable[[], LocalStore], tmp_path: Path) -> None:
    assert stored_embedder(tmp_path) is None
    put(local(), "a.txt", 1)
    assert stored_embedder(tmp_path) == ("test", 16)
    with pytest.raises(EmbedderMismatchError, match="PARLEY_EMBEDDER=test") as caught:
        open_store(tmp_path, dimension=3, embedder="other")
    assert (caught.value.stored, caught.value.wanted) == ("test", "other")


def test_another_embedder_is_taken_from_the_stored_text(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    put(store, "a.txt", 1, count=300)
    embedded: list[str] = []

    def embed(some: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(some)
        return np.tile(np.eye(3, dtype=np.float32)[0], (len(some), 1))

    def fail(some: Sequence[str]) -> NDArray[np.float32]:
        if embedded:
            raise KeyboardInterrupt
        return embed(some)

    with pytest.raises(KeyboardInterrupt):
        reembed(tmp_path, fail, embedder="new", dimension=3)
    assert len(texts(store)) == 300  # the old vectors serve until all new ones are there
    steps: list[tuple[int, int]] = []
    made = reembed(tmp_path, embed, embedder="new", dimension=3, progress=lambda *step: steps.append(step))
    assert sorted(embedded) == sorted(chunk.indexed_text for chunk in chunks_for("a.txt", 1, 300))
    assert (made, steps) == (300 - 256, [(256, 300)])
    with pytest.raises(EmbedderMismatchError):
        store.search_text("library", 1)
    with closing(LocalStore(tmp_path, dimension=3, embedder="new")) as new:
        assert new.search_vector(np.eye(3, dtype=np.float32)[0], 500)[299].score == pytest.approx(1)
        assert new.search_text("v1n7", 1)[0].chunk.page == 8
    assert stored_embedder(tmp_path) == ("new", 3)
