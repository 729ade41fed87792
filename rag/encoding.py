"""Bytes of an unknown encoding → clean text.

The order of trust: a byte order mark, what the sender declared, strict UTF-8, then detection. chardet
detects, for it was right more often than charset-normalizer on short texts; that one is asked next.
It does not know what the text is for, nor where the bytes came from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_MAGIC = (
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "ZIP archive or Office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office document"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x7fELF", "program"),
    (b"{\\rtf", "RTF document"),
    (b"SQLite format 3\x00", "SQLite database"),
)
_SAMPLE = 200_000  # bytes that detection looks at; more cost time and change nothing
_LINE_END = re.compile("\r\n?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_NOT_TEXT = re.compile("[\ud800-\udfff\ufffe\uffff]")
_STRAY = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f]")  # controls that no plain text uses; ESC may be ISO-2022


class NotTextError(ValueError):
    """The bytes are not text; `kind` says what they look like."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def kind_of(data: bytes) -> str:
    """What the first bytes say that a file is ("PDF document", …); "" if they say nothing."""
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode bytes of any encoding and `clean` the text; raises `NotTextError` for anything but text.

    declared: the encoding that a header or the document itself names; used if it exists and fits.
    """
    if kind := kind_of(data):
        raise NotTextError(kind)
    for mark, name in _BOMS:
        if data.startswith(mark):
            return clean(data[len(mark) :].decode(name, "replace"))
    if (text := _damaged_utf8(data)) is not None:
        return clean(text)
    for name in _candidates(data, declared):
        if (text := _strict(data, name)) is not None and not _is_binary(text):
            return clean(text)
    text = data.decode(_chardet(data) or "utf-8", "replace")  # text with some broken bytes, if it is any
    if _is_binary(text) or text.count("\ufffd") > len(text) / 50:
        raise NotTextError("binary data")
    return clean(text)


def clean(text: str) -> str:
    r"""One character for one: line ends, and what SQLite, JSON or HTML cannot hold, are replaced.

    Control characters become spaces, a form feed a line end (it is the mark between pages), lone surrogates
    and noncharacters U+FFFD; only the pair "\r\n" shrinks, so that offsets count a line end once.
    """
    text = _LINE_END.sub("\n", text).replace("\f", "\n")
    return _NOT_TEXT.sub("\ufffd", _CONTROL.sub(" ", text))


def _candidates(data: bytes, declared: str | None) -> Iterator[str]:
    if declared:
        yield declared
    if b"\x1b" not in data and b"\x00" not in data:  # else perhaps ISO-2022, UTF-16 or UTF-32
        yield "utf-8"
    if found := _chardet(data):
        if (
            found.startswith("mac") and found != "mac-cyrillic"
        ):  # a guess at a few bytes; nobody writes these now
            yield "cp1252"
        if found == "gb18030":  # the smallest of the family that holds the text
            yield from ("gb2312", "gbk")
        yield found
    if found := _charset_normalizer(data):
        yield found
    yield "utf-8"


def _damaged_utf8(data: bytes) -> str | None:
    """UTF-8 with a few broken bytes; of other encodings, read as UTF-8, nearly all but ASCII breaks."""
    if b"\x00" in data:
        return None
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    wide = len(text) - len(text.encode("ascii", "ignore")) - broken
    return text if 0 < broken <= wide / 10 else None


def _chardet(data: bytes) -> str | None:
    import chardet

    name = chardet.detect(data[:_SAMPLE])["encoding"]
    return codecs.lookup(name).name if name else None


def _charset_normalizer(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    return best.encoding if best else None


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _is_binary(text: str) -> bool:
    """Whether a decoded text holds so many stray controls that it was none: more than 1 in 200."""
    return len(_STRAY.findall(text)) > len(text) / 200
