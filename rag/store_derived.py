"""How the vector index and the text index follow the database that they are derived from, and are searched.

They carry the generation of the database that they have come to. Every search compares it with that of the
database and replays what is missing, whoever made the change: this thread, another, or another process. A
better vector index is made in the background. It does not know what a document is, nor how one is stored.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag import cancel
from rag.database import Pool
from rag.store import Hit, StoreError
from rag.store_rows import (
    added_texts,
    added_vectors,
    chunk_count,
    read_hits,
    removed_documents,
    removed_ranges,
    some_vectors,
)
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


class DerivedIndexes:
    """The two indexes in one folder. Every method is safe from any thread.

    Args:
        pool: connections to the database.
        stamp: what the database has come to; raises StoreError where its vectors are not to be used.
    """

    def __init__(
        self, folder: Path, pool: Pool, *, dimension: int, stamp: Callable[[sqlite3.Connection], Stamp]
    ) -> None:
        self._pool, self._stamp = pool, stamp
        self._dimension = dimension
        with pool.connection() as db:
            epoch, _ = stamp(db)
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

    # What is found

    def search_vector(self, row: NDArray[np.float32], k: int, within: frozenset[int] | None) -> list[Hit]:
        def search(n: int, only: Within | None) -> Found:
            return self._vectors.search(row, n, None if only is None else only.chunks())

        return self._search(search, self._refresh_vectors, k, within)

    def search_text(self, text: str, k: int, within: frozenset[int] | None) -> list[Hit]:
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
                hits = read_hits(db, found)
            if len(hits) == len(found):
                break
        return hits  # whole in any case; short only if another process replaced documents all the while

    # How they follow

    def follow_soon(self) -> None:
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
        """See `LocalStore.wait_until_learnt`."""
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
            stamp, count = self._stamp(db), chunk_count(db)
            sample = some_vectors(db, SAMPLE * cells_for(count)).reshape(-1, self._dimension)
            fresh = self._vectors.successor(sample, count)
            fresh.change([], _unless_cancelled(added_vectors(db, 0)), stamp)
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
                self._texts.change(removed_documents(db, since), added_texts(db, since), stamp)

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

    def close(self) -> None:
        """Bring the files up to date, as far as that is worth it. The database is still open."""
        self._stop_learning.cancel()
        try:
            if self._learning:
                self._learning.join()
            self._catch_up()
            self._save_vectors(closing=True)
        except StoreError as error:  # nothing is lost: they are replayed when the store is opened again
            log.warning("The search indexes could not be written: %s", error)


def _is_behind(derived: Stamp, database: Stamp) -> bool:
    return derived[0] != database[0] or derived[1] < database[1]


def _replay_vectors(db: sqlite3.Connection, index: VectorIndex, stamp: Stamp) -> None:
    """Bring the index to the state of the database, `stamp`; whoever calls it has the index to himself."""
    if index.stamp[0] != stamp[0]:
        index.clear()
    since = index.stamp[1]
    if _is_behind(index.stamp, stamp):
        index.change(removed_ranges(db, since), added_vectors(db, since), stamp)


def _unless_cancelled(batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        cancel.current().raise_if_cancelled()
        yield batch
