"""`vectors.faiss`: the vectors once more, in a FAISS index that can be searched fast.

A small index is exact: it looks at every vector. A large one has learnt where its vectors lie, keeps them in
cells, in half precision, and looks into the cells nearest to a question; docs/scale.md has what that finds.

It knows FAISS, its file, and up to which change of the database it has come. It does not know the database:
its owner says what to add and to remove, and when there is time to learn anew.
"""

from __future__ import annotations

import logging
import math
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rag import cancel
from rag.store import StoreError

log = logging.getLogger(__name__)

FILE = "vectors.faiss"
Stamp = tuple[str, int]  # epoch and generation of the database that a derived index has come to
NEVER: Stamp = ("", 0)
Batch = tuple[NDArray[np.int64], NDArray[np.float32]]  # ids (n,) and their vectors (n, dimension)

EXACT = 50_000  # chunks that are searched exactly in a few milliseconds; more are kept in cells
SAMPLE = 40  # vectors a cell that the cells are learnt from; more place them hardly better
_ROUNDS = 8  # of k-means, after which the cells hardly move
_LOOKED_INTO = 1 / 32  # of the cells, by each search
_AT_ONCE = 512  # vectors that are added while searches wait

# What follows FAISS's own bytes in the file (its reader ignores it): the stamp travels with the vectors in
# one rename, and the checksum keeps damaged bytes away from FAISS, which trusts what it reads.
_TRAILER = struct.Struct("<8s32sQI")
_MAGIC = b"PARLEYV1"


