"""Tiny models, made once for all tests here, and a hub that has one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.llms.alone import Alone
from rag.llms.local import LocalChatModel
from tests.models import open_tiny, tiny_base, tiny_mistral, tiny_qwen
from tests.rag.llms.hubs import Hub

NO_TOKEN = 5000  # beyond the vocabulary


@pytest.fixture(scope="session")
def mistral_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mistral(tmp_path_factory.mktemp("mistral"))


@pytest.fixture(scope="session")
def qwen_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session", params=["batch", "alone"])
def writes(request: pytest.FixtureRequest) -> str:
    """The two ways of writing, which are one to whoever reads."""
    return str(request.param)


def opened(path: Path, writes: str, **writing: Any) -> LocalChatModel:
    llm = open_tiny(path, **writing)
    return alone(llm) if writes == "alone" else llm


def alone(llm: LocalChatModel) -> LocalChatModel:
    model = llm.loaded.model
    llm._writer = Alone(model, model.generation_config.eos_token_id, llm.loaded.checkpoints)
    return llm


@pytest.fixture(scope="session")
def mistral(mistral_path: Path, writes: str) -> LocalChatModel:
    return opened(mistral_path, writes, max_new_tokens=24)


@pytest.fixture(scope="session")
def qwen(qwen_path: Path, writes: str) -> LocalChatModel:
    return opened(qwen_path, writes, max_new_tokens=24)


@pytest.fixture(scope="session")
def base(base_path: Path, writes: str) -> LocalChatModel:
    return opened(base_path, writes, max_new_tokens=24)


@pytest.fixture(scope="session")
def slow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mistral(tmp_path_factory.mktemp("slow"), layers=16, hidden=256, window=16384)


@pytest.fixture(scope="session")
def slow(slow_path: Path, writes: str) -> LocalChatModel:
    """A model whose prompt pass and whose answer take long enough to be stopped in the middle."""
    return endless(slow_path, writes)


def endless(path: Path, writes: str = "batch") -> LocalChatModel:
    """It draws its tokens, for what a random model finds likeliest soon repeats itself; it draws no end."""
    llm = open_tiny(path)
    llm.loaded.model.generation_config.eos_token_id = [NO_TOKEN]
    slow = LocalChatModel(loaded=llm.loaded, max_new_tokens=8000, temperature=2.0, top_k=0)
    return alone(slow) if writes == "alone" else slow


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return folder


@pytest.fixture
def hub(cache: Path, mistral_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    server.folder = tmp_path / "repository"
    shutil.copytree(mistral_path, server.folder)
    (server.folder / "consolidated.safetensors").write_bytes(b"x" * 1000)
    (server.folder / "README.md").write_text("readme")
    (server.folder / "code.py").write_text("raise SystemExit")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
