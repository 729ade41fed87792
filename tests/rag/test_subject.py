from __future__ import annotations

from rag.subject import subject

COVER = (
    "UNITED STATES\nANNUAL REPORT\nFor the fiscal year ended December 31, 2018\nNORVEX CORPORATION\nDayton\n"
)
PAGE = (
    "Norvex sells adhesives. The board of Norvex met in 2018 and in 2017. {}\n" + "Sales rose a little. " * 40
)


def test_a_report_is_about_the_name_and_year_that_recur() -> None:
    pages = [COVER, *(PAGE.format(f"Page {n}.") for n in range(12))]
    assert subject(pages) == "Norvex 2018"


def test_what_is_known_already_is_left_out() -> None:
    pages = [COVER, *(PAGE.format(n) for n in range(12))]
    assert subject(pages, "NORVEX 2018 10K") == ""


def test_a_name_that_only_begins_the_document_is_not_its_subject() -> None:
    pages = [
        "Valkyria Chronicles is a game.\n" * 5,
        *("The mill stands by the river. " * 60 for _ in range(8)),
    ]
    assert subject(pages) == ""


def test_a_short_document_needs_none() -> None:
    assert subject([COVER, PAGE]) == ""
    assert subject([]) == ""
