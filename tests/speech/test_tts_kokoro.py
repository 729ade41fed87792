"""Kokoro, with a small package in its place."""

from __future__ import annotations

import threading
from pathlib import Path

import huggingface_hub
import pytest

from speech.tts import SynthesisError, UnspokenError, open_synthesizer
from speech.tts_kokoro import KokoroSynthesizer, _model
from tests.speech import fake_kokoro

TEXT = "The museum closes at six."


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


@pytest.mark.usefixtures("kokoro_package")
def test_a_listener_that_takes_its_time_holds_up_nobody_else() -> None:
    voice = KokoroSynthesizer()
    slow = voice.synthesize(TEXT)
    next(slow)
    done = threading.Thread(target=lambda: list(voice.synthesize(TEXT)), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()
