"""Prompts as the page would ask with, from the sample documents: what a language model is measured with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from commands.indexing import index
from engines import Engines
from rag.chains import RetrievalQA
from settings import Settings

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "docs" / "sample-questions.jsonl"
CORPUS = (ROOT / "txt", ROOT / "pdfs")


class Recorder(BaseChatModel):
    """Keeps what it is asked."""

    asked: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "recorder"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.asked.append(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("-"))])


def sample_questions() -> list[str]:
    return [json.loads(line)["question"] for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def sample_prompts(settings: Settings, data: Path, count: int) -> list[list[BaseMessage]]:
    """What a model is asked for `count` of the sample questions, each with the passages found for it.

    The index is made in `data`, with the embedder that `settings` name.
    """
    own = {"corpus": CORPUS, "data": data, "llm": "extractive"}
    recorder = Recorder()
    with Engines(settings.model_copy(update=own)) as engines:
        index(engines, CORPUS, ())
        chain = RetrievalQA.from_chain_type(llm=recorder, retriever=engines.retriever())
        for question in _evenly(sample_questions(), count):
            chain.invoke({"query": question})
    return recorder.asked


def sample_texts() -> Iterator[str]:
    """The sample documents that are plain text."""
    return (path.read_text(encoding="utf-8") for path in sorted(CORPUS[0].iterdir()) if path.is_file())


def _evenly(questions: list[str], count: int) -> list[str]:
    if count > len(questions):
        raise ValueError(f"there are only {len(questions)} sample questions")
    return questions[:: len(questions) // count][:count]
