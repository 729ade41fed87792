"""Measures what each part of the retrieval is worth: the tables of docs/retrieval.md.

    python -m scripts.measure_retrieval FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`; the made
sets are measured, too. Every row of the second table is the retrieval as it is, but for one thing.
"""

from __future__ import annotations

import re
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
from rag.chunks import Chunk, split_documents
from rag.evaluate import Row, evaluate
from rag.retriever import CANDIDATES, RERANKED, Candidate, HybridRetriever, as_document, rank
from rag.sentences import split_sentences
from rag.terms import ENGLISH, question_words
from scripts.arguments import question_folders
from scripts.retrieval_sets import QuestionSet, Remembered, indexed, read_sets

CUTS = ("1", "4")
RESAMPLED = 10_000
Found = NDArray[np.float64]  # (questions, len(CUTS)): 1 where a relevant passage is among the first so many
Ranking = Callable[[HybridRetriever, str], list[Document]]
Shown = Callable[
    [Sequence[Document], Sequence[Chunk]], list[Document]
]  # what of a ranking, and of all chunks
_TOUCHING = 3  # characters, of white space, between two chunks that follow each other


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


def as_ranked(documents: Sequence[Document], chunks: Sequence[Chunk]) -> list[Document]:
    return list(documents)


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


def several_queries(retriever: HybridRetriever, question: str) -> list[Document]:
    """By the mean over the question, its clauses, and its words without the function words."""
    asked = [question, " ".join(word.text for word in question_words(question)), *_clauses(question)]
    found = [retriever.candidates(query) for query in dict.fromkeys(filter(str.strip, asked))]
    least = [min((each.cosine for each in candidates), default=0.0) for candidates in found]
    by_query = [{each.id: each for each in candidates} for candidates in found]

    def mean(candidate: Candidate) -> Candidate:
        own = [candidates.get(candidate.id) for candidates in by_query]
        cosines = [each.cosine if each else low for each, low in zip(own, least, strict=True)]
        coverages = [each.coverage if each else 0.0 for each in own]
        return replace(candidate, cosine=float(np.mean(cosines)), coverage=float(np.mean(coverages)))

    every = {id: each for candidates in reversed(by_query) for id, each in candidates.items()}
    return [as_document(each) for each in rank([mean(each) for each in every.values()], RERANKED)]


def _clauses(question: str) -> list[str]:
    """What commas and conjunctions part, if it is three words or more."""
    clauses = re.split(r"[,;:]\s+|\s(?:and|or|but|which|that|when|if|because)\s", question)
    return [clause for clause in clauses if len(clause.split()) >= 3]


def adjacent_joined(documents: Sequence[Document], chunks: Sequence[Chunk]) -> list[Document]:
    """A passage that goes on where a better one ends, or ends where it begins, becomes part of that one."""
    kept: list[Document] = []
    for document in documents:
        for place, better in enumerate(kept):
            if (one := _one(better, document)) is not None:
                kept[place] = one
                break
        else:
            kept.append(document)
    return kept


def with_neighbours(documents: Sequence[Document], chunks: Sequence[Chunk]) -> list[Document]:
    """Each passage with what stands before and behind it."""
    ordered = sorted(chunks, key=lambda chunk: (chunk.source, chunk.start))
    places = {(chunk.source, chunk.start): n for n, chunk in enumerate(ordered)}
    found = []
    for document in documents:
        place = places[document.metadata["source"], document.metadata["start"]]
        for chunk in ordered[max(0, place - 1) : place + 2]:
            document = _one(document, _plain(-1, chunk)) or document
        found.append(document)
    return found


def _one(better: Document, other: Document) -> Document | None:
    """Two that touch on one page, as one; None where they do not."""
    first, second = sorted((better.metadata, other.metadata), key=lambda at: int(at["start"]))
    near = second["start"] - first["end"] <= _TOUCHING
    if not near or (first["source"], first["page"]) != (second["source"], second["page"]):
        return None
    place = {"start": first["start"], "end": max(first["end"], second["end"])}
    # `found` looks at the places and the length alone.
    return Document("x" * (place["end"] - place["start"]), metadata=better.metadata | place)


def _plain(id: int, chunk: Any) -> Document:
    return as_document(Candidate(id, chunk, 0.0, 0.0))


@dataclass(frozen=True)
class Variant:
    """One thing that is done differently: names of module attributes → what stands for them."""

    name: str
    changed: tuple[tuple[str, Any], ...] = ()
    ranking: Ranking = as_it_is
    size: int = 1000
    shown: Shown = as_ranked


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
    Variant("adjacent passages joined", shown=adjacent_joined),
    Variant("chunks of 400, with their neighbours", size=400, shown=with_neighbours),
    Variant("several queries from one question", ranking=several_queries),
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
            ranked = [
                (row, variant.shown(variant.ranking(retriever, row.question), kept.chunks))
                for row in given.rows
            ]
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
