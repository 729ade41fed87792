"""Questions asked of the engines, typed and spoken, under one or two settings → one report.

What a question is measured by is in `rag.evaluate`. This knows the engines and a voice's way to the
recogniser; it knows neither the command line nor the page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from engines import EngineError, Engines, Progress
from rag.cancel import Cancelled, CancelToken, current, scope
from settings import Settings, load_settings

if TYPE_CHECKING:
    from rag.advice import Advice, Conditions
    from rag.compare import Difference
    from rag.evaluate import Measured
    from rag.questions import Row
    from speech.tts import Synthesizer

# What can be tried on an index as it is. Chunks and embeddings are the index's own; memory plays no part, as
# each question is asked alone; how a model samples would mean its weights in memory twice.
COMPARABLE = ("k", "floor", "reranker", "llm", "chain", "compress", "prompt", "asr")
_OF_A_MODEL = {"chain", "compress", "prompt"}  # what changes nothing where answers are quotations
PATIENCE = 20.0  # seconds that one question waits for people, who go first
_LOOK = 0.05  # seconds between two looks for them
LARGE_LOSS = 0.05  # of recall@4, or of the answers
MANY_ERRORS = 0.15  # word error rate

_WEAK = {"pocketsphinx", "faster-whisper:tiny"}
_BETTER = {
    "faster-whisper:base": "faster-whisper:small",
    "faster-whisper:small": "faster-whisper:large-v3-turbo",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        changes: settings of a second measurement, as they are written in a flag; empty: there is none.
        spoken: each question is also said by a voice, recognised, and asked as it was heard.
        noise: the voice's level above pink noise, in dB; None: without noise.
        always_ask: for an answer also where nothing is known of it.
        wait: for the language model that is set, rather than to measure what answers now.
        busy: whether somebody is being answered: people go first. None: nobody else is here.
    """

    rows: Sequence[Row]
    changes: Mapping[str, str] = field(default_factory=dict)
    spoken: bool = False
    noise: float | None = None
    always_ask: bool = False
    wait: bool = True
    busy: Callable[[], bool] | None = None


@dataclass
class Run:
    """All questions under one of the settings, typed or spoken, in their order."""

    changed: bool
    spoken: bool
    conditions: Conditions
    engine: str  # what answered
    measured: list[Measured] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # spoken: the transcripts
    hearing: list[float] = field(default_factory=list)  # seconds that each took
    errors: int = 0  # words wrong, missing or too many
    words: int = 0  # that were said
    recogniser: str = ""
    failure: str = ""  # why a better recogniser could not be downloaded
    voice: str = ""

    @cached_property
    def figures(self) -> dict[str, Any]:
        from rag.evaluate import figures

        found = figures(self.measured, sum(each.seconds for each in self.measured))
        if not self.spoken:
            return found
        wer = round(self.errors / self.words, 4) if self.words else None
        engines = {"voice": self.voice, "recogniser": self.recogniser}
        return found | {"wer": wer, "hearing_p50_ms": _median_ms(self.hearing), **engines}


@dataclass(frozen=True)
class Comparison:
    """Two runs of the same questions."""

    first: Run
    second: Run
    differences: list[Difference]


@dataclass(frozen=True)
class Report:
    """What was measured, and what it suggests."""

    plan: Plan
    runs: list[Run]
    seconds: float
    advice: list[Advice]
    comparisons: list[Comparison]

    def run(self, *, changed: bool = False, spoken: bool = False) -> Run | None:
        return next((r for r in self.runs if (r.changed, r.spoken) == (changed, spoken)), None)


def measure(engines: Engines, plan: Plan, progress: Progress | None = None) -> Report:
    """Ask every question in every way that the plan names. Raises Cancelled, and errors for people."""
    began = time.perf_counter()
    contenders = _contenders(engines, plan)
    voice = _Voice(engines, plan.noise) if plan.spoken else None
    for number, row in enumerate(plan.rows):
        if progress is not None:
            progress(number, len(plan.rows), row.question)
        order = contenders if number % 2 == 0 else contenders[::-1]  # neither is always the one that warms up
        for contender in order:
            contender.take(row, number, voice)
    if progress is not None:
        progress(len(plan.rows), len(plan.rows), "")
    runs = [run for contender in contenders for run in contender.runs]
    return make_report(plan, runs, time.perf_counter() - began)


