"""A report of measured questions → plain values: what `eval` prints, and what the page keeps.

It measures nothing, and knows neither where the values are shown nor where they are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from measuring import Comparison, Report, Run
    from rag.compare import Difference
    from rag.evaluate import Measured

Values = dict[str, Any]
_OF_ANSWERS = ("recall", "mrr", "answer_contains", "abstained")  # what can be lost between voice and question


def as_result(report: Report) -> Values:
    """What `eval --json` prints: the figures, and under names of their own what else was measured."""
    result = _figures(report, changed=False)
    result["seconds"] = round(report.seconds, 3)
    if report.plan.changes:
        changed = {"changed": dict(report.plan.changes)} | _figures(report, changed=True)
        beside = [c for c in report.comparisons if c.second.changed and not c.first.changed]
        differences = {comparison.first.spoken: _differences(comparison) for comparison in beside}
        result["compared"] = changed | {"differences": differences.get(False, [])}
        if report.plan.spoken:
            result["compared"]["spoken"]["differences"] = differences.get(True, [])
    result["advice"] = [asdict(advice) for advice in report.advice]
    result["misses"] = _misses(report.runs[0])
    return result


def _figures(report: Report, *, changed: bool) -> Values:
    """Of one of the settings: typed, and below that spoken with what is lost on the way."""
    typed, spoken = report.run(changed=changed), report.run(changed=changed, spoken=True)
    assert typed is not None
    if spoken is None:
        return dict(typed.figures)
    lost = {name: _minus(typed.figures[name], spoken.figures[name]) for name in _OF_ANSWERS}
    return typed.figures | {"spoken": spoken.figures | {"loss": lost, "noise_db": report.plan.noise}}


def _minus(one: Any, other: Any) -> Any:
    """The difference of two figures, or of each in two dicts of them; None where one is not known."""
    if isinstance(one, Mapping):
        return {name: _minus(value, other[name]) for name, value in one.items()}
    return None if one is None or other is None else round(one - other, 4)


def _differences(comparison: Comparison) -> list[Values]:
    return [_difference(each) for each in comparison.differences]


def _difference(each: Difference) -> Values:
    return asdict(each) | {"difference": each.difference}


def _misses(run: Run) -> list[Values]:
    from rag.advice import miss

    kinds = ((each.row, miss(each, run.conditions)) for each in run.measured)
    return [{"id": row.id, "question": row.question, "kind": kind} for row, kind in kinds if kind]


def as_text(result: Values) -> str:
    """What `eval` prints for people, from what it prints for programs."""
    lines = [_line(name, value) for name, value in result.items() if name not in _LATER]
    if compared := result.get("compared"):
        changed = ", ".join(f"{name}={value}" for name, value in compared["changed"].items())
        lines += ["", f"With {changed} (the interval holds 95 of 100 samples of such questions):"]
        lines += [_difference_line(each) for each in compared["differences"]]
        if spoken := compared.get("spoken"):
            lines += ["", f"With {changed}, spoken:"]
            lines += [_difference_line(each) for each in spoken["differences"]]
    if result["advice"]:
        lines += ["", "What to change:", *(f"- {_advice_line(each)}" for each in result["advice"])]
    return "\n".join(lines) + "\n"


_LATER = {"compared", "advice", "misses"}


def _line(name: str, value: Any) -> str:
    return f"{name:16} {json.dumps(value)}"


def _difference_line(each: Values) -> str:
    interval = f"[{each['low']:+.4g}, {each['high']:+.4g}]"
    values = f"{each['first']:.4g} → {each['second']:.4g}"
    return f"{each['figure']:24} {values:18} {interval:20} {each['verdict']}"


def _advice_line(each: Values) -> str:
    if not each["setting"] or not each["value"]:
        return str(each["text"])
    return f"{each['text']} Try --{each['setting'].replace('_', '-')} {each['value']}."


def as_record(report: Report) -> Values:
    """Everything about every question, for a page that shows it and keeps it."""
    first = report.runs[0]
    return {
        "seconds": round(report.seconds, 3),
        "settings": _settings(first),
        "changed": dict(report.plan.changes),
        "noise": report.plan.noise,
        "questions": [row.as_dict() for row in report.plan.rows],
        "runs": [_run(run) for run in report.runs],
        "comparisons": [
            {"of": [report.runs.index(c.first), report.runs.index(c.second)], "differences": _differences(c)}
            for c in report.comparisons
        ],
        "advice": [asdict(advice) for advice in report.advice],
    }


def _settings(run: Run) -> Values:
    conditions = run.conditions
    return {
        "k": conditions.k,
        "floor": conditions.floor,
        "answers": run.engine,
        "search": conditions.embedder,
    }


def _run(run: Run) -> Values:
    heard: Sequence[str | None] = run.heard or [None] * len(run.measured)
    rows = [_row(each, text, run) for each, text in zip(run.measured, heard, strict=True)]
    return {
        "changed": run.changed,
        "spoken": run.spoken,
        "figures": run.figures,
        "curve": _curve(run.measured),
        "rows": rows,
    }


def _curve(measured: Sequence[Measured]) -> list[float]:
    """recall@1, @2, … as far as was looked; empty where no row tells."""
    from rag.evaluate import mean

    found = [each.found for each in measured if each.found is not None]
    return [mean([hit[k] for hit in found]) or 0.0 for k in range(len(found[0]))] if found else []


def _row(each: Measured, heard: str | None, run: Run) -> Values:
    from rag.advice import miss

    return {
        "heard": heard,
        "rank": each.rank,
        "found": None if each.found is None else list(each.found),
        "answer": each.answer,
        "outcome": _outcome(each),
        "kind": miss(each, run.conditions),
        "ms": round(each.seconds * 1000, 1),
        "places": [[p.source, p.page, p.start, p.end, p.score] for p in each.places],
    }


def _outcome(each: Measured) -> str | None:
    """What became of the question, in a word; None where it was not asked for an answer."""
    if each.answered is None:
        return None
    if each.row.answerable is False:
        return "rightly refused" if not each.answered else "invented"
    if not each.answered:
        return "refused"
    if each.contains is None:
        return "answered"
    return "right" if each.contains else "other"
