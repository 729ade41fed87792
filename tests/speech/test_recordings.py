"""Long recordings: when something is said, without haste, and without harm from a hostile file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speech.asr import Engine as SharedEngine
from speech.asr import Recognised, ShouldStop, Stopped
from speech.audio import RATE, AudioError, Samples, wav_bytes
from speech.recordings import _stretches, hear
from speech.tts_espeak import EspeakSynthesizer
from speech.vad import Segment


class Engine(SharedEngine):
    """Says how long what it hears is."""

    name = "seconds"

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.meanwhile = meanwhile
        self.calls = 0

    def _load(self) -> None: ...

    def _recognise(
        self,
        audio: Samples,
        segments: list[Segment],
        language: str | None,
        hint: str | None,
        stop: ShouldStop,
    ) -> Recognised:
        self.calls += 1
        self.meanwhile()
        if stop():
            raise Stopped
        return Recognised(f"{len(audio) / RATE:.0f} s in {language}", "en")


def never() -> bool:
    return False


@pytest.fixture
def speech() -> Samples:
    """Two seconds of a voice."""
    chunks = list(EspeakSynthesizer().synthesize("The garden opens at nine.", "en"))
    sound = np.concatenate([chunk.samples for chunk in chunks])
    at = np.arange(0, len(sound), chunks[0].rate / RATE)
    resampled: Samples = np.interp(at, np.arange(len(sound)), sound).astype(np.float32)
    return resampled


def recording(path: Path, *parts: Samples) -> Path:
    path.write_bytes(wav_bytes(np.concatenate(parts), RATE))
    return path


def test_what_is_said_has_its_moment(tmp_path: Path, speech: Samples) -> None:
    silence = np.zeros(15 * RATE, np.float32)
    path = recording(tmp_path / "a.wav", speech, silence, speech, speech)
    said = list(hear(path, Engine(), language="en", should_stop=never))
    assert [round(start) for start, _, _ in said] == [0]
    assert said[0][2].endswith("in en")
    assert said[0][1] > 15


def test_silence_is_not_heard(tmp_path: Path) -> None:
    engine = Engine()
    path = recording(tmp_path / "a.wav", np.zeros(3 * RATE, np.float32))
    assert list(hear(path, engine, should_stop=never)) == []
    assert engine.calls == 0


def test_whoever_speaks_meanwhile_goes_first(
    tmp_path: Path, speech: Samples, request: pytest.FixtureRequest
) -> None:
    order: list[str] = []

    def meanwhile() -> None:
        order.append(threading.current_thread().name)
        if len(order) == 1:
            person.start()
            while not engine.busy:
                person.join(0.01)

    engine = Engine(meanwhile)
    person = threading.Thread(target=engine.transcribe, args=(speech,), name="person")
    request.addfinalizer(person.join)
    said = list(hear(recording(tmp_path / "a.wav", speech), engine, should_stop=never))
    assert order == ["MainThread", "person", "MainThread"]
    assert len(said) == 1


def test_hearing_stops(tmp_path: Path, speech: Samples) -> None:
    path = recording(tmp_path / "a.wav", speech)
    with pytest.raises(Stopped):
        list(hear(path, Engine(), should_stop=lambda: True))


@pytest.mark.parametrize("data", [b"", b"no sound", os.urandom(3000), b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_recording_has_a_reason(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"\. \w+") as caught:
        list(hear(path, Engine(), should_stop=never))
    assert "crash" not in str(caught.value)


def seconds(*spans: tuple[float, float]) -> list[tuple[float, float]]:
    found = _stretches(Segment(round(start * RATE), round(end * RATE)) for start, end in spans)
    return [(segment.start / RATE, segment.end / RATE) for segment in found]


def test_stretches_are_cut_at_pauses_and_never_endless() -> None:
    assert seconds((0, 9), (10, 19), (20, 27), (28, 35)) == [(0, 27), (28, 35)]
    assert seconds((1, 12), (15, 16)) == [(1, 12), (15, 16)], "a pause after enough"
    assert seconds((1, 2), (9, 10)) == [(1, 10)], "a pause after little"
    assert seconds((0, 130)) == [(0, 60), (60, 120), (120, 130)]
    assert seconds() == []
