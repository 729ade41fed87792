"""The last hand on every sound: level, pauses, marks and pace."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio import Mark
from speech.polish import BREATH, PAUSE, RATE, Sound, polish, stretched
from tests.speech.compare import sound as _sound
from tests.speech.servers import tone


def test_polish_is_the_same_for_a_stream_and_for_a_whole() -> None:
    sound = tone(2.0, 22_050)
    whole = _sound(list(polish([(sound, 22_050)], "x")))
    pieces = [(sound[at : at + 1000], 22_050) for at in range(0, len(sound), 1000)]
    streamed = _sound(list(polish(pieces, "x")))
    assert len(streamed) == pytest.approx(len(whole), abs=200)
    assert np.sqrt(np.mean(streamed**2)) == pytest.approx(np.sqrt(np.mean(whole**2)), rel=0.2)
    assert np.abs(np.diff(streamed)).max() < 0.1  # no click at a seam


def test_polish_of_silence_is_nothing_and_of_noise_is_bounded() -> None:
    assert list(polish([(np.zeros(5000, np.float32), RATE)], "x")) == []
    assert list(polish([], "x")) == []
    loud = np.sign(tone(1.0, level=1.0)) * np.float32(3)
    assert np.abs(_sound(list(polish([(loud, RATE)], "x")))).max() <= 1.0


def test_marks_move_with_the_sound() -> None:
    raw = tone(2.0, 22_050)  # after 0.4 s of silence, of which 0.01 s is kept
    marks = tuple(Mark(at, n, n + 1) for n, at in enumerate((0.0, 0.4, 1.0, 1.9, 2.7)))
    for size in (1000, len(raw)):
        pieces = [
            Sound(
                raw[at : at + size],
                22_050,
                tuple(
                    Mark(mark.at - at / 22_050, mark.start, mark.end)
                    for mark in marks
                    if at <= mark.at * 22_050 < at + size
                ),
            )
            for at in range(0, len(raw), size)
        ]
        found, passed = [], 0.0
        for chunk in polish(pieces, "x"):
            found += [passed + mark.at for mark in chunk.marks]
            passed += chunk.seconds
        assert found[:4] == pytest.approx([0.0, 0.01, 0.61, 1.51], abs=0.01)
        assert 2.0 < found[4] <= passed  # it was in the silence that was cut off


def test_a_pause_is_as_long_as_it_is_meant() -> None:
    for pause in (PAUSE, BREATH):
        chunks = list(polish([(tone(1.0), RATE)], "x", pause=pause))
        loud = np.flatnonzero(np.abs(_sound(chunks)) > 0.005)
        assert (len(_sound(chunks)) - loud[-1]) / RATE == pytest.approx(pause, abs=0.01)


def test_levels_are_even_whatever_the_stream() -> None:
    """Loud at its beginning and then quiet, as a word that is stressed: in one piece or in many."""
    sound = np.concatenate([tone(0.6, level=0.4)[:24_000], tone(2.0, level=0.1)[9_600:]])
    levels = []
    for size in (500, len(sound)):
        pieces = [(sound[at : at + size], RATE) for at in range(0, len(sound), size)]
        polished = _sound(list(polish(pieces, "x")))[-RATE:]
        levels.append(20 * np.log10(np.sqrt(np.mean(polished[np.abs(polished) > 0.01] ** 2))))
    assert abs(levels[0] - levels[1]) < 1.5


def test_stretching_keeps_the_pitch() -> None:
    fast = stretched(tone(2.0), RATE, 1.5)
    assert len(fast) == pytest.approx(len(tone(2.0)) / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast))
    assert np.argmax(spectrum) * RATE / len(fast) == pytest.approx(180, abs=8)
