"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import pytest

from rag.embeddings import MINILM, Embedder, open_embedder


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The real all-MiniLM-L6-v2 from its package, on the CPU; loaded once for all tests."""
    return open_embedder(MINILM, device="cpu", offline=True)
