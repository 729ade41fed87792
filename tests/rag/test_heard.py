"""What was heard of an answer, and what a model is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.heard import INTERRUPTED, Place, apart, as_heard, heard_places
from rag.memory import contextualize, remember
from tests.rag.scripted import HashChat

PLACES = [["a.txt", 0, 100], ["b.txt", 0, 100], ["c.txt", 0, 100]]


def answer(text: str, interrupted: bool = True, sources: object = None) -> AIMessage:
    about: dict[str, Any] = {"interrupted": True} if interrupted else {}
    return AIMessage(text, additional_kwargs=about | ({"sources": sources} if sources else {}))


def conversation(text: str) -> list[BaseMessage]:
    return [HumanMessage("When does the garden open?"), answer(text)]


def test_the_model_is_told_where_the_person_interrupted() -> None:
    history = conversation("The garden opens at")
    kept = remember(history)
    assert kept[1].text == f"The garden opens at {INTERRUPTED}"
    assert history[1].text == "The garden opens at"
    assert remember(kept) == kept
    assert as_heard(answer("")).text == INTERRUPTED
    assert as_heard(answer("All of it.", interrupted=False)).text == "All of it."


@pytest.mark.parametrize("remembered", [False, True])
def test_a_long_answer_does_not_hide_the_interruption_from_the_completion(remembered: bool) -> None:
    history = conversation("word " * 200)
    llm = HashChat(answer=lambda _: "When does the garden close?")
    contextualize("and when does it close?", remember(history) if remembered else history, llm)
    [prompt] = llm.sent
    assert prompt[-1][1].count(INTERRUPTED) == 1
    assert prompt[-1][1].count("word") < 70


def test_the_mark_counts_in_the_budget() -> None:
    """HashChat counts words: the question has 5, the answer 4, the mark 5."""
    history = conversation("The garden opens at")
    assert remember(history, "buffer", 14, HashChat()) == remember(history)
    assert remember(history, "buffer", 13, HashChat()) == []


def test_a_summary_is_told_of_the_interruption_too() -> None:
    llm = HashChat(answer=lambda _: "They spoke about the garden.")
    history = [*conversation("The garden opens at"), HumanMessage("So?"), AIMessage("word " * 20)]
    remember(history, "summary", 25, llm)
    assert INTERRUPTED in llm.sent[0][-1][1]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("The garden op", 1),
        ("The garden opens at nine. [1]", 1),
        ("The garden opens at nine. [1] The shop", 2),
        ("The garden opens at nine. [1] The shop too. [3] And", 3),
        ("花园九点开门。[1] 商店", 2),
    ],
)
def test_only_what_was_heard_of_counts(text: str, count: int) -> None:
    assert len(heard_places(answer(text, sources=PLACES))) == count
    assert len(heard_places(answer(text, interrupted=False, sources=PLACES))) == 3


def test_the_places_may_stand_with_the_question() -> None:
    question = HumanMessage("When?", additional_kwargs={"sources": PLACES})
    assert heard_places(AIMessage("At nine."), question) == [tuple(place) for place in PLACES]


@pytest.mark.parametrize("sources", [None, "x", [None, 3, ["a"], ["a", "b", "c"], {"a": 1}]])
def test_what_is_no_place_is_left_out(sources: object) -> None:
    assert heard_places(answer("At", sources=sources)) == []


def passage(source: str, start: int, end: int) -> Document:
    return Document("text", metadata={"source": source, "start": start, "end": end})


def test_passages_that_were_heard_are_told_apart() -> None:
    documents = [passage("a", 0, 100), passage("b", 0, 100), passage("a", 90, 200), Document("no place")]
    places: list[Place] = [("a", 20, 110)]
    fresh, known = apart(documents, places)
    assert known == [documents[0]]
    assert fresh == documents[1:]
    assert apart(documents, []) == (documents, [])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(0, 50)), max_size=5))
def test_each_passage_is_on_one_side_in_its_order(places: list[Place]) -> None:
    documents = [passage(source, start, start + 10) for source in "ab" for start in (0, 5, 30)]
    fresh, known = apart(documents, places)
    assert [each for each in documents if each in fresh] == fresh
    assert [each for each in documents if each in known] == known
    assert len(fresh) + len(known) == len(documents)
