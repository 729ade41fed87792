"""The files beside the database: lost, damaged, old, or behind, they follow it again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tantivy

from rag import database, store_text, store_vectors
from rag.store_local import LocalStore
from tests.rag.store.filling import WORDS, put, texts, vectors_for


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
