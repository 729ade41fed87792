"""How an answer is wished is not searched for; what is asked always is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.manner import without_manner

WISHES = """
Explain in detail.|Please explain it in more detail.|Answer briefly, please.|In one sentence, please.
Keep it short.|Be concise.|Briefly.|Step by step.|Put it in simple words.|Can you explain that step by step?
Bitte ausführlich.|Antworte kurz.|Kurz und knapp, bitte.|In zwei Sätzen.|Erkläre es mir im Detail!
"""


@pytest.mark.parametrize("wish", WISHES.strip().replace("\n", "|").split("|"))
def test_a_wish_before_or_behind_the_question_is_left_out(wish: str) -> None:
    question = "What does a ticket cost?"
    assert without_manner(f"{question} {wish}") == question
    assert without_manner(f"{wish} {question}") == question


@pytest.mark.parametrize(
    "question",
    [
        "Explain the lock of the mill.",
        "Is it open? Which details matter?",
        "Who keeps it? A short man did.",
        "What is a brief? In detail.x",
        "Explain in detail.",
        "List the simple machines.",
    ],
)
def test_what_is_asked_stays(question: str) -> None:
    assert without_manner(question) == question


@given(st.text())
def test_no_text_raises_or_vanishes(text: str) -> None:
    assert without_manner(text).strip() or not text.strip()
