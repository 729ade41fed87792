"""What the plan says of a model, against the tensors of that model loaded through the real door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.llms.footprint import Footprint, Quantize, footprint
from rag.llms.load import empty, load
from rag.llms.local import LocalChatModel
from rag.llms.ragged import KeyValues, Part, forward, prepare
from tests.models import open_tiny, tiny_mistral
from tests.rag.llms.test_plan import MISTRAL_7B

GB = 1e9


def tensor_bytes(model: Any) -> int:
    """Of all parameters, each with the tables that bitsandbytes keeps for it."""
    return sum(
        part.numel() * part.element_size() for weight in model.parameters() for part in _tensors(weight)
    )


def _tensors(weight: Any) -> Iterator[Any]:
    yield weight.data
    if getattr(weight, "SCB", None) is not None:
        yield weight.SCB
    state = getattr(weight, "quant_state", None)
    while state is not None:
        yield from (part for part in (state.absmax, state.code, state.offset) if part is not None)
        state = getattr(state, "state2", None)


@pytest.mark.parametrize("quantize", ["none", "int8", "nf4"])
@pytest.mark.parametrize("hidden", [64, 256])
def test_weights_are_as_planned_before_and_after_an_answer(
    quantize: Quantize, hidden: int, tmp_path: Path
) -> None:
    loaded = load("tiny", tiny_mistral(tmp_path, hidden=hidden), quantize=quantize)
    planned = sum(loaded.plan.weights.values())
    assert tensor_bytes(loaded.model) == planned
    LocalChatModel(loaded=loaded, max_new_tokens=2).invoke("Who keeps the light?")
    # bitsandbytes packs anew for some processors when it first computes
    assert tensor_bytes(loaded.model) == pytest.approx(planned, rel=0.1)


def cache_bytes(model: Any, tokens: int) -> int:
    import torch

    cache = KeyValues(tokens)
    prepare(model)
    with torch.inference_mode():
        forward(model, [Part(cache, [1] * tokens)])
    return sum(cache.bytes_by_device().values())


def test_the_cache_is_as_planned(tmp_path: Path) -> None:
    loaded = open_tiny(tiny_mistral(tmp_path)).loaded
    facts = loaded.plan.facts
    for tokens in (1, 100):
        assert cache_bytes(loaded.model, tokens) == facts.cache(tokens)
    assert facts.cache(100) == 100 * facts.cache_per_token


@pytest.fixture(scope="module")
def mistral_7b() -> Footprint:
    from transformers import MistralConfig

    return footprint(empty(MistralConfig(**MISTRAL_7B)), "nf4", 2)


def test_a_mistral_7b_in_nf4_is_within_its_bounds(mistral_7b: Footprint) -> None:
    assert mistral_7b.weights <= 4.6 * GB
    assert mistral_7b.cache_per_token == 2 * 8 * 128 * 2 * 32  # 8 of its 32 heads have keys and values
    assert mistral_7b.needed(8192) <= 6.5 * GB


def test_every_weight_is_in_one_block(mistral_7b: Footprint) -> None:
    names = [block.name for block in mistral_7b.blocks]
    assert names[0] == "model.embed_tokens"
    assert names[1:33] == [f"model.layers.{index}" for index in range(32)]
    assert names[-1] == "lm_head"
    assert mistral_7b.parameters == 7_241_732_096
