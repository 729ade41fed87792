"""What the plan says of a model, against the tensors of that model loaded through the real door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.llms.footprint import Footprint, Quantize, footprint
from rag.llms.load import empty
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
    llm = open_tiny(tiny_mistral(tmp_path, hidden=hidden), quantize=quantize, max_new_tokens=2)
    planned = sum(llm.loaded.plan.weights.values())
    assert tensor_bytes(llm.loaded.model) == planned
    llm.invoke("Who keeps the light?")  # bitsandbytes packs anew for some processors at the first answer
    assert tensor_bytes(llm.loaded.model) == pytest.approx(planned, rel=0.1)


def cache_bytes(model: Any, tokens: int) -> int:
    import torch

    with torch.inference_mode():
        cache = model(torch.ones(1, tokens, dtype=torch.long), use_cache=True).past_key_values
    return sum(
        part.numel() * part.element_size() for layer in cache.layers for part in (layer.keys, layer.values)
    )


def test_the_cache_is_as_planned(tmp_path: Path) -> None:
    loaded = open_tiny(tiny_mistral(tmp_path)).loaded
    facts = loaded.plan.facts
    for tokens in (1, 100):
        assert cache_bytes(loaded.model, tokens) == facts.cache(tokens)
    assert facts.cache(100) == 100 * facts.cache_per_token


def test_a_sliding_window_bounds_the_cache_of_its_layers() -> None:
    import torch
    from transformers import AutoModelForCausalLM, Gemma2Config

    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=16,
        max_position_embeddings=256,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    facts = footprint(model, "none", 4)
    assert [block.span for block in facts.blocks if block.span] == [16, 256, 16, 256]
    assert facts.cache(100) == facts.cache_per_layer * 2 * (16 + 100)
    # One token fewer is kept than the window has, as the next one sees itself.
    assert cache_bytes(model, 100) == pytest.approx(facts.cache(100), rel=0.02)
    assert cache_bytes(model, 8) == facts.cache(8)


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
