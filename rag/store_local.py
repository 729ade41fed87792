"""The chunk store of one machine: SQLite is the truth; FAISS and tantivy are derived from it.

A change is one transaction in `parley.db`, so a crash at any moment leaves whole documents only. The derived
indexes carry the generation of the database that they have come to. Every search compares it with that of the
database and replays what is missing, whoever made the change: this thread, another, or another process.

It does not know files, folders, or how a vector is made.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag import cancel, database
from rag.chunks import Chunk
from rag.database import Pool
from rag.store import EmbedderMismatchError, Hit, NameTakenError, Page, Source, StoreError
from rag.store_text import FOLDER, DamagedError, TextIndex
from rag.store_vectors import FILE, SAMPLE, Batch, Stamp, VectorIndex, cells_for
from rag.store_within import Found, Within

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

LOCK_FILE = "derived.lock"
LOCK_SECONDS = 60.0  # how long another process may be writing a derived index until we give up
PATIENCE = 0.2  # seconds that a search waits for another thread to bring an index up to date
FOLLOW_SECONDS = 2.0  # while documents are added one after the other, the derived indexes follow this often
_BATCH = 4096  # rows that are read at a time
_SOURCE_COLUMNS = ", ".join(field.name for field in fields(Source))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class LocalStore:
    """A `ChunkStore` in one folder. See `rag.store.ChunkStore` for the methods."""

    def __init__(self, folder: Path, *, dimension: int, embedder: str) -> None:
        self.embedder = embedder
        self.dimension = dimension
        self._pool = Pool(folder / database.FILE)
        with self._pool.connection() as db:
            database.create_schema(db, embedder, dimension)
            epoch, _ = self._stamp(db)
        self._lock_path = folder / LOCK_FILE
        self._replaying = threading.RLock()  # one thread at a time brings the derived indexes up to date
        self._vectors = VectorIndex(folder / FILE, dimension)
        self._vectors.load(epoch)
        self._texts = TextIndex(folder / FOLDER)
        self._texts.open()
        self._learning: threading.Thread | None = None  # makes a better vector index in the background
        self._stop_learning = cancel.CancelToken()
        self._followed = 0.0  # when the derived indexes were last brought up to date after a change
        self._drop_what_is_ahead()

    # What is stored

    def add(
        self, source: Source, pages: Sequence[Page], chunks: Sequence[Chunk], vectors: NDArray[np.float32]
    ) -> None:
        rows = self._checked(vectors, len(chunks))
        with self._pool.transaction(write=True) as db:
            known = _find_source(db, source.source)
            if known and known.location != source.location:
                raise NameTakenError(source.source)
            generation = self._next_generation(db)
            _remove(db, source.source, generation)
            document = _insert_document(db, source, generation, len(pages), len(chunks))
            _insert_pages(db, document, pages)
            _insert_chunks(db, document, chunks, rows)
        self._follow_soon()

    def delete(self, source: str) -> bool:
        with self._pool.transaction(write=True) as db:
            if not _find_source(db, source):
                return False
            _remove(db, source, self._next_generation(db))
        self._follow_soon()
        return True

    def update(self, source: str, record: Source) -> bool:
        values = {field.name: getattr(record, field.name) for field in fields(Source)}
        kept = {"title", "pages", "chunks", "notice", "able"}
        columns = [name for name in values if name not in kept]
        with self._pool.transaction(write=True) as db:
            if record.source != source and _find_source(db, record.source):
                raise NameTakenError(record.source)
            changed = db.execute(
                f"UPDATE documents SET {', '.join(f'{name} = ?' for name in columns)} WHERE source = ?",
                (*(values[name] for name in columns), source),
            )
            return changed.rowcount > 0

    def find_vectors(self, indexed_texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        texts = {_digest(text): text for text in indexed_texts}
        digests = list(texts)
        found: dict[str, NDArray[np.float32]] = {}
        with self._pool.transaction() as db:
            self._stamp(db)
            for at in range(0, len(digests), 500):
                some = digests[at : at + 500]
                rows = db.execute(
                    "SELECT digest, vector FROM chunks JOIN vectors ON chunk = id "
                    f"WHERE digest IN ({_marks(some)})",
                    some,
                )
                found |= {texts[digest]: np.frombuffer(vector, np.float32) for digest, vector in rows}
        return found

    def sources(self) -> list[Source]:
        with self._pool.connection() as db:
            rows = db.execute(f"SELECT {_SOURCE_COLUMNS} FROM documents ORDER BY id")
            return [Source(*row) for row in rows]

    def find_source(self, source: str) -> Source | None:
        with self._pool.connection() as db:
            return _find_source(db, source)

    def origins(self) -> set[str]:
        with self._pool.connection() as db:
            return {row[0] for row in db.execute("SELECT DISTINCT origin FROM documents")}

    def documents(self, *, origin: str | None = None, locations: Sequence[str] = ()) -> frozenset[int]:
        with self._pool.transaction() as db:
            rows = db.execute("SELECT id FROM documents WHERE origin = ?", (origin,)).fetchall()
            for at in range(0, len(locations), 500):
                some = locations[at : at + 500]
                rows += db.execute(f"SELECT id FROM documents WHERE location IN ({_marks(some)})", some)
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
            return _count(db)

    def close(self) -> None:
        """Bring the derived files up to date, as far as that is worth it."""
        if self._pool.closed:
            return
        self._stop_learning.cancel()
        try:
            if self._learning:
                self._learning.join()
            self._catch_up()
            self._save_vectors(closing=True)
        except StoreError as error:  # nothing is lost: they are replayed when the store is opened again
            log.warning("The search indexes could not be written: %s", error)
        finally:
            self._pool.close()

    # What is found

    def search_vector(
        self, vector: NDArray[np.float32], k: int, within: frozenset[int] | None = None
    ) -> list[Hit]:
        row = self._checked(np.asarray(vector).reshape(1, -1), 1)[0]

        def search(n: int, only: Within | None) -> Found:
            return self._vectors.search(row, n, None if only is None else only.chunks())

        return self._search(search, self._refresh_vectors, k, within)

    def search_text(self, query: str, k: int, within: frozenset[int] | None = None) -> list[Hit]:
        text = _clean(query)

        def search(n: int, only: Within | None) -> Found:
            return self._texts.search(text, n, None if only is None else only.documents)

        return self._search(search, self._refresh_texts, k, within)

    def _search(
        self,
        search: Callable[[int, Within | None], Found],
        refresh: Callable[[sqlite3.Connection, float], None],
        k: int,
        within: frozenset[int] | None,
    ) -> list[Hit]:
        """Search and read in one view of the database; again if the index was ahead of it, or was damaged."""
        hits: list[Hit] = []
        for attempt in range(4 if k > 0 else 0):
            with self._replaying if attempt else nullcontext(), self._pool.transaction() as db:
                try:
                    refresh(db, PATIENCE)
                    found = search(k, None) if within is None else Within(db, within).search(search, k)
                except DamagedError:
                    self._drop_texts()
                    continue
                hits = _read_hits(db, found)
            if len(hits) == len(found):
                break
        return hits  # whole in any case; short only if another process replaced documents all the while

    def _checked(self, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(vectors, dtype=np.float32).reshape(count, -1)
        if count and rows.shape[1] != self.dimension:
            raise ValueError(f"Vectors of {rows.shape[1]} numbers; this index holds {self.dimension}.")
        if not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2):
            raise ValueError("Vectors must be of unit length.")
        return rows

    # How the derived indexes follow

    def _stamp(self, db: sqlite3.Connection) -> Stamp:
        epoch, generation, embedder, dimension = db.execute(
            "SELECT epoch, generation, embedder, dimension FROM state"
        ).fetchone()
        if (embedder, dimension) != (self.embedder, self.dimension):
            raise EmbedderMismatchError(embedder, self.embedder)
        return epoch, generation

    def _next_generation(self, db: sqlite3.Connection) -> int:
        generation = self._stamp(db)[1] + 1
        db.execute("UPDATE state SET generation = ?", (generation,))
        return generation

    def _follow_soon(self) -> None:
        """After a change: replay at once, unless many come one after the other."""
        if time.monotonic() - self._followed >= FOLLOW_SECONDS:
            self.follow()

    def follow(self) -> None:
        self._catch_up()
        self._save_vectors(closing=False)
        self._followed = time.monotonic()

    def _catch_up(self) -> None:
        with self._replaying, self._pool.transaction() as db:
            self._refresh_vectors(db)
            try:
                self._refresh_texts(db)
            except DamagedError:
                self._drop_texts()
                self._refresh_texts(db)

    def _refresh_vectors(self, db: sqlite3.Connection, patience: float = -1) -> None:
        stamp = self._stamp(db)
        if _is_behind(self._vectors.stamp, stamp):
            with self._turn(self._vectors.stamp, stamp, patience) as mine:
                if mine:
                    _replay_vectors(db, self._vectors, stamp)
        if self._vectors.outgrown and self._learning is None:
            self._learn()

    @contextmanager
    def _turn(self, derived: Stamp, database: Stamp, patience: float) -> Iterator[bool]:
        """Be the one who brings an index up to date; False if another thread has been at it for too long.

        An index that serves already may then do so without the newest documents; one that does not is waited
        for, as it is where `patience` is negative.
        """
        mine = self._replaying.acquire(timeout=patience if derived[0] == database[0] else -1)
        try:
            yield mine
        finally:
            if mine:
                self._replaying.release()

    def _learn(self) -> None:
        """Make a better vector index in the background, once; until it is there, this one serves."""
        with self._replaying:
            if self._learning is None and not self._pool.closed:
                self._learning = threading.Thread(target=self._make_successor, daemon=True)
                self._learning.start()

    def wait_until_learnt(self, seconds: float) -> bool:
        """Wait so long for what is being learnt in the background; False if it is not done by then."""
        learning = self._learning
        if learning is not None:
            learning.join(seconds)
        return not self._vectors.outgrown

    def _make_successor(self) -> None:
        with cancel.scope(self._stop_learning):
            try:
                fresh = self._successor()
                with self._replaying, self._pool.transaction() as db:
                    _replay_vectors(db, fresh, self._stamp(db))
                    self._vectors, self._learning = fresh, None
                self._save_vectors(closing=False)
            except cancel.Cancelled:
                log.info("The store was closed before the vector index had learnt; it will the next time.")
            except (StoreError, MemoryError) as error:  # the old index serves on, and this is not tried again
                log.warning("The vector index stays slow until the next start: %s", error)

    def _successor(self) -> VectorIndex:
        """One that has learnt from the vectors that there are now, and holds them."""
        cancel.current().raise_if_cancelled()
        with self._pool.transaction() as db:
            stamp, count = self._stamp(db), _count(db)
            sample = _some_vectors(db, SAMPLE * cells_for(count)).reshape(-1, self.dimension)
            fresh = self._vectors.successor(sample, count)
            fresh.change([], _unless_cancelled(_added_vectors(db, 0)), stamp)
            return fresh

    def _save_vectors(self, *, closing: bool) -> None:
        with self._replaying:
            if self._vectors.worth_saving(closing=closing):
                with self._locked():
                    self._vectors.save()

    def _refresh_texts(self, db: sqlite3.Connection, patience: float = -1) -> None:
        stamp = self._stamp(db)
        if not _is_behind(self._texts.stamp, stamp):
            return
        with self._turn(self._texts.stamp, stamp, patience) as mine:
            if mine:
                self._replay_texts(db, stamp)

    def _replay_texts(self, db: sqlite3.Connection, stamp: Stamp) -> None:
        self._texts.open()  # another process may have brought it up to date
        if not _is_behind(self._texts.stamp, stamp):
            return
        with self._locked():
            self._texts.open()
            if self._texts.stamp[0] != stamp[0]:
                self._texts.clear()
            since = self._texts.stamp[1]
            if _is_behind(self._texts.stamp, stamp):
                self._texts.change(_removed_documents(db, since), _added_texts(db, since), stamp)

    def _drop_texts(self) -> None:
        log.warning("%s is damaged; it is made again.", FOLDER)
        with self._replaying, self._locked():
            self._texts.clear()

    def _drop_what_is_ahead(self) -> None:
        """Where an older copy of the database was put back, what was derived from the newer is worthless."""
        with self._pool.connection() as db:
            epoch, generation = self._stamp(db)
        if self._vectors.stamp > (epoch, generation) and self._vectors.stamp[0] == epoch:
            self._vectors.clear()
        if self._texts.stamp > (epoch, generation) and self._texts.stamp[0] == epoch:
            self._drop_texts()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes in writing the derived files."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._lock_path, timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise StoreError(
                "Another Parley has been writing the search index for a minute. Wait for it, or stop it."
            ) from error


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


def _find_source(db: sqlite3.Connection, source: str) -> Source | None:
    row = db.execute(f"SELECT {_SOURCE_COLUMNS} FROM documents WHERE source = ?", (source,)).fetchone()
    return Source(*row) if row else None


def _remove(db: sqlite3.Connection, source: str, generation: int) -> None:
    row = db.execute("SELECT id FROM documents WHERE source = ?", (source,)).fetchone()
    if row is None:
        return
    first, last = db.execute("SELECT min(id), max(id) FROM chunks WHERE document = ?", row).fetchone()
    db.execute("INSERT INTO removals VALUES (?, ?, ?, ?)", (generation, row[0], first or 0, last or -1))
    db.execute("DELETE FROM documents WHERE id = ?", row)


def _insert_document(db: sqlite3.Connection, source: Source, generation: int, pages: int, chunks: int) -> int:
    values = dict(zip((field.name for field in fields(Source)), astuple(source), strict=True))
    values |= {"title": _clean(source.title), "pages": pages, "chunks": chunks, "generation": generation}
    marks = _marks(list(values))
    cursor = db.execute(
        f"INSERT INTO documents ({', '.join(values)}) VALUES ({marks})", list(values.values())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _insert_pages(db: sqlite3.Connection, document: int, pages: Sequence[Page]) -> None:
    rows = [
        (document, number, p.page, p.start, _clean(p.text), _clean(p.place), p.at)
        for number, p in enumerate(pages)
    ]
    db.executemany(
        "INSERT INTO pages (document, number, page, start, text, place, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def _insert_chunks(
    db: sqlite3.Connection, document: int, chunks: Sequence[Chunk], vectors: NDArray[np.float32]
) -> None:
    """Their ids are consecutive, and no id is ever used again."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    ids = range(row[0] + 1 if row else 1, (row[0] if row else 0) + len(chunks) + 1)
    rows = (_chunk_row(number, document, chunk) for number, chunk in zip(ids, chunks, strict=True))
    db.executemany(f"INSERT INTO chunks VALUES ({_marks(range(12))})", rows)
    db.executemany(
        "INSERT INTO vectors VALUES (?, ?)", zip(ids, map(np.ndarray.tobytes, vectors), strict=True)
    )


