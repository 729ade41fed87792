"""Runs in a reader's process (see `rag.extract`): a page → its image, and where its words stand.

The text in the index is not what PDFium gives for the page: words that a line end had cut are whole again,
and running lines are gone. So the two are aligned: word by word, and between two words that agree letter by
letter. It does not know the index or the web.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import io
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal, NamedTuple

_MAX_PIXELS = 12_000_000
_MAX_SIDE = 12_000  # pixels
_MAX_PICTURE = 100_000_000  # pixels
_QUALITY = 88  # of the JPEG, which is a tenth of the PNG in time and size, and as readable
_PIECES = re.compile(r"(?:[\xad\ufffe\x02]\s+|\S)+")  # a hyphen that only the line end needed joins two lines
_WORDS = re.compile(r"\w+")
# Scripts that put no space between words are marked sign by sign, all else word by word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_SHOWN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_FINE = 100_000_000  # steps across the page in which PDFium tells a place
_LEVEL = 0.05  # the sine of what a level line may rise
_BESIDE = 0.5  # of the smaller of two letters of one line is beside the other
_TALLER = 3.0  # times as tall at most
_WIDEST_GAP = 1.5  # heights of a letter between the two; more is another column


class Box(NamedTuple):
    """A rectangle on the page as it is shown, in points from its top left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Letter:
    """Where one of a page's characters stands, and how its line runs."""

    box: Box
    direction: Literal["level", "upright", "slanted"] = "level"


def read_image(path: str, number: int, width: int) -> dict[str, Any]:
    """{"jpeg": base64, "width", "height"} of page `number`, from 1, of a PDF or a picture; or {"error"}.

    width: pixels, about; less where the page would have too many, or a picture has not as many.
    """
    image = _drawn(path, number, width) if path.lower().endswith(".pdf") else _picture(path, number, width)
    if image is None:
        return {"error": "no_page"}
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return {"jpeg": base64.b64encode(file.getvalue()).decode(), "width": image.width, "height": image.height}


def _drawn(path: str, number: int, width: int) -> Any:
    with opened(path, number) as page:
        if page is None:
            return None
        across, down = page.get_size()
        scale = min(width / across, math.sqrt(_MAX_PIXELS / (across * down)), _MAX_SIDE / max(across, down))
        return page.render(scale=scale).to_pil().convert("RGB")


def _picture(path: str, number: int, width: int) -> Any:
    """The right way up; what is transparent is paper."""
    from PIL import Image, ImageOps

    from rag.formats.base import Unreadable
    from rag.formats.image import opened_image

    try:
        with opened_image(Path(path)) as image:
            image.seek(number - 1)
            if image.width * image.height > _MAX_PICTURE:
                return None
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (Unreadable, EOFError):
        return None
    upright.thumbnail((min(width, _MAX_SIDE), _MAX_SIDE))
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")


def read_words(path: str, number: int, text: str, start: int, end: int) -> dict[str, Any]:
    """{"words": [[start, end, line, left, top, right, bottom]…], "scan"} of text[start:end]; or {"error"}.

    `text` is the page's in the index. A row is a word, or as much of it as stands on one line: its offsets in
    `text`, and its place in shares of the page's width and height. What is not on the page has no row.
    "scan": whether there are no words at all, only what may be a picture of some.
    """
    with opened(path, number) as page:
        if page is None:
            return {"error": "no_page"}
        across, down = page.get_size()
        textpage = page.get_textpage()
        printed = "".join(characters(textpage))
        letters = Letters(page, textpage)
        words = [
            (first, last, [letters[place] for place in places])
            for first, last, places in placed_words(text, (start, end), align(text, printed))
        ]
        rows = [[*place, *_shares(box, across, down)] for place, box in by_line(words)]
    seen = [row for row in rows if row[3] < row[5] and row[4] < row[6]]
    return {"words": seen, "scan": not _WORDS.search(printed)}


