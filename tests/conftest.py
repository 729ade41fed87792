"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import hypothesis
import pytest

from rag.embeddings import MINILM, Embedder, open_embedder

hypothesis.settings.register_profile("parley", deadline=None)  # machines are busy; a slow example is no fault
hypothesis.settings.load_profile("parley")


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The real all-MiniLM-L6-v2 from its package, on the CPU; loaded once for all tests."""
    return open_embedder(MINILM, device="cpu", offline=True)
