"""load_file and load_url: every kind of document, and a reason for each that cannot be read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import documents
from rag.documents import MAX_HTML, SUFFIXES, DocumentError, load_file, load_url
from rag.encoding import NotTextError, clean, decode
from rag.fetch import Fetched, FetchError
from rag.reader import Reader

GERMAN = (
    "Das Museum öffnet täglich um zehn Uhr. Führungen für Gäste kosten fünf Euro; Schüler zahlen die Hälfte."
)
RUSSIAN = (
    "Музей открыт ежедневно с десяти часов утра. Билеты можно купить у входа или заранее в кассе вокзала."
)
JAPANESE = "博物館は毎日午前十時に開館します。入場券は入口で購入できます。犬は庭園に入れません。"
CHINESE = "博物馆每天上午十点开放。门票可以在入口处购买。狗不能进入花园，请注意安全。"
POLISH = (
    "Muzeum jest otwarte codziennie od dziesiątej. Bilety można kupić przy wejściu, także w święta i późno."
)
GREEK = "Το μουσείο ανοίγει κάθε μέρα στις δέκα. Τα εισιτήρια πωλούνται στην είσοδο του κήπου."
WHOLE: dict[str, object] = {
    "page": None,
    "place": "",
    "at": None,
    "start": 0,
    "headings": [],
    "notice": "",
    "able": "",
}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((GERMAN, name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "iso-8859-1")),
        *((RUSSIAN, name) for name in ("utf-8", "cp1251", "koi8-r", "iso-8859-5", "cp866", "utf-16")),
        *((JAPANESE, name) for name in ("utf-8", "shift_jis", "euc-jp", "iso-2022-jp", "utf-16-be")),
        *((CHINESE, name) for name in ("utf-8", "gb2312", "gb18030", "utf-16-le")),
        *((POLISH, name) for name in ("utf-8", "cp1250", "iso-8859-2")),
        *((GREEK, name) for name in ("utf-8", "cp1253", "iso-8859-7")),
    ],
)
def test_encodings_of_short_texts(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert load_file(path, "a.txt")[0].page_content == text


def test_a_short_table_from_a_german_office_is_no_icelandic_mac() -> None:
    text = "Größe;Preis\nä;1,5\n"
    assert decode(text.encode("cp1252")) == text


def test_broken_bytes_cost_themselves_only() -> None:
    data = (GERMAN * 5).encode() + b"\xff" + (GERMAN * 5).encode()
    assert "öffnet" in decode(data)


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text = decode(data)
    except NotTextError:
        return
    usable(text)


def usable(text: str) -> None:
    """What comes out fits SQLite, JSON and a page, and has one kind of line end."""
    assert json.loads(json.dumps(text)) == text
    with_nothing_lost = sqlite3.connect(":memory:")
    assert with_nothing_lost.execute("select ?", (text,)).fetchone() == (text,)
    with_nothing_lost.close()
    assert not set(text) & {"\0", "\r", "\f", "\x0b", "\x85", "\ufffe"}


@given(st.text(max_size=200) | st.text("\r\n\0\ud800a\f\x85"))
def test_clean_keeps_the_place_of_every_character(text: str) -> None:
    cleaned = clean(text)
    usable(cleaned)
    assert len(cleaned) == len(text) - text.count("\r\n")


def test_line_ends_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\nfour\x00five")
    document = load_file(path, "folder/a.txt")[0]
    assert document.page_content == "one\ntwo\nthree\nfour five"
    assert document.metadata == {"source": "folder/a.txt", "title": "a", **WHOLE}


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_empty_file_of_every_type(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    path.touch()
    with pytest.raises(DocumentError, match="empty"):
        load_file(path, path.name)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.xyz", b"text", r"^Parley cannot read \.xyz files\. Save it as PDF, Word or text\.$"),
        ("a.doc", b"text", r"cannot read \.doc files\. Save it as \.docx"),
        ("README", b"text", "cannot read files without a suffix"),
        ("a.txt", b" \n\t \n", "only white space"),
        ("a.txt", b"%PDF-1.7\n" + bytes(100), "PDF document. Give it the right suffix"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG image"),
        ("a.md", bytes(range(256)) * 8, "binary data"),
        ("a.txt", os.urandom(4000), "looks like"),
        ("a.html", b"<html><body><script>1</script></body></html>", "blank"),
        ("a.pdf", b"<html>not found</html>", "begins like an HTML page"),
        ("a.pdf", b"%PDF-1.7\nnothing else", "broken"),
    ],
)
def test_a_reason_for_each_file_that_is_none(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=reason):
        load_file(path, name)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="gone"):
        load_file(tmp_path / "none.txt", "none.txt")
    (tmp_path / "dir.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.pdf")
    for name in ("dir.txt", "pipe.pdf"):
        with pytest.raises(DocumentError, match="not an ordinary file"):
            load_file(tmp_path / name, name)


def test_a_file_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(documents.MAX_TEXT + 1)
    with pytest.raises(DocumentError, match="larger than 20 MB"):
        load_file(path, "a.txt")


def test_markdown_is_kept_and_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("intro\n\n# The *Name*\n\n| a | b |\n", "utf-8")
    document = load_file(path, "a.md")[0]
    assert document.page_content == path.read_text("utf-8")
    assert document.metadata["title"] == "The Name"


HTML = """<?xml version="1.0" encoding="windows-1252"?>
<html><head><title>Öffnung | Site</title><style>p{}</style></head><body>
<nav><a href="/">Start</a> <a href="/b">Buy now</a></nav>
<main><h1>Öffnung</h1><p>%s</p><h2>Garten</h2><p>%s</p>
<script>alert("no")</script></main><footer>All rights reserved</footer></body></html>"""


def test_html_gives_its_main_text_and_headings(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes((HTML % (GERMAN * 4, GERMAN * 5)).encode("windows-1252"))
    document = load_file(path, "a.html")[0]
    text = document.page_content
    assert GERMAN * 4 in text
    assert "alert" not in text
    assert "Buy now" not in text
    assert document.metadata["title"] == "Öffnung | Site"
    assert [name for _, name in document.metadata["headings"]] == ["Öffnung", "Garten"]
    assert all(text.startswith(name, start) for start, name in document.metadata["headings"])


def test_a_hostile_page_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<div>" * 200_000 + "deep inside" + "</div>" * 200_000, "utf-8")
    assert outcome(path) in ("text", "reason")


def outcome(path: Path) -> str:
    """ "text" or "reason"; anything else is the test's failure."""
    try:
        pages = load_file(path, path.name)
    except DocumentError as error:
        return "reason" if str(error).count(".") >= 2 else f"no remedy: {error}"
    return "text" if any(page.page_content.strip() for page in pages) else "nothing"