def make_report(plan: Plan, runs: list[Run], seconds: float) -> Report:
    """What the runs of one plan say: those of the settings in force first, typed before spoken."""
    from rag.advice import advise
    from rag.compare import compare

    def pair(first: Run, second: Run) -> Comparison:
        return Comparison(first, second, compare(first.measured, second.measured))

    by_kind = {(run.changed, run.spoken): run for run in runs}
    wanted = [((False, s), (True, s)) for s in (False, True)] + [
        ((c, False), (c, True)) for c in (False, True)
    ]
    comparisons = [pair(by_kind[a], by_kind[b]) for a, b in wanted if a in by_kind and b in by_kind]
    typed = runs[0]
    advice = advise(typed.measured, typed.conditions)
    spoken = by_kind.get((False, True))
    if spoken is not None:
        advice = [*hearing_advice(typed, spoken), *advice]
    return Report(plan, runs, seconds, advice, comparisons)


def hearing_advice(typed: Run, spoken: Run) -> list[Advice]:
    """Another recogniser, where much is lost on the way from the voice to the question."""
    from rag.advice import Advice
    from speech.asr import best, failed_download

    lost = sum(
        bool(a.contains) > bool(b.contains) or bool(a.found and a.found[3]) > bool(b.found and b.found[3])
        for a, b in zip(typed.measured, spoken.measured, strict=True)
    )
    wer = spoken.errors / max(1, spoken.words)
    if wer < MANY_ERRORS and lost < LARGE_LOSS * len(typed.measured):
        return []
    name = spoken.recogniser
    cost = "1 question" if lost == 1 else f"{lost} questions"
    text = f"{100 * wer:.0f} % of the spoken words were misheard by {name}, which cost {cost}."
    better = best() if name in _WEAK else _BETTER.get(name, "")
    if not better:
        text += " Speak nearer to the microphone, or in less noise; a headset helps most."
        return [Advice("misheard", lost, text)]
    if spoken.failure and name == "pocketsphinx":
        return [Advice("misheard", lost, f"{text} {failed_download(spoken.failure)}")]
    return [Advice("misheard", lost, f"{text} A better recogniser understands more.", "asr", better)]


class _Contender:
    """One of the settings: what is measured under it."""

    def __init__(self, engines: Engines, plan: Plan, *, changed: bool) -> None:
        responder = engines.responder(wait=plan.wait)
        self._engines, self._plan = engines, plan
        self._chain: Any = responder.chain
        self._retriever = engines.retriever()
        if engines.reranker_notice:
            raise EngineError(engines.reranker_notice)
        self.quotes = responder.llm is None
        conditions = _conditions(engines, quotes=self.quotes)
        ways = (False, True) if plan.spoken else (False,)
        self.runs = [Run(changed, spoken, conditions, responder.name) for spoken in ways]

    def take(self, row: Row, number: int, voice: _Voice | None) -> None:
        """Measure one question; people who ask something meanwhile go first."""
        self.runs[0].measured.append(_politely(lambda: self._ask(row), self._plan.busy))
        if voice is not None:
            said, transcript = _politely(lambda: voice.ask(self._engines, row, number), self._plan.busy)
            self._keep(row, said, transcript)

    def _keep(self, row: Row, said: _Said, transcript: Any) -> None:
        from speech.rehearsal import word_errors

        run = self.runs[1]
        heard = replace(row, question=transcript.text)
        run.measured.append(replace(_politely(lambda: self._ask(heard), self._plan.busy), row=row))
        run.heard.append(transcript.text)
        run.hearing.append(transcript.elapsed)
        run.recogniser, run.voice = transcript.engine, said.voice
        run.failure = self._engines.hearing.whisper_failure
        errors, words = word_errors(row.question, transcript.text, said.language)
        run.errors, run.words = run.errors + errors, run.words + words

    def _ask(self, row: Row) -> Measured:
        from rag import evaluate

        return evaluate.measure(row, self._retriever, self._chain, always_ask=self._plan.always_ask)


def _conditions(engines: Engines, *, quotes: bool) -> Conditions:
    from rag.advice import Conditions

    settings, retriever = engines.settings, engines.retriever()
    store, _ = engines.library.get()
    return Conditions(
        sources=frozenset(source.source for source in store.sources()),
        k=settings.k,
        floor=retriever.floor,
        quotes=quotes,
        reranks=retriever.reranker is not None,
        chunk_size=settings.chunk_size,
        embedder=engines.embedder.get().name,
    )


@dataclass(frozen=True)
class _Said:
    """One question aloud."""

    samples: Any  # (n,) at 16 kHz
    language: str
    voice: str


