from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from ui.conversations import Conversations, Passage, Turn, _load, as_markdown, messages


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Conversations]:
    with closing(Conversations(tmp_path / "parley.db")) as store:
        yield store


PASSAGE = Passage("guide.pdf", 2, 10, 30, 0.8, "Two lines\nof text.", place="page 2")


def test_turns_survive_a_restart_word_for_word(tmp_path: Path) -> None:
    store = Conversations(tmp_path / "parley.db")
    identifier = store.create("ada")
    turn = store.add(identifier, Turn("Why?\n  Really?"))
    full = replace(
        turn, answer="Because. [1] \U0001f600", state="done", sources=(PASSAGE,), timings={"total": 0.5}
    )
    store.save(full)
    store.close()
    with closing(Conversations(tmp_path / "parley.db")) as again:
        assert again.turns("ada", identifier) == [full]
        assert [(item.id, item.title) for item in again.recent("ada")] == [(identifier, "Why? Really?")]


def test_nobody_reaches_what_is_somebody_elses(store: Conversations) -> None:
    identifier = store.create("ada")
    store.add(identifier, Turn("Why?"))
    assert not store.owns("grace", identifier)
    assert store.turns("grace", identifier) == []
    assert store.recent("grace") == []
    assert not store.delete("grace", identifier)
    assert len(store.turns("ada", identifier)) == 1
    assert store.delete("ada", identifier)
    assert store.turns("ada", identifier) == []


def test_a_turn_of_a_deleted_conversation_does_not_come_back(store: Conversations) -> None:
    identifier = store.create("ada")
    turn = store.add(identifier, Turn("Why?"))
    store.delete("ada", identifier)
    store.save(replace(turn, answer="Late."))
    assert store.turns("ada", identifier) == []


def test_ids_cannot_be_guessed(store: Conversations) -> None:
    found = {store.create("ada") for _ in range(50)}
    assert len(found) == 50
    assert min(map(len, found)) >= 24  # 144 bits


def test_the_history_leaves_out_what_was_not_answered() -> None:
    turns = [Turn("a", "b"), Turn("c", state="failed"), Turn("d", "partly", state="stopped")]
    found = [(type(message), message.content) for message in messages(turns)]
    assert found == [(HumanMessage, "a"), (AIMessage, "b"), (HumanMessage, "d"), (AIMessage, "partly")]


def test_the_history_has_what_was_heard_of_an_interrupted_answer_and_what_it_cites() -> None:
    passages = tuple(Passage(f"{name}.txt", None, 0, 9, 0.5, name) for name in "ab")
    heard = Turn("c", "The second [2] is", state="interrupted", sources=passages)
    cut = Turn("d", "", state="interrupted", sources=passages, standalone="And d?")
    _, first, question, second = messages([heard, cut])
    known = {"sources": [["b.txt", 0, 9]], "interrupted": True, "standalone": "c"}
    assert first.additional_kwargs == known
    assert (question.content, second.content) == ("d", "")
    assert second.additional_kwargs == known | {"sources": [["a.txt", 0, 9]], "standalone": "And d?"}


def test_the_export_cites() -> None:
    text = as_markdown([Turn("Why?", "Because. [1]", sources=(PASSAGE,)), Turn("And?", state="failed")])
    assert (
        "## Why?\n\nBecause. [1]\n\n**[1]** guide.pdf, page 2 (match 80%)\n\n> Two lines\n> of text." in text
    )
    assert "*(no answer)*" in text


def test_a_passage_kept_before_pages_had_names_has_one() -> None:
    turn = asdict(Turn("Why?", "Because. [1]", sources=(PASSAGE,)))
    del turn["id"], turn["sources"][0]["place"], turn["sources"][0]["at"]
    assert _load(1, json.dumps(turn)).sources == (PASSAGE,)
