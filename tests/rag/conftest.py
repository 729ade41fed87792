"""What many tests of documents begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.corpus import Corpus
from rag.store import open_store
from tests.rag.place import Place, WordHashes


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    embedder = WordHashes()
    store = open_store(tmp_path / "data", dimension=64, embedder="words")
    place = Place(tmp_path, store, embedder, Corpus(store, embedder, tmp_path / "data", size=200, overlap=20))
    yield place
    place.corpus.close()
    store.close()
