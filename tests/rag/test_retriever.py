from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from rag.answerable import probability
from rag.cancel import Cancelled, CancelToken, scope
from rag.chunks import Chunk
from rag.embeddings import Embedder
from rag.promising import Scored, Sentence
from rag.rerank import RerankerError, open_reranker
from rag.retriever import DEFAULT_FLOOR, Candidate, HybridRetriever, rank
from rag.store import ChunkStore, Page, Source, open_store
from rag.terms import Word

TEXTS = {
    "museum.txt": "The museum opens at nine in the morning and closes at five. Children never pay anything.",
    "engine.txt": "The steam engine in the hall was built in 1887 by Margaret Ellwood, a locksmith.",
    "garden.txt": "Roses, tulips and a very old yew grow in the garden behind the house.",
    "cafe.txt": "The café sells soup, bread and cake. Payment is by card only.",
    "train.txt": "Trains leave the station every twenty minutes; the walk from there takes a while.",
}

Build = Callable[..., HybridRetriever]


def chunk(source: str, text: str, start: int = 0) -> Chunk:
    return Chunk(source, text, start, start + len(text), title=source.removesuffix(".txt"))


@pytest.fixture
def store(tmp_path: Path, embedder: Embedder) -> Iterator[ChunkStore]:
    store = open_store(tmp_path / "data", dimension=embedder.dimension, embedder=embedder.name)
    yield store
    store.close()


@pytest.fixture
def build(store: ChunkStore, embedder: Embedder) -> Build:
    """Puts the chunks into the store, and gives a retriever over it."""

    def build(chunks: list[Chunk] | None = None, k: int = 4, floor: float = DEFAULT_FLOOR) -> HybridRetriever:
        chunks = [chunk(name, text) for name, text in TEXTS.items()] if chunks is None else chunks
        for source in dict.fromkeys(each.source for each in chunks):
            own = [each for each in chunks if each.source == source]
            vectors = embedder.embed_array([each.indexed_text for each in own])
            pages = [Page(" ".join(each.text for each in own))]
            store.add(Source(source, content_hash=source, chunks=len(own)), pages, own, vectors)
        return HybridRetriever(store=store, embedder=embedder, k=k, floor=floor)

    return build


def sources(documents: list[Document]) -> list[str]:
    return [document.metadata["source"] for document in documents]


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("When does the museum open?", "museum.txt"),
        ("Who built the steam engine?", "engine.txt"),
        ("Which flowers are planted outside?", "garden.txt"),  # by meaning alone
        ("Ellwood", "engine.txt"),  # by the word alone
        ("Can I pay in cash at the cafe?", "cafe.txt"),  # without its accent
    ],
)
def test_the_passage_that_answers_comes_first(build: Build, question: str, source: str) -> None:
    documents = build(floor=0.0).invoke(question)
    assert sources(documents)[0] == source
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_a_document_carries_its_text_and_place(build: Build) -> None:
    text = "The lamp is lit at dusk."
    placed = Chunk(
        "a.pdf", text, 70, 70 + len(text), 3, "Lamps", "Light", "Lamps > p. 3", place="page 3", at=1.5
    )
    [document] = build([placed]).search("When is the lamp lit?", 4)
    assert document.page_content == text, "the header is searched, not quoted"
    assert document.id == str(document.metadata["id"])
    score = document.metadata.pop("score")
    assert 0.5 < score <= 1
    document.metadata.pop("id")
    assert document.metadata == {
        "source": "a.pdf",
        "page": 3,
        "place": "page 3",
        "at": 1.5,
        "start": 70,
        "end": 70 + len(text),
        "title": "Lamps",
        "section": "Light",
    }


def test_the_floor_acts_on_invoke_and_not_on_search(build: Build) -> None:
    retriever = build()
    question = "What is the boiling point of tungsten hexafluoride?"
    assert retriever.invoke(question) == []
    assert len(retriever.search(question, 3)) == 3
    assert retriever.invoke("When does the museum open?")


def test_how_probable_an_answer_is(build: Build) -> None:
    retriever = build()
    assert retriever.probability("When does the museum open?") > 0.5
    assert retriever.probability("What is the boiling point of tungsten hexafluoride?") < DEFAULT_FLOOR


def test_a_report_of_another_year_does_not_answer() -> None:
    report = chunk("a.txt", "Capital expenditure was 51 million.")
    asked = {Word("2017", frozenset(["2017"])): 0.5, Word("expenditure", frozenset(["expenditur"])): 0.5}

    likeliest = [Scored(Sentence(report.text, 1, 0), 5.0, coverage=0.5, together=0.5, cosine=0.6)]

    def judged(header: str) -> float:
        held = frozenset(["expenditur", *header.split()])
        found = [Candidate(1, replace(report, header=header), 0.6, 0.5, held=held, asked=asked)]
        return probability(found, likeliest)

    assert judged("Norvex 2018") < DEFAULT_FLOOR < judged("Norvex")


