"""Another embedding model for an existing index: new vectors from the stored text, no file is read again.

It does not know models or files; an open `LocalStore` on the folder refuses to go on afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag import database
from rag.database import Pool

if TYPE_CHECKING:
    import sqlite3


def reembed(
    folder: Path,
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    embedder: str,
    dimension: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Give every chunk a vector of another embedding model, from the stored text; returns how many were made.

    `embed` is (n texts) → (n, dimension), unit length. The old vectors serve until all new ones are there,
    then all change at once; after a crash or a cancel, the next call goes on where this one stopped.
    `progress` gets (done, total).
    """
    pool = Pool(folder / database.FILE)
    try:
        with pool.transaction(write=True) as db:
            table = _next_vectors(db, embedder, dimension)
        made = 0
        while True:
            with pool.transaction(write=True) as db:
                batch = _without_vector(db, table)
                if not batch:
                    _change_embedder(db, table, embedder, dimension)
                    return made
                total = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
                done = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            if progress:
                progress(done, total)
            vectors = embed([f"{header}\n{text}" if header else text for _, header, text in batch])
            with pool.transaction(write=True) as db:
                rows = ((row[0], vector.tobytes()) for row, vector in zip(batch, vectors, strict=True))
                db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)
            made += len(batch)
    finally:
        pool.close()


def _next_vectors(db: sqlite3.Connection, embedder: str, dimension: int) -> str:
    """The table for one embedder's vectors in the making; those for any other are dropped."""
    table = "vectors_" + hashlib.sha256(f"{embedder} {dimension}".encode()).hexdigest()[:16]
    others = db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'vectors\\_%' ESCAPE '\\' "
        "AND name != ?",
        (table,),
    ).fetchall()
    for (name,) in others:
        db.execute(f"DROP TABLE {name}")
    db.execute(
        f"CREATE TABLE IF NOT EXISTS {table} "
        "(chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE, vector BLOB NOT NULL)"
    )
    return table


def _without_vector(db: sqlite3.Connection, table: str) -> list[tuple[int, str, str]]:
    return db.execute(
        f"SELECT id, header, text FROM chunks WHERE id NOT IN (SELECT chunk FROM {table}) LIMIT 256"
    ).fetchall()


def _change_embedder(db: sqlite3.Connection, table: str, embedder: str, dimension: int) -> None:
    db.execute("DROP TABLE vectors")
    db.execute(f"ALTER TABLE {table} RENAME TO vectors")
    db.execute(
        "UPDATE state SET embedder = ?, dimension = ?, epoch = lower(hex(randomblob(16)))",
        (embedder, dimension),
    )
