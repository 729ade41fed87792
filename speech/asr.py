"""Speech to text: one small interface and its engines. It does not know who asks, nor what the text is for.

An engine is named by one string: `auto`, `pocketsphinx`, `faster-whisper`, `faster-whisper:small`,
`openai-whisper:tiny`, `faster-whisper:/path/to/a/folder`, or only the path. Nothing is loaded before the
first recording (or `load`), and every engine first asks the voice activity detector whether anybody speaks
at all.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from speech.asr_vocabulary import Documents, vocabulary_hint
from speech.audio import RATE, Samples
from speech.vad import FRAME, Segment, speech_segments

__all__ = [
    "ENGINES",
    "Documents",
    "FinalLive",
    "Live",
    "LiveTranscriber",
    "Stopped",
    "TooSlow",
    "Transcriber",
    "TranscriberError",
    "Transcript",
    "best",
    "cached",
    "download",
    "failed_download",
    "megabytes",
    "open_transcriber",
    "vocabulary_hint",
    "weak_notice",
]

WEAK = (
    "Speech is recognised by PocketSphinx, which knows English only and often mishears: "
    "read what it understood before you rely on an answer."
)
_LARGE = 1000  # megabytes above which a download waits for consent

ShouldStop = Callable[[], bool]


class TranscriberError(Exception):
    """Speech cannot be recognised; the message says why and what to do."""


class Stopped(Exception):
    """The person stopped the transcription; not an error, and never shown as one."""


class TooSlow(Exception):
    """The words cannot be had while they are spoken; the transcript at the end is not concerned."""


@dataclass(frozen=True)
class Transcript:
    """What was said. An empty text means that no speech was heard."""

    text: str
    language: str | None  # code such as "en"; None when no speech was heard and none was set
    engine: str  # such as "faster-whisper:base"
    seconds: float  # how long the recording is
    elapsed: float = 0.0  # seconds that recognising it took
    language_probability: float | None = None  # None unless the language was detected


@dataclass(frozen=True)
class Recognised:
    """What an engine makes of a recording in which somebody speaks."""

    text: str
    language: str
    language_probability: float | None = None


class Transcriber(Protocol):
    """Speech to text."""

    name: str
    notice: str  # what a person should know about this engine; "" when there is nothing

    def load(self) -> None:
        """Load the model now, so that the first recording need not wait. Raises `TranscriberError`."""

    def transcribe(
        self,
        audio: Samples,
        language: str | None = None,
        hint: str | None = None,
        should_stop: ShouldStop | None = None,
        *,
        urgent: bool = True,
    ) -> Transcript:
        """The text of a recording (n,) at 16 kHz, of any length.

        `language` is a code ("en", "pt-BR"); None or "auto" lets the engine find out. `hint` holds words that
        are likely to be said. What is not `urgent` waits for what is, and gives way to it. Raises
        `TranscriberError`, and `Stopped` soon after `should_stop` is true or when it gave way.
        """


class Live(Protocol):
    """The words of one utterance while it is spoken; for one thread."""

    def hear(self, samples: Samples, should_stop: ShouldStop) -> str | None:
        """The text so far, `samples` (n,) at 16 kHz having been said as well; None when it is not newer.

        A few words may change from one text to the next. Raises `TranscriberError`; `Stopped` soon after
        `should_stop` is true; `TooSlow` when it is not worth to go on.
        """

    def close(self) -> None:
        """The utterance has ended, or nobody wants to know."""


@runtime_checkable
class FinalLive(Live, Protocol):
    """A `Live` whose last word is as good as what its engine makes of the recording afterwards."""

    def transcript(self) -> Recognised:
        """All that was heard so far."""


@runtime_checkable
class LiveTranscriber(Protocol):
    """A `Transcriber` that may hear words while they are spoken."""

    def live(self, language: str | None = None, hint: str | None = None) -> Live | None:
        """For one utterance; None when it cannot be done in time. Quick: nothing is loaded."""


class Engine(ABC):
    """What all engines share: the question whether anybody speaks, the clock, one recording at a time."""

    name: str
    notice: str = ""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._wanted = 0  # transcriptions that run or wait

    def load(self) -> None:
        speech_segments(np.zeros(FRAME, np.float32))  # loads the detector
        with self._lock:
            self._load()

    def live(self, language: str | None = None, hint: str | None = None) -> Live | None:
        return None

    @property
    def busy(self) -> bool:
        """Whether a transcription runs or waits: then nothing less urgent may."""
        return self._wanted > 0

    def transcribe(
        self,
        audio: Samples,
        language: str | None = None,
        hint: str | None = None,
        should_stop: ShouldStop | None = None,
        *,
        urgent: bool = True,
    ) -> Transcript:
        began = time.perf_counter()
        wanted = language_code(language)
        seconds = len(audio) / RATE
        samples = np.ascontiguousarray(audio, np.float32)
        segments = speech_segments(samples)
        if not segments:
            return Transcript("", wanted, self.name, seconds, time.perf_counter() - began)
        asked = should_stop or _never
        stop = asked if urgent else lambda: asked() or self.busy
        with self._urgently() if urgent else contextlib.nullcontext(), self._lock:
            if stop():
                raise Stopped
            self._load()
            said = self._recognise(samples, segments, wanted, hint, stop)
        elapsed = time.perf_counter() - began
        return Transcript(
            said.text.strip(), said.language, self.name, seconds, elapsed, said.language_probability
        )

    @contextlib.contextmanager
    def _urgently(self) -> Iterator[None]:
        with self._counting:
            self._wanted += 1
        try:
            yield
        finally:
            with self._counting:
                self._wanted -= 1

    @abstractmethod
    def _load(self) -> None:
        """Load the model, if it is not; called with the lock held."""

    @abstractmethod
    def _recognise(
        self,
        audio: Samples,
        segments: list[Segment],
        language: str | None,
        hint: str | None,
        stop: ShouldStop,
    ) -> Recognised:
        """The text of a recording with speech in `segments`; called with the lock held."""


@dataclass(frozen=True)
class _Options:
    """What a factory needs to know, whatever the engine."""

    model: str
    device: str | None
    offline: bool
    documents: Documents | None


def _faster_whisper(options: _Options) -> Transcriber:
    from speech.asr_whisper import FasterWhisper

    return FasterWhisper(options.model or "base", device=options.device, offline=options.offline)


def _openai_whisper(options: _Options) -> Transcriber:
    from speech.asr_whisper import OpenAIWhisper

    return OpenAIWhisper(options.model or "base", device=options.device, offline=options.offline)


def _pocketsphinx(options: _Options) -> Transcriber:
    from speech.asr_sphinx import Sphinx

    if options.model:
        raise TranscriberError(
            "PocketSphinx carries its own model and takes no other. Set PARLEY_ASR=pocketsphinx."
        )
    sphinx = Sphinx(options.documents)
    sphinx.notice = weak_notice("faster-whisper:base", offline=options.offline)
    return sphinx


ENGINES: dict[str, Callable[[_Options], Transcriber]] = {
    "faster-whisper": _faster_whisper,
    "openai-whisper": _openai_whisper,
    "pocketsphinx": _pocketsphinx,
}
_MODULES = {"faster-whisper": "faster_whisper", "openai-whisper": "whisper", "pocketsphinx": "pocketsphinx"}


def open_transcriber(
    name: str = "auto",
    *,
    device: str | None = None,
    offline: bool = False,
    documents: Documents | None = None,
) -> Transcriber:
    """The engine of that name; quick, for nothing is loaded yet.

    `device` is "cuda", "cpu" or None for whatever is there. `documents` teach PocketSphinx its words. With
    "auto", `best()` is taken if it is on disk, else PocketSphinx, whose `notice` says how to get Whisper.
    Raises `TranscriberError` for an unknown name and for a package that is missing.
    """
    if name == "auto":
        return _open_auto(device, offline, documents)
    engine, model = _parsed(name)
    _require(engine)
    return ENGINES[engine](_Options(model, device, offline, documents))


def best(device: str | None = None) -> str:
    """The engine that suits this machine, whether or not its model is here yet."""
    return "faster-whisper:large-v3-turbo" if _device(device) == "cuda" else "faster-whisper:base"


def cached(name: str) -> bool:
    """Whether the engine can start without any download. Raises `TranscriberError` for an unknown name."""
    engine, model = _parsed(name)
    if not _installed(engine):
        return False
    if engine == "pocketsphinx":
        return True
    from speech import asr_whisper

    return asr_whisper.find(engine, model or "base") is not None


def download(name: str) -> None:
    """Fetch the engine's model into its usual cache; done at once when it is there.

    Raises `TranscriberError` when there is no such model or no way to it.
    """
    engine, model = _parsed(name)
    _require(engine)
    if engine != "pocketsphinx":
        from speech import asr_whisper

        asr_whisper.fetch(engine, model or "base")


def megabytes(name: str) -> int | None:
    """About how large the engine's download is; None where that is not known."""
    _, model = _parsed(name)
    sizes = {"tiny": 75, "base": 145, "small": 484, "medium": 1530, "turbo": 1620, "large-v3-turbo": 1620}
    if model.startswith("large") and "turbo" not in model:
        return 3090
    return sizes.get((model or "base").removesuffix(".en"))


