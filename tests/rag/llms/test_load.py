"""Loading by path: quantization, dtypes, GGUF, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rag.llms import DoesNotFit, ModelUnavailable, load, machine, open_llm
from rag.llms.hub import bundled
from rag.llms.local import LocalChatModel
from rag.llms.plan import GIB
from tests.models import open_tiny, smollm2


def kinds(llm: LocalChatModel) -> set[str]:
    return {type(module).__name__ for module in llm.loaded.model.model.layers.modules()}


def test_nf4_packs_the_layers_with_double_quantization(mistral_path: Path) -> None:
    import torch

    loaded = load.load("tiny", mistral_path, quantize="nf4")
    weight = loaded.model.model.layers[0].mlp.up_proj.weight  # as it is until it first computes
    assert weight.dtype == torch.uint8
    assert weight.quant_state.quant_type == "nf4"
    assert weight.quant_state.nested
    assert type(loaded.model.lm_head).__name__ == "Linear"
    llm = LocalChatModel(loaded=loaded, max_new_tokens=8)
    assert "Linear4bit" in kinds(llm)
    assert llm.invoke("Who?").content


def test_nf4_computes_in_bfloat16_where_the_processor_does(
    mistral_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for able, dtype in (({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert machine.cpu_dtype() == dtype
        options = load.quantization("nf4", dtype)
        assert options.bnb_4bit_compute_dtype == dtype
        assert options.bnb_4bit_use_double_quant
        assert options.bnb_4bit_quant_type == "nf4"


def test_int8_and_none(mistral_path: Path) -> None:
    eight = open_tiny(mistral_path, quantize="int8", max_new_tokens=8)
    assert "Linear8bitLt" in kinds(eight)
    assert eight.invoke("Who?").content
    assert kinds(open_tiny(mistral_path, quantize="none")).isdisjoint({"Linear4bit", "Linear8bitLt"})


def test_without_a_gpu_a_model_that_fits_is_not_quantized(
    mistral_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Linear4bit" not in kinds(open_tiny(mistral_path))
    facts = open_tiny(mistral_path).loaded.plan.facts
    free = int((facts.least - 1) / machine.CPU_SHARE)  # room for packed weights, not for whole ones
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
    assert "Linear4bit" in kinds(open_tiny(mistral_path))


def test_a_model_larger_than_the_memory_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "model_type": "mistral",
        "architectures": ["MistralForCausalLM"],
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=3 * GIB))
    with pytest.raises(DoesNotFit, match=r"NF4.*3\.8 GiB.*2\.7 GiB of free memory.*Qwen2\.5-3B"):
        open_llm(str(tmp_path), offline=True)


def test_a_gguf_file_loads_by_name_and_answers() -> None:
    llm = smollm2()
    assert bundled().suffix == ".gguf"
    assert llm.context_window == 8192
    answer = llm.invoke("What is the capital of France? Answer in one word.")
    assert "Paris" in str(answer.content)
    assert answer.response_metadata["finish_reason"] == "stop"


def test_end_tokens_of_model_and_tokenizer_both_count_and_taste_is_dropped(
    qwen: LocalChatModel, mistral: LocalChatModel
) -> None:
    own = qwen.loaded.model.generation_config
    assert own.eos_token_id == [1, 3]
    assert own.temperature is None
    assert own.repetition_penalty is None
    assert mistral.loaded.tokenizer.pad_token == mistral.loaded.tokenizer.eos_token
    assert mistral.loaded.tokenizer.padding_side == "right"


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("Qwen/Qwen-1_8B-Chat", "Qwen/Qwen1.5-1.8B-Chat"),
        ("Qwen/Qwen-1_8B", "Qwen/Qwen1.5-1.8B"),
        ("Qwen/Qwen-7B-Chat", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen-7B", "Qwen/Qwen2.5-7B"),
        ("Qwen/Qwen-14B-Chat-Int4", "Qwen/Qwen2.5-14B-Instruct"),
        ("Qwen/Qwen-72B", "Qwen/Qwen2.5-72B"),
    ],
)
def test_the_first_qwen_is_refused_with_the_one_of_its_size(name: str, successor: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"Use {successor} instead"):
        open_llm(name)


def test_the_first_qwen_is_refused_by_path_too(tmp_path: Path) -> None:
    folder = tmp_path / "Qwen-14B-Chat"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen", "hidden_size": 5120}))
    with pytest.raises(ModelUnavailable, match=r"Qwen-14B.*Qwen2\.5-14B-Instruct"):
        open_llm(str(folder), offline=True)


def with_own_code(mistral_path: Path, folder: Path) -> Path:
    shutil.copytree(mistral_path, folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "ours",
        "auto_map": {"AutoConfig": "ours.Config", "AutoModelForCausalLM": "ours.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "ours.py").write_text(
        "from transformers import MistralConfig, MistralForCausalLM\n"
        "class Config(MistralConfig):\n    model_type = 'ours'\n"
        "class Model(MistralForCausalLM):\n    config_class = Config\n"
    )
    return folder


def test_a_models_own_code_runs_only_if_allowed(
    mistral_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    path = with_own_code(mistral_path, tmp_path / "model")
    with pytest.raises(ModelUnavailable, match=r"own code.*PARLEY_TRUST_REMOTE_CODE=1"):
        open_llm(str(path), offline=True)
    llm = open_tiny(path, trust_remote_code=True, max_new_tokens=4)
    assert type(llm.loaded.model).__name__ == "Model"
    assert llm.invoke("Who?").content


def test_what_is_not_a_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelUnavailable, match=r"no config\.json"):
        open_llm(str(tmp_path), offline=True)
    with pytest.raises(ModelUnavailable, match="give its folder"):
        open_llm(str(tmp_path / "notes.txt"), offline=True)
    (tmp_path / "config.json").write_text('{"model_type": "mistral", "num_hidden_layers": 1}')
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        open_llm(str(tmp_path), offline=True)


def test_weights_that_are_cut_off_are_said(mistral_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(mistral_path, path)
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(ModelUnavailable, match=r"cannot be loaded.*or choose another model"):
        open_llm(str(path), offline=True)


def test_a_missing_package_names_the_install(mistral_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", missing)
    with pytest.raises(ModelUnavailable, match="pip install sentencepiece"):
        open_llm(str(mistral_path), offline=True)
