"""OCR: what is only an image is read where Tesseract is, and says what to do where it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from rag import documents
from rag.corpus import Corpus
from rag.documents import DocumentError, load_file
from rag.formats import ocr
from rag.formats.base import Options, Unreadable
from rag.reader import Reader
from rag.store import open_store
from tests.rag.made import package
from tests.rag.place import WordHashes
from tests.rag.test_documents import Draw, lines, make_pdf

WORDS = ["The lighthouse opens at nine", "and closes when the sun", "has set on the harbour."]
needs_tesseract = pytest.mark.skipif(
    not shutil.which("tesseract"), reason="needs Tesseract: apt install tesseract-ocr"
)


def picture() -> Image.Image:
    image = Image.new("L", (1100, 320), 255)
    font = ImageFont.load_default(size=56)
    for number, line in enumerate(WORDS):
        ImageDraw.Draw(image).text((60, 40 + 80 * number), line, fill=0, font=font)
    return image


def scan() -> Draw:
    def draw(canvas: Any) -> None:
        from reportlab.lib.utils import ImageReader

        canvas.drawImage(ImageReader(picture()), 40, 500, 440, 128)

    return draw


@needs_tesseract
def test_a_scanned_page_between_others_is_read(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", lines("A page of text."), scan(), None)
    pages = [page.page_content for page in load_file(path, "a.pdf", ocr="eng")]
    assert pages[0] == "A page of text."
    assert " ".join(pages[1].split()) == " ".join(WORDS)
    assert pages[2] == ""


@needs_tesseract
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_an_image_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    picture().save(path)
    [page] = load_file(path, path.name, ocr="eng")
    assert " ".join(page.page_content.split()) == " ".join(WORDS)


@needs_tesseract
def test_an_image_without_text_and_a_language_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(path)
    with pytest.raises(DocumentError, match="OCR found no text"):
        load_file(path, "a.png", ocr="eng")
    with pytest.raises(DocumentError, match="lacks the language xyz") as caught:
        load_file(path, "a.png", ocr="eng+xyz")
    assert caught.value.passing


def test_without_tesseract_a_scan_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    reader = Reader()  # its processes have this PATH
    request.addfinalizer(reader.close)
    monkeypatch.setattr(documents, "reader", reader)
    with pytest.raises(DocumentError, match="install Tesseract") as caught:
        load_file(make_pdf(tmp_path / "a.pdf", scan()), "a.pdf")
    assert caught.value.passing, "it is tried again once Tesseract is there"
    mixed = make_pdf(tmp_path / "b.pdf", scan(), lines("A page of text."))
    found = load_file(mixed, "b.pdf")
    assert [page.page_content for page in found] == ["", "A page of text."]
    notice = found[0].metadata["notice"]
    assert notice.startswith(
        "1 of 2 pages is a picture without text and was not read. To have them read, install"
    )
    assert found[0].metadata["able"] == "no_ocr"


def test_a_scan_in_an_archive_makes_that_worth_reading_again(tmp_path: Path) -> None:
    mixed = make_pdf(tmp_path / "b.pdf", lines("A page of text."), scan()).read_bytes()
    whole = make_pdf(tmp_path / "c.pdf", scan()).read_bytes()
    path = package(tmp_path / "a.zip", {"b.pdf": mixed, "c.pdf": whole, "d.txt": "All of it."})
    found = load_file(path, "a.zip", ocr="none")
    told = found[0].metadata
    assert told["notice"].startswith("2 of 3 files in it are not read, or not whole. Its first page")
    assert told["able"] == "ocr_off"
    listing = found[0].page_content.split("\n")
    assert listing[1].startswith("- b.pdf (1 of 2 pages is a picture without text and was not read.")
    assert listing[2].startswith("- c.pdf (It has no text, only images")
    assert listing[3] == "- d.txt"


def test_a_scanned_page_between_others_where_ocr_is_not_wanted(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", lines("A page of text."), scan(), scan(), None)
    told = load_file(path, "a.pdf", ocr="none")[0].metadata
    assert told["notice"].startswith(
        "2 of 4 pages are pictures without text and were not read. PARLEY_OCR is none"
    )
    assert told["able"] == "ocr_off"


def test_a_document_is_read_again_once_there_is_ocr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    store = open_store(tmp_path / "data", dimension=64, embedder="words")
    corpus = Corpus(store, WordHashes(), tmp_path / "data")
    request.addfinalizer(store.close)
    request.addfinalizer(corpus.close)
    (tmp_path / "docs").mkdir()
    make_pdf(tmp_path / "docs" / "a.pdf", lines("A page of text."), scan())
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    without = Reader()
    request.addfinalizer(without.close)
    monkeypatch.setattr(documents, "reader", without)
    assert corpus.sync([tmp_path / "docs"]).added == 1
    [document] = corpus.status()
    assert (document.state, "install Tesseract" in document.notice) == ("ready", True)
    assert corpus.sync().unchanged == 1, "nothing more can be read of it"
    fake_tesseract(tmp_path, "echo Scanned words.", monkeypatch, request)
    assert corpus.sync().updated == 1
    assert corpus.sync().unchanged == 1
    [document] = corpus.status()
    assert (document.notice, [page.text for page in store.pages("a.pdf")]) == (
        "",
        ["A page of text.", "Scanned words."],
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x89PNG\r\n\x1a\nbroken", "broken"), (b"GIF89a", "no image that can be read"), (b"text", "no image")],
)
def test_what_is_no_image(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=reason):
        load_file(path, "a.png", ocr="eng")


def test_an_image_larger_than_any_scan_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    fake_tesseract(tmp_path, "", monkeypatch, request)
    path = tmp_path / "a.png"
    Image.new("1", (30_000, 4_000)).save(path)
    with pytest.raises(DocumentError, match="more than 100 million pixels"):
        load_file(path, "a.png")


def fake_tesseract(
    folder: Path, script: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A program of that name for what the real one does too seldom: with eng and osd, and then `script`."""
    program = folder / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = --list-langs ] && echo "List:\neng\nosd" && exit\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    reader = Reader()
    request.addfinalizer(reader.close)
    monkeypatch.setattr(documents, "reader", reader)


