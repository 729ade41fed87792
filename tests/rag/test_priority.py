"""Questions go first."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from rag import priority


def test_the_background_waits_while_somebody_waits() -> None:
    passed = threading.Event()

    def work() -> None:
        priority.give_way()
        passed.set()

    with priority.urgent():
        with priority.urgent():
            thread = threading.Thread(target=work)
            thread.start()
        assert not passed.wait(0.05)
    thread.join()
    assert passed.is_set()


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "LONGEST", 0.01)
    with priority.urgent():
        priority.give_way()


def test_without_questions_nobody_waits() -> None:
    began = time.thread_time()
    for _ in range(1000):
        priority.give_way()
    assert time.thread_time() - began < 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_a_thread_in_the_background_and_what_it_starts_get_less_of_the_processor() -> None:
    found: list[int] = []

    def nice() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work() -> None:
        priority.lower()
        nice()
        child = threading.Thread(target=nice)
        child.start()
        child.join()

    nice()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    nice()
    assert found[1] == found[2] == min(found[0] + 10, 19)
    assert found[3] == found[0]
