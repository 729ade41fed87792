"""What is spoken is found again in what was written: every word, in order, at its time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio import AudioChunk, Mark, Samples
from speech.marks import Alignment, Said, Track, timed, words
from speech.polish import RATE
from speech.sentences import places
from speech.speakable import speakable
from speech.tts import Synthesizer
from speech.tts_espeak import EspeakSynthesizer
from speech.turn import Speaker


class Marking:
    """Marks each word that it is given, a tenth of a second apart."""

    name = "marking"

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        for span in words(text):
            yield AudioChunk(np.zeros(RATE // 10, np.float32), RATE, text, (Mark(0.05, *span),))


def marks_of(text: str, synthesizer: Synthesizer | None = None, language: str = "en") -> list[Mark]:
    """All marks of a text that is spoken, `at` since the first sample."""
    return spoken(text, synthesizer or Marking(), language)[0]


def spoken(text: str, synthesizer: Synthesizer, language: str = "en") -> tuple[list[Mark], Samples]:
    speaker = Speaker(synthesizer, language=language, ahead=1e9)
    speaker.feed(text)
    speaker.finish()
    found, passed, samples = [], 0.0, [np.empty(0, np.float32)]
    for chunk in speaker:
        samples.append(chunk.samples)
        assert all(0 <= mark.at <= chunk.seconds for mark in chunk.marks)
        found += [Mark(passed + mark.at, mark.start, mark.end, mark.kind) for mark in chunk.marks]
        passed += chunk.seconds
    return found, np.concatenate(samples)


def said(text: str, marks: list[Mark], kind: str) -> list[str]:
    return [text[mark.start : mark.end] for mark in marks if mark.kind == kind]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It closes at six, they said.", ["It", "closes", "at", "six", "they", "said"]),
        ("**Bold** (and “so”) `on`…", ["Bold", "and", "so", "on"]),
        ("It costs €12.50, or 20 %. [1] [2, 3]", ["It", "costs", "€12.50", "or", "20"]),
        ("the museum's well-known café", ["the", "museum's", "well-known", "café"]),
        ("See [the page](https://example.org/a b).", ["See", "the", "page"]),
        ("# Hours\n- a <b>rope</b>", ["Hours", "a", "rope"]),
        ("博物馆六点关门。", ["博", "物", "馆", "六", "点", "关", "门"]),
        ("क्या यह खुला है।", ["क्या", "यह", "खुला", "है"]),
        ("— … [1] **", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert [text[slice(*span)] for span in words(text)] == found


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("It opened in 1987. [2]", "It opened in 1987 1987"),
        ("It costs €12.50 (20 %) now.", "It costs €12.50 €12.50 €12.50 €12.50 €12.50 20 20 now"),
        ("At −5 °C we go.", "At −5 −5 °C °C we go"),
        ("**Dr. Smith** drove 5 km, e.g. here.", "Dr Smith drove 5 km e.g e.g here"),
        ("At 9:30–17:00 on 3.5 days.", "At " + "9:30–17:00 " * 5 + "on 3.5 days"),
        ("Use `my_name` there.", "Use my_name my_name there"),
        ("See [the page](https://a.org/x).", "See the page"),
        ("Go to https://www.example.org/x?z=1 now.", "Go to" + " https://www.example.org/x?z=1" * 5 + " now"),
    ],
)
def test_spoken_words_belong_to_the_written_ones_they_stand_for(raw: str, expected: str) -> None:
    spoken = speakable(raw)
    alignment = Alignment(raw, spoken)
    found = [alignment.written(*span) for span in words(spoken)]
    assert " ".join(raw[slice(*span)] for span in found if span) == expected


def test_words_that_are_run_together_get_their_times() -> None:
    # as espeak-ng tells them: "of the" is one, and "is" of "It is" is told as a place inside "It"
    text = "of the end. It is 1987 now"
    events = [(0, 0.0), (7, 0.3), (12, 1.0), (13, 1.2), (18, 1.5), (19, 1.8), (19, 2.0), (23, 2.5)]
    marks = timed(text, events, 3.0)
    assert [text[mark.start : mark.end] for mark in marks] == text.replace(".", "").split()
    assert [round(mark.at, 2) for mark in marks] == [0.0, 0.13, 0.3, 1.0, 1.2, 1.5, 2.5]


def test_times_without_sense_still_rise() -> None:
    marks = timed("one two three four", [(8, 0.5), (0, 0.9), (99, 0.2)], 1.0)
    times = [mark.at for mark in marks]
    assert times == sorted(times)
    assert len(times) == 4
    assert timed("one two", [], 1.0) == ()
    assert timed("…", [(0, 0.0)], 1.0) == ()


_WORD = st.text(st.characters(categories=["Ll"], max_codepoint=0x17F), min_size=2, max_size=8)
_SIGNS = (
    "**¦_¦`¦ [1]¦ [2, 3]¦# ¦\n¦\n- ¦€5¦$5–$10¦3.5 km¦10%¦9:30¦in 1987¦<b>¦[a link](https://a.bc)¦—¦1. ¦J. R.¦"
    "“¦”¦。¦六点¦😀¦e.g.¦−5 °C¦U.S. ¦```\n¦| a | b |\n"
)
_MARKED = st.sampled_from(_SIGNS.split("¦"))


@settings(max_examples=200, deadline=None)
@given(st.lists(_WORD | _MARKED, max_size=25), st.sampled_from(["en", "de", "xx"]))
def test_marks_are_in_the_text_and_rise_for_any_text(parts: list[str], language: str) -> None:
    text = " ".join(parts)
    marks = marks_of(text, language=language)
    sentences = [mark for mark in marks if mark.kind == "sentence"]
    assert {(mark.start, mark.end) for mark in sentences} <= {(p.start, p.end) for p in places(text)}
    for some in (sentences, [mark for mark in marks if mark.kind == "word"]):
        starts = [mark.start for mark in some]
        assert starts == sorted(set(starts))
        assert all(0 <= mark.start < mark.end <= len(text) for mark in some)
    within = None
    for mark in marks:
        within = mark if mark.kind == "sentence" else within
        assert within is not None
        assert within.start <= mark.start < mark.end <= within.end
    assert [mark.at for mark in marks] == sorted(mark.at for mark in marks)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(_WORD, min_size=3, max_size=12), min_size=1, max_size=5))
def test_of_plain_text_every_word_is_marked_in_order(sentences: list[list[str]]) -> None:
    text = " ".join(" ".join(["So", *some]) + "." for some in sentences)
    marks = marks_of(text)
    assert said(text, marks, "word") == text.replace(".", "").split()
    assert said(text, marks, "sentence") == [place.text for place in places(text)]


TEXT = "The museum closes at six in the evening, and opens again at ten. [1] It is in the old town. [2]"


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.8])
def test_espeak_tells_each_word_when_it_is_heard(speed: float) -> None:
    marks, sound = spoken(TEXT, EspeakSynthesizer(speed=speed))
    assert said(TEXT, marks, "sentence") == [place.text for place in places(TEXT)]
    plain = TEXT.replace(" [1]", "").replace(" [2]", "").replace(".", "").replace(",", "")
    assert said(TEXT, marks, "word") == plain.split()
    for word in ("and", "It"):  # a pause is before each of them, and then it is heard
        mark = next(mark for mark in marks if TEXT[mark.start : mark.end] == word)
        at = int(mark.at * RATE)
        assert np.abs(sound[at - int(0.02 * RATE) : at - int(0.005 * RATE)]).max() < 0.02
        assert np.abs(sound[at : at + int(0.1 * RATE)]).max() > 0.05


def test_espeak_marks_chinese_by_character() -> None:
    text = "博物馆六点关门。九点开门！"
    assert said(text, marks_of(text, EspeakSynthesizer(), "zh"), "word") == list("博物馆六点关门九点开门")


def test_offsets_count_from_the_last_replacement_and_over_all_pieces() -> None:
    speaker = Speaker(Marking(), language="en")
    speaker.feed("Something else was said before. ")
    speaker.replace()
    for piece in ("It clo", "ses at ", "six. [1]\n\n", "  It opens", " at ten."):
        speaker.feed(piece)
    speaker.finish()
    text = "It closes at six. [1]\n\n  It opens at ten."
    marks = [mark for chunk in speaker for mark in chunk.marks]
    assert said(text, marks, "sentence") == ["It closes at six. [1]", "It opens at ten."]
    assert " ".join(said(text, marks, "word")) == "It closes at six It opens at ten"


def test_two_sentences_in_one_go() -> None:
    sentences = [Said("Yes. [1]", 10, "Yes."), Said("It *is*.", 20, "It is.")]
    track = Track(sentences)
    assert track.text == "Yes. It is."
    found = track.moved([Mark(0.1, 0, 3)]) + track.moved([Mark(0.2, 5, 7), Mark(0.3, 8, 10), Mark(0.4, 0, 3)])
    assert found == (
        Mark(0.0, 10, 18, "sentence"),
        Mark(0.1, 10, 13),
        Mark(0.2, 20, 28, "sentence"),
        Mark(0.2, 20, 22),
        Mark(0.3, 24, 26),
    )
    assert Track(sentences).moved([]) == (Mark(0.0, 10, 28, "sentence"),)
