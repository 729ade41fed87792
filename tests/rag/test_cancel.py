"""The cancel token: from any thread, any number of times, at any moment."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.cancel import Cancelled, CancelToken, current, scope
from rag.chains import CHAIN_TYPES, RetrievalQA
from rag.extractive import ExtractiveQA
from tests.rag.scripted import Fixed, HashChat, passages


def test_outside_a_scope_nothing_is_ever_cancelled() -> None:
    assert not current().cancelled
    current().raise_if_cancelled()


def test_the_token_is_seen_inside_its_scope_only() -> None:
    token = CancelToken()
    token.cancel()
    with scope(token), pytest.raises(Cancelled):
        current().raise_if_cancelled()
    current().raise_if_cancelled()


def test_a_callback_runs_once_however_often_it_is_cancelled() -> None:
    token, calls = CancelToken(), []
    with token.on_cancel(lambda: calls.append(1)):
        threads = [threading.Thread(target=token.cancel) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert calls == [1]


def test_a_callback_of_a_cancelled_token_runs_at_once_and_of_a_left_block_never() -> None:
    token, calls = CancelToken(), []
    with token.on_cancel(lambda: calls.append("left")):
        pass
    token.cancel()
    with token.on_cancel(lambda: calls.append("late")):
        assert calls == ["late"]
    assert token.wait(0)


class Worker:
    """Counts as fast as it can, between two checkpoints of the token that it works under."""

    def __init__(self, token: CancelToken) -> None:
        self.count = 0
        self.stopped = threading.Event()
        self._token = token
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with scope(self._token):
                while True:
                    current().checkpoint()
                    self.count += 1
                    self._token.wait(0.001)
        except Cancelled:
            self.stopped.set()

    def moves(self, seconds: float = 1.0) -> bool:
        """Whether it counts on within `seconds`."""
        before, deadline = self.count, time.monotonic() + seconds
        while self.count == before and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.count > before


def still(worker: Worker) -> bool:
    """Whether it stands still, after the one step that it may have been in."""
    worker.moves(0.05)
    return not worker.moves(0.1)


def test_work_stands_still_while_held_and_goes_on() -> None:
    token = CancelToken()
    worker = Worker(token)
    assert worker.moves()
    for _ in range(3):
        token.hold()
    assert token.held
    assert still(worker)
    token.release()
    assert worker.moves()
    token.release()
    assert worker.moves()
    token.cancel()
    assert worker.stopped.wait(1)


def test_cancelling_ends_a_hold_at_once() -> None:
    token = CancelToken()
    token.hold()
    worker = Worker(token)
    assert still(worker)
    begin = time.monotonic()
    token.cancel()
    assert worker.stopped.wait(1)
    assert time.monotonic() - begin < 0.5
    token.hold()
    assert not token.held


def held(*tokens: CancelToken) -> list[bool]:
    return [token.held for token in tokens]


def test_a_hold_ends_by_itself_and_is_not_prolonged() -> None:
    token = CancelToken(longest_hold=0.2)
    token.hold()
    begin = time.monotonic()
    worker = Worker(token)
    time.sleep(0.1)
    token.hold()
    assert worker.moves(2)
    assert 0.15 < time.monotonic() - begin < 1
    token.hold()
    assert held(token) == [False], "a hold that ran out comes back only after a release"
    token.release()
    token.hold()
    assert held(token) == [True]
    token.cancel()


def test_a_follower_is_held_released_and_cancelled_with_its_leader() -> None:
    leader, follower = CancelToken(), CancelToken()
    leader.hold()
    with leader.leads(follower):
        assert held(follower) == [True]
        leader.release()
        assert held(follower) == [False]
        leader.hold()
        assert held(leader, follower) == [True, True]
        assert follower.holds == 2
        leader.cancel()
        assert follower.cancelled
    late = CancelToken()
    with leader.leads(late):
        assert late.cancelled


def test_a_follower_alone_can_be_cancelled_and_is_left_alone_after_the_block() -> None:
    leader, first, second = CancelToken(), CancelToken(), CancelToken()
    with leader.leads(first):
        first.cancel()
    with leader.leads(second):
        pass
    leader.hold()
    leader.cancel()
    assert not second.held
    assert not second.cancelled


@given(st.lists(st.sampled_from(["hold", "release"]), max_size=12))
def test_any_order_of_holding_and_releasing_is_harmless(calls: list[str]) -> None:
    token, follower = CancelToken(), CancelToken()
    with token.leads(follower):
        for call in calls:
            getattr(token, call)()
        assert token.held == follower.held == (calls[-1:] == ["hold"])
        token.cancel()
        with pytest.raises(Cancelled):
            follower.checkpoint()


@pytest.mark.parametrize("kind", ["extractive", *CHAIN_TYPES])
def test_every_chain_stands_still_while_held(kind: str) -> None:
    retriever = Fixed(documents=passages(3))
    asked = HashChat()
    chain = (
        ExtractiveQA(retriever=retriever)
        if kind == "extractive"
        else RetrievalQA.from_chain_type(asked, kind, retriever=retriever)
    )
    token, parts = CancelToken(), list[dict[str, Any]]()

    def read() -> None:
        with scope(token):
            parts.extend(chain.stream({"query": "w0x1 w1x2?"}))

    whole = list(chain.stream({"query": "w0x1 w1x2?"}))
    retriever.asked.clear()
    token.hold()
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.1)
    assert not parts
    assert not retriever.asked
    token.release()
    reader.join(5)
    assert parts == whole
    stream = iter(chain.stream({"query": "w0x1 w1x2?"}))
    with scope(token):
        next(stream)
        sent = len(asked.sent)
        token.hold()
        threading.Timer(0.2, token.cancel).start()
        begin = time.monotonic()
        with pytest.raises(Cancelled):
            list(stream)
    assert 0.1 < time.monotonic() - begin < 1
    assert len(asked.sent) == sent
