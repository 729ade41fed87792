"""Words that a line end has cut."""

from __future__ import annotations

import pytest

from rag.formats.base import Page
from rag.formats.hyphens import MARK, join_line_ends

ENGLISH = "the house of the garden and the well is known to the people of the town. "


def joined(text: str, rest: str = ENGLISH) -> str:
    pages = [Page(text), Page(rest)]
    join_line_ends(pages)
    return pages[0].text


@pytest.mark.parametrize("cut", [MARK, "-\n"])
@pytest.mark.parametrize(
    ("left", "right", "rest", "whole"),
    [
        ("muse", "um", "", "museum"),
        ("well", "known", "", "wellknown"),  # nothing tells that it is two words
        ("well", "known", ENGLISH, "well-known"),
        ("well", "known", "It is wellknown. " + ENGLISH, "wellknown"),
        ("well", "known", "A well-known man.", "well-known"),
        ("how", "ever", "how the people ever " + ENGLISH, "however"),
        ("Jean", "Paul", "", "Jean-Paul"),
        ("INTRO", "DUCTION", "", "INTRODUCTION"),
        ("Haus", "tür", "Das Haus hat eine Tür. Jedes Haus.", "Haustür"),
        ("state", "of-the-art", ENGLISH, "state-of-the-art"),
    ],
)
def test_a_cut_word(cut: str, left: str, right: str, rest: str, whole: str) -> None:
    assert joined(f"So {left}{cut}{right} it is.", rest) == f"So {whole} it is."


@pytest.mark.parametrize("text", ["2023-\n2024", "a - \nb", "-\nb", "no cut", "a–\nb"])
def test_what_is_no_cut_word_stays(text: str) -> None:
    assert joined(text) == text


def test_headings_keep_their_place() -> None:
    page = Page(f"The muse{MARK}um\n\nOpen{MARK}ing\n\nAt ten.", [(13, f"Open{MARK}ing")])
    join_line_ends([page])
    assert page.text == "The museum\n\nOpening\n\nAt ten."
    assert page.headings == [(12, "Opening")]
    assert page.text.startswith("Opening", 12)
