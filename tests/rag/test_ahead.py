"""Results that are made ahead of their reader."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from rag import cancel
from rag.ahead import Ahead


def test_every_item_has_its_result() -> None:
    with Ahead(range(100), lambda n: n * n, threads=3, most=5) as ahead:
        assert sorted(ahead) == [(n, n * n) for n in range(100)]
    with Ahead(range(0), str, threads=3, most=5) as nothing:
        assert list(nothing) == []


def test_a_slow_one_holds_nobody_up() -> None:
    gate = threading.Event()

    def work(n: int) -> int:
        return n if n else (gate.wait(30), n)[1]

    with Ahead(range(10), work, threads=2, most=4) as ahead:
        results = iter(ahead)
        assert [next(results)[0] for _ in range(9)] == list(range(1, 10))
        gate.set()
        assert next(results) == (0, 0)


def test_meanwhile_something_else_is_done() -> None:
    gate = threading.Event()
    with Ahead([1], lambda _: gate.wait(30), threads=1, most=1, meanwhile=gate.set) as ahead:
        assert list(ahead) == [(1, True)]


def test_no_more_than_asked_for_is_Ahead() -> None:
    done: list[int] = []
    with Ahead(range(50), done.append, threads=2, most=3) as ahead:
        results = iter(ahead)
        for taken in range(1, 20):
            next(results)
            assert len(done) <= taken + 3


def test_what_fails_fails_in_the_reader() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Ahead([1, 0, 2], lambda n: 1 / n, threads=1, most=2) as ahead,
    ):
        list(ahead)


def test_a_cancel_ends_the_waiting_and_begins_nothing_more() -> None:
    token, gate, begun = cancel.CancelToken(), threading.Event(), threading.Semaphore(0)
    done: list[int] = []

    def work(n: int) -> None:
        done.append(n)
        begun.release()
        gate.wait(30)

    with cancel.scope(token), Ahead(range(100), work, threads=2, most=50) as ahead:
        for _ in range(2):
            begun.acquire()
        token.cancel()
        with pytest.raises(cancel.Cancelled):
            list(ahead)
    gate.set()
    assert len(done) <= 4  # the two that ran, and one each that was taken before the end was seen


def test_the_threads_see_the_context_of_whoever_asked() -> None:
    about: ContextVar[str] = ContextVar("about", default="")
    about.set("bees")
    with Ahead(range(3), lambda _: about.get(), threads=2, most=2) as ahead:
        assert {result for _, result in ahead} == {"bees"}
