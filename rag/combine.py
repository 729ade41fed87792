"""Four ways from passages to an answer: all at once (stuff) or one by one (map_reduce, refine, map_rerank).

With the same prompts they send a model what LangChain's chains of these names send, call for call. They do
not know where passages come from. Every call is streamed, so that each can be cancelled at its next token.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, get_buffer_string
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    MessagesPlaceholder,
    format_document,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import merge_configs

from rag.cancel import current
from rag.prompts import BEGUN, HISTORY, ScoreParser, placeholders
from rag.tokens import base_model, count_prompt_tokens, prompt_room

Part = dict[str, Any]  # {"notice": str} or {"result": str}
TOKEN_MAX = 3000  # extracts that are combined in one call, as in LangChain


class ChainError(Exception):
    """An answer that cannot be made; the message says why and what to do."""


class CancelHandler(BaseCallbackHandler):
    """Cancels and holds a model that knows nothing of `rag.cancel`, when it starts and at each token.

    For LangChain compositions: `chain.stream(question, {"callbacks": [CancelHandler()]})`.
    """

    raise_error = True
    run_inline = True

    def _check(self, *_: Any, **__: Any) -> None:
        current().checkpoint()

    on_llm_start = on_chat_model_start = on_retriever_start = on_llm_new_token = _check


@dataclass(frozen=True)
class Step:
    """One kind of call: a prompt and the model that it goes to."""

    llm: Runnable[Any, Any]
    prompt: BasePromptTemplate[Any]

    def stream(self, inputs: Part, config: RunnableConfig) -> Generator[str]:
        """The model's answer piece by piece. Raises Cancelled at its next token once cancelled."""
        token = current()
        token.checkpoint()
        value = self._value(inputs)
        config = merge_configs(config, {"callbacks": [CancelHandler()]})
        with closing(cast("Generator[Any]", self.llm.stream(value, config, **self._ends()))) as chunks:
            for chunk in chunks:
                token.checkpoint()
                if text := chunk if isinstance(chunk, str) else str(chunk.text):
                    yield text
        token.checkpoint()  # a model may also just end early

    def text(self, inputs: Part, config: RunnableConfig) -> str:
        return "".join(self.stream(inputs, config))

    def tokens(self, inputs: Part) -> int:
        """Tokens of the whole prompt."""
        value = self._value(inputs)
        return count_prompt_tokens(self.llm, value.to_messages(), value.to_string())

    def fits(self, inputs: Part) -> bool:
        room = prompt_room(self.llm)
        return room is None or self.tokens(inputs) <= room

    @property
    def continues(self) -> bool:
        """Whether the model goes on with an answer that is given it begun."""
        return self._in_process and isinstance(self.prompt, ChatPromptTemplate)

    @property
    def _in_process(self) -> bool:
        """Whether the model is our own (`rag.llms.local`), which does what is asked of it here."""
        return bool(getattr(base_model(self.llm), "in_process", False))

    def _value(self, inputs: Part) -> PromptValue:
        value = self.prompt.format_prompt(**self._select(inputs))
        if begun := inputs.get(BEGUN):
            return ChatPromptValue(messages=[*value.to_messages(), AIMessage(begun)])
        return value

    def _ends(self) -> dict[str, list[str]]:
        """The prompt's stop strings, for small models; some servers refuse such, and need none."""
        stops = (self.prompt.metadata or {}).get("stop")
        bound = self.llm.kwargs if isinstance(self.llm, RunnableBindingBase) else {}
        return {"stop": stops} if stops and self._in_process and "stop" not in bound else {}

    def _select(self, inputs: Part) -> Part:
        """What the prompt asks for, the conversation as messages or as text, as the prompt wants it."""
        names = placeholders(self.prompt) | set(self.prompt.partial_variables)
        selected = {name: inputs[name] for name in names if name in inputs}
        if HISTORY in selected and not _takes_messages(self.prompt):
            selected[HISTORY] = get_buffer_string(cast("list[BaseMessage]", selected[HISTORY]))
        return selected


def _takes_messages(prompt: BasePromptTemplate[Any]) -> bool:
    return isinstance(prompt, ChatPromptTemplate) and any(
        isinstance(part, MessagesPlaceholder) and part.variable_name == HISTORY for part in prompt.messages
    )


