"""Whisper as a transcriber, twice: on CTranslate2 (faster-whisper) and on torch (openai-whisper).

Both are called with their packages' own defaults, so a transcript is what the package itself would give;
both go through recordings of any length. (Radford et al. 2022, "Robust Speech Recognition via Large-Scale
Weak Supervision", https://arxiv.org/abs/2212.04356.) They do not know where models are wanted, only where
they are kept.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import pickle
import threading
import time
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from speech.asr import (
    Engine,
    Live,
    Recognised,
    ShouldStop,
    Stopped,
    TooSlow,
    TranscriberError,
    language_code,
)
from speech.audio import RATE, Samples
from speech.vad import Segment, shorten_silence

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0  # seconds without an answer from a server
_SEED = 0  # Whisper samples when it is unsure; the same recording shall give the same text

_NEWS = 0.5  # seconds of new sound that are worth a guess at all of it
_SLOWEST = 1.0  # seconds; words that take longer come too late to be read while one speaks
_WINDOW = 15 * RATE  # samples that are guessed at again and again
_MOST = 29 * RATE  # samples of a guess
_MOST_TOKENS = 160  # of a guess: more are no speech of that length


class _Whisper(Engine):
    """What both packages' engines keep: the model's name, where it runs, and the model once it is loaded."""

    kind: ClassVar[str]

    def __init__(self, model: str, *, device: str | None = None, offline: bool = False) -> None:
        super().__init__()
        self.name = f"{self.kind}:{model}"
        self._model_name, self._device, self._offline = model, device, offline
        self._model: Any = None
        self._guessing = threading.Lock()

    def load(self) -> None:
        super().load()
        self.guess(np.zeros(RATE, np.float32), "en", None, lambda: False)  # the first run takes longer

    def live(self, language: str | None = None, hint: str | None = None) -> Live | None:
        return _WhisperLive(self, language_code(language), hint) if self._model is not None else None

    def guess(self, audio: Samples, language: str | None, hint: str | None, stop: ShouldStop) -> str | None:
        """A quick transcript of at most half a minute; None when there is something more urgent to do."""
        if not self._guessing.acquire(blocking=False):
            return None
        try:
            return None if self.busy else self._guess(audio, language, hint, lambda: stop() or self.busy)
        except Stopped:
            if stop():
                raise
            return None
        except (RuntimeError, ValueError) as error:
            raise _failed(self.name, error) from error
        finally:
            self._guessing.release()

    @abstractmethod
    def _guess(self, audio: Samples, language: str | None, hint: str | None, stop: ShouldStop) -> str:
        """One run, greedy, without time stamps; `Stopped` as soon as `stop` is true."""


class _WhisperLive:
    """One utterance, transcribed again and again while it grows."""

    def __init__(self, engine: _Whisper, language: str | None, hint: str | None) -> None:
        self._engine, self._language, self._hint = engine, language, hint
        self._sound: Samples = np.empty(0, np.float32)  # what is guessed at; what was before is settled
        self._settled = ""
        self._new = 0  # samples since the last guess
        self._pace = _NEWS

    def hear(self, samples: Samples, should_stop: ShouldStop) -> str | None:
        self._sound = np.concatenate([self._sound, samples])
        self._new += len(samples)
        if self._new < self._pace * RATE:
            return None
        cut = _quietest(self._sound[:_MOST]) if len(self._sound) > _WINDOW else len(self._sound)
        began = time.perf_counter()
        text = self._engine.guess(self._sound[:cut], self._language, self._hint, should_stop)
        took = time.perf_counter() - began
        if text is None:
            return None
        if took > _SLOWEST:
            raise TooSlow(f"a guess took {took:.1f} s")
        heard = self._settled + text
        if cut < len(self._sound):
            self._settled, self._sound = heard, self._sound[cut:]
        self._new, self._pace = 0, max(_NEWS, 2 * took)  # half of the time is left to others
        return heard

    def close(self) -> None:
        self._sound = np.empty(0, np.float32)


def _quietest(audio: Samples) -> int:
    """The middle of the quietest 50 ms of the last second: a word is hardly cut there."""
    size = RATE // 20
    last = audio[-RATE:][: RATE // size * size]
    return len(audio) - RATE + int(np.square(last).reshape(-1, size).sum(axis=1).argmin()) * size + size // 2


class FasterWhisper(_Whisper):
    """faster-whisper; `model` is a size, a Hugging Face repository, or the folder of a converted model."""

    kind = "faster-whisper"

    def _load(self) -> None:
        if self._model is not None:
            return
        path = _located(self.kind, self._model_name, self._offline)
        if not (path / "tokenizer.json").is_file():
            raise TranscriberError(
                f"{path} has no tokenizer.json. Convert the model again with --copy_files tokenizer.json "
                "preprocessor_config.json."
            )
        import ctranslate2
        from faster_whisper import WhisperModel

        device = self._device or ("cuda" if ctranslate2.get_cuda_device_count() else "cpu")
        kind, _, index = device.partition(":")
        # What a person converted keeps its precision; the hub's models are float16, which a CPU cannot use.
        own = Path(self._model_name).expanduser().is_dir()
        precision = "default" if own else "float16" if kind == "cuda" else "int8"
        try:
            self._model = WhisperModel(
                str(path), device=kind, device_index=int(index or 0), compute_type=precision
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise _broken(self.name, error) from error

    def _recognise(
        self,
        audio: Samples,
        segments: list[Segment],
        language: str | None,
        hint: str | None,
        stop: ShouldStop,
    ) -> Recognised:
        import ctranslate2

        _check_language(language, self._model.supported_languages, self.name)
        ctranslate2.set_random_seed(_SEED)
        try:
            parts, info = _asking(self._model, stop).transcribe(
                shorten_silence(audio, segments), language=language, initial_prompt=hint or None
            )
            text = []
            for part in parts:  # each is recognised when it is asked for
                if stop():
                    raise Stopped
                text.append(part.text)
        except (RuntimeError, ValueError) as error:
            raise _failed(self.name, error) from error
        probability = None if language else float(info.language_probability)
        return Recognised("".join(text), info.language, probability)

    def _guess(self, audio: Samples, language: str | None, hint: str | None, stop: ShouldStop) -> str:
        parts, _ = _asking(self._model, stop).transcribe(
            audio,
            language=language,
            initial_prompt=hint or None,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            max_new_tokens=_MOST_TOKENS,
        )
        return "".join(part.text for part in parts)


class OpenAIWhisper(_Whisper):
    """openai-whisper; `model` is a size or a checkpoint's path."""

    kind = "openai-whisper"

    def _load(self) -> None:
        if self._model is not None:
            return
        path = _located(self.kind, self._model_name, self._offline)
        import whisper

        try:
            self._model = whisper.load_model(str(path), device=self._device)
        except (
            RuntimeError,
            ValueError,
            OSError,
            KeyError,
            TypeError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            raise _broken(self.name, error) from error

    def _recognise(
        self,
        audio: Samples,
        segments: list[Segment],
        language: str | None,
        hint: str | None,
        stop: ShouldStop,
    ) -> Recognised:
        import torch
        from whisper.tokenizer import LANGUAGES

        _check_language(language, list(LANGUAGES) if self._model.is_multilingual else ["en"], self.name)
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices), _stoppable(self._model, stop):
                torch.manual_seed(_SEED)
                said = self._model.transcribe(
                    shorten_silence(audio, segments),
                    language=language,
                    initial_prompt=hint or None,
                    fp16=bool(devices),
                )
        except (RuntimeError, ValueError) as error:
            raise _failed(self.name, error) from error
        return Recognised(said["text"], said["language"])

    def _guess(self, audio: Samples, language: str | None, hint: str | None, stop: ShouldStop) -> str:
        if not self._lock.acquire(blocking=False):  # a model on torch does one thing at a time
            raise Stopped
        try:
            with _stoppable(self._model, stop):
                said = self._model.transcribe(
                    audio,
                    language=language,
                    initial_prompt=hint or None,
                    temperature=0.0,
                    condition_on_previous_text=False,
                    without_timestamps=True,
                    sample_len=_MOST_TOKENS,
                    fp16=self._model.device.type == "cuda",
                )
        finally:
            self._lock.release()
        return str(said["text"])


