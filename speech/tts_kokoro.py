"""Kokoro: an open voice of 82 million parameters, in process, for nine languages.

Its files come from the model hub, once (some 330 MB); offline only what is cached is used. In English it
tells when it says which word. Written against kokoro 0.9.4. It does not know what speaks when it fails.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from speech.audio import AudioChunk
from speech.language import language_name
from speech.marks import timed
from speech.polish import Sound, polish
from speech.tts import Notify, SynthesisError, UnspokenError, base_language, noticed

REPOSITORY = "hexgrad/Kokoro-82M"
_WEIGHTS = "kokoro-v1_0.pth"
_RATE = 24_000
# The language's letter in Kokoro, which is also the first letter of its voices, and a good voice of it.
_LANGUAGES = {
    "en": ("a", "af_heart"),
    "en-gb": ("b", "bf_emma"),
    "es": ("e", "ef_dora"),
    "fr": ("f", "ff_siwis"),
    "hi": ("h", "hf_alpha"),
    "it": ("i", "if_sara"),
    "ja": ("j", "jf_alpha"),
    "pt": ("p", "pf_dora"),
    "zh": ("z", "zf_xiaobei"),
}


class KokoroSynthesizer:
    """Speaks with Kokoro. Safe to use from many threads, which take turns.

    Args:
        voice: one of its voices ("af_heart"), used for answers in its language.
        speed: 0.5 to 2.
        offline: use only files that are cached.
        on_notice: told when the voice chosen cannot speak the language of an answer.
    """

    name = "kokoro"
    slow = True

    def __init__(
        self,
        *,
        voice: str | None = None,
        speed: float = 1.0,
        offline: bool = False,
        on_notice: Notify | None = None,
    ) -> None:
        try:
            import kokoro
            from loguru import logger
        except ImportError as error:
            raise SynthesisError("Kokoro is not installed. Run: pip install 'kokoro>=0.9.4'") from error
        logger.disable("kokoro")  # at its default level it logs the text that is spoken
        self._kokoro, self._offline = kokoro, offline
        self._voice, self._speed, self._notify = voice, speed, on_notice
        self._lock = threading.Lock()
        self._pipelines: dict[str, Any] = {}
        if voice is not None and voice[:1] not in {letter for letter, _ in _LANGUAGES.values()}:
            raise SynthesisError(f"Kokoro has no voice {voice!r}. Set PARLEY_VOICE to one such as af_heart.")
        self._model = _model(kokoro, offline)

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        """`text` in chunks, the first after one sentence (or some 500 phonemes)."""
        letter, voice, notice = self._voice_for(language)
        if notice and self._notify is not None:
            self._notify(notice)
        yield from noticed(polish(self._sound(text, letter, voice), text), notice)

    def _sound(self, text: str, letter: str, voice: str) -> Iterator[Sound]:
        results, offset = self._results(text, letter, voice), 0
        while True:
            with self._lock:  # not while the sound is taken, which may be at the pace of a listener
                try:
                    result = next(results, None)
                except (RuntimeError, ValueError, OSError, ImportError) as error:
                    raise SynthesisError(f"Kokoro failed ({type(error).__name__}).") from error
            if result is None:
                return
            if result.audio is not None:
                samples = np.asarray(result.audio, np.float32).reshape(-1)
                part, events, offset = _told(text, offset, result)
                marks = timed(part, events, len(samples) / _RATE)
                begin = offset - len(part)
                moved = (replace(mark, start=mark.start + begin, end=mark.end + begin) for mark in marks)
                yield Sound(samples, _RATE, tuple(moved))

    def _results(self, text: str, letter: str, voice: str) -> Iterator[Any]:
        pack = _file(f"voices/{voice}.pt", self._offline)
        yield from self._pipeline(letter)(text, voice=pack, speed=self._speed)

    def _voice_for(self, language: str) -> tuple[str, str, str]:
        """The language's letter, the voice, and what is to be said of it."""
        wanted = language.replace("_", "-").lower()
        found = _LANGUAGES.get(wanted) or _LANGUAGES.get(base_language(wanted))
        if found is None:
            raise UnspokenError(f"Kokoro has no voice for {language_name(language)}.")
        letter, voice = found
        if self._voice is None:
            return letter, voice, ""
        if self._voice[0] == letter or (self._voice[0] in "ab" and letter in "ab"):
            return self._voice[0], self._voice, ""
        notice = f"The voice {self._voice} does not speak {language_name(language)}; {voice} reads it."
        return letter, voice, notice

    def _pipeline(self, letter: str) -> Any:
        if letter not in self._pipelines:
            self._pipelines[letter] = self._kokoro.KPipeline(
                lang_code=letter, repo_id=REPOSITORY, model=self._model
            )
        return self._pipelines[letter]


def _told(text: str, begin: int, result: Any) -> tuple[str, list[tuple[int, float]], int]:
    """The part of `text` from `begin` on that a result says, its words' offsets there, and where it ends."""
    events: list[tuple[int, float]] = []
    at = begin
    for token in getattr(result, "tokens", None) or ():  # only English has them
        found = text.find(token.text, at)
        if found < 0:
            continue
        at = found + len(token.text)
        if token.start_ts is not None and any(char.isalnum() for char in token.text):
            events.append((found - begin, float(token.start_ts)))
    return text[begin:at], events, at


@cache
def _model(kokoro: Any, offline: bool) -> Any:
    """The weights, shared by the voices at every speed."""
    try:
        model = kokoro.KModel(
            repo_id=REPOSITORY, config=_file("config.json", offline), model=_file(_WEIGHTS, offline)
        )
    except (RuntimeError, ValueError, OSError) as error:
        how = "Start once without PARLEY_OFFLINE" if offline else "Connect to the network once"
        raise SynthesisError(
            f"Kokoro's files cannot be loaded ({type(error).__name__}). {how}, or set PARLEY_TTS=espeak-ng."
        ) from error
    return model.eval()


def _file(name: str, offline: bool) -> str:
    from huggingface_hub import hf_hub_download

    path: str = hf_hub_download(repo_id=REPOSITORY, filename=name, local_files_only=offline)
    return path
