"""What a recogniser gets to hear of a text, and how its mistakes are counted."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio import RATE
from speech.rehearsal import say, with_noise, word_errors
from speech.tts import SynthesisError, open_synthesizer


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_a_text_is_said_with_silence_around_it() -> None:
    said = say("When does the museum open?", open_synthesizer("espeak-ng"), "en")
    assert 1.2 < len(said) / RATE < 5
    assert np.abs(said).max() > 0.1
    assert not said[: RATE // 4].any()
    assert not said[-RATE // 4 :].any()


def test_a_text_without_a_word_cannot_be_said() -> None:
    with pytest.raises(SynthesisError):
        say("…", open_synthesizer("espeak-ng"), "en")


@pytest.mark.parametrize("decibels", [20.0, 5.0, 0.0])
def test_the_voice_is_as_far_above_the_noise_as_was_asked(decibels: float) -> None:
    voice = (0.2 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    samples = np.pad(voice, RATE)
    mixed = with_noise(samples, decibels)
    assert mixed.shape == samples.shape
    assert np.abs(mixed).max() <= 1
    assert 20 * np.log10(level(voice) / level(mixed - samples)) == pytest.approx(decibels, abs=0.7)
    assert np.array_equal(with_noise(samples, decibels), mixed), "the same noise each time"


def test_noise_over_silence_is_silence() -> None:
    assert not with_noise(np.zeros(1000, np.float32), 10).any()


@pytest.mark.parametrize(
    ("said", "heard", "errors", "words"),
    [
        ("When does it open?", "when does it open", 0, 4),
        ("When does it open?", "When does the shop open", 2, 4),
        ("When does it open?", "", 4, 4),
        ("Does it cost £5?", "does it cost five pounds", 0, 4),
        ("It opens.", "it opens at ten", 2, 2),
        ("It's open", "it is open", 0, 3),
    ],
)
def test_words_are_counted_as_whispers_evaluation_does(
    said: str, heard: str, errors: int, words: int
) -> None:
    assert word_errors(said, heard, "en") == (errors, words)


def test_other_languages_are_normalised_without_english_words() -> None:
    assert word_errors("Wann öffnet das Café?", "wann öffnet das cafe", "de")[0] <= 1
    assert word_errors("¿Cuándo abre?", "cuando cierra", "es")[1] == 2
