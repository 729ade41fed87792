"""A voice of a server that speaks as OpenAI's does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from speech.audio import to_int16, wav_bytes
from speech.polish import RATE
from speech.tts import SynthesisError
from speech.tts_openai import OpenAISynthesizer
from tests.speech.compare import sound as _sound
from tests.speech.servers import hangs, send, serving, tone

pytestmark = pytest.mark.usefixtures("loopback")
TEXT = "The museum closes at six."


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
