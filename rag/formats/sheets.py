"""A workbook (Excel, LibreOffice): one page a visible sheet, as tables; formulas by their last value.

In the older and the binary formats (.xls, .xlsb) only dates and times come as they are shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from rag.formats import opendocument
from rag.formats.base import Options, Page, Parsed, Source, Unreadable, check_size, opened
from rag.formats.blocks import Writer
from rag.formats.number_formats import plain
from rag.formats.package import Package, open_package
from rag.formats.tables import Cells
from rag.formats.xlsx import MOST_CELLS, Workbook

Sheets = Iterable[tuple[str, Iterable[Cells]]]


def read(source: Source, options: Options) -> Parsed:
    """What is in the file decides how it is read: many are called .xls and are none."""
    with opened(source) as file:
        packed = file.read(2) == b"PK"
    if not packed:
        return _parsed(_binary_sheets(source), options)
    with open_package(source) as package:
        if "content.xml" in package:
            return _parsed(opendocument.sheets(package), options)
        main = package.main_part("xl/workbook.xml")
        if not main.endswith(".bin"):
            return _parsed(_xml_sheets(package, main), options)
    return _parsed(_binary_sheets(source), options)


def _parsed(sheets: Sheets, options: Options) -> Parsed:
    pages: list[Page] = []
    for name, rows in sheets:
        writer = Writer()
        writer.table(_told(rows, options))
        pages.append(writer.page(f"sheet {name}"))
        check_size(pages)
    if not any(page.text for page in pages):
        raise Unreadable("no_text", "blank")
    return Parsed(pages)


def _told(rows: Iterable[Cells], options: Options) -> Iterator[Cells]:
    for row in rows:
        options.alive()
        yield row


def _xml_sheets(package: Package, main: str) -> Sheets:
    try:
        yield from Workbook(package, main).sheets()
    except ValueError:  # a number that is none
        raise Unreadable("broken_file") from None


def _binary_sheets(source: Source) -> Sheets:
    import python_calamine as calamine

    seen = (calamine.SheetTypeEnum.WorkSheet, calamine.SheetVisibleEnum.Visible)
    try:
        with opened(source) as file:
            book = calamine.load_workbook(file)
            for sheet in book.sheets_metadata:
                if (sheet.typ, sheet.visible) == seen:
                    yield sheet.name, _rows(book.get_sheet_by_name(sheet.name))
    except calamine.PasswordError:
        raise Unreadable("encrypted_file") from None
    except (calamine.CalamineError, OSError, ValueError):
        raise Unreadable("broken_file") from None


def _rows(sheet: Any) -> Iterator[list[str]]:
    if sheet.height * sheet.width > MOST_CELLS:
        raise Unreadable("too_many_cells", sheet.name)
    return ([_cell(value) for value in row] for row in sheet.iter_rows())


def _cell(value: object) -> str:
    """As a person would write it: no `.0`, no midnight."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return plain(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    return str(value)
