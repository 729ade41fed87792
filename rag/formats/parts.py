"""What a file holds as files: each read as a document of its own kind, and a list of what became of it."""

from __future__ import annotations

from pathlib import PurePath

from rag.encoding import clean
from rag.formats import READERS, read
from rag.formats.base import MOST_DEEP, Options, Page, Parsed, Unreadable, check_size
from rag.formats.ocr import ability
from rag.formats.reasons import PASSING, reason

_HOLDERS = frozenset({".zip", ".eml"})  # which are worth nothing without what is in them


def part_name(name: str) -> str:
    """A part's name for people: its folders and its file name, without those that lead out of the archive."""
    parts = " ".join(clean(name.replace("\\", "/")).split()).split("/")
    return "/".join(part.strip() for part in parts if part.strip() not in ("", ".", ".."))[-200:] or "unnamed"


class Parts:
    """Reads what one file holds, part by part."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._pages: list[Page] = []
        self._count = 0
        self._missing = 0
        self._able = ""

    def read(self, data: bytes, name: str, *, label: str = "") -> str:
        """Why the part is not read, or not whole; "" if it is."""
        suffix = PurePath(name).suffix.lower()
        try:
            parsed = self._parsed(data, name, suffix)
        except Unreadable as error:
            return self.refuse(error, suffix)
        for page in parsed.pages:
            page.place = ", ".join(filter(None, (label or name, page.place)))
        self._pages += parsed.pages
        check_size(self._pages)
        self._note(parsed.notice, parsed.able)
        return parsed.notice

    def refuse(self, error: Unreadable, suffix: str) -> str:
        """The reason for a part that cannot be read."""
        why = reason(error.code, error.detail, suffix)
        self._note(why, ability(self._options.ocr) if error.code in PASSING else "")
        return why

    def after(self, first: Page, title: str = "") -> Parsed:
        """The whole file: its own page, and then those of its parts."""
        are = "is" if self._missing == 1 else "are"
        missing = f"{self._missing:,} of {self._count:,} files in it {are} not read, or not whole."
        notice = f"{missing} Its first page says why."
        pages = [first, *self._pages]
        return Parsed(pages, title, notice=notice if self._missing else "", able=self._able)

    def __bool__(self) -> bool:
        """Whether anything was read."""
        return bool(self._pages)

    def _parsed(self, data: bytes, name: str, suffix: str) -> Parsed:
        if suffix not in READERS:
            raise Unreadable("unknown", suffix or "(none)")
        if not data:
            raise Unreadable("empty")
        if self._options.depth >= MOST_DEEP - (suffix in _HOLDERS):
            raise Unreadable("nested")
        self._options.alive()
        self._options.allowance.take(len(data))
        return read(data, self._options.within(name))

    def _note(self, why: str, able: str) -> None:
        self._count += 1
        self._missing += bool(why)
        self._able = self._able or able
