"""The memory that a model may take, of this machine or of one that is imagined, and where a model goes on it.

It does not know what else will run there; whoever does takes that away first (`without`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rag.llms.errors import DoesNotFit, LLMError
from rag.llms.plan import GIB, Device, Layout, Plan, Quantize, place, place_on_cpu

CPU_SHARE = 0.9  # of the free main memory that a model may take
DRIVER_SHARE = 0.02  # of a GPU's memory that its driver keeps: 16,376 MiB of an RTX A4000 are 16,100 free
MEMORY_SPEED = 10e9  # bytes a second that two ordinary cores read; each token reads every weight once
NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:GB?|GiB)?", re.IGNORECASE)


@dataclass(frozen=True)
class Machine:
    """What is free, in bytes."""

    gpus: Mapping[int, int] = field(default_factory=dict)  # GPU number → bytes
    memory: int = 0
    element: int = 4  # bytes of a number the processor computes with: 2 where it multiplies bfloat16

    def without(self, taken: int, device: Device) -> Machine:
        """With so many bytes taken on one device."""
        if device == "cpu":
            return replace(self, memory=max(0, self.memory - taken))
        return replace(
            self, gpus={gpu: max(0, free - taken * (gpu == device)) for gpu, free in self.gpus.items()}
        )

    @property
    def model_memory(self) -> int:
        """Bytes of main memory that a model may take."""
        return int(self.memory * CPU_SHARE)


def this_machine() -> Machine:
    """The machine we are on, with what is free now."""
    import psutil  # type: ignore[import-untyped]

    return Machine(free_gpu_memory(), psutil.virtual_memory().available, cpu_dtype().itemsize)


def imagined(gpus: Sequence[str] | None, memory: str | None, here: Machine) -> Machine:
    """`here`, with other GPUs ("16GB"; "0" or "none": none) and another main memory where they are given.

    Sizes are as cards and memory are sold, where a GB is 2^30 bytes.

    Raises:
        LLMError: not a size.
    """
    cards = here.gpus
    if gpus is not None:
        sizes = [size for text in gpus if (size := _parsed(text))]
        cards = {index: int(size * (1 - DRIVER_SHARE)) for index, size in enumerate(sizes)}
    return replace(here, gpus=cards, memory=_parsed(memory) if memory else here.memory)


def _parsed(text: str) -> int:
    if text.strip().lower() == "none":
        return 0
    match = SIZE.fullmatch(text.strip())
    if not match:
        raise LLMError(f"{text!r} is not a size of memory. Write it as 16GB, or 0 for none.")
    return int(float(match[1]) * GIB)


def choose(
    model: Any,
    machine: Machine,
    *,
    quantize: Quantize | Literal["auto"] = "auto",
    layout: Layout = "auto",
    packed: bool = False,
    name: str = "The model",
) -> Plan:
    """Where `model` (empty weights will do) goes on the machine, and how.

    quantize: "auto" is NF4 on a GPU; without one it is nothing where the model fits as it is, else NF4.
    packed: its file decides how the weights are kept.

    Raises:
        DoesNotFit: with what would fit.
    """
    if machine.gpus:
        kind: Quantize = "none" if packed else "nf4" if quantize == "auto" else quantize
        return place(model, machine.gpus, quantize=kind, layout=layout, element=2, name=name)
    choices: tuple[Quantize, ...] = ("none", "nf4") if quantize == "auto" else (quantize,)
    *first, last = ("none",) if packed else choices
    for choice in first:
        try:
            return on_processor(model, machine, choice, name)
        except DoesNotFit:
            continue
    return on_processor(model, machine, last, name)


def on_processor(model: Any, machine: Machine, quantize: Quantize, name: str = "The model") -> Plan:
    """The model in main memory, whether or not there are GPUs.

    Raises:
        DoesNotFit: with what would fit.
    """
    element = machine.element if quantize != "int8" else 2  # LLM.int8() computes in float16
    return place_on_cpu(model, machine.model_memory, quantize=quantize, element=element, name=name)


def free_gpu_memory() -> dict[int, int]:
    """Free bytes of each CUDA GPU; empty without one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    return {index: int(torch.cuda.mem_get_info(index)[0]) for index in range(torch.cuda.device_count())}


def cpu_dtype() -> Any:
    """bfloat16 where the processor multiplies it itself (1.7 times as fast there), else float32."""
    import torch

    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(able.get(kind) for kind in NATIVE_BFLOAT16) else torch.float32
