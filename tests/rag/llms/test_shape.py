"""What a model consists of, from where that can be had with the least."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.llms import ModelUnavailable
from rag.llms.hub import successor
from rag.llms.shape import shape_of
from tests.rag.llms.hubs import Hub


def size(name: str, *, offline: bool = False) -> int:
    return sum(weight.numel() for weight in shape_of(name, offline=offline).model.parameters())


def test_a_well_known_model_asks_nobody(hub: Hub) -> None:
    found = shape_of("Qwen/Qwen2.5-7B-Instruct")
    assert (found.name, found.packed, found.download_bytes) == ("Qwen/Qwen2.5-7B-Instruct", False, None)
    assert size("Qwen/Qwen2.5-7B") == size("Qwen/Qwen2.5-7B-Instruct", offline=True) == 7_615_616_512
    assert hub.tokens == hub.fetched == []


def test_of_any_other_the_hub_is_asked_for_the_configuration(hub: Hub) -> None:
    found = shape_of("org/tiny-instruct")
    assert found.download_bytes
    assert hub.fetched == ["config.json"]
    with pytest.raises(ModelUnavailable, match="network is switched off"):
        shape_of("org/tiny-instruct", offline=True)


def test_a_folder_and_a_gguf_file_are_read(mistral_path: Path) -> None:
    whole = shape_of(str(mistral_path))
    assert (whole.packed, whole.download_bytes, whole.model.device.type) == (False, 0, "meta")
    assert shape_of("smollm2").packed
    assert size("smollm2") == 134_515_008


def test_the_first_qwens_have_successors_and_no_shape() -> None:
    assert successor("Qwen/Qwen-14B-Chat") == "Qwen/Qwen2.5-14B-Instruct"
    assert successor("Qwen/Qwen-1_8B") == "Qwen/Qwen1.5-1.8B"
    assert successor("Qwen/Qwen1.5-7B-Chat") == ""
    with pytest.raises(ModelUnavailable, match=r"Use Qwen/Qwen2\.5-14B-Instruct instead"):
        shape_of("Qwen/Qwen-14B-Chat")
