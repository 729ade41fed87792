"""The documents while the page is served: indexed in the background, and kept in step with their folders.

It knows the engines and what the page's list needs; it does not know how a document is read or indexed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines import Engines
from rag import priority
from rag.cancel import Cancelled, CancelToken, scope
from settings import Settings

if TYPE_CHECKING:
    from rag.corpus import Corpus, Report, Step
    from rag.corpus_watch import Watch
    from ui.services import LibraryItem, Progress

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds that what needs the documents' words waits for the first sync
RESCAN = 600.0  # seconds between two looks at everything, for what the system did not tell of
POLL = 20.0  # the same where it tells of nothing
POLL_SHARE = 50  # a look at everything takes at most one part in so many of the time


class LiveLibrary:
    """The documents as the page lists them; there before the index is open, and in step with it after."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._cancel = CancelToken()
        self._progress: Progress | None = None
        self._adding: list[str] = []  # what is being added on the page
        self._first = threading.Event()  # the first sync is over
        self._watch: Watch | None = None

    # For the page

    def items(self) -> list[LibraryItem]:
        from ui.services import LibraryItem

        library = self._engines.library.ready()
        if library is None:
            return []
        return [
            LibraryItem(
                source=status.source,
                state=status.state,
                title=status.title,
                reason=status.reason,
                pages=status.pages,
                chunks=status.chunks,
                origin=status.origin,
                copy_of=status.copy_of,
                notice=status.notice,
            )
            for status in library[1].status()
        ]

    def progress(self) -> Progress | None:
        return self._progress

    def collections(self) -> list[str]:
        library = self._engines.library.ready()
        return [one.name for one in library[1].collections()] if library else []

    def watching(self) -> str:
        """What a person should know of how changes are noticed; empty if at once."""
        watch = self._watch
        return watch.problem if watch else ""

    def add_file(self, path: Path, name: str) -> object:
        with self._being_added(name):
            return self._corpus().add_file(path, name)

    def add_url(self, url: str) -> object:
        with self._being_added(url):
            return self._corpus().add_url(url)

    def remove(self, source: str) -> object:
        self._corpus().remove(source)
        return None

    @contextmanager
    def _being_added(self, source: str) -> Iterator[None]:
        """Until it is in, answers say that something is missing."""
        self._adding.append(source)
        self._engines.indexing = True
        try:
            yield
        finally:
            self._adding.remove(source)
            self._tell()

    def _tell(self) -> None:
        self._engines.indexing = self._progress is not None or bool(self._adding)

    def _corpus(self) -> Corpus:
        return self._engines.library.get()[1]

    # Keeping in step

    def opening(self) -> None:
        """Until the first `sync`, the list is not empty but not there yet."""
        from ui.services import Progress

        self._progress, self._engines.indexing = Progress(0, 0, ""), True

    def start(self) -> None:
        """From now on keep in step, in a thread; returns when all is indexed, or after `PATIENCE` seconds."""
        threading.Thread(target=self._keep, name="library", daemon=True).start()
        self._first.wait(PATIENCE)

    def stop(self) -> None:
        """What is indexed stays; the rest goes on at the next start."""
        self._cancel.cancel()
        self._first.set()
        if self._watch is not None:
            self._watch.stop()

    def sync(self, between: Callable[[], None] = lambda: None) -> None:
        """Bring the configured folders, and everything remembered, up to date; `progress` follows it."""
        try:
            with scope(self._cancel):
                corpus = self._corpus()
                self._forget_samples(corpus)
                folders = self._engines.settings.corpus
                report = corpus.sync(folders, everything=True, progress=self._told, between=between)
                self._note(report.notices)
        except Cancelled:
            log.info("Indexing was interrupted; it goes on at the next start.")
        finally:
            self._idle()
            self._first.set()

    def _keep(self) -> None:
        from rag.corpus_watch import Watch

        priority.lower()
        if not self._engines.settings.watch:
            self.sync()
            return
        while not self._cancel.cancelled:
            try:
                with Watch(self._folders(), without=self._engines.data.resolve()) as self._watch:
                    self._follow(self._watch)
            except Exception as error:  # the page shows what it is about; the next look may do better
                log.warning("%s", error)
                self._first.set()
                self._cancel.wait(POLL)

    def _folders(self) -> list[Path]:
        """Those that are there to be watched."""
        known = [*map(str, self._engines.settings.corpus), *self._corpus().folders()]
        folders = dict.fromkeys(Path(folder).expanduser().resolve() for folder in known)
        return [folder for folder in folders if folder.is_dir()]

    def _follow(self, watch: Watch) -> None:
        """Look at everything, then at what changes, until it is time to look at everything again."""
        folders = self._folders()
        began = time.monotonic()
        self.sync(between=lambda: self._catch_up(watch, 0.0))
        took = time.monotonic() - began
        while not self._cancel.cancelled and self._folders() == folders:
            often = max(POLL, POLL_SHARE * took) if watch.problem else RESCAN
            if time.monotonic() - began > often:
                return
            self._catch_up(watch, 1.0)

    def _catch_up(self, watch: Watch, seconds: float) -> None:
        """Index what has changed; wait for something, at most so long."""
        if not (paths := watch.take(seconds)):
            return
        within = self._progress  # of a sync of everything that this one interrupts
        try:
            with scope(self._cancel):
                report = self._corpus().sync_places(paths, progress=None if within else self._told)
            log.info("%s", _summary(report))
        except Cancelled:
            return
        finally:
            if within is None:
                self._idle()

    def _told(self, step: Step) -> None:
        from ui.services import Progress

        self._progress = Progress(step.done, step.total, step.source, step.seconds_left)
        self._engines.indexing = True
        self._engines.indexed = f"{step.done:,} of {step.total:,} files are read"

    def _idle(self) -> None:
        self._progress, self._engines.indexed = None, ""
        self._tell()

    def _note(self, notices: list[str]) -> None:
        for notice in notices:
            if notice not in self._engines.corpus_notices:
                log.warning("%s", notice)
        self._engines.corpus_notices = notices

    def _forget_samples(self, corpus: Corpus) -> None:
        """The sample documents of a first visit make room for folders of one's own."""
        settings = self._engines.settings
        if "corpus" not in settings.model_fields_set:
            return
        own = {str(folder.resolve()) for folder in settings.corpus}
        samples = {str(folder.resolve()) for folder in Settings.model_fields["corpus"].default}
        for folder in samples & set(corpus.folders()) - own:
            log.info("%s leaves the index, since PARLEY_CORPUS names other folders.", folder)
            corpus.forget_folder(folder)


def _summary(report: Report) -> str:
    names = ("added", "updated", "moved", "removed")
    counts = [f"{getattr(report, name)} {name}" for name in names if getattr(report, name)]
    counts += [f"{len(report.failed)} not read"] if report.failed else []
    return f"The folders changed: {', '.join(counts) or 'nothing that matters'}."
