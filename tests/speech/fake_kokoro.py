"""Modules with the names, signatures and results of kokoro 0.9.4, whose voice is a hum."""

from __future__ import annotations

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
class Result:
    graphemes: str
    phonemes: str
    audio: torch.Tensor | None


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
        yield Result("", "", None)
        yield Result(text, "hum", torch.from_numpy(np.array(tone(0.1 + 0.04 * len(text) / speed))))


class _Logger:
    disabled: list[str] = []  # noqa: RUF012

    def disable(self, name: str) -> None:
        self.disabled.append(name)


def modules() -> dict[str, types.ModuleType]:
    kokoro, loguru = types.ModuleType("kokoro"), types.ModuleType("loguru")
    kokoro.KModel, kokoro.KPipeline = KModel, KPipeline  # type: ignore[attr-defined]
    loguru.logger = _Logger()  # type: ignore[attr-defined]
    return {"kokoro": kokoro, "loguru": loguru}
