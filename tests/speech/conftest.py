"""What tests of several voices have in common: no proxy before loopback, and a small Kokoro."""

from __future__ import annotations

import sys

import huggingface_hub
import pytest

from tests.speech import fake_kokoro


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def kokoro_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in fake_kokoro.modules().items():
        monkeypatch.setitem(sys.modules, name, module)

    def download(repo_id: str, filename: str, local_files_only: bool = False) -> str:
        if local_files_only and "absent" in filename:
            raise OSError("not cached")
        return f"/cache/{filename}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    fake_kokoro.KPipeline.spoken.clear()
