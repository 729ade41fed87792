"""Evaluation as the page needs it: what can be compared here, measuring, and proposing questions.

The command line needs none of it: it compares whatever `evaluation.measuring` can.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import Engines

if TYPE_CHECKING:
    from rag.questions import Row
    from ui.services import Choice, Told, Trial

_SAMPLE = Path(__file__).parents[1] / "docs" / "sample-questions.jsonl"
_RECOGNISERS = ("pocketsphinx", "faster-whisper:tiny", "faster-whisper:base", "faster-whisper:small")


class PageEvaluation:
    """What `ui.services.Evaluation` asks for.

    A page's visitor may name no file and no model: only what is here already can be compared.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def choices(self) -> list[Choice]:
        from rag.retriever import DEFAULT_FLOOR
        from ui.services import Choice

        settings = self._engines.settings
        floor = DEFAULT_FLOOR if settings.floor is None else settings.floor
        found = [
            Choice("k", "Passages an answer reads", str(settings.k), least=1, most=50),
            Choice("floor", "How probable an answer must be", f"{floor:g}", least=0, most=1, step=0.001),
        ]
        if settings.reranker != "none":
            found.append(Choice("reranker", "Reranker", settings.reranker, ("none",)))
        return [*found, *self._of_the_model(), *self._of_hearing()]

    def _of_the_model(self) -> list[Choice]:
        """What matters where a language model answers."""
        from ui.services import Choice

        engines, settings = self._engines, self._engines.settings
        if engines.llm.ready() is None:
            return []
        chains = ("stuff", "map_reduce", "refine", "map_rerank")
        found = [
            Choice("llm", "Answers", engines.llm.in_force.name, ("extractive",)),
            Choice("compress", "Only the sentences that matter", str(int(settings.compress)), ("0", "1")),
        ]
        if settings.prompt is None:  # which is for one chain alone
            found.append(Choice("chain", "How passages reach the model", settings.chain, chains))
        return found

    def _of_hearing(self) -> list[Choice]:
        from speech.asr import cached
        from ui.services import Choice

        if self._engines.hearing.transcriber.ready() is None:
            return []
        now = self._engines.hearing.in_force().name
        others = tuple(name for name in _RECOGNISERS if name != now and cached(name))
        return [Choice("asr", "Recogniser", now, others, spoken=True)] if others else []

    def mute(self) -> str:
        settings, transcriber = self._engines.settings, self._engines.hearing.transcriber
        if settings.tts == "none":
            return "There is no voice that could ask: PARLEY_TTS is none."
        if transcriber.state == "failed":
            return f"Nothing can be heard. {transcriber.error}"
        return ""

    def sample(self) -> Sequence[Row]:
        library = self._engines.library.ready()
        if library is None:
            return ()
        wanted = {row.source for row in self._sample if row.source}
        return self._sample if all(library[0].find_source(source) for source in wanted) else ()

    @cached_property
    def _sample(self) -> Sequence[Row]:
        from rag.questions import read_questions

        return read_questions(_SAMPLE) if _SAMPLE.is_file() else ()

    def run(self, trial: Trial, told: Told, busy: Callable[[], bool]) -> dict[str, Any]:
        from evaluation.measuring import Plan, measure
        from evaluation.reporting import as_record

        plan = Plan(
            trial.rows,
            changes=trial.changes,
            spoken=trial.spoken,
            noise=trial.noise,
            always_ask=True,
            wait=False,
            busy=busy,
        )
        return as_record(measure(self._engines, plan, told))

    def propose(self, count: int, without: Collection[str], told: Told) -> Sequence[Row]:
        from rag.propose import propose

        store, _ = self._engines.library.get()
        return propose(store, count, self._engines.llm.ready(), without=without, progress=told)
