"""Recordings to text and text to speech, as OpenAI's API has them. It knows neither recogniser nor voice."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import anyio
from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from speech.audio import RATE, AudioError, decode
from speech.encode import FORMATS, open_encoder
from ui.openai_errors import ApiError
from ui.openai_io import ClientLeft, Closing, known, read_json
from ui.services import Services, Speaker, SpeakRequest, Transcript
from ui.voice import LONGEST_RECORDING, MAX_RECORDING, watched
from ui.web_io import pieces, read_body

HEARING, SPEAKING = "whisper-1", "tts-1"  # names that clients have built in; the engine is a setting
AT_ONCE = 4  # recordings that are written down at the same time
SPOKEN = 16  # pieces of sound; they wait for a voice in threads of their own, and not in the page's
MAX_SPEECH = 64 << 10  # bytes of a request to speak
MAX_INPUT = 4096  # characters that are spoken
SPEEDS = (0.5, 2.0)
_SPEAKING_NAMES = (SPEAKING, "tts-1-hd", "gpt-4o-mini-tts", "parley")
_HEARING_NAMES = (HEARING, "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "parley")
_OPENAI_VOICES = {
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage"),
    *("shimmer", "verse", "default"),
}
_TEXT_FORMATS = ("json", "text", "verbose_json")


class SpeechRequest(BaseModel):
    """What is read of a request's body; the rest, such as instructions, is passed over."""

    input: str = Field(min_length=1, max_length=MAX_INPUT)
    model: str
    voice: str | dict[str, Any] = "default"
    response_format: str = "mp3"
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1])
    stream_format: str = "audio"


class Audio:
    """The two routes; nothing in it belongs to one client."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._spoken: anyio.CapacityLimiter | None = None
        self._at_once: anyio.CapacityLimiter | None = None  # made where a loop runs

    # Recordings

    async def transcribe(self, request: Request) -> Response:
        form = await _form(request)
        try:
            recording, language, shape = await _recording(form)
        finally:
            await form.close()  # which deletes the file
        gone = threading.Event()
        try:
            async with watched(request, gone):
                transcript, seconds = await self._write_down(recording, language, gone)
        except AudioError as error:
            raise ApiError(str(error), param="file") from error
        except Exception:
            if gone.is_set():
                raise ClientLeft from None
            raise
        return _written(transcript, seconds, shape)

    async def _write_down(
        self, recording: bytes, language: str | None, gone: threading.Event
    ) -> tuple[Transcript, float]:
        """What is said, and how many seconds the recording has."""

        def work() -> tuple[Transcript, float]:
            samples = decode(recording, max_seconds=LONGEST_RECORDING)
            return self._services.hear(samples, language, gone.is_set), len(samples) / RATE

        self._at_once = self._at_once or anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(work, limiter=self._at_once)

    # Speech

    async def speak(self, request: Request) -> Response:
        wanted = _speech_request(await read_body(request, MAX_SPEECH, "The request", "Send less text."))
        voice = self._voice(wanted.voice)
        notices: list[str] = []
        wish = SpeakRequest(voice, wanted.speed, wanted.input, notices.append)
        self._spoken = self._spoken or anyio.CapacityLimiter(SPOKEN)
        speaker = await anyio.to_thread.run_sync(self._services.speak, wish, limiter=self._spoken)
        sound = _in_a_thread(_encoded(speaker, wanted), self._spoken)
        try:
            first = await anext(sound, b"")
        except BaseException:
            speaker.stop()
            raise
        if not first:
            raise _silent(notices)
        headers = {"X-Parley-Notice": quote(" ".join(notices), safe=" ,.;:'()")} if notices else {}
        media_type = FORMATS[wanted.response_format].media_type
        return Closing(_from(first, sound), speaker.stop, media_type=media_type, headers=headers)

    def _voice(self, wanted: str | dict[str, Any]) -> str:
        """The name of a voice here; OpenAI's names all mean the one that is set. Raises ApiError."""
        name = str(wanted.get("id", "")) if isinstance(wanted, dict) else wanted
        if not name or name in _OPENAI_VOICES:
            return ""
        voices = ["default", *filter(None, (voice.name for voice in self._services.voices()))]
        if name not in voices:
            raise ApiError(f"There is no voice {name!r}. Choose one of: {', '.join(voices)}.", param="voice")
        return name


