"""Searching only some documents of a store.

Where they are many, the best hits of all are mostly theirs, and the rest is left out; where they are few, the
index is made to look at nothing else. Either is quick, and both find the same. It does not know what is
searched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import sqlite3

_MORE = 8  # so many times what is asked for is looked at before the search is narrowed
_AT_ONCE = 500  # documents in one query of the database

Found = list[tuple[int, float]]  # (chunk, score), best first


class Within:
    """The chunks of some documents, which have consecutive ids in each."""

    def __init__(self, db: sqlite3.Connection, documents: frozenset[int]) -> None:
        self.documents = sorted(documents)
        ranges: list[tuple[int, int]] = []
        for at in range(0, len(self.documents), _AT_ONCE):
            some = self.documents[at : at + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            ranges += db.execute(
                f"SELECT min(id), max(id) FROM chunks WHERE document IN ({marks}) GROUP BY document", some
            )
        self._ranges = np.array(sorted(ranges), dtype=np.int64).reshape(-1, 2)

    def chunks(self) -> NDArray[np.int64]:
        """The ids of all their chunks."""
        runs = [np.arange(first, last + 1, dtype=np.int64) for first, last in self._ranges]
        return np.concatenate(runs) if runs else np.empty(0, np.int64)

    def search(self, search: Callable[[int, Within | None], Found], k: int) -> Found:
        """The `k` best of theirs. `search` gives the n best of all, or of these alone."""
        if not len(self._ranges):
            return []
        found = search(_MORE * k, None)
        kept = [hit for hit in found if self._holds(hit[0])]
        if len(kept) >= k or len(found) < _MORE * k:
            return kept[:k]
        return search(k, self)

    def _holds(self, chunk: int) -> bool:
        at = int(np.searchsorted(self._ranges[:, 0], chunk, side="right")) - 1
        return at >= 0 and chunk <= int(self._ranges[at, 1])
