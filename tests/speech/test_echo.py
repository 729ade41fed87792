from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio import RATE, Samples
from speech.echo import DELAY, FRAME, EchoCanceller, open_echo_canceller
from tests.speech.speaking import spoken

ANSWER = "The warranty covers the compressor for five years, and every other part for two. Keep the receipt."
VOICE = "No, I meant the other machine."


def answer() -> Samples:
    return whole(spoken(ANSWER))


def whole(sound: Samples) -> Samples:
    return sound[: len(sound) // FRAME * FRAME]


def room() -> Samples:
    count = RATE // 5
    tail = np.random.default_rng(1).standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    tail *= 0.4 / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail.astype(np.float32)


def come_back(played: Samples, seconds: float, response: Samples | None = None) -> Samples:
    late = np.concatenate([np.zeros(round(seconds * RATE), np.float32), played])
    if response is not None:
        late = np.convolve(late, response)
    return (0.3 * late[: len(played)]).astype(np.float32)


def cleaned(echo: EchoCanceller, heard: Samples, played: Samples) -> Samples:
    """Everything the canceller makes of it, in time with what it heard."""
    heard, played = np.pad(heard, (0, FRAME)), np.pad(played, (0, FRAME))
    frames = [
        echo.clean(heard[at : at + FRAME], played[at : at + FRAME]) for at in range(0, len(heard), FRAME)
    ]
    return np.concatenate(frames)[DELAY : DELAY + len(heard) - FRAME]


def decibels(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(sound**2) + 1e-12))


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.1537, 0.25, 0.38])
def test_an_echo_is_taken_away_however_late_it_comes(seconds: float) -> None:
    played = answer()
    echo = come_back(played, seconds)
    left = cleaned(open_echo_canceller(), echo, played)
    assert decibels(left[2 * RATE :]) < decibels(echo[2 * RATE :]) - 25
    first = slice(RATE // 2, 3 * RATE // 2)
    assert decibels(left[first]) < decibels(echo[first]) - 10


def test_an_echo_through_a_room_is_taken_away() -> None:
    played = answer()
    echo = come_back(played, 0.12, room())
    left = cleaned(open_echo_canceller(), echo, played)
    assert decibels(left[2 * RATE :]) < decibels(echo[2 * RATE :]) - 20


def test_the_next_answer_finds_the_room_known() -> None:
    played = answer()
    echo, canceller = come_back(played, 0.1, room()), open_echo_canceller()
    cleaned(canceller, echo, played)
    again = cleaned(canceller, echo, played)
    assert decibels(again[:RATE]) < decibels(echo[:RATE]) - 20


def test_an_echo_that_moves_is_found_again() -> None:
    """As when somebody puts a loudspeaker of another kind in between."""
    played = np.tile(answer(), 2)
    half = len(played) // 2
    echo = np.concatenate([come_back(played, 0.06)[:half], come_back(played, 0.21)[half:]])
    left = cleaned(open_echo_canceller(), echo, played)
    assert decibels(left[half + 2 * RATE :]) < decibels(echo[half + 2 * RATE :]) - 20


def test_a_voice_over_the_echo_stays() -> None:
    played, voice = answer(), spoken(VOICE)
    echo = come_back(played, 0.1, room())
    near = np.zeros_like(played)
    near[2 * RATE : 2 * RATE + len(voice)] = 0.3 * voice[: len(near) - 2 * RATE]
    left = cleaned(open_echo_canceller(), echo + near, played)
    at = slice(2 * RATE, 2 * RATE + len(voice))
    share = np.float32(left[at] @ near[at] / (near[at] @ near[at]))
    assert 0.8 < share < 1.1
    assert decibels(left[at] - share * near[at]) < decibels(near[at]) - 8


def test_without_an_echo_a_voice_is_let_through_as_it_is() -> None:
    """Headphones, or a browser that has cancelled the echo already."""
    played = answer()
    voice = np.resize(spoken(VOICE), len(played)).astype(np.float32)
    through = cleaned(open_echo_canceller(), voice, played)
    known = 5 * RATE // 4  # a second of the answer's sound, and the pause in it
    np.testing.assert_array_equal(through[known:], voice[known:])


def test_when_nothing_is_played_nothing_is_changed() -> None:
    canceller, played = open_echo_canceller(), answer()
    cleaned(canceller, come_back(played, 0.1), played)
    silence = np.zeros(2 * RATE // FRAME * FRAME, np.float32)
    cleaned(canceller, silence, silence)
    voice = whole(spoken(VOICE))
    np.testing.assert_array_equal(cleaned(canceller, voice, np.zeros_like(voice)), voice)


def test_going_quiet_makes_no_click() -> None:
    canceller, played = open_echo_canceller(), answer()
    tone = np.sin(2 * np.pi * 220 * np.arange(RATE * 2 // FRAME * FRAME) / RATE).astype(np.float32) * 0.1
    cleaned(canceller, come_back(played, 0.1), played)
    after = cleaned(canceller, tone, np.zeros_like(tone))
    assert np.abs(np.diff(after)).max() < 0.02


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="512"):
        open_echo_canceller().clean(np.zeros(160, np.float32), np.zeros(512, np.float32))
    with pytest.raises(ValueError, match="512"):
        open_echo_canceller().clean(np.zeros(512, np.float32), np.zeros(160, np.float32))


def test_there_is_nothing_to_tell_when_all_is_well() -> None:
    assert open_echo_canceller().notice == ""


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.lists(st.sampled_from([0.0, 1e-7, 1e-3, 0.3, 1.0]), min_size=2, max_size=12),
    clipped=st.booleans(),
)
def test_whatever_is_heard_what_is_left_is_sound_and_no_louder(
    seed: int, levels: list[float], clipped: bool
) -> None:
    random, canceller = np.random.default_rng(seed), open_echo_canceller()
    heard = [level * random.uniform(-1, 1, FRAME).astype(np.float32) for level in levels]
    if clipped:
        heard = [np.sign(frame) for frame in heard]
    played = heard[1:] + heard[:1]  # an echo from before it was played, at times
    for frame, out in zip(heard * 3, played * 3, strict=True):
        left = canceller.clean(frame, out)
        assert left.shape == (FRAME,)
        assert left.dtype == np.float32
        assert np.isfinite(left).all()
        assert np.abs(left).max() <= 4
