"""espeak-ng: small, offline, over a hundred languages, in process.

The shared library and its voices come from the package espeakng-loader; nothing is installed on the system.
The library holds its state in globals, so every call runs under one lock, and a long text is spoken in
parts that each give the lock back. It tells when it says which word. It does not know the network, and never
reads a language with another language's voice.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speech.audio import AudioChunk, Samples, from_int16
from speech.language import language_name
from speech.marks import timed
from speech.polish import BREATH, PAUSE, Sound, polish
from speech.sentences import places
from speech.tts import Notify, SynthesisError, UnspokenError, base_language, noticed

log = logging.getLogger(__name__)

_LOCK = threading.RLock()
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, and the call returns after the last
_DONT_EXIT = 0x8000
_UTF8 = 1
_WORD = 1  # espeakEVENT_WORD
_NO_MORE_EVENTS = 0
_RATE_PARAMETER = 1
_WORDS_PER_MINUTE = 175
_LONGEST_PATH = 120  # the library keeps the path of its data in a short buffer
_SPOKEN_AS = {
    "en": "en-us",
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-tw": "cmn",
    "zh-hk": "yue",
    "no": "nb",
    "iw": "he",
    "in": "id",
    "fr": "fr-fr",
}
_INCOMPLETE = frozenset({"fo", "kaa", "xex"})  # the package lacks their dictionaries
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        (
            "languages",
            ctypes.c_void_p,
        ),  # records of one priority byte and a zero-ended code; a zero byte ends the list
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Spoken(NamedTuple):
    """A voice: what the library calls it, and the language it speaks."""

    identifier: str
    language: str


class _Library:
    """The loaded library, once in a process. Every method is called under `_LOCK`."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise SynthesisError("espeak-ng is not installed. Run: pip install espeakng-loader") from error
        try:
            self._lib: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise SynthesisError(
                f"espeak-ng cannot be loaded ({error}). Run: pip install --force-reinstall espeakng-loader"
            ) from error
        self.rate = self._initialize(Path(espeakng_loader.get_data_path()))
        self._pieces: list[Samples] = []
        self._words: list[tuple[int, float]] = []
        self._callback = _CALLBACK(self._collect)  # kept, for the library holds a bare pointer to it
        self._lib.espeak_SetSynthCallback(self._callback)
        self.voices = self._list_voices()

    def _initialize(self, data: Path) -> int:
        if len(os.fsencode(data)) > _LONGEST_PATH:
            link = Path(tempfile.mkdtemp(prefix="parley-")) / "espeak-ng-data"
            link.symlink_to(data, target_is_directory=True)
            data = link
        rate: int = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT)
        if rate <= 0:
            raise SynthesisError(
                "espeak-ng finds no usable voice data. Run: pip install --force-reinstall espeakng-loader"
            )
        return rate

    def _list_voices(self) -> dict[str, _Spoken]:
        """Language code or voice name, in lower case → the voice; of several, the one of that very name."""
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        voices: list[tuple[list[str], _Spoken]] = []
        listed, index = self._lib.espeak_ListVoices(None), 0
        while listed[index]:
            voice, index = listed[index].contents, index + 1
            identifier, codes = voice.identifier.decode(), list(_codes(voice.languages))
            file = identifier.rpartition("/")[2].lower()
            if codes and file not in _INCOMPLETE:
                voices.append(([file, *codes, voice.name.decode().lower()], _Spoken(identifier, codes[0])))
        found: dict[str, _Spoken] = {}
        for rank in range(max(len(names) for names, _ in voices)):
            for names, spoken in voices:
                if rank < len(names):
                    found.setdefault(names[rank], spoken)
        return found

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            raw = np.ctypeslib.as_array(samples, shape=(count,))
            self._pieces.append(from_int16(raw.copy()))
        at = 0
        while events and events[at].type != _NO_MORE_EVENTS:
            event, at = events[at], at + 1
            if event.type == _WORD:
                self._words.append((event.text_position - 1, event.sample / self.rate))
        return 0

    def speak(self, text: str, voice: str, speed: float) -> tuple[Samples, list[tuple[int, float]]]:
        """The sound of `text`, (n,) at `rate`; and for each word the library tells, its offset and second."""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SynthesisError(
                f"espeak-ng has no voice {voice}. Set PARLEY_VOICE to one it has, or leave it empty."
            )
        self._lib.espeak_SetParameter(_RATE_PARAMETER, round(_WORDS_PER_MINUTE * speed), 0)
        self._pieces, self._words = [], []
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        status = self._lib.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None
        )
        pieces, self._pieces = self._pieces, []
        words, self._words = self._words, []
        if status != 0:
            raise SynthesisError(
                f"espeak-ng failed (code {status}). Say it again, or choose another voice engine."
            )
        return (np.concatenate(pieces) if pieces else np.empty(0, np.float32)), words


