"""Tiny models, made once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.llms.local import LocalChatModel
from tests.models import open_tiny, tiny_base, tiny_mistral, tiny_qwen


@pytest.fixture(scope="session")
def mistral_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mistral(tmp_path_factory.mktemp("mistral"))


@pytest.fixture(scope="session")
def qwen_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def mistral(mistral_path: Path) -> LocalChatModel:
    return open_tiny(mistral_path, max_new_tokens=24)


@pytest.fixture(scope="session")
def qwen(qwen_path: Path) -> LocalChatModel:
    return open_tiny(qwen_path, max_new_tokens=24)


@pytest.fixture(scope="session")
def base(base_path: Path) -> LocalChatModel:
    return open_tiny(base_path, max_new_tokens=24)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    """A model whose prompt pass and whose answer take long enough to be stopped in the middle."""
    path = tiny_mistral(tmp_path_factory.mktemp("slow"), layers=16, hidden=256, window=16384)
    return open_tiny(path, max_new_tokens=8000)
