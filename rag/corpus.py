"""Keeps the store equal to folders, uploads and URLs, at the price of what changed.

A document's name (`source`) is its path relative to its corpus folder. Where another document has that name
already, the folder's own name is put before it (`handbook/intro.txt`), and more of the path if need be; a
document keeps its name as long as it is in the index.

It does not know how a document is read, how it is embedded, or how the store keeps it.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_core.documents import Document

from rag import cancel
from rag.corpus_names import Names
from rag.corpus_records import Records
from rag.corpus_sync import UPLOAD, URL, CorpusError, Progress, Report, SourceStatus, Statuses, Sync
from rag.documents import DocumentError, load_url
from rag.folders import File, free_path, hash_file, safe_name
from rag.indexer import Indexer, Splitter, TextEmbedder, hash_text
from rag.recordings import Hear
from rag.store import ChunkStore, Source

__all__ = ["Corpus", "CorpusError", "Progress", "Report", "SourceStatus"]

log = logging.getLogger(__name__)

UPLOADS = "uploads"  # the folder in the data folder that uploads are copied to
LOCK_FILE = "sync.lock"
UPLOAD_LOCK_FILE = "uploads.lock"


class Corpus:
    """The documents of one data folder; every method may be called from any thread.

    `data` is the data folder, whose `parley.db` also remembers the folders and URLs. `offline` forbids to
    fetch URLs, `allow_private` lets them lead to private addresses. The rest is as in
    `rag.chunks.split_documents` and `rag.documents.load_file`.
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
    ) -> None:
        self._store = store
        self._data = data.resolve()
        self._uploads = self._data / UPLOADS
        self._indexer = Indexer(
            store, embedder, size=size, overlap=overlap, splitter=splitter, ocr=ocr, hear=hear
        )
        self._ocr = ocr
        self._records = Records(data)
        self._statuses = Statuses()
        self._names = Names(store)
        self._offline = offline
        self._allow_private = allow_private

    def sync(
        self,
        folders: Sequence[Path] | None = None,
        urls: Sequence[str] = (),
        *,
        everything: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Bring these folders and URLs up to date and leave the rest as it is; remember them.

        With `everything`, or with neither folders nor URLs, all that is remembered is brought up to date in
        the same pass: folders, uploads, and the URLs that are not in the index yet (one that is, is fetched
        again when it is named). A document that fails is in the report with its reason. A given folder that
        is missing is a `CorpusError`; with `everything` it is a notice, as is a remembered one, whose
        documents stay. Raises `rag.cancel.Cancelled` between two documents; what is done by then stays. Only
        one sync at a time runs on a data folder, another waits.
        """
        began = time.monotonic()
        everything = everything or not (folders or urls)
        given, missing = self._given_folders(folders or (), required=not everything)
        with self._alone():
            sync = Sync(self._store, self._indexer, self._records, self._statuses, self._names, self._data)
            sync.report.notices += missing
            for folder in given:
                sync.scan(folder, str(folder), required=not everything)
            wanted = list(urls)
            if everything:
                self._scan_remembered(sync, without=set(map(str, given)))
                wanted += [url for url in self._records.urls() if not self._store.find_source(url)]
            sync.run(list(dict.fromkeys(wanted)), self._fetch, progress)
        sync.report.chunks = self._store.count()
        sync.report.seconds = round(time.monotonic() - began, 3)
        return sync.report

    def _scan_remembered(self, sync: Sync, without: Collection[str]) -> None:
        for folder in self._records.folders():
            if folder not in without:
                sync.scan(Path(folder), folder, required=False)
        if self._uploads.is_dir():
            sync.scan(self._uploads, UPLOAD, required=True)

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
        """Hold the data folder's sync lock, which a cancel need not wait for."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._data / LOCK_FILE)
        while True:
            try:
                lock.acquire(timeout=0.2)
                break
            except Timeout:
                cancel.current().raise_if_cancelled()
        try:
            yield
        finally:
            lock.release()

    def add_file(self, path: Path, name: str) -> str:
        """Copy an upload into the data folder and index it at once; returns its `source`.

        `name` is what the person's file was called; it is made safe and unique. The same file a second time
        is not indexed again. Raises `DocumentError`, and keeps no copy, if the file cannot be read.
        """
        content_hash = hash_file(path)
        for source in self._store.sources():
            if source.origin == UPLOAD and source.content_hash == content_hash:
                return source.source
        file, source_name = self._keep_copy(path, safe_name(name))
        self._statuses.set(SourceStatus(source_name, "reading", origin=UPLOAD))
        record = Source(
            source_name,
            content_hash,
            location=file.location,
            origin=UPLOAD,
            size=file.size,
            mtime_ns=file.mtime_ns,
        )
        try:
            parsed = self._indexer.parse(record, lambda: self._indexer.load(file.path, source_name))
            if refused := self._indexer.store([parsed]):
                raise DocumentError(str(refused[source_name]), passing=True)
        except BaseException as error:
            file.path.unlink(missing_ok=True)
            self._statuses.set(SourceStatus(source_name, "failed", str(error), origin=UPLOAD))
            raise
        finally:
            self._names.release([source_name])
        self._statuses.forget(source_name)
        return source_name

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
        record = self._store.find_source(source)
        failure = next((f for f in self._records.failures() if f.source == source), None)
        if failure is None and status is not None and status.state == "failed":
            return
        known = record or failure
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
        self._store.delete(source)

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
            self._records.forget_folder(name)
            self._statuses.forget_all({name})
            mine = [source.source for source in self._store.sources() if source.origin == name]
            return sum(self._store.delete(source) for source in mine)

    def status(self) -> list[SourceStatus]:
        """Every document: those in the index, those that failed, and what is being done to which."""
        shown = {
            failure.source: SourceStatus(failure.source, "failed", failure.error, origin=failure.origin)
            for failure in self._records.failures()
        }
        shown |= {
            s.source: SourceStatus(
                s.source, "ready", title=s.title, origin=s.origin, pages=s.pages, chunks=s.chunks
            )
            for s in self._store.sources()
        }
        return list((shown | self._statuses.all()).values())
