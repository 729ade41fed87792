"""HTML that is all content, as in an e-book or an e-mail → blocks. (Of a web page most is not: `html`.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.formats.blocks import Writer

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LEFT_OUT = frozenset(
    {"script", "style", "head", "template", "noscript", "svg", "object", "iframe", "select"}
)
_MOST_SPANNED = 100  # rows or columns that a cell reaches over
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "br",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "rb",
        "rp",
        "rt",
        "rtc",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)


def parse_html(html: str) -> Any:
    """The body; None for what holds nothing."""
    from lxml import etree
    from lxml import html as lxml_html

    try:
        root = lxml_html.document_fromstring(
            html, parser=lxml_html.HTMLParser(huge_tree=False, no_network=True)
        )
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    body = root.find(".//body")
    return root if body is None else body


def write_html(root: Any, writer: Writer) -> None:
    """Write down the blocks under `root`."""
    pieces: list[str] = []
    for kind, value in _events(root):
        if kind == "text":
            pieces.append(value)
            continue
        writer.paragraph(_one_line(pieces))
        pieces.clear()
        if kind == "heading":
            writer.heading(value.text_content())
        elif kind == "table":
            writer.table(_rows(value))
        elif kind == "item":
            writer.paragraph("- " + _one_line([value]), close=True)
        elif kind == "lines":
            writer.paragraph(value.text_content().strip("\n"))
    writer.paragraph(_one_line(pieces))


def _one_line(pieces: list[str]) -> str:
    lines = "".join(pieces).split("\0")  # what stands for <br>
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _events(node: Any) -> Iterator[tuple[str, Any]]:
    """("text", str), and an event for each block; ("", None) where a paragraph begins or ends."""
    if node.text:
        yield "text", node.text
    for item in node:
        yield from _event(item)
        if item.tail:
            yield "text", item.tail


def _event(item: Any) -> Iterator[tuple[str, Any]]:
    name = item.tag if isinstance(item.tag, str) else ""
    if name == "br":
        yield "text", "\0"
    elif name in _HEADINGS:
        yield "heading", item
    elif name == "table" and not _is_layout(item):
        yield "table", item
    elif name == "pre":
        yield "lines", item
    elif name == "li" and not any(child.tag not in _INLINE for child in item if isinstance(child.tag, str)):
        yield "item", item.text_content()
    elif name in _INLINE:
        yield from _events(item)
    elif name and name not in _LEFT_OUT:
        yield "", None
        yield from _events(item)
        yield "", None


def _is_layout(table: Any) -> bool:
    """E-mails are laid out with tables: one that holds tables or headings, or has one column, is no table."""
    if table.find(".//table") is not None or any(True for _ in table.iter(*_HEADINGS)):
        return True
    return all(len(row.findall("td") + row.findall("th")) < 2 for row in table.iter("tr"))


def _rows(table: Any) -> Iterator[list[str | None]]:
    """The cells, each in its column: others may reach into a row from above."""
    reach: dict[int, int] = {}  # column → rows below that its cell reaches into
    for row in table.iter("tr"):
        waiting = [cell for cell in row if cell.tag in ("td", "th")]
        cells: list[str | None] = []
        last = max(reach, default=-1)
        while waiting or len(cells) <= last:
            if reach.get(len(cells)):
                reach[len(cells)] -= 1
                cells.append(None)
            elif waiting:
                _place(waiting.pop(0), cells, reach)
            else:
                cells.append("")
        reach = {column: rows for column, rows in reach.items() if rows}
        yield cells


def _place(cell: Any, cells: list[str | None], reach: dict[int, int]) -> None:
    down, across = (_span(cell, name) for name in ("rowspan", "colspan"))
    for column in range(len(cells), len(cells) + across):
        reach[column] = down - 1
    cells += [cell.text_content(), *[""] * (across - 1)]


def _span(cell: Any, name: str) -> int:
    value = (cell.get(name) or "").strip()
    return min(max(int(value), 1), _MOST_SPANNED) if value.isascii() and value.isdigit() else 1
