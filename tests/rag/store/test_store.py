"""The contract of every chunk store, against an exact search."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.chunks import Chunk
from rag.store import ChunkStore, Hit, NameTakenError, Page, Source, StoreError, open_store
from rag.store_local import LocalStore
from tests.rag.store.filling import WORDS, chunks_for, put, texts, vectors_for


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_search_within_some_documents_finds_the_best_of_theirs(store: ChunkStore, share: float) -> None:
    for seed in range(60):
        put(store, f"{seed}.txt", seed)
    chosen = [f"{seed}.txt" for seed in range(60) if random.Random(seed).random() < share] or ["7.txt"]
    documents = store.documents(locations=chosen)
    assert len(documents) == len(chosen)

    def found(hits: Sequence[Hit]) -> list[tuple[int, float]]:
        return [(hit.id, round(hit.score, 4)) for hit in hits if hit.chunk.source in chosen]

    for query in ("library", "bee honey v7n1", "ticket train tea museum"):
        everything = found(store.search_text(query, 1000))
        best = found(store.search_text(query, 5, documents))
        assert [score for _, score in best] == [score for _, score in everything[:5]]
        assert set(best) <= set(everything)
    for vector in vectors_for(1234, 3):
        assert (
            found(store.search_vector(vector, 5, documents)) == found(store.search_vector(vector, 1000))[:5]
        )
    assert store.search_text("library", 5, frozenset()) == []
    assert store.search_vector(vectors_for(1, 1)[0], 5, frozenset()) == []


def test_documents_are_numbered_by_where_they_come_from(store: ChunkStore) -> None:
    for seed, origin in enumerate(("/a", "/a", "upload")):
        store.add(
            Source(f"{seed}.txt", f"hash{seed}", location=f"{origin}/{seed}", origin=origin),
            [],
            chunks_for(f"{seed}.txt", seed),
            vectors_for(seed, 4),
        )
    assert store.origins() == {"/a", "upload"}
    first = store.documents(origin="/a")
    assert (len(first), store.documents(origin="/b")) == (2, frozenset())
    assert len(first | store.documents(locations=["/a/0", "upload/2", "nowhere"])) == 3
    hits = store.search_text("library bee honey river tea", 100, store.documents(origin="upload"))
    assert {hit.chunk.source for hit in hits} == {"2.txt"}


def test_it_is_a_chunk_store(store: ChunkStore) -> None:
    assert isinstance(store, ChunkStore)
    assert (store.sources(), store.count(), store.pages("none"), store.delete("none")) == ([], 0, [], False)
    assert store.search_text("library", 3) == store.search_vector(vectors_for(1, 1)[0], 3) == []


def test_what_was_added_comes_back(store: ChunkStore) -> None:
    put(store, "a.txt", 1)
    (source,) = store.sources()
    assert (source.source, source.content_hash, source.pages, source.chunks) == ("a.txt", "hash1", 4, 4)
    assert [page.page for page in store.pages("a.txt")] == [1, 2, 3, 4]
    hits = store.search_vector(vectors_for(1, 4)[2], 1)
    assert hits[0].chunk == chunks_for("a.txt", 1)[2]
    assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_vector_search_agrees_with_an_exact_one(store: ChunkStore) -> None:
    for seed in range(20):
        put(store, f"{seed}.txt", seed)
    for seed in (3, 7):
        store.delete(f"{seed}.txt")
    put(store, "5.txt", 105)
    seeds = [seed for seed in range(20) if seed not in (3, 5, 7)] + [105]
    matrix = np.concatenate([vectors_for(seed, 4) for seed in seeds])
    names = [chunk.text for seed in seeds for chunk in chunks_for("", seed)]
    for query in vectors_for(1000, 5):
        best = np.argsort(-(matrix @ query))[:6]
        hits = store.search_vector(query, 6)
        assert [hit.chunk.text for hit in hits] == [names[i] for i in best]
        assert [hit.score for hit in hits] == pytest.approx(
            [float(matrix[i] @ query) for i in best], abs=1e-5
        )


def test_text_search_stems_folds_case_and_accents_and_sees_the_header(store: ChunkStore) -> None:
    rows = [
        "The libraries were opening late.",
        "Un café près de la rivière.",
        "図書館は九時に開きます。",
        "nothing",
        "Children travel free.",
    ]
    chunks = [Chunk("a", text, i, i + 1, header=f"heading{i}") for i, text in enumerate(rows)]
    store.add(Source("a", "h"), [], chunks, vectors_for(1, 5))
    found = (("LIBRARY opens", 0), ("riviere", 1), ("図書館", 2), ("heading3", 3), ("a child's ticket", 4))
    for query, expected in found:
        assert store.search_text(query, 1)[0].chunk.text == rows[expected]
    assert store.search_text("absent", 4) == []


def test_replacing_a_source_leaves_nothing_of_the_old_one(store: ChunkStore) -> None:
    put(store, "a.txt", 1)
    put(store, "a.txt", 2, count=2)
    assert texts(store) == {chunk.text for chunk in chunks_for("a.txt", 2, 2)}
    assert {hit.chunk.text for hit in store.search_text(" ".join(WORDS), 100)} == texts(store)
    assert (store.count(), len(store.sources()), len(store.pages("a.txt"))) == (2, 1, 2)


def test_a_record_can_change_its_name_and_keep_its_chunks(store: ChunkStore) -> None:
    put(store, "a.txt", 1)
    put(store, "b.txt", 2)
    assert store.update("a.txt", Source("moved/a.txt", "hash1", size=7, location="/moved"))
    assert not store.update("a.txt", Source("c.txt", ""))
    with pytest.raises(NameTakenError, match=r"b\.txt"):
        store.update("moved/a.txt", Source("b.txt", ""))
    assert store.find_source("a.txt") is None
    moved = store.find_source("moved/a.txt")
    assert moved
    assert moved in store.sources()
    assert (moved.size, moved.location, moved.title, moved.chunks) == (7, "/moved", "a.txt", 4)
    assert store.search_vector(vectors_for(1, 4)[0], 1)[0].chunk.source == "moved/a.txt"


def test_a_document_from_elsewhere_takes_no_name_that_is_taken(store: ChunkStore) -> None:
    here, there = Source("a.txt", "1", location="/here/a.txt"), Source("a.txt", "2", location="/there/a.txt")
    store.add(here, [], chunks_for("a.txt", 1), vectors_for(1, 4))
    with pytest.raises(NameTakenError, match=r"a\.txt"):
        store.add(there, [], chunks_for("a.txt", 2), vectors_for(2, 4))
    assert texts(store) == {chunk.text for chunk in chunks_for("a.txt", 1)}
    store.add(here, [], chunks_for("a.txt", 2), vectors_for(2, 4))
    assert texts(store) == {chunk.text for chunk in chunks_for("a.txt", 2)}


def test_vectors_that_are_stored_are_found_by_their_text(store: ChunkStore) -> None:
    put(store, "a.txt", 1)
    chunk = chunks_for("a.txt", 1)[3]
    found = store.find_vectors(["unknown", chunk.indexed_text])
    assert list(found) == [chunk.indexed_text]
    assert np.array_equal(found[chunk.indexed_text], vectors_for(1, 4)[3])


def test_it_survives_being_opened_again(opened: Callable[[], ChunkStore]) -> None:
    first = opened()
    for seed in range(5):
        put(first, f"{seed}.txt", seed)
    first.close()
    second = opened()
    assert (second.count(), len(texts(second))) == (20, 20)
    assert second.search_text("v3n2", 1)[0].chunk.source == "3.txt"
    with pytest.raises(StoreError, match="Open it again"):
        first.count()


def test_bad_vectors_and_odd_counts_are_refused(store: ChunkStore) -> None:
    with pytest.raises(ValueError, match="unit length"):
        store.add(Source("a", ""), [], chunks_for("a", 1), 3 * vectors_for(1, 4))
    with pytest.raises(ValueError, match="16"):
        store.search_vector(np.ones(3, dtype=np.float32), 1)
    put(store, "a", 1)
    assert store.search_text("library", 0) == store.search_vector(vectors_for(1, 1)[0], 0) == []


wild_text = st.text(st.characters(), max_size=80)  # half surrogate pairs and control characters included


query_syntax = st.text(st.sampled_from('"()[]{}:^~*?+-\\/ab AND OR NOT TO'), max_size=20)


quickly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(wild_text | query_syntax)
def test_any_text_is_a_query(store: ChunkStore, query: str) -> None:
    if not store.count():
        put(store, "a.txt", 1)
    assert len(store.search_text(query, 3)) <= 3
    assert store.search_text(f"{query} honey tea river", 3)


@settings(quickly, max_examples=20)
@given(wild_text)
def test_any_text_can_be_stored(store: ChunkStore, text: str) -> None:
    chunk = Chunk("wild", text, 0, 9, header=text)
    store.add(Source("wild", "h", text), [Page(text)], [chunk], vectors_for(1, 1))
    assert len(store.pages("wild")[0].text) == len(text)  # offsets stay true
    assert store.search_vector(vectors_for(1, 1)[0], 1)[0].chunk.end == 9


def test_searching_from_many_threads_while_one_adds(store: ChunkStore) -> None:
    put(store, "keep.txt", 1000)
    stop, problems = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            if store.search_vector(vectors_for(1000, 4)[0], 1)[0].chunk.source != "keep.txt":
                problems.append("vector")
            if not any(hit.chunk.source == "keep.txt" for hit in store.search_text("v1000n1", 4)):
                problems.append("text")
            by_source: dict[str, set[str]] = {}
            for hit in store.search_vector(vectors_for(5, 1)[0], 1000):
                by_source.setdefault(hit.chunk.source, set()).add(
                    hit.chunk.text.rpartition(" ")[2].split("n")[0]
                )
            if any(len(versions) != 1 for versions in by_source.values()):
                problems.append("two versions of one source at once")

    def guarded() -> None:
        try:
            search()
        except Exception as error:
            problems.append(repr(error))
            raise

    threads = [threading.Thread(target=guarded) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seed in range(40):
        put(store, f"{seed % 7}.txt", seed)
        if seed % 5 == 0:
            store.delete(f"{(seed + 3) % 7}.txt")
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems


def test_an_unknown_engine_lists_the_choices() -> None:
    with pytest.raises(StoreError, match="local"):
        open_store("paper://here", dimension=3, embedder="x")


def test_a_place_and_a_moment_are_kept(local: Callable[[], LocalStore]) -> None:
    store = local()
    chunk = Chunk("talk.mp3", "The moment of the bees.", 0, 23, 2, place="0:31", at=31.5)
    page = Page(chunk.text, 0, 2, "0:31", 31.5)
    store.add(Source("talk.mp3", "hash"), [page], [chunk], vectors_for(1, 1))
    assert store.pages("talk.mp3") == [page]
    assert store.search_text("bees", 1)[0].chunk == chunk
