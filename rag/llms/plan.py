"""What goes where: which device each part of a model is put on, and whether it fits at all.

It works on the free memory it is told, so it needs neither a GPU nor a download. It does not know how weights
are loaded, nor what a person is told of a plan.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rag.llms.errors import DoesNotFit
from rag.llms.footprint import LEAST, Footprint, Quantize, footprint, layers_of

__all__ = [
    "GIB",
    "LEAST",
    "ROOMY",
    "RUNTIME",
    "Device",
    "Layout",
    "Plan",
    "Quantize",
    "footprint",
    "layers_of",
    "place",
    "place_on_cpu",
    "smaller_model",
    "where",
]

Layout = Literal["auto", "split"]
Device = int | str

GIB = 1 << 30
RUNTIME = 600 << 20  # a GPU's own share before any weight: CUDA context, cuBLAS workspace, fragmentation
ROOMY = 8192  # tokens of prompt and answer that should fit: a dozen passages, a history, a long answer
SMALLER = (
    ("Qwen/Qwen2.5-32B-Instruct", 32.8e9),
    ("Qwen/Qwen2.5-14B-Instruct", 14.8e9),
    ("mistralai/Mistral-7B-Instruct-v0.2", 7.2e9),
    ("Qwen/Qwen2.5-3B-Instruct", 3.1e9),
    ("Qwen/Qwen2.5-1.5B-Instruct", 1.5e9),
    ("Qwen/Qwen2.5-0.5B-Instruct", 0.5e9),
)


@dataclass(frozen=True)
class Plan:
    """Where a model goes."""

    device_map: dict[str, Device]  # module name → GPU number or "cpu"; "" is the whole model
    weights: dict[Device, int]  # bytes of weights on each device
    tokens: int  # of prompt and answer together that the memory has room for
    quantize: Quantize
    facts: Footprint

    def memory(self, tokens: int) -> dict[Device, int]:
        """Bytes on each device with so many tokens: weights, cache, and what reading a prompt takes."""
        return _needs(self.facts, self.device_map, tokens)


def where(plan: Plan) -> str:
    """The plan's devices, in words."""
    gpus = sorted(device for device in plan.weights if isinstance(device, int))
    if not gpus:
        return "CPU"
    *most, last = map(str, gpus)
    return f"split over GPU {', '.join(most)} and {last}" if most else f"GPU {last}"


def place(
    model: Any,
    gpus: Mapping[int, int],
    *,
    quantize: Quantize = "nf4",
    layout: Layout = "auto",
    element: int = 2,
    name: str = "The model",
) -> Plan:
    """Put `model` (empty weights will do) on GPUs with so many free bytes each.

    `auto` takes one GPU if the model and `ROOMY` tokens fit on it, else spreads over all: a second GPU holds
    more and is no faster, as the layers wait for each other. `split` always spreads.

    Raises:
        DoesNotFit: not even `LEAST` tokens would fit beside the weights.
    """
    facts = footprint(model, quantize, element)
    plans = []
    for device_map in _ways(gpus, facts, layout):
        plan = _measured(device_map, facts, gpus, quantize)
        if plan.tokens >= min(ROOMY, facts.window):
            return plan
        plans.append(plan)
    roomiest = max(plans, key=lambda plan: plan.tokens)
    return _checked(roomiest, name, model, list(gpus.values()), "GPU memory")


def place_on_cpu(
    model: Any, free: int, *, quantize: Quantize = "none", element: int = 4, name: str = "The model"
) -> Plan:
    """The whole model in `free` bytes of main memory.

    Raises:
        DoesNotFit: not even `LEAST` tokens would fit beside the weights.
    """
    facts = footprint(model, quantize, element)
    plan = _measured({"": "cpu"}, facts, {"cpu": free}, quantize)
    return _checked(plan, name, model, [free], "memory")


def _ways(gpus: Mapping[int, int], facts: Footprint, layout: Layout) -> Iterator[dict[str, Device]]:
    """Device maps to try, the best first."""
    if layout == "auto" or len(gpus) == 1:
        yield {"": max(gpus, key=lambda gpu: gpus[gpu])}
    if len(gpus) > 1:
        yield _spread(facts, gpus)