def weak_notice(better: str, *, offline: bool) -> str:
    """What a person should know while PocketSphinx listens, and how to get the engine `better` instead."""
    size = megabytes(better) or 0
    settings = f"PARLEY_ASR={better}" + (" and PARLEY_DOWNLOAD=1" if size > _LARGE else "")
    if offline:
        how = (
            f"start once with {settings} and without PARLEY_OFFLINE (a download of {size} MB), "
            "or name a folder that holds a model: PARLEY_ASR=faster-whisper:/path/to/model"
        )
    else:
        how = f"set {settings} (a download of {size} MB, once)"
    return f"{WEAK} For Whisper, which is far better, {how}."


def failed_download(reason: str) -> str:
    """What a person should know where Whisper could not be downloaded, and what to do."""
    return (
        f"Whisper, which is far better, could not be downloaded: {reason.partition('. ')[0].rstrip('.')}. "
        "Check the network and start again, or copy a model here and name its folder: "
        "PARLEY_ASR=faster-whisper:/path/to/model."
    )


def _open_auto(device: str | None, offline: bool, documents: Documents | None) -> Transcriber:
    name = best(device)
    for choice in (name, "faster-whisper:base"):
        if cached(choice):
            return open_transcriber(choice, device=device, offline=offline)
    chosen = open_transcriber("pocketsphinx", documents=documents)
    chosen.notice = weak_notice(name, offline=offline)
    return chosen


