from __future__ import annotations

import pytest

from rag.expected import expected


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        ("How much is a ticket?", "It costs 5 euros.", "It lasts 5 days."),
        ("What does the ferry cost?", "Bicycles travel free.", "It sails at 10:00."),
        ("What time does the café close?", "It serves until 17:00.", "It is closed on 1 January."),
        ("When was it built?", "It was built in 1907.", "It was built by a firm."),
        ("When is it closed?", "It is closed on Mondays.", "It may be closed."),
        ("How many stops are there?", "There are forty-two, in twelve rooms.", "There are many."),
        ("Who is the director?", "The director is Mirela Voss.", "The director is away."),
    ],
)
def test_a_sentence_shows_what_is_asked_for(question: str, yes: str, no: str) -> None:
    shown = expected(question)
    assert shown is not None
    assert shown.search(yes)
    assert not shown.search(no)


@pytest.mark.parametrize(
    "question", ["", "Why is the fork weak?", "Wie viel kostet das?", "Tell me about boats."]
)
def test_other_questions_give_no_hint(question: str) -> None:
    assert expected(question) is None
