"""ExtractiveQA: answers without a language model, in the words of the documents.

It takes what `rag.chains.RetrievalQA` takes and gives what that gives. The one or two sentences of the
retrieved passages that lie nearest to the question are quoted, each with its citation; of two things that
it compares, the nearest about each. A sentence is read
under its heading and after the sentence that it leans on. It does not know the index, and it writes nothing
of its own but NOT_FOUND.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForChainRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from rag.cancel import current
from rag.comparison import sides
from rag.expected import expected
from rag.heard import apart
from rag.languages import not_found
from rag.prompts import NOT_FOUND
from rag.sentences import split_sentences
from rag.terms import coverage, question_words, term_set, term_weights

__all__ = ["LONGEST_ANSWER", "NOT_FOUND", "ExtractiveQA"]

LONGEST_ANSWER = 400  # characters, citations included
_LONGEST_SENTENCE = LONGEST_ANSWER - len(" [100]")
_LONGEST_HEADING = 80  # characters
_READ = 6  # sentences that are embedded for a question; with 8, one answer in 500 gains

# Logits, fitted by scripts/fit_extractive.py: the cosine, and what `features` tells.
_COSINE = 10.7
_WEIGHTS = np.array([3.5, 2.4, 2.1, -4.9, -7.2])
_SECOND, _ADDS = 0.5, 3.0  # how much worse a second sentence may be; if it has a word of the question more

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
class _Scored:
    sentence: Sentence
    score: float  # logits


class ExtractiveQA(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Question answering by quotation.

    `invoke({"query": …})` → {"query", "result", "source_documents"}; `stream` of the same gives
    {"source_documents": […]} once, then {"result": piece}…, whose pieces make up the result. It is at most
    two sentences and LONGEST_ANSWER characters, each sentence with its passage's number as " [n]"; or it is
    NOT_FOUND, with no documents, where the retriever gives none. "chat_history" is not looked at: a
    follow-up has been made a question of its own before. Optional are "language", a code, for NOT_FOUND, and
    "heard", places ([source, start, end]…) that were not meant: what is elsewhere is quoted, if there is any.

    Raises Cancelled when `rag.cancel.current()` is cancelled, and stands still while that is held.
    """

    retriever: BaseRetriever = Field(exclude=True)
    embedder: Embeddings | None = Field(default=None, exclude=True)  # None: words alone decide

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def invoke(
        self, input: dict[str, Any] | str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        inputs = _inputs(input)
        return self._call_with_config(self._collect, inputs, config)

    def stream(
        self, input: dict[str, Any] | str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        inputs = iter([_inputs(input)])
        yield from self._transform_stream_with_config(inputs, self._transform, config)

    def _collect(
        self, inputs: dict[str, Any], run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> dict[str, Any]:
        parts = list(self._answer(inputs, config))
        result = "".join(part.get("result", "") for part in parts)
        return {**inputs, "result": result, "source_documents": parts[0]["source_documents"]}

    def _transform(
        self,
        inputs: Iterator[dict[str, Any]],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> Iterator[dict[str, Any]]:
        for each in inputs:
            yield from self._answer(each, config)

    def _answer(self, inputs: dict[str, Any], config: RunnableConfig) -> Iterator[dict[str, Any]]:
        current().checkpoint()
        question = inputs["query"]
        fresh, known = apart(self.retriever.invoke(question, config), inputs.get("heard") or ())
        documents = [*fresh, *known]
        found = sentences(documents)
        yield {"source_documents": documents if found else []}
        unheard = [each for each in found if each.number <= len(fresh)]
        text = self._text(question, unheard or found) if found else not_found(inputs.get("language"))
        for piece in re.findall(r"\s*\S+", text):
            current().checkpoint()
            yield {"result": piece}

    def _text(self, question: str, found: Sequence[Sentence]) -> str:
        current().checkpoint()
        return self._compared(question, found) or _quote(question, self._ranked(question, found))

    def _compared(self, question: str, found: Sequence[Sentence]) -> str:
        """The best sentence about each thing that is compared; empty: none is, or there is no room."""
        best = [self._ranked(side, found)[0].sentence for side in sides(question)]
        text = " ".join(dict.fromkeys(map(_cited, best)))
        return text if len(text) <= LONGEST_ANSWER else ""

    def _ranked(self, question: str, found: Sequence[Sentence]) -> list[_Scored]:
        """The most promising sentences, best first."""
        return self._by_meaning(question, _by_words(question, found)[:_READ])

    def _by_meaning(self, question: str, promising: Sequence[_Scored]) -> list[_Scored]:
        cosines = np.zeros(len(promising))
        if self.embedder is not None:
            texts = [each.sentence.in_context for each in promising]
            vectors = np.asarray(self.embedder.embed_documents(texts))
            cosines = vectors @ np.asarray(self.embedder.embed_query(question))
        scored = [
            _Scored(e.sentence, e.score + _COSINE * float(c)) for e, c in zip(promising, cosines, strict=True)
        ]
        return sorted(scored, key=lambda each: -each.score)


def _inputs(input: dict[str, Any] | str) -> dict[str, Any]:
    inputs = input if isinstance(input, dict) else {"query": input}
    if "query" not in inputs:
        raise ValueError('The question is missing. Give it as {"query": …}.')
    return inputs


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
    texts = split_sentences(document.page_content, _LONGEST_SENTENCE)
    for place, text in enumerate(texts):
        is_heading = place + 1 < len(texts) and _looks_like_heading(text)
        yield Sentence(text, number, place, title, heading, before, is_heading)
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


def _by_words(question: str, found: Sequence[Sentence]) -> list[_Scored]:
    """Best first, without the embedder; equal ones as their passages rank."""
    scores = features(question, found) @ _WEIGHTS
    scored = [_Scored(each, float(score)) for each, score in zip(found, scores, strict=True)]
    return sorted(scored, key=lambda each: -each.score)


def _quote(question: str, scored: Sequence[_Scored]) -> str:
    """The best sentence after what it leans on, or else with the next one if that is nearly as good."""
    best = scored[0].sentence
    room = LONGEST_ANSWER - len(_cited(best)) - 1
    before = replace(best, text=best.before)
    if best.leans and len(_cited(before)) <= room:
        return f"{_cited(before)} {_cited(best)}"
    missing = [word.terms for word in question_words(question) if word.terms.isdisjoint(best.known)]
    for other in scored[1:]:
        adds = any(not forms.isdisjoint(other.sentence.own) for forms in missing)
        allowed = _ADDS if adds else _SECOND
        near = other.score >= scored[0].score - allowed
        if near and len(_cited(other.sentence)) <= room and not _repeats(other.sentence, best):
            return " ".join(_cited(each) for each in _in_reading_order(best, other.sentence))
    return _cited(best)


def _in_reading_order(best: Sentence, other: Sentence) -> tuple[Sentence, Sentence]:
    first = other.number == best.number and other.place < best.place
    return (other, best) if first else (best, other)


def _cited(sentence: Sentence) -> str:
    return f"{sentence.text} [{sentence.number}]"


def _repeats(one: Sentence, other: Sentence) -> bool:
    """Whether one holds hardly more words than the other: a sentence that a chunk's edge has cut."""
    return one.own <= other.own or other.own <= one.own
