"""Fills an index with many chunks and measures it; prints the table of docs/scale.md.

    python -m scripts.measure_scale FOLDER… [--chunks 10000 100000 1000000] [--index DIR]

Each FOLDER holds documents in `corpus/`, and questions in `questions.jsonl` as `eval` reads them. A chunk's
text is made of sentences of these documents, drawn at random; its vector is the embedding of the first, with
some of that of the second and noise. The questions are asked as they are, with their own embeddings.
`--index` keeps the index in DIR, and goes on with the one that is there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.comparison import sides
from rag.documents import load_file
from rag.embeddings import MINILM, open_embedder
from rag.evaluate import read_questions
from rag.retriever import CANDIDATES, HybridRetriever
from rag.sentences import split_sentences
from rag.store import Page, Source
from rag.store_local import LocalStore
from scripts.arguments import question_folder

SHORTEST = 40  # characters of a sentence; what is shorter is a heading or a number
CHUNK = 900  # characters of a chunk's text, about
DOCUMENT = 50  # chunks of a document
ADDED = 20  # documents that are added one by one to the full index
LEARNING = 3600.0  # seconds that the vector index may take to learn
Vectors = NDArray[np.float32]
R = TypeVar("R")


@dataclass(frozen=True)
class Material:
    """What chunks are made of, and what is asked."""

    sentences: list[str]
    vectors: Vectors  # (sentences, dimension)
    questions: list[str]
    asked: Vectors  # (questions, dimension)
    searched: dict[str, list[float]]  # what is searched for, questions and each side of comparisons → vector


@dataclass(frozen=True)
class Figures:
    """Of one index; times in seconds."""

    opening: float
    dense: list[float]
    text: list[float]
    whole: list[float]
    resident: int  # bytes
    found: list[list[int]]  # the ids of the ten nearest, question by question
    adding: list[float]


class Embedded(Embeddings):
    """Knows the questions' vectors, so that a search is measured without the embedder."""

    def __init__(self, material: Material) -> None:
        self._vectors = material.searched

    def embed_query(self, text: str) -> list[float]:
        return self._vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError


def read(folders: Sequence[Path]) -> Material:
    files = [path for folder in folders for path in sorted((folder / "corpus").iterdir())]
    pages = [page.page_content for path in files for page in load_file(path, path.name)]
    sentences = [each for page in pages for each in split_sentences(page) if len(each) >= SHORTEST]
    questions = [row.question for folder in folders for row in read_questions(folder / "questions.jsonl")]
    embedder = open_embedder(MINILM, offline=True)
    asked = embedder.embed_array(questions)
    parts = [side for question in questions for side in sides(question)]
    vectors = [*asked.tolist(), *embedder.embed_array(parts).tolist()]
    searched = dict(zip(questions + parts, vectors, strict=True))
    return Material(sentences, embedder.embed_array(sentences), questions, asked, searched)


# Making


