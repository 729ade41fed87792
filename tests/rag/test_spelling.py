from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.spelling import LEAST, nearest

VOCABULARY = ["museum", "garden", "physics", "halbrook", "warranty", "engine", "castle", "ellwood", "norvex"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("musuem", "museum"),  # letters swapped
        ("gardn", "garden"),  # one left out
        ("warrranty", "warranty"),  # one doubled
        ("fysics", "physics"),  # by ear
        ("hallbruck", "halbrook"),
        ("norveks", "norvex"),
        ("kastle", "castle"),
    ],
)
def test_a_word_that_is_written_wrongly_is_found(written: str, meant: str) -> None:
    assert list(nearest(written, VOCABULARY)) == [meant]


@pytest.mark.parametrize("other", ["tungsten", "leiden", "it", "12345", "", "gate"])
def test_another_word_is_no_misspelling(other: str) -> None:
    assert nearest(other, VOCABULARY) == {}


@pytest.mark.parametrize(("one", "other"), [("pool", "ball"), ("capital", "kept"), ("crowded", "graft")])
def test_words_that_only_sound_alike_without_their_vowels_are_two(one: str, other: str) -> None:
    assert nearest(one, [other]) == {}


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6))
def test_only_what_is_alike_comes_back(word: str, vocabulary: list[str]) -> None:
    found = nearest(word, vocabulary)
    assert set(found) <= set(vocabulary)
    assert all(LEAST <= likeness <= 1 for likeness in found.values())
