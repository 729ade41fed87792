"""JSON → lines that a person can read: `path: value`; a list of like objects is a table.

Numbers stay as they are written. What is not JSON after all is read as the text it is.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from rag.formats.base import Options, Page, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.plain import text_of

_LONGEST_LIST = 200  # characters of a list of single values on one line


def read(source: Source, options: Options) -> Parsed:
    text = text_of(source, options.charset)
    try:
        value = _parsed(text, lines=PurePath(options.name).suffix.lower() != ".json")
    except json.JSONDecodeError:
        return Parsed([Page(text)], paged=False)
    except RecursionError:
        raise Unreadable("too_deep") from None
    writer = Writer()
    _write(value, "", writer)
    page = writer.page()
    if not page.text:
        raise Unreadable("no_text", "blank")
    title = value.get("title") if isinstance(value, dict) else ""
    return Parsed([page], title if isinstance(title, str) else "", paged=False)


def _parsed(text: str, *, lines: bool) -> Any:
    kept: dict[str, Any] = {"parse_int": str, "parse_float": str, "parse_constant": str}
    if not lines:
        return json.loads(text, **kept)
    return [json.loads(line, **kept) for line in text.split("\n") if line.strip()]


def _write(value: Any, path: str, writer: Writer) -> None:
    """A block for each object, with its own single values; then what it holds."""
    if isinstance(value, list):
        return _write_list(value, path, writer)
    if not isinstance(value, dict):
        return writer.paragraph(_line(path, value))
    single = {key: item for key, item in value.items() if _is_single(item)}
    for number, (key, item) in enumerate(single.items()):
        writer.paragraph(_line(_join(path, key), item), close=number > 0)
    for key, item in value.items():
        if key not in single:
            _write(item, _join(path, key), writer)
    return None


def _write_list(values: list[Any], path: str, writer: Writer) -> None:
    if _is_table(values):
        if path:
            writer.paragraph(f"{path}:")
        names = list(dict.fromkeys(key for row in values for key in row))
        return writer.table([names, *([_said(row.get(name)) for name in names] for row in values)])
    for number, item in enumerate(values, 1):
        _write(item, f"{path} {number}".strip(), writer)
    return None


def _is_table(values: list[Any]) -> bool:
    return len(values) > 1 and all(
        isinstance(row, dict) and row and all(map(_is_single, row.values())) for row in values
    )


def _is_single(value: Any) -> bool:
    """A value that fits one line: no object, and a list only if it is short."""
    if isinstance(value, list):
        return all(not isinstance(item, list | dict) for item in value) and len(_said(value)) <= _LONGEST_LIST
    return not isinstance(value, dict)


def _line(path: str, value: Any) -> str:
    said = _said(value)
    return f"{path}: {said}" if path and said else said


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_said(item) for item in value)
    return (
        {True: "yes", False: "no", None: ""}.get(value, "") if isinstance(value, bool | None) else str(value)
    )