def test_a_document_of_too_many_scans_is_refused() -> None:
    recogniser = object.__new__(ocr.Recogniser)
    with pytest.raises(Unreadable) as caught:
        recogniser.check(ocr.MOST_PAGES + 1)
    assert caught.value.code == "too_many_scans"


@pytest.mark.parametrize(
    ("setting", "installed", "chosen"),
    [
        ("auto", {"osd", "eng"}, "eng"),
        ("auto", {"osd", "fra", "deu", "eng"}, "eng+deu+fra"),
        ("auto", {f"l{n}" for n in range(50)} | {"eng"}, "eng"),
        ("deu+eng", {"eng", "deu", "osd"}, "deu+eng"),
    ],
)
def test_the_languages(setting: str, installed: set[str], chosen: str) -> None:
    assert ocr._chosen(setting, installed) == chosen


def test_ocr_gets_one_thread_and_the_page_as_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    script = f'head -c 4 | tail -c 3; echo " $OMP_THREAD_LIMIT $*"; nice >"{tmp_path}/nice"'
    fake_tesseract(tmp_path, script, monkeypatch, request)
    [page] = load_file(make_pdf(tmp_path / "a.pdf", scan()), "a.pdf")
    assert page.page_content == "PNG 1 - - -l eng --psm 1 --dpi 250"
    assert int((tmp_path / "nice").read_text()) >= 10


def test_no_language_at_all() -> None:
    with pytest.raises(Unreadable):
        ocr._chosen("auto", {"osd"})
    with pytest.raises(Unreadable):
        ocr.Recogniser(Options("a.png", ocr="none"))
