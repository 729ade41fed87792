"""One contract for every voice engine, and how they are opened."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from speech.audio import AudioChunk
from speech.marks import words
from speech.measure import largest_jump
from speech.polish import CHUNK, PAUSE, RATE
from speech.tts import ENGINES, SynthesisError, Synthesizer, UnspokenError, WithStandby, open_synthesizer
from speech.tts_espeak import EspeakSynthesizer
from speech.tts_gtts import GttsSynthesizer
from speech.tts_kokoro import KokoroSynthesizer
from speech.tts_openai import OpenAISynthesizer
from tests.speech.compare import alike
from tests.speech.compare import sound as _sound
from tests.speech.servers import google_voice, serving, speech_server

pytestmark = pytest.mark.usefixtures("loopback")
TEXT = "The museum closes at six."


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[Synthesizer]:
    if request.param == "espeak-ng":
        yield EspeakSynthesizer()
    elif request.param == "gtts":
        with serving(google_voice) as server:
            yield GttsSynthesizer(address=server.address)
    elif request.param == "openai":
        with serving(speech_server) as server:
            yield OpenAISynthesizer(server.address + "/v1")
    else:
        request.getfixturevalue("kokoro_package")
        yield KokoroSynthesizer()


def test_every_engine_gives_small_chunks_of_even_clean_sound(engine: Synthesizer) -> None:
    assert isinstance(engine, Synthesizer)
    assert engine.name in ENGINES
    chunks = list(engine.synthesize(TEXT, "en"))
    assert all(chunk.samples.dtype == np.float32 and chunk.samples.ndim == 1 for chunk in chunks)
    assert all(chunk.rate == RATE and 0 < chunk.seconds <= CHUNK for chunk in chunks)
    assert {chunk.text for chunk in chunks} == {TEXT}
    sound = _sound(chunks)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0
    audible = np.flatnonzero(np.abs(sound) > 0.01)
    assert audible[0] < 0.1 * RATE  # begins almost at once
    assert PAUSE * 0.9 < (len(sound) - audible[-1]) / RATE < PAUSE + 0.15  # ends in the same pause
    level = np.sqrt(np.mean(sound[np.abs(sound) > 0.01] ** 2))
    assert 0.07 < level < 0.16
    assert abs(sound[0]) < 0.01
    assert sound[-1] == 0
    rest = chunks[-1].pause
    assert PAUSE / 2 < rest / RATE <= PAUSE
    assert not sound[-rest:].any()
    assert not any(chunk.pause for chunk in chunks[:-1])
    assert largest_jump(chunks) < 0.1


def test_every_engine_tells_its_words_in_order_or_not_at_all(engine: Synthesizer) -> None:
    text = f"{TEXT} It opens at ten."
    chunks = list(engine.synthesize(text, "en"))
    marks = [mark for chunk in chunks for mark in chunk.marks]
    assert all(0 <= mark.at <= chunk.seconds for chunk in chunks for mark in chunk.marks)
    found = [(mark.start, mark.end) for mark in marks]
    assert found == (words(text) if engine.name in ("espeak-ng", "kokoro") else [])
    if marks:
        assert chunks[0].marks[0].at < 0.05


@pytest.mark.parametrize("language", ["en", "fr", "ja", "eo", "tlh"])
def test_no_engine_lets_a_voice_read_another_language_unnamed(engine: Synthesizer, language: str) -> None:
    reads = {"espeak-ng": "en fr ja eo", "gtts": "en fr ja", "kokoro": "en fr ja", "openai": "en"}
    notices: list[str] = []
    standby = WithStandby(engine, EspeakSynthesizer(), on_notice=notices.append)
    if language in reads[engine.name].split():
        assert _notices(engine.synthesize("Oui, non, oui.", language)) == []
    elif engine.name == "openai":  # nobody knows what its voice speaks, so it is said
        assert "not known" in _notices(engine.synthesize("Oui.", language))[0]
    else:
        with pytest.raises(UnspokenError, match=r"Esperanto|Klingon"):
            list(engine.synthesize("Oui.", language))
        if language == "tlh":
            with pytest.raises(
                UnspokenError, match=r"has no voice for Klingon \(tlh\).*espeak-ng has no voice"
            ):
                list(standby.synthesize("Oui.", language))
            assert notices == []  # nobody reads it, so nobody is named
        else:
            (notice,) = _notices(standby.synthesize("Oui.", language))
            assert "Esperanto (eo)" in notice
            assert notice.endswith("espeak-ng reads it.")
            assert notices == [notice]


def _notices(chunks: Iterator[AudioChunk]) -> list[str]:
    return [chunk.notice for chunk in chunks if chunk.notice]


@pytest.mark.usefixtures("kokoro_package")
def test_a_chosen_voice_that_does_not_speak_the_language_is_named_each_time() -> None:
    with serving(google_voice) as google_server, serving(speech_server) as server:
        voices: list[tuple[str, Synthesizer]] = [
            ("de", EspeakSynthesizer(voice="de")),
            ("pt-PT", GttsSynthesizer(voice="pt-PT", address=google_server.address)),
            ("ff_siwis", KokoroSynthesizer(voice="ff_siwis")),
        ]
        for name, voice in voices:
            for _ in range(2):  # each answer may be another person's
                (notice,) = _notices(voice.synthesize(TEXT, "en"))
                assert f"The voice {name} does not speak English (en)" in notice
        for name in ("ff_siwis", "fr_FR-siwis-medium"):
            with pytest.raises(UnspokenError, match=f"voice {name} does not speak German"):
                list(OpenAISynthesizer(server.address, voice=name).synthesize(TEXT, "de"))
            assert _notices(OpenAISynthesizer(server.address, voice=name).synthesize(TEXT, "fr")) == []


def test_every_engine_can_be_closed_in_the_middle_and_used_again(engine: Synthesizer) -> None:
    chunks = engine.synthesize(TEXT, "en")
    first = next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    again = list(engine.synthesize(TEXT, "en"))
    assert len(again) > 1
    assert alike(again[0].samples, first.samples) > 0.9


def test_every_engine_speaks_for_several_threads_at_once(engine: Synthesizer) -> None:
    texts = [f"This is sentence number {n}{' again' * n}." for n in range(6)]
    alone = [len(_sound(list(engine.synthesize(text, "en")))) for text in texts]
    together = [0] * len(texts)

    def speak(at: int) -> None:
        together[at] = len(_sound(list(engine.synthesize(texts[at], "en"))))

    threads = [threading.Thread(target=speak, args=(at,)) for at in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    # espeak-ng draws a little noise from a generator that all its calls share: some samples more or less
    assert together == pytest.approx(alone, abs=RATE // 50)


@pytest.mark.usefixtures("kokoro_package")
def test_every_engine_is_opened_by_name() -> None:
    for name in ENGINES:
        assert open_synthesizer(name, url="http://127.0.0.1:9/v1", speed=1.5).name == name
    assert open_synthesizer("auto").name == "gtts"
    assert open_synthesizer("auto", offline=True).name == "espeak-ng"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("festival", {}, "auto, gtts, espeak-ng, kokoro, openai"),
        ("espeak-ng", {"speed": 3.0}, "between 0.5 and 2"),
        ("espeak-ng", {"voice": "klingonish"}, "en-us"),
        ("openai", {}, "PARLEY_TTS_URL"),
        ("openai", {"url": "voice.example:80"}, "PARLEY_TTS_URL"),
        ("openai", {"url": "http://voice.example/v1", "offline": True}, "PARLEY_OFFLINE"),
        ("kokoro", {}, "pip install 'kokoro"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(
    name: str, options: dict[str, float | str | bool], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kokoro", None)
    with pytest.raises(SynthesisError, match=said.replace("(", r"\(")):
        open_synthesizer(name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("package", "name"), [("gtts", "gtts"), ("espeakng_loader", "espeak-ng")])
def test_a_missing_package_names_the_command(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from speech import tts_espeak

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(tts_espeak, "_library", tts_espeak._Library)
    with pytest.raises(SynthesisError, match="pip install"):
        open_synthesizer(name)