def test_k_is_the_most_that_comes_back(build: Build) -> None:
    retriever = build(k=2, floor=0.0)
    assert len(retriever.invoke("museum garden engine café")) == 2
    assert len(retriever.search("museum garden engine café", 4)) == 4


@pytest.mark.parametrize("question", ["", "  \n", "???", "the of and", "「」", "a" * 20_000, "\x00 NOT (AND"])
def test_any_text_is_a_question(build: Build, question: str) -> None:
    assert len(build().search(question, 2)) <= 2


def test_an_empty_store_finds_nothing(build: Build) -> None:
    assert build([]).invoke("When does the museum open?") == []


def test_copies_and_overlapping_neighbours_take_one_place(build: Build) -> None:
    text = TEXTS["museum.txt"]
    chunks = [
        chunk("museum.txt", text),
        chunk("copy.txt", text.replace(" ", "\n", 3)),
        Chunk("museum.txt", text[10:] + " It has a shop.", 10, len(text) + 15),
        chunk("engine.txt", TEXTS["engine.txt"]),
    ]
    found = build(chunks).search("When does the museum open?", 4)
    assert len(found) == 2
    assert sources(found)[1] == "engine.txt"


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 300), st.integers(1, 200), st.floats(-1, 1), st.floats(0, 1)
        ),
        max_size=12,
    )
)
@settings(max_examples=50, deadline=None)
def test_ranking_keeps_the_best_of_what_overlaps(found: list[tuple[str, int, int, float, float]]) -> None:
    candidates = [
        Candidate(n, Chunk(source, f"{n}", start, start + length), cosine, coverage)
        for n, (source, start, length, cosine, coverage) in enumerate(found)
    ]
    ranked = rank(candidates, len(candidates))
    assert {each.id for each in ranked} <= {each.id for each in candidates}
    assert [each.score for each in ranked] == sorted((each.score for each in ranked), reverse=True)
    if candidates:
        assert ranked[0].score == max(each.score for each in candidates)
    for n, one in enumerate(ranked):
        for other in ranked[n + 1 :]:
            shared = min(one.chunk.end, other.chunk.end) - max(one.chunk.start, other.chunk.start)
            shorter = min(one.chunk.end - one.chunk.start, other.chunk.end - other.chunk.start)
            assert one.chunk.source != other.chunk.source or shared <= shorter / 2


def test_a_cancelled_question_stops(build: Build) -> None:
    retriever = build()
    token = CancelToken()
    token.cancel()
    with scope(token), pytest.raises(Cancelled):
        retriever.search("When does the museum open?", 4)


class ByLength:
    """The longest passage first."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        self.read += passages
        return np.array([len(passage) for passage in passages], dtype=np.float32)


def test_a_reranker_orders_what_was_found_and_leaves_the_score(build: Build) -> None:
    retriever = build(floor=0.0)
    plain = {each.id: each.metadata["score"] for each in retriever.search("garden", 5)}
    reranker = ByLength()
    retriever.reranker = reranker
    documents = retriever.invoke("garden")
    assert len(reranker.read) == len(TEXTS)
    longest = sorted(TEXTS, key=lambda name: -len(TEXTS[name]))
    assert sources(documents) == longest[:4]
    assert all(each.metadata["score"] == plain[each.id] for each in documents)


@pytest.fixture
def cross_encoder(tmp_path: Path) -> Path:
    """A tiny cross-encoder with random weights, on disk like any other."""
    torch.manual_seed(0)
    folder = tmp_path / "cross-encoder"
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,?;é"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{each}" for each in letters)]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    return folder


def test_a_cross_encoder_by_path(build: Build, cross_encoder: Path) -> None:
    retriever = build(floor=0.0)
    reranker = open_reranker(str(cross_encoder), device="cpu", offline=True)
    retriever.reranker = reranker
    documents = retriever.search("Who built the engine?", 5)
    scores = reranker.scores("Who built the engine?", [each.page_content for each in documents])
    assert scores.shape == (5,)
    assert len(set(scores.tolist())) > 1
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)


def test_a_reranker_that_is_not_there(tmp_path: Path) -> None:
    missing = open_reranker("nobody/no-such-cross-encoder", device="cpu", offline=True)
    with pytest.raises(RerankerError, match=r"was not found on this machine.*PARLEY_RERANKER to none"):
        missing.scores("q", ["p"])
    (tmp_path / "empty").mkdir()
    broken = open_reranker(str(tmp_path / "empty"), device="cpu", offline=True)
    with pytest.raises(RerankerError, match="holds no cross-encoder"):
        broken.scores("q", ["p"])
