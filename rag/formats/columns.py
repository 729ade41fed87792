"""Lines that run across the columns of a page → the lines of one column after the other.

Most PDFs hold a page's text in reading order, and PDFium gives it so. Some hold it line by line across all
columns; these show wide gaps above each other in many lines. A table does so too, and its rows must stay
rows: only where every column holds long stretches of text is it a page of columns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import mean
from typing import Any

_WIDEST_SPACE = 12.0  # points; what is wider is no space between words
_LINES = 5  # with a gap at the same place
_ACROSS = 0.2  # of these; so many lines may run across the gap, such as headings
_PROSE = 20  # characters of a line in one column, on average; cells of a table are shorter
_COLUMNS = 4
_MOST_GAPS = 500  # that are looked at

Line = tuple[int, str]  # offset in PDFium's text, text
Box = tuple[float, float, float, float]  # left, bottom, right, top


def in_reading_order(textpage: Any, lines: Sequence[Line]) -> list[Line]:
    """The same lines, cut at the gaps between columns and put in order, where they run across some."""
    gutters = _gutters([textpage.get_rect(number) for number in range(textpage.count_rects())])
    if not gutters:
        return list(lines)
    cut = [_cut(textpage, line, gutters) for line in lines]
    if not _is_prose(cut, len(gutters) + 1):
        return list(lines)
    return list(_by_column(cut, len(gutters) + 1))


def _gutters(boxes: Sequence[Box]) -> list[float]:
    """Where columns are apart, from left to right."""
    gaps = [
        (one[2], other[0])
        for one, other in pairwise(boxes)
        if other[0] - one[2] > _WIDEST_SPACE and min(one[3], other[3]) - max(one[1], other[1]) > 0
    ]
    gaps = gaps[:_MOST_GAPS]
    found: list[float] = []
    while len(gaps) >= _LINES and len(found) < _COLUMNS - 1:
        place = max((end - 1 for _, end in gaps), key=lambda x: sum(left < x < right for left, right in gaps))
        there = sum(left < place < right for left, right in gaps)
        across = sum(left < place < right for left, _, right, _ in boxes)
        gaps = [(left, right) for left, right in gaps if not left < place < right]
        if there >= _LINES and across <= _ACROSS * there:
            found.append(place)
    return sorted(found)


def _cut(textpage: Any, line: Line, gutters: Sequence[float]) -> list[tuple[int, Line]]:
    """(column, part) of a line; one that runs across a gutter is whole, and its column is -1."""
    start, text = line
    parts: list[tuple[int, int]] = []  # column, offset
    before = None
    for offset, character in enumerate(text):
        edges = None if character.isspace() else _edges(textpage, start + offset)
        if edges is None:
            continue
        column = sum(edges[0] > gutter for gutter in gutters)
        if parts and column != parts[-1][0] and before is not None and edges[0] - before < _WIDEST_SPACE:
            return [(-1, line)]
        if not parts or column != parts[-1][0]:
            parts.append((column, offset))
        before = edges[1]
    ends = [offset for _, offset in parts[1:]] + [len(text)]
    return [
        (column, (start + offset, text[offset:end].rstrip()))
        for (column, offset), end in zip(parts, ends, strict=True)
    ]


def _edges(textpage: Any, offset: int) -> tuple[float, float] | None:
    """Left and right of a character, by its offset in the text; None for one that PDFium made up."""
    import pypdfium2.raw as raw

    index = raw.FPDFText_GetCharIndexFromTextIndex(textpage, offset)
    box = [ctypes.c_double() for _ in range(4)]
    if index < 0 or not raw.FPDFText_GetCharBox(textpage, index, *map(ctypes.byref, box)):
        return None
    return box[0].value, box[1].value


def _is_prose(lines: Sequence[list[tuple[int, Line]]], columns: int) -> bool:
    for wanted in range(columns):
        sizes = [len(text) for parts in lines for column, (_, text) in parts if column == wanted]
        if not sizes or mean(sizes) < _PROSE:
            return False
    return True


def _by_column(lines: Sequence[list[tuple[int, Line]]], columns: int) -> Iterator[Line]:
    """Column after column, down to a line that runs across; then on below it."""
    waiting: list[list[Line]] = [[] for _ in range(columns)]
    for parts in lines:
        for column, part in parts:
            if column >= 0:
                waiting[column].append(part)
                continue
            yield from (line for some in waiting for line in some)
            waiting = [[] for _ in range(columns)]
            yield part
    yield from (line for some in waiting for line in some)
