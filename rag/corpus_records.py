"""What a data folder remembers of its corpus: folders, URLs, what could not be read, and what is a copy.

It knows tables in `parley.db`. It does not know files, documents or chunks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from rag import database

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS corpus_folders (folder TEXT PRIMARY KEY, device INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS corpus_urls (url TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS corpus_failures (location TEXT PRIMARY KEY, source TEXT NOT NULL, "
    "origin TEXT NOT NULL, error TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "recipe TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS corpus_copies (location TEXT PRIMARY KEY, source TEXT NOT NULL, "
    "origin TEXT NOT NULL, original TEXT NOT NULL, content_hash TEXT NOT NULL, size INTEGER NOT NULL, "
    "mtime_ns INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS corpus_copies_by_original ON corpus_copies (original)",
    "CREATE INDEX IF NOT EXISTS corpus_copies_by_source ON corpus_copies (source)",
)


@dataclass(frozen=True)
class Failure:
    """A document that could not be read, and why; not tried again with the same size, time and recipe."""

    location: str
    source: str
    origin: str
    error: str
    size: int = 0
    mtime_ns: int = 0
    recipe: str = ""  # how it was read


@dataclass(frozen=True)
class Copy:
    """A file with the same content as a document of the index, which is found in its stead."""

    location: str
    source: str
    origin: str
    original: str  # that document's location
    content_hash: str
    size: int = 0
    mtime_ns: int = 0


class Records:
    """Every method may be called from any thread."""

    def __init__(self, data: Path) -> None:
        self._pool = database.Pool(data / database.FILE)
        with self._pool.transaction(write=True) as db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(corpus_failures)")]
            if columns and "recipe" not in columns:  # an earlier form; what is lost is one try each
                db.execute("DROP TABLE corpus_failures")
            for statement in _SCHEMA:
                db.execute(statement)

    def close(self) -> None:
        self._pool.close()

    # Folders

    def folders(self) -> dict[str, int]:
        """Corpus folder → the device that it was on."""
        with self._pool.connection() as db:
            return dict(db.execute("SELECT folder, device FROM corpus_folders ORDER BY rowid").fetchall())

    def remember_folder(self, folder: str, device: int) -> None:
        with self._pool.connection() as db:
            db.execute(
                "INSERT INTO corpus_folders VALUES (?, ?) ON CONFLICT DO UPDATE SET device = excluded.device",
                (folder, device),
            )

    def forget_folder(self, folder: str) -> None:
        """Its failures and copies are forgotten with it."""
        with self._pool.transaction(write=True) as db:
            db.execute("DELETE FROM corpus_folders WHERE folder = ?", (folder,))
            db.execute("DELETE FROM corpus_failures WHERE origin = ?", (folder,))
            db.execute("DELETE FROM corpus_copies WHERE origin = ?", (folder,))

    # Web pages

    def urls(self) -> list[str]:
        with self._pool.connection() as db:
            return [row[0] for row in db.execute("SELECT url FROM corpus_urls ORDER BY rowid")]

    def remember_url(self, url: str) -> None:
        with self._pool.connection() as db:
            db.execute("INSERT INTO corpus_urls VALUES (?) ON CONFLICT DO NOTHING", (url,))

    def forget_url(self, url: str) -> None:
        with self._pool.connection() as db:
            db.execute("DELETE FROM corpus_urls WHERE url = ?", (url,))

    # Failures

    def failures(self) -> list[Failure]:
        with self._pool.connection() as db:
            rows = db.execute(
                "SELECT location, source, origin, error, size, mtime_ns, recipe FROM corpus_failures "
                "ORDER BY rowid"
            )
            return [Failure(*row) for row in rows]

    def remember_failure(self, failure: Failure) -> None:
        with self._pool.connection() as db:
            db.execute(
                "INSERT OR REPLACE INTO corpus_failures VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(failure)
            )

    def forget_failures(self, locations: Iterable[str]) -> None:
        self._forget("corpus_failures", locations)

    # Copies

    def copies(self) -> list[Copy]:
        with self._pool.connection() as db:
            return [Copy(*row) for row in db.execute(f"SELECT {_COPY} FROM corpus_copies ORDER BY rowid")]

    def copies_of(self, original: str) -> list[Copy]:
        """Those of the document at this location, the oldest first."""
        with self._pool.connection() as db:
            rows = db.execute(
                f"SELECT {_COPY} FROM corpus_copies WHERE original = ? ORDER BY rowid", (original,)
            )
            return [Copy(*row) for row in rows]

    def copy_named(self, source: str) -> Copy | None:
        with self._pool.connection() as db:
            row = db.execute(f"SELECT {_COPY} FROM corpus_copies WHERE source = ?", (source,)).fetchone()
            return Copy(*row) if row else None

    def remember_copy(self, copy: Copy) -> None:
        with self._pool.connection() as db:
            db.execute("INSERT OR REPLACE INTO corpus_copies VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(copy))

    def forget_copies(self, locations: Iterable[str]) -> None:
        self._forget("corpus_copies", locations)

    def change_original(self, old: str, new: str) -> None:
        """The document that the copies are of has another location now."""
        with self._pool.connection() as db:
            db.execute("UPDATE corpus_copies SET original = ? WHERE original = ?", (new, old))

    def _forget(self, table: str, locations: Iterable[str]) -> None:
        rows = [(location,) for location in locations]
        if rows:
            with self._pool.transaction(write=True) as db:
                db.executemany(f"DELETE FROM {table} WHERE location = ?", rows)


_COPY = "location, source, origin, original, content_hash, size, mtime_ns"