def _chunk_row(number: int, document: int, chunk: Chunk) -> tuple[object, ...]:
    texts = map(_clean, (chunk.title, chunk.section, chunk.header, chunk.text))
    place = (_digest(chunk.indexed_text), _clean(chunk.place), chunk.at)
    return number, document, chunk.start, chunk.end, chunk.page, *texts, *place


def _read_hits(db: sqlite3.Connection, found: list[tuple[int, float]]) -> list[Hit]:
    ids = [number for number, _ in found]
    chunks: dict[int, Chunk] = {}
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        rows = db.execute(
            'SELECT c.id, source, text, start, "end", page, c.title, section, header, place, at '
            f"FROM chunks c JOIN documents d ON d.id = c.document WHERE c.id IN ({_marks(some)})",
            some,
        )
        chunks |= {number: Chunk(*row) for number, *row in rows}
    return [Hit(number, chunks[number], score) for number, score in found if number in chunks]


def _is_behind(derived: Stamp, database: Stamp) -> bool:
    return derived[0] != database[0] or derived[1] < database[1]


def _count(db: sqlite3.Connection) -> int:
    total: int = db.execute("SELECT coalesce(sum(chunks), 0) FROM documents").fetchone()[0]
    return total


def _replay_vectors(db: sqlite3.Connection, index: VectorIndex, stamp: Stamp) -> None:
    """Bring the index to the state of the database, `stamp`; whoever calls it has the index to himself."""
    if index.stamp[0] != stamp[0]:
        index.clear()
    since = index.stamp[1]
    if _is_behind(index.stamp, stamp):
        index.change(_removed_ranges(db, since), _added_vectors(db, since), stamp)


