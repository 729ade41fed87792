"""What else could be done on a machine: each other way to answers, with its figures, and if it would fit.

It speaks of what Parley's settings can do; it does not know what is set, nor what else runs on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rag.llms.errors import DoesNotFit
from rag.llms.footprint import LEAST, Quantize, footprint
from rag.llms.known import known_config
from rag.llms.machine import MEMORY_SPEED, Machine, choose, on_processor
from rag.llms.plan import GIB, ROOMY, SMALLER, Plan, place, where

PACKING = {"nf4": "in 4 bits (NF4)", "int8": "in 8 bits", "none": "not quantized"}


@dataclass(frozen=True)
class Alternative:
    """One other way."""

    kind: str  # context, 4-bit, split, cpu, smaller, remote or extractive
    text: str
    fits: bool
    setting: str = ""  # what brings it about; "" for what Parley does by itself


@dataclass(frozen=True)
class Subject:
    """What is planned: a model (empty weights will do) on a machine, and its plan if it fits."""

    name: str
    model: Any
    machine: Machine
    plan: Plan | None
    packed: bool  # its file decides how the weights are kept


def alternatives(subject: Subject, empty: Callable[[Any], Any]) -> list[Alternative]:
    """In the order in which they cost the person something; `empty` makes a model of a configuration."""
    ways = (_context, _four_bits, _split, _processor)
    found = [way for make in ways if (way := make(subject)) is not None]
    return [*found, *_smaller(subject, empty), *_elsewhere()]


def _context(subject: Subject) -> Alternative | None:
    plan = subject.plan
    if plan is None:
        return None  # the refusal says what a question needs at least
    tokens = ROOMY if plan.tokens > ROOMY else LEAST
    if plan.tokens <= tokens:
        return None
    text = f"a context of {tokens:,} tokens: {_gib(sum(plan.memory(tokens).values()))} in all"
    return Alternative("context", text, fits=True)


def _four_bits(subject: Subject) -> Alternative | None:
    if subject.packed or (subject.plan and subject.plan.quantize == "nf4"):
        return None
    plan = _tried(lambda: choose(subject.model, subject.machine, quantize="nf4"))
    return _placed("4-bit", "in 4 bits (NF4)", subject, plan, "PARLEY_QUANTIZE=nf4")


def _split(subject: Subject) -> Alternative | None:
    machine, plan = subject.machine, subject.plan
    if len(machine.gpus) < 2 or (plan and len(plan.weights) > 1):
        return None
    kind = plan.quantize if plan else "none" if subject.packed else "nf4"
    found = _tried(lambda: place(subject.model, machine.gpus, quantize=kind, layout="split"))
    text = "over all GPUs, which is no faster" if plan else "over all GPUs"
    return _placed("split", text, subject, found, "PARLEY_GPU_LAYOUT=split")


def _processor(subject: Subject) -> Alternative | None:
    """Without the GPU. Layers left in main memory for a GPU's use stay in 16 bits, and cross the bus anew
    for each token: slower than computing where they are, so that is not offered."""
    if not subject.machine.gpus:
        return None
    kind: Quantize = "none" if subject.packed else "nf4"
    plan = _tried(lambda: on_processor(subject.model, subject.machine, kind))
    size = footprint(subject.model, kind, subject.machine.element).weights
    text = f"on the processor {PACKING[kind]}, about {size / MEMORY_SPEED:.1f} s for each token"
    return _placed("cpu", text, subject, plan, "CUDA_VISIBLE_DEVICES=")


def _placed(kind: str, text: str, subject: Subject, plan: Plan | None, setting: str) -> Alternative:
    """A way of placing the same model, with its figures."""
    if plan is None:
        return Alternative(kind, text, False, setting)
    figures = f"{_gib(sum(plan.weights.values()))} of weights, {plan.tokens:,} tokens"
    return Alternative(kind, f"{text}: {figures}", True, setting)


def _smaller(subject: Subject, empty: Callable[[Any], Any]) -> Iterator[Alternative]:
    """The largest of a few good models that is smaller and fits."""
    parameters = sum(weight.numel() for weight in subject.model.parameters())
    for name, count in SMALLER:
        if count >= 0.9 * parameters:
            continue
        model = empty(known_config(name))
        plan = _tried(lambda model=model: choose(model, subject.machine))  # type: ignore[misc]
        if plan is not None:
            size = _gib(sum(plan.weights.values()))
            text = (
                f"{name} {PACKING[plan.quantize]}: {size} of weights, {plan.tokens:,} tokens, {where(plan)}"
            )
            yield Alternative("smaller", text, True, f"PARLEY_LLM={name}")
            return
    if parameters > SMALLER[-1][1]:
        yield Alternative("smaller", f"not even {SMALLER[-1][0]}", False)


def _elsewhere() -> list[Alternative]:
    remote = "a model on a server (vLLM or another OpenAI-compatible one): no memory here"
    return [
        Alternative("remote", remote, True, "PARLEY_LLM=remote PARLEY_LLM_URL=http://…/v1"),
        Alternative(
            "extractive", "quotations from the documents, without a model", True, "PARLEY_LLM=extractive"
        ),
    ]


def _tried(find: Callable[[], Plan]) -> Plan | None:
    try:
        return find()
    except DoesNotFit:
        return None


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
