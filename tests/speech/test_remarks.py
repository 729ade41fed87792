from __future__ import annotations

import pytest

from speech.remarks import is_backchannel, is_stop, takes_back


@pytest.mark.parametrize("text", ["Mm-hm.", "uh-huh", "Yeah, right.", "I see", "Ja, genau!", "D’accord"])
def test_who_says_so_only_listens(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["no", "the library", "yes but when", "right to reply", "I see a problem"])
def test_these_are_words(text: str) -> None:
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["Stop.", "hold on", "That's enough!", "Be quiet", "hör auf", "Thank you."])
def test_who_says_so_wants_silence(text: str) -> None:
    assert is_stop(text)
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["stop the machine how", "when does it stop", "what is a pause", ""])
def test_these_want_an_answer(text: str) -> None:
    assert not is_stop(text)


def test_a_correction_takes_back_what_was_said() -> None:
    assert takes_back("No, I meant the other one")
    assert takes_back("sorry the library")
    assert not takes_back("in winter")
