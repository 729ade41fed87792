"""Placement of Mistral-7B on empty weights: no GPU, no download."""

from __future__ import annotations

from typing import Any

import pytest

from rag.llms.errors import DoesNotFit
from rag.llms.load import empty
from rag.llms.plan import GIB, LEAST, ROOMY, Layout, Quantize, footprint, place, place_on_cpu

# The configuration of mistralai/Mistral-7B-Instruct-v0.2.
MISTRAL_7B = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "sliding_window": None,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="module")
def mistral_7b() -> Any:
    from transformers import MistralConfig

    return empty(MistralConfig(**MISTRAL_7B))


def gpus(*sizes: float) -> dict[int, int]:
    return {index: int(size * GIB) for index, size in enumerate(sizes)}


def test_weights_in_nf4_take_what_qlora_says(mistral_7b: Any) -> None:
    assert sum(weight.numel() for weight in mistral_7b.parameters()) == 7_241_732_096
    packed = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    rest = 2 * (7_241_732_096 - packed)  # embeddings, output and norms stay in 16 bits
    assert footprint(mistral_7b, "nf4", 2).weights == pytest.approx(packed * 4.127 / 8 + rest, rel=1e-3)
    assert footprint(mistral_7b, "none", 2).weights == 2 * 7_241_732_096


def test_two_16_gb_auto_takes_one_gpu_and_the_whole_window(mistral_7b: Any) -> None:
    plan = place(mistral_7b, gpus(16, 16))
    assert plan.device_map == {"": 0}
    assert plan.weights[0] == pytest.approx(3.84 * GIB, rel=0.01)
    assert plan.tokens == 32768


def test_auto_takes_the_gpu_with_more_room(mistral_7b: Any) -> None:
    assert place(mistral_7b, gpus(9, 14)).device_map == {"": 1}


@pytest.mark.parametrize("size", [16, 6])
def test_split_spreads_every_layer_over_both(mistral_7b: Any, size: float) -> None:
    plan = place(mistral_7b, gpus(size, size), layout="split")
    layers = [plan.device_map[f"model.layers.{index}"] for index in range(32)]
    assert layers == sorted(layers)  # the hidden state crosses once
    assert 12 <= layers.count(0) <= 20
    assert set(plan.device_map.values()) == {0, 1}
    assert max(plan.weights.values()) < 1.3 * min(plan.weights.values())
    assert plan.tokens >= ROOMY


def test_two_small_ones_auto_must_spread(mistral_7b: Any) -> None:
    plan = place(mistral_7b, gpus(5.5, 5.5))
    assert set(plan.device_map.values()) == {0, 1}
    assert "cpu" not in plan.weights
    assert sum(plan.weights.values()) == pytest.approx(3.84 * GIB, rel=0.01)
    assert max(plan.weights.values()) < 2.3 * GIB
    assert plan.tokens >= ROOMY


def test_16_bit_weights_spread_over_two(mistral_7b: Any) -> None:
    plan = place(mistral_7b, gpus(15, 15), quantize="none")
    assert set(plan.weights) == {0, 1}
    assert plan.tokens >= ROOMY


def test_a_tight_fit_narrows_the_window_instead_of_failing(mistral_7b: Any) -> None:
    plan = place(mistral_7b, gpus(3.2, 3.2))
    assert LEAST <= plan.tokens < ROOMY
    assert place(mistral_7b, gpus(5.5)).tokens < ROOMY


@pytest.mark.parametrize("layout", ["auto", "split"])
@pytest.mark.parametrize("quantize", ["nf4", "int8", "none"])
@pytest.mark.parametrize("sizes", [(16, 16), (6, 6), (4, 4), (8,), (3, 12), (24, 24, 24)])
def test_no_plan_promises_more_than_there_is(
    mistral_7b: Any, sizes: tuple[float, ...], quantize: Quantize, layout: Layout
) -> None:
    room = gpus(*sizes)
    try:
        plan = place(mistral_7b, room, quantize=quantize, layout=layout)
    except DoesNotFit:
        smallest = footprint(mistral_7b, quantize, 2).weights
        assert smallest > 0.6 * sum(room.values())
        return
    facts = footprint(mistral_7b, quantize, 2)
    assert sum(plan.weights.values()) == facts.weights
    assert "cpu" not in plan.weights
    cache = plan.tokens * facts.cache_per_layer * 32
    assert facts.weights + cache < sum(room.values())


def test_too_small_says_what_would_fit(mistral_7b: Any) -> None:
    with pytest.raises(DoesNotFit, match=r"Mistral.*13\.5 GiB.*6\.0 \+ 6\.0 GiB.*quantize it to nf4"):
        place(mistral_7b, gpus(6, 6), quantize="none", name="Mistral")
    with pytest.raises(DoesNotFit, match=r"3\.8 GiB.*use Qwen/Qwen2\.5-3B-Instruct.*PARLEY_LLM=remote"):
        place(mistral_7b, gpus(2.5, 2.5), name="Mistral")


def test_without_a_gpu_main_memory_decides(mistral_7b: Any) -> None:
    with pytest.raises(DoesNotFit, match=r"13\.5 GiB.*8\.0 GiB of free memory.*nf4, which would fit"):
        place_on_cpu(mistral_7b, 8 * GIB, element=2)
    assert place_on_cpu(mistral_7b, 8 * GIB, quantize="nf4", element=2).device_map == {"": "cpu"}
