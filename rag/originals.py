"""The file that a document was read from, as it is shown beside an answer: its pages as images, its sound.

It knows a file only as the index recorded it: one that has changed since, or is gone, is not shown. It does
not know how a page is drawn (see `rag.page_image`), nor who looks at it.
"""

from __future__ import annotations

import base64
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag.folders import hash_file, path_of
from rag.reader import Reader
from rag.store import Page, Source

# What a browser plays, and as what it may be sent: never as anything that could hold a script.
RECORDINGS = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
WIDTHS = (600, 900, 1200, 1600, 2000)  # pixels of an image; few, so that one that was drawn serves again
_SECONDS = 10.0  # that drawing a page, or finding its words, may take
_KEPT = 48  # images
_ERRORS = {
    "timeout": "This page takes too long to draw.",
    "crashed": "This page made the program that draws it crash.",
    "no_page": "This page cannot be drawn: it is broken, or has no size.",
    "failed": "This page cannot be drawn.",
}

Word = tuple[int, int, int, float, float, float, float]
"""Offsets in the document's whole text; a line's number; left, top, right, bottom in shares of the page."""


class OriginalError(Exception):
    """The original cannot be shown; the message says why. The text in the index can."""


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
        return RECORDINGS.get(self.path.suffix.lower(), "")


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

    It has a reader of its own, so that nobody who looks at a page waits for one that is being indexed.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._reader = Reader(silence=seconds, seconds=seconds, processes=1)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    def image(self, file: Original, page: int, width: int) -> bytes:
        """Page `page` (from 1) as a JPEG at least `width` pixels wide, up to the largest. `OriginalError`."""
        key = (file.content_hash, page, image_width(width))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._draw(file.path, *key[1:])
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def words(self, pdf: Original, page: Page, start: int, end: int) -> list[Word]:
        """Where the words of [start, end) of the document's whole text stand on this page of it.

        Empty where the page has none of them. Raises `OriginalError`.
        """
        first, last = (min(max(offset - page.start, 0), len(page.text)) for offset in (start, end))
        if page.page is None or first >= last:
            return []
        reply = _without_error(self._reader.page_words(pdf.path, page.page, page.text, first, last))
        return [(page.start + row[0], page.start + row[1], *row[2:]) for row in reply["words"]]

    def close(self) -> None:
        self._reader.close()

    def _draw(self, path: Path, page: int, width: int) -> bytes:
        return base64.b64decode(_without_error(self._reader.page_image(path, page, width))["jpeg"])


def _without_error(reply: dict[str, Any]) -> dict[str, Any]:
    if error := reply.get("error"):
        raise OriginalError(f"{_ERRORS.get(error, _ERRORS['failed'])} This is its text.")
    return reply


def image_width(wanted: int) -> int:
    """The width that an image has which is wanted this wide."""
    return next((width for width in WIDTHS if width >= wanted), WIDTHS[-1])
