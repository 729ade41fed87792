"""Corrections by voice: what is understood of them, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.corrections import correction, listed
from rag.memory import contextualize, understand
from rag.phrases import phrases
from tests.rag.dialogues import COMPLETE, GARDEN, HELD_OUT, TUNED, Dialogue
from tests.rag.scripted import HashChat


def messages(before: list[tuple[str, str]]) -> list[BaseMessage]:
    return [made for asked, answer in before for made in (HumanMessage(asked), AIMessage(answer))]


def missed(dialogues: list[Dialogue]) -> list[str]:
    resolved = [(each, contextualize(each.said, messages(each.before))) for each in dialogues]
    return [f"{each.said} → {text}" for each, text in resolved if not each.understood(text)]


def test_most_corrections_are_understood_by_rule() -> None:
    """As many as when the rules were written."""
    assert len(missed(TUNED)) <= 2, missed(TUNED)
    assert len(missed(HELD_OUT)) <= 3, missed(HELD_OUT)
    assert len(TUNED) + len(HELD_OUT) >= 160


@pytest.mark.parametrize(("said", "expected"), COMPLETE)
def test_a_complete_question_is_no_correction(said: str, expected: str) -> None:
    assert contextualize(said, messages(GARDEN)).casefold() == expected.casefold()


@pytest.mark.parametrize("said", ["no, I meant the library", "say that again", "the other one", "no"])
def test_without_a_conversation_nothing_is_put_right(said: str) -> None:
    assert contextualize(said, []) == said


def test_a_corrected_question_is_what_the_next_one_follows() -> None:
    before = [*GARDEN, ("no, I meant the library", "At ten. [1]")]
    assert contextualize("And when does it close?", messages(before)) == "And when does the library close?"


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("You can hire the Swan, the Otter or the Heron.", ["the Swan", "the Otter", "the Heron"]),
        ("There are two: the Kingfisher and the Heron.", ["the Kingfisher", "the Heron"]),
        ("It opens at nine.", []),
        ("", []),
    ],
)
def test_what_an_answer_lists(text: str, items: list[str]) -> None:
    assert listed(text) == items


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("When did the Huguenots settle in Prussia?", ["the Huguenots", "Prussia"]),
        ("how many touchdowns did newton throw", ["touchdowns", "newton"]),
        ("Does the insurance cover theft?", ["the insurance", "theft"]),
        ("What is the height of the tower?", ["the height", "the tower"]),
        ("Is the main gate locked at night?", ["the main gate", "night"]),
        ("When does it?", []),
    ],
)
def test_the_noun_phrases_of_a_question(question: str, found: list[str]) -> None:
    assert [phrase.text for phrase in phrases(question)] == found
    assert all(question[each.start : each.end] == each.text for each in phrases(question))


def test_a_comma_is_nothing_that_was_meant_instead() -> None:
    assert contextualize("i meant , not other one", messages([("what other one", "")])) == "what other one"


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_survived(said: str, asked: str, answer: str) -> None:
    found = correction(said, asked, asked, answer)
    assert found is None or len(found.question) <= 2 * len(said) + len(asked) + len(answer) + 20


_SPOKEN = (
    "no",
    "sorry",
    "not",
    "the",
    "i meant",
    "other one",
    "second",
    "garden",
    "Library",
    "open",
    ",",
    "?",
)
_WORDS = st.lists(st.sampled_from([*_SPOKEN, "on Sunday", "what", "how", "it"]), max_size=10).map(" ".join)


@given(_WORDS, _WORDS)
@settings(max_examples=300, deadline=None)
def test_any_mix_of_such_words_gives_a_question(said: str, asked: str) -> None:
    found = correction(said, asked, asked, "")
    assert found is None or isinstance(found.question, str)


def says(text: str) -> HashChat:
    return HashChat(answer=lambda _: text)


def test_the_model_puts_the_correction_in() -> None:
    llm = says("When does the city library open?")
    said = "no, I meant the library"
    assert contextualize(said, messages(GARDEN), llm) == "When does the city library open?"
    [prompt] = llm.sent
    assert "correct" in prompt[0][1]
    assert said in prompt[-1][1]


@pytest.mark.parametrize(
    "written",
    ["When does the garden open?", "The library opens at nine.", "", "no, I meant the library", "Which one?"],
)
def test_a_model_that_does_not_put_it_right_is_corrected_by_rule(written: str) -> None:
    notices: list[str] = []
    standalone = contextualize(
        "no, I meant the library", messages(GARDEN), says(written), on_notice=notices.append
    )
    assert standalone == "When does the library open?"
    assert len(notices) == 1


@pytest.mark.parametrize("said", ["the other one", "say that again", "pardon?"])
def test_the_model_is_not_asked_what_it_cannot_know(said: str) -> None:
    llm = says("What?")
    assert contextualize(said, messages(GARDEN), llm) == "When does the garden open?"
    assert llm.sent == []


def heard(said: str, **about: object) -> tuple[object, ...]:
    history = [
        HumanMessage("When does the garden open?"),
        AIMessage("The garden opens at nine. [1] And", additional_kwargs=about),
    ]
    return understand(said, history).heard


def test_another_one_is_not_what_was_heard() -> None:
    places = [["a.txt", 0, 100], ["b.txt", 50, 90], ["c.txt", 0, 5]]
    assert heard("no, the other one", sources=places) == (
        ("a.txt", 0, 100),
        ("b.txt", 50, 90),
        ("c.txt", 0, 5),
    )
    cut = heard("no, the other one", sources=places, interrupted=True)
    assert cut == (("a.txt", 0, 100), ("b.txt", 50, 90))
    assert heard("not that one", sources=places) != ()
    assert heard("say that again", sources=places) == ()
    assert heard("no, I meant the library", sources=places) == ()
    assert heard("the other one") == ()
