"""One run that makes the store equal to some folders and URLs, and the states that the page shows meanwhile.

It does not know which folders are remembered, nor how a document is read or embedded.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.documents import Document

from rag import cancel
from rag.corpus_names import Names
from rag.corpus_records import Failure, Records
from rag.documents import SUFFIXES, DocumentError, max_bytes
from rag.folders import File, display, hash_file, list_files
from rag.indexer import Indexer, Parsed, hash_text
from rag.store import ChunkStore, Source

log = logging.getLogger(__name__)

UPLOAD, URL = "upload", "url"  # origins; any other is a corpus folder
BATCH_CHUNKS = 128  # documents are collected until they have so many chunks, and embedded together

State = Literal["waiting", "reading", "ready", "failed"]
Progress = Callable[[int, int, str, State], None]  # done, total, source, what became of it


class CorpusError(Exception):
    """A folder or source that cannot be used as asked; the message says why and what to do."""


@dataclass
class Report:
    """What a sync did. `moved` documents have a new place and the same content; they count nowhere else."""

    added: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)  # {"source", "error"}
    notices: list[str] = field(default_factory=list)  # what a person should know, such as a missing folder
    chunks: int = 0  # in the whole index, afterwards
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SourceStatus:
    """One document, for the page's list."""

    source: str
    state: State
    reason: str = ""  # why it failed
    title: str = ""
    origin: str = ""  # the corpus folder, "upload" or "url"
    pages: int = 0
    chunks: int = 0


