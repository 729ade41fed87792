"""An OpenAI-compatible speech server: POST /audio/speech, streamed as raw samples where the server can.

Which language a voice speaks, only its name can tell, where it is named as Kokoro's or Piper's are; of others
it is said that it is not known. It does not know what speaks when the server fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from speech.audio import AudioChunk, AudioError, Samples, decode, from_int16
from speech.language import language_name
from speech.polish import RATE, polish
from speech.tts import SynthesisError, UnspokenError, base_language, noticed

CONNECT, FIRST = 2.0, 10.0  # seconds to connect, and until the next bytes
_LARGEST = 100_000_000  # bytes
_KOKORO_VOICE = re.compile(r"([abefhijpz])[fm]_\w+\Z")
_KOKORO = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
_PIPER_VOICE = re.compile(r"([a-z]{2,3})_[A-Z]{2}-\w+")


class OpenAISynthesizer:
    """Speaks with a server of the OpenAI kind (Kokoro-FastAPI, Speaches). Safe to use from many threads.

    Args:
        url: the server's base address, with its /v1.
        key: sent as a bearer token.
        model, voice: as the server names them.
        speed: 0.5 to 2, passed on.
    """

    name = "openai"
    slow = True

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        model: str = "tts-1",
        voice: str | None = None,
        speed: float = 1.0,
        timeout: float = FIRST,
    ) -> None:
        import httpx

        self._httpx = httpx
        self._url = url.rstrip("/") + "/audio/speech"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(timeout, connect=CONNECT))
        self._model, self._voice, self._speed = model, voice or "alloy", speed

    def __repr__(self) -> str:
        return f"OpenAISynthesizer(url={self._url!r}, key=***, model={self._model!r})"

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        """`text` in chunks, as the server sends them; it is not told the language, but guesses it itself."""
        yield from noticed(self._stream(text), self._notice(language))

    def _notice(self, language: str) -> str:
        """What is to be said of the voice. Raises `UnspokenError` if it is another language's."""
        wanted, spoken = base_language(language), _language_of(self._voice)
        if spoken == wanted or (spoken is None and wanted == "en"):
            return ""
        if spoken is not None:
            raise UnspokenError(
                f"The speech server's voice {self._voice} does not speak {language_name(language)}."
            )
        name = language_name(language)
        return f"Whether the speech server's voice {self._voice} speaks {name} is not known; it reads it."

    def _stream(self, text: str) -> Iterator[AudioChunk]:
        body = {
            "model": self._model,
            "voice": self._voice,
            "input": text,
            "speed": self._speed,
            "response_format": "pcm",
        }
        try:
            with self._client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    raise SynthesisError(_refused(response.status_code))
                yield from polish(self._sound(response), text)
        except self._httpx.HTTPError as error:
            raise SynthesisError(
                f"The speech server cannot be reached ({type(error).__name__}). Check PARLEY_TTS_URL."
            ) from error

    def _sound(self, response: Any) -> Iterator[tuple[Samples, int]]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("audio/pcm", "audio/l16", "application/octet-stream", "audio/raw", ""):
            yield from _pcm(response.iter_bytes())
            return
        try:  # a server without "pcm" sends a whole file
            yield decode(b"".join(_bounded(response.iter_bytes())), RATE), RATE
        except AudioError as error:
            raise SynthesisError(f"The speech server sent {kind}, which is no sound.") from error


def _language_of(voice: str) -> str | None:
    """The language that a voice's name tells; None if it tells none."""
    if kokoro := _KOKORO_VOICE.match(voice):
        return _KOKORO[kokoro.group(1)]
    piper = _PIPER_VOICE.match(voice)
    return piper.group(1) if piper else None


def _pcm(pieces: Iterator[bytes]) -> Iterator[tuple[Samples, int]]:
    """16-bit little-endian samples at 24 kHz; a sample may be torn between two pieces."""
    rest = b""
    for piece in _bounded(pieces):
        whole = rest + piece
        rest = whole[len(whole) & ~1 :]
        if len(whole) > 1:
            yield from_int16(np.frombuffer(whole[: len(whole) & ~1], "<i2")), RATE


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > _LARGEST:
            raise SynthesisError("The speech server sent more than any speech needs.")
        yield piece
    if not count:
        raise SynthesisError("The speech server sent no sound.")


def _refused(status: int) -> str:
    remedy = {
        401: "Set PARLEY_TTS_KEY to a valid key.",
        403: "Set PARLEY_TTS_KEY to a valid key.",
        404: "Check PARLEY_TTS_URL; it usually ends in /v1.",
        429: "Wait a little, it has too much to do.",
    }
    then = remedy.get(status, "Check its model and voice names.")
    return f"The speech server answered with status {status}. {then}"
