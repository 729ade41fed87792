"""Words are told from a thread of their own, which is closed at any moment, and stay where they are."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.asr import ShouldStop, Stopped, TooSlow
from speech.audio import Samples
from speech.live import _WORD, LiveTranscript, StableText
from tests.speech.told import FRAME, SECOND, Scripted, Told, ended


def test_words_are_told_until_it_is_closed() -> None:
    told, engine = Told(), Scripted()
    live = LiveTranscript(engine, told)
    frame = np.zeros(FRAME, np.float32)
    live.feed(frame)
    assert told.until(bool) == [f"{FRAME}"]
    live.close()
    live.feed(frame)
    assert ended(live)
    assert engine.closed.is_set()
    assert (engine.heard, told.texts) == (FRAME, [f"{FRAME}"])


def test_frames_may_be_used_again_by_who_fed_them() -> None:
    sums, go = list[float](), threading.Event()

    class Sum(Scripted):
        def hear(self, samples: Samples, should_stop: ShouldStop) -> str:
            go.wait(5)
            sums.append(float(samples.sum()))
            return str(len(sums))

    told, frame = Told(), np.ones(FRAME, np.float32)
    live = LiveTranscript(Sum(), told)
    live.feed(frame)
    frame[:] = 0
    go.set()
    told.until(bool)
    live.close()
    assert sums == [FRAME]


def test_close_waits_for_what_is_being_told_and_then_nothing_is() -> None:
    telling, go, done = threading.Event(), threading.Event(), list[str]()

    def slowly(text: str) -> None:
        telling.set()
        go.wait(5)
        done.append(text)

    live = LiveTranscript(Scripted(), slowly)
    live.feed(SECOND)
    assert telling.wait(5)
    closing = threading.Thread(target=live.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    live.feed(SECOND)
    go.set()
    closing.join(5)
    assert ended(live)
    assert len(done) == 1


def test_it_may_be_closed_by_what_it_tells() -> None:
    opened: list[LiveTranscript] = []
    told = Told()

    def close(text: str) -> None:
        opened[0].close()
        told(text)

    opened.append(LiveTranscript(Scripted(), close))
    opened[0].feed(SECOND)
    told.until(bool)
    assert ended(opened[0])


def test_closing_stops_an_engine_in_the_middle() -> None:
    begun = threading.Event()

    def endless(should_stop: ShouldStop) -> None:
        begun.set()
        while not should_stop():
            time.sleep(0.001)
        raise Stopped

    live = LiveTranscript(Scripted(endless), Told())
    live.feed(SECOND)
    assert begun.wait(5)
    live.close()
    assert ended(live)


@pytest.mark.parametrize("error", [RuntimeError("broken"), TooSlow("10 s")])
def test_an_error_ends_the_words_of_this_utterance_only(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(should_stop: ShouldStop) -> None:
        raise error

    told, engine = Told(), Scripted(fail)
    with caplog.at_level(logging.DEBUG, "speech.live"):
        live = LiveTranscript(engine, told)
        live.feed(SECOND)
        assert ended(live)
        live.feed(SECOND)
        live.close()
    assert engine.closed.is_set()
    assert told.texts == []
    expected = logging.DEBUG if isinstance(error, TooSlow) else logging.ERROR
    assert [record.levelno for record in caplog.records] == [expected]
    LiveTranscript(Scripted(), told).feed(SECOND)
    told.until(bool)


def test_only_the_last_words_change() -> None:
    text = StableText()
    assert text.update("a the printing press was") == "a the printing"  # so far nothing confirms it
    assert text.update("the printing press was in") == "the printing press"
    assert text.update("the printing press was invented") == "the printing press was invented"
    assert text.update("a printing dress was invented in the") == "the printing dress was invented"
    assert text.update("") == "the printing"
    assert text.update("the printing press") == "the printing press"


def test_a_text_without_spaces_is_stable_too() -> None:
    text = StableText()
    for guess in ("今天天气", "今天天气很好 ok", "今天天气很好 ok yes"):
        shown = text.update(guess)
    assert shown == "今天天气很好ok yes"


_GUESSES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "1455", "\u4f60", "\u597d"]), max_size=12).map(" ".join)
    | st.text(max_size=20),
    max_size=12,
)


@given(_GUESSES)
def test_what_was_shown_stays_but_for_three_words(guesses: list[str]) -> None:
    text, before = StableText(), list[str]()
    for guess in guesses:
        shown = _WORD.findall(text.update(guess))
        kept = max(0, len(before) - 3)
        assert shown[:kept] == before[:kept]
        before = shown


@given(_GUESSES)
def test_a_guess_that_is_confirmed_is_shown_to_its_end(guesses: list[str]) -> None:
    text = StableText()
    for guess in guesses:
        text.update(guess)
        shown = _WORD.findall(text.update(guess))
        assert shown[-1:] == _WORD.findall(guess)[-1:] or len(shown) >= len(_WORD.findall(guess))
    fresh = StableText()
    for guess in guesses[:1] * 2:
        assert len(_WORD.findall(fresh.update(guess))) <= max(3, len(_WORD.findall(guess)))
        assert _WORD.findall(fresh.update(guess)) == _WORD.findall(guess)