def _spread(facts: Footprint, gpus: Mapping[int, int]) -> dict[str, Device]:
    """The model in pieces, in order, over all GPUs: with the longest context, each equally full."""

    def filled(tokens: int, share: float) -> dict[str, Device] | None:
        return _in_order(facts, {gpu: int(free * share) for gpu, free in gpus.items()}, tokens)

    tokens = _most(lambda count: filled(count, 1.0) is not None, facts.window)
    spare = _most(lambda percent: filled(tokens, 1 - percent / 100) is not None, 99)
    # Where not even the weights fit, the last GPU gets what is left over, and `_measured` sees it.
    return filled(tokens, 1 - spare / 100) or _in_order(facts, {**gpus, max(gpus): 1 << 60}, 0) or {}


def _in_order(facts: Footprint, room: Mapping[int, int], tokens: int) -> dict[str, Device] | None:
    """Each GPU filled before the next, so that a token crosses from one to another once; None: no room."""
    device_map: dict[str, Device] = {}
    gpus = iter(sorted(room))
    gpu = next(gpus)
    left = room[gpu] - RUNTIME - facts.reading(tokens)
    for block in facts.blocks:
        size = block.weights + block.cached(tokens) * facts.cache_per_layer
        while size > left:
            following = next(gpus, None)
            if following is None:
                return None
            gpu, left = following, room[following] - RUNTIME - facts.reading(tokens)
        device_map[block.name] = gpu
        left -= size
    return device_map


def _most(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number up to `limit` that fits; 0 if not even 1 does. What is smaller fits as well."""
    return bisect.bisect_left(range(1, limit + 1), True, key=lambda number: not fits(number))


def _measured(
    device_map: dict[str, Device], facts: Footprint, room: Mapping[Any, int], quantize: Quantize
) -> Plan:
    """The plan with its bytes on each device, and the tokens its fullest device has room for."""
    weights: dict[Device, int] = {}
    for block in facts.blocks:
        device = _device(device_map, block.name)
        weights[device] = weights.get(device, 0) + block.weights

    def fits(tokens: int) -> bool:
        return all(size <= room[device] for device, size in _needs(facts, device_map, tokens).items())

    return Plan(device_map, weights, _most(fits, facts.window), quantize, facts)


def _needs(facts: Footprint, device_map: Mapping[str, Device], tokens: int) -> dict[Device, int]:
    needs: dict[Device, int] = {}
    for block in facts.blocks:
        device = _device(device_map, block.name)
        if device not in needs:
            needs[device] = (RUNTIME if device != "cpu" else 0) + facts.reading(tokens)
        needs[device] += block.weights + block.cached(tokens) * facts.cache_per_layer
    return needs


def _device(device_map: Mapping[str, Device], name: str) -> Device:
    """Of the longest prefix of `name` in the map."""
    while name not in device_map and name:
        name = name.rpartition(".")[0]
    return device_map[name]


def _checked(plan: Plan, name: str, model: Any, room: list[int], kind: str) -> Plan:
    """The plan, unless it has too little room for a question."""
    facts = plan.facts
    if plan.tokens >= min(LEAST, facts.window):
        return plan
    packing = {"nf4": "in 4-bit NF4", "int8": "in 8 bits", "none": "without quantization"}[plan.quantize]
    there = " + ".join(f"{free / GIB:.1f}" for free in room)
    raise DoesNotFit(
        f"{name} does not fit: {packing} its weights take {facts.weights / GIB:.1f} GiB, with room for a "
        f"question {facts.least / GIB:.1f} GiB, and there are {there} GiB of free {kind}. "
        f"What to do: {', or '.join(_remedies(model, plan.quantize, room))}."
    )


def _remedies(model: Any, quantize: Quantize, room: list[int]) -> list[str]:
    remedies = []
    spare = sum(room) - RUNTIME * len(room)
    if quantize != "nf4" and footprint(model, "nf4", 2).least <= spare:
        remedies.append("quantize it to nf4, which would fit")
    parameters = sum(weight.numel() for weight in model.parameters())
    if smaller := smaller_model(parameters, spare):
        remedies.append(f"use {smaller} in NF4, which would fit")
    remedies.append("point to an OpenAI-compatible server on a larger machine (PARLEY_LLM=remote)")
    return remedies


def smaller_model(parameters: int, room: int) -> str:
    """The largest of a few good models that is smaller than one of so many parameters and fits; or ""."""
    for name, count in SMALLER:
        # By rule of thumb: 4 bits a weight, 16-bit embeddings, and a fifth more for the cache.
        if count < 0.9 * parameters and count * 0.6 * 1.2 <= room:
            return name
    return ""
