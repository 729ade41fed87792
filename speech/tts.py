"""Text to speech: the seam, its engines by name, and the hand-over when one fails.

An engine turns text that can be said (see `speech.speakable`) into chunks of sound. Those that need the
network or a model are backed by espeak-ng: a failed call is spoken by it at once, and for the next 60 s it
speaks alone, so that no answer goes unspoken and nobody waits twice for the same dead server. Whatever voice
speaks instead of the one that was chosen says so in the first chunk's `notice`. It does not know whose
answer it speaks, nor who listens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from speech.audio import AudioChunk

log = logging.getLogger(__name__)

Notify = Callable[[str], None]

REST_SECONDS = 60.0  # how long an engine that failed is left alone
SPEEDS = (0.5, 2.0)


class SynthesisError(Exception):
    """Something cannot be spoken; the message says why and what to do."""


class UnspokenError(SynthesisError):
    """This text or language is not the engine's, and is not read; the engine itself is well."""


@runtime_checkable
class Synthesizer(Protocol):
    """An engine. All of them give mono float32 at `speech.polish.RATE` samples per second.

    One whose first sound takes long may say so by an attribute `slow` that is true: then a `Speaker` gives it
    a short first part of the answer.
    """

    @property
    def name(self) -> str: ...

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        """The sound of `text` in chunks of at most a quarter of a second, as soon as each is ready.

        Args:
            text: what to say, as it is spoken.
            language: its language, ISO 639-1 or with a region ("en", "pt-BR").

        Where the engine knows when it says which word, the chunks have marks; their offsets are those of
        `text`. Raises `SynthesisError`. Closing the iterator stops the work.
        """
        ...


def is_slow(synthesizer: Synthesizer) -> bool:
    """Whether the engine takes long to its first sound."""
    return bool(getattr(synthesizer, "slow", False))


def noticed(chunks: Iterable[AudioChunk], notice: str) -> Iterator[AudioChunk]:
    """The same sound, with a notice on its first chunk."""
    for chunk in chunks:
        yield replace(chunk, notice=f"{notice} {chunk.notice}".strip()) if notice else chunk
        notice = ""


class Outage:
    """What is known of an engine that may fail, for all its voices: nobody waits twice for a dead server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until, self._why = float("-inf"), ""

    @property
    def why(self) -> str:
        """Why another one speaks, since the engine failed and until it has spoken again; else empty."""
        return self._why

    @property
    def resting(self) -> bool:
        """Whether the engine is left alone."""
        with self._lock:
            return self._clock() < self._until

    def begin(self, why: str) -> bool:
        """Leave the engine alone for a while; whether that is news, however many calls fail at once."""
        with self._lock:
            news = self._clock() >= self._until
            self._until, self._why = self._clock() + REST_SECONDS, why
        return news

    def end(self) -> None:
        """The engine speaks, unless what does was begun before it failed."""
        with self._lock:
            if self._clock() >= self._until:
                self._why = ""


class WithStandby:
    """An engine, and espeak-ng for the `REST_SECONDS` after it failed. Safe to use from many threads.

    Voices of one engine that are given the same `outage` rest together.
    """

    def __init__(
        self,
        engine: Synthesizer,
        standby: Synthesizer,
        *,
        on_notice: Notify | None = None,
        outage: Outage | None = None,
    ) -> None:
        self.name = engine.name
        self._engine, self._standby = engine, standby
        self._notify, self._outage = on_notice, outage or Outage()

    @property
    def active(self) -> str:
        """Which engine speaks: after a failure the standby, until the other has spoken again."""
        return self._standby.name if self._outage.why else self._engine.name

    @property
    def why(self) -> str:
        """Why the standby is active; empty while it is not."""
        return self._outage.why

    @property
    def slow(self) -> bool:
        return is_slow(self._standby if self._outage.resting else self._engine)

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        if self._outage.resting:
            yield from self._instead(text, language, f"{self.name} is not to be had for now.")
            return
        begun = False
        try:
            for chunk in self._engine.synthesize(text, language):
                if not begun:
                    self._outage.end()
                begun = True
                yield chunk
        except UnspokenError as error:
            notice = f"{error} {self._standby.name} reads it."
            yield from self._instead(text, language, str(error), notice, tell=True)
        except SynthesisError as error:
            notice = f"{error} {self._standby.name} speaks for now."
            self._rest(notice)
            if begun:
                log.info("%s broke off inside a sentence; %s repeats it", self.name, self._standby.name)
            yield from self._instead(text, language, str(error), notice)

    def _instead(
        self, text: str, language: str, reason: str, notice: str = "", *, tell: bool = False
    ) -> Iterator[AudioChunk]:
        """The standby's sound, with the notice as soon as there is any; else why neither has it."""
        try:
            for chunk in noticed(self._standby.synthesize(text, language), notice):
                if tell:
                    self._say(notice)
                    tell = False
                yield chunk
        except UnspokenError as error:
            raise UnspokenError(f"{reason} {error}") from error

    def _rest(self, notice: str) -> None:
        if self._outage.begin(notice):
            log.warning("%s failed, %s speaks for %.0f s", self.name, self._standby.name, REST_SECONDS)
            self._say(notice)

    def _say(self, message: str) -> None:
        if self._notify is not None:
            self._notify(message)