Draw = Callable[[Any], None]


def make_pdf(path: Path, *pages: Draw | None, title: str = "", password: str | None = None) -> Path:
    """A PDF with a page for each drawing; None is an empty one."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), encrypt=password)
    if title:
        canvas.setTitle(title)
    for draw in pages:
        if draw:
            draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def lines(*texts: str, size: int = 11, top: int = 700) -> Draw:
    def draw(canvas: Any) -> None:
        for number, text in enumerate(texts):
            big = text.startswith("# ")
            canvas.setFont("Helvetica", 18 if big else size)
            canvas.drawString(72, top - 14 * number, text.removeprefix("# "))

    return draw


def test_pdf_pages_places_and_headings(tmp_path: Path) -> None:
    first = lines("# Opening hours", "The house opens at ten.", "It closes at six.")
    path = make_pdf(tmp_path / "a.pdf", first, None, lines("Last page."), title="The Guide")
    found = load_file(path, "a.pdf")
    assert [page.metadata["page"] for page in found] == [1, 2, 3]
    assert [page.metadata["place"] for page in found] == ["page 1", "page 2", "page 3"]
    assert found[0].page_content == "Opening hours\n\nThe house opens at ten.\nIt closes at six."
    assert found[1].page_content == ""
    whole = "\f".join(page.page_content for page in found)
    assert all(whole.startswith(page.page_content, page.metadata["start"]) for page in found)
    assert whole[found[2].metadata["start"] :] == "Last page."
    assert found[0].metadata["headings"] == [(0, "Opening hours")]
    assert {page.metadata["title"] for page in found} == {"The Guide"}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("", "Opening hours"),
        ("untitled", "Opening hours"),
        ("Microsoft Word - guide_v2.doc", "Opening hours"),
        ("C:\\Users\\me\\guide", "Opening hours"),
        ("Microsoft Word - The Guide", "The Guide"),
        ("TCP/IP for all", "TCP/IP for all"),
    ],
)
def test_a_pdfs_title(tmp_path: Path, title: str, expected: str) -> None:
    path = make_pdf(
        tmp_path / "stem.pdf", lines("# Opening hours", "The house opens.", "And more."), title=title
    )
    assert load_file(path, "stem.pdf")[0].metadata["title"] == expected


def test_running_heads_and_feet_are_left_out(tmp_path: Path) -> None:
    texts = [
        lines("Annual report 2024", f"The text of page {'abcdef'[n]}.", f"Page {n + 1} of 6")
        for n in range(6)
    ]
    found = load_file(make_pdf(tmp_path / "a.pdf", *texts), "a.pdf")
    assert [page.page_content for page in found] == [f"The text of page {letter}." for letter in "abcdef"]


def test_a_word_cut_at_the_line_end_is_whole_again(tmp_path: Path) -> None:
    path = make_pdf(
        tmp_path / "a.pdf", lines("Everybody likes the garden and the muse-", "um beside the river.")
    )
    text = load_file(path, "a.pdf")[0].page_content
    assert text == "Everybody likes the garden and the museum beside the river."


def picture(canvas: Any) -> None:
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    canvas.drawImage(ImageReader(Image.new("RGB", (40, 40), "red")), 72, 400)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (picture, "only images or drawings"),
        (lambda canvas: canvas.rect(72, 400, 100, 100), "only images or drawings"),
        (
            lambda canvas: canvas.acroForm.textfield(name="a", x=72, y=400),
            "empty form fields, or annotations",
        ),
        (None, "blank"),
    ],
)
def test_a_pdf_without_text_says_what_it_has(tmp_path: Path, draw: Draw | None, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        load_file(make_pdf(tmp_path / "a.pdf", draw), "a.pdf", ocr="none")


def test_an_encrypted_pdf(tmp_path: Path) -> None:
    path = make_pdf(tmp_path / "a.pdf", lines("Secret."), password="secret")
    with pytest.raises(DocumentError, match=r"encrypted with a password\. Save a copy without"):
        load_file(path, "a.pdf")


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_pdf_is_read_or_refused(tmp_path: Path, cut: float) -> None:
    path = make_pdf(tmp_path / "a.pdf", *[lines(f"Page with the number {n}.") for n in range(20)])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    assert outcome(path) in ("text", "reason")


def test_a_reason_that_may_pass_is_told_from_one_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    slow = Reader(silence=0)
    request.addfinalizer(slow.close)
    path = make_pdf(tmp_path / "a.pdf", lines("Good text."))
    with monkeypatch.context() as patch:
        patch.setattr(documents, "reader", slow)
        with pytest.raises(DocumentError, match="too long to read") as late:
            load_file(path, "a.pdf")
    with pytest.raises(DocumentError, match="is gone") as gone:
        load_file(tmp_path / "b.txt", "b.txt")
    path.write_bytes(b"%PDF-1.7 broken")
    with pytest.raises(DocumentError, match="is broken") as broken:
        load_file(path, "a.pdf")
    assert [caught.value.passing for caught in (late, gone, broken)] == [True, True, False]


def served(monkeypatch: pytest.MonkeyPatch, body: bytes, media_type: str, charset: str | None = None) -> None:
    got = Fetched("https://example.org/files/The%20Guide.txt", body, media_type, charset)
    monkeypatch.setattr("rag.fetch.fetch", lambda *_, **__: got)


def test_a_url_is_read_as_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "https://example.org/a"
    served(monkeypatch, (HTML % (GERMAN * 4, GERMAN)).encode("windows-1252"), "text/html", "windows-1252")
    assert load_url(url)[0].metadata["title"] == "Öffnung | Site"
    served(monkeypatch, RUSSIAN.encode("koi8-r"), "text/plain", "koi8-r")
    text = load_url(url)[0]
    assert text.page_content == RUSSIAN
    assert text.metadata == {"source": url, "title": "The Guide.txt", **WHOLE}
    pdf = make_pdf(tmp_path / "a.pdf", lines("One."), lines("Two.")).read_bytes()
    served(monkeypatch, pdf, "application/octet-stream")
    assert [(page.page_content, page.metadata["source"]) for page in load_url(url)] == [
        ("One.", url),
        ("Two.", url),
    ]


def test_a_wrong_charset_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, GERMAN.encode("cp1252"), "text/plain", "utf-8")
    assert load_url("https://example.org/a")[0].page_content == GERMAN
    served(monkeypatch, GERMAN.encode(), "text/plain", "no-such-charset")
    assert load_url("https://example.org/a")[0].page_content == GERMAN


def test_a_url_that_is_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, b"\0\1", "application/x-thing")
    with pytest.raises(DocumentError, match="no text but application/x-thing"):
        load_url("https://example.org/a")
    served(monkeypatch, b"", "text/html")
    with pytest.raises(DocumentError, match="empty"):
        load_url("https://example.org/a")
    page = (HTML % (GERMAN, GERMAN)).encode()
    served(monkeypatch, page + b" " * (MAX_HTML + 1 - len(page)), "text/html")
    with pytest.raises(DocumentError, match="larger than 10 MB"):
        load_url("https://example.org/a")


def test_a_failed_fetch_is_a_document_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Fetched:
        raise FetchError("The reason. The remedy.")

    monkeypatch.setattr("rag.fetch.fetch", fail)
    with pytest.raises(DocumentError, match=r"The reason\. The remedy\."):
        load_url("https://example.org/a")


def test_loopback_is_refused_by_default() -> None:
    with pytest.raises(DocumentError, match="private network"):
        load_url("http://127.0.0.1:9/")


def test_a_hyphen_that_belongs_to_the_word_stays(tmp_path: Path) -> None:
    cut = lines("The garden of the town is well-", "known, and so is the muse-", "um by the river.")
    whole = lines("The well by the river is known to the people of the town.")
    found = load_file(make_pdf(tmp_path / "a.pdf", cut, whole), "a.pdf")
    assert found[0].page_content == (
        "The garden of the town is well-known, and so is the museum by the river."
    )


LEFT = [f"Left column, line {n} of the text that stands there" for n in range(8)]
RIGHT = [f"Right column, line {n} of what is to be read next" for n in range(8)]


def columns(canvas: Any) -> None:
    """Drawn line by line across both columns, as some programs do."""
    canvas.setFont("Helvetica", 9)
    for number, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        canvas.drawString(60, 700 - 12 * number, left)
        canvas.drawString(320, 700 - 12 * number, right)


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    text = load_file(make_pdf(tmp_path / "a.pdf", columns), "a.pdf")[0].page_content
    assert text.replace("\n\n", "\n").split("\n") == [*LEFT, *RIGHT]


def grid(canvas: Any) -> None:
    canvas.setFont("Helvetica", 9)
    for number in range(8):
        for column, text in enumerate((f"Item {number}", f"{number * 100} euro", f"{number} days")):
            canvas.drawString(60 + 160 * column, 700 - 12 * number, text)


def test_the_rows_of_a_table_stay_rows(tmp_path: Path) -> None:
    text = load_file(make_pdf(tmp_path / "a.pdf", grid), "a.pdf")[0].page_content
    assert [line.split() for line in text.split("\n")] == [
        ["Item", str(n), str(n * 100), "euro", str(n), "days"] for n in range(8)
    ]
