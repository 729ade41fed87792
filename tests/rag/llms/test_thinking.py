"""Thoughts never reach the answer, wherever the stream is cut."""

from __future__ import annotations

import random

import pytest

from rag.llms.thinking import ThoughtFilter, begins_thinking

ANSWERS = {
    "<think>\nThe user asks.\n</think>\n\nIt opens at nine.": "It opens at nine.",
    "<think>\n\n</think>\n\nIt opens at nine.": "It opens at nine.",
    "It opens at nine.": "It opens at nine.",
    "  It opens <b>at</b> nine < ten.": "  It opens <b>at</b> nine < ten.",
    "It opens <think>or does it?</think> at nine.": "It opens at nine.",
    "<think>never ends": "",
    "<think>a</think><think>b</think>\n c": "c",
    "<think>1 < 2 </thin> </think>yes": "yes",
    "a <thin": "a <thin",
    "</think>\n\nIt opens at nine.": "It opens at nine.",
    "": "",
}


def filtered(pieces: list[str], **options: bool) -> str:
    thoughts = ThoughtFilter(**options)
    said = [thoughts.feed(piece) for piece in pieces]
    assert not any("<think>" in piece or "</think>" in piece for piece in said)
    return "".join(said) + thoughts.rest()


@pytest.mark.parametrize("text", ANSWERS)
def test_it_is_the_same_wherever_the_stream_is_cut(text: str) -> None:
    chance = random.Random(7)
    assert filtered([text]) == ANSWERS[text]
    assert filtered(list(text)) == ANSWERS[text]
    for _ in range(50):
        cuts = sorted(chance.choices(range(len(text) + 1), k=4))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert filtered(pieces) == ANSWERS[text]


def test_a_stream_that_begins_within_a_thought() -> None:
    assert filtered(list("The user asks.</think>\n\nAt nine."), thinking=True) == "At nine."
    thoughts = ThoughtFilter(thinking=True)
    assert thoughts.feed("and on and on") == ""
    assert (thoughts.thinking, thoughts.rest()) == (True, "")


def test_what_is_sure_is_said_at_once() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.feed("It opens at nine.") == "It opens at nine."
    assert thoughts.feed(" <") == " "
    assert thoughts.feed("b") == "<b"


def test_a_prompt_says_whether_the_model_goes_on_thinking() -> None:
    assert begins_thinking("<|im_start|>assistant\n<think>\n")
    assert not begins_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not begins_thinking("What does <think> mean?\nassistant\n")
