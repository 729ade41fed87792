"""Services that follow a script, for tests of the page: what they say is known, and when."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from evaluation.measuring import Plan, Run, make_report
from evaluation.reporting import as_record
from rag.advice import Conditions
from rag.assistant import Answer, Checked, Done, Event, Nearest, Notice, Queued, Sources, Standalone, Token
from rag.cancel import current
from rag.evaluate import Measured, Place
from rag.questions import Row
from rag.store import Page, Source
from speech.audio import AudioChunk, Samples
from speech.sentences import places
from speech.turn import Speaker
from ui.services import (
    Choice,
    EngineState,
    LibraryItem,
    ModelOffer,
    ModelProspect,
    ModelState,
    Progress,
    Services,
    SpeakRequest,
    Told,
    Trial,
    Voice,
)

RATE = 24_000
PAGES = (
    "The lighthouse stands on the eastern cliff.\nIt was built in 1869 by local masons.",
    "Visitors may climb the tower.\nThe lamp room closes at half past five in winter. Dogs stay below.",
    "The keeper's garden holds forty kinds of thrift.",
)
QUOTE = "The lamp room closes at half past five in winter."
ANSWER = f"{QUOTE} [1] It was built in 1869 by local masons. [2]"


def starts() -> list[int]:
    """Where each page begins in the whole text, pages joined by one form feed."""
    return [sum(len(page) + 1 for page in PAGES[:number]) for number in range(len(PAGES))]


def passages() -> tuple[Document, ...]:
    """The second page and the first as passages, best first."""

    def passage(number: int, score: float) -> Document:
        start = starts()[number]
        metadata = {
            "source": "lighthouse.pdf",
            "title": "The lighthouse",
            "section": "Visiting",
            "page": number + 1,
            "place": f"page {number + 1}",
            "start": start,
            "end": start + len(PAGES[number]),
            "score": score,
        }
        return Document(PAGES[number], metadata=metadata)

    return passage(1, 0.92), passage(0, 0.41)


@dataclass
class ScriptedAssistant:
    """Says `text` word by word, `pause` seconds apart; of that, nothing supports the sentence `doubted`."""

    text: str = ANSWER
    pause: float = 0.01
    documents: tuple[Document, ...] = field(default_factory=passages)
    nearest: tuple[Document, ...] = ()
    notices: tuple[str, ...] = ()
    queue: tuple[Queued, ...] = ()
    stamped: bool = False  # each piece is followed by the moment it was made, in milliseconds since 1970
    doubted: str = ""
    asked: list[tuple[str, list[BaseMessage]]] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)  # that each question was limited to
    answers: list[Answer] = field(default_factory=list)

    def answer(
        self,
        question: str,
        history: Sequence[BaseMessage] = (),
        *,
        language: str | None = None,
        collection: str = "",
    ) -> Answer:
        self.asked.append((question, list(history)))
        self.collections.append(collection)

        def work(emit: Callable[[Event], None]) -> None:
            for event in self._events(question, history):
                emit(event)

        answer = Answer(work)
        self.answers.append(answer)
        return answer

    def _events(self, question: str, history: Sequence[BaseMessage]) -> Iterator[Event]:
        begun = time.perf_counter()
        if "broken" in question:
            raise RuntimeError("The model is gone. Ask again.")
        yield Standalone(f"{question} (of the lighthouse)" if history else question, rewritten=bool(history))
        for notice in self.notices:
            yield Notice(notice)
        yield Sources(self.documents, checked=bool(self.doubted))
        for place in self.queue:
            time.sleep(self.pause)
            yield place
        written, sentences = 0, places(self.text) if self.doubted else []
        for piece in re.findall(r" ?[^ ]+|^ ?", self.text):
            time.sleep(self.pause)
            yield Token(f" {time.time() * 1000:.0f}" if self.stamped else piece)
            written += len(piece)
            while sentences and sentences[0].end <= written:
                text, start, end, _ = sentences.pop(0)
                yield Checked(start, end, supported=text != self.doubted)
        total = time.perf_counter() - begun
        if self.nearest:
            yield Nearest(self.nearest)
        yield Done(
            self.text,
            answered=bool(self.documents),
            citations=(1, 2) if self.documents else (),
            confidence=0.92 if self.documents else 0.0,
            timings={"standalone": 0.001, "retrieval": 0.012, "first_token": self.pause, "total": total},
            engine="scripted",
            unsupported=tuple(
                (start, end) for text, start, end, _ in places(self.text) if text == self.doubted
            ),
        )


class Tone:
    """A synthesizer that hums: 60 ms a character, in chunks of a tenth of a second."""

    name = "tone"

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        self.spoken.append(text)
        for number in range(max(1, math.ceil(len(text) * 0.6))):
            time_axis = (np.arange(RATE // 10) + number * RATE // 10) / RATE
            yield AudioChunk((0.3 * np.sin(2 * np.pi * 330 * time_axis)).astype(np.float32), RATE, text)


@dataclass(frozen=True)
class Heard:
    text: str = "When does the lamp room close?"
    language: str = "en"
    engine: str = "scripted"


class ScriptedLibrary:
    """Keeps names; a file is read when `gate` is open, one whose name has "bad" in it never is."""

    def __init__(self) -> None:
        self.known = {"lighthouse.pdf": LibraryItem("lighthouse.pdf", "ready", "The lighthouse", pages=3)}
        self.contents: dict[str, bytes] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.indexing: Progress | None = None
        self.collected: list[str] = []
        self.problem = ""

    def items(self) -> list[LibraryItem]:
        return list(self.known.values())

    def progress(self) -> Progress | None:
        return self.indexing

    def collections(self) -> list[str]:
        return self.collected

    def watching(self) -> str:
        return self.problem

    def add_file(self, path: Path, name: str) -> str:
        self.gate.wait(30)
        if "bad" in name:
            raise RuntimeError(f"{name} is encrypted. Save it without a password, then add it again.")
        self.contents[name] = path.read_bytes()
        self.known[name] = LibraryItem(name, "ready", origin="upload")
        return name

    def add_url(self, url: str) -> str:
        self.known[url] = LibraryItem(url, "ready", origin="url")
        return url

    def remove(self, source: str) -> bool:
        return self.known.pop(source, None) is not None


class ScriptedEvaluation:
    """Measures nothing: each question's passage is the second page, found first, for a "late" question as the
    sixth, and for a "lost" one not at all.

    With `gate` closed it stands before its first question until it is cancelled.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.trials: list[Trial] = []
        self.error = ""
        self.muted = ""
        self.samples: list[Row] = []
        self.proposals = [
            Row("p1", "When does the lamp room close?", "lighthouse.pdf", (2,), answers=("half past five",)),
            Row("p2", "When was it built?", "lighthouse.pdf", (1,), answers=("1869",)),
        ]
        self.choices_: list[Choice] = [
            Choice("k", "Passages an answer reads", "4", least=1, most=50),
            Choice("llm", "Answers", "a model", ("extractive",)),
            Choice("asr", "Recogniser", "scripted", ("other",), spoken=True),
        ]
        self.conditions = Conditions({"lighthouse.pdf"}, 4, 0.05, False, False, 1000, "MiniLM")

    def choices(self) -> list[Choice]:
        return self.choices_

    def mute(self) -> str:
        return self.muted

    def sample(self) -> list[Row]:
        return self.samples

    def run(self, trial: Trial, told: Told, busy: Callable[[], bool]) -> dict[str, Any]:
        self.trials.append(trial)
        if self.error:
            raise RuntimeError(self.error)
        plan = Plan(trial.rows, trial.changes, trial.spoken, trial.noise)
        runs = [
            Run(changed, spoken, self.conditions, "scripted", words=1)
            for changed in ((False, True) if trial.changes else (False,))
            for spoken in ((False, True) if trial.spoken else (False,))
        ]
        for number, row in enumerate(trial.rows):
            told(number, len(trial.rows), row.question)
            while not self.gate.wait(0.02):
                current().raise_if_cancelled()
            for run in runs:
                run.measured.append(self._measured(row, better=run.changed))
                if run.spoken:
                    run.heard.append(row.question.upper())
                    run.hearing.append(0.2)
        return as_record(make_report(plan, runs, 1.5))

    def _measured(self, row: Row, *, better: bool) -> Measured:
        lost = "lost" in row.question and not better
        rank = None if lost else 6 if "late" in row.question else 1
        place = Place("lighthouse.pdf", 1 if lost else 2, starts()[0 if lost else 1], starts()[1] - 1, 0.9)
        answer = "It was built in 1869 by local masons. [1]" if lost else f"{QUOTE} [1]"
        contains = None if not row.answers else not lost
        found = tuple(rank is not None and rank <= k for k in range(1, 11))
        return Measured(row, 0.1, found, rank, answer, True, contains, (place,) * (rank or 1))

    def propose(self, count: int, without: Collection[str], told: Told) -> list[Row]:
        told(0, count, "lighthouse.pdf")
        while not self.gate.wait(0.02):
            current().raise_if_cancelled()
        return [row for row in self.proposals if row.question not in without][:count]


