from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio import RATE, Samples
from speech.bargein import FRAME, Bargein
from speech.echo import open_echo_canceller
from speech.vad import VadStream
from tests.speech.speaking import spoken

ANSWER = "The warranty covers the compressor for five years, and every other part for two. Keep the receipt."
VOICE = "No, I meant the other machine."
SILENCE = np.zeros(FRAME, np.float32)


def frames(sound: Samples) -> Iterator[Samples]:
    return iter(sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME))


def interruptions(bargein: Bargein, heard: Samples, played: Samples, *, sure: bool = False) -> list[int]:
    """The samples after which it interrupts; `sure`: as if all of it were speech to Silero."""
    vad, found = VadStream(), []
    for number, (frame, out) in enumerate(zip(frames(heard), frames(played), strict=True)):
        if bargein.feed(frame, 0.9 if sure else vad.feed(frame), out) is not None:
            found.append((number + 1) * FRAME)
    return found


def placed(sound: Samples, at: float, seconds: float) -> Samples:
    whole = np.zeros(int(seconds * RATE) // FRAME * FRAME, np.float32)
    whole[int(at * RATE) : int(at * RATE) + len(sound)] = sound
    return whole


def answer(seconds: float) -> Samples:
    return np.resize(spoken(ANSWER), int(seconds * RATE) // FRAME * FRAME).astype(np.float32)


def voice() -> Samples:
    """From its first sound on."""
    sound = spoken(VOICE)
    return sound[np.flatnonzero(np.abs(sound) > 0.02)[0] :]


def murmur(seconds: float, pitch: float = 140) -> Samples:
    """A closed mouth: the first harmonics alone."""
    at = np.arange(int(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * pitch * (n + 1) * at) / (n + 1) ** 2 for n in range(4)]
    sound = 0.1 * np.sum(tones, axis=0) * np.minimum(1, 20 * np.minimum(at, at[::-1]))
    return np.asarray(sound, np.float32)


def varied(count: int) -> Samples:
    """Frames of noise, each of another colour, as speech is."""
    random, at = np.random.default_rng(3), np.arange(FRAME) / RATE
    tones = [np.sin(2 * np.pi * pitch * at) for pitch in random.uniform(150, 4000, count)]
    return (0.1 * np.concatenate(tones)).astype(np.float32)


def test_a_voice_over_the_answer_interrupts_it_once_and_in_time() -> None:
    found = interruptions(Bargein(), placed(voice(), 1, 4), answer(4))
    assert len(found) == 1
    assert 0.25 <= found[0] / RATE - 1 <= 0.5


def test_it_says_when_the_voice_began() -> None:
    bargein, vad = Bargein(), VadStream()
    pairs = zip(frames(placed(voice(), 1, 4)), frames(answer(4)), strict=True)
    for number, (frame, out) in enumerate(pairs):
        ago = bargein.feed(frame, vad.feed(frame), out)
        if ago is not None:
            assert abs(((number + 1) * FRAME - ago) / RATE - 1) <= 0.07
            return
    pytest.fail("the voice was not noticed")


@pytest.mark.parametrize("minimum", [0.2, 0.4, 0.7, 1.0])
def test_the_minimum_is_how_long_somebody_has_to_speak(minimum: float) -> None:
    long, short = varied(int((minimum + 0.1) * RATE / FRAME)), varied(int((minimum - 0.15) * RATE / FRAME))
    for sound, interrupts in ((long, True), (short, False)):
        heard = placed(sound, 0.5, 3)
        pairs = zip(frames(heard), frames(answer(3)), strict=True)
        bargein = Bargein(minimum)
        said = [bargein.feed(frame, 0.9 * bool(frame.any()), out) for frame, out in pairs]
        assert any(said) is interrupts


@pytest.mark.parametrize("minimum", [0.0, 0.19, 1.01, float("nan")])
def test_a_minimum_that_makes_no_sense_is_refused(minimum: float) -> None:
    with pytest.raises(ValueError, match=r"0\.2 to 1\.0 s"):
        Bargein(minimum)


def test_a_stop_consonant_does_not_begin_the_count_anew() -> None:
    sound = varied(16)
    sound[5 * FRAME : 7 * FRAME] = 0  # 64 ms
    pairs = list(zip(frames(sound), frames(answer(3)), strict=False))
    bargein = Bargein()
    assert any(bargein.feed(frame, 0.9 * bool(frame.any()), out) for frame, out in pairs)


@pytest.mark.parametrize("pitch", [95, 140, 220])
def test_a_murmur_does_not_interrupt_even_where_it_is_taken_for_speech(pitch: float) -> None:
    heard = placed(murmur(0.5, pitch), 1, 3)
    pairs = zip(frames(heard), frames(answer(3)), strict=True)
    bargein = Bargein()
    assert not any(bargein.feed(frame, 0.9 * bool(frame.any()), out) for frame, out in pairs)


def test_a_voice_that_holds_one_sound_interrupts_in_the_end() -> None:
    heard = placed(murmur(1.2), 1, 3)
    pairs = zip(frames(heard), frames(answer(3)), strict=True)
    bargein = Bargein()
    said = [bargein.feed(frame, 0.9 * bool(frame.any()), out) for frame, out in pairs]
    assert sum(each is not None for each in said) == 1


def test_what_an_echo_canceller_leaves_of_the_answer_does_not_interrupt() -> None:
    played = answer(5)
    assert interruptions(Bargein(), played * 0.01, played) == []
    assert interruptions(Bargein(), played * 0.1, played) != []  # so loud, it is somebody


def test_while_the_answer_pauses_a_quiet_voice_counts() -> None:
    quiet = 0.03 * placed(voice(), 0.5, 3)
    assert interruptions(Bargein(), quiet, 3 * answer(3)) == []
    assert len(interruptions(Bargein(), quiet, np.zeros_like(quiet))) == 1


def test_silence_and_noise_do_not_interrupt() -> None:
    noise = (0.02 * np.random.default_rng(2).standard_normal(4 * RATE)).astype(np.float32)
    assert interruptions(Bargein(), np.zeros(4 * RATE, np.float32), answer(4)[: 4 * RATE]) == []
    assert interruptions(Bargein(), noise[: 4 * RATE // FRAME * FRAME], answer(4)) == []


def test_after_a_silence_the_next_voice_counts_again() -> None:
    heard = placed(voice(), 0.5, 8) + placed(voice(), 5, 8)
    assert len(interruptions(Bargein(), heard, answer(8))) == 2


def test_reset_forgets_half_an_interruption() -> None:
    bargein, sound = Bargein(), list(frames(varied(16)))
    assert not any(bargein.feed(frame, 0.9, SILENCE) for frame in sound[:8])
    bargein.reset()
    assert not any(bargein.feed(frame, 0.9, SILENCE) for frame in sound[8:])


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25])
def test_the_first_answer_of_a_conversation_does_not_interrupt_itself_but_a_voice_does(delay: float) -> None:
    played = answer(5)
    echo = 0.316 * np.concatenate([np.zeros(round(delay * RATE), np.float32), played])[: len(played)]
    near = placed(0.316 * voice(), 2.2, 5)[: len(played)]
    for heard, expected in ((echo, 0), (echo + near, 1)):
        canceller = open_echo_canceller()
        pairs = zip(frames(heard.astype(np.float32)), frames(played), strict=True)
        cleaned = np.concatenate([canceller.clean(frame, out) for frame, out in pairs])
        found = interruptions(Bargein(), cleaned, played)
        assert len(found) == expected
        assert all(2.4 < at / RATE < 2.8 for at in found)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.1, 1.0]), st.floats(0, 1)), max_size=60),
    st.floats(0.2, 1.0),
)
def test_whatever_comes_the_begin_lies_within_what_was_heard(
    heard: list[tuple[float, float]], minimum: float
) -> None:
    random, bargein = np.random.default_rng(0), Bargein(minimum)
    for number, (level, probability) in enumerate(heard):
        frame = (level * random.uniform(-1, 1, FRAME)).astype(np.float32)
        ago = bargein.feed(frame, probability, SILENCE)
        assert ago is None or FRAME < ago <= (number + 2) * FRAME
