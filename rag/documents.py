"""A file or a URL → LangChain Documents, one a page, with their place in the source.

Every failure is a `DocumentError` with the reason and the remedy. It does not know chunks, the index, or the
folders that files come from.
"""

from __future__ import annotations

import re
import stat
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from langchain_core.documents import Document

from rag.encoding import NotTextError, clean, decode, kind_of
from rag.headings import find_title
from rag.reader import reader

_TEXT = frozenset({".txt", ".text", ".log", ".csv", ".tsv", ".xml", ".rst"})
_MARKDOWN = frozenset({".md", ".markdown"})
_HTML = frozenset({".html", ".htm", ".xhtml"})
_PDF = frozenset({".pdf"})
_HTML_TYPES = ("text/html", "application/xhtml+xml")
SUFFIXES = _TEXT | _MARKDOWN | _HTML | _PDF

MAX_PDF = 200_000_000  # bytes
MAX_TEXT = 20_000_000
MAX_HTML = 10_000_000

_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*["']?\s*([-\w:.]{2,40})""", re.I
)
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_BAD_TITLE = re.compile(r"untitled.{0,3}|document ?\d*|title|.*\.[a-z]\w{1,4}|[\W\d_]*|\S*[\\/]\S*", re.I)
_PROGRAM = re.compile(r"^microsoft (?:office )?\w+ - ", re.I)


class DocumentError(Exception):
    """A document that cannot be read: what is wrong with it, and what to do.

    `passing`: the reason may be gone at another try (a busy machine, a missing permission), and says nothing
    of the document's content.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


_ERRORS = {
    "encrypted": "The PDF is encrypted with a password. Save a copy without the password and add that.",
    "broken": "The PDF is broken: its structure cannot be read. Open it in a viewer and save it again.",
    "no_pages": "The PDF has no pages. Export it again.",
    "too_long": "The document has more than 20 million characters. Split it into parts.",
    "no_html": "The file holds no HTML. Save the page again, or rename the file if it is of another type.",
    "timeout": "The document took too long to read. Split it, or save it again with another program.",
    "crashed": "The document made its reader crash. Open it in a viewer and print it to a new PDF.",
    "failed": "The document could not be read ({detail}). Save it again with another program.",
}
_WHOLE = {"page": None, "place": "", "at": None, "start": 0}  # where a source without pages lies
_PASSING = {"timeout", "crashed"}
_NO_TEXT = {
    "images": "The PDF has no text, only images (a scan?). Run OCR on it first, for example with ocrmypdf.",
    "unreadable": "The PDF's text has no readable characters (its fonts name none). Run OCR on it first.",
    "annotations": "The PDF has no text of its own, only form fields or annotations. Print it to a new PDF.",
    "drawings": "The PDF has no text, only drawings. If they show letters, run OCR on it first.",
    "broken": "The PDF's pages are broken, none can be read. Open it in a viewer and save it again.",
    "blank": "The document is blank: it has no text at all. Check that the right file was saved.",
}


def load_file(path: Path, source: str) -> list[Document]:
    r"""Read a file by its suffix: one Document a page; `source` is the name it goes by.

    Metadata: source, title, page (from 1; None without pages), start (offset of the page in the source's
    whole text, in which pages are joined by one "\f"), headings ([offset in the page, text], where the layout
    or the markup tells them). Raises `DocumentError`.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise DocumentError(f"Files of type {suffix or '(none)'} are not read. Known types: {known}.")
    if suffix in _PDF:
        return _load_pdf(path, source, path.stem)
    data = _read_bytes(path, MAX_HTML if suffix in _HTML else MAX_TEXT)
    if suffix in _HTML:
        return _load_html(data, source, path.stem)
    return _load_text(data, source, path.stem)


def load_url(
    url: str, *, allow_private: bool = False, timeout: float = 15.0, max_bytes: int = 20_000_000
) -> list[Document]:
    """Read a web page's main text, or the PDF or plain text at a URL; `source` is the URL as given.

    timeout: seconds for the whole download; max_bytes: of the decompressed body. Metadata and errors as in
    `load_file`; an address that is not public is refused unless `allow_private`.
    """
    from rag.fetch import FetchError, fetch

    try:
        got = fetch(url, allow_private=allow_private, timeout=timeout, max_bytes=max_bytes)
    except FetchError as error:
        raise DocumentError(str(error)) from None
    if not got.body:
        raise DocumentError("The page is empty. Open it in a browser to see why.")
    name = unquote(urlsplit(got.url).path).rstrip("/").rpartition("/")[2] or urlsplit(got.url).netloc
    if got.media_type == "application/pdf" or got.body.startswith(b"%PDF-"):
        with tempfile.TemporaryDirectory(prefix="parley-") as folder:
            path = Path(folder, "download.pdf")
            path.write_bytes(got.body)
            return _load_pdf(path, url, name)
    if got.media_type in _HTML_TYPES or (not got.media_type and b"<html" in got.body[:2_000].lower()):
        if len(got.body) > MAX_HTML:
            raise DocumentError(
                f"The page is larger than {MAX_HTML // 1_000_000} MB. Save its parts as files."
            )
        return _load_html(got.body, url, name, got.charset, got.url)
    if got.media_type in ("", "application/xml") or got.media_type.startswith("text/"):
        return _load_text(got.body, url, name, got.charset)
    raise DocumentError(
        f"At this address is no text but {got.media_type[:60]}. Only pages, PDFs and texts are read."
    )


