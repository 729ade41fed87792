"""Documents, pages, chunks and vectors as rows of `parley.db`: writing them, and reading what has changed.

Each function is one step of a transaction that its caller has begun. It does not know how the derived indexes
follow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.store import EmbedderMismatchError, Hit, Page, Source
from rag.store_vectors import Batch, Stamp

if TYPE_CHECKING:
    import sqlite3

_BATCH = 4096  # rows that are read at a time
SOURCE_COLUMNS = ", ".join(field.name for field in fields(Source))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def stamp_of(db: sqlite3.Connection, embedder: str, dimension: int) -> Stamp:
    """What the database has come to. Raises EmbedderMismatchError if its vectors are of another embedder."""
    epoch, generation, stored, numbers = db.execute(
        "SELECT epoch, generation, embedder, dimension FROM state"
    ).fetchone()
    if (stored, numbers) != (embedder, dimension):
        raise EmbedderMismatchError(stored, embedder)
    return epoch, generation


def find_source(db: sqlite3.Connection, source: str) -> Source | None:
    row = db.execute(f"SELECT {SOURCE_COLUMNS} FROM documents WHERE source = ?", (source,)).fetchone()
    return Source(*row) if row else None


def remove(db: sqlite3.Connection, source: str, generation: int) -> None:
    row = db.execute("SELECT id FROM documents WHERE source = ?", (source,)).fetchone()
    if row is None:
        return
    first, last = db.execute("SELECT min(id), max(id) FROM chunks WHERE document = ?", row).fetchone()
    db.execute("INSERT INTO removals VALUES (?, ?, ?, ?)", (generation, row[0], first or 0, last or -1))
    db.execute("DELETE FROM documents WHERE id = ?", row)


def insert_document(db: sqlite3.Connection, source: Source, generation: int, pages: int, chunks: int) -> int:
    values = dict(zip((field.name for field in fields(Source)), astuple(source), strict=True))
    values |= {"title": clean(source.title), "pages": pages, "chunks": chunks, "generation": generation}
    cursor = db.execute(
        f"INSERT INTO documents ({', '.join(values)}) VALUES ({marks(values)})", list(values.values())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def insert_pages(db: sqlite3.Connection, document: int, pages: Sequence[Page]) -> None:
    rows = [
        (document, number, p.page, p.start, clean(p.text), clean(p.place), p.at)
        for number, p in enumerate(pages)
    ]
    db.executemany(
        "INSERT INTO pages (document, number, page, start, text, place, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def insert_chunks(
    db: sqlite3.Connection, document: int, chunks: Sequence[Chunk], vectors: NDArray[np.float32]
) -> None:
    """Their ids are consecutive, and no id is ever used again."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    ids = range(row[0] + 1 if row else 1, (row[0] if row else 0) + len(chunks) + 1)
    rows = (_chunk_row(number, document, chunk) for number, chunk in zip(ids, chunks, strict=True))
    db.executemany(f"INSERT INTO chunks VALUES ({marks(range(12))})", rows)
    db.executemany(
        "INSERT INTO vectors VALUES (?, ?)", zip(ids, map(np.ndarray.tobytes, vectors), strict=True)
    )


def _chunk_row(number: int, document: int, chunk: Chunk) -> tuple[object, ...]:
    texts = map(clean, (chunk.title, chunk.section, chunk.header, chunk.text))
    place = (digest(chunk.indexed_text), clean(chunk.place), chunk.at)
    return number, document, chunk.start, chunk.end, chunk.page, *texts, *place


def read_hits(db: sqlite3.Connection, found: list[tuple[int, float]]) -> list[Hit]:
    ids = [number for number, _ in found]
    chunks: dict[int, Chunk] = {}
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        rows = db.execute(
            'SELECT c.id, source, text, start, "end", page, c.title, section, header, place, at '
            f"FROM chunks c JOIN documents d ON d.id = c.document WHERE c.id IN ({marks(some)})",
            some,
        )
        chunks |= {number: Chunk(*row) for number, *row in rows}
    return [Hit(number, chunks[number], score) for number, score in found if number in chunks]


def chunk_count(db: sqlite3.Connection) -> int:
    total: int = db.execute("SELECT coalesce(sum(chunks), 0) FROM documents").fetchone()[0]
    return total


def some_vectors(db: sqlite3.Connection, count: int) -> NDArray[np.float32]:
    """The numbers of up to `count` vectors, drawn from all that are stored."""
    ids = np.fromiter((row[0] for row in db.execute("SELECT id FROM chunks")), np.int64)
    drawn = np.random.default_rng(0).choice(ids, min(count, len(ids)), replace=False)
    vectors: list[bytes] = []
    for at in range(0, len(drawn), 500):
        some = drawn[at : at + 500].tolist()
        rows = db.execute(f"SELECT vector FROM vectors WHERE chunk IN ({marks(some)})", some)
        vectors += (row[0] for row in rows)
    return np.frombuffer(b"".join(vectors), np.float32)


def removed_ranges(db: sqlite3.Connection, since: int) -> list[tuple[int, int]]:
    return db.execute("SELECT first, last FROM removals WHERE generation > ?", (since,)).fetchall()


def removed_documents(db: sqlite3.Connection, since: int) -> list[int]:
    return [row[0] for row in db.execute("SELECT document FROM removals WHERE generation > ?", (since,))]


def added_vectors(db: sqlite3.Connection, since: int) -> Iterator[Batch]:
    rows = db.execute(  # CROSS: in this order, not by looking at every chunk there is
        "SELECT chunk, vector FROM documents d CROSS JOIN chunks c ON c.document = d.id "
        "CROSS JOIN vectors ON chunk = c.id WHERE generation > ?",
        (since,),
    )
    while batch := rows.fetchmany(_BATCH):
        ids = np.array([row[0] for row in batch], dtype=np.int64)
        yield ids, np.frombuffer(b"".join(row[1] for row in batch), np.float32).reshape(len(ids), -1)


def added_texts(db: sqlite3.Connection, since: int) -> Iterator[tuple[int, int, str, str]]:
    return db.execute(
        "SELECT c.id, d.id, header, text FROM documents d CROSS JOIN chunks c ON c.document = d.id "
        "WHERE generation > ?",
        (since,),
    )


def marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def clean(text: str) -> str:
    """Half a surrogate pair is no character and cannot be stored; what replaces it keeps every offset."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