def _some_vectors(db: sqlite3.Connection, count: int) -> NDArray[np.float32]:
    """The numbers of up to `count` vectors, drawn from all that are stored."""
    ids = np.fromiter((row[0] for row in db.execute("SELECT id FROM chunks")), np.int64)
    drawn = np.random.default_rng(0).choice(ids, min(count, len(ids)), replace=False)
    vectors: list[bytes] = []
    for at in range(0, len(drawn), 500):
        some = drawn[at : at + 500].tolist()
        rows = db.execute(f"SELECT vector FROM vectors WHERE chunk IN ({_marks(some)})", some)
        vectors += (row[0] for row in rows)
    return np.frombuffer(b"".join(vectors), np.float32)


def _unless_cancelled(batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        cancel.current().raise_if_cancelled()
        yield batch


def _removed_ranges(db: sqlite3.Connection, since: int) -> list[tuple[int, int]]:
    return db.execute("SELECT first, last FROM removals WHERE generation > ?", (since,)).fetchall()


def _removed_documents(db: sqlite3.Connection, since: int) -> list[int]:
    return [row[0] for row in db.execute("SELECT document FROM removals WHERE generation > ?", (since,))]


def _added_vectors(db: sqlite3.Connection, since: int) -> Iterator[Batch]:
    rows = db.execute(  # CROSS: in this order, not by looking at every chunk there is
        "SELECT chunk, vector FROM documents d CROSS JOIN chunks c ON c.document = d.id "
        "CROSS JOIN vectors ON chunk = c.id WHERE generation > ?",
        (since,),
    )
    while batch := rows.fetchmany(_BATCH):
        ids = np.array([row[0] for row in batch], dtype=np.int64)
        yield ids, np.frombuffer(b"".join(row[1] for row in batch), np.float32).reshape(len(ids), -1)


def _added_texts(db: sqlite3.Connection, since: int) -> Iterator[tuple[int, int, str, str]]:
    return db.execute(
        "SELECT c.id, d.id, header, text FROM documents d CROSS JOIN chunks c ON c.document = d.id "
        "WHERE generation > ?",
        (since,),
    )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _clean(text: str) -> str:
    """Half a surrogate pair is no character and cannot be stored; what replaces it keeps every offset."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
