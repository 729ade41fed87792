"""A store of each kind, and the local one, opened as often as a test likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag.store import ENGINES, ChunkStore, open_store
from rag.store_local import LocalStore
from tests.rag.store.filling import DIMENSION


@pytest.fixture(params=list(ENGINES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ChunkStore]]:
    """Opens the store under test; a second call opens the same one again."""
    stores: list[ChunkStore] = []

    def again() -> ChunkStore:
        stores.append(open_store(f"{request.param}://{tmp_path}", dimension=DIMENSION, embedder="test"))
        return stores[-1]

    yield again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], ChunkStore]) -> ChunkStore:
    return opened()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[[], LocalStore]]:
    stores: list[LocalStore] = []

    def again() -> LocalStore:
        stores.append(LocalStore(tmp_path, dimension=DIMENSION, embedder="test"))
        return stores[-1]

    yield again
    for store in stores:
        store.close()
