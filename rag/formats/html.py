"""A web page: its main text as one page, with its headings."""

from __future__ import annotations

import re

from rag.formats.base import MAX_TEXT, Options, Page, Parsed, Source, Unreadable, all_bytes
from rag.formats.plain import text_of
from rag.formats.titles import first_line, sensible

_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*["']?\s*([-\w:.]{2,40})""", re.I
)
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LINE = re.compile(r"[^\n]+")


def read(source: Source, options: Options) -> Parsed:
    import trafilatura

    html = html_of(all_bytes(source), options.charset)
    tree = trafilatura.load_html(html)
    if tree is None:
        raise Unreadable("no_html")
    names = {" ".join(node.text_content().split()) for node in tree.iter("h1", "h2", "h3", "h4", "h5", "h6")}
    title = " ".join((tree.findtext(".//title") or "").split())
    first = next((" ".join(node.text_content().split()) for node in tree.iter("h1")), "")
    text = trafilatura.extract(
        html, url=options.url, include_comments=False, include_tables=True
    ) or trafilatura.html2txt(tree)
    if not text.strip():
        raise Unreadable("no_text", "blank")
    if len(text) > MAX_TEXT:
        raise Unreadable("too_long")
    headings = [(m.start(), m.group().strip()) for m in _LINE.finditer(text) if m.group().strip() in names]
    pages = [Page(text, headings)]
    return Parsed(pages, sensible(title or first) or first_line(pages), paged=False)


def html_of(data: bytes, declared: str | None) -> str:
    """The decoded markup, by what the sender or the page itself declares."""
    if declared is None and (match := _CHARSET.search(data[:4096])):
        declared = match[1].decode("ascii")
    return _XML_DECLARATION.sub("", text_of(data, declared))
