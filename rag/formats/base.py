"""What every reader takes and gives, and the limits that hold for all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

MAX_TEXT = 20_000_000  # characters of one document
MAX_PAGES = 20_000
MOST_DEEP = 3  # an attachment of an e-mail in an archive is opened, and not much more

Source = Path | bytes  # a file, or what an archive holds
Heading = tuple[int, str]  # offset in the page, text


class Unreadable(Exception):
    """A file without a readable text; `code` and `detail` are as in `rag.formats.reasons`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass
class Allowance:
    """What may still be unpacked of a file: archives within archives share it."""

    files: int = 1_000
    size: int = 500_000_000  # bytes

    def take(self, size: int) -> None:
        """One more file; `Unreadable` if that is too much."""
        self.files -= 1
        self.size -= size
        if self.files < 0 or self.size < 0:
            raise Unreadable("too_much_inside")


@dataclass(frozen=True)
class Options:
    """What a reader may need to know beside the bytes."""

    name: str  # the file's own name, whose suffix says how it is read
    charset: str | None = None  # that the sender declared
    url: str | None = None  # where it was fetched
    ocr: str = "none"  # languages for what is only an image: none, auto, or Tesseract's codes ("eng+deu")
    depth: int = 0  # how many archives and e-mails it is in
    allowance: Allowance = field(default_factory=lambda: Allowance(), repr=False)  # of all that is in a file
    alive: Callable[[], None] = field(default=lambda: None, repr=False)  # called between two steps of work

    def within(self, name: str) -> Options:
        """For a file that this one holds."""
        return replace(self, name=name, charset=None, url=None, depth=self.depth + 1)


@dataclass
class Page:
    """One page, slide, sheet, chapter or part; `place` is what a person calls it."""

    text: str
    headings: list[Heading] = field(default_factory=list)
    place: str = ""


@dataclass
class Parsed:
    """A document's pages; `paged`: whether they are numbered for people, or only one stretch of text.

    `notice`: what of it was not read, and what to do. `able`: what OCR could do then; once it can do
    something else, the document is worth reading again. "" where that would change nothing.
    """

    pages: list[Page]
    title: str = ""
    paged: bool = True
    notice: str = ""
    able: str = ""


def opened(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def all_bytes(source: Source) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def check_size(pages: list[Page]) -> None:
    """Raises `Unreadable` for more text than a document may have."""
    if sum(len(page.text) for page in pages) > MAX_TEXT:
        raise Unreadable("too_long")
