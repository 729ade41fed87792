"""What is said of a model before it is fetched or loaded: where it goes, how large it is, why it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from rag.llms import DoesNotFit, ModelUnavailable, download_size, open_llm, outlook
from rag.llms.hub import bundled, find
from rag.llms.machine import cpu_dtype
from rag.llms.plan import GIB
from tests.models import open_tiny
from tests.rag.llms.hubs import Hub
from tests.rag.llms.test_plan import MISTRAL_7B

WEIGHTS = "model.safetensors"


@pytest.fixture
def large(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub whose model says that it is a Mistral-7B, on a machine without a GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    (hub.folder / "config.json").write_text(json.dumps(config | MISTRAL_7B))
    return hub


def with_memory(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=int(size * GIB)))


def test_a_model_on_the_hub_is_placed_by_its_configuration_alone(
    large: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory(monkeypatch, 8)
    size = download_size("org/tiny-instruct")
    found = outlook("org/tiny-instruct", token="hf_secret")
    assert (found.name, found.where, found.download_bytes) == ("org/tiny-instruct", "CPU", size)
    assert found.weights_bytes == pytest.approx(3.84 * GIB, rel=0.2)  # NF4, and float32 embeddings
    assert 2048 <= found.window <= 32768
    assert large.fetched == ["config.json"]
    assert large.tokens[-1] == "Bearer hf_secret"


@pytest.mark.parametrize("opening", [outlook, open_llm])
def test_what_does_not_fit_is_not_downloaded(
    large: Hub, monkeypatch: pytest.MonkeyPatch, opening: Callable[..., object]
) -> None:
    with_memory(monkeypatch, 3)
    with pytest.raises(DoesNotFit, match=r"org/tiny-instruct does not fit.*What to do"):
        opening("org/tiny-instruct")
    assert large.fetched == ["config.json"]


@pytest.mark.parametrize(
    ("gpus", "layout", "where"),
    [
        ([16], "auto", "GPU 0"),
        ([9, 14], "auto", "GPU 1"),
        ([5.5, 5.5], "auto", "split over GPU 0 and 1"),
        ([16, 16, 16], "split", "split over GPU 0, 1 and 2"),
    ],
)
def test_the_place_among_gpus_is_named(
    large: Hub, monkeypatch: pytest.MonkeyPatch, gpus: list[float], layout: str, where: str
) -> None:
    free = {index: int(size * GIB) for index, size in enumerate(gpus)}
    monkeypatch.setattr("rag.llms.machine.free_gpu_memory", lambda: free)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    found = outlook("org/tiny-instruct", gpu_layout=layout)  # type: ignore[arg-type]  # a parameter is a str
    assert found.where == where
    assert found.weights_bytes == pytest.approx(3.84 * GIB, rel=0.01)


def test_a_gpu_that_is_too_small_is_said_before_the_download(
    large: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.llms.machine.free_gpu_memory", lambda: {0: 4 * GIB})
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    with pytest.raises(DoesNotFit, match=r"NF4.*4\.0 GiB of free GPU memory.*use Qwen/Qwen2\.5-3B-Instruct"):
        outlook("org/tiny-instruct")
    assert large.fetched == ["config.json"]


@pytest.mark.parametrize("opening", [outlook, open_llm])
def test_gated_files_behind_an_open_listing_are_said_before_the_download(
    hub: Hub, opening: Callable[..., object]
) -> None:
    assert download_size("org/tiny-instruct") > 0
    hub.file_status, hub.gated = 401, True
    with pytest.raises(ModelUnavailable, match=r"gated \(401\).*HF_TOKEN"):
        opening("org/tiny-instruct")
    assert hub.fetched == []


def test_a_full_disk_and_a_repository_without_a_configuration_are_said(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        with pytest.raises(ModelUnavailable, match="Make room"):
            outlook("org/tiny-instruct")
    (hub.folder / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"no config\.json.*another model"):
        outlook("org/tiny-instruct")


def test_after_the_download_the_outlook_is_what_is_loaded(hub: Hub) -> None:
    before = outlook("org/tiny-instruct")
    folder = find("org/tiny-instruct")
    asked = len(hub.tokens)
    for name in ("org/tiny-instruct", str(folder)):
        after = outlook(name, offline=True)
        assert (after.where, after.weights_bytes) == (before.where, before.weights_bytes)
        assert after.download_bytes == 0
    assert len(hub.tokens) == asked
    model = open_tiny(folder)
    assert (model.context_window, sum(model.loaded.plan.weights.values())) == (
        before.window,
        before.weights_bytes,
    )


def test_quotations_are_no_model() -> None:
    with pytest.raises(ModelUnavailable, match="Set PARLEY_LLM"):
        outlook("extractive")


def test_a_gguf_file_has_an_outlook_by_name_and_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    by_name = outlook("smollm2", offline=True)
    assert (by_name.where, by_name.window, by_name.download_bytes) == ("CPU", 8192, 0)
    assert by_name.weights_bytes == pytest.approx(134.5e6 * cpu_dtype().itemsize, rel=0.01)
    by_path = outlook(str(bundled()), offline=True)
    assert (by_path.weights_bytes, by_path.window) == (by_name.weights_bytes, by_name.window)