class VectorIndex:
    """Cosine search. Searches and changes may come from any thread; changes one after the other."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self._lock = threading.Lock()  # FAISS allows no search while it is changed
        self._faiss = _import_faiss()
        self.stamp = NEVER
        self._unsaved = 0  # chunks that changed since the file was written
        self._better = False  # than the one in the file, whatever that has come to
        self._index = self._exact()

    def _exact(self) -> Any:
        return self._faiss.IndexIDMap(self._faiss.IndexFlatIP(self._dimension))

    def __len__(self) -> int:
        count: int = self._index.ntotal
        return count

    @property
    def cells(self) -> int:
        """How many cells the vectors are kept in; 0 if the search is exact."""
        return int(getattr(self._index, "nlist", 0))

    def search(
        self, vector: NDArray[np.float32], k: int, only: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """(id, cosine) of the `k` nearest, best first; with `only`, of these ids."""
        row = np.ascontiguousarray(vector, dtype=np.float32).reshape(1, -1)
        selector = None if only is None else self._faiss.IDSelectorBatch(only)
        # Of this thread: threads that wait for each other take longer as soon as anything else runs.
        self._faiss.omp_set_num_threads(1)
        with self._lock:
            wanted = min(k, self._index.ntotal if only is None else len(only))
            scores, ids = self._index.search(row, max(wanted, 1), params=self._params(_LOOKED_INTO, selector))
            if np.count_nonzero(ids >= 0) < wanted:  # more than those cells hold
                scores, ids = self._index.search(row, wanted, params=self._params(1, selector))
        return [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i >= 0]

    def _params(self, share: float, selector: Any) -> Any:
        """Look into this share of the cells, for the ids that `selector` lets through, if there is one."""
        if self.cells:
            return self._faiss.SearchParametersIVF(nprobe=math.ceil(share * self.cells), sel=selector)
        return selector and self._faiss.SearchParameters(sel=selector)

    # Learning

    @property
    def outgrown(self) -> bool:
        """Whether it needs a `successor`: it holds four times, or a quarter of, what it was made for."""
        if not self.cells:
            return len(self) > EXACT
        return not self.cells / 2 < _ideal(len(self)) < self.cells * 2

    def successor(self, sample: NDArray[np.float32], count: int) -> VectorIndex:
        """An empty index for `count` vectors like those of the sample, of which SAMPLE a cell are enough.

        It learns on one thread, and raises `rag.cancel.Cancelled` between two rounds.
        """
        fresh = VectorIndex(self._path, self._dimension)
        if cells := cells_for(count):
            self._faiss.omp_set_num_threads(1)  # of this thread: questions have the other cores
            places = self._faiss.IndexFlatIP(self._dimension)
            places.add(self._learn(sample, cells))
            kind = self._faiss.ScalarQuantizer.QT_fp16
            product = self._faiss.METRIC_INNER_PRODUCT
            fresh._index = self._faiss.IndexIVFScalarQuantizer(
                places, self._dimension, cells, kind, product, False
            )
            fresh._index.train(sample[:1])  # half precision has nothing to learn
        fresh._better = True
        return fresh

    def _learn(self, sample: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
        """The centres of the cells, by k-means, one round after the other so that it can be cancelled."""
        centres: NDArray[np.float32] | None = None
        for _ in range(_ROUNDS):
            cancel.current().raise_if_cancelled()
            means = self._faiss.Kmeans(
                self._dimension, cells, niter=1, spherical=True, min_points_per_centroid=1
            )
            means.train(sample, init_centroids=centres)
            centres = means.centroids
        assert centres is not None
        return centres

    # Changing

    def clear(self) -> None:
        with self._lock:
            self._index = self._exact()
            self.stamp = NEVER

    def change(
        self,
        removed: Sequence[tuple[int, int]],
        added: Iterable[Batch],
        stamp: Stamp,
    ) -> None:
        """Remove ranges of ids (both ends included), add batches of (ids, vectors), carry the new stamp."""
        try:
            self._change(removed, added)
        except BaseException:
            self.clear()  # half a change must not be replayed on top of
            raise
        self.stamp = stamp

    def _change(
        self,
        removed: Sequence[tuple[int, int]],
        added: Iterable[Batch],
    ) -> None:
        before = self._index.ntotal
        if removed and before:
            ids = np.concatenate([np.arange(first, last + 1, dtype=np.int64) for first, last in removed])
            with self._lock:
                self._index.remove_ids(self._faiss.IDSelectorBatch(ids))
        kept = self._index.ntotal
        for numbers, vectors in added:
            for at in range(0, len(numbers), _AT_ONCE):
                some = slice(at, at + _AT_ONCE)
                with self._lock:
                    self._index.add_with_ids(vectors[some], numbers[some])
        self._unsaved += before - kept + self._index.ntotal - kept

    # Keeping

    def worth_saving(self, *, closing: bool) -> bool:
        """Whether enough changed to write the whole file again; what is not in it is replayed at opening."""
        if self._better:
            return True
        if closing:
            return self._unsaved * 50 > len(self) or not self._path.exists()
        return self._unsaved > max(4096, len(self) // 8)

    def save(self) -> None:
        """Write beside and rename. The caller holds the lock on the data folder; searches go on meanwhile."""
        on_disk = None if self._better else _read_stamp(self._path)
        if on_disk is not None and on_disk[0] == self.stamp[0] and on_disk[1] >= self.stamp[1]:
            self._unsaved = 0
            return
        beside = self._path.with_name(f"{FILE}.{os.getpid()}.new")
        try:
            self._faiss.write_index(self._index, str(beside))
            with beside.open("r+b") as file:
                checksum = _checksum(file, beside.stat().st_size)
                file.seek(0, os.SEEK_END)
                file.write(_TRAILER.pack(_MAGIC, self.stamp[0].encode("ascii"), self.stamp[1], checksum))
            os.replace(beside, self._path)
        finally:
            beside.unlink(missing_ok=True)
        self._unsaved, self._better = 0, False

    def load(self, epoch: str) -> None:
        """Read the file; if it is missing, damaged, or of another database, stay empty: all is replayed."""
        stamp = _read_stamp(self._path, check=True)
        if stamp is None or stamp[0] != epoch:
            if self._path.exists():
                log.warning("%s is damaged or of another index; it is made again.", self._path.name)
            return
        try:
            index = self._faiss.read_index(str(self._path))
        except RuntimeError:  # what FAISS raises for a file that it does not understand
            log.warning("%s cannot be read; it is made again.", self._path.name)
            return
        if index.d == self._dimension:
            self._index, self.stamp = index, stamp


def cells_for(count: int) -> int:
    """How many cells an index for so many vectors has; 0 where it is exact."""
    return _ideal(count) if count > EXACT else 0


def _ideal(count: int) -> int:
    """So many that finding the nearest cells costs about as much as looking into them."""
    return 4 * math.isqrt(count)


def _read_stamp(path: Path, *, check: bool = False) -> Stamp | None:
    """The stamp in the file, None if there is no whole file; `check` reads all of it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END) - _TRAILER.size
            file.seek(max(size, 0))
            trailer = file.read()
            if size < 0 or not trailer.startswith(_MAGIC):
                return None
            _, epoch, generation, checksum = _TRAILER.unpack(trailer)
            if check and _checksum(file, size) != checksum:
                return None
            return epoch.decode("ascii"), generation
    except (OSError, UnicodeDecodeError):
        return None


def _checksum(file: BinaryIO, size: int) -> int:
    file.seek(0)
    checksum = 0
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        checksum = zlib.crc32(block, checksum)
        size -= len(block)
    return checksum


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise StoreError("FAISS is missing. Run: pip install faiss-cpu") from error
    return faiss