async def _form(request: Request) -> FormData:
    """The fields of a multipart body. Raises ApiError, and UiError for one that is too large."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError("Send the recording as multipart/form-data, in the field file.", param="file")
    body = pieces(request, MAX_RECORDING, "The recording", "Send a shorter one.")
    try:
        return await MultiPartParser(
            request.headers, _generated(body), max_files=1, max_fields=20, max_part_size=64 << 10
        ).parse()
    except (MultiPartException, KeyError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it has no boundary"
        raise ApiError(f"The request's body cannot be read: {reason.rstrip('.')}. Send it again.") from error


async def _generated(body: AsyncIterator[bytes]) -> Any:
    async for piece in body:
        yield piece


async def _recording(form: FormData) -> tuple[bytes, str | None, str]:
    """The recording, its language if that is said, and the shape of the answer. Raises ApiError."""
    known(_text(form, "model"), *_HEARING_NAMES)
    shape = _text(form, "response_format") or "json"
    if shape not in _TEXT_FORMATS:
        raise ApiError(
            f"response_format {shape!r} is not here. Choose one of: {', '.join(_TEXT_FORMATS)}.",
            param="response_format",
        )
    if _text(form, "stream").lower() in {"true", "1"}:
        raise ApiError("A transcript is not streamed. Leave stream out.", param="stream")
    if any(name.startswith("timestamp_granularities") for name in form):
        raise ApiError("There are no time stamps. Leave this out.", param="timestamp_granularities")
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ApiError("The recording is missing. Send it in the field file.", param="file")
    return await file.read(), _text(form, "language") or None, shape


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _written(transcript: Transcript, seconds: float, shape: str) -> Response:
    if shape == "text":
        return PlainTextResponse(transcript.text + "\n")
    said: dict[str, Any] = {"text": transcript.text}
    if shape == "verbose_json":
        said |= {"task": "transcribe", "language": transcript.language or "", "duration": round(seconds, 3)}
    usage = {"type": "duration", "seconds": round(seconds, 3)}
    return JSONResponse(said | {"usage": usage, "parley": {"engine": transcript.engine}})


def _speech_request(body: bytes) -> SpeechRequest:
    wanted = read_json(SpeechRequest, body)
    known(wanted.model, *_SPEAKING_NAMES)
    if wanted.response_format not in FORMATS:
        raise ApiError(
            f"response_format {wanted.response_format!r} is not here. Choose one of: {', '.join(FORMATS)}.",
            param="response_format",
        )
    if wanted.stream_format != "audio":
        raise ApiError("Sound is streamed as it is. Set stream_format to audio.", param="stream_format")
    return wanted


def _encoded(speaker: Speaker, wanted: SpeechRequest) -> Iterator[bytes]:
    """The text's sound as the bytes of a file, as it is spoken; nothing where nothing could be said."""
    speaker.feed(wanted.input)
    speaker.finish()
    encoder = None
    for chunk in speaker:
        encoder = encoder or open_encoder(wanted.response_format, chunk.rate)
        yield encoder.encode(chunk.samples)
    if encoder is not None:
        yield encoder.finish()


async def _in_a_thread(sound: Iterator[bytes], limiter: anyio.CapacityLimiter) -> AsyncIterator[bytes]:
    """The pieces that are not empty, each made in a thread while the one before is sent."""
    following = functools.partial(next, sound, None)
    while (piece := await anyio.to_thread.run_sync(following, limiter=limiter)) is not None:
        if piece:
            yield piece


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _silent(notices: list[str]) -> ApiError:
    """Why nothing was said."""
    if notices:
        return ApiError(" ".join(notices), status=500)
    return ApiError("There is nothing in this text to say.", param="input")
