"""A page as an image, and its words' places on it: exact whatever the page looks like, and harmless."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rag.documents import load_file
from rag.page_image import align, fold, read_image, read_words
from rag.reader import Reader
from scripts.measure_highlights import boxes, check, enclosed, letters_of, printed
from tests.pdfs import draw_pdf, lines, together

SAMPLE = Path(__file__).parents[2] / "pdfs" / "larkmoor-handbook.pdf"
SENTENCE = "The lamp room closes at half past five."


def rows_of(path: Path, sentence: str, page: int = 1) -> list[list[float]]:
    """Where the sentence's words stand; they are there, and nothing else is in their boxes."""
    text = load_file(path, path.name)[page - 1].page_content
    start = text.index(sentence)
    rows = read_words(str(path), page, text, start, start + len(sentence))["words"]
    assert enclosed(printed(path, page), boxes(rows)) == letters_of(sentence)
    assert all(0 <= share <= 1 for row in rows for share in row[3:])
    found: list[list[float]] = rows
    return found


def words_of(text: str, rows: list[list[float]]) -> list[str]:
    return [text[int(row[0]) : int(row[1])] for row in rows]


def test_sentences_of_the_sample_have_boxes_that_hold_exactly_their_words() -> None:
    random.seed(4)
    checked = list(check(SAMPLE, pages=12, sentences=4))
    assert len(checked) > 35
    assert [sentence for sentence, good in checked if not good] == []


def test_each_word_has_its_place_and_its_line(tmp_path: Path) -> None:
    path = draw_pdf(
        tmp_path / "a.pdf", lines("Before it.", "The lamp room closes", "at half past five. After.")
    )
    text = load_file(path, "a.pdf")[0].page_content
    rows = rows_of(path, "The lamp room closes\nat half past five.")
    assert words_of(text, rows) == ["The", "lamp", "room", "closes", "at", "half", "past", "five."]
    assert [row[2] for row in rows] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert rows[0][3] == pytest.approx(50 / 600, abs=0.002)
    assert rows[0][4] < 1 - 686 / 800 < rows[0][6]  # the base line of the second line


def test_a_word_that_a_line_end_cut_is_on_both_lines(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines("Everybody likes the muse-", "um beside the river."))
    rows = rows_of(path, "likes the museum beside")
    cut = [row for row in rows if row[:2] == rows[2][:2]]
    assert [row[2] for row in cut] == [0, 1]
    assert cut[1][4] > cut[0][4]


def test_running_lines_are_no_hindrance(tmp_path: Path) -> None:
    own = [SENTENCE if n == 2 else f"Nothing but line {'abcdef'[n]} stands here." for n in range(6)]
    pages = [
        lines("The lamp report", f"Page {'abcdef'[n]} begins here.", own[n], f"The lamp report, {n + 1}")
        for n in range(6)
    ]
    path = draw_pdf(tmp_path / "a.pdf", *pages)
    assert "report" not in load_file(path, "a.pdf")[2].page_content
    assert rows_of(path, SENTENCE, page=3)


def test_of_equal_words_those_of_the_passage_are_found(tmp_path: Path) -> None:
    path = draw_pdf(
        tmp_path / "a.pdf", lines("Room 1: 12 chairs.", "Room 2: 12 chairs.", "Room 3: 12 chairs.")
    )
    text = load_file(path, "a.pdf")[0].page_content
    start = text.index("12 chairs", text.index("Room 2"))
    rows = read_words(str(path), 1, text, start, start + 9)["words"]
    assert all(row[4] < 1 - 686 / 800 < row[6] for row in rows)


def test_two_columns_stay_apart(tmp_path: Path) -> None:
    left = lines("On the left a gardener", "waters the lamp room", "at noon.")
    right = lines("On the right a keeper", "closes the lamp room", "at five.", x=310)
    path = draw_pdf(tmp_path / "a.pdf", together(left, right))
    rows = rows_of(path, "closes the lamp room\nat five.")
    assert min(row[3] for row in rows) > 0.5


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("angle", [0, 90, 30])
def test_turned_pages_and_turned_text(tmp_path: Path, turned: int, angle: int) -> None:
    draw = lines("Another line stands here.", SENTENCE, "And one more.", x=250, top=350, angle=angle)
    path = draw_pdf(tmp_path / "a.pdf", draw, turned=turned)
    rows = rows_of(path, SENTENCE)
    drawn = read_image(str(path), 1, 600)
    assert (drawn["width"], drawn["height"]) == (600, 800)
    assert _is_ink_in(rows, drawn["jpeg"])


def _is_ink_in(rows: list[list[float]], jpeg: str) -> bool:
    """Whether there are dark pixels in each box."""
    image = Image.open(io.BytesIO(base64.b64decode(jpeg))).convert("L")
    for box in boxes(rows):
        left, top, right, bottom = (share * side for share, side in zip(box, image.size * 2, strict=True))
        part = image.crop((int(left), int(top), int(right) + 1, int(bottom) + 1))
        if min(part.tobytes()) > 160:
            return False
    return True


def test_what_is_not_on_the_page_has_no_place(tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "a.pdf", together(lines(SENTENCE), lines("Far outside.", x=2000)))
    text = load_file(path, "a.pdf")[0].page_content
    start = text.index("Far")
    assert read_words(str(path), 1, text, start, len(text)) == {"words": [], "scan": False}
    assert read_words(str(path), 1, "Words of an older file.", 0, 23)["words"] == []


