"""One run that makes the store equal to what a scan found: read ahead, embedded together, stored whole.

It does not know which folders are remembered, nor how a document is read or embedded.
"""

from __future__ import annotations

import logging
import mimetypes
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from langchain_core.documents import Document

from rag import cancel, priority
from rag.ahead import Ahead
from rag.corpus_copies import Copies
from rag.corpus_names import Names
from rag.corpus_records import Failure, Records
from rag.corpus_scan import Scan, Task
from rag.corpus_status import URL, Progress, Report, SourceStatus, State, Statuses, Step
from rag.documents import DocumentError
from rag.estimate import Estimate
from rag.folders import hash_file
from rag.indexer import Indexer, Parsed, hash_text
from rag.store import ChunkStore, Source

log = logging.getLogger(__name__)

BATCH_CHUNKS = 128  # documents are collected until they have so many chunks, and embedded together
READERS = max(2, min(4, os.cpu_count() or 1))  # threads that read ahead of the embedding
READ_AHEAD = 2 * READERS  # documents in memory that wait to be embedded
WRITTEN_TO = "It was written to while it was read. It is read again when it is complete."
_SLOW = {"audio", "video", "image"}  # to be listened to, or looked at: after all that has text

Fetch = Callable[[str], list[Document]]


@dataclass(frozen=True)
class Problem:
    """Why a document could not be read; what is `lasting` is remembered, and not tried again by itself."""

    reason: str
    lasting: bool


Outcome = Parsed | Problem | Source  # the document, where there is nothing to do any more


