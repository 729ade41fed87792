"""What would run where: the language model, and beside it the recogniser, search, reranking and the voice.

The place where settings, rag's plan of a model and the sizes of the other parts meet. It loads nothing, and
does not know how a plan is shown (`planning.reporting`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planning.parts import Part, parts_of
from settings import Settings

if TYPE_CHECKING:
    from rag.llms.alternatives import Alternative
    from rag.llms.machine import Machine
    from rag.llms.plan import Device, Plan
    from rag.llms.shape import Shape


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrangement:
    """Who gets which device."""

    machine: Machine
    parts: tuple[Part, ...]
    device: Device  # of those parts that can use a GPU
    plan: Plan | None  # of the language model; None without one, or where it does not fit
    refusal: str = ""  # why it does not fit

    def on(self, device: Device) -> list[Part]:
        """The parts that are there."""
        return [part for part in self.parts if (self.device if part.gpu else "cpu") == device]

    def taken(self, device: Device) -> int:
        """Bytes that the parts take there."""
        return _taken(self.on(device), device)

    def used(self, device: Device) -> int:
        """Bytes that everything takes there, the longest context included."""
        model = self.plan.memory(self.plan.tokens).get(device, 0) if self.plan else 0
        alone = device != "cpu" and not model and self.on(device)
        return model + self.taken(device) + (_runtime() if alone else 0)

    @property
    def room(self) -> Machine:
        """What is left for a language model."""
        return _beside(self.machine, self.parts, self.device)


@dataclass(frozen=True)
class Report:
    """A plan, and what else could be done."""

    name: str  # of the language model; "" where answers are quotations
    note: str  # what a person should know about the choice of the model
    arrangement: Arrangement
    alternatives: tuple[Alternative, ...]
    download_bytes: int | None  # 0: nothing is to be downloaded; None: that was not asked


def report(settings: Settings, machine: Machine, model: str = "") -> Report:
    """The plan of `model`, or of what PARLEY_LLM would open, on a machine, and what else could be done.

    Raises:
        LLMError: there is no such model, or its configuration cannot be had.
    """
    from rag.llms.alternatives import Subject, alternatives
    from rag.llms.load import empty

    found, shape = _outlined(settings, machine, model)
    if shape is None:
        return found
    arranged = found.arrangement
    subject = Subject(shape.name, shape.model, arranged.room, arranged.plan, shape.packed)
    return replace(found, alternatives=tuple(alternatives(subject, empty)))


def outline(settings: Settings, machine: Machine) -> Report:
    """The plan of what PARLEY_LLM would open, without the alternatives.

    Raises:
        LLMError: as `report`.
    """
    return _outlined(settings, machine, "")[0]


def device_of_parts(settings: Settings) -> str | None:
    """Where the parts beside the language model go on this machine: "cuda:1", "cpu"; None: where they want.

    Without a GPU there is nothing to plan, and nothing heavy is imported to find that out.
    """
    from speech.asr import best

    if best() == best("cpu"):
        return None
    from rag.llms import LLMError
    from rag.llms.machine import this_machine

    try:
        device = outline(settings, this_machine()).arrangement.device
    except LLMError as error:
        log.debug("not planned: %s", error)  # opening the model says it
        return None
    return "cpu" if device == "cpu" else f"cuda:{device}"


def _outlined(settings: Settings, machine: Machine, model: str) -> tuple[Report, Shape | None]:
    from rag.llms.hub import successor

    name = model or _chosen(settings, machine)
    instead = successor(name)
    note = f"{name} is of Qwen's first generation, which no longer runs. Use {instead} instead."
    if name == "extractive" or _is_remote(name):
        return _without_weights(settings, machine, name), None
    shape = _shape(settings, instead or name)
    found = arrange(settings, machine, shape)
    return Report(shape.name, note if instead else "", found, (), shape.download_bytes), shape


def _without_weights(settings: Settings, machine: Machine, name: str) -> Report:
    """Answers are quotations, or come from a server: all memory is for the other parts."""
    note = (
        "Answers come from a server." if _is_remote(name) else "Answers are quotations: no model is loaded."
    )
    device, parts = _first_place(settings, machine)
    return Report(name, note, Arrangement(machine, parts, device, None), (), 0)


def _chosen(settings: Settings, machine: Machine) -> str:
    """What PARLEY_LLM opens on such a machine."""
    from rag.llms import DEFAULT, resolve

    if settings.llm == "auto" and machine.gpus:
        return DEFAULT
    return resolve(settings.llm, offline=settings.offline)


def _is_remote(name: str) -> bool:
    return name.partition(":")[0] == "remote"


def _shape(settings: Settings, name: str) -> Shape:
    from rag.llms.shape import shape_of

    return shape_of(
        name,
        token=settings.hf_token.get_secret_value() or None,
        offline=settings.offline,
        trust_remote_code=settings.trust_remote_code,
    )


def arrange(settings: Settings, machine: Machine, shape: Shape) -> Arrangement:
    """The model on a GPU and the rest on another, or on the same, or on the processor: what first gives the
    model a roomy context, else what gives it the longest."""
    from rag.llms.errors import DoesNotFit
    from rag.llms.machine import choose
    from rag.llms.plan import ROOMY

    found: list[Arrangement] = []
    refused: list[Arrangement] = []
    for device, parts in _places(settings, machine):
        room = _beside(machine, parts, device)
        try:
            plan = choose(
                shape.model,
                room,
                quantize=settings.quantize,
                layout=settings.gpu_layout,
                packed=shape.packed,
                name=shape.name,
            )
        except DoesNotFit as error:
            refused.append(Arrangement(machine, parts, device, None, str(error)))
            continue
        found.append(Arrangement(machine, parts, device, plan))
        if plan.tokens >= min(ROOMY, plan.facts.window):
            break
    return max(found, key=_context) if found else refused[-1]


def _context(arranged: Arrangement) -> int:
    return arranged.plan.tokens if arranged.plan else 0


def _places(settings: Settings, machine: Machine) -> Iterator[tuple[Device, tuple[Part, ...]]]:
    """Where the other parts could be, the best first: the second GPU, the only one, the processor."""
    roomiest = sorted(machine.gpus, key=lambda gpu: (-machine.gpus[gpu], gpu))
    for gpu in roomiest[:2][-1:]:
        yield gpu, parts_of(settings, gpu=True)
    yield "cpu", parts_of(settings, gpu=False)


def _first_place(settings: Settings, machine: Machine) -> tuple[Device, tuple[Part, ...]]:
    """Where the other parts fit when they have the machine for themselves."""
    for device, parts in _places(settings, machine):
        if device == "cpu" or _taken(parts, device) + _runtime() <= machine.gpus[int(device)]:
            return device, parts
    raise AssertionError("the processor is always a place")


def _beside(machine: Machine, parts: Iterable[Part], device: Device) -> Machine:
    """The machine without what the parts take."""
    own = [part for part in parts if part.gpu]
    others = [part for part in parts if not part.gpu]
    left = machine.without(_taken(others, "cpu"), "cpu")
    return left.without(_taken(own, device), device) if own else left


def _taken(parts: Iterable[Part], device: Device) -> int:
    return sum(part.memory if device == "cpu" else part.gpu for part in parts)


def _runtime() -> int:
    from rag.llms.plan import RUNTIME

    return RUNTIME
