"""Originals: a file that is still what was indexed, its pages and its sound; a reason for any other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag.folders import hash_file, location_of, path_of
from rag.formats import READERS
from rag.originals import (
    MEDIA_TYPES,
    PICTURES,
    Original,
    OriginalError,
    PageImages,
    find_original,
    image_width,
)
from rag.recordings import RECORDINGS
from rag.store import Page, Source
from tests.pdfs import draw_pdf, lines

TEXT = "The lamp room closes at half past five."


@pytest.fixture
def images() -> Iterator[PageImages]:
    found = PageImages(seconds=20)
    yield found
    found.close()


def record_of(path: Path) -> Source:
    status = path.stat()
    return Source(
        path.name,
        hash_file(path),
        location=location_of(path),
        origin="upload",
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )


@pytest.mark.parametrize("name", [b"a.pdf", "ä b.pdf".encode(), b"latin-\xe4 %20.pdf"])
def test_a_path_comes_back_from_its_location(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    assert path_of(location_of(path)) == path


def test_a_file_is_shown_while_it_is_what_was_indexed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"sound")
    record = record_of(path)
    original = find_original(record)
    assert original == Original(path, record.content_hash)
    assert (original.kind, original.media_type) == ("audio", "audio/mpeg")
    os.utime(path, ns=(1, 1))  # copied back from somewhere: the same content
    assert find_original(record) == original
    path.write_bytes(b"other")
    with pytest.raises(OriginalError, match="was changed"):
        find_original(record)
    path.write_bytes(b"longer sound")
    with pytest.raises(OriginalError, match="was changed"):
        find_original(record)
    path.unlink()
    with pytest.raises(OriginalError, match="is gone"):
        find_original(record)
    os.mkfifo(path)  # reading it would wait for ever
    with pytest.raises(OriginalError, match="was changed"):
        find_original(replace(record, size=0))


def test_a_web_page_has_no_file() -> None:
    page = Source("https://example.org/a.pdf", "", location="https://example.org/a.pdf", origin="url")
    assert find_original(page) is None


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.txt", "a.xml", "mp3", "a.mp3.html"])
def test_nothing_that_could_hold_a_script_is_a_recording(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    original = find_original(record_of(tmp_path / name))
    assert original
    assert (original.kind, original.media_type) == (None, "")


def test_every_recording_and_picture_that_is_read_can_be_shown() -> None:
    assert set(MEDIA_TYPES) >= RECORDINGS
    assert {suffix for suffix, module in READERS.items() if module == "image"} == PICTURES
    assert all(media_type.startswith(("audio/", "video/")) for media_type in MEDIA_TYPES.values())


def test_an_image_is_drawn_once(tmp_path: Path, images: PageImages) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines(TEXT))
    pdf = find_original(record_of(path))
    assert pdf
    first = images.image(pdf, 1, 500)
    assert first.startswith(b"\xff\xd8\xff")
    path.unlink()
    assert images.image(pdf, 1, 600) is first
    with pytest.raises(OriginalError, match="cannot be drawn"):
        images.image(pdf, 1, 601)


def test_words_have_the_offsets_of_the_whole_text(tmp_path: Path, images: PageImages) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines("First."), lines(TEXT))
    pdf = find_original(record_of(path))
    assert pdf
    page = Page(TEXT, start=7, page=2)
    words = images.words(pdf, page, start=7 + 4, end=7 + 13)
    assert [TEXT[start - 7 : end - 7] for start, end, *_ in words] == ["lamp", "room"]
    assert images.words(pdf, page, start=0, end=7) == []  # a passage of the first page
    assert len(images.words(pdf, page, start=0, end=10**9)) == len(TEXT.split())


def test_a_page_that_takes_too_long_says_so(tmp_path: Path) -> None:
    slow = PageImages(seconds=0.001)
    pdf = Original(draw_pdf(tmp_path / "a.pdf", lines(TEXT)), "hash")
    with pytest.raises(OriginalError, match="too long to draw"):
        slow.image(pdf, 1, 600)
    slow.close()


@pytest.mark.parametrize(("wanted", "width"), [(1, 600), (600, 600), (601, 900), (10**6, 2000)])
def test_widths_are_few(wanted: int, width: int) -> None:
    assert image_width(wanted) == width
