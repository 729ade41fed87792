"""What goes where: which device each layer of a model is put on, and whether it fits at all.

It works on empty weights and on the free memory it is told, so it needs neither a GPU nor a download. It does
not know how weights are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rag.llms.errors import DoesNotFit

Quantize = Literal["nf4", "int8", "none"]
Layout = Literal["auto", "split"]
Device = int | str

GIB = 1 << 30
RUNTIME = 600 << 20  # a GPU's own share before any weight: CUDA context, cuBLAS workspace, fragmentation
ROOMY = 8192  # tokens of prompt and answer that should fit: a dozen passages, a history, a long answer
LEAST = 2048  # under this a question with its passages does not fit
# Bytes a quantized weight takes. NF4 in blocks of 64 with an 8-bit scale each, these in blocks of 256 with
# a 32-bit scale each (QLoRA, arXiv:2305.14314, "double quantization").
QUANTIZED = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.01}
SMALLER = (
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
    tokens: int  # of prompt and answer together that the memory left has room for
    quantize: Quantize


@dataclass(frozen=True)
class Footprint:
    """What a model takes: facts from its configuration, in bytes."""

    sizes: dict[str, int]  # parameter name → bytes, as loaded
    cache_per_layer: int  # keys and values of one token in one layer
    activation: int  # of one token while the prompt is read, on each device
    window: int  # tokens

    layers: int

    @property
    def weights(self) -> int:
        return sum(self.sizes.values())

    @property
    def least(self) -> int:
        """Weights, and room for a question with its passages."""
        return self.weights + min(LEAST, self.window) * (self.cache_per_layer * self.layers + self.activation)


def window_of(config: Any) -> int:
    """Tokens the model was made for."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 4096)


