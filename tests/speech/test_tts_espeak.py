"""espeak-ng: its pace, its voices and languages, and texts that are none."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from speech.language import _COMMON
from speech.tts import UnspokenError
from speech.tts_espeak import EspeakSynthesizer, _library
from tests.speech.compare import alike
from tests.speech.compare import sound as _sound

TEXT = "The museum closes at six."


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
    chunks = EspeakSynthesizer().synthesize("閉館です。", "ja")
    assert sum(bool(chunk.notice) for chunk in chunks) == 1


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


def test_the_language_of_every_common_voice_is_its_own() -> None:
    spoken = {voice.identifier: voice.language for voice in _library().voices.values()}
    voice = EspeakSynthesizer()
    own = {code: spoken[voice._voice_for(code)[0]].lower().partition("-")[0] for code in _COMMON}
    assert {code: other for code, other in own.items() if other != code} == {"no": "nb", "zh": "cmn"}
