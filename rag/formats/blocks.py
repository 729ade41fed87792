"""Paragraphs, headings and tables, one after another → the text of a page."""

from __future__ import annotations

from collections.abc import Iterable

from rag.formats.base import MAX_TEXT, Heading, Page, Unreadable
from rag.formats.tables import Cells, render


class Writer:
    """Collects the blocks of one page, with an empty line between two of them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._headings: list[Heading] = []
        self._length = 0

    def paragraph(self, text: str, *, close: bool = False) -> None:
        """`close`: it belongs to the block before, as one point of a list to the next."""
        text = text.strip()
        if not text:
            return
        gap = ("\n" if close else "\n\n") if self._parts else ""
        self._parts += [gap, text]
        self._length += len(gap) + len(text)
        if self._length > MAX_TEXT:
            raise Unreadable("too_long")

    def heading(self, text: str) -> None:
        text = " ".join(text.split())
        self.paragraph(text)
        if text:
            self._headings.append((self._length - len(text), text))

    def table(self, rows: Iterable[Cells]) -> None:
        for block in render(rows):
            self.paragraph(block)

    def page(self, place: str = "") -> Page:
        return Page("".join(self._parts), self._headings, place)