def _read_bytes(path: Path, limit: int) -> bytes:
    """The file's bytes; a DocumentError for what is no file, unreadable, empty or larger than `limit`."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DocumentError("This is not an ordinary file. Add the file itself.")
        if info.st_size > limit:
            raise DocumentError(f"The file is larger than {limit // 1_000_000} MB. Split it into parts.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DocumentError("The file is gone. Add it again.", passing=True) from None
    except OSError as error:
        reason = f"The file cannot be opened ({error.strerror}). Check its permissions."
        raise DocumentError(reason, passing=True) from None
    if not data:
        raise DocumentError("The file is empty (0 bytes). Check that it was saved or copied completely.")
    return data


def _load_pdf(path: Path, source: str, name: str) -> list[Document]:
    head = _read_bytes(path, MAX_PDF)[:1024]
    if b"%PDF-" not in head:
        looks = kind_of(head) or ("an HTML page" if b"<html" in head.lower() else "something else")
        raise DocumentError(f"This is no PDF: it begins like {looks}. Rename it, or download it again.")
    return _documents(reader.read_pdf(path), source, name)


def _load_html(
    data: bytes, source: str, name: str, declared: str | None = None, url: str | None = None
) -> list[Document]:
    if declared is None and (match := _CHARSET.search(data[:4096])):
        declared = match[1].decode("ascii")
    html = _XML_DECLARATION.sub("", _decode(data, declared))
    return _documents(reader.read_html(html, url), source, name, paged=False)


def _load_text(data: bytes, source: str, name: str, declared: str | None = None) -> list[Document]:
    text = _decode(data, declared)
    if not text.strip():
        raise DocumentError("The file has no text, only white space. Check that the right file was saved.")
    title = _sensible_title(find_title(text)) or name
    return [Document(text, metadata={"source": source, "title": title, **_WHOLE})]


def _decode(data: bytes, declared: str | None) -> str:
    try:
        return decode(data, declared)
    except NotTextError as error:
        remedy = "Give it the right suffix, or save it as text."
        raise DocumentError(f"The file is not text: it looks like a {error.kind}. {remedy}") from None


def _documents(reply: dict[str, Any], source: str, name: str, paged: bool = True) -> list[Document]:
    if error := reply.get("error"):
        detail = str(reply.get("detail", ""))
        template = _NO_TEXT[detail] if error == "no_text" else _ERRORS[error]
        raise DocumentError(template.format(detail=detail[:120]), passing=error in _PASSING)
    pages = [clean(page["text"]) for page in reply["pages"]]
    headings = [[(start, clean(text)) for start, text in page["headings"]] for page in reply["pages"]]
    title = _sensible_title(reply["title"]) or _first_line(pages, headings) or name
    documents, start = [], 0
    for number, (text, marks) in enumerate(zip(pages, headings, strict=True), 1):
        place = {"page": number if paged else None, "start": start, "headings": marks}
        place |= {"place": f"page {number}" if paged else "", "at": None}
        documents.append(Document(text, metadata={"source": source, "title": title, **place}))
        start += len(text) + 1
    return documents


def _sensible_title(title: str) -> str:
    """The title on one line; "" for a file's name, a program's default, or what else names nothing."""
    title = _PROGRAM.sub("", " ".join(clean(title).split()))
    return "" if _BAD_TITLE.fullmatch(title) or len(title) > 200 else title


def _first_line(pages: list[str], headings: list[list[tuple[int, str]]]) -> str:
    """The first heading of the first page with text, else its first line if that could be one."""
    for text, marks in zip(pages, headings, strict=True):
        if lines := [mark for _, mark in marks[:1]] or text.strip().split("\n", 1)[:1]:
            line = " ".join(lines[0].split())
            if (
                3 <= len(line) <= 100
                and sum(map(str.isalpha, line)) >= 3
                and not line.endswith((".", ",", ";", ":"))
            ):
                return line
            if line:
                return ""
    return ""