class Sync:
    """One run, of what `scan` found."""

    def __init__(
        self,
        store: ChunkStore,
        indexer: Indexer,
        records: Records,
        statuses: Statuses,
        names: Names,
        scan: Scan,
        report: Report,
    ) -> None:
        self._store = store
        self._indexer = indexer
        self._records = records
        self._statuses = statuses
        self._names = names
        self._copies = Copies(store, records)
        self._scan = scan
        self._report = report
        self._batch: list[tuple[Task, Parsed]] = []
        self._unrecorded: set[str] = set()  # failures that will be tried again, which only the page shows
        self._progress: Progress | None = None
        self._telling = threading.Lock()  # documents are read in several threads
        self._done = self._total = 0
        self._estimate = Estimate((), time.monotonic())

    def run(
        self,
        urls: Sequence[str],
        fetch: Fetch,
        progress: Progress | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the store equal to what was scanned, and to what `fetch` gives for the URLs.

        `between` is called now and then, when no document is half done.
        """
        tasks = self._scan.tasks
        for url in urls:
            record = Source(url, "", location=url, origin=URL, recipe=self._indexer.recipe)
            tasks.append(Task(record, None, self._scan.known.get(url)))
        self._progress, self._total = progress, len(tasks)
        self._statuses.forget_all(self._scan.scanned)  # failures of the last run
        try:
            self._records.forget_copies(self._scan.doubtful_copies())
            changed = self._settle(tasks)
            self._remove_gone()
            for task in changed:
                for each in (task, *task.followers):
                    self._name(each)
                    self._show(each, "waiting")
            self._read_all(changed, fetch, between)
        finally:
            touched = {task.record.source for task in tasks}
            self._names.release(touched)
            for source in touched - self._unrecorded:
                self._statuses.forget(source)

    # What need not be read

    def _settle(self, tasks: list[Task]) -> list[Task]:
        """Tell the files that only look changed, that only moved, and copies; return the others."""
        self._hash_alike(tasks)
        changing = {task.record.location for task in tasks}
        lost, kept = self._lost(), self._by_content(without=changing)
        leaders: dict[tuple[str, str], Task] = {}
        left = []
        for task in sorted(tasks, key=lambda task: task.known is None):  # first what an original may be
            cancel.current().raise_if_cancelled()
            key = (task.record.content_hash, task.kind)
            if task.again or not task.record.content_hash:
                left.append(task)
            elif task.known and _same(task.record, task.known):
                self._touch(task)
                kept.setdefault(key, task.record)
            elif not task.known and self._move(task, lost.get(key, [])):
                kept.setdefault(key, task.record)
            elif (original := kept.get(key)) and os.path.lexists(original.location):
                self._add_copy(task, original)
            elif leader := leaders.get(key):
                leader.followers.append(task)
            else:
                leaders[key] = task
                left.append(task)
        return left

    def _hash_alike(self, tasks: list[Task]) -> None:
        """Put the hash into the records of files that may have the content of another: of the same size."""
        sizes = Counter(task.record.size for task in tasks if task.file)
        sizes.update(known.size for known in self._scan.known.values() if known.origin != URL)
        for task in tasks:
            cancel.current().raise_if_cancelled()
            if task.readable and task.file and sizes[task.record.size] > 1:
                try:
                    task.record = replace(task.record, content_hash=hash_file(task.file.path))
                except OSError:
                    continue  # the reader says why it cannot be read

    def _lost(self) -> dict[tuple[str, str], list[Source]]:
        """Content and kind → documents whose files were not seen where they should be."""
        lost: dict[tuple[str, str], list[Source]] = {}
        for location, source in self._scan.known.items():
            if source.origin != URL and location not in self._scan.seen:
                lost.setdefault(_content(source), []).append(source)
        return lost

    def _by_content(self, without: set[str]) -> dict[tuple[str, str], Source]:
        """Content and kind → a document of the index that is not about to change."""
        return {
            _content(source): source
            for location, source in self._scan.known.items()
            if source.origin != URL and location not in without and source.recipe == self._indexer.recipe
        }

    def _touch(self, task: Task) -> None:
        assert task.known
        self._store.update(task.known.source, task.record)
        self._settled(task)

    def _move(self, task: Task, candidates: list[Source]) -> bool:
        """Give a document whose file was found elsewhere its new place and name."""
        old = next((source for source in candidates if self._may_move(source, task)), None)
        if old is None:
            return False
        candidates.remove(old)
        self._name(task, instead_of=old.source)
        self._store.update(old.source, task.record)
        self._records.change_original(old.location, task.record.location)
        del self._scan.known[old.location]
        self._report.moved += 1
        self._step(task, "ready")
        return True

    @staticmethod
    def _may_move(source: Source, task: Task) -> bool:
        return source.recipe == task.record.recipe and not os.path.lexists(source.location)

    def _add_copy(self, task: Task, original: Source) -> None:
        """List a file as a copy of a document that is in the index."""
        was = self._scan.copies.get(task.record.location)
        if task.known:
            self._copies.take_out(task.known)
        self._name(task)
        self._copies.record(task.record, original)
        self._records.forget_failures([task.record.location])
        if was and was.content_hash == original.content_hash:
            self._report.unchanged += 1
        else:
            self._count(updated=bool(was or task.known))
        self._step(task, "ready")

    def _name(self, task: Task, instead_of: str = "") -> None:
        if not task.record.source and task.file:
            task.record = replace(task.record, source=self._names.reserve(task.file, instead_of))

    def _remove_gone(self) -> None:
        copies = self._scan.gone_copies()
        self._records.forget_copies(copies)  # first, since a copy may take a document's place
        documents = list(self._scan.gone_documents())
        for source in documents:
            self._copies.take_out(source)
        self._report.removed += len(copies) + len(documents)
        self._records.forget_failures(self._scan.gone_failures())

    # Reading

    def _read_all(self, tasks: list[Task], fetch: Fetch, between: Callable[[], None]) -> None:
        """Read in threads, embed and store in this one; what costs little comes first."""
        tasks = sorted(tasks, key=_cost)
        self._estimate = Estimate(((t.kind, t.record.size) for t in tasks), time.monotonic())

        def store() -> None:
            self._flush()
            between()

        with Ahead(
            tasks,
            lambda task: self._read(task, fetch),
            threads=READERS,
            most=READ_AHEAD,
            meanwhile=store,
        ) as ahead:
            for task, outcome in ahead:
                self._take(task, outcome)
                if sum(len(parsed.chunks) for _, parsed in self._batch) >= BATCH_CHUNKS:
                    store()
        store()

    def _read(self, task: Task, fetch: Fetch) -> Outcome:
        priority.give_way()
        cancel.current().raise_if_cancelled()
        self._show(task, "reading")
        try:
            if task.file is None:
                return self._indexer.parse(task.record, lambda: fetch(task.record.source))
            return self._done_meanwhile(task) or self._read_file(task)
        except DocumentError as error:
            return Problem(str(error), lasting=not (task.file and error.passing))
        except OSError as error:
            return Problem(f"It cannot be read ({error.strerror}). Check its permissions.", lasting=False)
        except Exception as error:
            log.exception("A document could not be read.")
            reason = f"It could not be read ({type(error).__name__}). The log has the details."
            return Problem(reason, lasting=False)

    def _done_meanwhile(self, task: Task) -> Source | None:
        """The document, if the file was indexed since the scan, as by a run in the middle of this one."""
        known = self._store.find_source(task.record.source)
        if task.again and known == task.known:
            return None
        return known if known is not None and _place(known) == _place(task.record) else None

    def _read_file(self, task: Task) -> Parsed:
        """What is recorded of a file is how it was when it was read, so it must not change meanwhile."""
        assert task.file
        path, before = task.file.path, task.file.path.stat()
        if (before.st_size, before.st_mtime_ns) != (task.record.size, task.record.mtime_ns):
            task.record = replace(
                task.record, content_hash="", size=before.st_size, mtime_ns=before.st_mtime_ns
            )
        parsed = self._indexer.parse(task.record, lambda: self._indexer.load(path, task.record.source))
        content_hash = task.record.content_hash or hash_file(path)
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise DocumentError(WRITTEN_TO, passing=True)
        task.record = replace(parsed.record, content_hash=content_hash)
        return replace(parsed, record=task.record)

    # Storing

    def _take(self, task: Task, outcome: Outcome) -> None:
        if isinstance(outcome, Problem):
            self._estimate.finished([(task.kind, task.record.size)], time.monotonic())
            self._fail(task, outcome)
        elif isinstance(outcome, Source):
            self._settled(task)
            for follower in task.followers:
                self._add_copy(follower, outcome)
        elif task.file:
            self._batch.append((task, outcome))
        else:
            self._take_page(task, outcome)

    def _take_page(self, task: Task, parsed: Parsed) -> None:
        """A web page is told by its text, since its bytes change with every visit."""
        record = replace(parsed.record, content_hash=hash_text(parsed.pages))
        self._records.remember_url(record.source)
        if task.known and _same(record, task.known):
            self._settled(task)
        else:
            self._batch.append((task, replace(parsed, record=record)))

    def _settled(self, task: Task) -> None:
        self._report.unchanged += 1
        self._step(task, "ready")

    def _flush(self) -> None:
        """Embed and store what was read."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        for task, parsed in batch:
            if task.known and task.known.content_hash != parsed.record.content_hash:
                self._copies.give_up(task.known)
        refused = self._indexer.store([parsed for _, parsed in batch])
        self._records.forget_failures([task.record.location for task, _ in batch])
        self._estimate.finished([(task.kind, task.record.size) for task, _ in batch], time.monotonic())
        for task, parsed in batch:
            if error := refused.get(task.record.source):
                self._fail(task, Problem(str(error), lasting=False))
                continue
            self._count(updated=task.known is not None or task.record.location in self._scan.copies)
            self._step(task, "ready")
            for follower in task.followers:
                if follower.record.content_hash == parsed.record.content_hash:
                    self._add_copy(follower, parsed.record)
                else:
                    self._fail_one(follower, Problem(WRITTEN_TO, lasting=False))

    def _fail(self, task: Task, problem: Problem) -> None:
        for each in (task, *task.followers):
            self._fail_one(each, problem)

    def _fail_one(self, task: Task, problem: Problem) -> None:
        """Report a failure. What was indexed stays if the new content is unknown, and goes if it is bad."""
        record = task.record
        self._report.failed.append({"source": record.source, "error": problem.reason})
        if problem.lasting:
            self._records.remember_failure(
                Failure(
                    record.location,
                    record.source,
                    record.origin,
                    problem.reason,
                    record.size,
                    record.mtime_ns,
                    record.recipe,
                )
            )
        else:
            self._unrecorded.add(record.source)
        if task.file and task.known and problem.lasting:
            self._copies.take_out(task.known)
        if not task.file:
            self._records.remember_url(record.source)
        self._step(task, "failed", problem.reason)

    # Telling

    def _count(self, *, updated: bool) -> None:
        self._report.updated += updated
        self._report.added += not updated

    def _step(self, task: Task, state: State, reason: str = "") -> None:
        self._done += 1
        self._show(task, state, reason)
        if state == "ready":
            self._statuses.forget(task.record.source)

    def _show(self, task: Task, state: State, reason: str = "") -> None:
        record = task.record
        self._statuses.set(SourceStatus(record.source, state, reason, origin=record.origin))
        if self._progress:
            with self._telling:
                left = self._estimate.seconds(time.monotonic())
                self._progress(Step(self._done, self._total, record.source, state, left))


def _same(record: Source, known: Source) -> bool:
    return (record.content_hash, record.recipe) == (known.content_hash, known.recipe)


def _place(record: Source) -> tuple[object, ...]:
    """What must be the same for a file not to be read again."""
    return record.location, record.size, record.mtime_ns, record.recipe


def _content(source: Source) -> tuple[str, str]:
    """What two files must share to be the same document: bytes, and a suffix, which says how to read them."""
    return source.content_hash, os.path.splitext(source.location)[1].lower()


def _cost(task: Task) -> tuple[bool, int]:
    """What takes its time to be read comes last, so that the rest is found soon."""
    kind = mimetypes.guess_type(f"x{task.kind}")[0] or ""
    return kind.partition("/")[0] in _SLOW, task.record.size
