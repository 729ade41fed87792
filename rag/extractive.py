"""ExtractiveQA: answers without a language model, in the words of the documents.

It takes what `rag.chains.RetrievalQA` takes and gives what that gives. The one or two sentences of the
retrieved passages that lie nearest to the question are quoted, each with its citation. It does not know the
index, and it writes nothing of its own but NOT_FOUND.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForChainRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, Field

from rag.cancel import current
from rag.prompts import NOT_FOUND
from rag.sentences import split_sentences
from rag.terms import coverage, term_weights, terms

__all__ = ["LONGEST_ANSWER", "NOT_FOUND", "ExtractiveQA"]

LONGEST_ANSWER = 400  # characters, citations included
_LONGEST_SENTENCE = LONGEST_ANSWER - len(" [100]")
_READ = 6  # sentences that are embedded for a question; with 8, one answer in 500 gains
_COSINE, _COVERAGE, _CONTEXT = 6.9, 4.3, 1.3  # logistic regression, see docs/retrieval.md
_LAST = 20.0  # logits less for what only asks or announces: nothing comes behind it
_SECOND = 2.5  # a second sentence may be this many logits below the best one
_CLOSED = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")
_ASKS = re.compile(r"[?？][\"'”’»)\]]*$")


@dataclass(frozen=True)
class _Sentence:
    text: str  # white space normalised
    number: int  # of its passage, from 1
    place: int  # among that passage's sentences
    own: frozenset[str]  # its terms
    heading: frozenset[str]  # those of the passage's title and section
    before: frozenset[str]  # those of the sentence before it


@dataclass(frozen=True)
class _Scored:
    sentence: _Sentence
    words: float  # logits, from its words alone
    score: float = 0.0  # logits, with the cosine


class ExtractiveQA(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Question answering by quotation.

    `invoke({"query": …})` → {"query", "result", "source_documents"}; `stream` of the same gives
    {"source_documents": […]} once, then {"result": piece}…, whose pieces make up the result. It is at most
    two sentences and LONGEST_ANSWER characters, each sentence with its passage's number as " [n]"; or it is
    NOT_FOUND, with no documents, where the retriever gives none. "chat_history" is not looked at: a
    follow-up has been made a question of its own before.

    Raises Cancelled when `rag.cancel.current()` is cancelled.
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
        parts = list(self._answer(inputs["query"], config))
        result = "".join(part.get("result", "") for part in parts)
        return {**inputs, "result": result, "source_documents": parts[0]["source_documents"]}

    def _transform(
        self,
        inputs: Iterator[dict[str, Any]],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> Iterator[dict[str, Any]]:
        for each in inputs:
            yield from self._answer(each["query"], config)

    def _answer(self, question: str, config: RunnableConfig) -> Iterator[dict[str, Any]]:
        current().raise_if_cancelled()
        documents = self.retriever.invoke(question, config)
        sentences = _sentences(documents)
        yield {"source_documents": documents if sentences else []}
        for piece in re.findall(r"\s*\S+", self._text(question, sentences)):
            current().raise_if_cancelled()
            yield {"result": piece}

    def _text(self, question: str, sentences: Sequence[_Sentence]) -> str:
        if not sentences:
            return NOT_FOUND
        current().raise_if_cancelled()
        return _quote(self._by_meaning(question, _by_words(question, sentences)[:_READ]))

    def _by_meaning(self, question: str, promising: Sequence[_Scored]) -> list[_Scored]:
        cosines = np.zeros(len(promising))
        if self.embedder is not None:
            vectors = np.asarray(self.embedder.embed_documents([each.sentence.text for each in promising]))
            cosines = vectors @ np.asarray(self.embedder.embed_query(question))
        scored = [
            replace(e, score=e.words + _COSINE * float(c)) for e, c in zip(promising, cosines, strict=True)
        ]
        return sorted(scored, key=lambda each: -each.score)


def _inputs(input: dict[str, Any] | str) -> dict[str, Any]:
    inputs = input if isinstance(input, dict) else {"query": input}
    if "query" not in inputs:
        raise ValueError('The question is missing. Give it as {"query": …}.')
    return inputs


def _sentences(documents: Sequence[Document]) -> list[_Sentence]:
    """Every sentence of the passages, once though passages overlap."""
    found: dict[str, _Sentence] = {}
    for number, document in enumerate(documents, 1):
        titles = (document.metadata.get(key) or "" for key in ("title", "section"))
        heading = frozenset(terms(" ".join(titles)))
        before: frozenset[str] = frozenset()
        for place, text in enumerate(split_sentences(document.page_content, _LONGEST_SENTENCE)):
            own = frozenset(terms(text))
            if own:
                found.setdefault(text, _Sentence(text, number, place, own, heading, before))
            before = own
    return list(found.values())


def _by_words(question: str, sentences: Sequence[_Sentence]) -> list[_Scored]:
    """Best first, by what can be told without the embedder; equal ones as their passages rank."""
    weights = term_weights(question, [sentence.own for sentence in sentences])
    asked = frozenset(terms(question))
    scored = []
    for each in sentences:
        known = each.own | each.heading
        words = _COVERAGE * coverage(weights, known) + _CONTEXT * coverage(weights, known | each.before)
        announces = each.own <= asked | each.heading and not _CLOSED.search(each.text)
        if announces or _ASKS.search(each.text):
            words -= _LAST
        scored.append(_Scored(each, words))
    return sorted(scored, key=lambda each: -each.words)


def _quote(scored: Sequence[_Scored]) -> str:
    """The best sentence, and the next one if it is nearly as good and fits; in reading order."""
    best = scored[0]
    chosen = [best.sentence]
    room = LONGEST_ANSWER - len(_cited(best.sentence)) - 1
    for other in scored[1:]:
        near = other.score >= best.score - _SECOND
        if near and len(_cited(other.sentence)) <= room and not _repeats(other.sentence, best.sentence):
            chosen.append(other.sentence)
            break
    if len({sentence.number for sentence in chosen}) == 1:
        chosen.sort(key=lambda sentence: sentence.place)
    return " ".join(_cited(sentence) for sentence in chosen)


def _cited(sentence: _Sentence) -> str:
    return f"{sentence.text} [{sentence.number}]"


def _repeats(one: _Sentence, other: _Sentence) -> bool:
    """Whether one holds hardly more words than the other: a sentence that a chunk's edge has cut."""
    return one.own <= other.own or other.own <= one.own
