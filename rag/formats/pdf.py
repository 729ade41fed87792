"""A PDF: the text of each page in reading order with its headings; OCR for pages that only show text.

What was filled into its forms stands at the end of each page. A document's JavaScript is never run.
"""

from __future__ import annotations

import ctypes
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rag.encoding import kind_of
from rag.formats import ocr
from rag.formats.base import MAX_PAGES, MAX_TEXT, Heading, Options, Page, Parsed, Source, Unreadable, opened
from rag.formats.columns import in_reading_order
from rag.formats.hyphens import MARK, join_line_ends
from rag.formats.pdf_forms import Forms, forms_of
from rag.formats.reasons import PASSING, partly
from rag.formats.titles import first_line, sensible

_LINE = re.compile(r"[^\n]+")
_FIRST_LINE = re.compile(r"\A\s*(?P<line>[^\n]+)\n\s*")
_LAST_LINE = re.compile(r"\s*\n(?P<line>[^\n]+)\s*\Z")
_DIGITS = re.compile(r"\d+")
_RUNNING = 3  # lines that may run along at the head, and at the foot

Kind = int | str  # of what is on a page: PDFium's object types, "annotations", "broken"


@dataclass
class _Found:
    """A page, what was filled into it, and where it has no text of its own the kinds of object on it."""

    page: Page
    kinds: set[Kind] = field(default_factory=set)
    filled: str = ""


def read(source: Source, options: Options) -> Parsed:
    import pypdfium2
    import pypdfium2.raw as raw

    _check_head(source)
    try:
        pdf = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        raise Unreadable("encrypted" if locked else "broken") from None
    try:
        parsed = _read_pages(pdf, options)
        title = sensible(pdf.get_metadata_value("Title") or "")
    finally:
        pdf.close()
    parsed.title = title or first_line(parsed.pages)
    return parsed


def _check_head(source: Source) -> None:
    with opened(source) as file:
        head = file.read(1024)
    if b"%PDF-" not in head:
        looks = kind_of(head) or ("an HTML page" if b"<html" in head.lower() else "something else")
        raise Unreadable("not_pdf", looks)


def _read_pages(pdf: Any, options: Options) -> Parsed:
    count = len(pdf)
    if count == 0:
        raise Unreadable("no_pages")
    if count > MAX_PAGES:
        raise Unreadable("too_many_pages", str(count))
    found, size = [], 0
    with forms_of(pdf) as forms:
        for number in range(count):
            options.alive()
            found.append(_read_page(pdf, number, forms))
            size += len(found[-1].page.text) + len(found[-1].filled)
            if size > MAX_TEXT:
                raise Unreadable("too_long")
    parsed = Parsed([each.page for each in found])
    _recognise(pdf, found, parsed, options)
    _drop_running_lines(parsed.pages)
    join_line_ends(parsed.pages)
    for each in found:
        each.page.text = "\n\n".join(filter(None, (each.page.text, each.filled)))
    if not any(page.text for page in parsed.pages):
        raise Unreadable("no_text", _why_no_text({kind for each in found for kind in each.kinds}))
    return parsed


def _recognise(pdf: Any, found: list[_Found], parsed: Parsed, options: Options) -> None:
    """Read the pages that show something and have no text, where there is a recogniser.

    Without one, a document with other text keeps these pages empty and says so; one that has none is
    `Unreadable`.
    """
    scans = [n for n, each in enumerate(found) if each.kinds - {"broken", "annotations"}]
    if not scans:
        return
    try:
        recogniser = ocr.Recogniser(options)
        recogniser.check(len(scans))
    except Unreadable as error:
        if not any(each.page.text or each.filled for each in found):
            raise
        parsed.notice = partly(len(scans), len(found), error.code, error.detail)
        parsed.able = ocr.ability(options.ocr) if error.code in PASSING else ""
        return
    for number in scans:
        found[number].page.text = recogniser.text_of(partial(image_of, pdf, number))


def image_of(pdf: Any, number: int) -> Any:
    """A page, from 0, as it is given to OCR."""
    page = pdf[number]
    try:
        width, height = page.get_size()
        scale = min(ocr.DPI / 72, ocr.LONGEST / max(width, height, 1))
        return page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil()
    finally:
        page.close()


def _drop_running_lines(pages: list[Page]) -> None:
    """Remove the first and last lines of pages where most have the same one but for its numbers.

    Running heads and feet would open every page with the words of no section, and be found by every search.
    Left and right pages may have different ones.
    """
    for pattern in (_FIRST_LINE, _LAST_LINE):
        for some in (pages, pages[::2], pages[1::2]):
            for _ in range(_RUNNING):
                if not _drop_common_line(some, pattern):
                    break


def _drop_common_line(pages: list[Page], pattern: re.Pattern[str]) -> bool:
    found = [pattern.search(page.text) for page in pages]
    names = [_DIGITS.sub("#", match["line"]) if match else "" for match in found]
    common, times = Counter(filter(None, names)).most_common(1)[0] if any(names) else ("", 0)
    if times < 4 or times <= len(pages) / 2 or len(common) > 100:
        return False
    for page, match, name in zip(pages, found, names, strict=True):
        if match and name == common:
            cut = match.end() if pattern is _FIRST_LINE else 0
            page.text = page.text[: match.start()] + page.text[match.end() :]
            kept = [(start - cut, line) for start, line in page.headings if start >= cut]
            page.headings = [(start, line) for start, line in kept if start < len(page.text)]
    return True


def _read_page(pdf: Any, number: int, forms: Forms) -> _Found:
    import pypdfium2

    try:
        page = pdf[number]
    except pypdfium2.PdfiumError:
        return _Found(Page("", place=f"page {number + 1}"), {"broken"})
    found = _Found(Page("", place=f"page {number + 1}"))
    try:
        text, headings = _page_text(page.get_textpage())
        if text.strip():
            found.page.text, found.page.headings = text, headings
        else:
            found.kinds = {item.type for item in page.get_objects(max_depth=3)} | _annotations(page)
        found.filled = "\n".join(forms.lines(page))
    except pypdfium2.PdfiumError:
        found.kinds = {"broken"}
    finally:
        page.close()
    return found


def _annotations(page: Any) -> set[Kind]:
    import pypdfium2.raw as raw

    return {"annotations"} if raw.FPDFPage_GetAnnotCount(page) else set()


def _why_no_text(kinds: set[Kind]) -> str:
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


def _page_text(textpage: Any) -> tuple[str, list[Heading]]:
    """The page's lines, with an empty one at gaps of the layout and around headings; and the headings."""
    raw_text = textpage.get_text_range().replace("\x02", MARK)
    lines = [(match.start(), match.group().rstrip("\r")) for match in _LINE.finditer(raw_text)]
    lines = in_reading_order(textpage, [(start, line) for start, line in lines if line.strip("\r \t")])
    boxes = [_line_box(textpage, start, line) for start, line in lines]
    heights = [top - bottom for (bottom, top), (_, line) in zip(boxes, lines, strict=True) for _ in line]
    body = statistics.median(heights) if heights else 0.0
    text, headings, previous = "", [], None
    for (_, line), (bottom, top) in zip(lines, boxes, strict=True):
        line = line.strip()
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


def _merge_headings(text: str, headings: list[Heading]) -> list[Heading]:
    """Lines of one heading that follow each other become one."""
    merged: list[Heading] = []
    end = -1
    for start, line in headings:
        if merged and text[end:start] == "\n" and len(merged[-1][1]) + len(line) < 120:
            merged[-1] = (merged[-1][0], f"{merged[-1][1]} {line}")
        else:
            merged.append((start, line))
        end = start + len(line)
    return merged