def _codes(address: int | None) -> Iterator[str]:
    """The language codes of a voice record."""
    at = address or 0
    while at and ctypes.c_ubyte.from_address(at).value:
        code = ctypes.string_at(at + 1)
        yield code.decode()
        at += len(code) + 2


@cache
def _library() -> _Library:
    return _Library()


class EspeakSynthesizer:
    """Speaks with espeak-ng. Safe to use from many threads.

    Args:
        voice: an espeak-ng voice or language ("en-gb", "de", "en-us+f3"), used for answers in its language.
        speed: 0.5 to 2.
        on_notice: told when the voice chosen cannot speak the language of an answer.
    """

    name = "espeak-ng"

    def __init__(
        self, *, voice: str | None = None, speed: float = 1.0, on_notice: Notify | None = None
    ) -> None:
        self._speed = speed
        self._voice = voice
        self._notify = on_notice
        self._noticed: set[str] = set()
        with _LOCK:
            known = _library().voices
        if voice is not None and voice.lower().partition("+")[0] not in known:
            raise SynthesisError(
                f"espeak-ng has no voice {voice!r}. Choose one of: {', '.join(sorted(_languages(known)))}."
            )
        for _ in self.synthesize(
            "a"
        ):  # the first call loads voice and resampler; no answer should wait for them
            pass

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        """`text` in chunks, the first after one sentence. `UnspokenError` if no voice speaks it."""
        voice, notice = self._voice_for(language)
        notice = " ".join(filter(None, [notice, self._on_ideographs(text, voice)]))
        if notice:
            self._say(notice)
        yield from noticed(self._sentences(text, voice), notice)

    def _sentences(self, text: str, voice: str) -> Iterator[AudioChunk]:
        for place in places(text):
            with _LOCK:
                library = _library()
                samples, told = library.speak(place.text, voice, self._speed)
                rate = library.rate
            marks = (
                replace(mark, start=mark.start + place.start, end=mark.end + place.start)
                for mark in timed(place.text, told, len(samples) / rate)
            )
            pause = PAUSE if place.whole else BREATH
            yield from polish([Sound(samples, rate, tuple(marks))], place.text, pause=pause)

    def _voice_for(self, language: str) -> tuple[str, str]:
        """What the library calls the voice, and what is to be said of it."""
        with _LOCK:
            known = _library().voices
        notice = ""
        if self._voice is not None:
            name, plus, variant = self._voice.partition("+")
            spoken = known[name.lower()]
            if _same_language(spoken.language, language):
                return spoken.identifier + plus + variant, ""
            notice = (
                f"The voice {self._voice} does not speak {language_name(language)}; another one reads it."
            )
        base = base_language(language)
        for code in (language.replace("_", "-").lower(), base):
            if found := known.get(_SPOKEN_AS.get(code, code)):
                return found.identifier, notice
        raise UnspokenError(
            f"espeak-ng has no voice for {language_name(language)}; PARLEY_TTS chooses another engine."
        )

    def _on_ideographs(self, text: str, voice: str) -> str:
        if not voice.endswith("/ja") or not _IDEOGRAPH.search(text):
            return ""
        return "espeak-ng reads Japanese kana only, and no kanji; choose gTTS or Kokoro for Japanese."

    def _say(self, message: str) -> None:
        if message not in self._noticed:
            self._noticed.add(message)
            if self._notify is not None:
                self._notify(message)


def _same_language(spoken: str, language: str) -> bool:
    wanted = base_language(language)
    return base_language(spoken) in {wanted, base_language(_SPOKEN_AS.get(wanted, wanted))}


def _languages(known: dict[str, _Spoken]) -> set[str]:
    return {spoken.language for spoken in known.values()}
