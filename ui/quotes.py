"""Which words of a passage an answer quotes, and how a page is cut to be shown. It knows text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rag.store import Page

_SENTENCE = re.compile(r"(?:[^.!?。！？\n]|[.!?]+(?=\w))+[.!?。！？]*")  # the point of 3.95 ends none
_CITATION = re.compile(r"\s*\[\d+\]")
_SHORTEST_QUOTE = 12  # characters; what is shorter agrees by chance
PART = 12_000  # characters of a page that are shown at once; a text file is one long page


@dataclass(frozen=True)
class View:
    """What the page view shows: one page, or a part of a long one."""

    number: int  # which view, from 0
    count: int
    page: int | None
    pages: int  # how many pages there are; 0: the document has none
    place: str  # the page, slide, sheet or moment, as a person reads it
    at: float | None  # seconds into a recording
    before: str
    passage: str  # the part to highlight
    after: str


def quoted_spans(passage: str, answer: str) -> list[tuple[int, int]]:
    """Where `passage` holds a whole sentence of `answer`, white space apart; [start, end) in characters."""
    spans = []
    for sentence in _SENTENCE.findall(_CITATION.sub("", answer)):
        words = sentence.strip(" \t\"'“”„«»*").split()
        if sum(map(len, words)) < _SHORTEST_QUOTE:
            continue
        found = re.search(r"\s+".join(map(re.escape, words)), passage) or _row(" ".join(words), passage)
        if found:
            spans.append(found.span())
    return sorted(spans)


def _row(said: str, passage: str) -> re.Match[str] | None:
    """Where `passage` has the values of "Part: BM-3310; Stock: 0" beside each other in a table."""
    values = [value.partition(": ")[2] or value for value in said.rstrip(".").split("; ")]
    if len(values) < 2:
        return None
    return re.search(r"\s*\|[\s|]*".join(map(re.escape, values)), passage)


def marked(passage: str, answer: str) -> list[tuple[str, bool]]:
    """The passage in pieces, each with whether the answer quotes it; the pieces join to the passage."""
    spans = quoted_spans(passage, answer)
    edges = sorted({0, len(passage), *(edge for span in spans for edge in span)})
    return [
        (passage[start:end], any(first <= start and end <= last for first, last in spans))
        for start, end in pairwise(edges)
    ]


def view(
    pages: Sequence[Page], *, start: int, end: int, number: int | None = None, page: int | None = None
) -> View | None:
    """The view with the passage [start, end) of the whole text; view `number`, or the first one of a `page`.

    None if there is none.
    """
    parts = [part for page in pages for part in _parts(page)]
    if number is None and page is not None:
        number = next((n for n, part in enumerate(parts) if part.page == page), -1)
    if number is None:
        number = next((n for n, part in enumerate(parts) if start < part.start + len(part.text)), 0)
    if not 0 <= number < len(parts):
        return None
    part = parts[number]
    first = min(max(start - part.start, 0), len(part.text))
    last = min(max(end - part.start, first), len(part.text))
    return View(
        number=number,
        count=len(parts),
        page=part.page,
        pages=max((page.page or 0 for page in pages), default=0),
        place=part.place,
        at=part.at,
        before=part.text[:first],
        passage=part.text[first:last],
        after=part.text[last:],
    )


def _parts(page: Page) -> list[Page]:
    """A page in pieces of at most `PART` characters, cut after a line where there is one."""
    parts, at = [], 0
    while len(page.text) - at > PART:
        cut = page.text.rfind("\n", at + PART // 2, at + PART) + 1 or at + PART
        parts.append(replace(page, text=page.text[at:cut], start=page.start + at))
        at = cut
    return [*parts, replace(page, text=page.text[at:], start=page.start + at)]
