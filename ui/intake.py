"""Documents on their way into the library: what waits, what is being read, what failed.

Each person's documents are taken one after another, several people's at the same time, so that nobody waits
for somebody else's. It does not know how a document is read.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from rag import priority
from ui.services import LibraryItem, Progress, UiError

log = logging.getLogger(__name__)

WORKERS = 3
MAX_WAITING = 200  # documents
MAX_WAITING_BYTES = 2 << 30
_KEPT_FAILURES = 50
_ABOUT = "about.json"


class BusyError(UiError):
    """Not now; the same again a little later may do."""


@dataclass(frozen=True)
class Job:
    """One document to take in."""

    owner: str
    source: str  # its name, or its URL
    origin: Literal["upload", "url"]


@dataclass(frozen=True)
class _Waiting:
    job: Job
    folder: Path  # of the job's own; what is in it outlives a restart
    size: int  # bytes


class Intake:
    """Does jobs in the background.

    Args:
        folder: where a job is kept until it is done, each in a folder of its own.
        work: does one job; gets its folder. The message of the error that it raises is for the person.
    """

    def __init__(self, folder: Path, work: Callable[[Job, Path], object]) -> None:
        self._folder, self._work = folder, work
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._busy: set[str] = set()  # owners
        self._items: dict[Path, LibraryItem] = {}
        self._threads: list[threading.Thread] = []
        self._began, self._done = (
            0.0,
            0,
        )  # of the jobs since there was none: time.monotonic(); how many are done

    def new_folder(self) -> Path:
        """For what a job needs; `submit` it with the job, or `discard` it."""
        self._check(0)
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir(parents=True)
        return folder

    def submit(self, job: Job, folder: Path) -> None:
        """Do the job when those of its owner that were submitted before are done."""
        size = sum(path.stat().st_size for path in folder.iterdir())
        self._check(size)
        (folder / _ABOUT).write_text(json.dumps(asdict(job)), encoding="utf-8")
        self._put(_Waiting(job, folder, size))

    def resume(self) -> None:
        """Take up what the last run of the server did not get to; drop what it had not received whole."""
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            try:
                job = Job(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                log.info("An upload that was broken off is dropped.")
                discard(folder)
            else:
                size = sum(path.stat().st_size for path in folder.iterdir())
                self._put(_Waiting(job, folder, size))

    def items(self) -> list[LibraryItem]:
        with self._changed:
            return list(self._items.values())

    def progress(self) -> Progress | None:
        """How far the documents have come that were added while others waited; None: there are none."""
        with self._changed:
            left = [item for item in self._items.values() if item.state != "failed"]
            if not left:
                return None
            each = (time.monotonic() - self._began) / self._done if self._done else None
            what = next((item.source for item in left if item.state == "reading"), "")
            return Progress(self._done, self._done + len(left), what, each and each * len(left))

    def forget(self, source: str) -> bool:
        """Take a failure off the list."""
        with self._changed:
            failed = [k for k, item in self._items.items() if (item.source, item.state) == (source, "failed")]
            for key in failed:
                del self._items[key]
            return bool(failed)

    def _check(self, size: int) -> None:
        with self._changed:
            held = sum(waiting.size for waiting in self._waiting)
            if len(self._waiting) >= MAX_WAITING or held + size > MAX_WAITING_BYTES:
                raise BusyError("Too many documents wait to be read. Add more when those are done.")

    def _put(self, waiting: _Waiting) -> None:
        job = waiting.job
        with self._changed:
            if all(item.state == "failed" for item in self._items.values()):
                self._began, self._done = time.monotonic(), 0
            self._items[waiting.folder] = LibraryItem(job.source, "waiting", origin=job.origin)
            self._waiting.append(waiting)
            if len(self._threads) < WORKERS:
                self._threads.append(threading.Thread(target=self._run, name="intake", daemon=True))
                self._threads[-1].start()
            self._changed.notify()

    def _run(self) -> None:
        priority.lower()
        while True:
            waiting = self._take()
            try:
                self._do(waiting)
            finally:
                with self._changed:
                    self._busy.discard(waiting.job.owner)
                    self._changed.notify()

    def _take(self) -> _Waiting:
        """The oldest one whose owner has none in work."""
        with self._changed:
            while (found := next((w for w in self._waiting if w.job.owner not in self._busy), None)) is None:
                self._changed.wait()
            self._waiting.remove(found)
            self._busy.add(found.job.owner)
            self._items[found.folder] = replace(self._items[found.folder], state="reading")
            return found

    def _do(self, waiting: _Waiting) -> None:
        failure: LibraryItem | None = None
        try:
            self._work(waiting.job, waiting.folder)
        except Exception as error:
            log.info("A document could not be added: %s", type(error).__name__)
            reason = str(error) or type(error).__name__
            failure = LibraryItem(waiting.job.source, "failed", reason=reason, origin=waiting.job.origin)
        discard(waiting.folder)
        with self._changed:
            self._done += 1
            del self._items[waiting.folder]
            if failure is not None:
                self._items[waiting.folder] = failure  # the newest, at the end
            failed = [key for key, item in self._items.items() if item.state == "failed"]
            for key in failed[:-_KEPT_FAILURES]:
                del self._items[key]


def discard(folder: Path) -> None:
    """Nothing is left of a job."""
    shutil.rmtree(folder, ignore_errors=True)
