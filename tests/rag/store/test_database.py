"""The database of the local store: damaged, of another version, of another SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rag import database
from rag.store import StoreError, open_store
from rag.store_local import LocalStore
from tests.rag.store.filling import DIMENSION, put, texts


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
