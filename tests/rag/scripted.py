"""Language models for tests that answer with a hash of what they were sent, and a retriever of fixed texts.

What a model was sent is thus in what it answers; `sent` has it in full, call by call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import LLM, BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, GenerationChunk
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

Sent = list[tuple[str, str]]  # (role, text) of each message


def hashed(prompt: str) -> str:
    """Several words that depend on every character of `prompt`, with a score as map_rerank wants it."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    words = " ".join(digest[start : start + 8] for start in range(0, 40, 8))
    return f"{words}\nScore: {int(digest[40:44], 16) % 101}"


class HashChat(BaseChatModel):
    """A chat model that streams by the word and counts a token a word."""

    sent: list[Sent] = Field(default_factory=list)
    answer: Callable[[str], str] = hashed

    @property
    def _llm_type(self) -> str:
        return "hash-chat"

    def get_num_tokens(self, text: str) -> int:
        return len(text.split())

    def _record(self, messages: list[BaseMessage]) -> str:
        sent = [(message.type, str(message.content)) for message in messages]
        self.sent.append(sent)
        return self.answer(repr(sent))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(content=self._record(messages))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in pieces(self._record(messages)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))


class HashLLM(LLM):
    """A model that only completes text."""

    sent: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "hash-llm"

    def get_num_tokens(self, text: str) -> int:
        return len(text.split())

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        self.sent.append(prompt)
        return hashed(prompt)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        for piece in pieces(self._call(prompt)):
            yield GenerationChunk(text=piece)


class Fixed(BaseRetriever):
    """Finds the same passages for every question, which it keeps."""

    documents: list[Document]
    asked: list[str] = Field(default_factory=list)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.asked.append(query)
        return list(self.documents)


def passages(count: int, words: int = 6) -> list[Document]:
    return [
        Document(
            page_content=" ".join(f"w{number}x{word}" for word in range(words)),
            metadata={"source": f"{number}.txt", "page": number, "score": 1 / (number + 1)},
        )
        for number in range(count)
    ]


def pieces(text: str) -> list[str]:
    """`text` as a stream has it: words with the space before them."""
    parts = text.split(" ")
    return [parts[0], *(f" {part}" for part in parts[1:])]