def base_language(language: str) -> str:
    """The language without its region: "pt-BR" → "pt"."""
    return language.replace("_", "-").lower().partition("-")[0]


def open_synthesizer(
    name: str = "auto",
    *,
    voice: str | None = None,
    speed: float = 1.0,
    offline: bool = False,
    url: str | None = None,
    key: str | None = None,
    model: str | None = None,
    on_notice: Notify | None = None,
    outage: Outage | None = None,
) -> Synthesizer:
    """The engine of that name, ready to speak.

    Args:
        name: "auto" is gTTS with espeak-ng behind it, offline espeak-ng alone; or one of `ENGINES`.
        voice: a voice of the engine; empty: the engine's own for the language.
        speed: 0.5 to 2, 1 is the engine's own pace.
        offline: no connection leaves this machine.
        url: of an OpenAI-compatible server, for "openai" ("http://127.0.0.1:8880/v1").
        key: the server's key.
        model: the server's model, for "openai".
        on_notice: told in a sentence when another engine or voice takes over.
        outage: what is known of the engine from its other voices.

    Raises `SynthesisError` for an unknown name, a package that is not installed, or values that cannot be.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise SynthesisError(f"A speed of {speed} cannot be spoken. Set PARLEY_SPEED between 0.5 and 2.")
    if name == "auto":
        name = "espeak-ng" if offline else "gtts"
    if name not in ENGINES:
        raise SynthesisError(f"There is no voice engine {name!r}. Choose one of: auto, {', '.join(ENGINES)}.")
    return ENGINES[name](_Wanted(voice, speed, offline, url, key, model, on_notice, outage))


class _Wanted:
    """What was asked for, handed to the function that builds the engine."""

    def __init__(
        self,
        voice: str | None,
        speed: float,
        offline: bool,
        url: str | None,
        key: str | None,
        model: str | None,
        on_notice: Notify | None,
        outage: Outage | None,
    ) -> None:
        self.voice, self.speed, self.offline = voice or None, speed, offline
        self.url, self.key, self.model = url, key, model
        self.on_notice, self.outage = on_notice, outage


def _espeak(wanted: _Wanted) -> Synthesizer:
    from speech.tts_espeak import EspeakSynthesizer

    return EspeakSynthesizer(voice=wanted.voice, speed=wanted.speed, on_notice=wanted.on_notice)


def _standby(wanted: _Wanted) -> Synthesizer:
    """espeak-ng behind another engine, whose voice names it does not have."""
    from speech.tts_espeak import EspeakSynthesizer

    return EspeakSynthesizer(speed=wanted.speed, on_notice=wanted.on_notice)


def _backed(engine: Synthesizer, wanted: _Wanted) -> Synthesizer:
    return WithStandby(engine, _standby(wanted), on_notice=wanted.on_notice, outage=wanted.outage)


def _gtts(wanted: _Wanted) -> Synthesizer:
    from speech.tts_gtts import GttsSynthesizer

    if wanted.offline:
        if wanted.on_notice is not None:
            wanted.on_notice("gTTS needs the network, which PARLEY_OFFLINE forbids; espeak-ng speaks.")
        return _standby(wanted)
    engine = GttsSynthesizer(voice=wanted.voice, speed=wanted.speed)
    return _backed(engine, wanted)


def _kokoro(wanted: _Wanted) -> Synthesizer:
    from speech.tts_kokoro import KokoroSynthesizer

    engine = KokoroSynthesizer(
        voice=wanted.voice, speed=wanted.speed, offline=wanted.offline, on_notice=wanted.on_notice
    )
    return _backed(engine, wanted)


def _openai(wanted: _Wanted) -> Synthesizer:
    from speech.tts_openai import OpenAISynthesizer

    if not wanted.url:
        raise SynthesisError(
            "The speech server has no address. Set PARLEY_TTS_URL, as http://127.0.0.1:8880/v1."
        )
    if urlsplit(wanted.url).scheme not in ("http", "https"):
        raise SynthesisError(
            "The speech server's address is no URL. Set PARLEY_TTS_URL, as http://host:8880/v1."
        )
    if wanted.offline and urlsplit(wanted.url).hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SynthesisError(
            "PARLEY_OFFLINE forbids a speech server on another machine. Set PARLEY_TTS=espeak-ng."
        )
    engine = OpenAISynthesizer(
        wanted.url, key=wanted.key, model=wanted.model or "tts-1", voice=wanted.voice, speed=wanted.speed
    )
    return _backed(engine, wanted)


ENGINES: dict[str, Callable[[_Wanted], Synthesizer]] = {
    "gtts": _gtts,
    "espeak-ng": _espeak,
    "kokoro": _kokoro,
    "openai": _openai,
}
