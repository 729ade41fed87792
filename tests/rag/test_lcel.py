"""Chains as the Qwen tutorial composes them, from LangChain's parts and ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough

from rag.cancel import Cancelled, CancelToken, scope
from rag.chains import CHAIN_TYPES, CancelHandler, RetrievalQA
from rag.chunks import Chunk
from rag.embeddings import Embedder
from rag.retriever import HybridRetriever
from rag.store import Page, Source, open_store
from tests import models
from tests.rag.scripted import Fixed, HashChat, passages

QUESTION = "Where did Harrison work?"
TEXTS = ["Harrison worked at Alibaba Cloud.", "Bears like honey.", "The ferry to the island leaves at six."]
TEMPLATE = """Answer the question based only on the following context:
{context}

Question: {question}
"""


def compose(retriever: Any, llm: Any) -> Runnable[Any, str]:
    """The tutorial's chain."""
    prompt = ChatPromptTemplate.from_template(TEMPLATE)
    chain: Runnable[Any, str] = (
        {"context": retriever, "question": RunnablePassthrough()} | prompt | llm | StrOutputParser()
    )
    return chain


@pytest.fixture(scope="module")
def smollm2() -> BaseChatModel:
    return models.smollm2()


@pytest.fixture
def retriever(tmp_path: Path, embedder: Embedder) -> Iterator[HybridRetriever]:
    store = open_store(tmp_path, dimension=embedder.dimension, embedder=embedder.name)
    for number, text in enumerate(TEXTS):
        chunk = Chunk(source=f"{number}.txt", text=text, start=0, end=len(text))
        source = Source(source=chunk.source, content_hash=str(number), chunks=1)
        store.add(source, [Page(text)], [chunk], embedder.embed_array([chunk.indexed_text]))
    yield HybridRetriever(store=store, embedder=embedder, k=2, floor=0.05)
    store.close()


def test_with_our_retriever_and_our_model(retriever: HybridRetriever, smollm2: BaseChatModel) -> None:
    chain = compose(retriever, smollm2)
    streamed = list(chain.stream(QUESTION))
    assert "Alibaba Cloud" in "".join(streamed)
    assert len(streamed) > 3


def test_retrieval_qa_with_our_retriever_and_our_model(
    retriever: HybridRetriever, smollm2: BaseChatModel
) -> None:
    prompt = PromptTemplate.from_template(TEMPLATE)
    qa = RetrievalQA.from_chain_type(
        llm=smollm2, retriever=retriever, chain_type_kwargs={"prompt": prompt}, return_source_documents=True
    )
    answer = qa(QUESTION)
    assert "Alibaba Cloud" in answer["result"]
    assert answer["source_documents"][0].page_content == TEXTS[0]


@pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
def test_with_langchains_faiss_as_the_tutorial_has_it(embedder: Embeddings) -> None:
    from langchain_community.vectorstores import FAISS

    llm = HashChat(answer=lambda prompt: "Alibaba Cloud" if TEXTS[0] in prompt else "nothing")
    retriever = FAISS.from_texts(TEXTS, embedding=embedder).as_retriever()
    assert compose(retriever, llm).invoke(QUESTION) == "Alibaba Cloud"
    assert QUESTION in llm.sent[0][0][1]


class Endless(HashChat):
    """Streams for ever, and knows nothing of cancelling."""

    token: Any
    tokens: int = 0

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        while True:
            self.tokens += 1
            if self.tokens == 3:
                self.token.cancel()
            yield ChatGenerationChunk(message=AIMessageChunk(content="word "))


def test_any_models_chain_is_cancelled_at_the_next_token() -> None:
    token = CancelToken()
    llm = Endless(token=token)
    chain = compose(Fixed(documents=passages(1)), llm).with_config(callbacks=[CancelHandler()])
    with scope(token), pytest.raises(Cancelled):
        list(chain.stream(QUESTION))
    assert llm.tokens == 3


def test_our_models_chain_is_cancelled_without_a_handler(smollm2: BaseChatModel) -> None:
    token = CancelToken()
    chain = compose(Fixed(documents=passages(1)), smollm2)
    with scope(token):
        stream = chain.stream(QUESTION)
        assert next(stream)
        token.cancel()
        with pytest.raises(Cancelled):
            next(stream)


@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_every_chain_type_with_our_model_stops_when_cancelled(
    smollm2: BaseChatModel, chain_type: str
) -> None:
    token = CancelToken()
    qa = RetrievalQA.from_chain_type(smollm2, chain_type, retriever=Fixed(documents=passages(3)))
    with scope(token):
        stream = qa.stream(QUESTION)
        next(stream)
        token.cancel()
        with pytest.raises(Cancelled):
            next(stream)


def test_the_chains_import_little() -> None:
    code = "import sys, rag.chains, rag.memory; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "rag.chains" in loaded
    assert not loaded & {
        "torch",
        "transformers",
        "langchain_classic",
        "langchain_community",
        "faiss",
        "tantivy",
    }
