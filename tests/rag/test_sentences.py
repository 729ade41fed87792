from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.sentences import sentence_spans, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\f ", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("He paid 3.50 for it. Then he left.", ["He paid 3.50 for it.", "Then he left."]),
        (
            "Dr. J. R. Hale of the U.S. Navy came on Jan. 3. It rained.",
            ["Dr. J. R. Hale of the U.S. Navy came on Jan. 3.", "It rained."],
        ),
        ('"Is it?" he asked. "It is." She left.', ['"Is it?" he asked.', '"It is."', "She left."]),
        (
            "It costs five, i.e. little, approx. half. Good.",
            ["It costs five, i.e. little, approx. half.", "Good."],
        ),
        (
            "A sentence that was\nwrapped by a PDF\nends here. Next.",
            ["A sentence that was wrapped by a PDF ends here.", "Next."],
        ),
        ("A heading\n\nThe text below it.", ["A heading", "The text below it."]),
        ("# Title\nText.", ["Title", "Text."]),
        ("- one thing\n- another\n  thing\n* third", ["one thing", "another thing", "third"]),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "2. Close it."]),
        ("Mon   9:00   17:00\nTue   9:00   18:00", ["Mon 9:00 17:00", "Tue 9:00 18:00"]),
        ("| a | b |\n| 1 | 2 |", ["a | b", "1 | 2"]),
        (
            "Roof tour Sat. 12:00 60 minutes 10 euros 10\nBats at dusk 22:00 75 minutes 8 euros 20",
            ["Roof tour Sat. 12:00 60 minutes 10 euros 10", "Bats at dusk 22:00 75 minutes 8 euros 20"],
        ),
        ("九時に開きます。休みは月曜！", ["九時に開きます。", "休みは月曜！"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_a_long_sentence_is_cut_at_a_clause_and_says_so() -> None:
    text = "first part of it " * 8 + "ends; " + "second part of it " * 8 + "ends."
    one, two = split_sentences(text, 200)
    assert one.endswith("ends;…")
    assert two.startswith("…second")
    assert max(len(one), len(two)) <= 200


@given(st.text(alphabet=st.sampled_from("ab. ?!。\n\t\f-|1#,;A“"), max_size=300), st.integers(20, 60))
def test_every_word_is_in_one_sentence_and_none_is_too_long(text: str, longest: int) -> None:
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(letter.isspace() for place, letter in enumerate(text) if place not in covered)
    assert all(0 < len(sentence) <= longest for sentence in split_sentences(text, longest))
