from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.comparison import sides


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Compare the warranty of XJ-4400/A and TS12-5.",
            ["the warranty of XJ-4400/A.", "the warranty of TS12-5."],
        ),
        (
            "How do Norvex and Drummond Vale differ in their auditors?",
            ["How do Norvex in their auditors?", "How do Drummond Vale in their auditors?"],
        ),
        (
            "What is the difference between the museum and the garden?",
            ["What is the museum?", "What is the garden?"],
        ),
        (
            "Which is older, the mill or the tower?",
            ["Which is older, the mill?", "Which is older, the tower?"],
        ),
        (
            "Worin unterscheiden sich das Hallenbad und das Freibad?",
            ["Worin sich das Hallenbad?", "Worin sich das Freibad?"],
        ),
        (
            "How do 'There's Got to Be a Way' and 'Vision of Love' differ?",
            ["How do 'There's Got to Be a Way'?", "How do 'Vision of Love'?"],
        ),
    ],
)
def test_a_comparison_is_a_question_about_each(question: str, expected: list[str]) -> None:
    assert sides(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "Who built the steam engine?",
        "What did Tesla and Edison invent?",  # one passage may well have both
        "Which books and papers did he write?",
        "How much did prices rise compared to the year before?",
        "Does Norvex differ from what was planned?",
        "",
    ],
)
def test_any_other_question_is_about_one_thing(question: str) -> None:
    assert sides(question) == []


@given(st.text(max_size=80))
def test_a_comparison_has_two_sides_or_none(question: str) -> None:
    assert len(sides(question)) in (0, 2)
