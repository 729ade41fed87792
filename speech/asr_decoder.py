"""PocketSphinx's decoder as a few calls that leave other threads free. It does not know whose words it hears.

The package's own `Decoder` holds Python's lock while it searches, up to 0.4 s for a long sentence, and every
other voice in the process falters meanwhile. Its library is therefore called through ctypes, which lets go
of the lock; where its functions cannot be found, the package's own class serves.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Mean = NDArray[np.float64]  # (13,) cepstral mean, what a voice and its microphone have in common

_WEIGHT = 500  # frames that a mean counts for when the decoder goes on from it
_VARIANT = re.compile(r"\(\d+\)$")


class Decoder(Protocol):
    """One search at a time, by one thread at a time."""

    def begin(self) -> None:
        """A new utterance."""

    def hear(self, sound: bytes) -> None:
        """The next 16-bit samples at 16 kHz."""

    def end(self) -> None:
        """The utterance has ended; `text` is final."""

    def text(self) -> str:
        """The words so far, with marks such as `read(2)` for another pronunciation."""

    def mean(self) -> str:
        """The cepstral mean, numbers with commas, and what was heard since it was set is in it."""

    def set_mean(self, mean: str) -> None:
        """The mean to begin the next utterance with."""


def open_decoder(options: dict[str, str]) -> Decoder:
    """A decoder with the package's acoustic model. Raises `RuntimeError` when it cannot be made."""
    library = _library()
    return _Free(library, options) if library else _Holding(options)


def words_of(decoder: Decoder) -> list[str]:
    """The words so far."""
    return [_VARIANT.sub("", word) for word in decoder.text().split()]


def mean(decoder: Decoder) -> Mean:
    return np.array([float(number) for number in decoder.mean().split(",")])


def set_mean(decoder: Decoder, mean: Mean) -> None:
    decoder.set_mean(",".join(f"{number:.6g}" for number in mean))


def own_mean(decoder: Decoder, begun_with: Mean, frames: int) -> Mean:
    """The mean of what was heard alone; the decoder's counts what it began with as 500 frames.

    For decoders with cmn=live, at most once in an utterance, and before its 800th frame.
    """
    return begun_with + (mean(decoder) - begun_with) * (_WEIGHT + frames) / max(frames, 1)


class _Free:
    """The library's functions; a call lets other threads go on."""

    def __init__(self, library: Any, options: dict[str, str]) -> None:
        self._library = library
        self._decoder = None
        config = library.ps_config_init(None)
        try:
            for name, value in (_defaults() | options).items():
                if not library.ps_config_set_str(config, name.encode(), value.encode()):
                    raise RuntimeError(f"PocketSphinx takes no {name}={value}")
            self._decoder = library.ps_init(config)
        finally:
            library.ps_config_free(config)
        if not self._decoder:
            raise RuntimeError("PocketSphinx cannot be initialised")

    def __del__(self) -> None:
        if self._decoder:
            self._library.ps_free(self._decoder)

    def begin(self) -> None:
        self._check(self._library.ps_start_utt(self._decoder))

    def hear(self, sound: bytes) -> None:
        self._check(self._library.ps_process_raw(self._decoder, sound, len(sound) // 2, False, False))

    def end(self) -> None:
        self._check(self._library.ps_end_utt(self._decoder))

    def text(self) -> str:
        heard: bytes | None = self._library.ps_get_hyp(self._decoder, None)
        return (heard or b"").decode()

    def mean(self) -> str:
        found: bytes = self._library.ps_get_cmn(self._decoder, True)
        return found.decode()

    def set_mean(self, mean: str) -> None:
        self._check(self._library.ps_set_cmn(self._decoder, mean.encode()))

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            raise RuntimeError("PocketSphinx failed")


class _Holding:
    """The package's class; a call holds Python's lock."""

    def __init__(self, options: dict[str, str]) -> None:
        import pocketsphinx

        values = {
            name: value == "yes" if value in ("yes", "no") else value for name, value in options.items()
        }
        self._decoder: Any = pocketsphinx.Decoder(loglevel="FATAL", **values)

    def begin(self) -> None:
        self._decoder.start_utt()

    def hear(self, sound: bytes) -> None:
        self._decoder.process_raw(sound)

    def end(self) -> None:
        self._decoder.end_utt()

    def text(self) -> str:
        heard = self._decoder.hyp()
        return str(heard.hypstr) if heard else ""

    def mean(self) -> str:
        return str(self._decoder.get_cmn(True))

    def set_mean(self, mean: str) -> None:
        self._decoder.set_cmn(mean)


def _defaults() -> dict[str, str]:
    """What the package's own class takes when it is told nothing else."""
    from pocketsphinx import get_model_path

    general = {"hmm": "en-us/en-us", "lm": "en-us/en-us.lm.bin", "dict": "en-us/cmudict-en-us.dict"}
    return {"loglevel": "FATAL"} | {name: get_model_path(path) for name, path in general.items()}


@cache
def _library() -> Any:
    """The package's compiled library with its functions declared; None where it shows none of them."""
    spec = importlib.util.find_spec("pocketsphinx._pocketsphinx")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    try:
        library = ctypes.CDLL(spec.origin if spec else None)
        for name, result, *takes in (
            ("ps_config_init", pointer, pointer),
            ("ps_config_set_str", pointer, pointer, text, text),
            ("ps_config_free", number, pointer),
            ("ps_init", pointer, pointer),
            ("ps_free", number, pointer),
            ("ps_start_utt", number, pointer),
            ("ps_process_raw", number, pointer, text, ctypes.c_size_t, number, number),
            ("ps_end_utt", number, pointer),
            ("ps_get_hyp", text, pointer, pointer),
            ("ps_get_cmn", text, pointer, number),
            ("ps_set_cmn", number, pointer, text),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, takes
    except (OSError, AttributeError):
        return None
    return library
