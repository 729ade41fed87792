"""ExtractiveQA: answers without a language model, in the words of the documents.

It takes what `rag.chains.RetrievalQA` takes and gives what that gives. The one or two sentences of the
retrieved passages that lie nearest to the question are quoted, each with its citation; of two things that
it compares, the nearest about each (see `rag.promising`). It does not know the index, and it writes nothing
of its own but NOT_FOUND.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import CallbackManagerForChainRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import ConfigDict, Field

from rag.cancel import current
from rag.comparison import sides
from rag.go_on import Further, no_more
from rag.heard import apart
from rag.languages import not_found
from rag.promising import Scored, Sentence, promising, sentences
from rag.prompts import NOT_FOUND
from rag.terms import question_words

__all__ = ["LONGEST_ANSWER", "NOT_FOUND", "ExtractiveQA"]

LONGEST_ANSWER = 400  # characters, citations included
_SECOND, _ADDS = 0.5, 3.0  # how much worse a second sentence may be; if it has a word of the question more


class ExtractiveQA(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Question answering by quotation.

    `invoke({"query": …})` → {"query", "result", "source_documents"}; `stream` of the same gives
    {"source_documents": […]} once, then {"result": piece}…, whose pieces make up the result. It is at most
    two sentences and LONGEST_ANSWER characters, each sentence with its passage's number as " [n]"; or it is
    NOT_FOUND, with no documents, where the retriever gives none. "chat_history" is not looked at: a
    follow-up has been made a question of its own before. Optional are "language", a code, for NOT_FOUND, and
    "heard", places ([source, start, end]…) that were not meant: what is elsewhere is quoted, if there is any;
    and "further" (a `rag.go_on.Further`): the rest of an answer that broke off, or what other passages say.

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
        question, further = inputs["query"], inputs.get("further")
        retriever = further.searching(self.retriever) if further else self.retriever
        fresh, known = apart(retriever.invoke(question, config), inputs.get("heard") or ())
        documents = [*fresh, *known]
        found = sentences(documents)
        unheard = [each for each in found if each.number <= len(fresh)]
        if further:
            documents, quoted = self._further(question, further, documents, unheard or found)
            yield {"source_documents": documents}
        else:  # the sources first: choosing takes a while
            yield {"source_documents": documents if found else []}
            quoted = self._chosen(question, unheard or found)
        unknown = no_more if further else not_found
        text = _joined(quoted) or unknown(inputs.get("language"))
        for piece in re.findall(r"\s*\S+", text):
            current().checkpoint()
            yield {"result": piece}

    def _further(
        self, question: str, further: Further, documents: list[Document], found: Sequence[Sentence]
    ) -> tuple[list[Document], list[Sentence]]:
        """What was not said yet of an answer that broke off; after all of it, what other passages say."""
        quoted = self._chosen(question, found) if further.cut else []
        if rest := [each for each in quoted if not further.has(each.quote)]:
            return documents, rest
        more = further.more(documents)
        quoted = self._chosen(question, sentences(more))
        return more if quoted else [], quoted

    def _chosen(self, question: str, found: Sequence[Sentence]) -> list[Sentence]:
        """What is quoted: at most two sentences; none of none."""
        current().checkpoint()
        if not found:
            return []
        return self._compared(question, found) or _quote(question, self._ranked(question, found))

    def _compared(self, question: str, found: Sequence[Sentence]) -> list[Sentence]:
        """The best sentence about each thing that is compared; empty: none is, or there is no room."""
        best = [self._ranked(side, found)[0].sentence for side in sides(question)]
        return best if len(_joined(best)) <= LONGEST_ANSWER else []

    def _ranked(self, question: str, found: Sequence[Sentence]) -> list[Scored]:
        return promising(question, found, self.embedder)


def _inputs(input: dict[str, Any] | str) -> dict[str, Any]:
    inputs = input if isinstance(input, dict) else {"query": input}
    if "query" not in inputs:
        raise ValueError('The question is missing. Give it as {"query": …}.')
    return inputs


def _joined(quoted: Sequence[Sentence]) -> str:
    return " ".join(dict.fromkeys(map(_cited, quoted)))


def _quote(question: str, scored: Sequence[Scored]) -> list[Sentence]:
    """The best sentence after what it leans on, or else with the next one if that is nearly as good."""
    best = scored[0].sentence
    room = LONGEST_ANSWER - len(_cited(best)) - 1
    before = replace(best, text=best.before, row="")
    if best.leans and len(_cited(before)) <= room:
        return [before, best]
    missing = [word.terms for word in question_words(question) if word.terms.isdisjoint(best.known)]
    for other in scored[1:]:
        adds = any(not forms.isdisjoint(other.sentence.own) for forms in missing)
        allowed = _ADDS if adds else _SECOND
        near = other.score >= scored[0].score - allowed
        if near and len(_cited(other.sentence)) <= room and not _repeats(other.sentence, best):
            return list(_in_reading_order(best, other.sentence))
    return [best]


def _in_reading_order(best: Sentence, other: Sentence) -> tuple[Sentence, Sentence]:
    first = other.number == best.number and other.place < best.place
    return (other, best) if first else (best, other)


def _cited(sentence: Sentence) -> str:
    return f"{sentence.quote} [{sentence.number}]"


def _repeats(one: Sentence, other: Sentence) -> bool:
    """Whether one holds hardly more words than the other: a sentence that a chunk's edge has cut."""
    return one.own <= other.own or other.own <= one.own
