"""Passages → their sentences that matter for a question, so that less reaches the language model.

It does not know the chain or the model; the passages given stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag.cancel import current
from rag.sentences import sentence_spans
from rag.terms import Word, question_words, terms

_COSINE_BELOW_BEST = 0.2  # a sentence this much less similar than its passage's best one is left out
_SHARED_TERMS = 0.5  # unless it holds this share of the question's terms
_GAP = " … "  # stands for what was left out between two sentences


@dataclass(frozen=True)
class SentenceCompressor:
    """Keeps the sentences of a passage that are near the question in meaning or words, unchanged, in order.

    Each passage keeps at least its best sentence.
    """

    embedder: Embeddings

    def __call__(self, question: str, documents: Sequence[Document]) -> list[Document]:
        """Copies of `documents`, in their order, with the kept sentences as text."""
        spans = [sentence_spans(document.page_content) for document in documents]
        sentences = [d.page_content[a:b] for d, found in zip(documents, spans, strict=True) for a, b in found]
        if not sentences:
            return list(documents)
        near = self._similarity(question, sentences)
        wanted = question_words(question)
        shared = np.array([_held(wanted, s) / max(1, len(wanted)) for s in sentences])
        compressed, at = [], 0
        for document, found in zip(documents, spans, strict=True):
            own = slice(at, at + len(found))
            at += len(found)
            compressed.append(_keep(document, found, near[own], shared[own]))
        return compressed

    def _similarity(self, question: str, sentences: list[str]) -> NDArray[np.float64]:
        """Cosine of the question with each sentence, (n,)."""
        vectors = np.asarray(self.embedder.embed_documents(sentences), dtype=np.float64)
        current().raise_if_cancelled()
        query = np.asarray(self.embedder.embed_query(question), dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        cosine: NDArray[np.float64] = vectors @ query / np.maximum(lengths, 1e-12)
        return cosine


def compressor(embedder: Embeddings) -> SentenceCompressor:
    """What `RetrievalQA` takes as its `compressor`."""
    return SentenceCompressor(embedder)


def _held(wanted: Sequence[Word], sentence: str) -> int:
    found = set(terms(sentence))
    return sum(not word.terms.isdisjoint(found) for word in wanted)


def _keep(
    document: Document,
    spans: Sequence[tuple[int, int]],
    near: NDArray[np.float64],
    shared: NDArray[np.float64],
) -> Document:
    if len(spans) < 2:
        return document
    kept = (near >= near.max() - _COSINE_BELOW_BEST) | (shared >= _SHARED_TERMS)
    text, last = "", -1
    for at in map(int, np.flatnonzero(kept)):
        start, end = spans[at]
        joint = document.page_content[spans[last][1] : start] if at == last + 1 else _GAP
        text += (joint if text else "") + document.page_content[start:end]
        last = at
    return Document(page_content=text, metadata=document.metadata, id=document.id)
