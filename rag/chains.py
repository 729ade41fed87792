"""RetrievalQA: a question → passages → an answer from a language model, streamed.

It takes what LangChain's class of that name takes and answers with the same keys; with the same prompts it
sends the model the same. It does not know the index, the engines' names or the page.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForChainRun, StdOutCallbackHandler
from langchain_core.documents import Document
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.utils import AddableDict
from pydantic import ConfigDict, Field

from rag import prompts
from rag.cancel import current
from rag.combine import (
    TOKEN_MAX,
    CancelHandler,
    ChainError,
    Combine,
    MapReduce,
    MapRerank,
    Part,
    Refine,
    Step,
    Stuff,
    dropped_notices,
)
from rag.go_on import Further, no_more
from rag.heard import apart
from rag.languages import not_found
from rag.prompts import (
    BEGUN,
    HISTORY,
    NOT_FOUND,
    PASSAGE_PROMPT,
    PLAIN_PASSAGE_PROMPT,
    PromptError,
    check_prompt,
    in_language,
)

__all__ = ["CHAIN_TYPES", "CancelHandler", "ChainError", "PromptError", "RetrievalQA"]

log = logging.getLogger(__name__)

ANOTHER = "(Another one than was answered before.)"

Model = Runnable[Any, Any]
Prompt = BasePromptTemplate[Any]
Input = dict[str, Any] | str
Compressor = Callable[[str, Sequence[Document]], list[Document]]


class RetrievalQA(RunnableSerializable[Input, dict[str, Any]]):
    """Question answering over what a retriever finds; see `from_chain_type`.

    `invoke({"query": …})` → {"query", "result"(, "source_documents")}. `stream` of the same gives, in this
    order, {"source_documents": […]} once, any {"notice": …}, and {"result": piece}…, the result in pieces.
    "chat_history" (messages) is optional and reaches the templates that have {chat_history}. So are
    "language", a code, for `rag.prompts`' own templates and `not_found`, and "heard", places ([source, start,
    end]…) that were not meant: their passages come after the others, and the model is told so. "further" (a
    `rag.go_on.Further`) asks for the rest of an answer that broke off, or for what its passages do not tell.

    Raises Cancelled as soon as `rag.cancel.current()` is cancelled, before a call or at a model's next token.
    """

    combine_documents_chain: Combine
    retriever: Runnable[str, list[Document]] = Field(exclude=True)
    return_source_documents: bool = False
    input_key: str = "query"
    output_key: str = "result"
    compressor: Compressor | None = Field(None, exclude=True)  # passages → their sentences that matter
    not_found: str | None = None  # said, without asking the model, when there is no passage
    callbacks: list[BaseCallbackHandler] | None = Field(None, exclude=True)
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    verbose: bool = False

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @classmethod
    def from_chain_type(
        cls,
        llm: Model,
        chain_type: str = "stuff",
        chain_type_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> RetrievalQA:
        """Make a chain of one of CHAIN_TYPES. `kwargs`: the fields, `retriever` among them.

        `chain_type_kwargs`, all optional: for stuff and map_rerank `prompt`; for map_reduce
        `question_prompt`, `combine_prompt`, `collapse_prompt`, `reduce_llm`, `collapse_llm`, `token_max`; for
        refine `question_prompt`, `refine_prompt`, `refine_llm`; and for each `document_prompt` and the names
        of the variables, as LangChain has them. Without templates of your own, those of `rag.prompts` are
        used, with passages numbered and marked as quotations; with your own, a passage is its bare text
        unless `document_prompt` says otherwise (`rag.prompts.PASSAGE_PROMPT` numbers and marks).

        Raises PromptError for a template without its placeholders, ValueError for an unknown name.
        """
        options = dict(chain_type_kwargs or {})
        if "memory" in options or "memory" in kwargs:
            raise ValueError(
                "This chain takes no memory, which all who use it would share. "
                "Give the conversation with each question instead, as chat_history."
            )
        for name in ("callbacks", "verbose"):
            if (value := options.pop(name, None)) is not None:
                kwargs.setdefault(name, value)
        if not any(name.endswith("prompt") for name in options):
            kwargs.setdefault("not_found", NOT_FOUND)
        return cls(combine_documents_chain=_build(chain_type, llm, options), **kwargs)

    @classmethod
    def from_llm(cls, llm: Model, prompt: Prompt | None = None, **kwargs: Any) -> RetrievalQA:
        """The stuff chain with each passage under the word "Context:", as LangChain's method of that name."""
        options: dict[str, Any] = {}
        if prompt is not None:
            options = {"prompt": prompt, "document_prompt": prompts.CONTEXT_PASSAGE_PROMPT}
        return cls.from_chain_type(llm, "stuff", options, **kwargs)

    def __call__(self, inputs: Input, return_only_outputs: bool = False, **config: Any) -> dict[str, Any]:
        """`invoke` in LangChain's old spelling: `callbacks`, `tags`, `metadata`, `run_name` as arguments."""
        return self.invoke(inputs, cast("RunnableConfig", config), return_only_outputs=return_only_outputs)

    def run(self, *args: str, **inputs: Any) -> str:
        """The answer alone: `run(query)` or `run(query=query)`."""
        if len(args) + bool(inputs) != 1:
            raise ValueError(f"run() takes one question, or {self.input_key}=….")
        return str(self.invoke(args[0] if args else inputs)[self.output_key])

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        inputs = self._inputs(input)
        outputs = self._call_with_config(self._collect, inputs, self._merged(config))
        return outputs if kwargs.get("return_only_outputs") else {**inputs, **outputs}

    def stream(
        self, input: Input, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        inputs: list[Input] = [self._inputs(input)]
        yield from self._transform_stream_with_config(iter(inputs), self._transform, self._merged(config))

    def _inputs(self, input: Input) -> dict[str, Any]:
        inputs = input if isinstance(input, dict) else {self.input_key: input}
        if self.input_key not in inputs:
            raise ValueError(f"Missing some input keys: {{{self.input_key!r}}}. Give the question under it.")
        return inputs

    def _merged(self, config: RunnableConfig | None) -> RunnableConfig:
        handlers = [*(self.callbacks or []), *([StdOutCallbackHandler()] if self.verbose else [])]
        own = RunnableConfig(callbacks=handlers, tags=self.tags or [], metadata=self.metadata or {})
        return merge_configs(own, config)

    def _collect(
        self, input: Input, run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> dict[str, Any]:
        documents: list[Document] = []
        pieces: list[str] = []
        for part in self._answer(self._inputs(input), config):
            documents += part.get("source_documents", [])
            pieces.append(part.get("result", ""))
            if "notice" in part:
                log.warning(part["notice"])
        outputs: dict[str, Any] = {self.output_key: "".join(pieces)}
        return {**outputs, "source_documents": documents} if self.return_source_documents else outputs

    def _transform(
        self, inputs: Iterator[Input], run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> Iterator[dict[str, Any]]:
        for part in self._answer(self._inputs(next(inputs)), config):
            name, value = next(iter(part.items()))
            yield AddableDict({self.output_key if name == "result" else name: value})

    def _answer(self, inputs: dict[str, Any], config: RunnableConfig) -> Iterator[Part]:
        question = inputs[self.input_key]
        language = inputs.get("language")
        filled = {"question": question, HISTORY: inputs.get(HISTORY) or [], **in_language(language)}
        current().checkpoint()
        further: Further | None = inputs.get("further")
        retriever = further.searching(self.retriever) if further else self.retriever
        found = retriever.invoke(question, config)
        current().checkpoint()
        fresh, known = apart(found, inputs.get("heard") or ())
        if known and fresh:
            found = [*fresh, *known]
            filled["question"] = f"{question} {ANOTHER}"
        if further:
            found = found if further.cut else further.more(found)
            filled |= self._going_on(further, filled["question"])
        passages = _numbered(self.compressor(question, found) if self.compressor else found)
        kept = self.combine_documents_chain.fit(passages, filled)
        yield {"source_documents": found[: len(kept)]}
        yield from dropped_notices(len(kept), len(found))
        own = self.not_found not in (None, NOT_FOUND)
        unknown = self.not_found if own else no_more(language) if further else not_found(language)
        if not found and (self.not_found or not self.combine_documents_chain.takes_nothing):
            yield {"result": unknown}
            return
        said = False
        for part in self.combine_documents_chain.stream(kept, filled, config):
            said = said or bool(part.get("result", "").strip())
            yield part
        if not said and self.not_found:
            yield {"result": unknown}

    def _going_on(self, further: Further, question: str) -> dict[str, str]:
        """What asks for the rest: the answer so far, where the model goes on with that, else a request."""
        if further.cut and further.whole and self.combine_documents_chain.continues:
            return {BEGUN: further.whole}
        return {"question": further.request(question)}


def _numbered(documents: Sequence[Document]) -> list[Document]:
    """Copies that know their number and where they are from, for PASSAGE_PROMPT."""
    return [
        Document(
            page_content=document.page_content,
            metadata={**document.metadata, "passage_number": number, "passage_label": _label(document)},
        )
        for number, document in enumerate(documents, start=1)
    ]


def _label(document: Document) -> str:
    name = document.metadata.get("title") or document.metadata.get("source") or "document"
    page = document.metadata.get("page")
    place = document.metadata.get("place") or (f"page {page}" if page is not None else "")
    return f"{name}, {place}" if place else str(name)


def _build(chain_type: str, llm: Model, options: dict[str, Any]) -> Combine:
    if chain_type not in CHAIN_TYPES:
        raise ValueError(f"There is no chain type {chain_type!r}. Choose one of: {', '.join(CHAIN_TYPES)}.")
    build = CHAIN_TYPES[chain_type]
    valid = list(inspect.signature(build).parameters)[1:]
    if unknown := [name for name in options if name not in valid]:
        raise ValueError(
            f"The chain type {chain_type!r} does not take {', '.join(unknown)}. It takes: {', '.join(valid)}."
        )
    return build(llm, **options)


def _passage(document_prompt: Prompt | None, *own: Prompt | None) -> Prompt:
    """How a passage is written: as asked for, else bare in somebody's own template, quoted in ours."""
    return document_prompt or (PASSAGE_PROMPT if not any(own) else PLAIN_PASSAGE_PROMPT)


def _stuff(
    llm: Model,
    *,
    prompt: Prompt | None = None,
    document_prompt: Prompt | None = None,
    document_variable_name: str = "context",
    document_separator: str = "\n\n",
) -> Combine:
    passage = _passage(document_prompt, prompt)
    prompt = prompt or prompts.STUFF.for_model(llm)
    check_prompt(prompt, (document_variable_name, "question"))
    return Stuff(Step(llm, prompt), passage, document_variable_name, document_separator)


def _map_reduce(
    llm: Model,
    *,
    question_prompt: Prompt | None = None,
    combine_prompt: Prompt | None = None,
    collapse_prompt: Prompt | None = None,
    document_prompt: Prompt | None = None,
    map_reduce_document_variable_name: str = "context",
    combine_document_variable_name: str = "summaries",
    reduce_llm: Model | None = None,
    collapse_llm: Model | None = None,
    token_max: int = TOKEN_MAX,
) -> Combine:
    if collapse_llm is not None and collapse_prompt is None:
        raise ValueError("collapse_llm was given without collapse_prompt. Give both, or neither.")
    reduce_llm = reduce_llm or llm
    passage = _passage(document_prompt, question_prompt)
    extract = _passage(None, combine_prompt)
    question_prompt = question_prompt or prompts.MAP.for_model(llm)
    combine_prompt = combine_prompt or prompts.COMBINE.for_model(reduce_llm)
    check_prompt(question_prompt, (map_reduce_document_variable_name, "question"), name="question_prompt")
    check_prompt(combine_prompt, (combine_document_variable_name, "question"), name="combine_prompt")
    combine = collapse = Stuff(Step(reduce_llm, combine_prompt), extract, combine_document_variable_name)
    if collapse_prompt is not None:
        check_prompt(collapse_prompt, [combine_document_variable_name], ["question"], "collapse_prompt")
        step = Step(collapse_llm or llm, collapse_prompt)
        collapse = Stuff(step, PLAIN_PASSAGE_PROMPT, combine_document_variable_name)
    step = Step(llm, question_prompt)
    return MapReduce(passage, map_reduce_document_variable_name, step, combine, collapse, token_max)


def _refine(
    llm: Model,
    *,
    question_prompt: Prompt | None = None,
    refine_prompt: Prompt | None = None,
    document_prompt: Prompt | None = None,
    document_variable_name: str = "context_str",
    initial_response_name: str = "existing_answer",
    refine_llm: Model | None = None,
) -> Combine:
    refine_llm = refine_llm or llm
    passage = _passage(document_prompt, question_prompt, refine_prompt)
    question_prompt = question_prompt or prompts.FIRST.for_model(llm)
    refine_prompt = refine_prompt or prompts.NEXT.for_model(refine_llm)
    check_prompt(question_prompt, (document_variable_name, "question"), name="question_prompt")
    needed = (document_variable_name, initial_response_name, "question")
    check_prompt(refine_prompt, needed, name="refine_prompt")
    first, following = Step(llm, question_prompt), Step(refine_llm, refine_prompt)
    return Refine(passage, document_variable_name, first, following, initial_response_name)


def _map_rerank(
    llm: Model,
    *,
    prompt: Prompt | None = None,
    document_prompt: Prompt | None = None,
    document_variable_name: str = "context",
    rank_key: str = "score",
    answer_key: str = "answer",
) -> Combine:
    passage = _passage(document_prompt, prompt)
    prompt = prompt or prompts.RERANK.for_model(llm)
    check_prompt(prompt, (document_variable_name, "question"))
    return MapRerank(passage, document_variable_name, Step(llm, prompt), rank_key, answer_key)


CHAIN_TYPES: dict[str, Callable[..., Combine]] = {
    "stuff": _stuff,
    "map_reduce": _map_reduce,
    "refine": _refine,
    "map_rerank": _map_rerank,
}
