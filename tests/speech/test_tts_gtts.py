"""gTTS: what it asks Google for."""

from __future__ import annotations

import urllib.parse

import pytest

from speech.polish import PAUSE, RATE
from speech.tts import UnspokenError
from speech.tts_gtts import GttsSynthesizer
from tests.speech.compare import sound as _sound
from tests.speech.servers import google_voice, serving

pytestmark = pytest.mark.usefixtures("loopback")
TEXT = "The museum closes at six."


def test_gtts_asks_in_the_language_and_in_parts_of_a_hundred_characters() -> None:
    with serving(google_voice) as server:
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
    with serving(google_voice) as server:
        plain, fast = (
            len(_sound(list(GttsSynthesizer(address=server.address, speed=speed).synthesize(TEXT))))
            for speed in (1, 2)
        )
    assert 1.5 < (plain - PAUSE * RATE) / (fast - PAUSE * RATE) < 2.5