def _asking(model: Any, stop: ShouldStop) -> Any:
    """The same faster-whisper model, asking `stop` before each run of its encoder and of its decoder."""

    def ask(step: Callable[..., Any]) -> Callable[..., Any]:
        def asking(*given: Any, **named: Any) -> Any:
            if stop():
                raise Stopped
            return step(*given, **named)

        return asking

    view = copy.copy(model)
    view.encode = ask(model.encode)
    view.generate_with_fallback = ask(model.generate_with_fallback)
    return view


@contextlib.contextmanager
def _stoppable(model: Any, stop: ShouldStop) -> Iterator[None]:
    """Ask `stop` before each layer that sound goes through and before each token."""

    def ask(*_: object) -> None:
        if stop():
            raise Stopped

    hooks = [part.register_forward_pre_hook(ask) for part in (*model.encoder.blocks, model.decoder)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def find(engine: str, model: str) -> Path | None:
    """Where the model lies on this machine: a folder for faster-whisper, a file for openai-whisper; or None.

    Raises `TranscriberError` when it is neither a path nor a name that the engine knows.
    """
    path = Path(model).expanduser()
    if path.exists():
        return path
    if engine == "openai-whisper":
        checkpoint = _checkpoint(model)
        return checkpoint if checkpoint.is_file() else None
    from faster_whisper import download_model

    try:
        folder = Path(download_model(model, local_files_only=True))
    except ValueError as error:
        raise _unknown(engine, model) from error
    except OSError:
        return None
    return folder if (folder / "model.bin").is_file() else None


def fetch(engine: str, model: str) -> Path:
    """Where the model lies, after a download if need be. Raises `TranscriberError`."""
    found = find(engine, model)
    if found:
        return found
    logger.info("downloading %s %s", engine, model)
    try:
        if engine == "openai-whisper":
            return _fetch_checkpoint(model)
        from faster_whisper import download_model

        return Path(download_model(model))
    except (OSError, RuntimeError, ValueError) as error:
        raise TranscriberError(
            f"{engine} {model} cannot be fetched ({type(error).__name__}). Check the network and its name, "
            "or set PARLEY_ASR=pocketsphinx, which needs no download."
        ) from error


def _located(engine: str, model: str, offline: bool) -> Path:
    if not offline:
        return fetch(engine, model)
    found = find(engine, model)
    if not found:
        raise TranscriberError(
            f"{engine} {model} is not on this machine, and PARLEY_OFFLINE forbids to fetch it. "
            "Run once without it, or set PARLEY_ASR=pocketsphinx."
        )
    return found


def _checkpoint(model: str) -> Path:
    """Where openai-whisper keeps a model of that size."""
    import whisper

    if model not in whisper.available_models():
        raise _unknown("openai-whisper", model)
    cache = os.getenv("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "whisper" / str(whisper._MODELS[model]).rpartition("/")[2]


def _fetch_checkpoint(model: str) -> Path:
    """As `whisper.load_model` would, but never waiting for a silent server, and leaving no half file."""
    import whisper

    path = _checkpoint(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with (
            urllib.request.urlopen(whisper._MODELS[model], timeout=_TIMEOUT) as answer,
            partial.open("wb") as file,
        ):
            while block := answer.read(1 << 20):
                file.write(block)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _check_language(language: str | None, supported: list[str], name: str) -> None:
    if language and language not in supported:
        raise TranscriberError(
            f"{name} does not know the language {language!r}. Set PARLEY_LANGUAGE to auto or one of: "
            f"{', '.join(sorted(supported))}; a model whose name ends in .en knows English only."
        )


def _unknown(engine: str, model: str) -> TranscriberError:
    if engine == "openai-whisper":
        import whisper

        names = whisper.available_models()
    else:
        from faster_whisper import available_models

        names = available_models()
    return TranscriberError(
        f"{engine} has no model {model!r}, and there is no such path. Choose one of: {', '.join(names)}."
    )


def _broken(name: str, error: BaseException) -> TranscriberError:
    return TranscriberError(
        f"{name} cannot be loaded ({_line(error)}). Check that it is a model for this engine and fits, "
        "or set PARLEY_ASR=auto."
    )


def _failed(name: str, error: BaseException) -> TranscriberError:
    return TranscriberError(
        f"{name} failed ({_line(error)}). Try again, or set PARLEY_ASR to another engine."
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
