"""Finding a model: the cache, a hub that is a real HTTP server on loopback, and each way it fails."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.llms import ModelUnavailable, cached_instruct_model, download_size, open_llm, outlook, resolve
from rag.llms.hub import cached_folder, find, needed_files, within
from tests.rag.llms.hubs import Hub, put_in_cache


def test_a_download_names_its_size_and_fetches_what_is_needed(hub: Hub) -> None:
    weights = (hub.folder / "model.safetensors").stat().st_size
    size = download_size("org/tiny-instruct", token="hf_secret")
    assert weights < size < weights + 100_000
    folder = find("org/tiny-instruct", token="hf_secret")
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert names.isdisjoint({"consolidated.safetensors", "README.md", "code.py"})
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert sum(file.stat().st_size for file in folder.iterdir()) == size
    assert download_size("org/tiny-instruct") == 0


def test_what_is_cached_asks_nobody(hub: Hub) -> None:
    find("org/tiny-instruct")
    asked = len(hub.tokens)
    llm = open_llm("org/tiny-instruct", offline=True, max_new_tokens=4)
    assert llm.invoke("Who?").content
    find("org/tiny-instruct")
    assert len(hub.tokens) == asked


@pytest.mark.parametrize(
    ("status", "gated", "token", "message"),
    [
        (401, True, None, r"gated \(401\): accept its terms at https://huggingface.co/org/x.*HF_TOKEN"),
        (
            403,
            True,
            "hf_secret",
            r"no access to it \(403\)\. Accept its terms at https://huggingface.co/org/x",
        ),
        (404, False, None, r"no model org/x.*spelling.*HF_TOKEN"),
        (500, False, None, r"hub failed for org/x \(HTTP 500\).*later"),
    ],
)
def test_each_refusal_says_what_to_do(
    hub: Hub, status: int, gated: bool, token: str | None, message: str
) -> None:
    hub.status, hub.gated = status, gated
    with pytest.raises(ModelUnavailable, match=message) as caught:
        find("org/x", token=token)
    assert "hf_secret" not in str(caught.value)


def test_a_gated_file_behind_an_open_listing(hub: Hub) -> None:
    hub.file_status, hub.gated = 401, True
    with pytest.raises(ModelUnavailable, match=r"gated \(401\)"):
        find("org/tiny-instruct")


def test_a_full_disk_is_said_before_the_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(ModelUnavailable, match=r"download of 0\.0 GB.*Make room"):
        find("org/tiny-instruct")


def test_a_repository_of_gguf_files_says_so(hub: Hub) -> None:
    (hub.folder / "model.safetensors").unlink()
    (hub.folder / "tiny.Q4.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelUnavailable, match="only GGUF files: download one"):
        download_size("org/tiny-instruct")


def test_no_network_is_said_within_seconds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            "huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}"
        )
        start = time.perf_counter()
        with pytest.raises(ModelUnavailable, match=r"hub cannot be reached.*smollm2, extractive"):
            find("org/x")
    assert time.perf_counter() - start < 6


def test_a_hub_that_never_answers_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llms.hub.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            download_size("org/x")


def test_within_gives_up_on_what_hangs_and_passes_errors_on() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, release.wait)
    release.set()
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_offline_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match=r"network is switched off.*PARLEY_OFFLINE=0"):
        find("org/tiny-instruct", offline=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match=r"switched off\. Allow the network once.*or choose smollm2"):
        download_size("org/tiny-instruct")
    assert hub.tokens == []


@pytest.mark.parametrize("opening", [open_llm, outlook, download_size])
@pytest.mark.parametrize("name", ["mistal", "no/such.gguf", "remotely", "a/b/c"])
def test_an_unknown_name_lists_the_choices_and_asks_nobody(
    hub: Hub, opening: Callable[..., object], name: str
) -> None:
    choices = rf"no model '{name}'.*auto, extractive, smollm2, remote\[:MODEL\], org/name.*folder or a \.gguf"
    for offline in (False, True):
        with pytest.raises(ModelUnavailable, match=choices):
            opening(name, offline=offline)
    assert hub.tokens == []


def test_a_half_downloaded_model_is_not_cached(cache: Path, mistral_path: Path) -> None:
    folder = put_in_cache(cache, "org/half-instruct", mistral_path)
    assert cached_folder("org/half-instruct") == folder
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_bytes(b"")
    assert cached_folder("org/half-instruct") is None
    (folder / "model-2.safetensors").write_bytes(b"")
    assert cached_folder("org/half-instruct") == folder


def test_auto_takes_the_largest_cached_instruct_model_of_a_size_that_is_allowed(
    cache: Path, mistral_path: Path, qwen_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve("auto") == "extractive"
    with pytest.raises(ModelUnavailable, match="No language model is at hand"):
        open_llm("auto")
    put_in_cache(cache, "org/small-base", mistral_path)
    assert cached_instruct_model() is None
    put_in_cache(cache, "org/small-instruct", mistral_path)
    large = put_in_cache(cache, "org/Large-Chat", qwen_path)
    (large / "extra.json").write_bytes(b" " * 500_000)
    put_in_cache(cache, "Qwen/Qwen-7B-Chat", mistral_path)
    assert cached_instruct_model() == "org/Large-Chat"
    assert cached_instruct_model(limit_bytes=900_000) == "org/small-instruct"
    assert resolve("auto", offline=True) == "org/Large-Chat"
    assert resolve("remote") == "remote"


def test_with_a_gpu_auto_is_mistral_if_it_can_be_had(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve("auto") == "mistralai/Mistral-7B-Instruct-v0.2"
    assert resolve("auto", offline=True) == "extractive"


def test_needed_files_prefer_safetensors_and_leave_code_unless_trusted() -> None:
    files = [
        "config.json",
        "model-1.safetensors",
        "pytorch_model.bin",
        "own.py",
        "onnx/model.onnx",
        "vocab.txt",
    ]
    assert needed_files(files) == ["config.json", "vocab.txt", "model-1.safetensors"]
    assert "own.py" in needed_files(files, own_code=True)
    assert needed_files(["config.json", "pytorch_model.bin"])[-1] == "pytorch_model.bin"
