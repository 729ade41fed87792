"""The other side of `rag.extract`: a few helper processes that read documents, each job within its limits.

A parser that crashes or hangs costs one document, never the program. Any number of threads may ask at once.
It does not know what is read, nor how a failure is put to a person.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rag.cancel import current

_log = logging.getLogger(__name__)

Job = dict[str, Any]
Reply = dict[str, Any]

_MOST = 8  # processes
_TRIES = {"crashed": 2, "killed": 4}  # processes that a job gets, by how the last one ended
_JOBS = 200  # after so many a process gives back the memory that its libraries have kept


class Reader:
    """Helper processes, started when there is work for them, and ended when there has been none for a while.

    Args:
        step: seconds of computing without a sign of life after which a process is ended.
        silence: the same in seconds of time, of which a busy machine needs many more.
        seconds: how long one job may take at all.
        processes: how many run at most; the machine's cores, at least two.
        idle: seconds without a job after which a process is ended.
    """

    def __init__(
        self,
        step: float = 30.0,
        silence: float = 300.0,
        seconds: float = 1800.0,
        processes: int | None = None,
        idle: float = 60.0,
    ) -> None:
        self.step = step
        self.silence = silence
        self.seconds = seconds
        self._idle = idle
        self._slots = threading.BoundedSemaphore(processes or min(max(os.cpu_count() or 1, 2), _MOST))
        self._lock = threading.Lock()
        self._waiting: list[_Process] = []  # for the next job; the last used is the last
        self._cleaner: threading.Timer | None = None

    def read(
        self,
        path: Path,
        *,
        name: str,
        charset: str | None = None,
        url: str | None = None,
        ocr: str = "none",
    ) -> Reply:
        """See `rag.extract.read_document`; besides its errors "timeout", "crashed" and "killed"."""
        options = {"name": name, "charset": charset, "url": url, "ocr": ocr}
        return self._run({"kind": "document", "path": str(path.absolute()), **options})

    def page_image(self, path: Path, page: int, width: int) -> Reply:
        """See `rag.page_image.read_image`; besides its errors "timeout", "crashed" and "killed"."""
        return self._run({"kind": "page_image", "path": str(path.absolute()), "page": page, "width": width})

    def page_words(self, path: Path, page: int, text: str, start: int, end: int) -> Reply:
        """See `rag.page_image.read_words`; besides its errors "timeout", "crashed" and "killed"."""
        place = {"page": page, "text": text, "start": start, "end": end}
        return self._run({"kind": "page_words", "path": str(path.absolute()), **place})

    def scan_words(self, path: Path, page: int, text: str, ocr: str) -> Reply:
        """See `rag.scan_words.read_scan`; besides its errors "timeout", "crashed" and "killed"."""
        scan = {"page": page, "text": text, "ocr": ocr}
        return self._run({"kind": "scan_words", "path": str(path.absolute()), **scan})

    def close(self) -> None:
        """End the processes that wait; the next job starts another."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if self._cleaner:
                self._cleaner.cancel()
                self._cleaner = None
        for process in waiting:
            process.end()

    def _run(self, job: Job) -> Reply:
        """The reply to a job. A process that dies is no proof against the document: it gets another one."""
        tries = 0
        with self._slots:
            while True:
                reply, tries = self._try(job), tries + 1
                if tries >= _TRIES.get(reply.get("error", ""), 1):
                    return reply

    def _try(self, job: Job) -> Reply:
        """The reply, "timeout", or how the process died."""
        process = self._take()
        try:
            with current().on_cancel(process.kill):
                line = process.ask({**job, "step": self.step}, self.silence, self.seconds)
        except BaseException:  # such as Ctrl-C: the reply that is still to come must not answer the next job
            process.end()
            raise
        if line:
            self._give_back(process)
            reply: Reply = json.loads(line)
            return reply
        process.end()
        current().raise_if_cancelled()
        if process.late:
            _log.warning("A reader process took too long and was ended.")
            return {"error": "timeout"}
        _log.warning("A reader process died.")
        return {"error": "killed" if process.killed else "crashed"}

    def _take(self) -> _Process:
        with self._lock:
            while self._waiting:
                process = self._waiting.pop()
                if process.lives:
                    return process
                process.end()
        return _Process()

    def _give_back(self, process: _Process) -> None:
        process.since = time.monotonic()
        process.jobs += 1
        if process.jobs >= _JOBS:
            process.end()
            return
        with self._lock:
            self._waiting.append(process)
            if self._cleaner is None:
                self._clean_later()

    def _clean_later(self) -> None:
        self._cleaner = threading.Timer(self._idle, self._clean)
        self._cleaner.daemon = True
        self._cleaner.start()

    def _clean(self) -> None:
        """End what nobody has needed for a while."""
        with self._lock:
            old = time.monotonic() - self._idle
            unused = [process for process in self._waiting if process.since <= old]
            self._waiting = [process for process in self._waiting if process.since > old]
            self._cleaner = None
            if self._waiting:
                self._clean_later()
        for process in unused:
            process.end()


class _Process:
    """One helper process; for one job at a time."""

    def __init__(self) -> None:
        self.since = 0.0
        self.jobs = 0
        self.late = False
        script = Path(__file__).with_name("extract.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],  # -P: this folder's modules must not shadow a library's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for us; and what it has started ends with it
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="reader", daemon=True)
        self._listener.start()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether it was ended from outside, as by a system that is short of memory."""
        return self._process.poll() == -getattr(signal, "SIGKILL", 0) != 0

    def ask(self, job: Job, silence: float, seconds: float) -> str:
        """The line of the reply; "" if the process died, or is `late`."""
        deadline = time.monotonic() + seconds
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({**job, "seconds": seconds + silence}) + "\n")
            self._process.stdin.flush()
        except OSError:
            return ""
        while True:
            try:
                line = self._lines.get(timeout=max(min(silence, deadline - time.monotonic()), 0))
            except queue.Empty:
                self.late = True
                return ""
            if line != "\n":
                break
        if not line.endswith("\n"):  # it ended
            self.late = self._process.wait() == -getattr(signal, "SIGXCPU", 0)
            return ""
        return line

    def kill(self) -> None:
        """From any thread: it dies, with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            if not self.lives:
                return
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def end(self) -> None:
        self.kill()
        self._process.wait()
        self._listener.join()
        assert self._process.stdin
        with contextlib.suppress(OSError):  # what was not sent yet
            self._process.stdin.close()

    def _listen(self) -> None:
        """Lines of the process, until it ends: then one that is empty."""
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")


reader = Reader()
atexit.register(reader.close)