class ScriptedModels:
    """Opens nothing: a model is on its way until the test says how it ends. "no/…" cannot be looked at."""

    def __init__(self) -> None:
        self.now = ModelState("quotations")
        self.chosen: list[tuple[str, int]] = []
        self.agreed = 0
        self.download = 3_100_000_000

    def state(self) -> ModelState:
        return self.now

    def offers(self) -> list[ModelOffer]:
        return [
            ModelOffer("extractive", "quotes the documents, invents nothing"),
            ModelOffer("org/larger-instruct", "a download of about 3 GB"),
        ]

    def look(self, name: str) -> ModelProspect:
        if name.startswith("no/"):
            raise RuntimeError(f"The hub has no model {name}. Check its spelling.")
        size = 0 if name == "extractive" else self.download
        return ModelProspect(name, "It runs on CPU and takes 3.0 GB.", size)

    def choose(self, name: str, agreed: int) -> None:
        self.chosen.append((name, agreed))
        self.now = replace(self.now, coming=name, text="Downloading: 1.0 GB of 3.1 GB.", done=10, total=31)

    def agree(self) -> None:
        self.agreed += 1

    def cancel(self) -> None:
        self.now = replace(self.now, coming="", text="", done=0, total=0)

    def ends(self, *, error: str = "") -> None:
        name = self.now.name if error else self.now.coming
        self.now = ModelState(name, "" if name == "quotations" else "CPU", error=error)


