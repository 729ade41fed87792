"""The contract of every chunk store, against an exact search; then what only the local one promises."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tantivy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rag import database, store_text, store_vectors
from rag.chunks import Chunk
from rag.reembed import reembed
from rag.store import (
    ENGINES,
    ChunkStore,
    EmbedderMismatchError,
    Hit,
    NameTakenError,
    Page,
    Source,
    StoreError,
    open_store,
)
from rag.store_local import LocalStore, stored_embedder

DIMENSION = 16
WORDS = ["library", "bee", "honey", "river", "opening", "train", "ticket", "garden", "museum", "tea"]


def vectors_for(seed: int, count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def chunks_for(name: str, seed: int, count: int = 4) -> list[Chunk]:
    rng = random.Random(seed)
    return [
        Chunk(
            name,
            f"{' '.join(rng.choices(WORDS, k=8))} v{seed}n{i}",
            i * 100,
            i * 100 + 50,
            i + 1,
            name,
            "",
            name,
        )
        for i in range(count)
    ]


def put(store: ChunkStore, name: str, seed: int, count: int = 4) -> None:
    chunks = chunks_for(name, seed, count)
    pages = [Page(chunk.text, chunk.start, chunk.page) for chunk in chunks]
    store.add(Source(name, f"hash{seed}", name, location=name), pages, chunks, vectors_for(seed, count))


@pytest.fixture(params=list(ENGINES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ChunkStore]]:
    """Opens the store under test; a second call opens the same one again."""
    stores: list[ChunkStore] = []

    def again() -> ChunkStore:
        stores.append(open_store(f"{request.param}://{tmp_path}", dimension=DIMENSION, embedder="test"))
        return stores[-1]

    yield again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], ChunkStore]) -> ChunkStore:
    return opened()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[[], LocalStore]]:
    stores: list[LocalStore] = []

    def again() -> LocalStore:
        stores.append(LocalStore(tmp_path, dimension=DIMENSION, embedder="test"))
        return stores[-1]

    yield again
    for store in stores:
        store.close()


def texts(store: ChunkStore) -> set[str]:
    """The text of all chunks that a vector search can find."""
    return {hit.chunk.text for hit in store.search_vector(vectors_for(99, 1)[0], 10_000)}


# Every store


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


# The local one


def test_an_unknown_engine_lists_the_choices() -> None:
    with pytest.raises(StoreError, match="local"):
        open_store("paper://here", dimension=3, embedder="x")


def test_another_embedder_is_refused_with_the_remedy(local: Callable[[], LocalStore], tmp_path: Path) -> None:
    assert stored_embedder(tmp_path) is None
    put(local(), "a.txt", 1)
    assert stored_embedder(tmp_path) == ("test", 16)
    with pytest.raises(EmbedderMismatchError, match="PARLEY_EMBEDDER=test") as caught:
        open_store(tmp_path, dimension=3, embedder="other")
    assert (caught.value.stored, caught.value.wanted) == ("test", "other")


def harmed(data: bytes, harm: str) -> bytes:
    middle = len(data) // 2
    flipped = data[:middle] + bytes(255 - byte for byte in data[middle : middle + 8]) + data[middle + 8 :]
    return {"empty": b"", "garbage": b"\xff" * 99, "truncated": data[:middle], "flipped": flipped}[harm]


@pytest.mark.parametrize("harm", ["missing", "empty", "garbage", "truncated", "flipped"])
def test_derived_files_are_made_again(local: Callable[[], LocalStore], tmp_path: Path, harm: str) -> None:
    store = local()
    for seed in range(6):
        put(store, f"{seed}.txt", seed)
    expected = texts(store)
    store.close()
    derived = [tmp_path / store_vectors.FILE, *(tmp_path / store_text.FOLDER).iterdir()]
    one_by_one = [[file] for file in derived if not file.name.endswith(".lock")]
    for victims in one_by_one if harm in ("missing", "flipped") else [derived]:
        for file in filter(Path.exists, victims):
            if harm == "missing":
                file.unlink()
            else:
                file.write_bytes(harmed(file.read_bytes(), harm))
        store = local()
        assert texts(store) == expected
        assert store.search_text("v4n1", 1)[0].chunk.source == "4.txt"
        put(store, "5.txt", 5)
        assert store.search_text("v5n1", 1)[0].chunk.source == "5.txt"
        store.close()


def test_an_older_database_put_back_is_not_mixed_with_newer_files(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    first = local()
    put(first, "a.txt", 1)
    first.close()
    backup = (tmp_path / database.FILE).read_bytes()
    second = local()
    put(second, "b.txt", 2)
    second.close()
    (tmp_path / database.FILE).write_bytes(backup)
    third = local()
    put(third, "c.txt", 3)
    assert {hit.chunk.source for hit in third.search_vector(vectors_for(2, 4)[0], 100)} == {"a.txt", "c.txt"}
    assert {hit.chunk.source for hit in third.search_text(" ".join(WORDS), 100)} == {"a.txt", "c.txt"}


def test_adding_one_document_does_not_write_the_vectors_again(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    first = local()
    put(first, "big.txt", 1, count=2000)
    first.close()
    written = (tmp_path / store_vectors.FILE).stat().st_mtime_ns
    second = local()
    put(second, "small.txt", 2)
    assert len(texts(second)) == 2004
    second.close()
    assert (tmp_path / store_vectors.FILE).stat().st_mtime_ns == written
    assert len(texts(local())) == 2004


def test_a_text_index_of_an_earlier_form_is_made_again(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    first = local()
    put(first, "a.txt", 1)
    first.close()
    shutil.rmtree(tmp_path / store_text.FOLDER)
    (tmp_path / store_text.FOLDER).mkdir()
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="default")
    tantivy.Index(builder.build(), path=str(tmp_path / store_text.FOLDER))
    assert len(local().search_text(" ".join(WORDS), 100)) == 4


def topics(seed: int, count: int) -> NDArray[np.float32]:
    """Unit vectors around 40 directions, as those of texts on 40 subjects are."""
    rng = np.random.default_rng(seed)
    rows = vectors_for(0, 40)[rng.integers(40, size=count)] + rng.normal(0, 0.15, (count, DIMENSION))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def put_topics(store: ChunkStore, name: str, seed: int, count: int) -> None:
    store.add(Source(name, f"hash{seed}"), [], chunks_for(name, seed, count), topics(seed, count))


def cells_when_learnt(store: LocalStore) -> int:
    store.search_vector(topics(1, 1)[0], 1)
    assert store.wait_until_learnt(60)
    return store._derived._vectors.cells


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large for an index in these tests."""
    monkeypatch.setattr(store_vectors, "EXACT", 500)


