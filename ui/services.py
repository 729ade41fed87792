"""What the page needs from the rest, as plain interfaces. It knows no engine, no setting and no web."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from langchain_core.messages import BaseMessage

from rag.assistant import Event
from rag.questions import Row
from rag.store import Page, Source
from speech.audio import AudioChunk, Samples
from speech.outside import Words


class UiError(Exception):
    """Something a person asked the page for cannot be done; the message says why and what to do."""


class Answer(Protocol):
    """One answer on its way; `close` ends it from any thread, any number of times."""

    def __iter__(self) -> Iterator[Event]: ...

    def close(self) -> None: ...

    def pause(self) -> None:
        """The work stands still until `resume`."""

    def resume(self) -> None: ...


class Assistant(Protocol):
    def answer(
        self,
        question: str,
        history: Sequence[BaseMessage] = (),
        *,
        language: str | None = None,
        collection: str = "",
    ) -> Answer:
        """`language`: the one that was heard, a code; None: unknown. `collection`: the only one searched."""


State = Literal["waiting", "reading", "ready", "failed"]


@dataclass(frozen=True)
class LibraryItem:
    """One document as the page lists it."""

    source: str
    state: State
    title: str = ""
    reason: str = ""  # why it failed, and what to do
    pages: int = 0
    chunks: int = 0
    origin: str = ""  # the corpus folder, "upload" or "url"
    copy_of: str = ""  # the document with the same content that is found in its stead
    notice: str = ""  # what of it was not read, and what to do


@dataclass(frozen=True)
class Progress:
    """How far the indexing that runs now has come."""

    done: int
    total: int
    what: str = ""
    seconds_left: float | None = None  # None: too early to say


class Library(Protocol):
    """The documents. `add_…` and `remove` take their time; the rest is quick. Any thread may call them.

    They raise an error whose message is for the person.
    """

    def items(self) -> Sequence[LibraryItem]: ...

    def progress(self) -> Progress | None: ...

    def collections(self) -> Sequence[str]:
        """What a question can be limited to."""

    def watching(self) -> str:
        """What a person should know of how changes in the folders are noticed; empty if at once."""

    def add_file(self, path: Path, name: str) -> object: ...

    def add_url(self, url: str) -> object: ...

    def remove(self, source: str) -> object: ...


class Transcript(Protocol):
    @property
    def text(self) -> str: ...

    @property
    def language(self) -> str | None: ...

    @property
    def engine(self) -> str: ...


class Speaker(Protocol):
    """Speaks one answer: feed its text, iterate over its sound in another thread (`speech.turn.Speaker`)."""

    def feed(self, piece: str, remark: str = "") -> None:
        """`remark`: said before the sentence that the piece begins, though it is no part of the text."""

    def finish(self) -> None:
        """No more text comes; what was fed is spoken to its end."""

    def pause(self) -> None:
        """Nothing is synthesised until `resume`."""

    def resume(self) -> None: ...

    def stop(self) -> None:
        """Silence, from any thread, any number of times."""

    def __iter__(self) -> Iterator[AudioChunk]: ...


@dataclass(frozen=True)
class Voice:
    """A voice engine the person can choose."""

    name: str  # "" is the one that the settings choose
    label: str
    note: str = ""  # what choosing it means, e.g. that text leaves this machine
    speaks: str = ""  # the engine that speaks for it now
    why: str = ""  # why, if that is another one


@dataclass(frozen=True)
class SpeakRequest:
    """How an answer is to be spoken."""

    voice: str  # the name of a `Voice`
    speed: float  # 0.5 to 2
    question: str  # a hint at the answer's language
    on_notice: Callable[
        [str], None
    ]  # a sentence for the person: another voice took over, nothing could be spoken
    language: str | None = None  # the one that the person spoke


@dataclass(frozen=True)
class Listening:
    """How the live conversation listens: seconds, from the settings."""

    quickest: float = 0.4  # of silence after a finished question
    longest: float = 1.8  # of silence after anything
    interrupt: float = 0.4  # of speech over an answer


@dataclass(frozen=True)
class EngineState:
    """One engine in force, for the line that says what is active."""

    kind: Literal["llm", "embedder", "asr", "tts"]
    name: str  # "" where it is not known yet
    state: Literal["loading", "ready", "failed", "weak", "asking"]  # asking: a download waits for consent
    why: str = ""
    remedy: str = ""  # how to get another or a better one


@dataclass(frozen=True)
class ModelOffer:
    """A language model that makes sense on this server."""

    name: str
    note: str


@dataclass(frozen=True)
class ModelProspect:
    """What choosing a language model would mean."""

    name: str
    text: str
    download: int  # bytes; whoever chooses it agrees to them
    in_force: bool = False  # it answers already: there is nothing to choose


@dataclass(frozen=True)
class ModelState:
    """The language model that answers, and the one on its way."""

    name: str
    where: str = ""
    coming: str = ""  # the name of the one on its way; empty: none
    text: str = ""  # how far that is
    done: int = 0
    total: int = 0  # 0: it cannot be said
    asks: int = 0  # bytes of a download that waits for consent
    error: str = ""  # why the one that was chosen last does not answer


class Models(Protocol):
    """The language model. `look` takes seconds, and raises an error whose message is for the person."""

    def state(self) -> ModelState: ...

    def offers(self) -> Sequence[ModelOffer]: ...

    def look(self, name: str) -> ModelProspect: ...

    def choose(self, name: str, agreed: int) -> None:
        """Begin to open it. `agreed`: bytes that the person agrees to download."""

    def agree(self) -> None:
        """To the download that waits for consent."""

    def cancel(self) -> None:
        """Leave the one on its way."""


@dataclass(frozen=True)
class Choice:
    """A setting whose other values can be compared with the one in force."""

    name: str
    label: str
    now: str
    values: tuple[str, ...] = ()  # empty: any number from `least` to `most`
    least: float = 0
    most: float = 0
    step: float = 1
    spoken: bool = False  # matters to spoken questions alone

    def allows(self, value: str) -> bool:
        if self.values:
            return value in self.values
        try:
            return self.least <= float(value) <= self.most and (self.step < 1 or float(value).is_integer())
        except ValueError:
            return False


@dataclass(frozen=True)
class Trial:
    """What to measure."""

    rows: Sequence[Row]
    changes: Mapping[
        str, str
    ]  # the second setting: names of `Choice`s and their values; empty: there is none
    spoken: bool
    noise: float | None  # dB that the voice is above the noise


Told = Callable[[int, int, str], None]  # done, of how many, what


class Evaluation(Protocol):
    """Measuring on questions. `run` and `propose` take minutes; `rag.cancel`'s token ends them.

    They raise an error whose message is for the person.
    """

    def choices(self) -> Sequence[Choice]: ...

    def mute(self) -> str:
        """Why no question can be spoken; empty where it can."""

    def sample(self) -> Sequence[Row]:
        """Questions about the sample documents; empty where those are not there."""

    def run(self, trial: Trial, told: Told, busy: Callable[[], bool]) -> dict[str, Any]:
        """The record of what was measured, as `evaluation.reporting` makes it. `busy`: people go first."""

    def propose(self, count: int, without: Collection[str], told: Told) -> Sequence[Row]:
        """Questions from the documents, other ones than `without`."""


@dataclass(frozen=True)
class Services:
    """Everything behind the page. `speak` and `transcribe` raise an error whose message is for the person."""

    assistant: Assistant
    library: Library
    pages: Callable[[str], Sequence[Page]]  # a source's text, page by page; empty if it is unknown
    transcribe: Callable[[bytes, str | None, Callable[[], bool]], Transcript]
    """A recording in any format, a language or None, and whether nobody waits any more (asked often)."""
    hear: Callable[[Samples, str | None, Callable[[], bool]], Transcript]
    """An utterance at 16 kHz, a language or None, and whether nobody waits any more (asked often)."""
    live: Callable[[Callable[[str], None], str | None], Words | None]
    """Tells the words of an utterance while it is spoken; None where the recogniser cannot."""
    speak: Callable[[SpeakRequest], Speaker]
    voices: Callable[[], Sequence[Voice]]  # the first is the default; empty: there is no voice
    engines: Callable[[], Sequence[EngineState]]
    suggestions: Callable[[], Sequence[str]]
    data: Path  # the folder of parley.db, feedback.jsonl, questions, results, and what is being uploaded
    evaluation: Evaluation
    models: Models
    ocr: str = "none"  # the languages in which scans are read
    record: Callable[[str], Source | None] = lambda source: None  # what the index knows of a document's file
    users: Mapping[str, str] = field(default_factory=dict, repr=False)  # user → password; empty: no sign-in
    local_only: bool = (
        True  # served on loopback: a page under any other host name is refused, but for `hosts`
    )
    listening: Listening = Listening()
    api_key: str = field(default="", repr=False)  # that programs show; empty: only those of this machine
    hosts: Sequence[str] = ()  # the public host names of a reverse proxy, without scheme and port
