"""Files of weights that are not whole are named, before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rag.llms import ModelUnavailable, open_llm
from rag.llms.weight_files import INDEX, refuse_broken
from tests.models import open_tiny, tiny_mistral, train_tokenizer

SECOND = "model-00002-of-00002.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in two files."""
    from transformers import AutoModelForCausalLM

    folder = tiny_mistral(tmp_path_factory.mktemp("whole"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="300KB")
    assert (folder / SECOND).exists()
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def test_whole_files_are_loaded(folder: Path) -> None:
    assert open_tiny(folder, max_new_tokens=2).invoke("Who?").content


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_file_that_is_cut_short_is_named(folder: Path, keep: int) -> None:
    data = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(data[:keep])
    with pytest.raises(ModelUnavailable, match=rf"{SECOND} (is cut short|has).*download it again") as error:
        open_llm(str(folder), offline=True)
    assert "00001-of" not in str(error.value)


def test_a_file_with_something_behind_its_end_is_named(folder: Path) -> None:
    with (folder / SECOND).open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelUnavailable, match=rf"{SECOND} has [\d,]+ bytes and should have [\d,]+"):
        open_llm(str(folder), offline=True)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / SECOND).unlink()
    with pytest.raises(ModelUnavailable, match=f"{SECOND} is missing"):
        open_llm(str(folder), offline=True)


def test_a_file_of_another_download_is_named(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.layers.7.mlp.up_proj.weight"] = SECOND
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelUnavailable, match=rf"{SECOND} lacks 1 of the tensors.*layers\.7\.mlp"):
        open_llm(str(folder), offline=True)


def test_a_damaged_list_of_tensors_is_named(folder: Path) -> None:
    data = (folder / SECOND).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b"[128,64]", b"[129,64]", 1)
    (folder / SECOND).write_bytes(data[:8] + header + data[8 + length :])
    with pytest.raises(ModelUnavailable, match=rf"{SECOND} is damaged: the size of .* does not match"):
        open_llm(str(folder), offline=True)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"weight_map": []}'])
def test_a_damaged_index_is_named(folder: Path, text: str) -> None:
    (folder / INDEX).write_text(text)
    with pytest.raises(ModelUnavailable, match=r"index\.json is damaged"):
        open_llm(str(folder), offline=True)


def test_pytorchs_own_files_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ModelUnavailable, match=r"pytorch_model-00001-of-00002\.bin is cut short"):
        refuse_broken("m", tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """transformers would fill what is missing with random numbers."""
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

    sizes = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    AutoModelForCausalLM.from_config(LlamaConfig(**sizes, num_hidden_layers=1)).save_pretrained(tmp_path)
    MistralConfig(**sizes, num_hidden_layers=2, num_key_value_heads=4).save_pretrained(tmp_path)
    train_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"lack 9 of the weights.*model\.layers\.1\..*another model"):
        open_llm(str(tmp_path), offline=True)


def test_a_model_that_does_not_write_is_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig

    ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match="does not write text"):
        open_llm(str(tmp_path), offline=True)
