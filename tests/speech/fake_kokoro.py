"""Modules with the names, signatures and results of kokoro 0.9.4, whose voice is a hum."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.speech.servers import tone

LETTERS = "abefhijpz"


class KModel:
    def __init__(
        self,
        repo_id: str | None = None,
        config: dict[str, Any] | str | None = None,
        model: str | None = None,
        disable_complex: bool = False,
    ) -> None:
        assert repo_id
        assert config
        assert model
        self.training = True

    def eval(self) -> KModel:
        self.training = False
        return self


@dataclass
class Token:
    text: str
    tag: str
    whitespace: str
    phonemes: str | None = None
    start_ts: float | None = None
    end_ts: float | None = None


@dataclass
class Output:
    audio: torch.Tensor
    pred_dur: torch.Tensor | None = None


@dataclass
class Result:
    graphemes: str
    phonemes: str
    tokens: list[Token] | None = None
    output: Output | None = None
    text_index: int | None = None

    @property
    def audio(self) -> torch.Tensor | None:
        return None if self.output is None else self.output.audio


def tokens_of(text: str, seconds: float) -> list[Token]:
    """The text's words and marks, spread evenly over a sound that begins after 0.4 s of silence."""
    found = [Token(match[1], "", match[2]) for match in re.finditer(r"([\w'’-]+|[^\w\s])(\s*)", text)]
    said = [token for token in found if token.text[0].isalnum()]
    for at, token in enumerate(said):
        token.phonemes = token.text
        token.start_ts = 0.4 + seconds * at / len(said)
        token.end_ts = 0.4 + seconds * (at + 1) / len(said)
    return found


class KPipeline:
    """One language's pipeline; gives a result for each line of the text."""

    spoken: list[tuple[str, str, float]] = []  # noqa: RUF012 - what was asked for, read by the tests

    def __init__(
        self,
        lang_code: str,
        repo_id: str | None = None,
        model: KModel | bool = True,
        trf: bool = False,
        en_callable: Any = None,
        device: str | None = None,
    ) -> None:
        assert lang_code in LETTERS
        assert isinstance(model, KModel)
        assert not model.training
        self.lang_code = lang_code

    def __call__(
        self, text: str, voice: str | None = None, speed: float = 1, split_pattern: str = r"\n+"
    ) -> Iterator[Result]:
        if "boom" in text:
            raise RuntimeError("out of memory")
        assert voice is not None
        assert voice.endswith(".pt")  # only a file's path keeps the package from asking the hub
        self.spoken.append((self.lang_code, voice, speed))
        yield Result("", "")
        seconds = 0.1 + 0.04 * len(text) / speed
        output = Output(torch.from_numpy(np.array(tone(seconds))))
        timed = tokens_of(text, seconds) if self.lang_code in "ab" else None
        yield Result(text, "hum", timed, output)


class _Logger:
    disabled: list[str] = []  # noqa: RUF012

    def disable(self, name: str) -> None:
        self.disabled.append(name)


def modules() -> dict[str, types.ModuleType]:
    kokoro, loguru = types.ModuleType("kokoro"), types.ModuleType("loguru")
    kokoro.KModel, kokoro.KPipeline = KModel, KPipeline  # type: ignore[attr-defined]
    loguru.logger = _Logger()  # type: ignore[attr-defined]
    return {"kokoro": kokoro, "loguru": loguru}
