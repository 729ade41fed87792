"""The other ways to have answers: their order, their figures, and whether each would fit."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from rag.llms.alternatives import Alternative, Subject, alternatives
from rag.llms.errors import DoesNotFit
from rag.llms.footprint import Quantize
from rag.llms.load import empty
from rag.llms.machine import Machine, choose
from rag.llms.plan import GIB
from tests.rag.llms.test_plan import mistral_7b  # noqa: F401  # a fixture

ALWAYS = [("remote", True), ("extractive", True)]


def ways(
    model: Any, *gpus: float, memory: float = 32, quantize: Quantize | Literal["auto"] = "auto"
) -> list[Alternative]:
    machine = Machine({index: int(size * GIB) for index, size in enumerate(gpus)}, int(memory * GIB), 2)
    try:
        plan = choose(model, machine, quantize=quantize)
    except DoesNotFit:
        plan = None
    return alternatives(Subject("m", model, machine, plan, packed=False), empty)


def kinds(found: list[Alternative]) -> list[tuple[str, bool]]:
    return [(way.kind, way.fits) for way in found]


def test_where_it_fits(mistral_7b: Any) -> None:  # noqa: F811
    found = ways(mistral_7b, 16, 16)
    assert kinds(found) == [("context", True), ("split", True), ("cpu", True), ("smaller", True), *ALWAYS]
    assert found[0].text.startswith("a context of 8,192 tokens: 5.9 GiB in all")
    assert "3.8 GiB of weights, 32,768 tokens" in found[1].text
    assert "about 0.4 s for each token" in found[2].text


def test_unquantized_weights_that_are_too_large_would_fit_in_four_bits(mistral_7b: Any) -> None:  # noqa: F811
    found = ways(mistral_7b, 8, memory=4, quantize="none")
    assert kinds(found) == [("4-bit", True), ("cpu", False), ("smaller", True), *ALWAYS]
    assert found[0].setting == "PARLEY_QUANTIZE=nf4"
    assert found[2].setting == "PARLEY_LLM=Qwen/Qwen2.5-3B-Instruct"


def test_a_short_context_can_only_become_a_little_shorter(mistral_7b: Any) -> None:  # noqa: F811
    assert ways(mistral_7b, 5.5)[0].text.startswith("a context of 2,048 tokens")


def test_where_nothing_fits(mistral_7b: Any) -> None:  # noqa: F811
    found = ways(mistral_7b, 0.9, memory=1)
    assert kinds(found) == [("4-bit", False), ("cpu", False), ("smaller", False), *ALWAYS]
    assert "not even Qwen/Qwen2.5-0.5B-Instruct" in found[2].text


@pytest.mark.parametrize("memory", [32, 6])
def test_without_a_gpu(mistral_7b: Any, memory: float) -> None:  # noqa: F811
    expected = [("context", True), ("4-bit", True)] if memory == 32 else [("context", True)]
    assert kinds(ways(mistral_7b, memory=memory)) == [*expected, ("smaller", True), *ALWAYS]
