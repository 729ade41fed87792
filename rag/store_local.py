"""The chunk store of one machine: SQLite is the truth; FAISS and tantivy are derived from it.

A change is one transaction in `parley.db`, so a crash at any moment leaves whole documents only, and the
derived indexes follow (`rag.store_derived`).

It does not know files, folders, or how a vector is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag import database
from rag.chunks import Chunk
from rag.database import Pool
from rag.store import Hit, NameTakenError, Page, Source
from rag.store_derived import DerivedIndexes
from rag.store_rows import (
    SOURCE_COLUMNS,
    chunk_count,
    clean,
    digest,
    find_source,
    insert_chunks,
    insert_document,
    insert_pages,
    marks,
    remove,
    stamp_of,
)
from rag.store_vectors import Stamp

if TYPE_CHECKING:
    import sqlite3


class LocalStore:
    """A `ChunkStore` in one folder. See `rag.store.ChunkStore` for the methods."""

    def __init__(self, folder: Path, *, dimension: int, embedder: str) -> None:
        self.embedder = embedder
        self.dimension = dimension
        self._pool = Pool(folder / database.FILE)
        with self._pool.connection() as db:
            database.create_schema(db, embedder, dimension)
        self._derived = DerivedIndexes(folder, self._pool, dimension=dimension, stamp=self._stamp)

    # What is stored

    def add(
        self, source: Source, pages: Sequence[Page], chunks: Sequence[Chunk], vectors: NDArray[np.float32]
    ) -> None:
        rows = self._checked(vectors, len(chunks))
        with self._pool.transaction(write=True) as db:
            known = find_source(db, source.source)
            if known and known.location != source.location:
                raise NameTakenError(source.source)
            generation = self._next_generation(db)
            remove(db, source.source, generation)
            document = insert_document(db, source, generation, len(pages), len(chunks))
            insert_pages(db, document, pages)
            insert_chunks(db, document, chunks, rows)
        self._derived.follow_soon()

    def delete(self, source: str) -> bool:
        with self._pool.transaction(write=True) as db:
            if not find_source(db, source):
                return False
            remove(db, source, self._next_generation(db))
        self._derived.follow_soon()
        return True

    def update(self, source: str, record: Source) -> bool:
        values = {field.name: getattr(record, field.name) for field in fields(Source)}
        kept = {"title", "pages", "chunks", "notice", "able"}
        columns = [name for name in values if name not in kept]
        with self._pool.transaction(write=True) as db:
            if record.source != source and find_source(db, record.source):
                raise NameTakenError(record.source)
            changed = db.execute(
                f"UPDATE documents SET {', '.join(f'{name} = ?' for name in columns)} WHERE source = ?",
                (*(values[name] for name in columns), source),
            )
            return changed.rowcount > 0

    def find_vectors(self, indexed_texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        texts = {digest(text): text for text in indexed_texts}
        digests = list(texts)
        found: dict[str, NDArray[np.float32]] = {}
        with self._pool.transaction() as db:
            self._stamp(db)
            for at in range(0, len(digests), 500):
                some = digests[at : at + 500]
                rows = db.execute(
                    "SELECT digest, vector FROM chunks JOIN vectors ON chunk = id "
                    f"WHERE digest IN ({marks(some)})",
                    some,
                )
                found |= {texts[key]: np.frombuffer(vector, np.float32) for key, vector in rows}
        return found

    def sources(self) -> list[Source]:
        with self._pool.connection() as db:
            rows = db.execute(f"SELECT {SOURCE_COLUMNS} FROM documents ORDER BY id")
            return [Source(*row) for row in rows]

    def find_source(self, source: str) -> Source | None:
        with self._pool.connection() as db:
            return find_source(db, source)

    def origins(self) -> set[str]:
        with self._pool.connection() as db:
            return {row[0] for row in db.execute("SELECT DISTINCT origin FROM documents")}

    def documents(self, *, origin: str | None = None, locations: Sequence[str] = ()) -> frozenset[int]:
        with self._pool.transaction() as db:
            rows = db.execute("SELECT id FROM documents WHERE origin = ?", (origin,)).fetchall()
            for at in range(0, len(locations), 500):
                some = locations[at : at + 500]
                rows += db.execute(f"SELECT id FROM documents WHERE location IN ({marks(some)})", some)
            return frozenset(row[0] for row in rows)

    def pages(self, source: str) -> list[Page]:
        with self._pool.connection() as db:
            rows = db.execute(
                "SELECT p.text, start, page, place, at FROM pages p JOIN documents d ON d.id = document "
                "WHERE source = ? ORDER BY number",
                (source,),
            )
            return [Page(*row) for row in rows]

    def count(self) -> int:
        with self._pool.connection() as db:
            return chunk_count(db)

    def follow(self) -> None:
        self._derived.follow()

    def wait_until_learnt(self, seconds: float) -> bool:
        """Wait so long for what is being learnt in the background; False if it is not done by then."""
        return self._derived.wait_until_learnt(seconds)

    def close(self) -> None:
        """Bring the derived files up to date, as far as that is worth it."""
        if self._pool.closed:
            return
        try:
            self._derived.close()
        finally:
            self._pool.close()

    # What is found

    def search_vector(
        self, vector: NDArray[np.float32], k: int, within: frozenset[int] | None = None
    ) -> list[Hit]:
        row = self._checked(np.asarray(vector).reshape(1, -1), 1)[0]
        return self._derived.search_vector(row, k, within)

    def search_text(self, query: str, k: int, within: frozenset[int] | None = None) -> list[Hit]:
        return self._derived.search_text(clean(query), k, within)

    def _checked(self, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(vectors, dtype=np.float32).reshape(count, -1)
        if count and rows.shape[1] != self.dimension:
            raise ValueError(f"Vectors of {rows.shape[1]} numbers; this index holds {self.dimension}.")
        if not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2):
            raise ValueError("Vectors must be of unit length.")
        return rows

    def _stamp(self, db: sqlite3.Connection) -> Stamp:
        return stamp_of(db, self.embedder, self.dimension)

    def _next_generation(self, db: sqlite3.Connection) -> int:
        generation = self._stamp(db)[1] + 1
        db.execute("UPDATE state SET generation = ?", (generation,))
        return generation


def stored_embedder(folder: Path) -> tuple[str, int] | None:
    """Name and dimension of the embedding model of the index in this folder; None if there is no index."""
    path = folder / database.FILE
    if not path.is_file():
        return None
    with database.opened(path) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            return None
        row = db.execute("SELECT embedder, dimension FROM state").fetchone()
        return tuple(row) if row else None