def _parsed(name: str) -> tuple[str, str]:
    """Engine and model; a bare path is a folder for faster-whisper or a checkpoint for openai-whisper."""
    engine, _, model = name.partition(":")
    if engine in ENGINES:
        return engine, model
    path = Path(name).expanduser()
    if path.is_dir():
        return "faster-whisper", str(path)
    if path.is_file():
        return "openai-whisper", str(path)
    choices = ["auto", *ENGINES]
    raise TranscriberError(
        f"There is no speech recogniser {name!r}. Choose one of {', '.join(choices)}; a Whisper model follows"
        " after a colon, by size or path: faster-whisper:small, openai-whisper:/models/tiny.pt."
    )


def _installed(engine: str) -> bool:
    return importlib.util.find_spec(_MODULES[engine]) is not None


def _require(engine: str) -> None:
    if not _installed(engine):
        raise TranscriberError(f"{engine} is not installed. Install it: pip install {engine}")


def _device(device: str | None) -> str:
    """ "cuda" or "cpu"; asked of CTranslate2, which says so without loading torch."""
    if device:
        return device.partition(":")[0]
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not _installed("faster-whisper"):
        return "cpu"
    ctranslate2 = importlib.import_module("ctranslate2")
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def language_code(language: str | None) -> str | None:
    """ "pt-BR" → "pt"; None for "auto"."""
    code = (language or "auto").strip().lower().replace("_", "-").partition("-")[0]
    return None if code in ("", "auto") else code


def _never() -> bool:
    return False
