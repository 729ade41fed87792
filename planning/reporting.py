"""A plan in words for a person, and as plain values for a program. It knows nothing of how it was made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planning.arrangement import Arrangement, Report
    from planning.parts import Part
    from rag.llms.alternatives import Alternative
    from rag.llms.plan import Device, Plan

GIB = 1 << 30
GIGABYTE = 1_000_000_000


def as_text(report: Report) -> str:
    """Some twenty short lines."""
    return "\n".join(_lines(report)) + "\n"


def headline(report: Report) -> list[str]:
    """The plan in one or two lines, for the start of the server."""
    arranged, plan = report.arrangement, report.arrangement.plan
    if plan is None:
        return [arranged.refusal or report.note]
    sizes = f"{_gib(sum(plan.weights.values()))} of weights, {_gib(plan.facts.cache(plan.tokens))} for a"
    model = f"{report.name} {_how(plan)}: {sizes} context of {plan.tokens:,} tokens."
    return [model, " ".join(f"{_device(arranged, device)}." for device in _devices(arranged))]


def _lines(report: Report) -> Iterator[str]:
    arranged, plan = report.arrangement, report.arrangement.plan
    if report.note:
        yield report.note
    if plan is not None:
        yield f"{report.name} fits, {_how(plan)}."
        yield from _figures(plan)
    elif arranged.refusal:
        yield arranged.refusal
    if report.download_bytes:
        yield f"  download           {report.download_bytes / GIGABYTE:.1f} GB"
    yield ""
    yield from (f"{_device(arranged, device)}." for device in _devices(arranged))
    if report.alternatives:
        yield ""
        yield "Otherwise:"
        yield from map(_otherwise, report.alternatives)


def _figures(plan: Plan) -> Iterator[str]:
    from rag.llms.plan import RUNTIME

    facts, tokens = plan.facts, plan.tokens
    most = " (all that it was made for)" if tokens == facts.window else ""
    yield f"  weights           {_gib(facts.weights):>9}"
    yield f"  context           {_gib(facts.cache(tokens)):>9}   for {tokens:,} tokens{most}"
    yield f"  reading a prompt  {_gib(facts.reading(tokens)):>9}   at most"
    if any(isinstance(device, int) for device in plan.weights):
        yield f"  CUDA itself       {_gib(RUNTIME):>9}   on each GPU"


def _how(plan: Plan) -> str:
    from rag.llms.alternatives import PACKING
    from rag.llms.plan import where

    place = where(plan)
    return f"{PACKING[plan.quantize]}, {place if place.startswith('split') else f'on {place}'}"


def _devices(arranged: Arrangement) -> list[Device]:
    return [*sorted(arranged.machine.gpus), "cpu"]


def _device(arranged: Arrangement, device: Device) -> str:
    """Who is on a device, and what is left there."""
    free, used = _free(arranged, device), arranged.used(device)
    name = "Main memory" if device == "cpu" else f"GPU {device}"
    there = [_part(part, device) for part in arranged.on(device)]
    if arranged.plan and device in arranged.plan.weights:
        there.insert(0, f"language model {_gib(arranged.plan.memory(arranged.plan.tokens)[device])}")
    left = f"{_gib(free - used)} of {_gib(free)} left" if used <= free else f"{_gib(used - free)} too little"
    return f"{name}: {', '.join(there) or 'nothing'}; {left}"


def _part(part: Part, device: Device) -> str:
    size = part.memory if device == "cpu" else part.gpu
    return f"{part.role} {_gib(size)} ({part.name})" if size > GIB // 20 else f"{part.role} ({part.name})"


def _free(arranged: Arrangement, device: Device) -> int:
    return arranged.machine.memory if device == "cpu" else arranged.machine.gpus[int(device)]


def _otherwise(way: Alternative) -> str:
    mark = "fits     " if way.fits else "too large"
    return f"  {mark}  {way.text}" + (f"  [{way.setting}]" if way.setting and way.fits else "")


def as_values(report: Report) -> dict[str, Any]:
    """For --json."""
    arranged, plan = report.arrangement, report.arrangement.plan
    return {
        "model": report.name,
        "note": report.note,
        "fits": plan is not None,
        "refusal": arranged.refusal,
        "plan": _plan_values(plan) if plan else None,
        "devices": [_device_values(arranged, device) for device in _devices(arranged)],
        "download_bytes": report.download_bytes,
        "alternatives": [
            {"kind": way.kind, "text": way.text, "fits": way.fits, "setting": way.setting}
            for way in report.alternatives
        ],
    }


def _plan_values(plan: Plan) -> dict[str, Any]:
    from rag.llms.plan import where

    facts = plan.facts
    return {
        "where": where(plan),
        "quantize": plan.quantize,
        "parameters": facts.parameters,
        "weights_bytes": facts.weights,
        "context_tokens": plan.tokens,
        "window_tokens": facts.window,
        "cache_bytes": facts.cache(plan.tokens),
        "cache_bytes_per_token": facts.cache_per_token,
        "prompt_bytes": facts.reading(plan.tokens),
    }


def _device_values(arranged: Arrangement, device: Device) -> dict[str, Any]:
    plan = arranged.plan
    return {
        "device": device if device == "cpu" else f"cuda:{device}",
        "free_bytes": _free(arranged, device),
        "used_bytes": arranged.used(device),
        "model_bytes": plan.memory(plan.tokens).get(device, 0) if plan else 0,
        "parts": [
            {"role": part.role, "name": part.name, "bytes": part.memory if device == "cpu" else part.gpu}
            for part in arranged.on(device)
        ],
    }


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
