"""What changes in some folders, told when it is whole: a file that is still being written waits.

It knows files and the system's notices of changes; it does not know documents or the index.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

log = logging.getLogger(__name__)

QUIET = 0.4  # seconds without a change after which a file counts as written
LONGEST = 60.0  # seconds that a file which changes all the time, such as a log, waits
_STEP, _TOGETHER = 100, 400  # milliseconds: between two looks at the notices, and that they are collected
_PAUSE = 1.0  # seconds until watching begins anew


@dataclass
class _Change:
    first: float
    last: float
    look: tuple[int, int] | None  # size and time; None: it is not there


class Pending:
    """Changed paths until they are quiet. `now` is a clock that only goes forward."""

    def __init__(self) -> None:
        self._changes: dict[Path, _Change] = {}

    def __bool__(self) -> bool:
        return bool(self._changes)

    def note(self, path: Path, now: float) -> None:
        """Something happened to it."""
        first = self._changes[path].first if path in self._changes else now
        self._changes[path] = _Change(first, now, _look(path))

    def take(self, now: float) -> list[Path]:
        """Those that are whole, which are not told again."""
        quiet = [path for path, change in self._changes.items() if self._is_quiet(path, change, now)]
        for path in quiet:
            del self._changes[path]
        return quiet

    @staticmethod
    def _is_quiet(path: Path, change: _Change, now: float) -> bool:
        if now - change.first >= LONGEST:
            return True
        if now - change.last < QUIET:
            return False
        look = _look(path)
        if look != change.look:  # the system has told us less than everything
            change.last, change.look = now, look
            return False
        return True


class Watch:
    """Folders that are watched while the block runs.

    `problem` says why the system does not tell of changes, with the remedy; empty while it does.
    """

    def __init__(self, folders: Sequence[Path], *, without: Path) -> None:
        """without: a folder of no interest, whatever happens there."""
        self.problem = ""
        self._folders = list(folders)
        self._without = without
        self._pending = Pending()
        self._changed = threading.Condition()
        self._opened = threading.Event()
        self._stopped = threading.Event()

    def __enter__(self) -> Watch:
        if self._folders:
            threading.Thread(target=self._run, name="watch", daemon=True).start()
            self._opened.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """`take` returns, and nothing more is noticed; from any thread."""
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()

    def take(self, seconds: float) -> list[Path]:
        """What has changed and is whole; waits for it, at most so long. It may be gone, or be a folder."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._stopped.is_set():
                now = time.monotonic()
                if found := self._pending.take(now):
                    return found
                if now >= deadline:
                    break
                left = deadline - now
                self._changed.wait(min(left, QUIET / 4) if self._pending else left)
        return []

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._watch()
        except (OSError, RuntimeError) as error:  # RuntimeError: watchfiles' own, for what it did not expect
            self.problem = _explain(error)
            log.warning("%s", self.problem)
        finally:
            self._opened.set()

    def _watch(self) -> None:
        """Note what is told. Raises what hinders from the beginning; what breaks off later begins anew."""
        from watchfiles import watch

        changes = watch(
            *self._folders,
            watch_filter=lambda _, path: self._matters(Path(path)),
            debounce=_TOGETHER,
            step=_STEP,
            rust_timeout=_STEP,
            yield_on_timeout=True,
            stop_event=self._stopped,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        first = next(changes, set())  # it opens here
        self._opened.set()
        try:
            for found in chain([first], changes):
                self._note([Path(path) for _, path in found])
        except RuntimeError as error:  # such as a name that is not UTF-8
            log.info("Watching begins anew: %s", error)
            self._note(self._folders)  # what was missed may be anywhere
            self._stopped.wait(_PAUSE)

    def _note(self, paths: list[Path]) -> None:
        with self._changed:
            for path in paths:
                self._pending.note(path, time.monotonic())
            if paths:
                self._changed.notify_all()

    def _matters(self, path: Path) -> bool:
        if path.is_relative_to(self._without):
            return False
        inside = next((path.relative_to(f).parts for f in self._folders if path.is_relative_to(f)), ())
        return not any(part.startswith(".") for part in inside)


def _look(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _explain(error: Exception) -> str:
    full = "limit reached" in str(error) or "Too many open files" in str(error)
    why = "the system's limit of watched files is reached" if full else str(error)
    remedy = (
        " Raise it: sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
        if full and sys.platform == "linux"
        else ""
    )
    return f"Changes in the folders are noticed only now and then: {why}.{remedy}"
