"""An answer on its way to the page: what is said of its sentences reaches the voice before they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rag.assistant import Answer, Checked, Done, Event, Replaced, Sources, Token
from ui.answering import Line, Running
from ui.conversations import Conversations, Turn
from ui.spoken import Spoken

WAIT = 20.0


class Voice:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        self.fed: list[tuple[str, str]] = []
        self.finished = False
        self.moments: dict[str, float] = {}

    def feed(self, piece: str, remark: str = "") -> None:
        self.fed.append((piece, remark))

    def replace(self) -> None:
        self.fed.clear()

    def finish(self) -> None:
        self.finished = True

    def release(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Conversations]:
    store = Conversations(tmp_path / "parley.db")
    yield store
    store.close()


def run(store: Conversations, question: str, *events: Event) -> tuple[Voice, list[Line], Turn]:
    """What the voice and the page get of these events, and the turn that is kept."""

    def work(emit: Callable[[Event], None]) -> None:
        for event in events:
            emit(event)

    voice, lines, ended = Voice(), list[Line](), threading.Event()

    def deliver(line: Line | None) -> None:
        if line is None:
            ended.set()
        else:
            lines.append(line)

    running = Running(Answer(work), Turn(question), store, cast(Spoken, voice), deliver)
    conversation = store.create("somebody")
    running.commit(conversation)
    assert ended.wait(WAIT)
    [kept] = store.turns("somebody", conversation)
    return voice, lines, kept


def done(text: str, **more: Any) -> Done:
    return Done(text, answered=True, **more)


def test_what_a_model_writes_is_said_when_it_has_been_checked(store: Conversations) -> None:
    voice, lines, kept = run(
        store,
        "When does it open?",
        Sources((), checked=True),
        Token("It opens"),
        Token(" at nine. [1]"),
        Checked(0, 17, supported=True, passages=(1,)),
        Token(" Pigs fly."),
        Checked(22, 31, supported=False),
        done("It opens at nine. [1] Pigs fly.", unsupported=((22, 31),)),
    )
    assert voice.fed == [("It opens at nine. [1]", ""), (" Pigs fly.", "Not in the documents:")]
    assert voice.finished
    assert [line["type"] for line in lines if line["type"] in {"token", "checked"}] == [
        *("token", "token", "checked", "token", "checked")
    ]
    assert kept.unsupported == ((22, 31),)


def test_the_remark_is_in_the_language_of_the_question(store: Conversations) -> None:
    voice, _, _ = run(
        store,
        "Wann wird der Garten geöffnet und was kostet es?",
        Sources((), checked=True),
        Token("Schweine fliegen."),
        Checked(0, 17, supported=False),
        done("Schweine fliegen."),
    )
    assert voice.fed == [("Schweine fliegen.", "Nicht in den Dokumenten:")]


def test_what_is_quoted_waits_for_nothing(store: Conversations) -> None:
    voice, _, _ = run(
        store, "When?", Sources(()), Token("It opens"), Token(" at nine."), done("It opens at nine.")
    )
    assert voice.fed == [("It opens", ""), (" at nine.", "")]


def test_of_a_replaced_text_nothing_is_doubted_or_said(store: Conversations) -> None:
    voice, _, kept = run(
        store,
        "When?",
        Sources((), checked=True),
        Token("Pigs fly."),
        Checked(0, 9, supported=False),
        Token(" And then"),
        Replaced("The model ran out of memory."),
        Sources(()),
        Token("At nine. [1]"),
        done("At nine. [1]"),
    )
    assert voice.fed == [("At nine. [1]", "")]
    assert kept.unsupported == ()


def test_what_was_ready_before_the_end_of_speech_is_timed_as_when_it_was_shown(store: Conversations) -> None:
    def work(emit: Callable[[Event], None]) -> None:
        for event in (Sources(()), Token("At nine."), done("At nine.", timings={"total": 0.0})):
            emit(event)

    running = Running(Answer(work), Turn("When?"), store, None, lambda line: None)
    deadline = time.monotonic() + WAIT
    while not running.ended and time.monotonic() < deadline:
        time.sleep(0.005)
    kept = running.commit(store.create("somebody"), since=time.monotonic() - 0.2)
    assert {name: at >= 0.2 for name, at in kept.timings.items()} == dict.fromkeys(
        ["retrieval", "first_token", "total"], True
    )