class _Voice:
    """Says the questions; two settings get to hear the same, and one recogniser hears it once for both."""

    def __init__(self, engines: Engines, noise: float | None) -> None:
        self._synthesizer, self._noise = _local_voice(engines), noise
        self._language = engines.settings.language
        self._number = -1  # of the question that is kept:
        self._kept: _Said | None = None
        self._heard: dict[int, Any] = {}  # by its recogniser's id()

    def ask(self, engines: Engines, row: Row, number: int) -> tuple[_Said, Any]:
        """The question as it was said, and what the recogniser of `engines` heard."""
        from speech.asr import Stopped

        if number != self._number or self._kept is None:
            self._kept = self._say(row.question, number)
            self._number, self._heard = number, {}
        recogniser = id(engines.hearing.in_force())
        if recogniser not in self._heard:
            try:
                self._heard[recogniser] = engines.hearing.hear(
                    self._kept.samples, None, lambda: current().cancelled
                )
            except Stopped as error:
                raise Cancelled from error
        return self._kept, self._heard[recogniser]

    def _say(self, question: str, number: int) -> _Said:
        from speech.language import guess_language
        from speech.rehearsal import say, with_noise

        language = guess_language(question) if self._language == "auto" else self._language
        samples = say(question, self._synthesizer, language)
        if self._noise is not None:
            samples = with_noise(samples, self._noise, seed=number)
        return _Said(samples, language.partition("-")[0], self._synthesizer.name)


def _local_voice(engines: Engines) -> Synthesizer:
    """The voice that is set; for `auto` espeak-ng, as gTTS would get hundreds of questions to read."""
    name = engines.settings.tts
    synthesizer = engines.voices.named("espeak-ng" if name == "auto" else name, engines.settings.speed)
    if synthesizer is None:
        raise EngineError("There is no voice to ask with: PARLEY_TTS is none. Set it to auto or espeak-ng.")
    return synthesizer


def _contenders(engines: Engines, plan: Plan) -> list[_Contender]:
    if "asr" in plan.changes and not plan.spoken:
        raise EngineError(
            "asr changes nothing for typed questions. Add --spoken, or compare another setting."
        )
    first = _Contender(engines, plan, changed=False)
    if not plan.changes:
        return [first]
    second = _Contender(engines.variant(parse_changes(plan.changes)), plan, changed=True)
    if second.quotes and first.quotes and set(plan.changes) <= _OF_A_MODEL:
        names = ", ".join(plan.changes)
        raise EngineError(
            f"{names} changes nothing where answers are quotations. Set a language model with --llm, or "
            "compare another setting."
        )
    return [first, second]


def parse_changes(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings to compare with, checked as flags are. Raises SettingsError; EngineError for any other."""
    for name in given:
        if name not in COMPARABLE:
            why = "needs the documents indexed again: evaluate with it and --data DIR of its own"
            if name == "memory":
                why = "plays no part, as each question is asked alone"
            elif name not in Settings.model_fields:
                why = "is no setting"
            elif name not in {"chunk_size", "chunk_overlap", "splitter", "embedder", "corpus"}:
                why = "cannot be changed while the engines run"
            raise EngineError(f"{name} {why}. What can be compared: {', '.join(COMPARABLE)}.")
    checked = load_settings(dict(given), env_file=None)
    return {name: getattr(checked, name) for name in given}


def parse_comparison(text: str) -> dict[str, str]:
    """`NAME=VALUE[,NAME=VALUE]`, the names as of flags or variables → name → value."""
    changes = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        plain = name.strip().lstrip("-").replace("-", "_").casefold().removeprefix("parley_")
        if not equals or not plain:
            raise EngineError(f"{part!r} is no setting with a value. Write it like --compare k=6,floor=0.1.")
        changes[plain] = value.strip()
    parse_changes(changes)
    return changes


def _politely(work: Callable[[], T], busy: Callable[[], bool] | None) -> T:
    """Do it while nobody waits for an answer; what somebody comes into the middle of is done again."""
    if busy is None:
        return work()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        outer, own = current(), CancelToken()
        while busy() and time.monotonic() < deadline:
            outer.raise_if_cancelled()
            outer.wait(_LOOK)
        try:
            with outer.leads(own), scope(own), _given_up(own, busy):
                return work()
        except Cancelled:
            outer.raise_if_cancelled()
    return work()


@contextmanager
def _given_up(token: CancelToken, busy: Callable[[], bool]) -> Iterator[None]:
    """Cancel `token` as soon as somebody waits for an answer."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK):
            if busy():
                token.cancel()
                return

    watcher = threading.Thread(target=watch, name="evaluation-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _median_ms(seconds: Sequence[float]) -> float | None:
    import statistics

    return round(1000 * statistics.median(seconds), 1) if seconds else None
