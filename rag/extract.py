"""Runs in a process of its own: reads documents for `rag.reader`, one line of JSON in, one line of JSON out.

Parsers in C meet hostile files here: one that crashes, hangs or wants all memory takes only this process
along. While it works it says so with empty lines, so that a long document is told from one that hangs. It
knows nothing of documents' names, of offsets, or of what else runs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

_MAX_MEMORY = 3 * 2**30  # bytes
_NICE = 10  # what a person waits for goes first
_BEAT = 0.2  # seconds between two signs of life

Job = dict[str, Any]
Reply = dict[str, Any]


def read_document(job: Job) -> Reply:
    """A `rag.formats.base.Parsed` as JSON, or {"error": code, "detail"}."""
    from rag.encoding import clean
    from rag.formats import read
    from rag.formats.base import Options, Unreadable, check_size

    given = {key: job[key] for key in ("name", "charset", "url", "ocr")}
    try:
        parsed = read(Path(job["path"]), Options(**given, alive=_sign_of_life(job["step"])))
        check_size(parsed.pages)
    except Unreadable as error:
        return {"error": error.code, "detail": error.detail}
    for page in parsed.pages:
        page.text, page.place = clean(page.text), clean(page.place)
        page.headings = [(start, clean(text)) for start, text in page.headings]
    return asdict(parsed)


def _sign_of_life(step: float) -> Callable[[], None]:
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        if time.monotonic() - last > _BEAT:
            last = time.monotonic()
            _allow(step)
            _say("")

    return alive


def _allow(seconds: float) -> None:
    """Compute for so long from now on, then end (SIGXCPU). On a busy machine that takes many times longer."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    until = math.ceil(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _page_image(job: Job) -> Reply:
    from rag.page_image import read_image

    return read_image(job["path"], job["page"], job["width"])


def _page_words(job: Job) -> Reply:
    from rag.page_image import read_words

    return read_words(job["path"], job["page"], job["text"], job["start"], job["end"])


def _scan_words(job: Job) -> Reply:
    from rag.scan_words import read_scan

    return read_scan(job["path"], job["page"], job["text"], job["ocr"])


JOBS: dict[str, Callable[[Job], Reply]] = {
    "document": read_document,
    "page_image": _page_image,
    "page_words": _page_words,
    "scan_words": _scan_words,
}


def _do(job: Job) -> Reply:
    try:
        return JOBS[job["kind"]](job)
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # reported to the person by the other side
        return {"error": "failed", "detail": f"{type(error).__name__}: {error}"}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stand_back() -> None:
    """Whoever asks for all of the machine's memory ends only this process; all others go first."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with contextlib.suppress(OSError, ValueError):  # a lower one is set already
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)


def _end_in(seconds: float) -> None:
    """End this process then, even if nobody is left to end it; 0: do not."""
    if hasattr(signal, "alarm"):
        signal.alarm(round(seconds))


def main() -> None:
    """Answer one line of JSON with one line of JSON until the input ends."""
    sys.path.append(str(Path(__file__).parent.parent))  # last: no module of ours shadows a library's
    _stand_back()
    logging.disable(logging.CRITICAL)  # the libraries' logs quote documents
    sys.setrecursionlimit(5_000)
    for line in sys.stdin:
        job = json.loads(line)
        _end_in(job["seconds"])
        _allow(job["step"])
        _say(json.dumps(_do(job)))
        _end_in(0)


if __name__ == "__main__":
    main()
