"""The sentences of passages that may answer a question, the likeliest first.

A sentence is read under its heading and after the sentence that it leans on, and scored by its words; the
most promising ones also by their meaning. It does not know what is done with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag.expected import expected
from rag.rows import named_rows
from rag.sentences import split_sentences
from rag.terms import coverage, term_set, term_weights

LONGEST_SENTENCE = 394  # characters; what is longer is cut at a clause, else at a word
READ = 6  # sentences that are embedded for a question; with 8, one answer in 500 gains
_LONGEST_HEADING = 80  # characters

# Logits, fitted by scripts/fit_extractive.py: the cosine, and what `features` tells.
_COSINE = 10.7
_WEIGHTS = np.array([3.5, 2.4, 2.1, -4.9, -7.2])

_CLOSED = re.compile(r"[.!?…:;,。！？][\"'”’»)\]]*$")
_ASKS = re.compile(r"[?？][\"'”’»)\]]*$")
# A pronoun that begins the sentence, or that follows a word such as "from" with nothing named in between.
_PRONOUN = r"(?:it|its|he|his|him|she|hers?|they|them|their|this|these|those|such|both)\b"
_OPENS = (
    r"(?:after|at|before|behind|by|for|from|in|inside|on|since|to|until|with"
    r"|but|and|then|so|also|afterwards)\b"
)
_LEANS = re.compile(
    rf"\W*(?:{_PRONOUN}|{_OPENS}(?:\W+(?!(?:the|an?|our|your)\b)\w+){{0,4}}?\W+{_PRONOUN})", re.IGNORECASE
)


@dataclass(frozen=True)
class Sentence:
    """One of a passage's sentences, and what it stands under and after."""

    text: str  # white space normalised
    number: int  # of its passage, from 1
    place: int  # among that passage's sentences
    title: str = ""  # its document's
    heading: str = ""  # the nearest above it
    before: str = ""  # the sentence before it, under the same heading
    is_heading: bool = False
    row: str = ""  # of a table's row: its values, each with its column's name

    @property
    def quote(self) -> str:
        """As it is quoted."""
        return self.row or self.text

    @cached_property
    def own(self) -> frozenset[str]:
        """Its terms."""
        return term_set(self.text)

    @cached_property
    def known(self) -> frozenset[str]:
        """Its terms and those that it stands under."""
        return self.own | term_set(f"{self.title} {self.heading}")

    @property
    def leans(self) -> bool:
        """Whether it says too little without the sentence before: a pronoun, or the answer in a dialogue."""
        return bool(self.before and (_ASKS.search(self.before) or _LEANS.match(self.text)))

    @property
    def in_context(self) -> str:
        """What is embedded: the sentence after what says what it is about."""
        if self.leans and (_ASKS.search(self.before) or not self.heading):
            return f"{self.before} {self.text}"
        return f"{self.heading}: {self.text}" if self.heading else self.text


@dataclass(frozen=True)
class Scored:
    sentence: Sentence
    score: float  # logits
    coverage: float  # of the question, by the sentence and what it stands under, 0 to 1
    together: float  # the same with the sentence before
    cosine: float = 0.0  # of the question and the sentence in its context; 0 where nothing is embedded


def promising(question: str, found: Sequence[Sentence], embedder: Embeddings | None = None) -> list[Scored]:
    """The READ best of them, best first; without an embedder by their words alone."""
    best = _by_words(question, found)[:READ]
    if embedder is None or not best:
        return best
    vectors = np.asarray(embedder.embed_documents([each.sentence.in_context for each in best]))
    cosines = vectors @ np.asarray(embedder.embed_query(question))
    scored = [
        replace(each, score=each.score + _COSINE * float(cosine), cosine=float(cosine))
        for each, cosine in zip(best, cosines, strict=True)
    ]
    return sorted(scored, key=lambda each: -each.score)


def sentences(documents: Sequence[Document]) -> list[Sentence]:
    """Every sentence of the passages that has a word, once though passages overlap."""
    found: dict[str, Sentence] = {}
    for number, document in enumerate(documents, 1):
        for sentence in _of_passage(number, document):
            if sentence.own:
                found.setdefault(sentence.text, sentence)
    return list(found.values())


def _of_passage(number: int, document: Document) -> Iterator[Sentence]:
    title, heading = (document.metadata.get(key) or "" for key in ("title", "section"))
    before = ""
    texts = split_sentences(document.page_content, LONGEST_SENTENCE)
    rows = named_rows(document.page_content) if "|" in document.page_content else {}
    for place, text in enumerate(texts):
        is_heading = place + 1 < len(texts) and _looks_like_heading(text)
        yield Sentence(text, number, place, title, heading, before, is_heading, rows.get(text, ""))
        heading, before = (text, "") if is_heading else (heading, text)


def _looks_like_heading(text: str) -> bool:
    return len(text) <= _LONGEST_HEADING and not _CLOSED.search(text) and not any(map(str.isdigit, text))


def features(question: str, found: Sequence[Sentence]) -> NDArray[np.float64]:
    """(sentences, 5), what can be told without the embedder. Each column is from 0 to 1:

    the coverage of the question by the sentence and what it stands under, the same with the sentence before,
    whether it shows the kind of thing that is asked for, whether it is a heading, and whether it asks, or
    announces, with no word more than the question and its heading have.
    """
    weights = term_weights(question, [each.own for each in found])
    asked, shown = term_set(question), expected(question)
    rows = []
    for each in found:
        together = each.known | term_set(each.before)
        announces = not _CLOSED.search(each.text) and each.own <= asked | each.known - each.own
        rows.append(
            (
                coverage(weights, each.known),
                coverage(weights, together),
                bool(shown and shown.search(each.text)),
                each.is_heading,
                announces or bool(_ASKS.search(each.text)),
            )
        )
    return np.array(rows, dtype=np.float64)


def _by_words(question: str, found: Sequence[Sentence]) -> list[Scored]:
    """Best first, without the embedder; equal ones as their passages rank."""
    rows = features(question, found)
    scored = [
        Scored(each, float(row @ _WEIGHTS), coverage=float(row[0]), together=float(row[1]))
        for each, row in zip(found, rows, strict=True)
    ]
    return sorted(scored, key=lambda each: -each.score)
