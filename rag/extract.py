"""Runs in a process of its own: a PDF or an HTML page → text, title and headings.

Parsers in C meet hostile files here: one that crashes or never ends takes only this process along (see
`rag.reader`, which starts it, watches the clock and talks to it in lines of JSON). So this file imports
nothing of the project, and it knows nothing of documents, offsets or messages for people.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import re
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

_MAX_TEXT = 20_000_000  # characters of one document
_MAX_MEMORY = 3 * 2**30  # bytes
_LINE = re.compile(r"[^\n]+")
_FIRST_LINE = re.compile(r"\A\s*(?P<line>[^\n]+)\n\s*")
_LAST_LINE = re.compile(r"\s*\n(?P<line>[^\n]+)\s*\Z")
_DIGITS = re.compile(r"\d+")


def read_pdf(path: str) -> dict[str, Any]:
    """{"pages": [{"text", "headings": [[offset, text]]}], "title"} or {"error": code, "detail"}."""
    import pypdfium2
    import pypdfium2.raw as raw

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        return {"error": "encrypted" if locked else "broken", "detail": str(error)}
    if len(pdf) == 0:
        return {"error": "no_pages"}
    pages, kinds, size = [], set(), 0
    for number in range(len(pdf)):
        page, found = _read_page(pdf, number)
        kinds |= found
        pages.append(page)
        size += len(page["text"])
        if size > _MAX_TEXT:
            return {"error": "too_long"}
    if not any(page["text"].strip() for page in pages):
        return {"error": "no_text", "detail": _why_no_text(kinds), "page_count": len(pages)}
    _drop_running_lines(pages)
    return {"pages": pages, "title": pdf.get_metadata_value("Title") or ""}


def _drop_running_lines(pages: list[dict[str, Any]]) -> None:
    """Remove the first or last line of the pages where most have the same one but for its numbers.

    Running heads and feet would open every page with the words of no section, and be found by every search.
    """
    for pattern in (_FIRST_LINE, _LAST_LINE):
        found = [pattern.search(page["text"]) for page in pages]
        names = [_DIGITS.sub("#", match["line"]) if match else "" for match in found]
        common, times = Counter(name for name in names if name).most_common(1)[0] if any(names) else ("", 0)
        if times < 4 or times <= len(pages) / 2 or len(common) > 100:
            continue
        for page, match, name in zip(pages, found, names, strict=True):
            if match and name == common:
                cut = match.end() if pattern is _FIRST_LINE else 0
                page["text"] = page["text"][: match.start()] + page["text"][match.end() :]
                kept = [(start - cut, line) for start, line in page["headings"] if start >= cut]
                page["headings"] = [(start, line) for start, line in kept if start < len(page["text"])]


def _read_page(pdf: Any, number: int) -> tuple[dict[str, Any], set[int | str]]:
    """The page's text with its headings; for a page without text also the kinds of object on it."""
    import pypdfium2

    empty: dict[str, Any] = {"text": "", "headings": []}
    try:
        page = pdf[number]
    except pypdfium2.PdfiumError:
        return empty, {"broken"}
    try:
        text, headings = _page_text(page.get_textpage())
        if text.strip():
            return {"text": text, "headings": headings}, set()
        return empty, {item.type for item in page.get_objects(max_depth=3)} | _annotations(page)
    except pypdfium2.PdfiumError:
        return empty, {"broken"}
    finally:
        page.close()


def _annotations(page: Any) -> set[int | str]:
    import pypdfium2.raw as raw

    return {"annotations"} if raw.FPDFPage_GetAnnotCount(page) else set()


def _why_no_text(kinds: set[int | str]) -> str:
    import pypdfium2.raw as raw

    for kind, why in (
        (raw.FPDF_PAGEOBJ_IMAGE, "images"),
        (raw.FPDF_PAGEOBJ_TEXT, "unreadable"),
        ("annotations", "annotations"),
        (raw.FPDF_PAGEOBJ_PATH, "drawings"),
        (raw.FPDF_PAGEOBJ_SHADING, "drawings"),
        ("broken", "broken"),
    ):
        if kind in kinds:
            return why
    return "blank"