def placed_words(
    text: str, span: tuple[int, int], places: Sequence[int | None]
) -> Iterator[tuple[int, int, list[int]]]:
    """The words of a span that are printed: start, end, and where their letters are. `places`: of `align`.

    A word of which fewer than half of the letters are there is another word.
    """
    for match in _SHOWN.finditer(text, *span):
        found = [place for place in places[slice(*match.span())] if place is not None]
        if found and 2 * len(found) >= sum(bool(fold(character)) for character in match.group()):
            yield *match.span(), found


@contextlib.contextmanager
def opened(path: str, number: int) -> Iterator[Any]:
    """The page of a PDF; None if there is none that can be shown."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        yield None
        return
    try:
        page = pdf[number - 1] if 0 < number <= len(pdf) else None
    except pypdfium2.PdfiumError:
        page = None
    with contextlib.closing(pdf):
        yield page if page and min(page.get_size()) > 0 else None


def characters(textpage: Any) -> Iterator[str]:
    """One character for each that PDFium counts."""
    import pypdfium2.raw as raw

    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        yield chr(code) if 0 < code <= 0x10FFFF else " "


class Letters:
    """The letters of a page by their index, looked up when they are asked for."""

    def __init__(self, page: Any, textpage: Any) -> None:
        self._textpage = textpage
        self._rotation = math.radians(page.get_rotation())
        self._origin, right, up = (_as_shown(page, *point) for point in ((0, 0), (1, 0), (0, 1)))
        self._x = (right[0] - self._origin[0], up[0] - self._origin[0])
        self._y = (right[1] - self._origin[1], up[1] - self._origin[1])

    def __getitem__(self, index: int) -> Letter:
        import pypdfium2.raw as raw

        box = raw.FS_RECTF()
        raw.FPDFText_GetLooseCharBox(self._textpage, index, ctypes.byref(box))
        (left, top), (right, bottom) = self.shown(box.left, box.top), self.shown(box.right, box.bottom)
        angle = raw.FPDFText_GetCharAngle(self._textpage, index) + self._rotation
        return Letter(
            Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom)), _direction(angle)
        )

    def shown(self, x: float, y: float) -> tuple[float, float]:
        """A point of the PDF's own space, in points from the top left corner of what is shown."""
        return (
            self._origin[0] + x * self._x[0] + y * self._x[1],
            self._origin[1] + x * self._y[0] + y * self._y[1],
        )


def _as_shown(page: Any, x: float, y: float) -> tuple[float, float]:
    """The same by PDFium, which knows how a page is turned and cut, but tells whole numbers only."""
    import pypdfium2.raw as raw

    size = page.get_size()
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _FINE, _FINE, 0, x, y, ctypes.byref(across), ctypes.byref(down))
    return across.value / _FINE * size[0], down.value / _FINE * size[1]


def _direction(angle: float) -> Literal["level", "upright", "slanted"]:
    if abs(math.sin(angle)) < _LEVEL:
        return "level"
    return "upright" if abs(math.cos(angle)) < _LEVEL else "slanted"


def _shares(box: Box, across: float, down: float) -> tuple[float, float, float, float]:
    """The box in shares of the page, and nothing of it outside."""
    left, right = (round(min(max(value / across, 0.0), 1.0), 5) for value in (box.left, box.right))
    top, bottom = (round(min(max(value / down, 0.0), 1.0), 5) for value in (box.top, box.bottom))
    return left, top, right, bottom


# Which letter is which


@dataclass(frozen=True)
class _Normal:
    """A text without what may differ: case, accents, ligatures, white space, hyphens at line ends."""

    text: str
    places: Sequence[int]  # of each character in the text it was made from
    words: Sequence[tuple[int, int]]  # [start, end) in `text`


def _normal(text: str) -> _Normal:
    parts: list[str] = []
    places: list[int] = []
    words: list[tuple[int, int]] = []
    for match in _PIECES.finditer(text):
        begin = len(places)
        for place in range(*match.span()):
            folded = fold(text[place])
            parts.append(folded)
            places += [place] * len(folded)
        chunk = "".join(parts[-(match.end() - match.start()) :])
        words += [(begin + found.start(), begin + found.end()) for found in _WORDS.finditer(chunk)]
    return _Normal("".join(parts), places, words)