@pytest.mark.usefixtures("large")
def test_a_large_index_is_kept_in_cells_and_finds_what_an_exact_one_finds(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    for seed in range(4):
        put_topics(store, f"{seed}.txt", seed, 500)
    assert cells_when_learnt(store)
    store.delete("1.txt")
    put_topics(store, "2.txt", 12, 300)
    matrix = np.concatenate([topics(0, 500), topics(3, 500), topics(12, 300)])
    names = [chunk.text for seed, n in ((0, 500), (3, 500), (12, 300)) for chunk in chunks_for("", seed, n)]
    for opened in (store, local()):
        found = 0
        for query in topics(99, 50):
            best = [names[i] for i in np.argsort(-(matrix @ query))[:10]]
            hits = opened.search_vector(query, 10)
            found += len(set(best) & {hit.chunk.text for hit in hits})
            assert [hit.score for hit in hits] == pytest.approx(
                [float(matrix[names.index(hit.chunk.text)] @ query) for hit in hits], abs=2e-3
            )
        assert found >= 490
        assert texts(opened) == set(names)  # of more than the nearest cells hold, all
        opened.close()
    assert local()._derived._vectors.cells


@pytest.mark.usefixtures("large")
def test_an_index_that_grew_or_shrank_much_is_made_anew(local: Callable[[], LocalStore]) -> None:
    store = local()
    put_topics(store, "a.txt", 1, 600)
    few = cells_when_learnt(store)
    put_topics(store, "b.txt", 2, 2400)
    assert cells_when_learnt(store) > 2 * few
    store.delete("b.txt")
    store.delete("a.txt")
    put_topics(store, "c.txt", 3, 50)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 3, 50)}
    assert cells_when_learnt(store) == 0
    assert texts(store) == {chunk.text for chunk in chunks_for("", 3, 50)}


