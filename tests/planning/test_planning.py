"""The plan of every well-known model on imagined machines, and how it is told."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import app
from engines import Engines
from planning.arrangement import Arrangement, arrange, device_of_parts, report
from planning.reporting import as_text, as_values, headline
from rag.llms.errors import LLMError, ModelUnavailable
from rag.llms.known import known_models
from rag.llms.machine import Machine, imagined
from rag.llms.plan import GIB, ROOMY, where
from rag.llms.shape import Shape, shape_of
from serving.server import say_plan
from settings import Settings, load_settings

MACHINES = {"1 × 8 GB": [8], "1 × 16 GB": [16], "2 × 16 GB": [16, 16], "1 × 24 GB": [24], "1 × 80 GB": [80]}
TABLE = Path(__file__).parents[2] / "docs" / "models.md"
MISTRAL = "mistralai/Mistral-7B-Instruct-v0.2"

# Parameters as the models' publishers count them, each weight once.
PARAMETERS = {
    "mistralai/Mistral-7B-Instruct-v0.2": 7_241_732_096,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "Qwen/Qwen1.5-1.8B-Chat": 1_836_828_672,
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B-Instruct": 14_770_033_664,
    "Qwen/Qwen2.5-72B-Instruct": 72_706_203_648,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "google/gemma-2-9b-it": 9_241_705_984,
    "google/gemma-3-1b-it": 999_885_952,
    "google/gemma-3-4b-it": 4_300_079_472,
    "microsoft/Phi-3.5-mini-instruct": 3_821_079_552,
    "microsoft/Phi-4-mini-instruct": 3_836_021_760,
}


@pytest.fixture(autouse=True)
def nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, no model on this disk, and nothing that a command sets for its process stays."""
    for name in list(os.environ):
        if name.startswith("PARLEY_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("rag.llms.hub._listing", lambda *_: pytest.fail("the hub was asked"))


@functools.cache
def shape(name: str) -> Shape:
    return shape_of(name)


def machine(*gpus: str, ram: str = "32GB") -> Machine:
    return imagined(gpus or ["0"], ram, Machine(element=4))


def settings(**flags: str) -> Settings:
    return load_settings(flags, env_file=None)


@functools.cache
def arranged(name: str, gpus: tuple[int, ...]) -> Arrangement:
    return arrange(settings(), machine(*(f"{size}GB" for size in gpus)), shape(name))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_facts_of_a_model_make_a_model_of_its_size(name: str) -> None:
    assert sum(weight.numel() for weight in shape(name).model.parameters()) == PARAMETERS[name]


def cell(name: str, gpus: tuple[int, ...]) -> str:
    """A plan in a table's cell: where, and how long a context."""
    plan = arranged(name, gpus).plan
    if plan is None:
        found = report(settings(), machine(*(f"{size}GB" for size in gpus)), name)
        smaller = next(way.setting for way in found.alternatives if way.kind == "smaller")
        return f"no; {smaller.rpartition('/')[2]}"
    beside = "" if arranged(name, gpus).device != "cpu" else "*"
    place = "" if len(gpus) == 1 else "GPU 0 · " if where(plan) == "GPU 0" else "both · "
    return f"{place}{plan.tokens:,}{beside}"


def table() -> str:
    columns = list(MACHINES)
    rows = [f"| model | weights | {' | '.join(columns)} |", "| --- | --- |" + " --- |" * len(columns)]
    for name in known_models():
        weights = arranged(name, (80,)).plan
        assert weights is not None
        cells = " | ".join(cell(name, tuple(sizes)) for sizes in MACHINES.values())
        rows.append(f"| {name} | {weights.facts.weights / GIB:.1f} GiB | {cells} |")
    return "\n".join(rows) + "\n"


def test_the_table_in_the_documentation_is_what_is_planned() -> None:
    assert table() in TABLE.read_text(encoding="utf-8"), (
        "python -m tests.planning.test_planning prints the table"
    )


@pytest.mark.parametrize(
    ("name", "gpus"), list(itertools.product(known_models(), map(tuple, MACHINES.values())))
)
def test_no_plan_takes_more_than_there_is(name: str, gpus: tuple[int, ...]) -> None:
    found = arranged(name, gpus)
    for device, free in found.machine.gpus.items():
        assert found.used(device) <= free
    if found.plan is not None and found.plan.tokens < min(ROOMY, found.plan.facts.window):
        assert found.device == "cpu"  # the model comes first


def test_on_two_gpus_the_rest_goes_on_the_other_one() -> None:
    found = arranged(MISTRAL, (16, 16))
    assert found.plan is not None
    assert (where(found.plan), found.device, found.plan.tokens) == ("GPU 0", 1, 32768)
    assert [part.role for part in found.on(1)] == ["hearing", "search"]
    assert [part.role for part in found.on("cpu")] == ["voice"]


def test_on_a_small_gpu_the_rest_goes_on_the_processor() -> None:
    found = arranged(MISTRAL, (8,))
    assert found.plan is not None
    assert (where(found.plan), found.device) == ("GPU 0", "cpu")
    assert {part.name for part in found.on("cpu")} >= {"faster-whisper:base", "all-MiniLM-L6-v2"}
    assert arranged(MISTRAL, (16,)).device == 0


def test_a_split_that_is_asked_for_leaves_room_for_the_rest() -> None:
    found = arrange(settings(gpu_layout="split"), machine("16GB", "16GB"), shape(MISTRAL))
    assert found.plan is not None
    assert where(found.plan) == "split over GPU 0 and 1"
    assert found.plan.tokens == 32768
    assert max(found.used(gpu) for gpu in (0, 1)) <= 15.7 * GIB


def plan(capsys: pytest.CaptureFixture[str], *arguments: str, expected: int = 0) -> str:
    assert app.main(["plan", *arguments]) == expected
    printed = capsys.readouterr()
    return printed.err if expected else printed.out


def test_the_command_says_what_goes_where(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys, MISTRAL, "--gpu", "16GB", "--gpu", "16GB", "--ram", "32GB")
    assert text.startswith(f"{MISTRAL} fits, in 4 bits (NF4), on GPU 0.\n")
    assert re.search(r"weights +3\.8 GiB\n +context +4\.0 GiB +for 32,768 tokens", text)
    assert re.search(r"^GPU 0: language model 9\.\d GiB; 6\.\d GiB of 15\.7 GiB left\.$", text, re.M)
    assert re.search(
        r"^GPU 1: hearing 2\.4 GiB \(faster-whisper:large-v3-turbo\), search 1\.0 GiB", text, re.M
    )
    otherwise = text.partition("Otherwise:\n")[2]
    kinds = ["a context of", "over all GPUs", "on the processor", "Qwen/Qwen2.5-3B", "a server", "quotations"]
    assert [re.search(re.escape(kind), otherwise) is not None for kind in kinds] == [True] * 6
    assert [otherwise.index(kind) for kind in kinds] == sorted(otherwise.index(kind) for kind in kinds)
    assert max(map(len, text.splitlines())) < 160


def test_json_is_one_object_with_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    assert app.main(["plan", MISTRAL, "--gpu", "16GB", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert (found["model"], found["fits"]) == (MISTRAL, True)
    assert found["plan"]["cache_bytes_per_token"] == 131072
    assert found["plan"]["weights_bytes"] == pytest.approx(4.13e9, rel=0.01)
    assert [device["device"] for device in found["devices"]] == ["cuda:0", "cpu"]
    assert all(device["used_bytes"] <= device["free_bytes"] for device in found["devices"])
    assert found["alternatives"][-1]["kind"] == "extractive"


def test_what_does_not_fit_says_so_and_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    text = plan(capsys, "Qwen/Qwen2.5-72B-Instruct", "--gpu", "16GB", "--gpu", "16GB", "--ram", "32GB")
    assert text.startswith("Qwen/Qwen2.5-72B-Instruct does not fit: in 4-bit NF4 its weights take 38.4 GiB")
    assert "too large  over all GPUs\n" in text
    assert "fits       Qwen/Qwen2.5-32B-Instruct in 4 bits (NF4)" in text


def test_a_first_generation_qwen_is_planned_as_the_one_of_its_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = plan(capsys, "Qwen/Qwen-7B-Chat", "--gpu", "16GB")
    assert "first generation, which no longer runs. Use Qwen/Qwen2.5-7B-Instruct instead." in text
    assert "Qwen/Qwen2.5-7B-Instruct fits, in 4 bits (NF4), on GPU 0." in text


def test_without_a_model_it_plans_what_would_be_opened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert plan(capsys, "--gpu", "8GB").startswith(f"{MISTRAL} fits")
    assert plan(capsys, "--gpu", "none").startswith("Answers are quotations")
    assert plan(capsys, "--llm", "remote", "--gpu", "16GB").startswith("Answers come from a server")
    assert "on CPU" in plan(capsys, "--llm", "smollm2", "--gpu", "0")


def test_wrong_sizes_and_unknown_models_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'much' is not a size of memory. Write it as 16GB" in plan(
        capsys, MISTRAL, "--gpu", "much", expected=1
    )
    assert "There is no model 'nothing'" in plan(capsys, "nothing", expected=1)
    with pytest.raises(ModelUnavailable, match="network is switched off"):
        report(settings(offline="1"), machine(), "org/unknown")
    with pytest.raises(LLMError):
        imagined(["-1GB"], None, Machine())


def test_the_headline_is_two_lines() -> None:
    found = report(settings(), machine("16GB", "16GB"), MISTRAL)
    first, second = headline(found)
    assert first == (
        f"{MISTRAL} in 4 bits (NF4), on GPU 0: 3.8 GiB of weights, 4.0 GiB for a context of 32,768 tokens."
    )
    assert second.startswith("GPU 0: language model 9.")
    assert as_text(found)
    assert as_values(found)["note"] == ""


@pytest.mark.parametrize(
    ("gpus", "device"), [({}, None), ({0: 8}, "cpu"), ({0: 16}, "cuda:0"), ({0: 16, 1: 16}, "cuda:1")]
)
def test_the_other_parts_are_opened_where_they_are_planned(
    gpus: dict[int, int], device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speech.asr._device", lambda asked: asked or ("cuda" if gpus else "cpu"))
    free = {gpu: int(0.98 * size * GIB) for gpu, size in gpus.items()}
    monkeypatch.setattr("rag.llms.machine.free_gpu_memory", lambda: free)
    assert device_of_parts(settings()) == device
    engines = Engines(settings())
    opened: list[str | None] = []

    def open_part(*_: object, device: str | None = None, **__: object) -> MagicMock:
        opened.append(device)
        return MagicMock()

    for opener in ("rag.embeddings.open_embedder", "speech.asr.open_transcriber"):
        monkeypatch.setattr(opener, open_part)
    engines.embedder.get()
    engines.hearing.transcriber.get()
    assert opened == [device, device]


def test_a_model_that_cannot_be_planned_leaves_the_choice_to_the_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("speech.asr._device", lambda asked: asked or "cuda")
    monkeypatch.setattr("rag.llms.machine.free_gpu_memory", lambda: {0: 8 * GIB})
    assert device_of_parts(settings(llm="org/unknown", offline="1")) is None


def test_the_server_says_the_plan_before_it_opens_the_model(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rag.llms.machine.free_gpu_memory", lambda: {0: 16 * GIB, 1: 16 * GIB})
    caplog.set_level("INFO")
    say_plan(settings())
    first, second = (record.message for record in caplog.records if record.name == "serving.server")
    assert first.startswith(f"{MISTRAL} in 4 bits (NF4), on GPU 0: 3.8 GiB of weights")
    assert "GPU 1: hearing 2.4 GiB" in second
    caplog.clear()
    say_plan(settings(llm="org/unknown", offline="1"))
    assert not [record for record in caplog.records if record.name == "serving.server"]


if __name__ == "__main__":
    print(table())  # noqa: T201
