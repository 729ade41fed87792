"""`parley.db`: how it is opened, and its tables for documents.

It knows SQLite. It does not know what a vector index or a text index is, and other modules may keep tables of
their own in the same file: open it with `connect`, and create them with IF NOT EXISTS.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rag.store import StoreError

if TYPE_CHECKING:
    import sqlite3

FILE = "parley.db"
MINIMUM = (3, 24, 0)  # the first with upsert, the newest thing that the statements here use
SCHEMA_VERSION = 3

# A document is one version of a source: replacing a source makes a new document, so that the derived indexes
# can tell the old chunks from the new. `state.generation` counts changes; `documents.generation` and
# `removals.generation` say when, which is all that a derived index needs to catch up. `state.epoch` is
# renewed when all vectors change at once.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL, epoch TEXT NOT NULL,
    generation INTEGER NOT NULL, embedder TEXT NOT NULL, dimension INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, generation INTEGER NOT NULL, source TEXT NOT NULL UNIQUE,
    content_hash TEXT NOT NULL, title TEXT NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
    location TEXT NOT NULL, origin TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    recipe TEXT NOT NULL, notice TEXT NOT NULL DEFAULT '', able TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS documents_by_generation ON documents (generation);
CREATE TABLE IF NOT EXISTS removals (
    generation INTEGER NOT NULL, document INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS removals_by_generation ON removals (generation);
CREATE TABLE IF NOT EXISTS pages (
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE, number INTEGER NOT NULL,
    page INTEGER, start INTEGER NOT NULL, text TEXT NOT NULL, place TEXT NOT NULL DEFAULT '', at REAL,
    PRIMARY KEY (document, number));
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, page INTEGER, title TEXT NOT NULL, section TEXT NOT NULL,
    header TEXT NOT NULL, text TEXT NOT NULL, digest BLOB NOT NULL, place TEXT NOT NULL DEFAULT '', at REAL);
CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks (document);
CREATE INDEX IF NOT EXISTS chunks_by_digest ON chunks (digest);
CREATE TABLE IF NOT EXISTS vectors (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE, vector BLOB NOT NULL);
"""


def sqlite_module() -> ModuleType:
    """Python's own sqlite3; where its SQLite is too old, pysqlite3, the same interface with a newer one."""
    import sqlite3

    if sqlite3.sqlite_version_info >= MINIMUM:
        return sqlite3
    try:
        import pysqlite3
    except ImportError as error:
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old: Parley needs {'.'.join(map(str, MINIMUM))}. "
            "Run: pip install pysqlite3-binary"
        ) from error
    module: ModuleType = pysqlite3
    return module


def connect(path: Path) -> sqlite3.Connection:
    """Open a SQLite file for reading and writing, in autocommit mode: begin transactions yourself.

    A commit survives the death of the process; a power cut may undo the last ones, but damages nothing (WAL).
    The connection may be handed from thread to thread, but used by one at a time. It waits up to 30 s for
    another writer.
    """
    sqlite = sqlite_module()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db: sqlite3.Connection = sqlite.connect(
            str(path), timeout=30, isolation_level=None, check_same_thread=False
        )
        for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except (OSError, sqlite.Error) as error:
        raise StoreError(
            f"{path} cannot be opened ({error}). Check that the folder is writable and the disk not full; "
            "if the file is damaged, move it away and index again."
        ) from error
    return db


# What turns a file of one version into the next. Version 1 knew pages of PDFs only; version 2 knew nothing of
# documents that are read in part.
_MIGRATIONS = {
    1: """
ALTER TABLE pages ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE pages ADD COLUMN at REAL;
ALTER TABLE chunks ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN at REAL;
UPDATE pages SET place = 'page ' || page WHERE page IS NOT NULL;
UPDATE chunks SET place = 'page ' || page WHERE page IS NOT NULL
""",
    2: """
ALTER TABLE documents ADD COLUMN notice TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN able TEXT NOT NULL DEFAULT ''
""",
}


def create_schema(db: sqlite3.Connection, embedder: str, dimension: int) -> None:
    """Make the tables where they are missing, bring old ones up to date; refuse what a newer version made."""
    with transaction(db):
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(
            "INSERT INTO state VALUES (1, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
            (SCHEMA_VERSION, uuid.uuid4().hex, embedder, dimension),
        )
        version = db.execute("SELECT version FROM state").fetchone()[0]
        _migrate(db, version)
    if version > SCHEMA_VERSION:
        raise StoreError(
            "The index was made by a newer version of Parley. "
            "Update Parley, or name another folder in PARLEY_DATA."
        )


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for old in range(version, SCHEMA_VERSION):
        for statement in _MIGRATIONS[old].split(";"):
            db.execute(statement)
        db.execute("UPDATE state SET version = ?", (old + 1,))


@contextmanager
def transaction(db: sqlite3.Connection, *, write: bool = True) -> Iterator[sqlite3.Connection]:
    """All or nothing for a writer, one unchanging view for a reader."""
    db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class Pool:
    """Connections to one file, each used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        if self._closed.is_set():
            raise StoreError("The index was closed. Open it again.")
        try:
            db = self._idle.get_nowait()
        except queue.Empty:
            db = connect(self._path)
        try:
            yield db
        except sqlite_module().Error as error:
            raise StoreError(
                f"{self._path} failed ({error}). Check that the disk is not full and try again."
            ) from error
        finally:
            self._idle.put(db)
            if self._closed.is_set():
                self.close()

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        with self.connection() as db, transaction(db, write=write):
            yield db

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self._closed.set()
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for the block, for what is needed too rarely to keep one open."""
    pool = Pool(path)
    try:
        with pool.connection() as db:
            yield db
    finally:
        pool.close()
