"""Many swaps in a row, half of them broken, while somebody asks; `scripts.measure_swaps` does more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commands.indexing import index
from engines import Engines
from settings import Settings
from tests.swapping import TEXT, make_models, memory_that_runs_out, swap

ROUNDS = 8
BOUND = 60_000_000  # bytes that may stay: less than five of these models


def test_every_question_is_answered_and_the_memory_is_flat(tmp_path: Path) -> None:
    corpus = tmp_path / "docs"
    corpus.mkdir()
    (corpus / "rules.txt").write_text(TEXT)
    fields = {"data": tmp_path / "data", "corpus": (corpus,), "offline": True, "tts": "none"}
    build: Any = Settings
    settings = build(_env_file=None, llm="extractive", max_new_tokens=8, **fields)
    models = make_models(tmp_path / "models")
    with Engines(settings, can_ask=True) as engines, memory_that_runs_out(models["out of memory"]):
        index(engines, settings.corpus, ())
        engines.llm.get()
        happened = swap(engines, models, ROUNDS)
    assert happened.wrong == []
    assert happened.unanswered == []
    assert sum(happened.tried.values()) == ROUNDS
    assert set(happened.answered) > {"quotations"}
    assert happened.growth < BOUND
