"""Keeps the store equal to folders, uploads and URLs, at the price of what changed.

A document's name (`source`) is its path relative to its corpus folder. Where another document has that name
already, the folder's own name is put before it (`handbook/intro.txt`), and more of the path if need be; a
document keeps its name as long as it is in the index. A file with the content of another one is listed as its
copy; the content is embedded and found once.

It does not know how a document is read, how it is embedded, or how the store keeps it.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Collection as AnyOf
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from langchain_core.documents import Document

from rag import cancel
from rag.corpus_copies import Copies
from rag.corpus_names import Names
from rag.corpus_records import Copy, Records
from rag.corpus_scan import Scan
from rag.corpus_status import (
    UPLOAD,
    URL,
    Collection,
    CorpusError,
    Progress,
    Report,
    SourceStatus,
    Statuses,
    Step,
    collections,
    why_empty,
)
from rag.corpus_sync import Sync
from rag.documents import DocumentError, load_url
from rag.folders import File, free_path, hash_file, safe_name
from rag.indexer import Indexer, Splitter, TextEmbedder, hash_text
from rag.recordings import Hear
from rag.store import ChunkStore, Source

__all__ = ["Collection", "Corpus", "CorpusError", "Progress", "Report", "SourceStatus", "Step"]

log = logging.getLogger(__name__)

UPLOADS = "uploads"  # the folder in the data folder that uploads are copied to
LOCK_FILE = "sync.lock"
UPLOAD_LOCK_FILE = "uploads.lock"


class Corpus:
    """The documents of one data folder; every method may be called from any thread.

    `data` is the data folder, whose `parley.db` also remembers the folders and URLs. `offline` forbids to
    fetch URLs, `allow_private` lets them lead to private addresses. The rest is as in
    `rag.chunks.split_documents` and `rag.documents.load_file`; while `hears_well`, recordings that were heard
    weakly are heard again.
    """

    def __init__(
        self,
        store: ChunkStore,
        embedder: TextEmbedder,
        data: Path,
        *,
        size: int = 1000,
        overlap: int = 150,
        splitter: Splitter = "recursive",
        offline: bool = False,
        allow_private: bool = False,
        ocr: str = "auto",
        hear: Hear | None = None,
        hears_well: Callable[[], bool] = lambda: False,
    ) -> None:
        from filelock import FileLock

        self._store = store
        self._data = data.resolve()
        self._uploads = self._data / UPLOADS
        self._indexer = Indexer(
            store, embedder, size=size, overlap=overlap, splitter=splitter, ocr=ocr, hear=hear
        )
        self._ocr = ocr
        self._hears_well = hears_well
        self._lock = FileLock(self._data / LOCK_FILE)
        self._records = Records(data)
        self._statuses = Statuses()
        self._names = Names(store, self._records)
        self._copies = Copies(store, self._records)
        self._offline = offline
        self._allow_private = allow_private

    def close(self) -> None:
        """Nothing is done with this corpus any more."""
        self._records.close()

    def sync(
        self,
        folders: Sequence[Path] | None = None,
        urls: Sequence[str] = (),
        *,
        everything: bool = False,
        progress: Progress | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> Report:
        """Bring these folders and URLs up to date and leave the rest as it is; remember them.

        With `everything`, or with neither folders nor URLs, all that is remembered is brought up to date in
        the same pass: folders, uploads, and the URLs that are not in the index yet (one that is, is fetched
        again when it is named). A document that fails is in the report with its reason. A given folder that
        is missing is a `CorpusError`; with `everything` it is a notice, as is a remembered one, whose
        documents stay. Raises `rag.cancel.Cancelled` between two documents; what is done by then stays. Only
        one sync at a time runs on a data folder, another waits; but `between`, which is called whenever no
        document is half done, may itself `sync_places`, so that what changes meanwhile need not wait.
        """
        everything = everything or not (folders or urls)
        given, missing = self._given_folders(folders or (), required=not everything)
        with self._run() as (scan, sync, report):
            report.notices += missing
            for folder in given:
                scan.folder(folder, str(folder), required=not everything)
            wanted = list(urls)
            if everything:
                self._scan_remembered(scan, without=set(map(str, given)))
                wanted += [url for url in self._records.urls() if not self._store.find_source(url)]
            sync.run(list(dict.fromkeys(wanted)), self._fetch, progress, between)
        return report

    def sync_places(self, paths: Iterable[Path], *, progress: Progress | None = None) -> Report:
        """Bring only these files and folders up to date, wherever they are in the remembered folders.

        They may be gone. What is in none of the folders is left out. Otherwise as `sync`.
        """
        with self._run() as (scan, sync, report):
            places: dict[str, list[Path]] = {}
            for path in paths:
                folder = next((f for f in self._records.folders() if path.is_relative_to(f)), None)
                if folder is not None:
                    places.setdefault(folder, []).append(path)
            for folder, some in places.items():
                scan.places(Path(folder), folder, some)
            sync.run((), self._fetch, progress)
        return report

    @contextmanager
    def _run(self) -> Iterator[tuple[Scan, Sync, Report]]:
        """What a sync needs, alone on the data folder; the report is complete afterwards."""
        began = time.monotonic()
        report = Report()
        with self._alone():
            recipe = self._indexer.recipe
            scan = Scan(
                self._store,
                self._records,
                report,
                recipe=recipe,
                data=self._data,
                ocr=self._ocr,
                hears_well=self._hears_well,
            )
            parts = (self._store, self._indexer, self._records, self._statuses, self._names)
            yield scan, Sync(*parts, scan, report), report
        report.chunks = self._store.count()
        report.seconds = round(time.monotonic() - began, 3)

    def _scan_remembered(self, scan: Scan, without: AnyOf[str]) -> None:
        for folder in self._records.folders():
            if folder not in without:
                scan.folder(Path(folder), folder, required=False)
        if self._uploads.is_dir():
            scan.folder(self._uploads, UPLOAD, required=True)

    def _fetch(self, url: str) -> list[Document]:
        if self._offline:
            raise DocumentError("PARLEY_OFFLINE forbids to fetch it. Unset that to add web pages.")
        return load_url(url, allow_private=self._allow_private, ocr=self._ocr)

    def _given_folders(self, folders: Sequence[Path], *, required: bool) -> tuple[list[Path], list[str]]:
        """Those that are there, and what to say of the others, unless they are `required`."""
        there, notices, remembered = [], [], self._records.folders()
        for folder in folders:
            path = folder.expanduser().resolve()
            if path.is_dir():
                there.append(path)
                continue
            kind = "is a file, not a folder: name the folder it is in" if path.exists() else "does not exist"
            notice = f"The corpus folder {folder} {kind}. Check --corpus or PARLEY_CORPUS."
            if required:
                raise CorpusError(notice)
            if str(path) not in remembered:  # of those, the scan says what becomes of their documents
                notices.append(notice)
        return there, notices

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the data folder's sync lock, which a cancel need not wait for; a thread may hold it twice."""
        from filelock import Timeout

        while True:
            try:
                self._lock.acquire(timeout=0.2)
                break
            except Timeout:
                cancel.current().raise_if_cancelled()
        try:
            yield
        finally:
            self._lock.release()

    def add_file(self, path: Path, name: str) -> str:
        """Copy an upload into the data folder and index it at once; returns its `source`.

        `name` is what the person's file was called; it is made safe and unique. The same file a second time
        is not indexed again. Raises `DocumentError`, and keeps no copy, if the file cannot be read.
        """
        content_hash = hash_file(path)
        if known := self._uploaded(content_hash):
            return known
        file, source_name = self._keep_copy(path, safe_name(name))
        record = Source(
            source_name,
            content_hash,
            location=file.location,
            origin=UPLOAD,
            size=file.size,
            mtime_ns=file.mtime_ns,
            recipe=self._indexer.recipe,
        )
        self._statuses.set(SourceStatus(source_name, "reading", origin=UPLOAD))
        try:
            self._index_upload(record, file)
        except BaseException as error:
            file.path.unlink(missing_ok=True)
            self._statuses.set(SourceStatus(source_name, "failed", str(error), origin=UPLOAD))
            raise
        finally:
            self._names.release([source_name])
        self._statuses.forget(source_name)
        return source_name

    def _uploaded(self, content_hash: str) -> str | None:
        """The name under which this content was uploaded before."""
        everything: Iterator[Source | Copy] = chain(self._store.sources(), self._records.copies())
        wanted = (UPLOAD, content_hash)
        return next((k.source for k in everything if (k.origin, k.content_hash) == wanted), None)

    def _index_upload(self, record: Source, file: File) -> None:
        """As a copy where a corpus folder has the same file."""
        for known in self._store.sources():
            alike = (known.content_hash, known.recipe) == (record.content_hash, record.recipe)
            if alike and Path(known.location).suffix.lower() == file.path.suffix.lower():
                return self._copies.record(record, known)
        parsed = self._indexer.parse(record, lambda: self._indexer.load(file.path, record.source))
        if refused := self._indexer.store([parsed]):
            raise DocumentError(str(refused[record.source]), passing=True)
        return None

    def _keep_copy(self, path: Path, name: str) -> tuple[File, str]:
        """The copy, and its `source`, reserved; a crash leaves no half copy under a visible name."""
        from filelock import FileLock

        self._uploads.mkdir(parents=True, exist_ok=True)
        with FileLock(self._data / UPLOAD_LOCK_FILE):
            target = free_path(self._uploads, name)
            beside = target.with_name(f".{threading.get_ident()}.part")
            try:
                shutil.copyfile(path, beside)
                os.replace(beside, target)
            finally:
                beside.unlink(missing_ok=True)
            status = target.stat()
            file = File(target, self._uploads, status.st_size, status.st_mtime_ns)
            return file, self._names.reserve(file)

    def add_url(self, url: str) -> str:
        """Fetch, index and remember a web page; returns its `source`, the URL. Raises `DocumentError`."""
        self._statuses.set(SourceStatus(url, "reading", origin=URL))
        try:
            parsed = self._indexer.parse(Source(url, "", location=url, origin=URL), lambda: self._fetch(url))
            record = replace(parsed.record, content_hash=hash_text(parsed.pages))
            self._indexer.store([replace(parsed, record=record)])
        except BaseException as error:
            self._statuses.set(SourceStatus(url, "failed", str(error), origin=URL))
            raise
        self._records.remember_url(url)
        self._records.forget_failures([url])
        self._statuses.forget(url)
        return url

    def remove(self, source: str) -> None:
        """Take an upload or a web page out of the index for good.

        One that just could not be added is taken off the list; what was in the index before under its name
        stays. A file in a corpus folder is not ours to delete: `CorpusError`; an unknown source is one too.
        """
        status = self._statuses.all().get(source)
        self._statuses.forget(source)
        document, copy = self._store.find_source(source), self._records.copy_named(source)
        failure = next((f for f in self._records.failures() if f.source == source), None)
        if failure is None and status is not None and status.state == "failed":
            return
        known = document or copy or failure
        if known is None:
            raise CorpusError(f"There is no document {source} in the index. Reload the list.")
        if known.origin not in (UPLOAD, URL):
            raise CorpusError(
                f"{source} is in the folder {known.origin}. Take it out of there; "
                "it leaves the index when that is brought up to date. To forget the whole folder: "
                f'app.py index --forget "{known.origin}"'
            )
        if known.origin == URL:
            self._records.forget_url(known.location)
        else:
            Path(known.location).unlink(missing_ok=True)
        self._records.forget_failures([known.location])
        self._records.forget_copies([known.location])
        if document is not None:
            self._copies.take_out(document)

    def folders(self) -> list[str]:
        """The corpus folders that are remembered."""
        return list(self._records.folders())

    def forget_folder(self, folder: str | Path) -> int:
        """Remember a folder no longer; its documents leave the index. Returns how many they were.

        Waits for a sync that is running. A folder that is not remembered is a `CorpusError`.
        """
        name = str(Path(folder).expanduser().resolve())
        with self._alone():
            remembered = self.folders()
            if name not in remembered:
                which = f"These are: {', '.join(remembered)}." if remembered else "There are none."
                raise CorpusError(f"The folder {folder} is not one of the corpus folders. {which}")
            copies = sum(copy.origin == name for copy in self._records.copies())
            self._records.forget_folder(name)
            self._statuses.forget_all({name})
            mine = [source for source in self._store.sources() if source.origin == name]
            for source in mine:
                self._copies.take_out(source)
            return len(mine) + copies

    def status(self) -> list[SourceStatus]:
        """Every document: those in the index, those that failed, and what is being done to which."""
        documents = self._store.sources()
        shown = {
            failure.source: SourceStatus(failure.source, "failed", failure.error, origin=failure.origin)
            for failure in self._records.failures()
        }
        shown |= {
            s.source: SourceStatus(
                s.source,
                "ready",
                title=s.title,
                origin=s.origin,
                pages=s.pages,
                chunks=s.chunks,
                notice=s.notice,
            )
            for s in documents
        }
        at = {document.location: document.source for document in documents}
        shown |= {
            copy.source: SourceStatus(copy.source, "ready", origin=copy.origin, copy_of=at[copy.original])
            for copy in self._records.copies()
            if copy.original in at
        }
        return list((shown | self._statuses.all()).values())

    # Collections

    def collections(self) -> list[Collection]:
        """What a question can be limited to, in the order in which the folders came."""
        return collections(self._records.folders(), self._store.origins() | self._copied().keys())

    def documents_in(self, name: str) -> frozenset[int]:
        """The store's numbers of a collection's documents; of a copy in it, those of its original.

        An unknown name is a `CorpusError`.
        """
        known = self.collections()
        found = next((one for one in known if one.name.casefold() == name.casefold()), None)
        if found is None:
            names = (
                f"There are: {', '.join(one.name for one in known)}." if known else "Nothing is indexed yet."
            )
            raise CorpusError(f"There is no collection {name}{why_empty(name)}. {names}")
        originals = self._copied().get(found.origin, ())
        return self._store.documents(origin=found.origin) | self._store.documents(locations=originals)

    def _copied(self) -> dict[str, list[str]]:
        """Origin → locations of the documents that its copies are of."""
        originals: dict[str, list[str]] = {}
        for copy in self._records.copies():
            originals.setdefault(copy.origin, []).append(copy.original)
        return originals
