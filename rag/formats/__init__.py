"""Readers of single formats: a file's bytes → text by pages, with headings and what each page is called.

They run in a process of their own (`rag.extract`, which `rag.reader` starts), because parsers meet hostile
files; so each is imported when a file of its kind comes, and none knows documents, offsets, or messages for
people. A reader is a module with `read(source, options) -> Parsed`; what it cannot read is an `Unreadable`.
"""

from __future__ import annotations

import importlib
from pathlib import PurePath

from rag.formats.base import Options, Parsed, Source, Unreadable

READERS = {
    **dict.fromkeys((".txt", ".text", ".log", ".xml", ".rst", ".md", ".markdown"), "plain"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".csv", ".tsv"), "delimited"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "records"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"), "sheets"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"), "image"),
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".odt": "opendocument",
    ".odp": "opendocument",
    ".epub": "epub",
    ".eml": "mail",
    ".zip": "archive",
}


def read(source: Source, options: Options) -> Parsed:
    """Read a file of any known kind by the suffix of `options.name`; `Unreadable` says what is wrong."""
    suffix = PurePath(options.name).suffix.lower()
    if suffix not in READERS:
        raise Unreadable("unknown", suffix or "(none)")
    parsed: Parsed = importlib.import_module(f"rag.formats.{READERS[suffix]}").read(source, options)
    return parsed
