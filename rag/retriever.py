"""HybridRetriever: a question → ranked passages with a calibrated score, from the store's two searches.

Candidates come from the dense search and from BM25. Each gets the probability, by logistic regression, that
it answers the question, from two numbers that have an absolute scale: its cosine to the question, and the
share of the question's inverse-document-frequency mass that its words cover. Reciprocal ranks have no such
scale, and rank worse too: docs/retrieval.md has the comparison and how the constants were fitted.

It does not know where the store keeps its chunks, nor what is done with the passages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import Field

from rag.cancel import current
from rag.chunks import Chunk
from rag.store import ChunkStore, Hit
from rag.terms import coverage, term_set, term_weights

DEFAULT_FLOOR = 0.05  # refuses hardly any question that the documents answer; see docs/retrieval.md
CANDIDATES = 50  # from each of the two searches
RERANKED = 20  # passages that a reranker reads
_COSINE, _COVERAGE, _BIAS = 3.3, 5.6, -5.1  # fitted by scripts/fit_retriever.py
_SAME_PLACE = 0.5  # chunks of one source that share more than this of the shorter one are one passage


@runtime_checkable
class Reranker(Protocol):
    """Reads question and passage together."""

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """One number for each passage, higher is better; any scale."""


@dataclass(frozen=True)
class Candidate:
    """A chunk that one of the searches found, and the two numbers that its score is made from."""

    id: int
    chunk: Chunk
    cosine: float
    coverage: float  # share of the question's idf mass that the chunk's words hold, 0 to 1

    @property
    def score(self) -> float:
        """The calibrated probability, 0 to 1, that this chunk answers the question."""
        return 1 / (1 + math.exp(-(_COSINE * self.cosine + _COVERAGE * self.coverage + _BIAS)))


class HybridRetriever(BaseRetriever):
    """Dense and BM25 candidates, ranked by their calibrated score, or by a reranker where there is one.

    A Document's text is the chunk's; its metadata: id, source, page, place, at, start, end, title,
    section and score.
    With a reranker the order is its, while `score` and the floor stay the calibrated ones.
    """

    store: ChunkStore
    embedder: Embeddings
    k: int = Field(default=4, ge=1)
    floor: float = Field(default=DEFAULT_FLOOR, ge=0, le=1)  # what scores less does not count as found
    reranker: Reranker | None = None
    within: frozenset[int] | None = None  # the only documents that are searched, by the store's numbers

    def search(self, query: str, k: int) -> list[Document]:
        """The k best passages, best first, whatever their score."""
        ranked = rank(self.candidates(query))
        if self.reranker is not None:
            ranked = _rerank(self.reranker, query, ranked, max(RERANKED, k))
        return [as_document(candidate) for candidate in ranked[:k]]

    def candidates(self, query: str) -> list[Candidate]:
        """What the two searches found, in no particular order; empty for a query without a word."""
        if not query.strip():
            return []
        vector = _unit(np.asarray(self.embedder.embed_query(query), dtype=np.float32))
        current().raise_if_cancelled()
        dense = self.store.search_vector(vector, CANDIDATES, self.within)
        return _candidates(query, dense, self.store.search_text(query, CANDIDATES, self.within))

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [
            document for document in self.search(query, self.k) if document.metadata["score"] >= self.floor
        ]


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By score, best first, each passage once: no copy from another file, no neighbour that is mostly it."""
    kept: list[Candidate] = []
    texts: set[str] = set()
    places: dict[str, list[Chunk]] = {}  # source → what the kept ones show, copies in other files included
    for candidate in sorted(candidates, key=lambda c: (-c.score, c.chunk.source, c.chunk.start)):
        text = " ".join(candidate.chunk.text.split())
        near = places.setdefault(candidate.chunk.source, [])
        if any(_same_place(candidate.chunk, place) for place in near):
            continue
        near.append(candidate.chunk)
        if text not in texts:
            kept.append(candidate)
            texts.add(text)
    return kept


def _candidates(query: str, dense: Sequence[Hit], sparse: Sequence[Hit]) -> list[Candidate]:
    chunks = {hit.id: hit.chunk for hit in (*dense, *sparse)}
    cosines = {hit.id: hit.score for hit in dense}
    lowest = min(cosines.values(), default=0.0)  # what only BM25 found is at most this near
    held = {id: term_set(chunk.indexed_text) for id, chunk in chunks.items()}
    # Over the candidates only: those have to be told apart, and a rare term's chunks are all among them.
    weights = term_weights(query, held.values())
    return [
        Candidate(id, chunk, cosines.get(id, lowest), coverage(weights, held[id]))
        for id, chunk in chunks.items()
    ]


def _same_place(one: Chunk, other: Chunk) -> bool:
    """Whether two chunks of one source are mostly the same."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    shorter = min(one.end - one.start, other.end - other.start)
    return shared > _SAME_PLACE * shorter


def _rerank(reranker: Reranker, query: str, ranked: list[Candidate], read: int) -> list[Candidate]:
    current().raise_if_cancelled()
    head = ranked[:read]
    scores = reranker.scores(query, [candidate.chunk.text for candidate in head])
    order = np.argsort(-np.asarray(scores), kind="stable")
    return [head[i] for i in order] + ranked[read:]


def as_document(candidate: Candidate) -> Document:
    """A candidate as `HybridRetriever` gives it."""
    chunk = candidate.chunk
    metadata = {
        "id": candidate.id,
        "source": chunk.source,
        "page": chunk.page,
        "place": chunk.place,
        "at": chunk.at,
        "start": chunk.start,
        "end": chunk.end,
        "title": chunk.title,
        "section": chunk.section,
        "score": round(candidate.score, 4),
    }
    return Document(page_content=chunk.text, metadata=metadata, id=str(candidate.id))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector
