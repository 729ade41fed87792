"""What a document calls itself, if that names anything."""

from __future__ import annotations

import re

from rag.encoding import clean
from rag.formats.base import Page

_NO_TITLE = re.compile(
    r"untitled.{0,3}|document ?\d*|title|powerpoint presentation|.*\.[a-z]\w{1,4}|[\W\d_]*|\S*[\\/]\S*", re.I
)
_PROGRAM = re.compile(r"^microsoft (?:office )?\w+ - ", re.I)


def sensible(title: str) -> str:
    """The title on one line; "" for a file's name, a program's default, or what else names nothing."""
    title = _PROGRAM.sub("", " ".join(clean(title).split()))
    return "" if _NO_TITLE.fullmatch(title) or len(title) > 200 else title


def first_line(pages: list[Page]) -> str:
    """The first heading of the first page with text, else its first line if that could be one."""
    for page in pages:
        if lines := [text for _, text in page.headings[:1]] or page.text.strip().split("\n", 1)[:1]:
            line = " ".join(lines[0].split())
            if _could_be_title(line):
                return line
            if line:
                return ""
    return ""


def _could_be_title(line: str) -> bool:
    letters = sum(map(str.isalpha, line))
    return 3 <= len(line) <= 100 and letters >= 3 and not line.endswith((".", ",", ";", ":"))
