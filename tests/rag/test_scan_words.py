"""Words on scans: a page that is only an image has their places, too, where Tesseract is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.documents import load_file
from rag.originals import Original, PageImages
from rag.page_image import read_words
from rag.store import Page
from scripts.measure_highlights import boxes
from tests.pdfs import draw_pdf, lines
from tests.rag.test_ocr import WORDS, needs_tesseract, picture, scan

LINE = 1  # of WORDS


@pytest.fixture
def images() -> Iterator[PageImages]:
    found = PageImages(seconds=20, ocr="eng")
    yield found
    found.close()


def ink() -> tuple[float, float, float, float]:
    """Where the line's letters are, in pixels of the picture."""
    band = picture().crop((0, 40 + 80 * LINE, 1100, 40 + 80 * (LINE + 1)))
    left, top, right, bottom = band.point(lambda value: 255 if value < 128 else 0).getbbox() or (0, 0, 0, 0)
    return left, top + 40 + 80 * LINE, right, bottom + 40 + 80 * LINE


def place_of(images: PageImages, path: Path, page: int = 1) -> tuple[float, float, float, float]:
    """The one box of the line, in shares of the page."""
    text = load_file(path, path.name, ocr="eng")[page - 1].page_content
    start = text.index(WORDS[LINE].split()[0])
    end = text.index(WORDS[LINE].split()[-1], start) + len(WORDS[LINE].split()[-1])
    words = images.words(Original(path, "hash"), Page(text, 0, page), start, end)
    assert [text[first:last] for first, last, *_ in words] == WORDS[LINE].split()
    [box] = boxes(words)
    return box


@needs_tesseract
@pytest.mark.parametrize("turned", [0, 90])
def test_the_words_of_a_picture_have_their_places(tmp_path: Path, images: PageImages, turned: int) -> None:
    path = tmp_path / "a.png"
    picture().rotate(turned, expand=True).save(path)
    box = place_of(images, path)
    sides = (320, 1100) if turned else (1100, 320)
    left, top, right, bottom = (share * side for share, side in zip(box, sides * 2, strict=True))
    if turned:  # back as it was
        left, top, right, bottom = 1100 - bottom, left, 1100 - top, right
    assert (left, top, right, bottom) == pytest.approx(ink(), abs=6)


@needs_tesseract
def test_the_words_of_a_scanned_page_have_their_places(tmp_path: Path, images: PageImages) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines("A page of text."), scan())
    left, top, right, bottom = place_of(images, path, page=2)
    scale, corner = 440 / 1100, (40, 800 - 628)  # of the picture on the page, in points
    wanted = [corner[n % 2] + scale * edge for n, edge in enumerate(ink())]
    assert [600 * left, 800 * top, 600 * right, 800 * bottom] == pytest.approx(wanted, abs=3)


def test_a_page_of_text_is_not_read_once_more(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines("A page of text."), scan())
    assert read_words(str(path), 1, "A page of text.", 0, 6)["scan"] is False
    assert read_words(str(path), 2, "A page of text.", 0, 6) == {"words": [], "scan": True}


def test_without_tesseract_a_scan_has_no_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: PageImages
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = draw_pdf(tmp_path / "a.pdf", scan())
    assert images.words(Original(path, "hash"), Page(WORDS[0], 0, 1), 0, 9) == []
