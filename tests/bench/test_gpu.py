"""`bench --gpu` from end to end, on the CPU with tiny shapes."""

from __future__ import annotations

import json
import math
import tempfile
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

import app
from bench import decoding, gpu
from bench.decoding import Work
from bench.gpu import GpuBenchError, Shapes
from bench.prompts import sample_texts
from bench.shapes import save_causal, size_on_disk
from rag.llms import DoesNotFit
from rag.llms.run import THREAD
from settings import Settings, load_settings
from tests.speech_models import tiny_whisper

# openai-whisper leaves its token file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")

WORK = Work(tokens=12, together=(1, 3), context=256, alone=2)
Figures = dict[str, Any]


def tiny_mistral() -> Any:
    from transformers import MistralConfig

    return MistralConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        sliding_window=None,
        eos_token_id=2,
    )


def tiny_shapes() -> Shapes:
    from transformers import MPNetConfig

    embedder = MPNetConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=514,
    )
    return Shapes(tiny_mistral(), tiny_whisper(), embedder, chunks=40, work=WORK)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        measured = gpu.bench_gpu(load_settings(), tiny_shapes(), device="cpu")
    assert not list(temporary.glob("parley-*"))
    assert THREAD not in {thread.name for thread in threading.enumerate()}
    return measured


def test_every_figure_is_there_and_is_json(figures: Figures) -> None:
    documented = Path("docs/performance.md").read_text(encoding="utf-8")
    for stem in ("weights_gb", "peak_planned_gb", "embedder_chunks_per_s", "not_given_back_gb"):
        assert stem in figures
        assert stem in documented
    assert not [name for name in figures if name.endswith("not_measured")]
    assert all(math.isfinite(value) for value in figures.values() if isinstance(value, int | float))
    assert json.loads(json.dumps(figures)) == figures


def test_the_prompts_are_those_of_the_page(figures: Figures) -> None:
    assert 500 < figures["prompt_tokens"] < 2000


def test_speeds_are_plausible(figures: Figures) -> None:
    speeds = {name: value for name, value in figures.items() if name.endswith("tokens_per_s")}
    assert set(speeds) == {
        f"{name}_tokens_per_s"
        for name in (
            "at_once_1",
            "at_once_3",
            "greedy",
            "greedy_no_lookup",
            "pipeline",
            "pipeline_no_penalty",
        )
    }
    assert all(0 < speed < 1e5 for speed in speeds.values())
    assert figures["at_once_3_times_1"] == pytest.approx(
        speeds["at_once_3_tokens_per_s"] / speeds["at_once_1_tokens_per_s"], abs=0.01
    )
    assert 0 < figures["at_once_3_first_token_s"] <= figures["at_once_3_last_first_token_s"]
    assert figures["at_once_3_last_first_token_s"] < 3 * WORK.tokens / speeds["at_once_3_tokens_per_s"]


def test_greedy_is_the_pipelines_text(figures: Figures) -> None:
    """In bfloat16 a near tie may end the likeness; the first token has none to build on."""
    for name in ("greedy_same_tokens", "greedy_no_lookup_same_tokens"):
        assert len(figures[name]) == WORK.alone
        assert all(1 <= same <= WORK.tokens for same in figures[name])


def test_memory_is_planned(figures: Figures) -> None:
    keys_and_values = 2 * 2 * 2 * 16 * 256  # layers, both, heads, width, tokens
    planned = 1e9 * (figures["with_context_planned_gb"] - figures["weights_planned_gb"])
    assert planned / keys_and_values in (pytest.approx(2, rel=0.1), pytest.approx(4, rel=0.1))  # bytes each
    assert figures["peak_gb"] > 0
    assert figures["peak_planned_gb"] > figures["with_context_planned_gb"]


def test_speech_and_chunks(figures: Figures) -> None:
    for seconds in gpu.AUDIO:
        assert 0 < figures[f"whisper_{seconds}_s_of_speech_s"] < 60
        assert figures[f"whisper_{seconds}_s_of_speech_characters"] > 0
    assert figures["embedder_chunks_per_s"] > 0


def test_the_real_shape_is_the_published_one() -> None:
    assert size_on_disk(Shapes().llm) == 2 * 7_241_732_096


def test_weights_are_written_a_layer_at_a_time(tmp_path: Path) -> None:
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    folder = save_causal(tmp_path, tiny_mistral(), "cpu", list(sample_texts()))
    model = AutoModelForCausalLM.from_pretrained(folder)
    names: list[set[str]] = []
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as shard:
            names.append(set(shard.keys()))
    assert set.union(*names) == {name for name, _ in model.named_parameters()}
    assert sorted({name.split(".")[2] for name in shard if ".layers." in name} for shard in names) == [
        set(),
        {"0"},
        {"1"},
    ]
    drawn = model.model.layers[0].mlp.up_proj.weight.detach().float()
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.1)
    assert float(model.model.norm.weight.detach().min()) == 1.0


def test_without_a_gpu_one_line_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert app.main(["bench", "--gpu", "--json"]) == 1
    said = capsys.readouterr()
    assert not said.out
    (line,) = said.err.splitlines()
    assert "needs a CUDA GPU" in line
    assert "run app.py bench" in line


def test_too_little_disk_is_said_first(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(15_000_000_000))
    with pytest.raises(GpuBenchError, match=r"takes 15\.5 GB.*15\.0 GB free.*TMPDIR"):
        gpu.bench_gpu(load_settings(), Shapes(), device="cpu")
    assert not list(temporary.glob("parley-*"))


def test_what_cannot_be_measured_is_named(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Figures:
        raise DoesNotFit("It does not fit.")

    for part in ("_llm", "_whisper"):
        monkeypatch.setattr(gpu, part, refuse)
    monkeypatch.setattr(gpu, "_embedder", lambda *_: {"embedder_chunks_per_s": 1})
    found = gpu.bench_gpu(load_settings(), tiny_shapes(), device="cpu")
    assert found["language_model_not_measured"] == "It does not fit."
    assert found["embedder_chunks_per_s"] == 1


def test_ctrl_c_leaves_nothing_behind(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of several answers."""

    def interrupted(run: Any, asked: float) -> Any:
        next(iter(run))
        raise KeyboardInterrupt

    made: list[Path] = []

    def prompts(settings: Settings, data: Path, count: int) -> list[Any]:
        from langchain_core.messages import HumanMessage

        made.append(data.parent)
        return [[HumanMessage(f"Question {number}")] for number in range(count)]

    monkeypatch.setattr(decoding, "_read", interrupted)
    monkeypatch.setattr(gpu, "sample_prompts", prompts)
    with pytest.raises(KeyboardInterrupt):
        gpu.bench_gpu(load_settings(), tiny_shapes(), device="cpu")
    assert made
    assert not list(temporary.glob("parley-*"))
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(10)
            assert not thread.is_alive()
