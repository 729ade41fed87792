"""One contract for every voice engine, and what happens when one fails."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from speech.audio import AudioChunk, Mark, Samples, to_int16, wav_bytes
from speech.language import _COMMON
from speech.marks import words
from speech.measure import largest_jump
from speech.polish import BREATH, CHUNK, PAUSE, RATE, Sound, polish, stretched
from speech.tts import (
    ENGINES,
    REST_SECONDS,
    Outage,
    SynthesisError,
    Synthesizer,
    UnspokenError,
    WithStandby,
    open_synthesizer,
)
from speech.tts_espeak import EspeakSynthesizer, _library
from speech.tts_gtts import GttsSynthesizer
from speech.tts_kokoro import KokoroSynthesizer, _model
from speech.tts_openai import OpenAISynthesizer
from tests.speech import fake_kokoro
from tests.speech.compare import alike
from tests.speech.compare import sound as _sound
from tests.speech.servers import drips, google, hangs, mp3, send, serving, tone

TEXT = "The museum closes at six."


def _google(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, google(mp3(tone(1.2))))


def _speech_server(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    sound = to_int16(tone(1.2)).astype("<i2").tobytes()
    assert json.loads(body)["response_format"] == "pcm"
    handler.send_response(200)
    handler.send_header("Content-Type", "audio/pcm")
    handler.end_headers()
    for at in range(0, len(sound), 4095):  # odd, so that samples are torn
        handler.wfile.write(sound[at : at + 4095])


@pytest.fixture(autouse=True)
def _loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def kokoro_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in fake_kokoro.modules().items():
        monkeypatch.setitem(sys.modules, name, module)

    def download(repo_id: str, filename: str, local_files_only: bool = False) -> str:
        if local_files_only and "absent" in filename:
            raise OSError("not cached")
        return f"/cache/{filename}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    fake_kokoro.KPipeline.spoken.clear()


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[Synthesizer]:
    if request.param == "espeak-ng":
        yield EspeakSynthesizer()
    elif request.param == "gtts":
        with serving(_google) as server:
            yield GttsSynthesizer(address=server.address)
    elif request.param == "openai":
        with serving(_speech_server) as server:
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
    with serving(_google) as google_server, serving(_speech_server) as server:
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


def test_the_language_of_every_common_voice_is_its_own() -> None:
    spoken = {voice.identifier: voice.language for voice in _library().voices.values()}
    voice = EspeakSynthesizer()
    own = {code: spoken[voice._voice_for(code)[0]].lower().partition("-")[0] for code in _COMMON}
    assert {code: other for code, other in own.items() if other != code} == {"no": "nb", "zh": "cmn"}


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


# --- espeak-ng


def test_espeak_keeps_to_the_pace_and_is_quick() -> None:
    lengths = {
        speed: len(_sound(list(EspeakSynthesizer(speed=speed).synthesize(TEXT)))) for speed in (0.5, 1, 2)
    }
    assert 1.5 < lengths[0.5] / lengths[1] < 2.3
    assert 1.3 < lengths[1] / lengths[2] < 2.3
    voice = EspeakSynthesizer()
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        next(voice.synthesize(TEXT))
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.05


def test_espeak_takes_a_voice_of_the_language_and_never_another() -> None:
    notices: list[str] = []
    voice = EspeakSynthesizer(voice="de", on_notice=notices.append)
    german, english = (_sound(list(voice.synthesize("Haus und Garten", code))) for code in ("de", "en"))
    assert len(german) != len(english)
    assert len(notices) == 1
    assert "does not speak English" in notices[0]
    assert alike(english, _sound(list(EspeakSynthesizer().synthesize("Haus und Garten", "en")))) > 0.9
    assert alike(english, german) < 0.8
    assert list(EspeakSynthesizer(voice="en-us+f3").synthesize("Yes", "en"))
    for code in ("zh", "zh-CN", "zh-TW", "pt", "pt-BR", "no", "iw", "uk", "en_GB", "fr", "es", "sr"):
        assert list(EspeakSynthesizer().synthesize("1", code))
    with pytest.raises(UnspokenError, match="PARLEY_TTS"):
        list(EspeakSynthesizer().synthesize("kumusta", "tlh"))


def test_espeak_speaks_every_language_that_it_names(capfd: pytest.CaptureFixture[str]) -> None:
    voice = EspeakSynthesizer()
    codes = {spoken.language for spoken in _library().voices.values()}
    assert {"en-us", "de", "fr-fr", "cmn", "ja", "ru", "ar", "hi"} <= codes
    assert [code for code in sorted(codes) if not list(voice.synthesize("12 ama ама", code))] == []
    assert capfd.readouterr().err == ""  # the library complains there of a dictionary that is missing


def test_espeak_says_that_it_reads_no_kanji() -> None:
    notices: list[str] = []
    list(EspeakSynthesizer(on_notice=notices.append).synthesize("博物館です。閉館です。", "ja"))
    assert len(notices) == 1
    assert "kanji" in notices[0]
    assert len(_notices(EspeakSynthesizer().synthesize("閉館です。", "ja"))) == 1


def test_espeak_is_not_upset_by_odd_characters() -> None:
    for text in ("a\0b", "\ud800 yes", "", "\n", "👍", "[[h@'loU]] <speak>yes"):
        list(EspeakSynthesizer().synthesize(text))


def test_espeak_speaks_a_long_text_in_parts() -> None:
    begun = time.perf_counter()
    chunks = EspeakSynthesizer().synthesize("This is a sentence of some words. " * 3000)
    assert next(chunks).text == "This is a sentence of some words."
    assert time.perf_counter() - begun < 2
    chunks.close()  # type: ignore[attr-defined]


def test_espeak_finds_its_data_behind_a_long_path(tmp_path: Path) -> None:
    import shutil
    import subprocess

    import espeakng_loader

    data = tmp_path / ("a" * 100) / ("b" * 100) / "espeak-ng-data"
    data.parent.mkdir(parents=True)
    shutil.copytree(espeakng_loader.get_data_path(), data)
    code = (
        "import espeakng_loader, sys\n"
        f"espeakng_loader.get_data_path = lambda: {str(data)!r}\n"
        "from speech.tts_espeak import EspeakSynthesizer\n"
        "print(len(list(EspeakSynthesizer().synthesize('Hello there'))))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(found.stdout) > 1


# --- gTTS


def test_gtts_asks_in_the_language_and_in_parts_of_a_hundred_characters() -> None:
    with serving(_google) as server:
        voice = GttsSynthesizer(address=server.address)
        chunks = voice.synthesize("These are several words that go on, " * 5, "he")
        next(chunks)
        assert len(server.bodies) == 1  # the first part plays before the second is asked for
        list(chunks)
    asked = [urllib.parse.unquote(body.decode()) for body in server.bodies]
    assert len(asked) > 1
    assert all('\\"iw\\"' in body for body in asked)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("pt-BR", "pt"),
        ("pt-PT", "pt-PT"),
        ("zh", "zh-CN"),
        ("zh-TW", "zh-TW"),
        ("nb", "no"),
    ],
)
def test_gtts_codes(language: str, code: str) -> None:
    assert GttsSynthesizer()._code(language) == code


def test_gtts_does_not_know_every_language() -> None:
    with pytest.raises(UnspokenError):
        list(GttsSynthesizer(address="http://127.0.0.1:9").synthesize("Saluton", "eo"))


def test_gtts_changes_its_pace() -> None:
    with serving(_google) as server:
        plain, fast = (
            len(_sound(list(GttsSynthesizer(address=server.address, speed=speed).synthesize(TEXT))))
            for speed in (1, 2)
        )
    assert 1.5 < (plain - PAUSE * RATE) / (fast - PAUSE * RATE) < 2.5


def _refuses(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    send(handler, b"", status=429)


def _garbage(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    send(handler, google(b"this is no MP3 at all" * 20))


def _other(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    send(handler, b"<html>consent</html>")


@pytest.mark.parametrize("reply", [hangs, drips, _refuses, _garbage, _other])
def test_a_gtts_that_fails_is_spoken_by_espeak_at_once(reply: object) -> None:
    notices: list[str] = []
    with serving(reply) as server:  # type: ignore[arg-type]
        engine = GttsSynthesizer(address=server.address, budget=0.4)
        voice = WithStandby(engine, EspeakSynthesizer(), on_notice=notices.append)
        begun = time.monotonic()
        sound = _sound(list(voice.synthesize(TEXT)))
        assert time.monotonic() - begun < 2.0
        list(voice.synthesize(TEXT))
        assert len(server.bodies) == 1  # it is not asked again
    assert alike(sound, _sound(list(EspeakSynthesizer().synthesize(TEXT)))) > 0.9
    assert len(notices) == 1
    assert "gTTS" in notices[0]
    assert "espeak-ng" in notices[0]
    assert TEXT not in notices[0]
    assert voice.active == "espeak-ng"


def test_the_engine_is_tried_again_after_its_rest() -> None:
    now = [0.0]
    replies = [_refuses, _google]
    with serving(lambda handler, body: replies[len(server.bodies) - 1](handler, body)) as server:
        gtts = GttsSynthesizer(address=server.address)
        outage = Outage(clock=lambda: now[0])
        voice = WithStandby(gtts, EspeakSynthesizer(), outage=outage)
        list(voice.synthesize(TEXT))
        assert voice.why == "gTTS answered with status 429. espeak-ng speaks for now."
        now[0] = REST_SECONDS - 0.1
        list(voice.synthesize(TEXT))
        assert (len(server.bodies), voice.active) == (1, "espeak-ng")
        now[0] = REST_SECONDS + 0.1
        assert voice.active == "espeak-ng"  # the other one is still to show that it speaks
        list(voice.synthesize(TEXT))
        assert len(server.bodies) == 2
        assert (voice.active, voice.why) == ("gtts", "")


def test_the_voices_of_one_engine_rest_together() -> None:
    outage = Outage()
    with serving(_refuses) as server:
        voices = [
            WithStandby(
                GttsSynthesizer(address=server.address, speed=speed), EspeakSynthesizer(), outage=outage
            )
            for speed in (1.0, 1.5)
        ]
        assert voices[1].active == "gtts"
        list(voices[0].synthesize(TEXT))
        assert voices[1].active == "espeak-ng"
        list(voices[1].synthesize(TEXT))
        assert len(server.bodies) == 1


def test_a_language_that_an_engine_lacks_does_not_rest_it() -> None:
    notices: list[str] = []
    voice = WithStandby(
        GttsSynthesizer(address="http://127.0.0.1:9"), EspeakSynthesizer(), on_notice=notices.append
    )
    assert list(voice.synthesize("Saluton", "eo"))
    assert voice.active == "gtts"
    assert "Esperanto" in notices[0]


def test_offline_nothing_leaves_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    notices: list[str] = []
    for name in ("auto", "gtts"):
        assert list(open_synthesizer(name, offline=True, on_notice=notices.append).synthesize(TEXT))
    assert len(notices) == 1
    assert "PARLEY_OFFLINE" in notices[0]


# --- the other two


def test_the_speech_server_is_told_everything_and_its_sound_comes_as_a_stream() -> None:
    half = threading.Event()

    def reply(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        sound = to_int16(tone(3.0)).astype("<i2").tobytes()
        handler.send_response(200)
        handler.send_header("Content-Type", "audio/pcm")
        handler.end_headers()
        handler.wfile.write(sound[: len(sound) // 2])
        handler.wfile.flush()
        assert half.wait(10)
        handler.wfile.write(sound[len(sound) // 2 :])

    with serving(reply) as server:
        voice = OpenAISynthesizer(server.address, key="secret", model="kokoro", voice="af_heart", speed=1.5)
        chunks = voice.synthesize(TEXT)
        next(chunks)  # before the server has sent the rest
        half.set()
        assert len(_sound(list(chunks))) > 2 * RATE
    asked = json.loads(server.bodies[0])
    assert (asked["model"], asked["voice"], asked["speed"], asked["input"]) == (
        "kokoro",
        "af_heart",
        1.5,
        TEXT,
    )
    assert "secret" not in repr(voice)


def test_a_speech_server_may_send_a_whole_file() -> None:
    with serving(
        lambda handler, _: send(handler, wav_bytes(tone(1.0, 16_000), 16_000), "audio/wav")
    ) as server:
        assert 0.9 < len(_sound(list(OpenAISynthesizer(server.address).synthesize(TEXT)))) / RATE < 1.5


@pytest.mark.parametrize(("status", "said"), [(401, "PARLEY_TTS_KEY"), (404, "PARLEY_TTS_URL"), (500, "500")])
def test_a_speech_server_that_refuses(status: int, said: str) -> None:
    with (
        serving(lambda handler, _: send(handler, b"", status=status)) as server,
        pytest.raises(SynthesisError, match=said),
    ):
        list(OpenAISynthesizer(server.address).synthesize(TEXT))


def test_a_speech_server_that_hangs_or_is_gone() -> None:
    with serving(hangs) as server, pytest.raises(SynthesisError, match="cannot be reached"):
        list(OpenAISynthesizer(server.address, timeout=0.2).synthesize(TEXT))
    with pytest.raises(SynthesisError, match="cannot be reached"):
        list(OpenAISynthesizer(server.address).synthesize(TEXT))


@pytest.mark.usefixtures("kokoro_package")
@pytest.mark.parametrize(
    ("offline", "how"), [(True, "Start once without PARLEY_OFFLINE"), (False, "Connect to the network once")]
)
def test_kokoro_without_its_files_says_how_to_get_them(
    offline: bool, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", missing)
    _model.cache_clear()
    with pytest.raises(SynthesisError, match=how):
        KokoroSynthesizer(offline=offline)


@pytest.mark.usefixtures("kokoro_package")
def test_kokoro_takes_a_voice_of_the_language() -> None:
    notices: list[str] = []
    voice = KokoroSynthesizer(voice="bf_emma", speed=1.2, on_notice=notices.append)
    for code in ("en-GB", "en", "fr"):
        list(voice.synthesize(TEXT, code))
    spoken = [(letter, Path(path).stem, speed) for letter, path, speed in fake_kokoro.KPipeline.spoken]
    assert spoken == [("b", "bf_emma", 1.2), ("b", "bf_emma", 1.2), ("f", "ff_siwis", 1.2)]
    assert len(notices) == 1
    with pytest.raises(UnspokenError):
        list(voice.synthesize(TEXT, "de"))


@pytest.mark.usefixtures("kokoro_package")
def test_a_kokoro_that_fails_is_spoken_by_espeak() -> None:
    notices: list[str] = []
    voice = open_synthesizer("kokoro", on_notice=notices.append)
    assert list(voice.synthesize("boom", "en"))
    assert "Kokoro failed" in notices[0]


# --- the last hand


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


class Breaks:
    """Stops in the middle of a loud sound."""

    name = "breaks"

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        yield from polish(self._sound(), text)

    def _sound(self) -> Iterator[tuple[Samples, int]]:
        yield np.sin(np.arange(RATE) / 20 + 0.5).astype(np.float32), RATE
        raise SynthesisError("It broke.")


def test_a_hand_over_inside_a_sentence_does_not_click() -> None:
    voice = WithStandby(Breaks(), EspeakSynthesizer())
    chunks = list(voice.synthesize(TEXT))
    assert largest_jump(chunks) < 0.1
    begun = next(at for at, chunk in enumerate(chunks) if chunk.notice)
    assert chunks[begun].notice == "It broke. espeak-ng speaks for now."
    assert chunks[begun - 1].samples[-1] == 0
    sounds = [_sound(chunks[:begun]), _sound(chunks[begun:])]
    assert len(sounds[0]) > 0.9 * RATE
    levels = [float(np.sqrt(np.mean(sound[np.abs(sound) > 0.005] ** 2))) for sound in sounds]
    assert levels[0] == pytest.approx(levels[1], rel=0.15)


@pytest.mark.usefixtures("kokoro_package")
def test_a_listener_that_takes_its_time_holds_up_nobody_else() -> None:
    voice = KokoroSynthesizer()
    slow = voice.synthesize(TEXT)
    next(slow)
    done = threading.Thread(target=lambda: list(voice.synthesize(TEXT)), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()


def test_stretching_keeps_the_pitch() -> None:
    fast = stretched(tone(2.0), RATE, 1.5)
    assert len(fast) == pytest.approx(len(tone(2.0)) / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast))
    assert np.argmax(spectrum) * RATE / len(fast) == pytest.approx(180, abs=8)
