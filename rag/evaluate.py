"""Measures retrieval and answers on questions whose answers are known.

What each figure means is in docs/retrieval.md. It does not know how the passages are found, nor which chain
answers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import Document

from rag.cancel import current
from rag.prompts import says_unknown

CUTS = (1, 4, 5, 10)  # the k of recall@k; the mean reciprocal rank looks at as many as the last
BUDGET = 1200  # characters that recall@k looks at for each of its k chunks, so that bigger chunks win nothing

_CITATION = re.compile(r"\s*\[\d{1,3}\]")
_REMEDY = 'Each line is one object such as {"id": "1", "question": "…", "source": "a.txt", "pages": [2]}.'
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (lambda value: isinstance(value, str | int), "text or a number"),
    "question": (lambda value: isinstance(value, str) and bool(value.strip()), "text that is not empty"),
    "source": (lambda value: isinstance(value, str), "text, the document's name"),
    "pages": (lambda value: _is_list(value, _is_number), "a list of page numbers"),
    "spans": (lambda value: _is_list(value, _is_span), "a list of [start, end] offsets"),
    "answers": (lambda value: _is_list(value, lambda each: isinstance(each, str)), "a list of texts"),
    "answerable": (lambda value: isinstance(value, bool), "true or false"),
}

Progress = Callable[[int, int, str], None]  # done, of how many, what


class QuestionsError(Exception):
    """A file of questions that cannot be used; the message names the line, what is wrong, and the form."""


class Searcher(Protocol):
    """What is measured for retrieval; `rag.retriever.HybridRetriever` is one."""

    def search(self, query: str, k: int) -> list[Document]: ...


class Chain(Protocol):
    """What is measured for answers."""

    def invoke(self, input: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Row:
    """One question and what is known of its answer; an empty field is not known."""

    id: str
    question: str
    source: str = ""
    pages: tuple[int, ...] = ()  # 1-based
    spans: tuple[tuple[int, int], ...] = ()  # offsets in the source's text
    answers: tuple[str, ...] = ()  # any of them will do
    answerable: bool | None = None  # whether the documents have the answer

    @property
    def tests_retrieval(self) -> bool:
        return bool(self.source) and self.answerable is not False

    @property
    def tests_answer(self) -> bool:
        return bool(self.answers) and self.answerable is not False


def read_questions(path: Path) -> list[Row]:
    """The rows of a file of JSON lines; keys that are not a Row's are left alone.

    Raises QuestionsError, which names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise QuestionsError(f"{path} cannot be read: {reason}. {_REMEDY}") from error
    rows = [_row(line, f"{path}, line {n}", str(n)) for n, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise QuestionsError(f"{path} has no questions. {_REMEDY}")
    return rows


def _row(line: str, place: str, number: str) -> Row:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise QuestionsError(f"{place} is not JSON: {error}. {_REMEDY}") from error
    if not isinstance(given, dict) or "question" not in given:
        raise QuestionsError(f"{place} has no question. {_REMEDY}")
    known = {key: value for key, value in given.items() if key in _CHECKS and value is not None}
    for key, value in known.items():
        valid, wanted = _CHECKS[key]
        if not valid(value):
            raise QuestionsError(f"{place}: {key} must be {wanted}. {_REMEDY}")
    if ("pages" in known or "spans" in known) and not known.get("source"):
        raise QuestionsError(f"{place} has pages or spans, but no source that they are in. {_REMEDY}")
    return Row(
        id=str(known.get("id", number)),
        question=known["question"],
        source=known.get("source", ""),
        pages=tuple(known.get("pages", ())),
        spans=tuple((start, end) for start, end in known.get("spans", ())),
        answers=tuple(known.get("answers", ())),
        answerable=known.get("answerable"),
    )


def _is_list(value: object, valid: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(valid(each) for each in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_span(value: object) -> bool:
    return _is_list(value, _is_number) and isinstance(value, list) and len(value) == 2 and value[0] < value[1]


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
        measured.append(_measure(row, retriever, chain))
    if progress is not None:
        progress(len(rows), len(rows), "")
    return _summary(rows, measured, time.perf_counter() - began)


@dataclass(frozen=True)
class _Measured:
    seconds: float  # until the answer was complete; without one, until the passages were found
    found: tuple[bool, ...] | None = None  # for each of CUTS
    reciprocal_rank: float | None = None
    contains: bool | None = None
    abstained: bool | None = None


def _measure(row: Row, retriever: Searcher, chain: Chain) -> _Measured:
    contains = abstained = found = reciprocal = answered = None
    began = time.perf_counter()
    if row.tests_answer or row.answerable is not None:
        output = chain.invoke({"query": row.question, "chat_history": []})
        answered = time.perf_counter() - began
        text = str(output["result"])
        contains = _contains(text, row.answers) if row.tests_answer else None
        abstained = _abstained(text, output.get("source_documents")) if row.answerable is not None else None
    if row.tests_retrieval:
        documents = retriever.search(row.question, max(CUTS))
        found = tuple(_found(row, documents, k) for k in CUTS)
        reciprocal = _reciprocal_rank(row, documents)
    seconds = time.perf_counter() - began if answered is None else answered
    return _Measured(seconds, found, reciprocal, contains, abstained)


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


def _reciprocal_rank(row: Row, documents: Sequence[Document]) -> float:
    ranks = (n for n, each in enumerate(documents, 1) if _relevant(row, each, len(each.page_content)))
    return 1 / next(ranks, float("inf"))


def _contains(text: str, answers: Sequence[str]) -> bool:
    """Whether an answer occurs, letter case, white space and citations aside."""
    given = _plain(_CITATION.sub("", text))
    return any(_plain(answer) in given for answer in answers)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _abstained(text: str, documents: Sequence[Document] | None) -> bool:
    """Whether the answer is that there is none: no passage was good enough, or it says so."""
    return (documents is not None and not documents) or says_unknown(text)


def _summary(rows: Sequence[Row], measured: Sequence[_Measured], seconds: float) -> dict[str, Any]:
    found = [each.found for each in measured if each.found is not None]
    refused = {
        name: [m.abstained for row, m in zip(rows, measured, strict=True) if row.answerable is answerable]
        for name, answerable in (("answerable", True), ("unanswerable", False))
    }
    milliseconds = [each.seconds * 1000 for each in measured]
    return {
        "questions": len(rows),
        "recall": {str(k): _mean([each[n] for each in found]) for n, k in enumerate(CUTS)},
        "mrr": _mean([each.reciprocal_rank for each in measured]),
        "answer_contains": _mean([each.contains for each in measured]),
        "abstained": {name: _mean(values) for name, values in refused.items()},
        "seconds": round(seconds, 3),
        "p50_ms": _quantile(milliseconds, 0.5),
        "p95_ms": _quantile(milliseconds, 0.95),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.quantile(values, share)), 1) if values else None