def document(material: Material, number: int) -> tuple[Source, list[Page], list[Chunk], Vectors]:
    """The same for the same number."""
    rng = np.random.default_rng(number)
    drawn = rng.integers(len(material.sentences), size=(DOCUMENT, 40))
    title = " ".join(material.sentences[drawn[0, 0]].split()[:6])
    chunks: list[Chunk] = []
    for at, row in enumerate(drawn):
        text = filled(material.sentences[each] for each in row)
        section = " ".join(material.sentences[drawn[at - at % 5, 1]].split()[:4])
        header = f"{title} · {section} · page {at // 3 + 1}"
        start = at * 1000
        chunks.append(
            Chunk(f"{number}.txt", text, start, start + len(text), at // 3 + 1, title, section, header)
        )
    pages = [
        Page("\n".join(chunk.text for chunk in chunks[at : at + 3]), at * 1000, at // 3 + 1)
        for at in range(0, DOCUMENT, 3)
    ]
    return Source(f"{number}.txt", str(number), title), pages, chunks, perturbed(material, drawn, rng)


def filled(sentences: Iterator[str]) -> str:
    text = next(sentences)
    while len(text) < CHUNK:
        text += " " + next(sentences)
    return text


def perturbed(material: Material, drawn: NDArray[np.int64], rng: np.random.Generator) -> Vectors:
    """The first sentence's embedding, up to 0.7 of the second's, and noise of length 0.1 to 0.6."""
    count, dimension = len(drawn), material.vectors.shape[1]
    noise = rng.standard_normal((count, dimension)) / dimension**0.5 * rng.uniform(0.1, 0.6, (count, 1))
    second = material.vectors[drawn[:, 1]] * rng.uniform(0, 0.7, (count, 1))
    rows = material.vectors[drawn[:, 0]] + second + noise
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def opened(folder: Path, material: Material) -> LocalStore:
    return LocalStore(folder, dimension=material.vectors.shape[1], embedder=MINILM)


def grow(folder: Path, material: Material, chunks: int) -> float:
    """Add documents until there are so many chunks, and let the index learn; returns the seconds it took."""
    began = time.monotonic()
    store = opened(folder, material)
    for number in range(store.count() // DOCUMENT, chunks // DOCUMENT):
        store.add(*document(material, number))
    store.search_vector(material.asked[0], 1)
    store.wait_until_learnt(LEARNING)
    store.close()
    return time.monotonic() - began


# Measuring


def ask(folder: Path, material: Material) -> Figures:
    """Everything that is measured of an index, in a process of its own."""
    import psutil  # type: ignore[import-untyped]

    began = time.perf_counter()
    store = opened(folder, material)
    store.search_vector(material.asked[0], 1)
    store.search_text(material.questions[0], 1)
    opening = time.perf_counter() - began
    retriever = HybridRetriever(store=store, embedder=Embedded(material))
    both = list(zip(material.questions, material.asked, strict=True))
    for question in material.questions[::10]:  # what a server has behind it soon after it was started
        retriever.search(question, 4)
    figures = Figures(
        opening,
        dense=timed(lambda pair: store.search_vector(pair[1], CANDIDATES), both),
        text=timed(lambda pair: store.search_text(pair[0], CANDIDATES), both),
        whole=timed(lambda pair: retriever.search(pair[0], 4), both),
        resident=psutil.Process(os.getpid()).memory_info().rss,
        found=[[hit.id for hit in store.search_vector(vector, 10)] for vector in material.asked],
        adding=add_and_remove(store, material),
    )
    store.close()
    return figures


def timed(
    search: Callable[[tuple[str, Vectors]], object], pairs: Sequence[tuple[str, Vectors]]
) -> list[float]:
    seconds = []
    for pair in random.Random(0).sample(pairs, len(pairs)):
        began = time.perf_counter()
        search(pair)
        seconds.append(time.perf_counter() - began)
    return seconds


def add_and_remove(store: LocalStore, material: Material) -> list[float]:
    """Seconds from a new document until both searches know it; afterwards all is as it was."""
    seconds, first = [], store.count() // DOCUMENT
    for number in range(first, first + ADDED):
        source, pages, chunks, vectors = document(material, number)
        began = time.perf_counter()
        store.add(source, pages, chunks, vectors)
        (hit,) = store.search_vector(vectors[0], 1)
        store.search_text(chunks[0].text, 1)
        seconds.append(time.perf_counter() - began)
        assert hit.chunk.source == source.source
    for number in range(first, first + ADDED):
        store.delete(f"{number}.txt")
    return seconds


def nearest(folder: Path, material: Material) -> list[list[int]]:
    """The ids of the ten nearest to each question, by looking at every vector."""
    from rag import database

    best = np.full((len(material.asked), 10), -2.0, np.float32)
    ids = np.zeros(best.shape, np.int64)
    with database.opened(folder / database.FILE) as db:
        rows = db.execute("SELECT chunk, vector FROM vectors")
        while batch := rows.fetchmany(20_000):
            numbers = np.array([row[0] for row in batch])
            matrix = np.frombuffer(b"".join(row[1] for row in batch), np.float32).reshape(len(batch), -1)
            scores = np.concatenate([best, material.asked @ matrix.T], axis=1)
            owners = np.concatenate([ids, np.broadcast_to(numbers, (len(ids), len(batch)))], axis=1)
            top = np.argpartition(-scores, 10, axis=1)[:, :10]
            best, ids = np.take_along_axis(scores, top, 1), np.take_along_axis(owners, top, 1)
    return ids.tolist()


def table(columns: Sequence[tuple[int, Figures, float]]) -> str:
    """Markdown; `columns`: chunks, figures, recall."""

    def row(name: str, cell: Callable[[int, Figures, float], str]) -> str:
        return " | ".join(["", name, *(cell(*each) for each in columns), ""]).strip()

    lines = [
        row("chunks", lambda chunks, _, __: f"{chunks:,}"),
        "| --- " * (len(columns) + 1) + "|",
        row("search, all of it, p50 / p95", lambda _, f, __: milliseconds(f.whole)),
        row("of which dense", lambda _, f, __: milliseconds(f.dense)),
        row("of which BM25", lambda _, f, __: milliseconds(f.text)),
        row("recall@10 of the dense search", lambda _, __, recall: f"{recall:.3f}"),
        row("opening, with the first search", lambda _, f, __: f"{f.opening:.1f} s"),
        row("resident memory", lambda _, f, __: f"{f.resident / 2**30:.2f} GiB"),
        row("adding a document of 50 chunks, p50 / max", lambda _, f, __: median_and_most(f.adding)),
    ]
    return "\n".join(lines)


def milliseconds(seconds: Sequence[float]) -> str:
    half, most = np.percentile(seconds, (50, 95)) * 1000
    return f"{half:.1f} / {most:.1f} ms"


def median_and_most(seconds: Sequence[float]) -> str:
    return f"{np.median(seconds) * 1000:.0f} / {max(seconds) * 1000:.0f} ms"


def alone(work: Callable[..., R], *args: object) -> R:
    """Do it in a process of its own, whose memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=question_folder, metavar="FOLDER")
    parser.add_argument("--chunks", nargs="+", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--index", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.index or Path(temporary)
        material = alone(read, options.folders)
        columns = []
        for chunks in sorted(options.chunks):
            seconds = alone(grow, folder, material, chunks)
            print(f"{chunks:,} chunks after {seconds:.0f} s", flush=True)
            figures, exact = alone(ask, folder, material), alone(nearest, folder, material)
            recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(figures.found, exact, strict=True)])
            columns.append((chunks, figures, float(recall)))
            print(table(columns), flush=True)


if __name__ == "__main__":
    main()
