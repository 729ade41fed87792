"""What a file holds as files: each read as a document of its own kind, and a list of what became of it."""

from __future__ import annotations

from pathlib import PurePath

from rag.encoding import clean
from rag.formats import READERS, read
from rag.formats.base import MOST_DEEP, Options, Page, Unreadable
from rag.formats.reasons import reason

_HOLDERS = frozenset({".zip", ".eml"})  # which are worth nothing without what is in them


def part_name(name: str) -> str:
    """A part's name for people: its folders and its file name, without those that lead out of the archive."""
    parts = " ".join(clean(name.replace("\\", "/")).split()).split("/")
    return "/".join(part.strip() for part in parts if part.strip() not in ("", ".", ".."))[-200:] or "unnamed"


def read_part(data: bytes, name: str, options: Options, *, label: str = "") -> tuple[list[Page], str]:
    """The pages of one part, and why there are none: "" if it was read."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in READERS:
        return [], reason("unknown", suffix or "(none)")
    if options.depth >= MOST_DEEP - (suffix in _HOLDERS):
        return [], reason("nested")
    options.alive()
    try:
        options.allowance.take(len(data))
        parsed = read(data, options.within(name))
    except Unreadable as error:
        return [], reason(error.code, error.detail, suffix)
    for page in parsed.pages:
        page.place = ", ".join(filter(None, (label or name, page.place)))
    return parsed.pages, ""
