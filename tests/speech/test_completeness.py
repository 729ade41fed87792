"""What the words and the sound of an utterance tell about its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech import completeness as module
from speech.audio import RATE, Samples
from speech.completeness import completeness, log_mel, missing, sounds_complete, words_complete
from tests.speech.speaking import spoken


def hiss(seconds: float, level: float = 0.1) -> Samples:
    return (np.random.default_rng(3).normal(size=round(seconds * RATE)) * level).astype(np.float32)


@pytest.mark.parametrize("sound", [hiss(8), np.pad(hiss(1.3, 0.01), (round(6.7 * RATE), 0)), hiss(8) * 0])
def test_the_features_are_those_of_transformers(sound: Samples) -> None:
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(chunk_length=8)
    expected = extractor(
        sound, sampling_rate=RATE, padding="max_length", max_length=8 * RATE, do_normalize=True
    )["input_features"][0]
    assert log_mel(sound).shape == expected.shape == (80, 800)
    assert np.abs(log_mel(sound) - expected).max() < 1e-4


FINISHED = [
    "when does the museum open",
    "and how much is a ticket for a child",
    "at what time does the garden close in winter",
    "is there a swimming pool",
    "tell me about the head gardener",
    "what about the ferry",
    "Wann öffnet das Museum",
    "¿Cuánto cuesta la entrada",
    "Quand ouvre le musée",
    "quanto costa il biglietto",
    "quanto custa um bilhete",
    "hoe laat gaat de tuin dicht",
    "The other one?",
    "Совсем другое?",
]
OPEN = [
    "When does the",
    "tell me about the museum, and",
    "i would like to know because",
    "this is my",
    "the other one is um",
    "The garden, ",
    "I wonder…",
    "Wo ist der",
    "Cuánto cuesta la entrada para",
    "Où est le",
    "Quanto costa il",
    "Quanto custa um",
    "Hoe laat gaat de",
]
NEITHER = ["", "the garden", "no I meant the other one", "what time", "when it rains", "другое", "xyz qrs"]


@pytest.mark.parametrize("text", FINISHED)
def test_a_question_or_a_request_is_finished(text: str) -> None:
    assert words_complete(text) >= 5


@pytest.mark.parametrize("text", OPEN)
def test_what_stops_on_a_little_word_is_open(text: str) -> None:
    assert words_complete(text) < 0


@pytest.mark.parametrize("text", NEITHER)
def test_other_words_do_not_tell(text: str) -> None:
    assert words_complete(text) == 0


def test_what_hangs_hangs_more_surely_where_it_is_well_written() -> None:
    for text in ("when does the", "Tell me about the.", "When does the", "what about my?"):
        assert words_complete(text) < words_complete("when does the museum open")
    assert words_complete("When does the") == words_complete("I know the") < 0
    assert words_complete("When does the") < words_complete("when does the")


def test_a_question_mark_counts_more_than_a_full_stop() -> None:
    marks = [words_complete(f"The garden is open{mark}") for mark in (",", "", ".", "?")]
    assert marks == sorted(set(marks))
    assert words_complete("When does the garden open.") == words_complete("When does the garden open") >= 5


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert -7.5 <= words_complete(text) <= 8


def with_pause(voice: Samples) -> Samples:
    at = np.flatnonzero(np.abs(voice) > 0.01)
    return np.concatenate([voice[at[0] : at[-1] + 1], np.zeros(round(0.2 * RATE), np.float32)])


def test_the_sound_tells_a_finished_sentence_from_a_broken_one() -> None:
    whole = spoken("The museum opens at ten in the morning.")
    broken = spoken("Where is the nearest railway station, and when does it open?")
    finished = sounds_complete(with_pause(whole))
    unfinished = sounds_complete(with_pause(broken[: round(len(broken) * 0.7)]))
    assert unfinished is not None
    assert finished is not None
    assert unfinished < 0.3 < 0.7 < finished


def test_words_and_sound_are_joined() -> None:
    question = with_pause(spoken("When does the museum open?"))
    texts = ("When does the", "", "when does the museum open", "When does the museum open?")
    judged = [completeness(question, text) for text in texts]
    assert judged == sorted(judged)
    assert 0 < judged[0] < 0.1 < 0.7 < judged[2] < 1
    assert judged[3] > 0.8


@pytest.mark.parametrize("seconds", [0, 0.01, 9, 70])
def test_any_length_is_judged(seconds: float) -> None:
    assert 0 < completeness(hiss(seconds), "") < 1


def test_without_the_model_the_words_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_model_file", lambda: None)
    module._loaded.cache_clear()
    try:
        assert sounds_complete(hiss(1)) is None
        assert completeness(hiss(1), "When does the") < 0.2 < 0.8 < completeness(hiss(1), "When is it open?")
        assert "pip install" in missing()
    finally:
        module._loaded.cache_clear()


def test_a_damaged_model_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"nothing")
    monkeypatch.setattr(module, "_model_file", lambda: damaged)
    module._loaded.cache_clear()
    try:
        assert sounds_complete(hiss(1)) is None
        assert "force-reinstall" in missing()
    finally:
        module._loaded.cache_clear()


def test_neither_pipecat_nor_transformers_is_loaded() -> None:
    code = (
        "import sys, numpy; from speech.completeness import missing, sounds_complete, warm; warm();"
        "assert not missing() and 0 < sounds_complete(numpy.zeros(100, 'f')) < 1;"
        "assert not {'pipecat', 'transformers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_in_noise_sound_and_words_are_trusted_less() -> None:
    question = np.concatenate(
        [np.zeros(RATE // 3, np.float32), with_pause(spoken("When does the museum open?"))]
    )
    loud = question + hiss(20)[: len(question)] * np.float32(0.3)
    assert module.noise(question) == 0
    assert module.noise(loud) == 1
    assert completeness(loud, "when does the museum open") < completeness(
        question, "when does the museum open"
    )
