"""LibreOffice's text documents, its presentations, of which each slide is a page, and its sheets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.formats.base import Options, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.package import Package, attribute, child, descendants, local, open_package
from rag.formats.titles import first_line, sensible

_LEFT_OUT = frozenset({"annotation", "tracked-changes", "note-citation", "forms", "sequence-decls"})
_SPACES = {"tab": "\t", "line-break": "\n"}
_MOST_REPEATED = 100  # cells; more are what fills a table up to its edge


def read(source: Source, options: Options) -> Parsed:
    with open_package(source) as package:
        _refuse_encrypted(package)
        body = child(package.tree("content.xml"), "body")
        title = _title(package)
    text = child(body, "text") if body is not None else None
    slides = list(descendants(body, "page")) if body is not None and text is None else []
    pages = []
    for number, node in enumerate([text] if text is not None else slides, 1):
        options.alive()
        writer = Writer()
        _write(node, writer)
        pages.append(writer.page("" if text is not None else f"slide {number}"))
    if not any(page.text for page in pages):
        raise Unreadable("no_text", "blank")
    return Parsed(pages, sensible(title) or first_line(pages), paged=text is None)


def sheets(package: Package) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """Name and rows of each sheet that can be seen, each cell as a person sees it."""
    _refuse_encrypted(package)
    root = package.tree("content.xml")
    hidden = {
        attribute(style, "name")
        for style in descendants(root, "style")
        if any(attribute(node, "display") == "false" for node in descendants(style, "table-properties"))
    }
    body = child(root, "body", "spreadsheet")
    for table in body if body is not None else ():
        if local(table) == "table" and attribute(table, "style-name") not in hidden:
            yield attribute(table, "name"), _rows(table)


def _refuse_encrypted(package: Package) -> None:
    if "META-INF/manifest.xml" in package and any(
        True for _ in descendants(package.tree("META-INF/manifest.xml"), "encryption-data")
    ):
        raise Unreadable("encrypted_file")


def _title(package: Package) -> str:
    if "meta.xml" not in package:
        return ""
    return next((node.text or "" for node in descendants(package.tree("meta.xml"), "title")), "")


def _write(parent: Any, writer: Writer, *, listed: bool = False) -> None:
    for node in parent:
        name = local(node)
        if name == "h":
            writer.heading("".join(_text(node)))
        elif name == "p":
            text = "".join(_text(node)).strip()
            writer.paragraph(f"- {text}" if listed and text else text, close=listed)
            for frame in descendants(node, "text-box"):
                _write(frame, writer)
        elif name == "table":
            writer.table(_rows(node))
        elif name == "notes":  # of a slide
            inner = Writer()
            _write(node, inner)
            if text := inner.page().text:
                writer.paragraph(f"Notes: {text}")
        elif name not in _LEFT_OUT:
            _write(node, writer, listed=listed or name == "list")


def _text(node: Any) -> Iterator[str]:
    """A paragraph's text in pieces; text boxes in it are blocks of their own."""
    yield node.text or ""
    for item in node:
        name = local(item)
        if name == "s":
            yield " " * min(int(attribute(item, "c") or 1), 100)
        elif name in _SPACES:
            yield _SPACES[name]
        elif name and name not in _LEFT_OUT and name != "text-box":
            yield from _text(item)
        yield item.tail or ""


def _rows(table: Any) -> Iterator[list[str]]:
    for row in descendants(table, "table-row"):
        cells: list[str] = []
        for cell in row:
            if local(cell) not in ("table-cell", "covered-table-cell"):
                continue
            text = "\n".join("".join(_text(p)) for p in descendants(cell, "p") if not _is_remark(p))
            cells += [text] * _times(cell, "number-columns-repeated")
        yield from [cells] * (_times(row, "number-rows-repeated") if any(cells) else 1)


def _times(node: Any, name: str) -> int:
    return min(int(attribute(node, name) or 1), _MOST_REPEATED)


def _is_remark(paragraph: Any) -> bool:
    return any(local(above) == "annotation" for above in paragraph.iterancestors())
