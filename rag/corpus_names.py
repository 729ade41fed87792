"""Which document has which name, those included that are still being read.

It knows the names in the store and of the copies, and those that this process has promised. What another
process promises it cannot know: the store refuses a name that another document has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from rag.corpus_records import Records
from rag.folders import File
from rag.store import ChunkStore


class Names:
    """Every method may be called from any thread."""

    def __init__(self, store: ChunkStore, records: Records) -> None:
        self._store = store
        self._records = records
        self._lock = threading.Lock()
        self._reserved: dict[str, str] = {}  # name → location of the file that will have it

    def reserve(self, file: File, instead_of: str = "") -> str:
        """The first of the file's names that no other document has or will have; `instead_of` it gives up."""
        with self._lock:
            name = next(n for n in file.names() if n == instead_of or self._is_free(n, file.location))
            self._reserved[name] = file.location
            return name

    def release(self, names: Iterable[str]) -> None:
        """They are in the index by now, or will never be."""
        with self._lock:
            for name in names:
                self._reserved.pop(name, None)

    def _is_free(self, name: str, location: str) -> bool:
        if name in self._reserved:
            return self._reserved[name] == location
        for known in (self._store.find_source(name), self._records.copy_named(name)):
            if known is not None and known.location != location:
                return False
        return True
