"""A report of measured questions → plain values: what `eval` prints, and what the page keeps.

It measures nothing, and knows neither where the values are shown nor where they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluation.measuring import Comparison, Report, Run
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
    """What `eval` prints for people, from what it prints for programs, in the page's words."""
    lines = [_count(result["questions"]), "", *_table(_columns(result))]
    if compared := result.get("compared"):
        changed = _changed(compared)
        lines += ["", f"With {changed} (the interval holds 95 of 100 samples of such questions):"]
        lines += [_difference_line(each) for each in compared["differences"]]
        if spoken := compared.get("spoken"):
            lines += ["", f"With {changed}, aloud:"]
            lines += [_difference_line(each) for each in spoken["differences"]]
    if result["advice"]:
        lines += ["", "What to change:", *(f"- {_advice_line(each)}" for each in result["advice"])]
    if misses := result["misses"]:
        lines += ["", f"Misses ({len(misses)}):", *map(_miss_line, misses[:_LISTED])]
        lines += [f"and {len(misses) - _LISTED} more"] if len(misses) > _LISTED else []
    return "\n".join(lines) + "\n"


_LISTED = 20  # misses
_NAMES = {  # as the page has them
    "recall@1": "Right passage first",
    "recall@4": "… among the first 4",
    "recall@5": "… among the first 5",
    "recall@10": "… among the first 10",
    "mrr": "Mean reciprocal rank",
    "answer_contains": "Answer as expected",
    "refused: answerable": "Refused, though answerable",
    "refused: unanswerable": "Refused, as it should be",
    "p50_ms": "Time to the answer (median)",
    "p95_ms": "… of the slowest 5 %",
    "wer": "Words misheard",
    "hearing_p50_ms": "Time to hear it (median)",
}
_KINDS = {
    "not indexed": "its document is not in the index",
    "not found": "its document was not found",
    "wrong place": "another place of the document was found",
    "too low": "found too late",
    "under the floor": "found, but scored too low",
    "not in the answer": "found, but not in the answer",
    "refused": "refused",
    "invented": "answered, though the documents do not say",
}
_VERDICTS = {"same": "the same", "unclear": "not more than chance", "too few": "too few questions"}


def _count(questions: int) -> str:
    return "One question." if questions == 1 else f"{questions} questions."


def _changed(compared: Values) -> str:
    return ", ".join(f"{name}={value}" for name, value in compared["changed"].items())


def _columns(result: Values) -> Iterator[tuple[str, Values]]:
    """A heading and the figures below it, for every way in which the questions were asked."""
    both = [("Now", result)]
    if compared := result.get("compared"):
        both.append((_changed(compared), compared))
    for name, figures in both:
        yield name, _flat(figures)
        if spoken := figures.get("spoken"):
            noise = "" if spoken["noise_db"] is None else f" ({spoken['noise_db']:g} dB)"
            yield f"{name}, aloud{noise}", _flat(spoken)


def _flat(figures: Values) -> Values:
    """The figures under the names that comparisons have for them."""
    recall = {f"recall@{k}": value for k, value in figures["recall"].items()}
    refused = {f"refused: {name}": value for name, value in figures["abstained"].items()}
    return {**figures, **recall, **refused}


def _table(columns: Iterable[tuple[str, Values]]) -> Iterator[str]:
    """A line for each figure that is known in one of the columns."""
    heads, figures = zip(*columns, strict=True)
    widths = [max(len(head), 8) + 2 for head in heads]
    if len(heads) > 1:
        yield _cells("", heads, widths)
    for name, label in _NAMES.items():
        if any(column.get(name) is not None for column in figures):
            yield _cells(label, [_amount(name, column.get(name)) for column in figures], widths)


def _cells(label: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"{label:28}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _amount(figure: str, value: float | None) -> str:
    if value is None:
        return "–"
    if figure.endswith("_ms"):
        return f"{value:.0f} ms" if abs(value) < 1000 else f"{value / 1000:.1f} s"
    return f"{value:.3f}" if figure == "mrr" else f"{round(100 * value, 1):g} %"


def _difference_line(each: Values) -> str:
    name = each["figure"]
    first, second = (_amount(name, each[key]) for key in ("first", "second"))
    low, high = ("+" * (each[key] > 0) + _amount(name, each[key]) for key in ("low", "high"))
    verdict = _VERDICTS.get(each["verdict"], each["verdict"])
    return f"{_NAMES.get(name, name):28}{f'{first} → {second}':22}{f'[{low}, {high}]':24}{verdict}"


def _advice_line(each: Values) -> str:
    if not each["setting"] or not each["value"]:
        return str(each["text"])
    return f"{each['text']} Try --{each['setting'].replace('_', '-')} {each['value']}."


def _miss_line(each: Values) -> str:
    return f"- {each['question']} ({_KINDS[each['kind']]})"


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
