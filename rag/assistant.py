"""Assistant: a question and its history → one stream of events, which the page, the voice and the CLI all read."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_core.documents import Document


@dataclass(frozen=True)
class Standalone:
    """The question as it was understood: a follow-up made complete, else the question itself."""

    question: str
    rewritten: bool = False


@dataclass(frozen=True)
class Sources:
    """The passages the answer is made from, best first; number n in the text is the n-th of them, from 1.

    Each is a Document whose metadata holds source, page (or None), start, end, title, section, score (0 to 1).
    """

    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Notice:
    """Something the person should know: a passage dropped for the window, an engine that fell back, indexing."""

    message: str


@dataclass(frozen=True)
class Token:
    """The next piece of the answer's text; citations are part of it, as " [2]"."""

    text: str


@dataclass(frozen=True)
class Replaced:
    """What follows replaces all tokens so far: a model failed in the middle."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The whole answer. Not sent when the answer was closed before its end."""

    text: str
    answered: bool  # False: nothing above the floor, or the answer says that it does not know
    citations: tuple[int, ...] = ()  # the numbers that occur in the text, in order of first use
    confidence: float = 0.0  # the best passage's calibrated score, 0 to 1
    timings: dict[str, float] = field(default_factory=dict)  # seconds: standalone, retrieval, first_token, total
    engine: str = ""  # which language model wrote it


Event = Standalone | Sources | Notice | Token | Replaced | Done
