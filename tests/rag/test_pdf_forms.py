"""What was filled into a PDF is read with the name of its field; what nobody sees is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag.documents import DocumentError, load_file
from tests.pdfs import Draw, draw_pdf, lines, together

HIDDEN, PASSWORD = "hidden", "password"


def fields(*given: tuple[str, str, str], flags: str = "", shown: str = "print") -> Draw:
    """Text fields: name, label, value."""

    def draw(canvas: Any) -> None:
        for number, (name, label, value) in enumerate(given):
            canvas.acroForm.textfield(
                value,
                name=name,
                x=200,
                y=600 - 30 * number,
                tooltip=label,
                fieldFlags=flags,
                annotationFlags=shown,
            )

    return draw


def texts(path: Path) -> list[str]:
    return [page.page_content for page in load_file(path, path.name, ocr="none")]


def test_text_fields_stand_at_the_end_of_their_page(tmp_path: Path) -> None:
    form = together(
        lines("Application for a lamp"),
        fields(("f1", "Surname", "Lovelace"), ("f2", "", "2 lamps,\nof brass"), ("f3", "Remarks", "")),
    )
    path = draw_pdf(tmp_path / "a.pdf", form, lines("The second page."))
    assert texts(path) == [
        "Application for a lamp\n\nSurname: Lovelace\nf2: 2 lamps, of brass",
        "The second page.",
    ]


def test_choices_and_boxes(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        form = canvas.acroForm
        form.choice("green", options=["red", "green"], name="colour", x=50, y=500)
        form.checkbox(name="brass", tooltip="Of brass", checked=True, x=50, y=400)
        form.checkbox(name="steel", tooltip="Of steel", checked=False, x=50, y=370)
        form.radio("m", name="size", tooltip="Size", selected=True, x=50, y=300)
        form.radio("l", name="size", tooltip="Size", selected=False, x=90, y=300)

    found = texts(draw_pdf(tmp_path / "a.pdf", draw))[0].split("\n")
    assert found == ["colour: green", "Of brass: yes", "Size: m"]


def test_what_nobody_sees_on_the_page_is_left_out(tmp_path: Path) -> None:
    page = together(
        lines("Sign in"),
        fields(("p", "Password", "open sesame"), flags=PASSWORD),
        fields(("h", "Secret", "a hidden word"), shown=HIDDEN),
    )
    assert texts(draw_pdf(tmp_path / "a.pdf", page)) == ["Sign in"]


def test_an_empty_form_has_no_text(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="only empty form fields"):
        texts(draw_pdf(tmp_path / "a.pdf", fields(("f1", "Surname", ""))))


def test_text_that_was_typed_onto_a_page(tmp_path: Path) -> None:
    def draw(canvas: Any) -> None:
        canvas.freeTextAnnotation("Paid on Monday.", "/Helv 11 Tf", Rect=[50, 500, 200, 520], relative=0)

    assert texts(draw_pdf(tmp_path / "a.pdf", together(lines("Invoice"), draw))) == [
        "Invoice\n\nPaid on Monday."
    ]
