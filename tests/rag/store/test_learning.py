"""A large vector index, which learns in the background while the old one serves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rag import store_vectors
from rag.store import ChunkStore, Source
from rag.store_local import LocalStore
from tests.rag.store.filling import DIMENSION, chunks_for, texts, vectors_for


def topics(seed: int, count: int) -> NDArray[np.float32]:
    """Unit vectors around 40 directions, as those of texts on 40 subjects are."""
    rng = np.random.default_rng(seed)
    rows = vectors_for(0, 40)[rng.integers(40, size=count)] + rng.normal(0, 0.15, (count, DIMENSION))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def put_topics(store: ChunkStore, name: str, seed: int, count: int) -> None:
    store.add(Source(name, f"hash{seed}"), [], chunks_for(name, seed, count), topics(seed, count))


def cells_when_learnt(store: LocalStore) -> int:
    store.search_vector(topics(1, 1)[0], 1)
    assert store.wait_until_learnt(60)
    return store._derived._vectors.cells


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large for an index in these tests."""
    monkeypatch.setattr(store_vectors, "EXACT", 500)


@pytest.mark.usefixtures("large")
def test_a_large_index_is_kept_in_cells_and_finds_what_an_exact_one_finds(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    for seed in range(4):
        put_topics(store, f"{seed}.txt", seed, 500)
    assert cells_when_learnt(store)
    store.delete("1.txt")
    put_topics(store, "2.txt", 12, 300)
    matrix = np.concatenate([topics(0, 500), topics(3, 500), topics(12, 300)])
    names = [chunk.text for seed, n in ((0, 500), (3, 500), (12, 300)) for chunk in chunks_for("", seed, n)]
    for opened in (store, local()):
        found = 0
        for query in topics(99, 50):
            best = [names[i] for i in np.argsort(-(matrix @ query))[:10]]
            hits = opened.search_vector(query, 10)
            found += len(set(best) & {hit.chunk.text for hit in hits})
            assert [hit.score for hit in hits] == pytest.approx(
                [float(matrix[names.index(hit.chunk.text)] @ query) for hit in hits], abs=2e-3
            )
        assert found >= 490
        assert texts(opened) == set(names)  # of more than the nearest cells hold, all
        opened.close()
    assert local()._derived._vectors.cells


@pytest.mark.usefixtures("large")
def test_an_index_that_grew_or_shrank_much_is_made_anew(local: Callable[[], LocalStore]) -> None:
    store = local()
    put_topics(store, "a.txt", 1, 600)
    few = cells_when_learnt(store)
    put_topics(store, "b.txt", 2, 2400)
    assert cells_when_learnt(store) > 2 * few
    store.delete("b.txt")
    store.delete("a.txt")
    put_topics(store, "c.txt", 3, 50)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 3, 50)}
    assert cells_when_learnt(store) == 0
    assert texts(store) == {chunk.text for chunk in chunks_for("", 3, 50)}


@pytest.mark.usefixtures("large")
def test_what_changes_while_the_index_learns_is_not_lost(
    local: Callable[[], LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    learning, go_on = threading.Event(), threading.Event()
    learn = store_vectors.VectorIndex._learn

    def slowly(index: store_vectors.VectorIndex, *args: Any) -> NDArray[np.float32]:
        learning.set()
        assert go_on.wait(60)
        return learn(index, *args)

    monkeypatch.setattr(store_vectors.VectorIndex, "_learn", slowly)
    store = local()
    put_topics(store, "a.txt", 1, 600)
    store.search_vector(topics(1, 1)[0], 1)
    assert learning.wait(60)
    put_topics(store, "a.txt", 2, 700)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 2, 700)}  # the old one serves
    assert not store._derived._vectors.cells
    go_on.set()
    assert cells_when_learnt(store)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 2, 700)}


@pytest.mark.usefixtures("large")
def test_a_store_that_is_closed_while_its_index_learns_learns_the_next_time(
    local: Callable[[], LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_vectors, "_ROUNDS", 1_000_000)
    store = local()
    put_topics(store, "a.txt", 1, 600)
    store.search_vector(topics(1, 1)[0], 1)
    assert store._derived._learning
    store.close()
    monkeypatch.undo()
    monkeypatch.setattr(store_vectors, "EXACT", 500)
    again = local()
    assert not again._derived._vectors.cells
    assert cells_when_learnt(again)
    assert len(texts(again)) == 600
