"""When a model runs out of memory while it is loaded: what to try next, without another download.

It knows the order and what to say; it does not know how weights are loaded (`load`).
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

from rag.llms.alternatives import PACKING
from rag.llms.errors import DoesNotFit, is_memory
from rag.llms.machine import Machine, choose, on_processor
from rag.llms.plan import Layout, Plan, Quantize, place, where

log = logging.getLogger(__name__)

T = TypeVar("T")


def plans(
    first: Plan,
    model: Any,
    machine: Callable[[], Machine],
    *,
    quantize: Quantize | Literal["auto"],
    layout: Layout,
    packed: bool,
    name: str,
) -> Iterator[Plan]:
    """The first plan, then for each that ran out of memory the next, by what is free at that moment.

    A smaller context where memory has gone since the plan was made, 4 bits, all GPUs, the processor.
    """

    def chosen(kind: Quantize | Literal["auto"] = quantize) -> Plan:
        return choose(model, machine(), quantize=kind, layout=layout, packed=packed, name=name)

    small: Quantize = "none" if packed else "nf4"
    yield first
    ways: list[Callable[[], Plan]] = [chosen, lambda: chosen(small)]
    if len(machine().gpus) > 1:
        ways.append(lambda: place(model, machine().gpus, quantize=small, layout="split", name=name))
    if machine().gpus:
        ways.append(lambda: on_processor(model, machine(), small, name))
    tried = [first]
    for way in ways:
        try:
            plan = way()
        except DoesNotFit as error:
            log.debug("not tried: %s", error)
            continue
        if not any(_is_no_smaller(plan, other) for other in tried):
            tried.append(plan)
            yield plan


def _is_no_smaller(plan: Plan, other: Plan) -> bool:
    """Whether the same weights go to the same place, for no shorter a context."""
    same = (plan.quantize, plan.device_map) == (other.quantize, other.device_map)
    return same and plan.tokens >= other.tokens


def first_that_loads(name: str, candidates: Iterator[Plan], load: Callable[[Plan], T]) -> tuple[T, Plan, str]:
    """What `load` makes of the first plan that does not run out of memory, that plan, and what to say.

    Raises:
        DoesNotFit: every plan ran out of memory, or none fits.
    """
    failed: list[Plan] = []
    for plan in candidates:
        result = _or_none(load, plan)
        if result is not None:
            return result, plan, _notice(name, failed, plan)
        gc.collect()
        free_caches()
        log.warning("%s ran out of memory while it was loaded %s", name, described(plan))
        failed.append(plan)
    raise DoesNotFit(
        f"The memory ran out while {name} was loaded ({', then '.join(map(described, failed))}). Close other "
        "programs that use it, or choose a smaller model."
    )


def _or_none(load: Callable[[Plan], T], plan: Plan) -> T | None:
    """None when memory ran out; by now nothing holds on to what was loaded so far."""
    try:
        return load(plan)
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        return None


def free_caches() -> None:
    """Give back to the GPUs what torch keeps for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def described(plan: Plan) -> str:
    return f"{PACKING[plan.quantize]} on {where(plan)}"


def _notice(name: str, failed: list[Plan], plan: Plan) -> str:
    if not failed:
        return ""
    return (
        f"{name} ran out of memory while it was loaded {described(failed[0])}. It runs {described(plan)} "
        f"instead, with room for {plan.tokens:,} tokens."
    )
