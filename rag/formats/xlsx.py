"""An Excel workbook as XML (.xlsx, .xlsm): the rows of its visible sheets, each cell as a person sees it.

Only what is in the file is read, however far apart it lies. Of a formula it is the last value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rag.formats.base import Unreadable
from rag.formats.number_formats import BUILT_IN, plain, shown
from rag.formats.package import Package, attribute, child, descendants, local, reference

MOST_CELLS = 20_000_000  # of one sheet; the empty ones to the left of others among them
_MOST_COLUMNS = 16_384
_AREA = re.compile(r"(?P<left>[A-Z]+)(?P<top>[0-9]{1,7}):[A-Z]+(?P<bottom>[0-9]{1,7})")

Row = list[str | None]  # None: where the cell above reaches down to


class Workbook:
    """`main`: the part of the package that lists the sheets."""

    def __init__(self, package: Package, main: str) -> None:
        self._package = package
        self._root = package.tree(main)
        self._relations = package.relations(main)
        parts = dict(self._relations.values())
        settings = child(self._root, "workbookPr")
        self._since_1904 = settings is not None and attribute(settings, "date1904") in ("1", "true")
        self._strings = self._shared_strings(parts.get("sharedStrings", ""))
        self._formats = self._cell_formats(parts.get("styles", ""))

    def sheets(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Name and rows of each sheet that can be seen; without rows that hold nothing, but for one."""
        for sheet in descendants(self._root, "sheet"):
            kind, part = self._relations.get(reference(sheet, "id"), ("", ""))
            if kind == "worksheet" and attribute(sheet, "state") in ("", "visible"):
                name = attribute(sheet, "name")
                yield name, self._rows(part, name)

    def _rows(self, part: str, name: str) -> Iterator[Row]:
        merged = self._merged(part)
        reach: dict[int, int] = {}  # column → the last row into which a cell above reaches down
        size, at, before = 0, 0, 0
        for node in self._package.stream(part, "row"):
            at = int(attribute(node, "r") or at + 1)
            cells = self._row(node)
            reach = {column: last for column, last in reach.items() if last >= at}
            if any(cells.values()):
                row = cells | dict.fromkeys(reach)
                width = max(row) + 1
                size += width
                if size > MOST_CELLS:
                    raise Unreadable("too_many_cells", name)
                if at > before + 1:
                    yield []  # where one table may end
                yield [row.get(column, "") for column in range(width)]
                before = at
            reach |= merged.get(at, {})

    def _row(self, node: Any) -> dict[int, str | None]:
        """Column → text, of the cells that have one."""
        cells: dict[int, str | None] = {}
        column = -1
        for cell in node.iter("{*}c"):
            place = attribute(cell, "r").rstrip("0123456789")
            column = _column(place) if place else column + 1
            if text := self._cell(cell):
                cells[column] = text
        return cells

    def _merged(self, part: str) -> dict[int, dict[int, int]]:
        """Row → column → the row down to which the cell there reaches."""
        found: dict[int, dict[int, int]] = {}
        for node in self._package.stream(part, "mergeCell"):
            place = _AREA.fullmatch(attribute(node, "ref"))
            if place and int(place["bottom"]) > int(place["top"]):
                reach = found.setdefault(int(place["top"]), {})
                reach[_column(place["left"])] = int(place["bottom"])
        return found

    def _cell(self, cell: Any) -> str:
        kind = attribute(cell, "t")
        if kind == "inlineStr":
            return _text(child(cell, "is"))
        value = child(cell, "v")
        text = (value.text or "") if value is not None else ""
        if kind == "s":
            return self._strings[int(text)] if text and int(text) < len(self._strings) else ""
        if kind == "b":
            return "yes" if text == "1" else "no"
        if kind in ("", "n") and text:
            return self._number(float(text), attribute(cell, "s"))
        return text

    def _number(self, value: float, style: str) -> str:
        code = self._formats[int(style)] if style and int(style) < len(self._formats) else ""
        return shown(value, code, since_1904=self._since_1904) if code else plain(value)

    def _shared_strings(self, part: str) -> list[str]:
        return [_text(node) for node in self._package.stream(part, "si")] if part in self._package else []

    def _cell_formats(self, part: str) -> list[str]:
        """The code of each style that a cell may name by its number; "" for none."""
        if part not in self._package:
            return []
        root = self._package.tree(part)
        codes = BUILT_IN | {
            int(attribute(node, "numFmtId") or 0): attribute(node, "formatCode")
            for node in descendants(root, "numFmt")
        }
        styles = child(root, "cellXfs")
        used = descendants(styles, "xf") if styles is not None else ()
        return [codes.get(int(attribute(xf, "numFmtId") or 0), "") for xf in used]


def _column(place: str) -> int:
    """A column's number, from 0; `place` is such as "AB"."""
    number = 0
    for letter in place.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    if not 0 < number <= _MOST_COLUMNS:
        raise Unreadable("broken_file")
    return number - 1


def _text(node: Any) -> str:
    """A string's text, without how it is pronounced."""
    if node is None:
        return ""
    runs = (item for item in node.iter("{*}t") if local(item.getparent()) != "rPh")
    return "".join(item.text or "" for item in runs)
