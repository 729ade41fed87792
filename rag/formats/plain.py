"""Text of any encoding, Markdown and reStructuredText among it: as it is."""

from __future__ import annotations

from rag.encoding import NotTextError, decode
from rag.formats.base import Options, Page, Parsed, Source, Unreadable, all_bytes
from rag.formats.titles import sensible
from rag.headings import find_title


def read(source: Source, options: Options) -> Parsed:
    text = text_of(source, options.charset)
    return Parsed([Page(text)], sensible(find_title(text)), paged=False)


def text_of(source: Source, charset: str | None = None) -> str:
    """The decoded and cleaned text; `Unreadable` for what is none."""
    try:
        text = decode(all_bytes(source), charset)
    except NotTextError as error:
        raise Unreadable("not_text", error.kind) from None
    if not text.strip():
        raise Unreadable("white_space")
    return text
