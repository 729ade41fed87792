"""Measures retrieval and answers on questions whose answers are known.

What each figure means is in docs/retrieval.md. It does not know how the passages are found, nor which chain
answers, nor whether a question was typed or heard.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import Document

from rag.cancel import current
from rag.prompts import says_unknown
from rag.questions import QuestionsError, Row, read_questions

__all__ = [
    "BUDGET",
    "CUTS",
    "Chain",
    "Measured",
    "Place",
    "Progress",
    "QuestionsError",
    "Row",
    "Searcher",
    "evaluate",
    "figures",
    "measure",
    "read_questions",
]

CUTS = (1, 4, 5, 10)  # the k of recall@k; the mean reciprocal rank looks at as many as the last
BUDGET = 1200  # characters that recall@k looks at for each of its k chunks, so that bigger chunks win nothing

_CITATION = re.compile(r"\s*\[\d{1,3}\]")

Progress = Callable[[int, int, str], None]  # done, of how many, what


class Searcher(Protocol):
    """What is measured for retrieval; `rag.retriever.HybridRetriever` is one."""

    def search(self, query: str, k: int) -> list[Document]: ...
    def probability(self, query: str) -> float: ...


class Chain(Protocol):
    """What is measured for answers."""

    def invoke(self, input: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Place:
    """A passage that was found."""

    source: str
    page: int | None
    start: int
    end: int
    score: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What one question came to; what its row does not tell is None."""

    row: Row
    seconds: float  # until the answer was complete; without one, until the passages were found
    found: tuple[bool, ...] | None = None  # whether a relevant chunk is among the first k, for k from 1 to 10
    rank: int | None = None  # of the first relevant chunk, from 1; None also where there is none
    answer: str | None = None
    answered: bool | None = None  # False: it was refused
    contains: bool | None = None  # whether the answer has the one that is known
    places: tuple[Place, ...] = ()  # the passages found, best first
    probability: float = 0.0  # that the documents answer, as the retriever judges; of what was asked

    @property
    def reciprocal_rank(self) -> float | None:
        if self.found is None:
            return None
        return 1 / self.rank if self.rank else 0.0


def evaluate(
    rows: Sequence[Row], retriever: Searcher, chain: Chain, progress: Progress | None = None
) -> dict[str, Any]:
    """Every figure of `eval`; None where no row tells.

    The chain is asked only where a row has answers or says whether it is answerable.
    """
    began = time.perf_counter()
    measured = []
    for done, row in enumerate(rows):
        current().raise_if_cancelled()
        if progress is not None:
            progress(done, len(rows), row.id)
        measured.append(measure(row, retriever, chain))
    if progress is not None:
        progress(len(rows), len(rows), "")
    return figures(measured, time.perf_counter() - began)


def measure(row: Row, retriever: Searcher, chain: Chain, *, always_ask: bool = False) -> Measured:
    """Ask one question. `always_ask`: also for an answer that nothing is known of."""
    answer = answered = contains = found = rank = asked = None
    documents: Sequence[Document] = ()
    began = time.perf_counter()
    if always_ask or row.tests_answer or row.answerable is not None:
        output = chain.invoke({"query": row.question, "chat_history": []})
        asked = time.perf_counter() - began
        answer = str(output["result"])
        documents = output.get("source_documents") or ()
        answered = not _abstained(answer, output.get("source_documents"))
        contains = _contains(answer, row.answers) if row.tests_answer else None
    if row.tests_retrieval:
        documents = retriever.search(row.question, max(CUTS))
        found = tuple(_found(row, documents, k) for k in range(1, max(CUTS) + 1))
        rank = _rank(row, documents)
    seconds = time.perf_counter() - began if asked is None else asked
    places = tuple(_place(document) for document in documents)
    probability = 0.0 if asked is None else retriever.probability(row.question)
    return Measured(row, seconds, found, rank, answer, answered, contains, places, probability)


def figures(measured: Sequence[Measured], seconds: float) -> dict[str, Any]:
    """The figures over all questions; `seconds` is what measuring them took."""
    milliseconds = [each.seconds * 1000 for each in measured]
    return {
        "questions": len(measured),
        "recall": {
            str(k): mean([each.found[k - 1] for each in measured if each.found is not None]) for k in CUTS
        },
        "mrr": mean([each.reciprocal_rank for each in measured]),
        "answer_contains": mean([each.contains for each in measured]),
        "abstained": {
            name: mean([refused(each) for each in measured if each.row.answerable is answerable])
            for name, answerable in (("answerable", True), ("unanswerable", False))
        },
        "seconds": round(seconds, 3),
        "p50_ms": _quantile(milliseconds, 0.5),
        "p95_ms": _quantile(milliseconds, 0.95),
    }


def refused(measured: Measured) -> bool | None:
    """Whether it was not answered; None where it was not asked for an answer."""
    return None if measured.answered is None else not measured.answered


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known, rounded; None where none is."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def _found(row: Row, documents: Sequence[Document], k: int) -> bool:
    """Whether a relevant chunk is among the first k, of which k * BUDGET characters are read."""
    room = k * BUDGET
    for document in documents[:k]:
        read = min(room, len(document.page_content))
        if read > 0 and _relevant(row, document, read):
            return True
        room -= read
    return False


def _relevant(row: Row, document: Document, read: int) -> bool:
    """Whether the first `read` characters of this chunk are from the right place."""
    at = document.metadata
    if at["source"] != row.source or (row.pages and at["page"] not in row.pages):
        return False
    start, end = at["start"], min(at["end"], at["start"] + read)
    return not row.spans or any(start < last and end > first for first, last in row.spans)


def _rank(row: Row, documents: Sequence[Document]) -> int | None:
    ranks = (n for n, each in enumerate(documents, 1) if _relevant(row, each, len(each.page_content)))
    return next(ranks, None)


def _place(document: Document) -> Place:
    at = document.metadata
    score = float(at.get("score", 0.0))
    return Place(at["source"], at["page"], at["start"], at["end"], round(score, 4))


def _contains(text: str, answers: Sequence[str]) -> bool:
    """Whether an answer occurs, letter case, white space and citations aside."""
    given = _plain(_CITATION.sub("", text))
    return any(_plain(answer) in given for answer in answers)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _abstained(text: str, documents: Sequence[Document] | None) -> bool:
    """Whether the answer is that there is none: no passage was good enough, or it says so."""
    return (documents is not None and not documents) or says_unknown(text)


def _quantile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 1) if values else None
