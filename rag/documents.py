"""A file or a URL → LangChain Documents, one a page, with their place in the source.

Every failure is a `DocumentError` with the reason and the remedy. It does not know how a format is read, nor
chunks, the index, or the folders that files come from.
"""

from __future__ import annotations

import mimetypes
import stat
import tempfile
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from langchain_core.documents import Document

from rag import cancel, formats
from rag.formats import READERS
from rag.formats.base import Options, Parsed, Unreadable
from rag.formats.reasons import PASSING, reason
from rag.reader import reader
from rag.recordings import DOUBTFUL, RECORDINGS, WEAKLY_HEARD, Hear, stretches

_TEXT = frozenset(suffix for suffix, module in READERS.items() if module == "plain")
_HTML = frozenset(suffix for suffix, module in READERS.items() if module == "html")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_ANY_TYPE = (
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-download",
    "application/zip",
)
SUFFIXES = frozenset(READERS) | RECORDINGS

MAX_FILE = 200_000_000  # bytes
MAX_TEXT = 20_000_000
MAX_HTML = 10_000_000
MAX_RECORDING = 2_000_000_000

# What people have that is not read, and what to do with it.
_CONVERT = {
    **dict.fromkeys((".doc", ".rtf", ".wpd", ".wps", ".pages"), "Save it as .docx, .odt or .pdf."),
    **dict.fromkeys((".ppt", ".key"), "Save it as .pptx or .pdf."),
    **dict.fromkeys((".numbers",), "Save it as .xlsx."),
    **dict.fromkeys((".msg", ".mbox", ".pst"), "Save each message as .eml."),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".djvu", ".ps", ".xps"), "Convert it to .epub or .pdf."),
    **dict.fromkeys((".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"), "Unpack it, or pack it as .zip."),
    **dict.fromkeys(
        (".dff", ".dsf", ".mpc", ".ra", ".rm", ".spx", ".ofr"), "Save it as .wav, .mp3 or .flac."
    ),
    **dict.fromkeys((".mid", ".midi"), "It holds notes, and no speech: leave it out."),
    **dict.fromkeys((".heic", ".gif", ".bmp", ".svg"), "Save it as .png or .jpg."),
}


class DocumentError(Exception):
    """A document that cannot be read: what is wrong with it, and what to do.

    `passing`: the reason may be gone at another try (a busy machine, a missing permission), and says nothing
    of the document's content.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


def max_bytes(suffix: str) -> int:
    """How large a file of this kind may be."""
    if suffix in RECORDINGS:
        return MAX_RECORDING
    return MAX_HTML if suffix in _HTML else MAX_TEXT if suffix in _TEXT else MAX_FILE


def load_file(path: Path, source: str, *, ocr: str = "auto", hear: Hear | None = None) -> list[Document]:
    r"""Read a file by its suffix: one Document a page; `source` is the name it goes by.

    ocr: languages of images and scanned pages: "none", "auto", or Tesseract's codes ("eng+deu"). hear: what
    is said in a recording; see `rag.recordings`.

    Metadata: source, title, page (from 1; None without pages), place (what a person calls the page: "page 3",
    "slide 4", "12:30"; "" without pages), at (seconds into a recording, else None), start (offset of the page
    in the source's whole text, in which pages are joined by one "\f"), headings ([offset in the page, text],
    where the layout or the markup tells them), notice and able (see `rag.formats.base.Parsed`). Raises
    `DocumentError`.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"{suffix} files" if suffix else "files without a suffix"
        remedy = _CONVERT.get(suffix, "Save it as PDF, Word or text.")
        raise DocumentError(f"Parley cannot read {what}. {remedy}")
    _check_file(path, max_bytes(suffix))
    if suffix in RECORDINGS:
        return _load_recording(path, source, hear)
    if suffix in _TEXT:
        return _documents(_here(path.read_bytes(), f"a{suffix}"), source, path.stem)
    return _documents(reader.read(path, name=f"a{suffix}", ocr=ocr), source, path.stem, suffix)


