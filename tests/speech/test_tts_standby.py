"""When a voice fails, and another one speaks in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from speech.audio import AudioChunk, Samples
from speech.measure import largest_jump
from speech.polish import RATE, polish
from speech.tts import REST_SECONDS, Outage, SynthesisError, WithStandby, open_synthesizer
from speech.tts_espeak import EspeakSynthesizer
from speech.tts_gtts import GttsSynthesizer
from tests.speech.compare import alike
from tests.speech.compare import sound as _sound
from tests.speech.servers import drips, google, google_voice, hangs, send, serving

pytestmark = pytest.mark.usefixtures("loopback")
TEXT = "The museum closes at six."


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
    replies = [_refuses, google_voice]
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
