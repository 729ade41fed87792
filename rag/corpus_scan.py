"""What is new, changed or gone in some folders, or at some places in them, against what the index has.

It only looks; the store stays as it is. It does not know how a document is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rag.corpus_records import Records
from rag.corpus_status import UPLOAD, CorpusError, Report
from rag.documents import SUFFIXES, max_bytes
from rag.folders import File, Listing, display, list_files, location_of
from rag.formats.ocr import ability
from rag.recordings import WEAKLY_HEARD
from rag.store import ChunkStore, Source


@dataclass
class Task:
    """One document to look at: a file that may have changed, or a URL (which has no `file`)."""

    record: Source
    file: File | None
    known: Source | None
    followers: list[Task] = field(default_factory=list)  # files with the same content, which share its fate
    again: bool = False  # more can be read of the same content than was

    @property
    def kind(self) -> str:
        """Its suffix; "" for a URL."""
        return self.file.path.suffix.lower() if self.file else ""

    @property
    def readable(self) -> bool:
        """Whether its bytes are worth reading; why not, its loader says without reading them."""
        return bool(self.file and self.kind in SUFFIXES and self.file.size <= max_bytes(self.kind))


class Scan:
    """One look: at `folder`s or at `places`, any number of times; then the rest is what was found."""

    def __init__(
        self,
        store: ChunkStore,
        records: Records,
        report: Report,
        *,
        recipe: str,
        data: Path,
        ocr: str,
        hears_well: Callable[[], bool],
    ) -> None:
        self.tasks: list[Task] = []
        self.seen: set[str] = set()  # locations of all files that were looked at
        self.scanned: dict[str, list[Path]] = {}  # origin → folders in it that cannot be read
        self.known = {source.location: source for source in store.sources()}
        self.copies = {copy.location: copy for copy in records.copies()}
        self._failures = {failure.location: failure for failure in records.failures()}
        self._places: set[str] = set()  # where there is nothing but what was seen
        self._records = records
        self._report = report
        self._recipe = recipe
        self._able = ability(ocr) if any(source.able for source in self.known.values()) else ""
        self._hears_well = hears_well
        self._data = data

    def folder(self, folder: Path, origin: str, *, required: bool) -> None:
        """Look at a whole folder; one that is missing is an error if it is `required`."""
        documents = sum(source.origin == origin for source in self.known.values())
        try:
            listing = list_files(folder, without=None if origin == UPLOAD else self._data)
            device = folder.stat().st_dev
        except OSError as error:
            if required:
                raise CorpusError(
                    f"The corpus folder {folder} cannot be read ({error.strerror}). Check its permissions."
                ) from error
            return self._keep(folder, documents)
        if documents and not listing.files and self._records.folders().get(origin, device) != device:
            return self._keep(folder, documents)  # the empty place where a drive was mounted
        if documents and not listing.files and origin != UPLOAD:
            self._report.notices.append(
                f"The folder {folder} is empty: the {documents} documents from it are removed from the index."
            )
        if origin != UPLOAD:
            self._records.remember_folder(origin, device)
        self.scanned[origin] = listing.unreadable
        self._take(listing, origin)
        return None

    def places(self, folder: Path, origin: str, paths: Collection[Path]) -> None:
        """Look only at these files and folders in a corpus folder, and at what is in them.

        What is behind a link, or in a folder that is not there as it was, is found only by `folder`.
        """
        if any(path == folder or _is_linked(path, folder) for path in paths) or not self._is_in_place(folder):
            return self.folder(folder, origin, required=False)
        for path in paths:
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if not hidden and not path.is_relative_to(self._data):
                self._look_at_place(path, folder, origin)
        return None

    def _is_in_place(self, folder: Path) -> bool:
        try:
            device = folder.stat().st_dev
        except OSError:
            return False
        return self._records.folders().get(str(folder)) == device

    def _look_at_place(self, path: Path, folder: Path, origin: str) -> None:
        """What cannot be looked at stays as it is."""
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                listing = list_files(folder, below=path, without=self._data)
                self._take(listing, origin)
                if listing.unreadable:  # what was indexed from there stays
                    return
            elif stat.S_ISREG(status.st_mode):
                self._look_at(File(path, folder, status.st_size, status.st_mtime_ns), origin)
        except FileNotFoundError:
            pass
        except OSError:
            return
        self._places.add(location_of(path))

    def _take(self, listing: Listing, origin: str) -> None:
        reason = "The folder cannot be listed; what was indexed from it stays. Check its permissions."
        self._report.failed += [{"source": display(f), "error": reason} for f in listing.unreadable]
        for file in listing.files:
            self._look_at(file, origin)

    def _keep(self, folder: Path, documents: int) -> None:
        self._report.notices.append(
            f"The folder {folder} is not there now; its {documents} documents stay in the index. "
            f'Connect its drive, or forget the folder: app.py index --forget "{display(folder)}"'
        )

    def _look_at(self, file: File, origin: str) -> None:
        location = file.location
        if location in self.seen:
            return  # in two corpus folders, one inside the other
        self.seen.add(location)
        known, failure = self.known.get(location), self._failures.get(location)
        place = (file.size, file.mtime_ns)
        again = known is not None and self._can_do_more(known)
        unchanged = known and (known.size, known.mtime_ns, known.recipe) == (*place, self._recipe)
        if (unchanged and not again) or self._is_still_a_copy(location, place):
            self._report.unchanged += 1
        elif failure and (failure.size, failure.mtime_ns, failure.recipe) == (*place, self._recipe):
            self._report.failed.append({"source": failure.source, "error": failure.error})
        else:
            name, origin = (known.source, known.origin) if known else ("", origin)
            record = Source(name, "", location=location, origin=origin, recipe=self._recipe)
            record = replace(record, size=file.size, mtime_ns=file.mtime_ns)
            self.tasks.append(Task(record, file, known, again=again))

    def _can_do_more(self, known: Source) -> bool:
        if known.able == WEAKLY_HEARD:
            return self._hears_well()
        return known.able not in ("", self._able)

    def _is_still_a_copy(self, location: str, place: tuple[int, int]) -> bool:
        copy = self.copies.get(location)
        if copy is None or (copy.size, copy.mtime_ns) != place:
            return False
        original = self.known.get(copy.original)
        return original is not None and original.content_hash == copy.content_hash

    # What is gone

    def gone_documents(self) -> Iterator[Source]:
        return (known for at, known in self.known.items() if self._is_gone(at, known.origin))

    def gone_copies(self) -> list[str]:
        """Their locations."""
        return [at for at, copy in self.copies.items() if self._is_gone(at, copy.origin)]

    def doubtful_copies(self) -> list[str]:
        """Locations of those that have to be looked at anew, and are no copies for now."""
        return [task.record.location for task in self.tasks if task.record.location in self.copies]

    def gone_failures(self) -> list[str]:
        return [at for at, failure in self._failures.items() if self._is_gone(at, failure.origin)]

    def _is_gone(self, location: str, origin: str) -> bool:
        if location in self.seen:
            return False
        if origin in self.scanned:
            return not any(Path(location).is_relative_to(folder) for folder in self.scanned[origin])
        return bool(self._places) and any(place in self._places for place in _with_parents(location))


def _with_parents(location: str) -> Iterator[str]:
    """A location, and the folders that it is in."""
    while location:
        yield location
        location = location.rpartition(os.sep)[0]


def _is_linked(path: Path, folder: Path) -> bool:
    """Whether a link leads to it somewhere below the folder: it may then have another, earlier name."""
    inside = path.relative_to(folder).parts
    return any(folder.joinpath(*inside[: depth + 1]).is_symlink() for depth in range(len(inside)))
