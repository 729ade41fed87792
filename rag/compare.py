"""Two measurements of the same questions → which figures differ, and whether that is more than chance.

Each difference has the interval in which 95 of 100 samples of such questions would put it: a paired bootstrap
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993), which draws the questions anew with both their
results. It does not know what was changed between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rag.evaluate import CUTS, Measured, refused

FEWEST = 20  # questions; with fewer, a few of them decide everything, and the interval cannot show it
_SAMPLES = 2000
_SEED = 1  # the same measurements give the same interval

Verdict = Literal["better", "worse", "same", "unclear", "too few"]


@dataclass(frozen=True)
class Difference:
    """One figure of the second measurement against the first's, over the questions that both have it for."""

    figure: str
    questions: int
    first: float
    second: float
    low: float  # the interval of second - first
    high: float
    verdict: Verdict  # of the second

    @property
    def difference(self) -> float:
        return round(self.second - self.first, 4)


Array = NDArray[np.float64]
Value = Callable[[Measured], float | None]


@dataclass(frozen=True)
class _Figure:
    name: str
    value: Value
    statistic: Callable[[Array], float]
    more_is_better: bool


def _recall(k: int) -> Value:
    return lambda each: None if each.found is None else float(each.found[k - 1])


def _refused(answerable: bool) -> Value:
    def value(each: Measured) -> float | None:
        return refused(each) if each.row.answerable is answerable else None

    return value


def _average(values: Array) -> float:
    return float(values.mean())


def _median(values: Array) -> float:
    return float(np.median(values))


_FIGURES = (
    *(_Figure(f"recall@{k}", _recall(k), _average, True) for k in CUTS),
    _Figure("mrr", lambda each: each.reciprocal_rank, _average, True),
    _Figure("answer_contains", lambda each: each.contains, _average, True),
    _Figure("refused: answerable", _refused(True), _average, False),
    _Figure("refused: unanswerable", _refused(False), _average, True),
    _Figure("p50_ms", lambda each: each.seconds * 1000, _median, False),
)


def compare(first: Sequence[Measured], second: Sequence[Measured]) -> list[Difference]:
    """Both of the same questions in the same order; a figure that no question tells is left out."""
    pairs = list(zip(first, second, strict=True))
    found = (_difference(figure, pairs) for figure in _FIGURES)
    return [each for each in found if each is not None]


def _difference(figure: _Figure, pairs: Sequence[tuple[Measured, Measured]]) -> Difference | None:
    both = [(figure.value(one), figure.value(other)) for one, other in pairs]
    known = np.array([pair for pair in both if None not in pair], dtype=np.float64)
    if not len(known):
        return None
    before, after = known[:, 0], known[:, 1]
    low, high = _interval(before, after, figure.statistic)
    return Difference(
        figure=figure.name,
        questions=len(known),
        first=round(figure.statistic(before), 4),
        second=round(figure.statistic(after), 4),
        low=round(low, 4),
        high=round(high, 4),
        verdict=_verdict(before, after, low, high, figure.more_is_better),
    )


def _interval(before: Array, after: Array, statistic: Callable[[Array], float]) -> tuple[float, float]:
    random = np.random.default_rng(_SEED)
    drawn = (random.integers(len(before), size=len(before)) for _ in range(_SAMPLES))
    differences = [statistic(after[index]) - statistic(before[index]) for index in drawn]
    low, high = np.quantile(differences, (0.025, 0.975))
    return float(low), float(high)


def _verdict(before: Array, after: Array, low: float, high: float, more_is_better: bool) -> Verdict:
    if np.array_equal(before, after):
        return "same"
    if len(before) < FEWEST:
        return "too few"
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) is more_is_better else "worse"
