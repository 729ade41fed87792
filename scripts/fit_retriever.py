"""Compares ways to rank passages and fits the constants of `rag.retriever`; see docs/retrieval.md.

    python -m scripts.fit_retriever FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from rag.chunks import Chunk, split_documents
from rag.documents import load_file
from rag.embeddings import MINILM, Embedder, open_embedder
from rag.evaluate import Chain, Row, evaluate, read_questions
from rag.retriever import CANDIDATES, Candidate, HybridRetriever, as_document, rank
from rag.store import ChunkStore, Page, Source, open_store

FOLDS = 5
LEARNT_FROM = 4  # best candidates of each question: those that a person gets to see
FLOORS = (0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
Features = NDArray[np.float64]


@dataclass
class Asked:
    """A question, what was found for it, and which of that is relevant."""

    row: Row
    dense: list[Candidate]
    sparse: list[Candidate]
    found: list[Candidate]
    relevant: list[bool]

    def features(self) -> Features:
        """(candidates, 2): cosine and coverage."""
        return np.array([[each.cosine, each.coverage] for each in self.found])


@dataclass
class Fixed:
    """Gives `evaluate` rankings that were made before."""

    rankings: dict[str, list[Candidate]]

    def search(self, query: str, k: int) -> list[Document]:
        return [as_document(candidate) for candidate in self.rankings[query][:k]]


class NoChain:
    def invoke(self, input: dict[str, object]) -> dict[str, object]:
        return {"result": "", "source_documents": []}


@dataclass
class Embedded:
    """One document, ready for a store."""

    source: Source
    pages: list[Page]
    chunks: list[Chunk]
    vectors: NDArray[np.float32]


def read(corpus: Path, embedder: Embedder) -> list[Embedded]:
    documents = []
    for path in sorted(corpus.iterdir()):
        loaded = load_file(path, path.name)
        chunks = split_documents(loaded)
        documents.append(
            Embedded(
                Source(path.name, content_hash=path.name, chunks=len(chunks)),
                [Page(page.page_content, page.metadata["start"]) for page in loaded],
                chunks,
                embedder.embed_array([chunk.indexed_text for chunk in chunks]),
            )
        )
    return documents


@contextmanager
def indexed(documents: Sequence[Embedded], embedder: Embedder) -> Iterator[ChunkStore]:
    """The documents in a store of their own."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder, dimension=embedder.dimension, embedder=embedder.name)
        for each in documents:
            store.add(each.source, each.pages, each.chunks, each.vectors)
        yield store
        store.close()


def ask(store: ChunkStore, embedder: Embedder, rows: Sequence[Row]) -> list[Asked]:
    retriever = HybridRetriever(store=store, embedder=embedder, k=4, floor=0)
    asked = []
    for row in rows:
        found = retriever.candidates(row.question)
        by_id = {each.id: each for each in found}
        dense = store.search_vector(embedder.embed_query_array(row.question), CANDIDATES)
        sparse = store.search_text(row.question, CANDIDATES)
        in_dense, in_sparse = ([by_id[hit.id] for hit in hits] for hits in (dense, sparse))
        relevant = [recall_1(row, each) for each in found]
        asked.append(Asked(row, in_dense, in_sparse, found, relevant))
    return asked


def recall_1(row: Row, candidate: Candidate) -> bool:
    """Whether this chunk alone would be counted as found."""
    figures = evaluate([row], Fixed({row.question: [candidate]}), NO_CHAIN)
    return bool(figures["recall"]["10"])


def reciprocal_ranks(asked: Asked) -> list[Candidate]:
    total: dict[Candidate, float] = {}
    for hits in (asked.dense, asked.sparse):
        for place, candidate in enumerate(hits, 1):
            total[candidate] = total.get(candidate, 0.0) + 1 / (60 + place)
    return sorted(total, key=lambda candidate: -total[candidate])