@pytest.mark.usefixtures("large")
def test_what_changes_while_the_index_learns_is_not_lost(
    local: Callable[[], LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    learning, go_on = threading.Event(), threading.Event()
    learn = store_vectors.VectorIndex._learn

    def slowly(index: store_vectors.VectorIndex, *args: Any) -> NDArray[np.float32]:
        learning.set()
        assert go_on.wait(60)
        return learn(index, *args)

    monkeypatch.setattr(store_vectors.VectorIndex, "_learn", slowly)
    store = local()
    put_topics(store, "a.txt", 1, 600)
    store.search_vector(topics(1, 1)[0], 1)
    assert learning.wait(60)
    put_topics(store, "a.txt", 2, 700)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 2, 700)}  # the old one serves
    assert not store._derived._vectors.cells
    go_on.set()
    assert cells_when_learnt(store)
    assert texts(store) == {chunk.text for chunk in chunks_for("", 2, 700)}


@pytest.mark.usefixtures("large")
def test_a_store_that_is_closed_while_its_index_learns_learns_the_next_time(
    local: Callable[[], LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_vectors, "_ROUNDS", 1_000_000)
    store = local()
    put_topics(store, "a.txt", 1, 600)
    store.search_vector(topics(1, 1)[0], 1)
    assert store._derived._learning
    store.close()
    monkeypatch.undo()
    monkeypatch.setattr(store_vectors, "EXACT", 500)
    again = local()
    assert not again._derived._vectors.cells
    assert cells_when_learnt(again)
    assert len(texts(again)) == 600


def test_a_search_does_not_wait_long_for_another_thread_that_follows(
    local: Callable[[], LocalStore],
) -> None:
    store = local()
    put(store, "a.txt", 1)
    assert len(texts(store)) == len(store.search_text(" ".join(WORDS), 9)) == 4
    at_it, done = threading.Event(), threading.Event()

    def follow() -> None:
        with store._derived._replaying:
            put(store, "b.txt", 2)
            at_it.set()
            assert done.wait(60)

    thread = threading.Thread(target=follow)
    store._derived._followed = time.monotonic() + 3600  # what is added is not followed at once
    thread.start()
    assert at_it.wait(60)
    assert len(texts(store)) == len(store.search_text(" ".join(WORDS), 9)) == 4
    done.set()
    thread.join()
    assert len(texts(store)) == len(store.search_text(" ".join(WORDS), 9)) == 8


ADDING = """
import sys
from pathlib import Path
from tests.rag.test_store import LocalStore, put, DIMENSION
store = LocalStore(Path(sys.argv[1]), dimension=DIMENSION, embedder="test")
print("ready", flush=True)
for seed in range(int(sys.argv[2]), 100_000):
    put(store, f"{seed % 20}.txt", seed, count=6)
    print(seed, flush=True)
    if seed % 3 == 0:
        store.search_text("library", 1)
"""


def start_adding(folder: Path, first: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ADDING, str(folder), str(first)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_at_any_moment_loses_no_document_and_shows_no_half_one(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    done = 0
    for moment in range(6):
        process = start_adding(tmp_path, done + 1)
        assert process.stdout is not None
        done = int(process.stdout.readline())
        time.sleep(
            random.Random(moment).uniform(0.02, 0.4)
        )  # the moment of the kill, not a wait for something
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        done = max([done, *map(int, output.split())])
        store = local()
        newest = {seed % 20: seed for seed in range(max(done - 19, 1), done + 1)}
        found = {int(source.content_hash.removeprefix("hash")): source for source in store.sources()}
        for seed in newest.values():  # the one after the last reported may have been stored in its place
            assert seed in found or done + 1 in found
        assert all(source.chunks == 6 for source in found.values())
        assert texts(store) == {c.text for seed in found for c in chunks_for("", seed, 6)}
        by_text = {hit.chunk.text for hit in store.search_text(" ".join(WORDS), 10_000)}
        assert by_text == texts(store)
        store.close()
    assert done > 6


def test_another_process_adds_while_this_one_searches(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    process = start_adding(tmp_path, 1)
    try:
        assert process.stdout is not None
        for _ in range(10):
            seed = int(process.stdout.readline())
            (hit,) = store.search_vector(vectors_for(seed, 6)[0], 1)
            names = {source.content_hash for source in store.sources()}
            assert hit.score == pytest.approx(1, abs=1e-5) or f"hash{seed}" not in names
            assert len(store.search_text(" ".join(WORDS), 5)) == 5
    finally:
        process.kill()
        process.communicate()
    assert (
        len(texts(store))
        == len({hit.id for hit in store.search_text(" ".join(WORDS), 1000)})
        == store.count()
    )


def test_another_embedder_is_taken_from_the_stored_text(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    put(store, "a.txt", 1, count=300)
    embedded: list[str] = []

    def embed(some: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(some)
        return np.tile(np.eye(3, dtype=np.float32)[0], (len(some), 1))

    def fail(some: Sequence[str]) -> NDArray[np.float32]:
        if embedded:
            raise KeyboardInterrupt
        return embed(some)

    with pytest.raises(KeyboardInterrupt):
        reembed(tmp_path, fail, embedder="new", dimension=3)
    assert len(texts(store)) == 300  # the old vectors serve until all new ones are there
    steps: list[tuple[int, int]] = []
    made = reembed(tmp_path, embed, embedder="new", dimension=3, progress=lambda *step: steps.append(step))
    assert sorted(embedded) == sorted(chunk.indexed_text for chunk in chunks_for("a.txt", 1, 300))
    assert (made, steps) == (300 - 256, [(256, 300)])
    with pytest.raises(EmbedderMismatchError):
        store.search_text("library", 1)
    with closing(LocalStore(tmp_path, dimension=3, embedder="new")) as new:
        assert new.search_vector(np.eye(3, dtype=np.float32)[0], 500)[299].score == pytest.approx(1)
        assert new.search_text("v1n7", 1)[0].chunk.page == 8
    assert stored_embedder(tmp_path) == ("new", 3)


def test_a_damaged_database_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / database.FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="move it away"):
        open_store(tmp_path, dimension=3, embedder="x")


ADDED = {
    1: (("pages", "place"), ("pages", "at"), ("chunks", "place"), ("chunks", "at")),
    2: (("documents", "notice"), ("documents", "able")),
}  # columns that a version did not have yet, and the next has


@pytest.mark.parametrize("version", ADDED)
def test_an_index_of_an_earlier_version_is_brought_up_to_date(
    local: Callable[[], LocalStore], tmp_path: Path, version: int
) -> None:
    store = local()
    put(store, "a.pdf", 1)
    before = texts(store)
    store.close()
    with database.opened(tmp_path / database.FILE) as db:
        for table, column in (each for old in ADDED if old >= version for each in ADDED[old]):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("UPDATE state SET version = ?", (version,))
    store = local()
    assert [(source.notice, source.able) for source in store.sources()] == [("", "")]
    assert texts(store) == before
    if version == 1:
        assert [page.place for page in store.pages("a.pdf")] == ["page 1", "page 2", "page 3", "page 4"]
    put(store, "b.pdf", 2)
    hits = store.search_text("v1n2 v2n2", 9)
    assert {hit.chunk.source for hit in hits[:2]} == {"a.pdf", "b.pdf"}


def test_a_place_and_a_moment_are_kept(local: Callable[[], LocalStore]) -> None:
    store = local()
    chunk = Chunk("talk.mp3", "The moment of the bees.", 0, 23, 2, place="0:31", at=31.5)
    page = Page(chunk.text, 0, 2, "0:31", 31.5)
    store.add(Source("talk.mp3", "hash"), [page], [chunk], vectors_for(1, 1))
    assert store.pages("talk.mp3") == [page]
    assert store.search_text("bees", 1)[0].chunk == chunk


def test_a_newer_index_is_refused(local: Callable[[], LocalStore], tmp_path: Path) -> None:
    local().close()
    with database.opened(tmp_path / database.FILE) as db:
        db.execute("UPDATE state SET version = version + 1")
    with pytest.raises(StoreError, match="Update Parley"):
        local()


def test_an_old_sqlite_is_replaced_by_pysqlite3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert database.sqlite_module() is sqlite3
    pytest.importorskip("pysqlite3", reason="its package exists for Linux on x86_64 only")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 7, 17))
    assert database.sqlite_module().__name__ == "pysqlite3"
    store = LocalStore(tmp_path, dimension=DIMENSION, embedder="test")
    put(store, "a.txt", 1)
    assert len(texts(store)) == 4
    store.close()


def test_connections_are_safe_for_many_writers(tmp_path: Path) -> None:
    db = database.connect(tmp_path / "other.db")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
    db.close()
