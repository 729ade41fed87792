"""The other side of `rag.extract`: one helper process that parses PDFs and HTML, with a time limit on each.

A parser that crashes or hangs costs one document, never the program. One job at a time (PDFium is not
thread-safe anyhow). It does not know what is read, nor how a failure is put to a person.
"""

from __future__ import annotations

import atexit
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


class Reader:
    """A helper process, started at the first job and again after one that it did not survive."""

    def __init__(self, seconds: float = 15.0) -> None:
        """seconds: how long one job may take before the process is ended."""
        self.seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def read_pdf(self, path: Path) -> dict[str, Any]:
        """See `rag.extract.read_pdf`; besides its errors "timeout" and "crashed"."""
        return self._run({"kind": "pdf", "path": str(path.absolute())})

    def read_html(self, html: str, url: str | None) -> dict[str, Any]:
        """See `rag.extract.read_html`; besides its errors "timeout" and "crashed"."""
        with tempfile.TemporaryDirectory(prefix="parley-") as folder:
            path = Path(folder, "page.html")
            path.write_text(html, "utf-8", newline="\n")
            return self._run({"kind": "html", "path": str(path), "url": url})

    def close(self) -> None:
        """End the process; the next job starts another."""
        with self._lock:
            self._end()

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            process = self._started()
            begin = time.monotonic()
            timer = threading.Timer(self.seconds, process.kill)
            timer.start()
            try:
                line = self._exchange(process, json.dumps(job) + "\n")
            except (
                BaseException
            ):  # such as Ctrl-C: the reply that is still to come must not answer the next job
                self._end()
                raise
            finally:
                timer.cancel()
            if line.endswith("\n"):
                reply: dict[str, Any] = json.loads(line)
                return reply
            self._end()
        error = "timeout" if time.monotonic() - begin >= self.seconds else "crashed"
        _log.warning("The reader process ended (%s); the next document starts another.", error)
        return {"error": error}

    @staticmethod
    def _exchange(process: subprocess.Popen[str], line: str) -> str:
        """One line out, one line back; "" if the process ended."""
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return ""

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            script = Path(__file__).with_name("extract.py")
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(script)],  # -P: this folder's modules must not shadow a library's
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe:
                    pipe.close()
            except BrokenPipeError:
                pass


reader = Reader()
atexit.register(reader.close)