def test_signs_without_spaces_between_are_marked_one_by_one(tmp_path: Path) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    def draw(canvas: object) -> None:
        pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
        canvas.setFont("HeiseiMin-W3", 12)  # type: ignore[attr-defined]
        canvas.drawString(50, 700, "博物館は毎日開館します。")  # type: ignore[attr-defined]

    path = draw_pdf(tmp_path / "a.pdf", draw)
    rows = rows_of(path, "毎日")
    assert len(rows) == 2


@given(
    st.lists(
        st.sampled_from(["lamp", "room", "a", "ﬁnd", "find", "Café", "12", ".", "muse", "um", "—"]),
        max_size=25,
    ),
    st.lists(st.sampled_from([" ", "\r\n", "\x02\r\n", "-"]), min_size=25, max_size=25),
)
@settings(max_examples=150)
def test_what_is_aligned_is_the_same_and_in_order(words: list[str], gaps: list[str]) -> None:
    printed_text = "".join(word + gap for word, gap in zip(words, gaps, strict=False))
    text = printed_text.replace("\x02\r\n", "").replace("\r\n", "\n")
    places = align(text, printed_text)
    found = [(i, place) for i, place in enumerate(places) if place is not None]
    assert all(fold(text[i]) == fold(printed_text[place]) for i, place in found)
    assert [place for _, place in found] == sorted(place for _, place in found)
    assert all(place is not None for i, place in enumerate(places) if text[i].isalnum())


def test_ligatures_accents_and_case_are_no_difference() -> None:
    assert align("find CAFÉ", "ﬁnd cafe\u0301") == [0, 0, 1, 2, None, 4, 5, 6, 7]


def _pixel(drawn: dict[str, Any], x: int, y: int) -> tuple[int, ...]:
    image = Image.open(io.BytesIO(base64.b64decode(drawn["jpeg"])))
    return tuple(round(value / 255) for value in image.getpixel((x, y)))  # type: ignore[union-attr]


def test_a_picture_is_its_own_page(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (800, 400), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    second = read_image(str(tmp_path / "a.tiff"), 2, 600)
    assert (second["width"], second["height"], _pixel(second, 300, 150)) == (600, 300, (0, 0, 1))
    assert read_image(str(tmp_path / "a.tiff"), 3, 600) == {"error": "no_page"}
    Image.new("LA", (40, 20)).save(tmp_path / "clear.png")  # never larger than it is, and on paper
    clear = read_image(str(tmp_path / "clear.png"), 1, 600)
    assert (clear["width"], _pixel(clear, 5, 5)) == (40, (1, 1, 1))
    turned = Image.Exif()
    turned[0x0112] = 6
    pages[0].save(tmp_path / "photo.jpg", exif=turned)
    assert read_image(str(tmp_path / "photo.jpg"), 1, 200)["height"] == 400


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_what_is_no_picture_or_a_huge_one_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for data in (b"", b"<svg onload=alert(1)>", b"GIF89a" + bytes(40), _png_header(40_000, 40_000)):
        path.write_bytes(data)
        assert read_image(str(path), 1, 600) == {"error": "no_page"}


def _png_header(width: int, height: int) -> bytes:
    """What says that so many pixels follow; none do."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


# Hostile pages


@pytest.mark.parametrize("size", [(14_400, 14_400), (3, 14_400), (14_400, 3)])
def test_a_page_of_any_size_is_an_image_of_a_bearable_one(tmp_path: Path, size: tuple[float, float]) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines(SENTENCE), size=size)
    drawn = read_image(str(path), 1, 2000)
    assert drawn["width"] * drawn["height"] <= 12_100_000
    assert max(drawn["width"], drawn["height"]) <= 12_001


@pytest.mark.parametrize("page", [0, -1, 2, 10**9])
def test_there_is_no_such_page(tmp_path: Path, page: int) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines(SENTENCE))
    assert read_image(str(path), page, 600) == {"error": "no_page"}
    assert read_words(str(path), page, SENTENCE, 0, 9) == {"error": "no_page"}


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.7, 0.95])
def test_a_broken_file_is_a_reason_or_a_page(tmp_path: Path, cut: float) -> None:
    path = draw_pdf(tmp_path / "a.pdf", lines(SENTENCE))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    assert set(read_image(str(path), 1, 600)) in ({"error"}, {"jpeg", "width", "height"})


def test_a_page_that_repeats_itself_for_ever_costs_only_its_time(tmp_path: Path) -> None:
    """Each form draws the next one ten times, ten deep."""
    reader = Reader(silence=1, seconds=1)
    try:
        path = tmp_path / "a.pdf"
        path.write_bytes(_nested_forms(depth=10))
        assert reader.page_image(path, 1, 600)["error"] in {"timeout", "crashed"}
        good = draw_pdf(tmp_path / "b.pdf", lines(SENTENCE))
        reader.seconds = reader.silence = 20
        assert reader.page_words(good, 1, SENTENCE, 0, 8)["words"]
    finally:
        reader.close()


def _nested_forms(depth: int) -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
        b" /Resources << /XObject << /F 5 0 R >> >> >>",
        _stream(b"<<", b"/F Do"),
    ]
    for level in range(depth):
        following = f"/Resources << /XObject << /F {6 + level} 0 R >> >>".encode()
        inner = b"/F Do " * 10 if level < depth - 1 else b"0 0 m 600 800 l S " * 10
        head = b"<< /Type /XObject /Subtype /Form /BBox [0 0 600 800] " + (
            following if level < depth - 1 else b""
        )
        objects.append(_stream(head, inner))
    parts = [b"%PDF-1.7\n"]
    for number, body in enumerate(objects, 1):
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    return b"".join(parts) + b"trailer << /Root 1 0 R >>\n%%EOF"


def _stream(head: bytes, body: bytes) -> bytes:
    return b"%s /Length %d >>\nstream\n%s\nendstream" % (head, len(body), body)
