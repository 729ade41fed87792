"""Where utterances begin and end: espeak's speech through the real VAD, and any frames at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio import RATE, Samples
from speech.endpoint import Began, Dropped, Ended, Event, Listener, ListenOptions, Paused, WentOn
from speech.vad import FRAME, probabilities
from tests.speech.speaking import spoken

_QUESTION = "When does the museum open?"
_FRAME = FRAME / RATE


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, level: float, seed: int = 1) -> Samples:
    return (np.random.default_rng(seed).normal(size=round(seconds * RATE)) * level).astype(np.float32)


@cache
def question() -> Samples:
    voice = spoken(_QUESTION)
    at = np.flatnonzero(np.abs(voice) > 0.01)
    return voice[at[0] : at[-1] + 1]


def level(sound: Samples) -> float:
    return float(np.sqrt((sound**2).mean()))


def fixed(complete: float) -> Callable[[Samples, str], float]:
    return lambda _audio, _text: complete


surely, open_ended = fixed(1.0), fixed(0.0)


def follow(listener: Listener, audio: Samples) -> list[tuple[int, Event]]:
    """Events with the position at which each came."""
    frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    found: list[tuple[int, Event]] = []
    for frame, probability in zip(frames, probabilities(frames.reshape(-1)), strict=True):
        found += [(listener.position, event) for event in listener.feed(frame, probability)]
    return found


def kinds(events: list[tuple[int, Event]]) -> list[type[Event]]:
    return [type(event) for _, event in events]


def only_end(events: list[tuple[int, Event]]) -> Ended:
    (ended,) = [event for _, event in events if isinstance(event, Ended)]
    return ended


def test_a_finished_question_ends_after_the_quickest_silence() -> None:
    audio = np.concatenate([silence(1), question(), silence(3)])
    last = RATE + len(question())
    events = follow(Listener(complete=surely), audio)
    ended = only_end(events)
    assert kinds(events)[0] is Began
    assert kinds(events)[-2:] == [Paused, Ended]
    assert ended.start <= 0.8 * RATE
    assert abs(ended.end - last) < 0.05 * RATE
    assert 0.33 * RATE < ended.decided - last <= 0.4 * RATE
    assert np.array_equal(ended.audio, audio[ended.start : ended.decided])


def test_an_open_utterance_waits_longest_and_no_longer() -> None:
    audio = np.concatenate([silence(1), question(), silence(3)])
    ended = only_end(follow(Listener(complete=open_ended), audio))
    assert 1.75 * RATE < ended.decided - ended.end <= 1.8 * RATE


def test_between_them_it_waits_the_longer_the_less_complete_it_is() -> None:
    audio = np.concatenate([silence(1), question(), silence(3)])
    waits = []
    for complete in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
        ended = only_end(follow(Listener(complete=fixed(complete)), audio))
        waits.append(ended.decided - ended.end)
    assert waits == sorted(waits, reverse=True)
    assert len(set(waits)) == len(waits)


def test_bounds_can_be_set() -> None:
    options = ListenOptions(quickest=0.6, longest=0.9)
    audio = np.concatenate([silence(1), question(), silence(3)])
    for complete, seconds in ((surely, 0.6), (open_ended, 0.9)):
        ended = only_end(follow(Listener(options, complete), audio))
        assert seconds - 2 * _FRAME < (ended.decided - ended.end) / RATE <= seconds


@pytest.mark.parametrize("bad", [{"short": 0.5}, {"longest": 0.3}, {"short": 0.0}])
def test_bounds_out_of_order_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="in this order"):
        ListenOptions(**bad)


def test_who_goes_on_is_heard_as_one_utterance() -> None:
    audio = np.concatenate([silence(1), question(), silence(1), question(), silence(3)])
    events = follow(Listener(complete=open_ended), audio)
    assert Began in kinds(events)
    assert kinds(events).count(Ended) == 1
    assert WentOn in kinds(events)
    paused = next(
        event for _, event in events if isinstance(event, Paused) and event.end > RATE + len(question()) / 2
    )
    assert abs(paused.end - RATE - len(question())) < 0.05 * RATE
    assert only_end(events).end > 2 * RATE + 1.9 * len(question())


def test_new_words_in_the_silence_change_the_judgement() -> None:
    listener = Listener(complete=lambda _audio, text: float(text == "when does the museum open"))
    audio = np.concatenate([silence(1), question(), silence(0.7)])
    assert Ended not in kinds(follow(listener, audio))
    listener.heard("when does the museum open")
    (ended,) = listener.feed(np.zeros(FRAME, np.float32), 0.0)
    assert isinstance(ended, Ended)


def test_words_of_the_last_utterance_do_not_count_for_the_next() -> None:
    told: list[str] = []

    def complete(_audio: Samples, text: str) -> float:
        told.append(text)
        return 1.0

    listener = Listener(complete=complete)
    listener.heard("nobody said this")
    follow(listener, np.concatenate([silence(1), question(), silence(1)]))
    assert told
    assert set(told) == {""}


@pytest.mark.parametrize("kind", ["noise", "click", "hum"])
def test_what_is_no_speech_starts_nothing(kind: str) -> None:
    click = np.zeros(RATE, np.float32)
    click[:400] = noise(400 / RATE, 0.4)
    hum = 0.2 * np.sin(np.arange(10 * RATE) / RATE * 2 * np.pi * 100).astype(np.float32)
    sound = {"noise": noise(10, 0.05), "click": np.tile(click, 10), "hum": hum}[kind]
    assert Ended not in kinds(follow(Listener(complete=surely), sound))


def test_two_minutes_of_silence_start_nothing() -> None:
    listener = Listener(complete=surely)
    for _ in range(120 * RATE // FRAME):
        assert listener.feed(np.zeros(FRAME, np.float32), 0.01) == []
    assert sum(map(len, listener._frames)) < 10 * RATE


def babble(seconds: float, loudness: float) -> Samples:
    texts = ("The garden is open until nine in summer, and until five in winter.", "Please keep to the path.")
    parts = [
        np.resize(np.roll(spoken(text), 7000 * i), round(seconds * RATE)) for i in range(3) for text in texts
    ]
    mixed = np.sum(parts, axis=0)
    return np.asarray(mixed * loudness / level(mixed), np.float32)


def test_voices_in_the_background_neither_begin_nor_prolong_a_turn() -> None:
    voice = question()
    room = babble(12, level(voice) / 10**0.5)
    assert max(probabilities(room)) > 0.9  # voices they are
    assert Ended not in kinds(follow(Listener(complete=surely), room))
    room[3 * RATE : 3 * RATE + len(voice)] += voice
    ended = only_end(follow(Listener(complete=open_ended), room))
    assert ended.start <= 2.9 * RATE
    assert 3 * RATE + len(voice) < ended.decided < 3 * RATE + len(voice) + 2.2 * RATE


def test_speech_from_the_first_sample_on_is_kept_whole() -> None:
    audio = np.concatenate([question(), silence(2)])
    ended = only_end(follow(Listener(complete=surely), audio))
    assert ended.start == 0


def test_quiet_speech_counts() -> None:
    audio = np.concatenate([silence(1), question() * np.float32(0.05), silence(2)])
    assert only_end(follow(Listener(complete=surely), audio)).start <= 0.9 * RATE


def test_a_cough_is_dropped() -> None:
    options = ListenOptions(least=0.5)
    sound = np.concatenate([silence(1), question()[: round(0.25 * RATE)], silence(2)])
    assert kinds(follow(Listener(options, surely), sound)) == [Began, Dropped]


def test_while_held_nothing_ends() -> None:
    listener = Listener(complete=surely)
    listener.hold(True)
    audio = np.concatenate([silence(0.5), question(), silence(4)])
    assert Ended not in kinds(follow(listener, audio))
    listener.hold(False)
    (ended,) = listener.finish()
    assert isinstance(ended, Ended)
    assert ended.decided == listener.position
    assert listener.finish() == []


def test_finish_in_the_middle_of_a_word_gives_what_was_said() -> None:
    listener = Listener(complete=surely)
    audio = np.concatenate([silence(1), question()[: len(question()) // 2]])
    follow(listener, audio)
    (ended,) = listener.finish()
    assert isinstance(ended, Ended)
    assert np.array_equal(ended.audio, audio[ended.start : ended.decided])


def test_a_long_utterance_ends_at_its_next_pause_and_memory_is_bounded() -> None:
    options = ListenOptions(most=4)
    long = np.tile(np.concatenate([question(), silence(0.3)]), 6)
    events = follow(Listener(options, open_ended), np.concatenate([silence(1), long, silence(3)]))
    lengths = [len(event.audio) / RATE for _, event in events if isinstance(event, Ended)]
    assert len(lengths) > 1
    assert max(lengths) < 2 * 4 + 1


def test_speech_without_any_pause_is_cut() -> None:
    listener = Listener(ListenOptions(most=2), surely)
    frame = noise(_FRAME, 0.1)
    for _ in range(20):
        listener.feed(np.zeros(FRAME, np.float32), 0.0)
    found = [event for _ in range(400) for event in listener.feed(frame, 1.0)]
    assert sum(isinstance(event, Ended) for event in found) >= 1


def test_reset_forgets() -> None:
    listener = Listener(complete=surely)
    audio = np.concatenate([silence(1), question(), silence(1)])
    first = follow(listener, audio)
    follow(listener, audio[: RATE + 8000])
    listener.reset()
    assert listener.position == 0
    assert kinds(follow(listener, audio)) == kinds(first)


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="512"):
        Listener(complete=surely).feed(np.zeros(100, np.float32), 0.5)


_LEGAL: dict[type[Event] | None, set[type[Event]]] = {
    None: {Began},
    Began: {Paused, Ended, Dropped},
    Paused: {WentOn, Ended},
    WentOn: {Paused, Ended},
    Ended: {Began},
    Dropped: {Began},
}

_STRETCHES = st.lists(
    st.tuples(
        st.integers(1, 40),  # frames
        st.sampled_from([0.0, 1e-4, 0.01, 0.1, 1.0, 50.0, float("nan"), float("inf")]),
        st.one_of(st.floats(0, 1), st.sampled_from([-1.0, 2.0, float("nan")])),
        st.sampled_from(["", "text", "hold", "release", "finish"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(_STRETCHES, st.floats(0, 1), st.floats(0.5, 5))
def test_any_frames_give_events_in_a_legal_order(
    stretches: list[tuple[int, float, float, str]], complete: float, most: float
) -> None:
    listener = Listener(ListenOptions(most=most), fixed(complete))
    wave = np.random.default_rng(5).normal(size=FRAME).astype(np.float32)
    stream: list[Samples] = []
    events: list[Event] = []
    for count, loudness, probability, action in stretches:
        for _ in range(count):
            with np.errstate(invalid="ignore"):
                stream.append(wave * np.float32(loudness))
            events += listener.feed(stream[-1], probability)
        if action == "text":
            listener.heard("when does the")
        elif action in ("hold", "release"):
            listener.hold(action == "hold")
        elif action == "finish":
            events += listener.finish()
    assert listener.position == FRAME * len(stream)
    whole = np.concatenate([*stream, silence(0)])
    for before, after in pairwise([None, *map(type, events)]):
        assert after in _LEGAL[before]
    for event in events:
        if isinstance(event, Ended):
            assert 0 <= event.start < event.end <= event.decided
            assert np.array_equal(event.audio, whole[event.start : event.decided], equal_nan=True)