def fit(asked: Sequence[Sequence[Asked]]) -> tuple[float, float, float]:
    """Logistic regression on the best candidates of each question; every set weighs the same."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    features: list[Features] = []
    relevant: list[NDArray[np.bool_]] = []
    weights: list[Features] = []
    for questions in asked:
        for question in questions:
            points = question.features()
            best = np.argsort(-points.sum(axis=1))[:LEARNT_FROM]
            features.append(points[best])
            relevant.append(np.array(question.relevant)[best])
            weights.append(np.full(len(best), 1 / len(questions)))
    weight = np.concatenate(weights)
    model = LogisticRegression(C=100).fit(
        np.vstack(features), np.concatenate(relevant), sample_weight=weight / weight.mean()
    )
    cosine, coverage = model.coef_[0]
    return float(cosine), float(coverage), float(model.intercept_[0])


def held_out(sets: Sequence[Sequence[Asked]]) -> Callable[[Asked], list[Candidate]]:
    """Ranks each question by constants that were fitted without its fold."""
    fold = {id(asked): n * FOLDS // len(each) for each in sets for n, asked in enumerate(each)}
    fitted = [fit([[a for a in each if fold[id(a)] != n] for each in sets]) for n in range(FOLDS)]

    def ranked(asked: Asked) -> list[Candidate]:
        cosine, coverage, _ = fitted[fold[id(asked)]]
        return sorted(asked.found, key=lambda each: -(cosine * each.cosine + coverage * each.coverage))

    return ranked


def table(names: Sequence[str], sets: Sequence[Sequence[Asked]]) -> Iterator[str]:
    ways: dict[str, Callable[[Asked], list[Candidate]]] = {
        "dense": lambda asked: asked.dense,
        "BM25": lambda asked: asked.sparse,
        "reciprocal rank fusion": reciprocal_ranks,
        "fused, constants from other folds": held_out(sets),
        "fused, as it is": lambda asked: rank(asked.found),
    }
    yield "| questions | ranked by | recall@1 | @4 | @5 | @10 | MRR |\n|" + " --- |" * 7
    for name, asked in zip(names, sets, strict=True):
        for way, ranked in ways.items():
            fixed = Fixed({each.row.question: ranked(each) for each in asked})
            figures = evaluate([each.row for each in asked], fixed, NO_CHAIN)
            values = [*figures["recall"].values(), figures["mrr"]]
            yield f"| {name} | {way} | {' | '.join(f'{value:.3f}' for value in values)} |"


def floors(asked: Sequence[Asked]) -> Iterator[str]:
    """What each floor refuses where half of the documents are missing."""
    best = np.array([max((each.score for each in a.found), default=0.0) for a in asked])
    there = np.array([any(a.relevant) for a in asked])
    yield "| floor | answerable refused | unanswerable refused |\n| --- | --- | --- |"
    for floor in FLOORS:
        yield f"| {floor} | {(best[there] < floor).mean():.3f} | {(best[~there] < floor).mean():.3f} |"


def main(folders: Sequence[Path]) -> None:
    embedder = open_embedder(MINILM, device="cpu", offline=True)
    whole: list[list[Asked]] = []
    halves: list[list[Asked]] = []
    for folder in folders:
        rows = [row for row in read_questions(folder / "questions.jsonl") if row.tests_retrieval]
        rows = [replace(row, answers=(), answerable=None) for row in rows]
        documents = read(folder / "corpus", embedder)
        kept: list[Asked] = []
        for part in (documents[::2], documents[1::2]):
            with indexed(part, embedder) as store:
                kept += ask(store, embedder, rows)
        halves.append(kept)
        with indexed(documents, embedder) as store:
            whole.append(ask(store, embedder, rows))
    print("\n".join(table([folder.name for folder in folders], whole)))
    cosine, coverage, bias = fit([*whole, *halves])
    print(f"\ncosine {cosine:.2f}, coverage {coverage:.2f}, bias {bias:.2f}\n")
    for folder, asked in zip(folders, halves, strict=True):
        print(f"{folder.name}, every second document left out:\n" + "\n".join(floors(asked)) + "\n")


NO_CHAIN: Chain = NoChain()  # rows without answers never ask it

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(argument) for argument in sys.argv[1:]])
