"""The file that a document was read from, as it is shown beside an answer: its pages as images, its sound.

It knows a file only as the index recorded it: one that has changed since, or is gone, is not shown. It does
not know how a page is drawn (see `rag.page_image`), nor who looks at it.
"""

from __future__ import annotations

import base64
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from rag.folders import hash_file, path_of
from rag.reader import Reader
from rag.store import Page, Source

# As what a recording is sent: never as anything that could hold a script. No browser plays all of them.
MEDIA_TYPES = {
    ".aac": "audio/aac",
    ".ac3": "audio/ac3",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".amr": "audio/amr",
    ".ape": "audio/x-ape",
    ".au": "audio/basic",
    ".caf": "audio/x-caf",
    ".eac3": "audio/eac3",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".tta": "audio/x-tta",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".wma": "audio/x-ms-wma",
    ".wv": "audio/x-wavpack",
    ".3gp": "video/3gpp",
    ".avi": "video/x-msvideo",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
    ".webm": "video/webm",
    ".wmv": "video/x-ms-wmv",
}
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
WIDTHS = (600, 900, 1200, 1600, 2000)  # pixels of an image; few, so that one that was drawn serves again
_SECONDS = 10.0  # that drawing a page, or finding its words, may take
_SCAN_SECONDS = 60.0  # that reading a scan once more may take
_KEPT = 48  # images, and scans' words
_ERRORS = {
    "timeout": "This page takes too long to draw.",
    "crashed": "This page made the program that draws it crash.",
    "killed": "The program that draws this page was ended, for lack of memory perhaps.",
    "no_page": "This page cannot be drawn: it is broken, or has no size.",
    "failed": "This page cannot be drawn.",
}
_PASSING = frozenset({"timeout", "killed"})  # a busy machine

Word = tuple[int, int, int, float, float, float, float]
"""Offsets in the document's whole text; a line's number; left, top, right, bottom in shares of the page."""


class OriginalError(Exception):
    """The original cannot be shown; the message says why. The text in the index can.

    `passing`: it may work at another try.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Original:
    """A file that still is what was indexed."""

    path: Path
    content_hash: str

    @property
    def kind(self) -> Literal["pdf", "picture", "audio", "video"] | None:
        """As what it can be shown; None: as its text alone."""
        suffix = self.path.suffix.lower()
        if suffix == ".pdf":
            return "pdf"
        if suffix in PICTURES:
            return "picture"
        if not self.media_type:
            return None
        return "video" if self.media_type.startswith("video/") else "audio"

    @property
    def media_type(self) -> str:
        """Of a recording; "" for any other file."""
        return MEDIA_TYPES.get(self.path.suffix.lower(), "")


def find_original(record: Source) -> Original | None:
    """The file of a document; None for a web page, which has none. Raises `OriginalError`."""
    if record.origin == "url":
        return None
    path = path_of(record.location)
    try:
        status = path.stat()
    except OSError:
        raise OriginalError("The file is gone or cannot be read. This is its text.") from None
    if not stat.S_ISREG(status.st_mode) or not _is_same(record, path, status.st_size, status.st_mtime_ns):
        raise OriginalError("The file was changed after it was indexed. This is its text from then.")
    return Original(path, record.content_hash)


def _is_same(record: Source, path: Path, size: int, mtime_ns: int) -> bool:
    if size != record.size:
        return False
    return mtime_ns == record.mtime_ns or hash_file(path) == record.content_hash


class PageImages:
    """Pages of PDFs and pictures as images, and the places of words. Any thread may call it; others wait.

    It has readers of its own, so that nobody who looks at a page waits for a document that is being indexed.

    Args:
        seconds: that drawing a page may take, or finding its words.
        ocr: the languages in which a scan is read, to find its words (see `rag.formats.base.Options`).
    """

    def __init__(self, seconds: float = _SECONDS, ocr: str = "none") -> None:
        self._ocr = ocr
        self._reader = Reader(silence=seconds, seconds=seconds, processes=1)
        self._scans = Reader(silence=_SCAN_SECONDS, seconds=_SCAN_SECONDS, processes=1)
        self._image = lru_cache(_KEPT)(self._draw)
        self._scanned = lru_cache(_KEPT)(self._scan)

    def image(self, file: Original, page: int, width: int) -> bytes:
        """Page `page` (from 1) as a JPEG at least `width` pixels wide, up to the largest. `OriginalError`."""
        return self._image(file, page, image_width(width))

    def words(self, file: Original, page: Page, start: int, end: int) -> list[Word]:
        """Where the words of [start, end) of the document's whole text stand on this page of it.

        Empty where the page has none of them. Raises `OriginalError`.
        """
        first, last = (min(max(offset - page.start, 0), len(page.text)) for offset in (start, end))
        if first >= last:
            return []
        rows, scan = [], True
        if file.kind == "pdf":
            reply = self._reader.page_words(file.path, page.page or 1, page.text, first, last)
            rows, scan = _without_error(reply)["words"], reply["scan"]
        if scan and self._ocr != "none":
            rows = [row for row in self._scanned(file, page) if row[0] < last and row[1] > first]
        return [(page.start + row[0], page.start + row[1], *row[2:]) for row in rows]

    def close(self) -> None:
        self._reader.close()
        self._scans.close()

    def _draw(self, file: Original, page: int, width: int) -> bytes:
        return base64.b64decode(_without_error(self._reader.page_image(file.path, page, width))["jpeg"])

    def _scan(self, file: Original, page: Page) -> list[Word]:
        reply = self._scans.scan_words(file.path, page.page or 1, page.text, self._ocr)
        words: list[Word] = _without_error(reply)["words"]
        return words


def _without_error(reply: dict[str, Any]) -> dict[str, Any]:
    if error := reply.get("error"):
        message = f"{_ERRORS.get(error, _ERRORS['failed'])} This is its text."
        raise OriginalError(message, passing=error in _PASSING)
    return reply


def image_width(wanted: int) -> int:
    """The width that an image has which is wanted this wide."""
    return next((width for width in WIDTHS if width >= wanted), WIDTHS[-1])
