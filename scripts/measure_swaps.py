"""Language models swapped again and again while somebody asks all the time, many of them broken.

    python -m scripts.measure_swaps [--rounds 200]

Tiny models are made, chosen one after another, and fail in every way: missing, truncated, of another
architecture, out of memory. Exits with 1 if a question went unanswered, a change did not end as it should,
or the memory grew by more than BOUND.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from commands.indexing import index
from engines import Engines
from settings import Settings
from tests.swapping import TEXT, make_models, memory_that_runs_out, swap

BOUND = 60_000_000  # bytes: less than five of these models


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.measure_swaps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="parley-swaps-") as folder:
        happened, seconds = _measured(Path(folder), rounds)
    print(f"{sum(happened.tried.values())} changes in {seconds:.0f} s: {dict(happened.tried)}")
    print(f"{happened.answered.total()} questions answered: {dict(happened.answered)}")
    print(f"{len(happened.unanswered)} unanswered: {happened.unanswered[:3]}")
    print(f"{len(happened.wrong)} changes that ended otherwise: {happened.wrong[:3]}")
    thirds = happened.resident[:: max(1, rounds // 10)]
    print("resident MB:", *(size // 1_000_000 for size in thirds), f"; growth {happened.growth / 1e6:.0f}")
    return int(bool(happened.unanswered or happened.wrong or happened.growth > BOUND))


def _measured(folder: Path, rounds: int) -> tuple[Any, float]:
    corpus = folder / "docs"
    corpus.mkdir()
    (corpus / "rules.txt").write_text(TEXT)
    build: Any = Settings
    settings = build(
        _env_file=None,
        data=folder / "data",
        corpus=(corpus,),
        offline=True,
        llm="extractive",
        tts="none",
        max_new_tokens=8,
    )
    models = make_models(folder / "models")
    with Engines(settings, can_ask=True) as engines, memory_that_runs_out(models["out of memory"]):
        index(engines, settings.corpus, ())
        engines.llm.get()
        begin = time.monotonic()
        return swap(engines, models, rounds), time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(main())
