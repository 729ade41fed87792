"""Who has the floor, with a listener and replies that do what the test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from speech.audio import Samples
from speech.conversation import Conversation
from speech.endpoint import Began, Dropped, Ended, Event, Paused, WentOn
from speech.outside import Heard, Outside
from speech.vad import FRAME

QUIET = np.zeros(FRAME, np.float32)
WAIT = 10.0


class Ears:
    """Listener, barge-in and voice activity in one: each frame brings what was put in for it."""

    def __init__(self) -> None:
        self.position = 0
        self.coming: list[tuple[list[Event], bool, float]] = []
        self.now: tuple[list[Event], bool, float] = ([], False, 0.0)
        self.texts: list[str] = []

    def feed(self, frame: Samples, *more: Any) -> Any:
        if not more:  # as the voice activity detector, first of the three
            self.now = self.coming.pop(0) if self.coming else ([], False, 0.0)
            return self.now[2]
        if len(more) == 2:  # as the barge-in
            return 6400 if self.now[1] else None
        self.position += FRAME
        return self.now[0]

    def heard(self, text: str) -> None:
        self.texts.append(text)

    def hold(self, held: bool) -> None: ...

    def finish(self) -> list[Event]:
        return []

    def reset(self) -> None: ...


class Reply:
    """A reply that notes what happens to it."""

    def __init__(self, number: int, heard: Heard, *, fails: bool = False) -> None:
        self.turn, self.heard, self.fails = number, heard, fails
        self.calls: list[str] = []
        self.begun = self.sounding = self.over = False
        self.since = 0.0

    def commit(self, since: float, times: Mapping[str, float]) -> None:
        if self.fails:
            raise RuntimeError("The disk is full.")
        self.calls.append("commit")
        self.since = since

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def played(self, samples: int) -> None: ...

    def interrupt(self) -> None:
        self.calls.append("interrupt")
        self.over = True

    def drop(self) -> None:
        self.calls.append("drop")
        self.over = True

    def window(self, position: int, count: int) -> Samples:
        return np.zeros(count, np.float32)


class Words:
    """Words while they are spoken, of an engine whose last word counts."""

    def __init__(self, text: str | None) -> None:
        self._text = text
        self.heard = 0
        self.closed = False

    def feed(self, samples: Samples) -> None:
        assert not self.closed
        self.heard += len(samples)

    def transcript(self) -> Callable[[Callable[[], bool]], Heard | None] | None:
        if self.closed:
            return None
        return lambda should_stop: None if self._text is None else Heard(self._text, "en")

    def close(self) -> None:
        self.closed = True


class Talk:
    """A conversation and the strings that move it."""

    def __init__(self) -> None:
        self.live: list[Words] = []
        self.ears = Ears()
        self.replies: list[Reply] = []
        self.messages: list[dict[str, Any]] = []
        self.interruptions: list[str] = []
        self.words: dict[int, str | Exception] = {}  # samples of an utterance → its words
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.ended = threading.Event()
        outside = Outside(
            transcribe=self._transcribe,
            live=lambda on_text: self.live.pop(0) if self.live else None,
            reply=self._reply,
            tell=lambda **message: self.messages.append(message),
            interrupted=self.interruptions.append,
            ended=self.ended.set,
        )
        ears: Any = self.ears
        self.conversation = Conversation(outside, listener=ears, bargein=ears, vad=ears)
        self.conversation.start()

    def _transcribe(self, audio: Samples, should_stop: Callable[[], bool]) -> Heard:
        assert self.gate.wait(WAIT)
        words = self.words[len(audio)]
        if isinstance(words, Exception):
            raise words
        return Heard(words, "en")

    def _reply(self, heard: Heard) -> Reply:
        self.replies.append(Reply(len(self.replies) + 1, heard, fails=self.fails))
        return self.replies[-1]

    def frame(self, *events: Event, over: bool = False, probability: float = 0.0) -> None:
        self.ears.coming.append((list(events), over, probability))
        self.conversation.hear([(QUIET, 0, 0)])

    def frames(self, count: int, probability: float = 0.0) -> None:
        for _ in range(count):
            self.frame(probability=probability)

    def utter(self, size: int, words: str | Exception) -> None:
        """Somebody says something, to its end."""
        self.words[size] = words
        audio = np.zeros(size, np.float32)
        self.frame(Began(0), probability=0.9)
        self.frame(Paused(audio, size))
        self.frame(Ended(audio, 0, size, size))

    def until(self, wanted: Callable[[], bool]) -> None:
        begun = time.monotonic()
        while not wanted():
            assert time.monotonic() - begun < WAIT, (self.messages, [r.calls for r in self.replies])
            time.sleep(0.005)

    def committed(self) -> list[str]:
        return [reply.heard.text for reply in self.replies if "commit" in reply.calls]

    def settled(self) -> None:
        """All that was put in has been worked off."""
        done = threading.Event()
        self.conversation._do(done.set)
        assert done.wait(WAIT)


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.conversation.close()
    assert talk.ended.wait(WAIT)


def answered(talk: Talk, words: str = "When does it open?", *, heard: bool = True) -> Reply:
    """The reply to a first question, of which something was heard."""
    talk.utter(1600, words)
    talk.until(lambda: talk.committed() == [words])
    reply = talk.replies[-1]
    reply.begun = reply.sounding = heard
    return reply


def test_the_reply_is_begun_at_the_pause_and_let_out_at_the_end(talk: Talk) -> None:
    talk.words[800] = "When does it open?"
    audio = np.zeros(800, np.float32)
    talk.frame(Began(0))
    talk.frame(Paused(audio, 800))
    talk.until(lambda: len(talk.replies) == 1)
    assert talk.committed() == []
    talk.frame(Ended(audio, 0, 800, 900))
    talk.until(lambda: talk.committed() == ["When does it open?"])
    assert len(talk.replies) == 1


def test_who_goes_on_is_not_answered_before_the_end(talk: Talk) -> None:
    talk.words[800] = "When does it open"
    talk.frame(Began(0))
    talk.frame(Paused(np.zeros(800, np.float32), 800))
    talk.until(lambda: len(talk.replies) == 1)
    talk.frame(WentOn())
    talk.until(lambda: talk.replies[0].calls == ["drop"])
    talk.words[1600] = "When does it open in winter?"
    talk.frame(Ended(np.zeros(1600, np.float32), 0, 1600, 1700))
    talk.until(lambda: talk.committed() == ["When does it open in winter?"])


def test_a_decided_question_survives_a_sound_before_its_words_are_known(talk: Talk) -> None:
    talk.gate.clear()
    talk.utter(1600, "When does it open?")
    talk.frame(Began(0))
    talk.frame(Dropped())
    talk.settled()
    talk.gate.set()
    talk.until(lambda: talk.committed() == ["When does it open?"])


def test_who_goes_on_after_the_endpoint_goes_on_with_the_question(talk: Talk) -> None:
    talk.gate.clear()
    talk.utter(1600, "When does it open?")
    talk.frame(Began(0))
    talk.settled()
    talk.gate.set()
    talk.settled()
    assert talk.committed() == []
    audio = np.zeros(800, np.float32)
    talk.words[800] = "in winter"
    talk.frame(Paused(audio, 800))
    talk.frame(WentOn())  # a pause inside of it takes nothing away
    talk.words[2400] = "in winter and on holidays"
    talk.frame(Ended(np.zeros(2400, np.float32), 0, 2400, 2400))
    talk.until(lambda: talk.committed() == ["When does it open? in winter and on holidays"])


def test_muting_takes_back_what_is_being_said_and_not_what_was_said(talk: Talk) -> None:
    talk.gate.clear()
    talk.utter(1600, "When does it open?")
    talk.conversation.forget()
    talk.gate.set()
    talk.until(lambda: talk.committed() == ["When does it open?"])
    assert abs(time.monotonic() - talk.replies[-1].since) < WAIT  # the clock of before


def test_an_unheard_answer_leaves_its_question_to_the_next_words_also_over_a_pause(talk: Talk) -> None:
    reply = answered(talk, heard=False)
    talk.frame(Began(0), over=True, probability=0.9)
    talk.until(lambda: "pause" in reply.calls)
    talk.words[800] = "in winter"
    talk.frame(Paused(np.zeros(800, np.float32), 800))
    talk.until(lambda: "interrupt" in reply.calls)
    talk.frame(WentOn())
    talk.words[2400] = "in winter and on holidays"
    talk.frame(Ended(np.zeros(2400, np.float32), 0, 2400, 2400))
    talk.until(lambda: talk.committed()[1:] == ["When does it open? in winter and on holidays"])


def test_a_correction_begins_anew(talk: Talk) -> None:
    answered(talk, heard=False)
    talk.frame(over=True, probability=0.9)
    talk.utter(800, "No, who built the hall?")
    talk.until(lambda: talk.committed()[1:] == ["No, who built the hall?"])


@pytest.mark.parametrize("how", ["button", "word"])
def test_what_was_stopped_is_not_asked_again(talk: Talk, how: str) -> None:
    reply = answered(talk, heard=False)
    if how == "button":
        talk.conversation.stop()
    else:
        talk.frame(over=True, probability=0.9)
        talk.utter(800, "Stop.")
    talk.until(lambda: "interrupt" in reply.calls)
    talk.utter(2400, "Who built the hall?")
    talk.until(lambda: talk.committed()[1:] == ["Who built the hall?"])


@pytest.mark.parametrize("words", ["", "Mm-hm."])
def test_a_voice_without_words_lets_the_answer_go_on(talk: Talk, words: str) -> None:
    reply = answered(talk)
    talk.frame(over=True, probability=0.9)
    talk.utter(80_000, words)  # five seconds of it
    talk.until(lambda: "resume" in reply.calls)
    assert reply.calls == ["commit", "pause", "resume"]
    assert talk.interruptions == ["resumed"]


def test_a_voice_that_is_no_utterance_lets_the_answer_go_on(talk: Talk) -> None:
    reply = answered(talk)
    talk.frame(over=True, probability=0.4)
    talk.frames(20, probability=0.4)
    talk.settled()
    assert "resume" not in reply.calls
    talk.frames(30)
    talk.until(lambda: "resume" in reply.calls)


def test_a_failing_recogniser_is_quoted_and_the_answer_goes_on(talk: Talk) -> None:
    reply = answered(talk)
    talk.frame(over=True, probability=0.9)
    talk.utter(800, RuntimeError("Out of memory."))
    talk.until(lambda: "resume" in reply.calls)
    assert any(message.get("message") == "Out of memory." for message in talk.messages)


def test_a_sound_over_the_answer_that_is_no_interruption_is_nothing(talk: Talk) -> None:
    reply = answered(talk)
    talk.utter(800, "never transcribed")
    talk.settled()
    assert reply.calls == ["commit"]
    assert len(talk.replies) == 1


def test_a_typed_question_ends_a_paused_answer_without_a_sound_of_it(talk: Talk) -> None:
    reply = answered(talk)
    talk.frame(over=True, probability=0.9)
    talk.until(lambda: "pause" in reply.calls)
    talk.conversation.ask("Who built it?")
    talk.until(lambda: talk.committed()[1:] == ["Who built it?"])
    assert reply.calls == ["commit", "pause", "interrupt"]
    assert talk.replies[-1].heard.typed


def test_a_reply_that_cannot_be_kept_is_dropped_and_the_conversation_goes_on(talk: Talk) -> None:
    talk.fails = True
    talk.utter(1600, "When does it open?")
    talk.until(lambda: bool(talk.replies) and talk.replies[0].calls == ["drop"])
    talk.until(lambda: any("disk is full" in str(message.get("message")) for message in talk.messages))
    talk.fails = False
    talk.utter(800, "And now?")
    talk.until(lambda: talk.committed() == ["And now?"])


def test_the_state_is_shown_though_no_frame_comes(talk: Talk) -> None:
    reply = answered(talk)
    talk.until(lambda: talk.messages[-1].get("state") == "speaking")
    reply.over, reply.sounding = True, False
    talk.until(lambda: talk.messages[-1].get("state") == "listening")


def test_the_end_of_the_conversation_ends_its_reply_and_its_guess(talk: Talk) -> None:
    reply = answered(talk)
    reply.over = True  # heard to its end; the reply itself knows
    talk.words[800] = "And then?"
    talk.frame(Began(0))
    talk.frame(Paused(np.zeros(800, np.float32), 800))
    talk.until(lambda: len(talk.replies) == 2)
    talk.conversation.close()
    assert talk.ended.wait(WAIT)
    assert reply.calls[-1] == "interrupt"
    assert talk.replies[1].calls == ["drop"]


def test_frames_that_come_faster_than_they_are_heard_are_lost(talk: Talk) -> None:
    held = threading.Event()
    talk.conversation._do(lambda: (held.wait(WAIT), None)[1])
    before = talk.ears.position
    talk.frames(1000)
    held.set()
    talk.settled()
    assert (talk.ears.position - before) / FRAME < 300


def test_the_last_of_the_words_is_the_transcript(talk: Talk) -> None:
    words = Words("When does it open?")
    talk.live = [words]
    audio = np.zeros(2 * FRAME, np.float32)
    talk.frame(Began(0), probability=0.9)
    talk.frame(Paused(audio, 2 * FRAME))
    talk.frame(Ended(audio, 0, 2 * FRAME, 2 * FRAME))  # has no words of its own: it would fail
    talk.until(lambda: bool(talk.replies) and talk.replies[0].calls == ["commit"])
    assert talk.replies[0].heard.text == "When does it open?"
    assert words.heard == 3 * FRAME
    assert words.closed


@pytest.mark.parametrize("missed", [False, True])
def test_words_that_missed_the_beginning_or_failed_are_made_from_the_recording(
    talk: Talk, missed: bool
) -> None:
    talk.live = [Words("does it open?" if missed else None)]
    talk.words[9] = "When does it open?"
    audio = np.zeros(9, np.float32)

    def reached(position: int) -> bool:
        return talk.ears.position == position

    if missed:
        for count in (100, 200):
            talk.frames(100)
            talk.until(partial(reached, count * FRAME))
        talk.frame(Began(50 * FRAME), probability=0.9)
    else:
        talk.frame(Began(0), probability=0.9)
    talk.frame(Ended(audio, 0, 9, 9))
    talk.until(lambda: bool(talk.replies) and talk.replies[0].calls == ["commit"])
    assert talk.replies[0].heard.text == "When does it open?"
