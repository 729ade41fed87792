"""A Word document: paragraphs, headings, lists, tables and notes; what was deleted is left out.

It has no pages until a program lays it out, so it is one stretch of text; its running heads and comments are
not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.formats.base import Options, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.package import Package, attribute, child, descendants, local, open_package
from rag.formats.titles import first_line, sensible

_LEFT_OUT = frozenset({"del", "moveFrom", "pPr", "rPr", "Fallback", "instrText", "delText"})
_WRAPPERS = frozenset({"ins", "moveTo", "smartTag", "customXml", "sdt", "sdtContent"})
_HEADINGS = 6  # levels
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read(source: Source, options: Options) -> Parsed:
    with open_package(source) as package:
        main = package.main_part("word/document.xml")
        body = child(package.tree(main), "body")
        if body is None:
            raise Unreadable("damaged_package")
        related = dict(package.relations(main).values())
        document = _Document(_styles(package, related.get("styles", "")))
        document.blocks(body)
        for notes in ("footnotes", "endnotes"):
            if related.get(notes, "") in package:
                document.notes(package.tree(related[notes]))
        page = document.writer.page()
        title = title_of(package)
    if not page.text:
        raise Unreadable("no_text", "blank")
    return Parsed([page], sensible(title) or first_line([page]), paged=False)


def title_of(package: Package) -> str:
    """The title among an Office file's properties."""
    if "docProps/core.xml" not in package:
        return ""
    return next((node.text or "" for node in descendants(package.tree("docProps/core.xml"), "title")), "")


def _styles(package: Package, part: str) -> dict[str, str]:
    """The ids of the styles that make a paragraph a "heading" or a "list", by their name, level, or base."""
    if part not in package:
        return {}
    based: dict[str, str] = {}
    found: dict[str, str] = {}
    for style in descendants(package.tree(part), "style"):
        identifier = attribute(style, "styleId")
        if kind := _style_kind(style):
            found[identifier] = kind
        if (base := child(style, "basedOn")) is not None:
            based[identifier] = attribute(base, "val")
    while more := {
        style: found[base] for style, base in based.items() if base in found and style not in found
    }:
        found |= more
    return found


def _style_kind(style: Any) -> str:
    name, level = child(style, "name"), child(style, "pPr", "outlineLvl")
    words = attribute(name, "val").lower() if name is not None else ""
    if words == "title" or words.startswith("heading ") or (level is not None and _is_level(level)):
        return "heading"
    return "list" if child(style, "pPr", "numPr") is not None else ""


def _is_level(node: Any) -> bool:
    value = attribute(node, "val")
    return value.isdigit() and int(value) < _HEADINGS


class _Document:
    """Walks through a body and writes down its blocks."""

    def __init__(self, styles: dict[str, str]) -> None:
        self.writer = Writer()
        self._styles = styles
        self._in_list = False

    def blocks(self, parent: Any) -> None:
        for node in parent:
            name = local(node)
            if name == "p":
                self._paragraph(node)
            elif name == "tbl":
                self.writer.table(_rows(node))
            elif name in _WRAPPERS:
                self.blocks(node)

    def notes(self, root: Any) -> None:
        """Footnotes, after the text."""
        for note in root:
            if attribute(note, "id").lstrip("-").isdigit() and not attribute(note, "type"):
                self.blocks(note)

    def _paragraph(self, node: Any) -> None:
        text = "".join(_text(node)).strip()
        kind = self._kind(node)
        listed = kind == "list"
        if kind == "heading" and text:
            self.writer.heading(text)
        elif text:
            self.writer.paragraph(f"- {text}" if listed else text, close=listed and self._in_list)
        self._in_list = listed and bool(text)
        for box in descendants(node, "txbxContent"):
            above = {
                local(item): item for item in reversed(list(box.iterancestors()))
            }  # the innermost of each
            if above["p"] is node and "Fallback" not in above:
                self.blocks(box)

    def _kind(self, node: Any) -> str:
        """ "heading", "list", or "" for a paragraph as any other."""
        style, level = child(node, "pPr", "pStyle"), child(node, "pPr", "outlineLvl")
        if level is not None and _is_level(level):
            return "heading"
        kind = self._styles.get(attribute(style, "val"), "") if style is not None else ""
        return kind or ("list" if child(node, "pPr", "numPr") is not None else "")


def _text(node: Any) -> Iterator[str]:
    """A paragraph's text in pieces; text boxes, which lie within a paragraph, are not of it."""
    for item in node:
        name = local(item)
        if name == "t":
            yield item.text or ""
        elif name in _SPACES:
            yield _SPACES[name]
        elif name not in _LEFT_OUT and name != "txbxContent":
            yield from _text(item)


def _rows(table: Any) -> Iterator[list[str | None]]:
    """The cells' text; one that spans several columns stands in the first of them."""
    for row in table.iter("{*}tr"):
        if _owner(row) is table:
            yield [text for cell in row.iter("{*}tc") if _owner(cell) is table for text in _cell(cell)]


def _owner(node: Any) -> Any:
    """The innermost table that a row or a cell is in."""
    return next(above for above in node.iterancestors() if local(above) == "tbl")


def _cell(cell: Any) -> list[str | None]:
    paragraphs = ("".join(_text(paragraph)).strip() for paragraph in descendants(cell, "p"))
    span = child(cell, "tcPr", "gridSpan")
    merge = child(cell, "tcPr", "vMerge")
    width = int(attribute(span, "val") or 1) if span is not None else 1
    continued = merge is not None and attribute(merge, "val") != "restart"
    rest: list[str | None] = [""] * (min(width, 100) - 1)
    return [None if continued else "\n".join(filter(None, paragraphs)), *rest]
