"""The cancel token: from any thread, any number of times, at any moment."""

from __future__ import annotations

import threading

import pytest

from rag.cancel import Cancelled, CancelToken, current, scope


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