def load_url(
    url: str,
    *,
    allow_private: bool = False,
    timeout: float = 15.0,
    max_bytes: int = 20_000_000,
    ocr: str = "auto",
) -> list[Document]:
    """Read a web page's main text, or the document at a URL; `source` is the URL as given.

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
    suffix = _kind_of_body(got.body, got.media_type, name)
    if suffix in _HTML and len(got.body) > MAX_HTML:
        raise DocumentError(f"The page is larger than {MAX_HTML // 1_000_000} MB. Save its parts as files.")
    if suffix in _TEXT:
        return _documents(_here(got.body, f"a{suffix}", got.charset), url, name)
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        path = Path(folder, f"download{suffix}")
        path.write_bytes(got.body)
        reply = reader.read(path, name=path.name, charset=got.charset, url=got.url, ocr=ocr)
    return _documents(reply, url, name, suffix)


def _kind_of_body(body: bytes, media_type: str, name: str) -> str:
    """The suffix by which to read what came from a URL."""
    if media_type == "application/pdf" or body.startswith(b"%PDF-"):
        return ".pdf"
    if media_type in _HTML_TYPES or (not media_type and b"<html" in body[:2_000].lower()):
        return ".html"
    told = PurePath(name).suffix.lower() if media_type in _ANY_TYPE else mimetypes.guess_extension(media_type)
    if told in READERS and told not in _HTML:
        return told
    if media_type in ("", "application/xml") or media_type.startswith("text/"):
        return ".txt"
    raise DocumentError(
        f"At this address is no text but {media_type[:60]}. Only pages and documents are read."
    )


def _here(data: bytes, name: str, charset: str | None = None) -> dict[str, Any]:
    """Plain text, which only decoders touch, in this process; the reply is as `reader.read`'s."""
    try:
        parsed: Parsed = formats.read(data, Options(name, charset))
    except Unreadable as error:
        return {"error": error.code, "detail": error.detail}
    pages = [{"text": page.text, "place": page.place} for page in parsed.pages]
    return {"pages": pages, "title": parsed.title, "paged": parsed.paged}


def _check_file(path: Path, limit: int) -> None:
    """A DocumentError for what is no file, unreadable, empty or larger than `limit`."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DocumentError("This is not an ordinary file. Add the file itself.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise DocumentError("The file is gone. Add it again.", passing=True) from None
    except OSError as error:
        cause = f"The file cannot be opened ({error.strerror}). Check its permissions."
        raise DocumentError(cause, passing=True) from None
    if info.st_size > limit:
        raise DocumentError(f"The file is larger than {limit // 1_000_000} MB. Split it into parts.")
    if not info.st_size:
        raise DocumentError(reason("empty"))


def _load_recording(path: Path, source: str, hear: Hear | None) -> list[Document]:
    if hear is None:
        raise DocumentError("Recordings are not read here. Add its transcript as a text file.")
    token = cancel.current()
    heard = hear(path, lambda: token.cancelled)
    doubt, able = (DOUBTFUL, WEAKLY_HEARD) if heard.doubtful_by else ("", "")
    pages = [
        {"text": text, "place": f"{place}{doubt}", "at": at} for at, place, text in stretches(heard.said)
    ]
    token.raise_if_cancelled()
    if not pages:
        raise DocumentError("Nobody speaks in the recording. Check that the right file was saved.")
    told = {"title": "", "paged": True, "notice": heard.notice, "able": able}
    return _documents({"pages": pages, **told}, source, path.stem)


def _documents(reply: dict[str, Any], source: str, name: str, suffix: str = "") -> list[Document]:
    if code := reply.get("error"):
        message = reason(code, str(reply.get("detail", "")), suffix)
        raise DocumentError(message, passing=code in PASSING)
    documents, start = [], 0
    for number, page in enumerate(reply["pages"], 1):
        metadata = {
            "source": source,
            "title": reply["title"] or name,
            "page": number if reply["paged"] else None,
            "place": page["place"],
            "at": page.get("at"),
            "start": start,
            "headings": [(offset, text) for offset, text in page.get("headings", ())],
            "notice": reply.get("notice", ""),
            "able": reply.get("able", ""),
        }
        documents.append(Document(page["text"], metadata=metadata))
        start += len(page["text"]) + 1
    return documents
