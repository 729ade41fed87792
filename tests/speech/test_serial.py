"""Work one piece after another, for many at once."""

from __future__ import annotations

import threading
from collections import Counter

from speech.serial import Serial

WAIT = 10.0


def nothing() -> None: ...


def test_each_ones_work_is_done_in_order_and_never_two_pieces_at_once() -> None:
    done: dict[int, list[int]] = {number: [] for number in range(20)}
    inside, most, guard, ends = Counter[int](), Counter[int](), threading.Lock(), []
    for _ in done:
        ended = threading.Event()
        serial = Serial(tick=nothing, last=ended.set)
        ends.append((serial, ended))

    def work(number: int, piece: int) -> None:
        with guard:
            inside[number] += 1
            most[number] = max(most[number], inside[number])
        done[number].append(piece)
        with guard:
            inside[number] -= 1

    for piece in range(200):
        for number, (serial, _) in enumerate(ends):
            serial.do(lambda number=number, piece=piece: work(number, piece))  # type: ignore[misc]
    for serial, _ in ends:
        finished = threading.Event()
        serial.do(finished.set)
        assert finished.wait(WAIT)
        serial.close()
    assert all(ended.wait(WAIT) for _, ended in ends)
    assert all(pieces == list(range(200)) for pieces in done.values())
    assert set(most.values()) == {1}


def test_the_last_is_done_once_after_what_is_being_done_and_nothing_after_it() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        begun.set()
        assert go_on.wait(WAIT)
        done.append("slow")

    def last() -> None:
        done.append("last")
        ended.set()

    serial = Serial(tick=nothing, last=last)
    serial.do(slow)
    serial.do(lambda: done.append("never"))
    assert begun.wait(WAIT)
    serial.close()
    serial.close()
    serial.do(lambda: done.append("too late"))
    go_on.set()
    assert ended.wait(WAIT)
    assert done == ["slow", "last"]
    assert len(serial) == 0


def test_it_ticks_from_start_to_close() -> None:
    ticks, ended = threading.Semaphore(0), threading.Event()
    serial = Serial(tick=ticks.release, last=ended.set)
    serial.start()
    assert all(ticks.acquire(timeout=WAIT) for _ in range(3))
    serial.close()
    assert ended.wait(WAIT)
