"""Documents → chunks that know their place in the source, with a header that is searched but not quoted.

Cuts are offsets from the first to the last step, so a chunk's place is exact whatever repeats in the text. It
does not know embeddings, the store, or how a document was read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.documents import Document

from rag.headings import LONGEST, find_headings
from rag.recordings import DOUBTFUL
from rag.subject import subject

Span = tuple[int, int]

# From coarse to fine: a block, a line, a sentence, a clause, a word. A cut comes behind the match.
_SEPARATORS = tuple(
    re.compile(pattern)
    for pattern in (r"\n[ \t]*\n\s*", r"\n", r"[.!?…][\"'”’)\]]*\s+|[。！？]", r"[;:,]\s+|[，、；：]", r"\s+")
)
_JOINT = " · "  # between the parts of a header
_BLANK_LINE = re.compile("\n\n")


@dataclass(frozen=True)
class Chunk:
    """A piece of one source; `text` is exactly the source's text from `start` to `end`."""

    source: str  # path relative to its corpus folder, or a URL
    text: str
    start: int  # offset in the source's whole text (characters, a line end is one; pages joined by one "\f")
    end: int
    page: int | None = None  # 1-based; None where the source has no pages (slides, sheets, chapters, …)
    title: str = ""
    section: str = ""
    header: str = ""  # title, section and place; embedded and searched with the text, never quoted
    place: str = ""  # what a person calls the page: "page 3", "slide 4", "sheet Costs", "12:30"
    at: float | None = None  # seconds into a recording

    @property
    def indexed_text(self) -> str:
        """What is embedded and searched."""
        return f"{self.header}\n{self.text}" if self.header else self.text

    @property
    def document(self) -> str:
        """What of the header names the whole document."""
        own = (self.section, f"page {self.page}")
        return _JOINT.join(part for part in self.header.split(_JOINT) if part not in own)


def split_documents(
    documents: Sequence[Document],
    *,
    size: int = 1000,
    overlap: int = 150,
    splitter: Literal["recursive", "character"] = "recursive",
) -> list[Chunk]:
    """Split the pages of one or more sources; a chunk never spans pages and is never blank.

    size, overlap: characters, overlap < size. "recursive" cuts at the coarsest boundary in the second half of
    what fits, so no chunk is longer than `size`. "character" is LangChain's CharacterTextSplitter: it cuts at
    blank lines only, so that a long paragraph stays whole however small `size` is.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(f"Set a chunk size of at least 1 and an overlap below it, not {size} and {overlap}.")
    splitters = {"recursive": _recursive, "character": _character}
    if splitter not in splitters:
        raise ValueError(f"There is no splitter {splitter!r}. Choose one of: {', '.join(splitters)}.")
    chunks: list[Chunk] = []
    source, section, names = "", "", _names(documents)
    for document in documents:
        if document.metadata["source"] != source:
            source, section = document.metadata["source"], ""
        text = document.page_content
        headings = _headings(document)
        spans = splitters[splitter](text, size, overlap, [start for start, _ in headings])
        stripped = (_strip(text, span) for span in spans)
        chunks.extend(_chunk(document, span, headings, section, names[source]) for span in stripped if span)
        section = headings[-1][1] if headings else section
    return chunks


def _headings(document: Document) -> list[tuple[int, str]]:
    """The page's headings by its layout or markup where the document tells them, else by its text."""
    told = document.metadata.get("headings")
    return [(start, name[:LONGEST]) for start, name in told] if told else find_headings(document.page_content)


def _chunk(
    document: Document, span: Span, headings: Sequence[tuple[int, str]], section: str, name: str
) -> Chunk:
    """`section`: the heading that an earlier page left open; `name`: the whole document's."""
    start, end = span
    before = bisect_right(headings, start, key=lambda heading: heading[0])
    section = headings[before - 1][1] if before else section
    title, page, offset = (document.metadata.get(key) for key in ("title", "page", "start"))
    place = document.metadata.get("place", "")
    names = [name, section if section != title else "", place.removesuffix(DOUBTFUL)]
    return Chunk(
        source=document.metadata["source"],
        text=document.page_content[start:end],
        start=(offset or 0) + start,
        end=(offset or 0) + end,
        page=page,
        title=title or "",
        section=section,
        header=_JOINT.join(name for name in names if name),
        place=place,
        at=document.metadata.get("at"),
    )


def _names(documents: Sequence[Document]) -> dict[str, str]:
    """Each source's name."""
    pages: dict[str, list[Document]] = {}
    for document in documents:
        pages.setdefault(document.metadata["source"], []).append(document)
    return {source: _name(source, own) for source, own in pages.items()}


def _name(source: str, pages: Sequence[Document]) -> str:
    """What tells the document from others: its file's name as words, its title, what it is about."""
    title = pages[0].metadata.get("title") or ""
    name = _words(re.sub(r"\.\w{1,5}$", "", source))[-LONGEST:]
    if _words(title).casefold() == name.casefold():
        name = ""
    about = subject([page.page_content for page in pages], f"{name} {title}") if len(pages) > 1 else ""
    return _JOINT.join(part for part in (name, title, about) if part)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text))


def _strip(text: str, span: Span) -> Span | None:
    """The span without white space at its ends; None if nothing is left."""
    piece = text[slice(*span)]
    start = span[0] + len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    return (start, end) if start < end else None


def _recursive(text: str, size: int, overlap: int, headings: Sequence[int]) -> Iterator[Span]:
    start, done, begins = 0, 0, frozenset(headings)
    while done < len(text):
        end = _cut(text, start, size, overlap, headings) if len(text) - start > size else len(text)
        if not text[done:end].isspace():  # else it would only repeat the overlap
            yield start, end
        start = end if end in begins else max(start + 1, _resume(text, end - overlap, end))
        done = end


def _cut(text: str, start: int, size: int, overlap: int, headings: Sequence[int]) -> int:
    """The last heading in the second half of what fits, else the coarsest boundary's last, else the limit."""
    low, high = start + max(size // 2, overlap) + 1, start + size
    after = bisect_right(headings, high)
    if after and headings[after - 1] >= low:
        return headings[after - 1]
    for separator in _SEPARATORS:
        if ends := [match.end() for match in separator.finditer(text, low, high)]:
            return ends[-1]
    return high


def _resume(text: str, low: int, high: int) -> int:
    """Where the next chunk begins, so that it repeats the end of this one: at a sentence, else at a word."""
    for separator in (_SEPARATORS[0], _SEPARATORS[2], _SEPARATORS[4]):
        if (match := separator.search(text, low, high)) and match.end() < high:
            return match.end()
    return low


def _character(text: str, size: int, overlap: int, headings: Sequence[int]) -> Iterator[Span]:
    """LangChain's CharacterTextSplitter on offsets; its own gives only texts, which may repeat."""
    held: list[Span] = []
    for piece in _paragraphs(text):
        if held and piece[1] - piece[0] + _joined(held) + 2 > size:
            yield held[0][0], held[-1][1]
            while held and (_joined(held) > overlap or piece[1] - piece[0] + _joined(held) + 2 > size):
                held.pop(0)
        held.append(piece)
    if held:
        yield held[0][0], held[-1][1]


def _paragraphs(text: str) -> Iterator[Span]:
    start = 0
    for match in _BLANK_LINE.finditer(text):
        if match.start() > start:
            yield start, match.start()
        start = match.end()
    if len(text) > start:
        yield start, len(text)


def _joined(pieces: Sequence[Span]) -> int:
    """The length of the pieces joined by one blank line."""
    return sum(end - start for start, end in pieces) + 2 * (len(pieces) - 1)
