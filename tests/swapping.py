"""Models chosen one after another, sound and broken ones, while somebody asks all the time."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil  # type: ignore[import-untyped]

from engines import Engines
from rag.assistant import Done
from tests.models import tiny_mistral, tiny_qwen

QUESTION = "When does the lantern boat return?"
TEXT = "Rules\n\nThe lantern boat returns at eleven. It carries forty people.\n"
SOUND = ("mistral", "qwen")
LONGEST = 60.0  # seconds that one change may take


def make_models(folder: Path) -> dict[str, str]:
    """Two sound models of some 13 MB, so that one that stays in memory shows, and each way to be broken."""
    sizes = {"layers": 4, "hidden": 256}
    made = {
        "mistral": tiny_mistral(folder / "mistral", **sizes),
        "qwen": tiny_qwen(folder / "qwen", **sizes),
        "missing": folder / "missing",
        "truncated": tiny_qwen(folder / "truncated", **sizes),
        "wrong architecture": tiny_qwen(folder / "architecture"),
        "out of memory": tiny_mistral(folder / "out-of-memory", **sizes),
    }
    weights = made["truncated"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    (made["wrong architecture"] / "config.json").write_text('{"model_type": "clip"}')
    return {kind: str(path) for kind, path in made.items()}


@contextmanager
def memory_that_runs_out(folder: str) -> Iterator[None]:
    """The model in this folder runs out of memory when its weights are all loaded."""
    import torch

    from rag.llms import load

    weights = load._weights

    def failing(*arguments: Any) -> Any:
        model = weights(*arguments)
        source = next(given for given in arguments if isinstance(given, dict))
        if source["pretrained_model_name_or_path"] == folder:
            raise torch.OutOfMemoryError("CUDA out of memory (injected).")
        return model

    with patch.object(load, "_weights", failing):
        yield


@dataclass
class Swapped:
    """What happened."""

    tried: Counter[str] = field(default_factory=Counter)  # kinds
    wrong: list[str] = field(default_factory=list)  # what did not end as it should
    answered: Counter[str] = field(default_factory=Counter)  # by whom
    unanswered: list[str] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)  # bytes after each change

    @property
    def growth(self) -> int:
        """Bytes, from the end of the first third, when every path has been taken, to the end."""
        third = max(1, len(self.resident) // 3)
        return self.resident[-1] - max(self.resident[:third])


def swap(engines: Engines, models: Mapping[str, str], rounds: int) -> Swapped:
    """Choose `rounds` models; `engines` has an index of `TEXT`."""
    happened, stop = Swapped(), threading.Event()
    names = {name: kind for kind, name in models.items()} | {"quotations": "quotations"}
    asking = threading.Thread(target=_ask_until, args=(engines, stop, happened, names))
    asking.start()
    try:
        for kind in _order(list(models), rounds):
            _choose(engines, kind, models[kind], happened, names)
            happened.resident.append(psutil.Process().memory_info().rss)
    finally:
        stop.set()
        asking.join()
    return happened


def _order(kinds: list[str], rounds: int) -> list[str]:
    """Every kind once, then by chance (the same each time), sound ones more often, none twice in a row."""
    chance, order = random.Random(7), list(kinds)
    while len(order) < rounds:
        order.append(chance.choice([kind for kind in (*kinds, *SOUND) if kind != order[-1]]))
    return order[:rounds]


def _choose(engines: Engines, kind: str, name: str, happened: Swapped, names: Mapping[str, str]) -> None:
    before, deadline = engines.llm.in_force.name, time.monotonic() + LONGEST
    engines.llm.choose(name)
    expected = name if kind in SOUND else before
    while engines.llm.coming is not None or engines.llm.in_force.name != expected:
        if time.monotonic() > deadline:
            happened.wrong.append(f"{kind}: {names[engines.llm.in_force.name]} answers; {engines.llm.error}")
            break
        time.sleep(0.01)
    if (engines.llm.error is None) != (kind in SOUND):
        happened.wrong.append(f"{kind}: {engines.llm.error}")
    happened.tried[kind] += 1


def _ask_until(engines: Engines, stop: threading.Event, happened: Swapped, names: Mapping[str, str]) -> None:
    while not stop.is_set():
        try:
            last = list(engines.assistant().answer(QUESTION))[-1]
        except Exception as error:  # counted
            happened.unanswered.append(str(error))
            continue
        if isinstance(last, Done):  # the text of a random model may be blank
            happened.answered[names[last.engine]] += 1
        else:
            happened.unanswered.append(repr(last))