def footprint(model: Any, quantize: Quantize, element: int) -> Footprint:
    """Of a model whose weights may be empty; `element` is the bytes of one weight that is not quantized."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    packed = _quantized_names(model) if quantize != "none" else frozenset()
    return Footprint(
        sizes={
            name: int(weight.numel() * (QUANTIZED[quantize] if name in packed else element))
            for name, weight in model.named_parameters()
        },
        cache_per_layer=2 * (getattr(config, "num_key_value_heads", None) or heads) * width * element,
        activation=element * (8 * config.hidden_size + 3 * inner),
        window=window_of(model.config),
        layers=len(layers_of(model)),
    )


def _quantized_names(model: Any) -> frozenset[str]:
    """Weights bitsandbytes packs: those of every linear layer but the output's, which is kept exact."""
    from torch import nn

    output = model.get_output_embeddings()
    return frozenset(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output
    )


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

    `auto` takes one GPU if the model and `ROOMY` tokens fit on it, else spreads over all; `split` always
    spreads.

    Raises:
        DoesNotFit: not even `LEAST` tokens would fit beside the weights.
    """
    facts = footprint(model, quantize, element)
    plans = []
    for device_map in _ways(model, gpus, facts, quantize, layout, element):
        plan = _measured(device_map, model, facts, gpus, quantize)
        if plan.tokens >= min(ROOMY, facts.window):
            return plan
        plans.append(plan)
    roomiest = max(plans, key=lambda plan: plan.tokens)
    if roomiest.tokens < min(LEAST, facts.window):
        raise DoesNotFit(_refusal(name, model, facts, quantize, list(gpus.values()), "GPU memory"))
    return roomiest


def _ways(
    model: Any, gpus: Mapping[int, int], facts: Footprint, quantize: Quantize, layout: Layout, element: int
) -> Iterator[dict[str, Device]]:
    """Device maps to try, the best first."""
    if layout == "auto" or len(gpus) == 1:
        yield {"": max(gpus, key=lambda gpu: gpus[gpu])}
    if len(gpus) > 1:
        for tokens in (ROOMY, LEAST):
            yield _spread(model, gpus, facts, quantize, element, min(tokens, facts.window))


def place_on_cpu(
    model: Any, free: int, *, quantize: Quantize = "none", element: int = 4, name: str = "The model"
) -> Plan:
    """The whole model in `free` bytes of main memory.

    Raises:
        DoesNotFit: not even `LEAST` tokens would fit beside the weights.
    """
    facts = footprint(model, quantize, element)
    plan = _measured({"": "cpu"}, model, facts, {"cpu": free}, quantize)
    if plan.tokens < min(LEAST, facts.window):
        raise DoesNotFit(_refusal(name, model, facts, quantize, [free], "memory"))
    return plan


def _spread(
    model: Any, gpus: Mapping[int, int], facts: Footprint, quantize: Quantize, element: int, tokens: int
) -> dict[str, Device]:
    """Layers evenly over all GPUs, by accelerate; what goes to "cpu" does not fit: `_measured` sees it."""
    from accelerate import infer_auto_device_map
    from accelerate.utils import CustomDtype, get_balanced_memory

    exact = {name: _dtype(element) for name in facts.sizes if name not in _quantized_names(model)}
    dtypes = {"nf4": CustomDtype.INT4, "int8": _dtype(1), "none": _dtype(element)}
    kind = {"dtype": dtypes[quantize], "special_dtypes": exact if quantize != "none" else None}
    unsplit = list(getattr(model, "_no_split_modules", None) or [])
    # accelerate counts weights alone: keep back each GPU's own share and, in proportion, scales and cache.
    growth = 1 + tokens * facts.cache_per_layer * facts.layers / facts.weights
    growth *= QUANTIZED["nf4"] / 0.5 if quantize == "nf4" else 1
    fixed = RUNTIME + tokens * facts.activation
    room: dict[Device, int] = {gpu: max(0, int((free - fixed) / growth)) for gpu, free in gpus.items()}
    room["cpu"] = 1 << 50
    balanced = get_balanced_memory(model, dict(room), unsplit, **kind)
    return dict(infer_auto_device_map(model, balanced, unsplit, **kind))


def _dtype(element: int) -> Any:
    import torch

    return {1: torch.int8, 2: torch.bfloat16, 4: torch.float32}[element]


def layers_of(model: Any) -> list[tuple[str, Any]]:
    """The decoder layers with their names: the longest list of modules in the model."""
    from torch import nn

    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    name, longest = max(lists, key=lambda pair: len(pair[1]), default=("", ()))
    return [(f"{name}.{index}", layer) for index, layer in enumerate(longest)]


def _measured(
    device_map: dict[str, Device],
    model: Any,
    facts: Footprint,
    room: Mapping[Any, int],
    quantize: Quantize,
) -> Plan:
    """The plan with its bytes on each device, and the tokens its fullest device has room for."""
    weights: dict[Device, int] = {}
    for name, size in facts.sizes.items():
        device = _device(device_map, name)
        weights[device] = weights.get(device, 0) + size
    layers: dict[Device, int] = {}
    for name, _ in layers_of(model):
        device = _device(device_map, name)
        layers[device] = layers.get(device, 0) + 1
    tokens = facts.window
    for device, size in weights.items():
        left = room.get(device, 0) - size - (RUNTIME if device != "cpu" else 0)
        per_token = facts.activation + facts.cache_per_layer * layers.get(device, 0)
        tokens = min(tokens, left // per_token)
    return Plan(device_map, weights, max(0, tokens), quantize)


def _device(device_map: Mapping[str, Device], name: str) -> Device:
    """Of the longest prefix of `name` in the map."""
    while name not in device_map and name:
        name = name.rpartition(".")[0]
    return device_map[name]


def _refusal(name: str, model: Any, facts: Footprint, quantize: Quantize, room: list[int], kind: str) -> str:
    packing = {"nf4": "in 4-bit NF4", "int8": "in 8 bits", "none": "without quantization"}[quantize]
    there = " + ".join(f"{free / GIB:.1f}" for free in room)
    return (
        f"{name} does not fit: {packing} its weights take {facts.weights / GIB:.1f} GiB, with room for a "
        f"question {facts.least / GIB:.1f} GiB, and there are {there} GiB of free {kind}. "
        f"What to do: {', or '.join(_remedies(model, quantize, room))}."
    )


def _remedies(model: Any, quantize: Quantize, room: list[int]) -> list[str]:
    remedies = []
    spare = sum(room) - RUNTIME * len(room)
    if quantize != "nf4" and footprint(model, "nf4", 2).least <= spare:
        remedies.append("quantize it to nf4, which would fit")
    parameters = sum(weight.numel() for weight in model.parameters())
    for smaller, count in SMALLER:
        # By rule of thumb: 4 bits a weight, 16-bit embeddings, and a fifth more for the cache.
        if count < 0.9 * parameters and count * 0.6 * 1.2 <= spare:
            remedies.append(f"use {smaller} in NF4, which would fit")
            break
    remedies.append("point to an OpenAI-compatible server on a larger machine (PARLEY_LLM=remote)")
    return remedies