class Script:
    """All scripted parts together; change them before or while the page is used."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.assistant = ScriptedAssistant()
        self.library = ScriptedLibrary()
        self.tone = Tone()
        self.evaluation = ScriptedEvaluation()
        self.models = ScriptedModels()
        self.heard = Heard()
        self.recordings: list[bytes] = []
        self.requests: list[SpeakRequest] = []
        self.users: dict[str, str] = {}
        self.why = ""  # another engine speaks for the second voice
        self.records: dict[str, Source] = {}  # documents that have a file
        self.pages = [
            Page(text, start, n) for n, (text, start) in enumerate(zip(PAGES, starts(), strict=True), 1)
        ]
        self.states = [
            EngineState("llm", "quotations", "ready", "No language model is cached.", "Set PARLEY_LLM=auto."),
            EngineState("embedder", "MiniLM", "ready"),
            EngineState("asr", "PocketSphinx", "weak", "It often mishears.", "For Whisper, connect once."),
            EngineState("tts", "tone", "ready"),
        ]

    def transcribe(self, recording: bytes, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        self.recordings.append(recording)
        return self.heard

    def hear(self, samples: Samples, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        return self.heard

    def live(self, on_text: Callable[[str], None], language: str | None) -> None:
        return None

    def speak(self, request: SpeakRequest) -> Speaker:
        self.requests.append(request)
        return Speaker(self.tone, on_notice=request.on_notice)

    def services(self) -> Services:
        return Services(
            assistant=self.assistant,
            library=self.library,
            pages=lambda source: self.pages if source in self.library.known else [],
            transcribe=lambda *args: self.transcribe(*args),
            hear=lambda *args: self.hear(*args),
            live=lambda *args: self.live(*args),
            speak=self.speak,
            voices=lambda: [
                Voice("", "Tone", "The text of each answer is sent to Google."),
                Voice("b", "Other", "", "whistle", self.why),
            ],
            engines=lambda: self.states,
            suggestions=lambda: ["When does the lamp room close?", "Who built the lighthouse?"],
            data=self.data,
            record=self.records.get,
            evaluation=self.evaluation,
            models=self.models,
            users=self.users,
        )


class Front:
    """The assistant that the script has at the moment, so that one server does for many tests."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def answer(self, question: str, history: Sequence[BaseMessage] = (), **more: Any) -> Answer:
        return self._script.assistant.answer(question, history, **more)


def served(script: Script, **given: Any) -> Services:
    """The script's services with the assistant that it has when it is asked; what is `given` differs."""
    return replace(script.services(), assistant=Front(script), **given)
