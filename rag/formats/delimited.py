"""Comma- or tab-separated values, as a table."""

from __future__ import annotations

import csv
import io

from rag.formats.base import MAX_TEXT, Options, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.plain import text_of

_DELIMITERS = ",;\t|"
_SAMPLE = 64_000  # characters


def read(source: Source, options: Options) -> Parsed:
    text = text_of(source, options.charset)
    csv.field_size_limit(MAX_TEXT)
    writer = Writer()
    writer.table(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text[:_SAMPLE])))
    page = writer.page()
    if not page.text:
        raise Unreadable("no_text", "blank")
    return Parsed([page], paged=False)


def _delimiter(sample: str) -> str:
    """The one that cuts most lines into the same number of cells, and into more than one."""
    lines = [line for line in sample.split("\n")[:100] if line.strip()]

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        usual = max(set(widths), key=lambda width: (width > 1, widths.count(width)), default=1)
        return (widths.count(usual) if usual > 1 else 0, usual)

    return max(_DELIMITERS, key=agreement)