class Combine(ABC):
    """What the four ways share. `fit` comes first: its passages are the answer's sources; then `stream`."""

    takes_nothing: ClassVar[bool] = False  # whether an answer can be asked for without any passage

    @property
    def continues(self) -> bool:
        """Whether an answer that broke off can be given as BEGUN, and is gone on with."""
        return False

    def fit(self, documents: list[Document], inputs: Part) -> list[Document]:
        """The best of `documents`, as many as one prompt has room for."""
        return documents

    @abstractmethod
    def stream(self, documents: list[Document], inputs: Part, config: RunnableConfig) -> Iterator[Part]:
        """Any notices, then the answer's pieces."""


@dataclass(frozen=True)
class Stuff(Combine):
    """All passages in one prompt."""

    takes_nothing: ClassVar[bool] = True

    llm_chain: Step
    document_prompt: BasePromptTemplate[str]
    document_variable_name: str = "context"
    document_separator: str = "\n\n"

    @property
    def continues(self) -> bool:
        return self.llm_chain.continues

    def inputs(self, documents: Sequence[Document], inputs: Part) -> Part:
        return {**inputs, self.document_variable_name: self._join(documents)}

    def _join(self, documents: Sequence[Document]) -> str:
        return self.document_separator.join(format_document(d, self.document_prompt) for d in documents)

    def tokens(self, documents: Sequence[Document], inputs: Part) -> int:
        return self.llm_chain.tokens(self.inputs(documents, inputs))

    def fit(self, documents: list[Document], inputs: Part) -> list[Document]:
        count = len(documents)
        while count > 1 and not self.llm_chain.fits(self.inputs(documents[:count], inputs)):
            count -= 1
        return documents[:count]

    def stream(self, documents: list[Document], inputs: Part, config: RunnableConfig) -> Iterator[Part]:
        if len(documents) == 1:
            short = _shortened(documents[0], lambda d: self.llm_chain.fits(self.inputs([d], inputs)))
            yield from _cut_notices(documents[0], short)
            documents = [short]
        for piece in self.llm_chain.stream(self.inputs(documents, inputs), config):
            yield {"result": piece}


@dataclass(frozen=True)
class OneByOne(Combine):
    """What the three ways share that show a model one passage at a time."""

    document_prompt: BasePromptTemplate[str]
    document_variable_name: str

    def _fill(self, step: Step, document: Document, inputs: Part) -> tuple[Part, list[Part]]:
        """`inputs` with the passage, shortened where the model's window needs it, and the notice of that."""

        def fill(document: Document) -> Part:
            return {**inputs, self.document_variable_name: format_document(document, self.document_prompt)}

        short = _shortened(document, lambda d: step.fits(fill(d)))
        return fill(short), _cut_notices(document, short)


@dataclass(frozen=True)
class MapReduce(OneByOne):
    """An extract of each passage, then one answer from them all; too many are first collapsed in groups."""

    takes_nothing: ClassVar[bool] = True

    llm_chain: Step
    combine_document_chain: Stuff
    collapse_document_chain: Stuff
    token_max: int = TOKEN_MAX

    def stream(self, documents: list[Document], inputs: Part, config: RunnableConfig) -> Iterator[Part]:
        extracts: list[Document] = []
        for document in documents:
            filled, notices = self._fill(self.llm_chain, document, inputs)
            yield from notices
            text = self.llm_chain.text(filled, config)
            extracts.append(Document(page_content=text, metadata=document.metadata))
        extracts = self._collapse(extracts, inputs, config)
        kept = self.combine_document_chain.fit(extracts, inputs)
        yield from dropped_notices(len(kept), len(extracts))
        yield from self.combine_document_chain.stream(kept, inputs, config)

    def _collapse(self, extracts: list[Document], inputs: Part, config: RunnableConfig) -> list[Document]:
        """Combine the extracts group by group until they fit, or until that makes them no shorter."""
        tokens = self.combine_document_chain.tokens(extracts, inputs)
        while extracts and tokens > self._limit():
            before = (len(extracts), tokens)
            extracts = [self._merge(group, inputs, config) for group in self._groups(extracts, inputs)]
            tokens = self.combine_document_chain.tokens(extracts, inputs)
            if (len(extracts), tokens) >= before:
                break
        return extracts

    def _limit(self) -> int:
        room = prompt_room(self.combine_document_chain.llm_chain.llm)
        return self.token_max if room is None else min(self.token_max, room)

    def _groups(self, extracts: list[Document], inputs: Part) -> list[list[Document]]:
        """Consecutive extracts, as many as fit together; one that is too long by itself is its own group."""
        groups: list[list[Document]] = [[]]
        for extract in extracts:
            together = [*groups[-1], extract]
            if groups[-1] and self.combine_document_chain.tokens(together, inputs) > self._limit():
                groups.append([extract])
            else:
                groups[-1] = together
        return groups

    def _merge(self, group: list[Document], inputs: Part, config: RunnableConfig) -> Document:
        parts = self.collapse_document_chain.stream(group, inputs, config)
        metadata: dict[str, str] = {}
        for key, value in (item for document in group for item in document.metadata.items()):
            metadata[key] = f"{metadata[key]}, {value}" if key in metadata else str(value)
        return Document(page_content="".join(part.get("result", "") for part in parts), metadata=metadata)


