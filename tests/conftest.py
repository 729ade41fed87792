"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from rag.embeddings import MINILM, Embedder, open_embedder

TESTS = Path(__file__).parent
LONGEST = (  # files that take longest; a file is one worker's, so whatever is long must not be begun last
    *("ui/test_live.py", "bench/test_gpu.py", "rag/test_hostile_documents.py", "planning/test_planning.py"),
    *("rag/llms/test_local.py", "rag/llms/test_load.py", "rag/llms/test_remote.py", "rag/llms/test_batch.py"),
    *("engines/test_language_model.py", "engines/test_swaps.py", "engines/test_engines.py"),
    *("speech/test_asr.py", "test_app.py", "ui/test_web.py", "ui/test_evaluation.py"),
    *("browser/test_end_to_end.py", "browser/test_office.py", "browser/test_conversation.py"),
    *("browser/test_evaluation.py", "browser/test_pages.py", "browser/test_documents.py"),
)
if "PYTEST_XDIST_WORKER" in os.environ:  # the others have the other cores; torch reads it when it is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")
hypothesis.settings.register_profile("parley", deadline=None)  # machines are busy; a slow example is no fault
hypothesis.settings.load_profile("parley")


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The real all-MiniLM-L6-v2 from its package, on the CPU; loaded once for all tests."""
    return open_embedder(MINILM, device="cpu", offline=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they come."""
    rank = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
