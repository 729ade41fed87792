"""Memory that runs out while a model is loaded: the next way of the plan is taken, and said."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.llms import DoesNotFit, ModelUnavailable
from rag.llms.fallback import plans
from rag.llms.machine import Machine
from rag.llms.plan import GIB, Plan
from tests.models import open_tiny
from tests.rag.llms.test_plan import mistral_7b  # noqa: F401  # a fixture

Failing = Callable[[int, Callable[[], Exception]], list[Any]]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Have the first so many models run out of memory once their weights are there."""
    import transformers

    original = transformers.AutoModelForCausalLM.from_pretrained
    lost: list[Any] = []

    def set_up(times: int, error: Callable[[], Exception]) -> list[Any]:
        def load(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if len(lost) < times:
                lost.append(weakref.ref(result[0]))
                raise error()  # one of its own, as a traceback holds on to what it has seen
            return result

        monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", load)
        return lost

    return set_up


def out_of_memory(kind: str) -> Exception:
    import torch

    return {
        "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        "python": MemoryError(),
        "torch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    }[kind]


@pytest.mark.parametrize("kind", ["cuda", "python", "torch"])
def test_what_ran_out_of_memory_is_freed_and_loaded_in_four_bits(
    mistral_path: Path, failing: Failing, kind: str
) -> None:
    lost = failing(1, lambda: out_of_memory(kind))
    loaded = open_tiny(mistral_path, max_new_tokens=4).loaded
    gc.collect()
    assert lost[0]() is None
    assert loaded.plan.quantize == "nf4"
    assert "ran out of memory while it was loaded not quantized on CPU" in loaded.notice
    assert f"in 4 bits (NF4) on CPU instead, with room for {loaded.window:,} tokens" in loaded.notice


def test_what_loads_at_once_has_nothing_to_say(mistral_path: Path) -> None:
    assert open_tiny(mistral_path).loaded.notice == ""


def test_when_no_way_is_left_each_that_was_tried_is_said(mistral_path: Path, failing: Failing) -> None:
    failing(9, MemoryError)
    with pytest.raises(DoesNotFit, match=r"not quantized on CPU, then in 4 bits.*choose a smaller model"):
        open_tiny(mistral_path)


def test_another_error_is_not_taken_for_a_lack_of_memory(mistral_path: Path, failing: Failing) -> None:
    failing(9, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(ModelUnavailable, match="shapes cannot be multiplied"):
        open_tiny(mistral_path)


def tried(model: Any, machines: list[Machine], **wishes: Any) -> list[Plan]:
    """All plans, the machine being each of these in turn, and then the last."""
    import itertools

    from rag.llms.machine import choose

    seen = itertools.chain(machines, itertools.repeat(machines[-1]))
    asked: dict[str, Any] = {"quantize": "auto", "layout": "auto", "packed": False, "name": "m"} | wishes
    return list(plans(choose(model, next(seen), **asked), model, lambda: next(seen), **asked))


def test_on_gpus_four_bits_come_first_then_all_of_them_then_the_processor(mistral_7b: Any) -> None:  # noqa: F811
    machine = Machine({0: 24 * GIB, 1: 24 * GIB}, 32 * GIB, 2)
    ways = tried(mistral_7b, [machine], quantize="none")
    assert [(plan.quantize, sorted(map(str, plan.weights))) for plan in ways] == [
        ("none", ["0"]),
        ("nf4", ["0"]),
        ("nf4", ["0", "1"]),
        ("nf4", ["cpu"]),
    ]


def test_a_smaller_context_where_memory_has_gone_meanwhile(mistral_7b: Any) -> None:  # noqa: F811
    ways = tried(mistral_7b, [Machine({0: 16 * GIB}), Machine({0: 11 * GIB // 2})])
    assert [plan.weights for plan in ways] == [ways[0].weights] * 2
    assert ways[0].tokens == 32768
    assert ways[1].tokens < 8192


def test_nothing_is_tried_twice_and_what_does_not_fit_not_at_all(mistral_7b: Any) -> None:  # noqa: F811
    assert len(tried(mistral_7b, [Machine({0: 16 * GIB}, 2 * GIB)])) == 1
