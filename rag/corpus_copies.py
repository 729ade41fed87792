"""Files with the same content as a document of the index: listed like any other, embedded and found once.

It does not know how a copy is recognised.
"""

from __future__ import annotations

from dataclasses import replace

from rag.corpus_records import Copy, Records
from rag.store import ChunkStore, NameTakenError, Source


class Copies:
    """Every method may be called from any thread."""

    def __init__(self, store: ChunkStore, records: Records) -> None:
        self._store = store
        self._records = records

    def record(self, record: Source, original: Source) -> None:
        """The file that `record` describes has the same content as the document `original`."""
        self._records.remember_copy(
            Copy(
                record.location,
                record.source,
                record.origin,
                original.location,
                original.content_hash,
                record.size,
                record.mtime_ns,
            )
        )

    def take_out(self, document: Source) -> None:
        """Remove a document from the index; if it has copies, the first of them takes its place."""
        if not self.give_up(document):
            self._store.delete(document.source)

    def give_up(self, document: Source) -> bool:
        """Let the first copy of a document be the document from now on; False if there is none."""
        copies = self._records.copies_of(document.location)
        if not copies:
            return False
        heir = copies[0]
        place = replace(
            document,
            source=heir.source,
            location=heir.location,
            origin=heir.origin,
            size=heir.size,
            mtime_ns=heir.mtime_ns,
        )
        try:
            self._store.update(document.source, place)
        except NameTakenError:  # by another process; the copies are found again at the next look
            self._records.forget_copies(copy.location for copy in copies)
            return False
        self._records.forget_copies([heir.location])
        self._records.change_original(document.location, heir.location)
        return True
