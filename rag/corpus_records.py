"""What a data folder remembers of its corpus: folders, URLs, and what could not be read, with reasons.

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


class Records:
    """Every method may be called from any thread."""

    def __init__(self, data: Path) -> None:
        self._path = data / database.FILE
        with database.opened(self._path) as db, database.transaction(db):
            columns = [row[1] for row in db.execute("PRAGMA table_info(corpus_failures)")]
            if columns and "recipe" not in columns:  # an earlier form; what is lost is one try each
                db.execute("DROP TABLE corpus_failures")
            for statement in _SCHEMA:
                db.execute(statement)

    def folders(self) -> dict[str, int]:
        """Corpus folder → the device that it was on."""
        with database.opened(self._path) as db:
            return dict(db.execute("SELECT folder, device FROM corpus_folders ORDER BY rowid").fetchall())

    def remember_folder(self, folder: str, device: int) -> None:
        with database.opened(self._path) as db:
            db.execute(
                "INSERT INTO corpus_folders VALUES (?, ?) ON CONFLICT DO UPDATE SET device = excluded.device",
                (folder, device),
            )

    def forget_folder(self, folder: str) -> None:
        with database.opened(self._path) as db, database.transaction(db):
            db.execute("DELETE FROM corpus_folders WHERE folder = ?", (folder,))
            db.execute("DELETE FROM corpus_failures WHERE origin = ?", (folder,))

    def urls(self) -> list[str]:
        with database.opened(self._path) as db:
            return [row[0] for row in db.execute("SELECT url FROM corpus_urls ORDER BY rowid")]

    def remember_url(self, url: str) -> None:
        with database.opened(self._path) as db:
            db.execute("INSERT INTO corpus_urls VALUES (?) ON CONFLICT DO NOTHING", (url,))

    def forget_url(self, url: str) -> None:
        with database.opened(self._path) as db:
            db.execute("DELETE FROM corpus_urls WHERE url = ?", (url,))

    def failures(self) -> list[Failure]:
        with database.opened(self._path) as db:
            rows = db.execute(
                "SELECT location, source, origin, error, size, mtime_ns, recipe FROM corpus_failures "
                "ORDER BY rowid"
            )
            return [Failure(*row) for row in rows]

    def remember_failure(self, failure: Failure) -> None:
        with database.opened(self._path) as db:
            db.execute(
                "INSERT OR REPLACE INTO corpus_failures VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(failure)
            )

    def forget_failures(self, locations: Iterable[str]) -> None:
        with database.opened(self._path) as db, database.transaction(db):
            rows = ((location,) for location in locations)
            db.executemany("DELETE FROM corpus_failures WHERE location = ?", rows)