def fold(character: str) -> str:
    """What is compared of a character; of spaces, controls and hyphens of the line end alone, nothing."""
    folded = character.lower() if character.isascii() else unicodedata.normalize("NFKD", character).casefold()
    return "".join(c for c in folded if c.isprintable() and not c.isspace() and not unicodedata.combining(c))


def align(text: str, printed: str) -> list[int | None]:
    """For each character of `text` the index of the same one in `printed`; None: not there, or a space."""
    ours, theirs = _normal(text), _normal(printed)
    found: list[int | None] = [None] * len(text)
    here = there = 0
    for (begin, end), (first, last) in _anchors(ours, theirs):
        _pair(ours, (here, begin), theirs, (there, first), found)
        _pair(ours, (begin, end), theirs, (first, last), found)
        here, there = end, last
    _pair(ours, (here, len(ours.text)), theirs, (there, len(theirs.text)), found)
    return found


def _anchors(ours: _Normal, theirs: _Normal) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The words that agree, in order."""
    ours_words = [ours.text[start:end] for start, end in ours.words]
    theirs_words = [theirs.text[start:end] for start, end in theirs.words]
    matcher = SequenceMatcher(None, ours_words, theirs_words, autojunk=False)
    for here, there, count in matcher.get_matching_blocks():
        for step in range(count):
            yield ours.words[here + step], theirs.words[there + step]


def _pair(
    ours: _Normal, here: tuple[int, int], theirs: _Normal, there: tuple[int, int], found: list[int | None]
) -> None:
    """Pair the letters of two stretches from the front and then from the back, as far as they agree.

    A word that a line end had cut agrees to its end; one with a running line in its middle agrees from both.
    """
    (begin, end), (first, last) = here, there
    while begin < end and first < last and ours.text[begin] == theirs.text[first]:
        found[ours.places[begin]] = theirs.places[first]
        begin, first = begin + 1, first + 1
    while begin < end and first < last and ours.text[end - 1] == theirs.text[last - 1]:
        end, last = end - 1, last - 1
        found[ours.places[end]] = theirs.places[last]


# From letters to lines


def by_line(words: Sequence[tuple[int, int, Sequence[Letter]]]) -> list[tuple[tuple[int, int, int], Box]]:
    """Words as (start, end, letters) → ((start, end, line), box), one for each line that a word is on."""
    rows: list[tuple[tuple[int, int, int], Box]] = []
    line, before = 0, None
    for start, end, letters in words:
        for letter in letters:
            if before is not None and not _on_one_line(before, letter):
                line += 1
            if rows and rows[-1][0] == (start, end, line):
                rows[-1] = (rows[-1][0], _around(rows[-1][1], letter.box))
            else:
                rows.append(((start, end, line), letter.box))
            before = letter
    return rows


def _on_one_line(one: Letter, other: Letter) -> bool:
    if (
        one.direction != other.direction or one.direction == "slanted"
    ):  # no box holds two slanted letters alone
        return False
    (along, across), (further, beside) = _extents(one), _extents(other)
    low, high = sorted((across[1] - across[0], beside[1] - beside[0]))
    return (
        _overlap(across, beside) >= _BESIDE * low
        and high <= _TALLER * low
        and -_overlap(along, further) <= _WIDEST_GAP * low
    )


def _extents(letter: Letter) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where it reaches along its line, and across."""
    left, top, right, bottom = letter.box
    flat, tall = (left, right), (top, bottom)
    return (flat, tall) if letter.direction == "level" else (tall, flat)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How much two stretches share; below 0, how far apart they are."""
    return min(one[1], other[1]) - max(one[0], other[0])


def _around(one: Box, other: Box) -> Box:
    return Box(
        min(one.left, other.left),
        min(one.top, other.top),
        max(one.right, other.right),
        max(one.bottom, other.bottom),
    )