class Statuses:
    """What is being done to documents now; what was done before is in the store and the records."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_source: dict[str, SourceStatus] = {}

    def set(self, status: SourceStatus) -> None:
        with self._lock:
            self._by_source[status.source] = status

    def forget_all(self, origins: Collection[str]) -> None:
        with self._lock:
            self._by_source = {k: s for k, s in self._by_source.items() if s.origin not in origins}

    def forget(self, source: str) -> None:
        with self._lock:
            self._by_source.pop(source, None)

    def all(self) -> dict[str, SourceStatus]:
        with self._lock:
            return dict(self._by_source)


@dataclass
class _Task:
    """One document to look at: a file that may have changed, or a URL (which has no `file`)."""

    record: Source
    file: File | None
    known: Source | None

    @property
    def readable(self) -> bool:
        """Whether its bytes are worth reading; why not, its loader says without reading them."""
        suffix = self.file.path.suffix.lower() if self.file else ""
        return bool(self.file and suffix in SUFFIXES and self.file.size <= max_bytes(suffix))


class Sync:
    """One run: `scan` each folder, then `run` once. The store changes only in `run`."""

    def __init__(
        self,
        store: ChunkStore,
        indexer: Indexer,
        records: Records,
        statuses: Statuses,
        names: Names,
        data: Path,
    ) -> None:
        self.report = Report()
        self._store = store
        self._indexer = indexer
        self._records = records
        self._statuses = statuses
        self._names = names
        self._data = data
        self._known = {source.location: source for source in store.sources()}
        self._failures = {failure.location: failure for failure in records.failures()}
        self._scanned: dict[str, list[Path]] = {}  # origin → folders in it that cannot be read
        self._seen: set[str] = set()  # locations of all files that are there
        self._tasks: list[_Task] = []
        self._batch: list[tuple[_Task, Parsed]] = []
        self._unrecorded: set[str] = set()  # failures that will be tried again, which only the page shows
        self._progress: Progress | None = None
        self._done = self._total = 0

    # Looking

    def scan(self, folder: Path, origin: str, *, required: bool) -> None:
        """Note what is new or changed in a folder; one that is missing is an error if it is `required`."""
        documents = sum(source.origin == origin for source in self._known.values())
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
            self.report.notices.append(
                f"The folder {folder} is empty: the {documents} documents from it are removed from the index."
            )
        if origin != UPLOAD:
            self._records.remember_folder(origin, device)
        self._scanned[origin] = listing.unreadable
        self._note_unreadable(listing.unreadable)
        for file in listing.files:
            self._look_at(file, origin)
        return None

    def _keep(self, folder: Path, documents: int) -> None:
        self.report.notices.append(
            f"The folder {folder} is not there now; its {documents} documents stay in the index. "
            f'Connect its drive, or forget the folder: app.py index --forget "{display(folder)}"'
        )

    def _note_unreadable(self, folders: list[Path]) -> None:
        reason = "The folder cannot be listed; what was indexed from it stays. Check its permissions."
        self.report.failed += [{"source": display(folder), "error": reason} for folder in folders]

    def _look_at(self, file: File, origin: str) -> None:
        location = file.location
        if location in self._seen:
            return  # in two corpus folders, one inside the other
        self._seen.add(location)
        known, failure = self._known.get(location), self._failures.get(location)
        place = (file.size, file.mtime_ns)
        if known and (known.size, known.mtime_ns, known.recipe) == (*place, self._indexer.recipe):
            self.report.unchanged += 1
        elif failure and (failure.size, failure.mtime_ns, failure.recipe) == (*place, self._indexer.recipe):
            self.report.failed.append({"source": failure.source, "error": failure.error})
        else:
            name, origin = (known.source, known.origin) if known else ("", origin)
            record = Source(
                name, "", location=location, origin=origin, size=file.size, mtime_ns=file.mtime_ns
            )
            self._tasks.append(_Task(replace(record, recipe=self._indexer.recipe), file, known))

    # Doing

    def run(
        self,
        urls: Sequence[str],
        fetch: Callable[[str], list[Document]],
        progress: Progress | None = None,
    ) -> None:
        """Make the store equal to what was scanned, and to what `fetch` gives for the URLs."""
        for url in urls:
            record = Source(url, "", location=url, origin=URL, recipe=self._indexer.recipe)
            self._tasks.append(_Task(record, None, self._known.get(url)))
        self._progress, self._total = progress, len(self._tasks)
        self._statuses.forget_all(self._scanned)  # failures of the last run
        try:
            changed = self._settle_by_hash(self._tasks)
            self._remove_gone()
            for task in changed:
                self._name(task)
                self._show(task, "waiting")
            for task in changed:
                cancel.current().raise_if_cancelled()
                self._read(task, fetch)
            self._flush()
        finally:
            touched = {task.record.source for task in self._tasks}
            self._names.release(touched)
            for source in touched - self._unrecorded:
                self._statuses.forget(source)

    def _settle_by_hash(self, tasks: list[_Task]) -> list[_Task]:
        """Tell the files that only look changed, and those that only moved; return the others."""
        lost: dict[str, list[Source]] | None = None
        left = []
        for task in tasks:
            cancel.current().raise_if_cancelled()
            if not task.readable or not self._hash(task):
                left.append(task)
            elif task.known:
                same = (task.record.content_hash, task.record.recipe)
                if same == (task.known.content_hash, task.known.recipe):
                    self._store.update(task.known.source, task.record)
                    self.report.unchanged += 1
                    self._step(task, "ready")
                else:
                    left.append(task)
            else:
                lost = self._lost() if lost is None else lost
                left += [] if self._move(task, lost) else [task]
        return left

    def _hash(self, task: _Task) -> bool:
        """Put the content's hash into the record; False if the file cannot be read."""
        assert task.file
        try:
            task.record = replace(task.record, content_hash=hash_file(task.file.path))
        except OSError:
            return False
        return True

    def _lost(self) -> dict[str, list[Source]]:
        """Content hash → documents in the index whose files are not where they were."""
        lost: dict[str, list[Source]] = {}
        for location, source in self._known.items():
            if source.origin != URL and location not in self._seen and not os.path.lexists(location):
                lost.setdefault(source.content_hash, []).append(source)
        return lost

    def _move(self, task: _Task, lost: dict[str, list[Source]]) -> bool:
        """Give a document whose file was found elsewhere its new place and name."""
        candidates = [s for s in lost.get(task.record.content_hash, []) if s.recipe == task.record.recipe]
        if not candidates or not task.file:
            return False
        old = candidates[0]
        lost[task.record.content_hash].remove(old)
        self._name(task, instead_of=old.source)
        self._store.update(old.source, task.record)
        del self._known[old.location]
        self.report.moved += 1
        self._step(task, "ready")
        return True

    def _name(self, task: _Task, instead_of: str = "") -> None:
        if not task.record.source and task.file:
            task.record = replace(task.record, source=self._names.reserve(task.file, instead_of))

    def _remove_gone(self) -> None:
        for location, source in self._known.items():
            if self._is_gone(location, source.origin):
                self._store.delete(source.source)
                self.report.removed += 1
        gone = [at for at, failure in self._failures.items() if self._is_gone(at, failure.origin)]
        self._records.forget_failures(gone)

    def _is_gone(self, location: str, origin: str) -> bool:
        if origin not in self._scanned or location in self._seen:
            return False
        return not any(Path(location).is_relative_to(folder) for folder in self._scanned[origin])

    def _read(self, task: _Task, fetch: Callable[[str], list[Document]]) -> None:
        self._show(task, "reading")
        source = task.record.source
        try:
            parsed = self._indexer.parse(
                task.record,
                lambda: self._indexer.load(task.file.path, source) if task.file else fetch(source),
            )
        except DocumentError as error:
            self._fail(task, str(error), remember=not (task.file and error.passing))
        except OSError as error:
            self._fail(task, f"It cannot be read ({error.strerror}). Check its permissions.", remember=False)
        except cancel.Cancelled:
            raise
        except Exception as error:
            log.exception("A document could not be read.")
            reason = f"It could not be read ({type(error).__name__}). The log has the details."
            self._fail(task, reason, remember=False)
        else:
            self._take(task, parsed)

    def _take(self, task: _Task, parsed: Parsed) -> None:
        if not task.file:
            parsed = replace(parsed, record=replace(parsed.record, content_hash=hash_text(parsed.pages)))
            self._records.remember_url(task.record.source)
            known = task.known
            same = (parsed.record.content_hash, parsed.record.recipe)
            if known and same == (known.content_hash, known.recipe):
                self.report.unchanged += 1
                return self._step(task, "ready")
        self._batch.append((task, parsed))
        if sum(len(waiting.chunks) for _, waiting in self._batch) >= BATCH_CHUNKS:
            self._flush()
        return None

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        refused = self._indexer.store([parsed for _, parsed in batch])
        self._records.forget_failures([task.record.location for task, _ in batch])
        for task, _ in batch:
            if task.record.source in refused:
                self._fail(task, str(refused[task.record.source]), remember=False)
                continue
            self.report.updated += task.known is not None
            self.report.added += task.known is None
            self._step(task, "ready")

    def _fail(self, task: _Task, reason: str, *, remember: bool) -> None:
        """Report a failure. What was indexed stays if the new content is unknown, and goes if it is bad."""
        record = task.record
        self.report.failed.append({"source": record.source, "error": reason})
        if remember:
            failure = Failure(
                record.location,
                record.source,
                record.origin,
                reason,
                record.size,
                record.mtime_ns,
                record.recipe,
            )
            self._records.remember_failure(failure)
        else:
            self._unrecorded.add(record.source)
        if task.file and task.known and remember:
            self._store.delete(task.known.source)
        if not task.file:
            self._records.remember_url(record.source)
        self._step(task, "failed", reason)

    # Telling

    def _step(self, task: _Task, state: State, reason: str = "") -> None:
        self._done += 1
        self._show(task, state, reason)
        if state == "ready":
            self._statuses.forget(task.record.source)

    def _show(self, task: _Task, state: State, reason: str = "") -> None:
        record = task.record
        self._statuses.set(SourceStatus(record.source, state, reason, origin=record.origin))
        if self._progress:
            self._progress(self._done, self._total, record.source, state)
