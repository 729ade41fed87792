"""Recordings to text and text to speech over OpenAI's API, with a real espeak-ng and a real PocketSphinx."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from speech.asr import Documents, Stopped, Transcriber, Transcript, open_transcriber
from speech.audio import RATE, Samples, decode, from_int16, wav_bytes
from speech.encode import FORMATS
from speech.tts import open_synthesizer
from speech.turn import Speaker
from tests.browser.serving import serve
from tests.speech.speaking import spoken
from tests.ui.api_client import KEY, curl, official
from tests.ui.scripted import Script, Tone, served
from ui.services import SpeakRequest
from ui.web import build_ui

SENTENCE = "The printing press was invented in the middle of the fifteenth century."
WORDS = set(SENTENCE.lower().strip(".").split())


class Voices:
    """What the server speaks and hears with; `slow` hums for minutes, and `hear` may be replaced."""

    def __init__(self, recogniser: Transcriber) -> None:
        self._recogniser = recogniser
        self.requests: list[SpeakRequest] = []
        self.speakers: list[Speaker] = []
        self.slow = False
        self.hear: Callable[[Samples, str | None, Callable[[], bool]], Transcript] = self._hear

    def _hear(self, samples: Samples, language: str | None, stop: Callable[[], bool]) -> Transcript:
        return self._recogniser.transcribe(samples, language, None, stop)

    def speak(self, request: SpeakRequest) -> Speaker:
        self.requests.append(request)
        voice = Tone() if self.slow else open_synthesizer("espeak-ng", speed=request.speed)
        self.speakers.append(Speaker(voice, on_notice=request.on_notice))
        return self.speakers[-1]


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Voices:
    documents = Documents(lambda: [SENTENCE], lambda: "1", tmp_path_factory.mktemp("words"))
    return Voices(open_transcriber("pocketsphinx", documents=documents))


@pytest.fixture(scope="module")
def url(voices: Voices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = Script(tmp_path_factory.mktemp("data"))
    services = served(script, speak=voices.speak, hear=lambda *given: voices.hear(*given), api_key=KEY)
    with serve(build_ui(services)) as url:
        yield f"{url}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with official(url) as client:
        yield client


def say(client: openai.OpenAI, **given: Any) -> bytes:
    wanted = {"model": "tts-1", "voice": "alloy", "input": SENTENCE} | given
    return client.audio.speech.create(**wanted).read()


def understood(text: str) -> float:
    return len(WORDS & set(text.lower().strip(".").split())) / len(WORDS)


@pytest.mark.parametrize("form", ["mp3", "wav", "opus"])
def test_what_is_spoken_is_understood(client: openai.OpenAI, form: str) -> None:
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=(f"speech.{form}", say(client, response_format=form)), language="en"
    )
    assert understood(heard.text) >= 0.4  # espeak-ng is harder to understand than a person


def test_every_format_is_as_long_as_the_others(client: openai.OpenAI) -> None:
    lengths = {}
    for form in FORMATS:
        data = say(client, response_format=form)
        if form == "pcm":
            data = wav_bytes(from_int16(np.frombuffer(data, "<i2")), 24_000)
        lengths[form] = len(decode(data)) / RATE
    assert lengths["pcm"] == pytest.approx(lengths["wav"], abs=0.1)
    assert lengths == pytest.approx(dict.fromkeys(FORMATS, lengths["wav"]), abs=0.1)
    assert 3 < lengths["wav"] < 10


def test_speed_and_voice_are_passed_on(client: openai.OpenAI, voices: Voices) -> None:
    usual = decode(say(client, response_format="wav"))
    fast = decode(say(client, response_format="wav", speed=1.8, voice="b"))
    assert len(fast) < 0.75 * len(usual)
    assert [(request.voice, request.speed) for request in voices.requests[-2:]] == [("", 1.0), ("b", 1.8)]


def test_speech_comes_while_it_is_made(client: openai.OpenAI, voices: Voices) -> None:
    voices.slow = True
    try:
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="A long text. " * 300, response_format="pcm"
        ) as response:
            assert response.headers["content-type"] == "audio/pcm"
            first = next(response.iter_bytes(4096))
            assert any(first)
            assert not voices.speakers[-1].wait(0)
    finally:
        voices.slow = False
    assert voices.speakers[-1].wait(10)
    assert voices.speakers[-1].stopped


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({"voice": "nobody"}, 400, "no voice 'nobody'. Choose one of: default, b"),
        ({"response_format": "midi"}, 400, "'midi' is not here. Choose one of: mp3, opus"),
        ({"model": "gpt-9"}, 404, "'gpt-9' does not exist here. Use tts-1"),
        ({"speed": 3.5}, 400, "speed: .*less than or equal to 2"),
        ({"input": ""}, 400, "input"),
        ({"input": "word " * 1000}, 400, "input: .*at most 4096"),
        ({"input": "…"}, 400, "nothing in this text to say"),
        ({"stream_format": "sse"}, 400, "stream_format"),
    ],
)
def test_speech_that_cannot_be(
    client: openai.OpenAI, given: dict[str, Any], status: int, message: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        say(client, **given)
    assert caught.value.status_code == status


def test_the_shapes_of_a_transcript(client: openai.OpenAI, url: str, tmp_path: Path) -> None:
    recording = wav_bytes(spoken(SENTENCE), RATE)
    verbose = client.audio.transcriptions.create(
        model="parley", file=("a.wav", recording), response_format="verbose_json"
    )
    assert understood(verbose.text) >= 0.4
    assert (verbose.language, verbose.segments) == ("en", None)
    assert verbose.duration == pytest.approx(len(spoken(SENTENCE)) / RATE, abs=0.01)
    assert (verbose.model_extra or {})["parley"]["engine"] == "pocketsphinx"
    path = tmp_path / "a.wav"
    path.write_bytes(recording)
    fields = ("-F", f"file=@{path}", "-F", "model=whisper-1", "-F", "response_format=text")
    status, text = curl(f"{url}/audio/transcriptions", "-H", f"Authorization: Bearer {KEY}", *fields)
    assert (status, text.strip()) == (200, verbose.text)


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({"file": ("a.wav", b"no sound at all")}, 400, "not a recording that can be read"),
        ({"file": ("a.wav", b"")}, 400, "empty"),
        ({"model": "gpt-9"}, 404, "Use whisper-1"),
        ({"response_format": "srt"}, 400, "'srt' is not here. Choose one of: json, text, verbose_json"),
        ({"stream": True}, 400, "not streamed"),
        ({"timestamp_granularities": ["word"], "response_format": "verbose_json"}, 400, "no time stamps"),
        ({"language": "de"}, 500, "PocketSphinx knows English only"),
    ],
)
def test_recordings_that_cannot_be_written_down(
    client: openai.OpenAI, given: dict[str, Any], status: int, message: str
) -> None:
    wanted = {"model": "whisper-1", "file": ("a.wav", wav_bytes(spoken(SENTENCE), RATE))} | given
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        client.audio.transcriptions.create(**wanted)
    assert caught.value.status_code == status


def test_bodies_that_are_no_forms(url: str) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    for headers, body in (
        ({"content-type": "application/json"}, b"{}"),
        ({"content-type": "multipart/form-data"}, b"x"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"nonsense"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b--\r\n"),
    ):
        answer = httpx.post(f"{url}/audio/transcriptions", headers=key | headers, content=body)
        assert answer.status_code in {400, 404}, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_recording_that_is_too_large_is_refused(url: str) -> None:
    address = httpx.URL(url)
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = ""
        while "larger" not in answer and (piece := connection.recv(65536)):  # it may come in two
            answer += piece.decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "larger than 64 MB" in answer


def test_a_client_that_leaves_ends_the_transcription(url: str, voices: Voices) -> None:
    begun, ended = threading.Event(), threading.Event()

    def hear(samples: Samples, language: str | None, stop: Callable[[], bool]) -> Transcript:
        begun.set()
        while not stop():
            time.sleep(0.01)
        ended.set()
        raise Stopped

    voices.hear, usual = hear, voices.hear
    request = httpx.Request(
        "POST",
        f"{url}/audio/transcriptions",
        headers={"authorization": f"Bearer {KEY}"},
        data={"model": "whisper-1"},
        files={"file": ("a.wav", wav_bytes(spoken(SENTENCE), RATE))},
    )
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(["POST /v1/audio/transcriptions HTTP/1.1", *lines, "", ""])
    try:
        with socket.create_connection((request.url.host, request.url.port or 80), timeout=10) as connection:
            connection.sendall(head.encode() + request.read())
            assert begun.wait(10)
        assert ended.wait(5)
    finally:
        voices.hear = usual


def test_a_voice_that_fails_is_told(tmp_path: Path) -> None:
    class Mute:
        name = "mute"

        def synthesize(self, text: str, language: str = "en") -> Iterator[Any]:
            from speech.tts import SynthesisError

            raise SynthesisError("The voice is gone. Choose another one.")

    def speak(request: SpeakRequest) -> Speaker:
        return Speaker(Mute(), on_notice=request.on_notice)

    with serve(build_ui(served(Script(tmp_path), speak=speak))) as url:
        body = json.dumps({"model": "tts-1", "voice": "alloy", "input": "Hello."}).encode()
        status, answer = curl(f"{url}/v1/audio/speech", "--data-binary", "@-", body=body)
    assert status == 500
    assert "The voice is gone. Choose another one." in answer["error"]["message"]