@dataclass(frozen=True)
class Refine(OneByOne):
    """An answer from the best passage, improved with each further one."""

    initial_llm_chain: Step
    refine_llm_chain: Step
    initial_response_name: str = "existing_answer"

    def stream(self, documents: list[Document], inputs: Part, config: RunnableConfig) -> Iterator[Part]:
        step = self.initial_llm_chain
        for document in documents[:-1]:
            filled, notices = self._fill(step, document, inputs)
            yield from notices
            inputs = {**inputs, self.initial_response_name: step.text(filled, config)}
            step = self.refine_llm_chain
        for document in documents[-1:]:
            filled, notices = self._fill(step, document, inputs)
            yield from notices
            yield from ({"result": piece} for piece in step.stream(filled, config))


@dataclass(frozen=True)
class MapRerank(OneByOne):
    """An answer from each passage with a score of its own; the best scored one is given."""

    llm_chain: Step
    rank_key: str = "score"
    answer_key: str = "answer"

    def stream(self, documents: list[Document], inputs: Part, config: RunnableConfig) -> Iterator[Part]:
        ranked: list[tuple[int, str]] = []
        for document in documents:
            filled, notices = self._fill(self.llm_chain, document, inputs)
            yield from notices
            ranked.append(self._parse(self.llm_chain.text(filled, config)))
        if not ranked:
            return
        score, answer = max(ranked, key=lambda item: item[0])  # of equals the first, as a stable sort gives
        if score < 0:
            yield {"notice": "The model scored none of its answers; this one is from the best passage."}
        # Nothing can be shown before all are scored; then in words, so that Stop acts between them too.
        yield from ({"result": piece} for piece in re.findall(r"\S+\s*|^\s+", answer))

    def _parse(self, text: str) -> tuple[int, str]:
        """Score and answer; -1 and the text as it is where the model did not keep to the form."""
        parser = self.llm_chain.prompt.output_parser or ScoreParser()
        try:
            parsed = parser.parse(text)
            return int(parsed[self.rank_key]), str(parsed[self.answer_key])
        except (ValueError, KeyError):
            return -1, text.strip()


def dropped_notices(kept: int, found: int) -> list[Part]:
    """What is said when passages were left out for the model's window."""
    if kept == found:
        return []
    notice = f"The model's window has room for the best {kept} of {found} passages; the others were left out."
    return [{"notice": notice}]


def _cut_notices(whole: Document, short: Document) -> list[Part]:
    if short is whole:
        return []
    share = len(short.page_content) * 100 // len(whole.page_content)
    return [
        {"notice": f"Only the first {share} % of a passage fit the model's window; the rest was left out."}
    ]


def _shortened(document: Document, fits: Callable[[Document], bool]) -> Document:
    """`document`, or the longest beginning of it that fits the model's window."""
    if fits(document):
        return document

    def head(length: int) -> Document:
        return Document(page_content=document.page_content[:length], metadata=document.metadata)

    low, high = 0, len(document.page_content)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(head(middle)) else (low, middle)
    if low == 0:
        raise ChainError(
            "The question and the conversation alone fill the model's window. "
            "Ask a shorter question, clear the conversation, or use a model with a larger window."
        )
    return head(low)
