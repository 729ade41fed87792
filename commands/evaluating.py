"""Evaluating: questions measured on these engines, as plain values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engines import Engines, Progress
from evaluation.measuring import Plan, measure
from evaluation.reporting import as_result

if TYPE_CHECKING:
    from rag.questions import Row

log = logging.getLogger(__name__)


def evaluate_on(
    engines: Engines,
    rows: Sequence[Row],
    progress: Progress | None = None,
    *,
    changes: Mapping[str, str] | None = None,
    spoken: bool = False,
    noise: float | None = None,
) -> dict[str, Any]:
    """Measure retrieval and answers on questions, as `rag.questions.read_questions` reads them.

    `changes`, `spoken` and `noise` are those of `evaluation.measuring.Plan`.
    """
    _look_for_documents(engines, rows)
    plan = Plan(rows, changes=changes or {}, spoken=spoken, noise=noise)
    return as_result(measure(engines, plan, progress))


def _look_for_documents(engines: Engines, rows: Sequence[Row]) -> None:
    """Say before all is measured if the questions are about other documents than those in the index."""
    store, _ = engines.library.get()
    wanted = {row.source for row in rows if row.source}
    if wanted and not any(store.find_source(source) for source in wanted):
        log.warning(
            "None of the documents that the questions are about is in the index (%s, …). Name their folder "
            "with --corpus.",
            min(wanted),
        )
