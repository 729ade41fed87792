"""Tokens → text, whatever the script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.llms.streamer import Pieces
from tests.models import train_tokenizer

TOKENIZER = train_tokenizer()


def pieces(tokens: list[int]) -> list[str]:
    given = Pieces(TOKENIZER)
    return [*(given.feed([token]) for token in tokens), given.rest()]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_pieces_add_up_to_the_text(text: str) -> None:
    tokens = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert "".join(pieces(tokens)) == TOKENIZER.decode(tokens, skip_special_tokens=True)


@pytest.mark.parametrize(
    "text", ["灯台は一八七四年に建てられた", "ประภาคาร", "https://example.org/a/b/c", "🗼🗼🗼"]
)
def test_text_without_spaces_is_not_held_back(text: str) -> None:
    tokens = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    given = [piece for piece in pieces(tokens) if piece]
    assert len(given) >= min(3, len(text))
    assert "".join(given) == text


def test_bytes_that_never_become_a_character_are_not_held_for_ever() -> None:
    broken = TOKENIZER.convert_tokens_to_ids("ð")  # the first byte of a four-byte character
    assert len([piece for piece in pieces([broken] * 40) if piece]) >= 4
