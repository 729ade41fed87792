"""Measures what each part of the retrieval is worth: the tables of docs/retrieval.md.

    python -m scripts.measure_retrieval FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`; the made
sets are measured, too. Every row of the second table is the retrieval as it is, but for one thing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

import rag.terms as terms_module
from rag.chunks import split_documents
from rag.evaluate import Row, evaluate
from rag.retriever import CANDIDATES, RERANKED, Candidate, HybridRetriever, as_document, rank
from rag.sentences import split_sentences
from rag.terms import ENGLISH
from scripts.arguments import question_folders
from scripts.retrieval_sets import QuestionSet, Remembered, indexed, read_sets

CUTS = ("1", "4")
RESAMPLED = 10_000
Found = NDArray[np.float64]  # (questions, len(CUTS)): 1 where a relevant passage is among the first so many
Ranking = Callable[[HybridRetriever, str], list[Document]]


class Fixed:
    """Gives `evaluate` one ranking."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents

    def search(self, query: str, k: int) -> list[Document]:
        return list(self._documents[:k])

    def probability(self, query: str) -> float:
        return 1.0

    def invoke(self, input: dict[str, Any]) -> dict[str, Any]:
        return {"result": "", "source_documents": []}


def found(row: Row, documents: Sequence[Document]) -> list[float]:
    fixed = Fixed(documents)
    figures = evaluate([replace(row, answers=(), answerable=None)], fixed, fixed)
    return [figures["recall"][cut] for cut in CUTS]


def as_it_is(retriever: HybridRetriever, question: str) -> list[Document]:
    return retriever.search(question, 10)


def dense(retriever: HybridRetriever, question: str) -> list[Document]:
    vector = np.asarray(retriever.embedder.embed_query(question), dtype=np.float32)
    return [_plain(hit.id, hit.chunk) for hit in retriever.store.search_vector(vector, 10)]


def sparse(retriever: HybridRetriever, question: str) -> list[Document]:
    return [_plain(hit.id, hit.chunk) for hit in retriever.store.search_text(question, 10)]


def reciprocal_ranks(retriever: HybridRetriever, question: str) -> list[Document]:
    vector = np.asarray(retriever.embedder.embed_query(question), dtype=np.float32)
    searches = [
        retriever.store.search_vector(vector, CANDIDATES),
        retriever.store.search_text(question, CANDIDATES),
    ]
    total: dict[int, float] = {}
    for hits in searches:
        for place, hit in enumerate(hits, 1):
            total[hit.id] = total.get(hit.id, 0.0) + 1 / (60 + place)
    chunks = {hit.id: hit.chunk for hits in searches for hit in hits}
    return [_plain(id, chunks[id]) for id in sorted(total, key=lambda id: -total[id])]


def with_best_sentence(retriever: HybridRetriever, question: str) -> list[Document]:
    """By the mean of the chunk's cosine and its best sentence's."""
    vector = np.asarray(retriever.embedder.embed_query(question))

    def nearer(candidate: Candidate) -> Candidate:
        sentences = split_sentences(candidate.chunk.text)
        best = max(np.asarray(retriever.embedder.embed_documents(sentences)) @ vector, default=0.0)
        return replace(candidate, cosine=(candidate.cosine + float(best)) / 2)

    head = rank(retriever.candidates(question), RERANKED)
    return [as_document(candidate) for candidate in rank([nearer(each) for each in head], RERANKED)]


def _plain(id: int, chunk: Any) -> Document:
    return as_document(Candidate(id, chunk, 0.0, 0.0))


@dataclass(frozen=True)
class Variant:
    """One thing that is done differently: names of module attributes → what stands for them."""

    name: str
    changed: tuple[tuple[str, Any], ...] = ()
    ranking: Ranking = as_it_is
    size: int = 1000


def _english(text: str) -> str:
    return ENGLISH


