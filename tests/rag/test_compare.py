"""A difference counts only where it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rag.compare import FEWEST, Difference, compare
from rag.evaluate import Measured, Row


def found(hits: Sequence[int], seconds: float = 0.1) -> list[Measured]:
    """Questions whose passage is first (1) or nowhere (0)."""
    return [
        Measured(Row(str(n), "q", "a.txt"), seconds, found=(bool(hit),) * 10, rank=1 if hit else None)
        for n, hit in enumerate(hits)
    ]


def figure(name: str, first: Sequence[Measured], second: Sequence[Measured]) -> Difference:
    return next(each for each in compare(first, second) if each.figure == name)


def test_a_clear_difference_is_named_with_its_interval() -> None:
    known = figure("recall@1", found([0] * 15 + [1] * 25), found([1] * 40))
    assert (known.first, known.second, known.difference) == (0.625, 1.0, 0.375)
    assert 0.2 < known.low < 0.375 < known.high < 0.55
    assert known.verdict == "better"
    assert figure("recall@1", found([1] * 40), found([0] * 15 + [1] * 25)).verdict == "worse"


def test_one_question_of_forty_is_no_progress() -> None:
    known = figure("recall@4", found([0, 0] + [1] * 38), found([0, 1] + [1] * 38))
    assert known.difference == 0.025
    assert known.low <= 0
    assert known.verdict == "unclear"


def test_gains_and_losses_that_cancel_out_are_unclear_and_equal_results_the_same() -> None:
    one, other = [1, 0] * 30, [0, 1] * 30
    assert figure("recall@1", found(one), found(other)).verdict == "unclear"
    same = figure("recall@1", found(one), found(one))
    assert (same.verdict, same.low, same.high) == ("same", 0.0, 0.0)


def test_too_few_questions_decide_nothing() -> None:
    few = FEWEST - 1
    assert figure("recall@1", found([0] * few), found([1] * few)).verdict == "too few"
    assert figure("recall@1", found([0] * FEWEST), found([1] * FEWEST)).verdict == "better"


def test_pairing_sees_what_two_separate_intervals_would_not() -> None:
    random = np.random.default_rng(7)
    before = (random.random(200) < 0.6).astype(int)
    after = before.copy()
    after[np.flatnonzero(before == 0)[:12]] = 1
    known = figure("recall@1", found(before.tolist()), found(after.tolist()))
    assert known.verdict == "better"
    spread = 1.96 * np.sqrt(2 * 0.6 * 0.4 / 200)  # of the difference of two separate samples
    assert known.difference < spread


def test_less_time_and_fewer_refusals_are_better() -> None:
    quick = figure("p50_ms", found([1] * 30, seconds=0.2), found([1] * 30, seconds=0.1))
    assert (quick.first, quick.second, quick.verdict) == (200.0, 100.0, "better")

    def asked(answerable: bool, answered: bool) -> list[Measured]:
        rows = [Row(str(n), "q", answerable=answerable) for n in range(30)]
        return [Measured(row, 0.1, answer="…", answered=answered) for row in rows]

    wrong = figure("refused: answerable", asked(True, True), asked(True, False))
    right = figure("refused: unanswerable", asked(False, True), asked(False, False))
    assert (wrong.verdict, right.verdict) == ("worse", "better")


def test_a_figure_that_no_question_tells_is_left_out_and_the_interval_is_the_same_each_time() -> None:
    rows = [Measured(Row("1", "q"), 0.1), Measured(Row("2", "q"), 0.2)]
    assert [each.figure for each in compare(rows, rows)] == ["p50_ms"]
    one, other = found([1, 0] * 20), found([1, 1] * 20)
    assert compare(one, other) == compare(one, other)


def test_other_questions_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare(found([1, 1]), found([1]))
