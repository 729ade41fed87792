"""gTTS: the voice of Google Translate, over the network.

The text goes to Google. gTTS (the package) prepares the requests; they are sent here, because its own
sender neither checks the server's certificate nor bounds the time of a call: a server that drips would hold
the voice for ever. It does not know what speaks when it fails.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from speech.audio import AudioChunk, AudioError, Samples, decode
from speech.language import language_name
from speech.polish import PAUSE, RATE, polish, stretched
from speech.tts import SynthesisError, UnspokenError, base_language, noticed

ADDRESS = "https://translate.google.com/_/TranslateWebserverUi/data/batchexecute"
BUDGET = 2.0  # seconds for a request, from the first byte sent to the last received
_LARGEST = 4_000_000  # bytes; a hundred characters take some 60 kB
_INSIDE = 0.06  # seconds of pause between the parts that a long sentence is sent in
_CODES = {
    "he": "iw",
    "jv": "jw",
    "nb": "no",
    "nn": "no",
    "fil": "tl",
    "zh": "zh-CN",
    "cmn": "zh-CN",
    "in": "id",
}
_REGIONS = {"zh-tw": "zh-TW", "zh-hk": "yue", "zh-hant": "zh-TW", "pt-pt": "pt-PT", "fr-ca": "fr-CA"}
_AUDIO = re.compile(rb'\[\\"([A-Za-z0-9+/=\\]+)\\"\]')

logging.getLogger("gtts").setLevel(logging.WARNING)  # at DEBUG it logs the text that is spoken


class GttsSynthesizer:
    """Speaks with Google Translate's voices. Safe to use from many threads.

    Args:
        voice: a language or region whose accent is wanted ("pt-PT"), used for answers in its language.
        speed: 0.5 to 2; the service has one pace, which is stretched.
        address, budget: where the service is and how many seconds a request may take.
    """

    name = "gtts"
    slow = True

    def __init__(
        self,
        *,
        voice: str | None = None,
        speed: float = 1.0,
        address: str = ADDRESS,
        budget: float = BUDGET,
    ) -> None:
        try:
            import gtts
            import requests
        except ImportError as error:
            raise SynthesisError("gTTS is not installed. Run: pip install gTTS") from error
        self._gtts, self._requests = gtts, requests
        self._voice, self._speed = voice, speed
        self._address, self._budget = address, budget

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        """`text` in chunks, the first after its first hundred characters."""
        code, notice = self._code(language), ""
        if self._voice and not self._own(language):
            notice = f"The voice {self._voice} does not speak {language_name(language)}; gTTS's own reads it."
        yield from noticed(self._parts(text, code), notice)

    def _parts(self, text: str, code: str) -> Iterator[AudioChunk]:
        bodies = self._bodies(text, code)
        for at, body in enumerate(bodies):
            sound = self._sound(self._within_budget(body))
            yield from polish([(sound, RATE)], text, pause=PAUSE if at == len(bodies) - 1 else _INSIDE)

    def _code(self, language: str) -> str:
        from gtts.lang import tts_langs

        wanted = language.replace("_", "-").lower()
        if self._voice and self._own(language):
            wanted = self._voice.replace("_", "-").lower()
        base = base_language(wanted)
        code = _REGIONS.get(wanted) or _CODES.get(base, base)
        if code not in tts_langs():
            raise UnspokenError(f"gTTS has no voice for {language_name(language)}.")
        return code

    def _own(self, language: str) -> bool:
        """Whether the voice that was chosen speaks the language."""
        return base_language(self._voice or "") == base_language(language)

    def _bodies(self, text: str, code: str) -> list[str]:
        """The form data of the requests, one for each part of at most 100 characters."""
        try:
            bodies: list[str] = self._gtts.gTTS(text, lang=code, lang_check=False).get_bodies()
        except AssertionError as error:
            raise UnspokenError("gTTS finds nothing to say in the text.") from error
        return bodies

    def _within_budget(self, body: str) -> bytes:
        """The MP3 of one part, by a thread that can be left behind: looking a host up has no timeout."""
        done: list[bytes | BaseException] = []

        def fetch() -> None:
            try:
                done.append(self._fetch(body))
            except BaseException as error:  # handed to the thread that waits, which raises it
                done.append(error)

        thread = threading.Thread(target=fetch, name="gtts", daemon=True)
        thread.start()
        thread.join(self._budget)
        if not done:
            raise SynthesisError(f"gTTS did not answer within {self._budget:g} s.")
        if isinstance(done[0], BaseException):
            raise done[0]
        return done[0]

    def _fetch(self, body: str) -> bytes:
        deadline = time.monotonic() + self._budget
        try:
            with (
                self._requests.Session() as session,
                session.post(
                    self._address,
                    data=body,
                    headers=self._gtts.gTTS.GOOGLE_TTS_HEADERS,
                    timeout=self._budget,
                    stream=True,
                ) as response,
            ):
                if response.status_code != 200:
                    raise SynthesisError(f"gTTS answered with status {response.status_code}.")
                return _mp3(self._read(response, deadline))
        except self._requests.RequestException as error:
            raise SynthesisError(f"gTTS cannot be reached ({type(error).__name__}).") from error

    def _read(self, response: Any, deadline: float) -> bytes:
        received = bytearray()
        for piece in response.iter_content(1024):
            received += piece
            if time.monotonic() > deadline:
                raise SynthesisError(f"gTTS took more than {self._budget:g} s.")
            if len(received) > _LARGEST:
                raise SynthesisError("gTTS sent more than any speech needs.")
        return bytes(received)

    def _sound(self, mp3: bytes) -> Samples:
        try:
            samples = decode(mp3, RATE)
        except AudioError as error:
            raise SynthesisError("gTTS sent something that is no sound.") from error
        return samples if self._speed == 1 else stretched(samples, RATE, self._speed)


def _mp3(answer: bytes) -> bytes:
    """The sound in the service's answer: base64, quoted, on the line that names the call."""
    for line in answer.splitlines():
        if b"jQ1olc" in line and (found := _AUDIO.search(line)):
            try:
                return base64.b64decode(found.group(1).replace(b"\\", b""), validate=True)
            except binascii.Error as error:
                raise SynthesisError("gTTS sent something that is no sound.") from error
    raise SynthesisError("gTTS sent no sound.")
