"""HybridRetriever: a question → ranked passages with a calibrated score, from the store's two searches.

Candidates come from the dense search and from BM25. Each gets the probability, by logistic regression, that
it answers the question, from two numbers that have an absolute scale: its cosine to the question, and the
share of the question's inverse-document-frequency mass that its words cover. Reciprocal ranks have no such
scale, and rank worse too: docs/retrieval.md has the comparison and how the constants were fitted.

It does not know where the store keeps its chunks, nor what is done with the passages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from numpy.typing import NDArray
from pydantic import Field

from rag import answerable
from rag.cancel import current
from rag.chunks import Chunk
from rag.comparison import sides
from rag.manner import without_manner
from rag.promising import promising, sentences
from rag.store import ChunkStore, Hit
from rag.terms import ENGLISH, Word, coverage, idf, language_of, term_set, term_weights

DEFAULT_FLOOR = 0.25  # refuses two thirds of what the documents only come near to; see docs/retrieval.md
CANDIDATES = 40  # from each of the two searches
RERANKED = 20  # passages that a reranker reads
_COSINE, _COVERAGE, _UNNAMED, _BIAS = 4.0, 4.0, 0.45, -5.2  # fitted by scripts/fit_retriever.py
_LEAST = 0.05  # score of a passage that is shown beside the best one, if there is a floor
_SAME_PLACE = 0.5  # chunks of one source that share more than this of the shorter one are one passage


@runtime_checkable
class Reranker(Protocol):
    """Reads question and passage together."""

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """One number for each passage, higher is better; any scale."""


@dataclass(frozen=True)
class Candidate:
    """A chunk that one of the searches found, and the numbers that its score is made from."""

    id: int
    chunk: Chunk
    cosine: float
    coverage: float  # share of the question's idf mass that the chunk's words hold, 0 to 1
    unnamed: float = 0.0  # by how much less than another document its own is named in the question, nats
    held: frozenset[str] = field(default=frozenset(), repr=False)  # the chunk's terms and its header's
    asked: Mapping[Word, float] = field(default_factory=dict, repr=False)  # the question's words, weighted

    @property
    def logit(self) -> float:
        return _COSINE * self.cosine + _COVERAGE * self.coverage - _UNNAMED * self.unnamed + _BIAS

    @property
    def score(self) -> float:
        """The calibrated probability, 0 to 1, that this chunk answers the question."""
        return 1 / (1 + math.exp(-self.logit))


class Ranking(NamedTuple):
    """What was found for a question, or for one side of a comparison."""

    question: str
    ranked: list[Candidate]


class HybridRetriever(BaseRetriever):
    """Dense and BM25 candidates, ranked by their calibrated score, or by a reranker where there is one.

    A Document's text is the chunk's; its metadata: id, source, page, place, at, start, end, title,
    section and score.
    With a reranker the order is its, while `score` and the floor stay the calibrated ones. Nothing comes back
    for a question that the documents answer with less probability than `floor` (see `rag.answerable`).
    """

    store: ChunkStore
    embedder: Embeddings
    k: int = Field(default=4, ge=1)
    floor: float = Field(default=DEFAULT_FLOOR, ge=0, le=1)  # how probable it must be that there is an answer
    reranker: Reranker | None = None
    within: frozenset[int] | None = None  # the only documents that are searched, by the store's numbers

    def search(self, query: str, k: int) -> list[Document]:
        """The k best passages, best first, whatever their score; of a comparison, each side's in turn."""
        return self._documents(self._rankings(query, k), k)

    def _rankings(self, query: str, k: int) -> list[Ranking]:
        query, most = without_manner(query), max(RERANKED, k)
        return [Ranking(side, rank(self.candidates(side), most)) for side in sides(query) or [query]]

    def probability(self, query: str) -> float:
        """That the documents answer, 0 to 1; of a comparison, one side of it."""
        return max(map(self._probability, self._rankings(query, self.k)))

    def _probability(self, ranking: Ranking) -> float:
        passages = [as_document(candidate) for candidate in ranking.ranked[: answerable.READ]]
        likeliest = promising(ranking.question, sentences(passages), self.embedder)
        return answerable.probability(ranking.ranked, likeliest)

    def _documents(self, rankings: Sequence[Ranking], k: int) -> list[Document]:
        lists = [each.ranked for each in rankings]
        if self.reranker is not None:
            read = max(RERANKED, k)
            lists = [_rerank(self.reranker, each.question, each.ranked, read) for each in rankings]
        return [as_document(candidate) for candidate in _in_turn(lists)[:k]]

    def candidates(self, query: str) -> list[Candidate]:
        """What the two searches found, in no particular order; empty for a query without a word."""
        if not query.strip():
            return []
        with ThreadPoolExecutor(1) as beside:  # the one search while the question is embedded
            sparse = beside.submit(self.store.search_text, query, CANDIDATES, self.within)
            vector = _unit(np.asarray(self.embedder.embed_query(query), dtype=np.float32))
            current().raise_if_cancelled()
            dense = self.store.search_vector(vector, CANDIDATES, self.within)
            held = {hit.id: _held(hit.chunk) for hit in dense}
        return _candidates(query, dense, sparse.result(), held)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        rankings = self._rankings(query, self.k)
        answered = [each for each in rankings if not self.floor or self._probability(each) >= self.floor]
        documents = self._documents(answered, self.k)
        least = min(_LEAST, self.floor)
        return documents[:1] + [each for each in documents[1:] if each.metadata["score"] >= least]