def _forms_in_english(token: str) -> frozenset[str]:
    from rag.terms import _stemmed

    return frozenset(_stemmed(token, ENGLISH))


VARIANTS = [
    Variant("as it is"),
    Variant("dense alone", ranking=dense),
    Variant("BM25 alone", ranking=sparse),
    Variant("reciprocal rank fusion", ranking=reciprocal_ranks),
    Variant("without names in the headers", (("rag.chunks._name", lambda source, pages: ""),)),
    Variant("without what a document is about", (("rag.chunks.subject", lambda pages, known: ""),)),
    Variant("names do not count for themselves", (("rag.retriever._UNNAMED", 0.0),)),
    Variant(
        "every language stemmed as English",
        (
            ("rag.terms.language_of", _english),
            ("rag.store_text.language_of", _english),
            ("rag.retriever.language_of", _english),
            ("rag.terms._variants", _forms_in_english),
        ),
    ),
    Variant("identifiers only in parts", (("rag.terms._codes", lambda text: []),)),
    Variant(
        "words only as they are written",
        (
            ("rag.terms._meant", lambda words, texts: words),
            ("rag.store_text._SHORTEST_FUZZY", 1000),
        ),
    ),
    Variant("comparisons in one question", (("rag.retriever.sides", lambda question: []),)),
    Variant("chunks of 500", size=500),
    Variant("chunks of 2,000", size=2000),
    Variant("and the best sentence's cosine", ranking=with_best_sentence),
]


def measure(variant: Variant, given: QuestionSet, embedder: Remembered) -> Found:
    split = partial(split_documents, size=variant.size, overlap=variant.size * 3 // 20)
    terms_module._known.cache_clear()  # of the variant before
    with ExitStack() as changes:
        for name, value in variant.changed:
            changes.enter_context(patch(name, value))
        with indexed(given.documents, embedder, split) as kept:
            retriever = HybridRetriever(store=kept.store, embedder=embedder, floor=0)
            ranked = [(row, variant.ranking(retriever, row.question)) for row in given.rows]
    return np.array([found(row, documents) for row, documents in ranked])


def interval(better: Found, worse: Found) -> str:
    """The mean difference, and where 95 % of the means lie of as many questions drawn again and again."""
    drawn = np.random.default_rng(0).integers(0, len(better), (RESAMPLED, len(better)))
    differences = better - worse
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return f"{differences.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def against_its_parts(sets: Sequence[QuestionSet], table: dict[str, list[Found]]) -> Iterator[str]:
    yield "| questions | @1 against dense | against BM25 | @4 against dense | against BM25 |"
    yield "|" + " --- |" * 5
    for n, given in enumerate(sets):
        fused, *parts = (table[variant.name][n] for variant in VARIANTS[:3])
        cells = [interval(fused[:, cut], part[:, cut]) for cut in range(len(CUTS)) for part in parts]
        yield f"| {given.name} | {' | '.join(cells)} |"


def ablation(sets: Sequence[QuestionSet], table: dict[str, list[Found]]) -> Iterator[str]:
    yield f"| recall@1 / @4 | {' | '.join(given.name for given in sets)} |\n|{' --- |' * (len(sets) + 1)}"
    yield f"| questions | {' | '.join(str(len(given.rows)) for given in sets)} |"
    for name, results in table.items():
        cells = [" / ".join(f"{value:.3f}" for value in each.mean(axis=0)) for each in results]
        yield f"| {name} | {' | '.join(cells)} |"


def main(folders: Sequence[Path]) -> None:
    embedder, sets = Remembered(), read_sets(folders)
    table: dict[str, list[Found]] = {}
    for variant in VARIANTS:
        table[variant.name] = [measure(variant, given, embedder) for given in sets]
        embedder.save()
        print(variant.name, file=sys.stderr)
    print("\n".join([*against_its_parts(sets, table), "", *ablation(sets, table)]))


if __name__ == "__main__":
    main(question_folders(__doc__))