def _page_text(textpage: Any) -> tuple[str, list[tuple[int, str]]]:
    """The page's lines, with an empty one at gaps of the layout and around headings; and the headings."""
    raw_text = (
        textpage.get_text_range()
    )  # "\ufffe" or "\x02" stand for a hyphen that only the line end needed
    lines = [(match.start(), match.group().rstrip("\r")) for match in _LINE.finditer(raw_text)]
    lines = [(start, line) for start, line in lines if line.strip("\r \t")]
    boxes = [_line_box(textpage, start, line) for start, line in lines]
    heights = [top - bottom for (bottom, top), (_, line) in zip(boxes, lines, strict=True) for _ in line]
    body = statistics.median(heights) if heights else 0.0
    text, headings, previous = "", [], None
    for (_, line), (bottom, top) in zip(lines, boxes, strict=True):
        line = line.strip().replace("\ufffe", "").replace("\x02", "")
        heading = top - bottom > 1.12 * body and _could_be_heading(line)
        joined = text.endswith("\xad")
        if joined:
            text = text[:-1]  # a word that the line end had cut
        elif text:
            text += "\n\n" if _gap(previous, (bottom, top, heading), body) else "\n"
        if heading and not joined:
            headings.append((len(text), line))
        text += line
        previous = (bottom, top, heading)
    return text, _merge_headings(text, headings)


def _line_box(textpage: Any, start: int, line: str) -> tuple[float, float]:
    """Bottom and top of a line by its first visible character's loose box (the font's ascent and descent)."""
    import pypdfium2.raw as raw

    box = raw.FS_RECTF()
    for offset, character in enumerate(line):
        if character.isspace():
            continue
        index = raw.FPDFText_GetCharIndexFromTextIndex(textpage, start + offset)
        if index >= 0 and raw.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box)):
            return float(min(box.bottom, box.top)), float(max(box.bottom, box.top))
    return 0.0, 0.0


def _gap(previous: tuple[float, float, bool] | None, line: tuple[float, float, bool], body: float) -> bool:
    """Whether a block begins: a heading begins or ends, or the line is far below, or above (a new column)."""
    if previous is None:
        return False
    bottom, top, heading = previous
    return heading != line[2] or bottom - line[1] > 0.6 * body or line[0] > top


def _could_be_heading(line: str) -> bool:
    return len(line) <= 120 and sum(map(str.isalpha, line)) >= 3


def _merge_headings(text: str, headings: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Lines of one heading that follow each other become one."""
    merged: list[tuple[int, str]] = []
    end = -1
    for start, line in headings:
        if merged and text[end:start] == "\n" and len(merged[-1][1]) + len(line) < 120:
            merged[-1] = (merged[-1][0], f"{merged[-1][1]} {line}")
        else:
            merged.append((start, line))
        end = start + len(line)
    return merged


def read_html(html: str, url: str | None) -> dict[str, Any]:
    """The page's main text as one "page"; headings are its h1 to h6 that stand on a line of their own."""
    import trafilatura

    tree = trafilatura.load_html(html)
    if tree is None:
        return {"error": "no_html"}
    names = {" ".join(node.text_content().split()) for node in tree.iter("h1", "h2", "h3", "h4", "h5", "h6")}
    title = " ".join((tree.findtext(".//title") or "").split())
    first = next((" ".join(node.text_content().split()) for node in tree.iter("h1")), "")
    text = trafilatura.extract(
        html, url=url, include_comments=False, include_tables=True
    ) or trafilatura.html2txt(tree)
    if not text.strip():
        return {"error": "no_text", "detail": "blank", "page_count": 1}
    if len(text) > _MAX_TEXT:
        return {"error": "too_long"}
    headings = [(m.start(), m.group().strip()) for m in _LINE.finditer(text) if m.group().strip() in names]
    return {"pages": [{"text": text, "headings": headings}], "title": title or first}


def _limit_memory() -> None:
    """A file that asks for all of the machine's memory ends this process, and no other."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with contextlib.suppress(OSError, ValueError):  # a lower one is set already
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    """Answer one line of JSON with one line of JSON until the input ends."""
    _limit_memory()
    logging.disable(logging.CRITICAL)  # the libraries' logs quote documents
    sys.setrecursionlimit(5_000)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            reply = (
                read_pdf(job["path"])
                if job["kind"] == "pdf"
                else read_html(Path(job["path"]).read_text("utf-8"), job["url"])
            )
        except Exception as error:  # reported to the person by the other side
            reply = {"error": "failed", "detail": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