def rank(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """The `most` best, each passage once: no copy from another file, no neighbour that is mostly it."""
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
        if len(kept) == most:
            break
    return kept


def _in_turn(rankings: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The first of each ranking, then the second of each, none twice."""
    found: dict[int, Candidate] = {}
    for candidate in filter(None, chain(*zip_longest(*rankings))):
        found.setdefault(candidate.id, candidate)
    return list(found.values())


def _candidates(
    query: str, dense: Sequence[Hit], sparse: Sequence[Hit], held: dict[int, frozenset[str]]
) -> list[Candidate]:
    """`held`: the terms of the dense ones."""
    chunks = {hit.id: hit.chunk for hit in (*dense, *sparse)}
    cosines = {hit.id: hit.score for hit in dense}
    lowest = min(cosines.values(), default=0.0)  # what only BM25 found is at most this near
    held |= {id: _held(chunk) for id, chunk in chunks.items() if id not in held}
    # Over the candidates only: those have to be told apart, and a rare term's chunks are all among them.
    asked = term_weights(query, held.values())
    unnamed = _unnamed(asked, {chunk.source: chunk for chunk in chunks.values()})

    def candidate(id: int, chunk: Chunk) -> Candidate:
        cosine, covered = cosines.get(id, lowest), coverage(asked, held[id])
        return Candidate(id, chunk, cosine, covered, unnamed[chunk.source], held[id], asked)

    return [candidate(id, chunk) for id, chunk in chunks.items()]


def _held(chunk: Chunk) -> frozenset[str]:
    return term_set(chunk.indexed_text, language_of(chunk.text))


def _unnamed(words: Iterable[Word], sources: Mapping[str, Chunk]) -> dict[str, float]:
    """How much less of the question each source's name covers than that of the one it names best.

    In inverse document frequency, of the words that some of these documents are named by and others not.
    `sources`: each with any of its chunks.
    """
    names = {source: term_set(chunk.document, ENGLISH) for source, chunk in sources.items()}
    having = {word: [not word.terms.isdisjoint(name) for name in names.values()] for word in words}
    weights = {word: idf(sum(has), len(names)) for word, has in having.items() if any(has) and not all(has)}
    covered = {source: coverage(weights, name) for source, name in names.items()}
    best = max(covered.values(), default=0.0)
    return {source: best - share for source, share in covered.items()}


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
