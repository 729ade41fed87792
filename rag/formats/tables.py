"""Rows of cells → Markdown tables that a chunk can hold.

A chunk from the middle of a long table says nothing without the names of its columns. So a table is written
in blocks of a few rows, each with the header row before it; where rows are so long that few would fit, each
becomes a block of its own with one line "name: value" a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

_BLOCK = 700  # characters of a block: two thirds of a usual chunk
_WIDE = 300  # characters of a header and a row together, from which on a row is a list of names and values
_MOST = 12  # columns of a Markdown table

_SHORT = 100  # characters of a cell that is worth repeating

Row = list[str]
Cells = Sequence[str | None]  # None: where the cell above reaches down to


def render(rows: Iterable[Cells]) -> Iterator[str]:
    """The table's blocks; cells are put on one line, empty rows and columns left out.

    A short cell that reaches down over several rows stands in each of them, since a chunk may part them.
    """
    for before, header, body in _tables(_clean(rows)):
        yield from (" ".join(filter(None, row)) for row in before)
        if not header:
            continue
        if not body:
            yield " ".join(filter(None, header))
            continue
        header, *body = _without_empty_columns([header, *body])
        width = len(_line(header)) + median(len(_line(row)) for row in body)
        if width > _WIDE or len(header) > _MOST:
            yield from (block for row in body if (block := _named(header, row)))
        else:
            yield from _blocks(header, body)


def _clean(rows: Iterable[Cells]) -> Iterator[Row]:
    """Cells without line ends; an empty row becomes an empty list."""
    above: Row = []
    for row in rows:
        own = any(row)
        above = [
            (above[n] if n < len(above) else "") if cell is None else " ".join(cell.split())
            for n, cell in enumerate(row)
        ]
        repeated = (cell is None and len(text) > _SHORT for cell, text in zip(row, above, strict=True))
        yield ["" if long else text for long, text in zip(repeated, above, strict=True)] if own else []


def _tables(rows: Iterable[Row]) -> Iterator[tuple[list[Row], Row, list[Row]]]:
    """(lines before it, header, rows) for each table on a sheet.

    The header is the first row with more than one cell; after an empty row, one without a number begins
    another table.
    """
    before: list[Row] = []
    header: Row = []
    body: list[Row] = []
    gap = False
    for row in rows:
        filled = sum(map(bool, row))
        if gap and body and filled > 1 and not any(map(_is_number, row)) and any(map(_has_number, body)):
            yield before, header, body
            before, header, body = [], row, []
        elif not header and filled > 1:
            header = row
        elif not header and filled:
            before.append(row)
        elif filled:
            body.append(row)
        gap = not filled
    if before or header:
        yield before, header, body


def _has_number(row: Row) -> bool:
    return any(map(_is_number, row))


def _is_number(cell: str) -> bool:
    return bool(cell) and sum(map(str.isdigit, cell)) * 2 > len(cell)


def _without_empty_columns(rows: list[Row]) -> list[Row]:
    width = max(map(len, rows))
    padded = [row + [""] * (width - len(row)) for row in rows]
    kept = [column for column in range(width) if any(row[column] for row in padded)]
    return [[row[column] for column in kept] for row in padded]


def _line(row: Row) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _named(header: Row, row: Row) -> str:
    return "\n".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=True) if cell
    )


def _blocks(header: Row, body: list[Row]) -> Iterator[str]:
    head = [_line(header), "|" + " --- |" * len(header)]
    lines, size = list(head), 0
    for row in body:
        line = _line(row)
        if len(lines) > len(head) and size + len(line) > _BLOCK:
            yield "\n".join(lines)
            lines, size = list(head), 0
        lines.append(line)
        size += len(line) + 1
    yield "\n".join(lines)
