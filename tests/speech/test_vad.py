"""Voice activity on real synthetic speech, silence and noise."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from speech.audio import RATE, Samples
from speech.vad import FRAME, Segment, VadStream, probabilities, shorten_silence, speech_segments
from tests.speech.speaking import spoken

_SENTENCE = "Where is the nearest railway station, and when does it open?"


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, level: float) -> Samples:
    return (np.random.default_rng(1).normal(size=round(seconds * RATE)) * level).astype(np.float32)


def test_speech_is_found_where_it_is() -> None:
    voice = spoken(_SENTENCE)
    segments = speech_segments(np.concatenate([silence(2), voice, silence(2)]))
    assert abs(segments[0].start / RATE - 2) < 0.4
    assert abs(segments[-1].end - len(voice) - 2 * RATE) / RATE < 0.5
    assert all(a.end < b.start for a, b in pairwise(segments))


@pytest.mark.parametrize("sound", [silence(3), noise(3, 0.002), noise(3, 0.05), noise(3, 0.5), silence(0)])
def test_silence_and_noise_hold_no_speech(sound: Samples) -> None:
    assert speech_segments(sound) == []


def test_quiet_speech_is_speech() -> None:
    assert speech_segments(spoken(_SENTENCE) * np.float32(0.05))


def test_a_stream_gives_what_the_whole_gives_and_forgets_on_reset() -> None:
    voice = spoken(_SENTENCE)
    frames = voice[: len(voice) // FRAME * FRAME].reshape(-1, FRAME)
    stream = VadStream()
    first = [stream.feed(frame) for frame in frames]
    assert first == probabilities(frames.reshape(-1))
    assert max(first) > 0.9
    stream.reset()
    assert [stream.feed(frame) for frame in frames] == first


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="512"):
        VadStream().feed(np.zeros(100, np.float32))


def test_short_pauses_leave_the_recording_untouched() -> None:
    audio = noise(5, 0.1)
    assert shorten_silence(audio, [Segment(RATE, 2 * RATE), Segment(4 * RATE, 5 * RATE)]) is audio


def test_long_pauses_are_cut_to_a_second() -> None:
    audio = np.arange(30 * RATE, dtype=np.float32)
    shorter = shorten_silence(audio, [Segment(10 * RATE, 11 * RATE), Segment(20 * RATE, 21 * RATE)])
    kept = [(9.5, 11.5), (19.5, 21.5)]
    expected = np.concatenate([audio[round(a * RATE) : round(b * RATE)] for a, b in kept])
    assert np.array_equal(shorter, expected)


def test_torch_is_not_loaded() -> None:
    code = (
        "import sys, numpy, speech.vad as v; v.speech_segments(numpy.zeros(16000, 'f'));"
        "assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
