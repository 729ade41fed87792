"""A workbook (Excel, LibreOffice): one page a visible sheet, as tables; formulas by their last value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from rag.formats.base import Options, Parsed, Source, Unreadable, check_size, opened
from rag.formats.blocks import Writer
from rag.formats.package import open_package

_MOST_CELLS = 20_000_000  # of one sheet, the empty ones between its corners among them


def read(source: Source, options: Options) -> Parsed:
    import python_calamine as calamine

    _check_package(source)
    try:
        with opened(source) as file:
            book = calamine.load_workbook(file)
            pages = []
            for sheet in book.sheets_metadata:
                if (sheet.typ, sheet.visible) != (
                    calamine.SheetTypeEnum.WorkSheet,
                    calamine.SheetVisibleEnum.Visible,
                ):
                    continue
                options.alive()
                writer = Writer()
                writer.table(_rows(book.get_sheet_by_name(sheet.name)))
                pages.append(writer.page(f"sheet {sheet.name}"))
                check_size(pages)
    except calamine.PasswordError:
        raise Unreadable("encrypted_file") from None
    except (calamine.CalamineError, OSError, ValueError):
        raise Unreadable("broken_file") from None
    if not any(page.text for page in pages):
        raise Unreadable("no_text", "blank")
    return Parsed(pages)


def _check_package(source: Source) -> None:
    """The limits of an archive, for the workbooks that are one."""
    with opened(source) as file:
        packed = file.read(2) == b"PK"
    if packed:
        with open_package(source):
            pass


def _rows(sheet: Any) -> Iterator[list[str]]:
    if sheet.height * sheet.width > _MOST_CELLS:
        raise Unreadable("too_many_cells", sheet.name)
    return ([_cell(value) for value in row] for row in sheet.iter_rows())


def _cell(value: object) -> str:
    """As a person would write it: no `.0`, no midnight."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    return str(value)
