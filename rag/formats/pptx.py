"""A PowerPoint presentation: one page a slide, with its text, tables, figures of charts, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.formats.base import Options, Page, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.docx import title_of
from rag.formats.package import Package, attribute, child, descendants, local, open_package, reference
from rag.formats.titles import first_line, sensible

_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})  # of every slide, and of no one's content
_MAIN = "ppt/presentation.xml"

Relations = dict[str, tuple[str, str]]


def read(source: Source, options: Options) -> Parsed:
    with open_package(source) as package:
        pages = []
        for number, part in enumerate(_slides(package), 1):
            options.alive()
            pages.append(_slide(package, part, f"slide {number}"))
        title = title_of(package)
    if not any(page.text for page in pages):
        raise Unreadable("no_text", "blank")
    return Parsed(pages, sensible(title) or first_line(pages))


def _slides(package: Package) -> list[str]:
    """The slides' parts in the order in which they are shown."""
    relations = package.relations(_MAIN)
    wanted = (reference(node, "id") for node in descendants(package.tree(_MAIN), "sldId"))
    return [relations[identifier][1] for identifier in wanted if identifier in relations]


def _slide(package: Package, part: str, place: str) -> Page:
    relations = package.relations(part)
    writer = Writer()
    shapes = list(_shapes(child(package.tree(part), "cSld", "spTree")))
    for shape in sorted(shapes, key=lambda shape: _role(shape) not in _TITLES):
        _write(shape, writer, package, relations)
    for kind, notes in relations.values():
        if kind == "notesSlide" and notes in package:
            _write_notes(package.tree(notes), writer)
    return writer.page(place)


def _shapes(tree: Any) -> Iterator[Any]:
    """The shapes on a slide, those in groups among them."""
    for node in tree if tree is not None else ():
        if local(node) == "grpSp":
            yield from _shapes(node)
        elif local(node) in ("sp", "graphicFrame"):
            yield node
        elif local(node) == "AlternateContent":
            yield from _shapes(child(node, "Choice"))


def _role(shape: Any) -> str:
    """ "title", "body", …; "" for a shape that no layout has a place for."""
    placeholder = child(shape, "nvSpPr", "nvPr", "ph")
    return "" if placeholder is None else attribute(placeholder, "type") or "body"


def _write(shape: Any, writer: Writer, package: Package, relations: Relations) -> None:
    role = _role(shape)
    if role in _FURNITURE:
        return
    text = "\n".join(_paragraphs(child(shape, "txBody")))
    if role in _TITLES:
        writer.heading(text)
    else:
        writer.paragraph(text)
    for table in descendants(shape, "tbl"):
        writer.table([_cell(cell) for cell in row if local(cell) == "tc"] for row in descendants(table, "tr"))
    for name, attribute_name, render in (("chart", "id", _chart), ("relIds", "dm", _diagram)):
        for node in descendants(shape, name):
            _, part = relations.get(reference(node, attribute_name), ("", ""))
            if part in package:
                render(package.tree(part), writer)


def _cell(cell: Any) -> str | None:
    if attribute(cell, "vMerge") in ("1", "true"):
        return None
    return "\n".join(_paragraphs(child(cell, "txBody")))


def _paragraphs(body: Any) -> Iterator[str]:
    for paragraph in descendants(body, "p") if body is not None else ():
        pieces = (
            "\n" if local(node) == "br" else node.text or "" for node in paragraph.iter("{*}t", "{*}br")
        )
        if text := "".join(pieces).strip():
            yield text


def _chart(root: Any, writer: Writer) -> None:
    """A chart's figures: a line a series."""
    for title in descendants(root, "title"):
        writer.paragraph("".join(node.text or "" for node in descendants(title, "t")))
    for series in descendants(root, "ser"):
        name = " ".join(_points(child(series, "tx")).values())
        categories, values = _points(child(series, "cat")), _points(child(series, "val"))
        said = (f"{categories.get(index, '')} {value}".strip() for index, value in values.items())
        writer.paragraph(f"{name}: {'; '.join(said)}" if values else name)


def _points(node: Any) -> dict[int, str]:
    """Index → the value that the chart keeps."""
    if node is None:
        return {}
    points = {
        int(attribute(p, "idx") or 0): child(p, "v").text or ""
        for p in descendants(node, "pt")
        if child(p, "v") is not None
    }
    return points or {0: "".join(value.text or "" for value in descendants(node, "v"))}


def _diagram(root: Any, writer: Writer) -> None:
    """The words of a SmartArt drawing."""
    writer.paragraph("\n".join(text for node in descendants(root, "pt") for text in _paragraphs(node)))


def _write_notes(root: Any, writer: Writer) -> None:
    for shape in _shapes(child(root, "cSld", "spTree")):
        if _role(shape) == "body" and (text := "\n".join(_paragraphs(child(shape, "txBody")))):
            writer.paragraph(f"Notes: {text}")
