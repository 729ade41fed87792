"""How long it will still take, on a clock of our own."""

from __future__ import annotations

import itertools

import pytest

from rag.estimate import FIRST, Estimate, in_words


def run(files: list[tuple[str, int, float]]) -> list[tuple[float, float | None]]:
    """Files with the seconds each takes → after each: what is truly left, and the estimate."""
    now, left = 100.0, sum(seconds for *_, seconds in files)
    estimate = Estimate([(kind, size) for kind, size, _ in files], now)
    found = []
    for kind, size, seconds in files:
        now, left = now + seconds, left - seconds
        estimate.finished([(kind, size)], now)
        found.append((left, estimate.seconds(now)))
    return found


def test_nothing_is_said_too_early() -> None:
    estimate = Estimate([("txt", 1000)] * 10, 0.0)
    assert estimate.seconds(1.0) is None
    assert estimate.seconds(FIRST + 1) is None  # nothing is done yet
    estimate.finished([("txt", 1000)], FIRST + 2)
    assert estimate.seconds(FIRST + 2) == pytest.approx(9 * (FIRST + 2))


def test_files_of_one_kind() -> None:
    for left, said in run([("txt", 10_000, 0.5)] * 100)[10:-1]:
        assert said == pytest.approx(left, rel=0.05)


def test_a_kind_that_is_slower_is_learnt() -> None:
    texts, scans = [("txt", 10_000, 0.1)] * 200, [("pdf", 100_000, 20.0)] * 10
    found = run(texts + scans)
    assert found[-6][1] == pytest.approx(found[-6][0], rel=0.3)
    assert found[-2][1] == pytest.approx(found[-2][0], rel=0.3)


def test_it_does_not_jump() -> None:
    """One file that takes ten times as long does not double what is said."""
    files = [("txt", 10_000, 0.5)] * 50 + [("txt", 10_000, 5.0)] + [("txt", 10_000, 0.5)] * 50
    said = [estimate for _, estimate in run(files) if estimate is not None]
    assert all(after < before * 1.3 for before, after in itertools.pairwise(said))


def test_a_batch_shares_its_time() -> None:
    estimate = Estimate([("txt", 8000), ("pdf", 8000)] * 20, 0.0)
    for number in range(10):
        estimate.finished([("txt", 8000), ("pdf", 8000)], 2.0 * (number + 1))
    assert estimate.seconds(20.0) == pytest.approx(20.0, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "less than a minute"),
        (50, "about a minute"),
        (170, "about 3 minutes"),
        (3000, "about 50 minutes"),
        (8000, "about 2 hours"),
    ],
)
def test_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
