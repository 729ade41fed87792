from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.store import Page
from ui.quotes import PART, marked, view

PASSAGE = "First, some words. The lamp room\ncloses at half past five (in winter). Then more."


def test_a_quoted_sentence_is_marked_across_line_breaks() -> None:
    pieces = marked(PASSAGE, "The lamp room closes at half past five (in winter). [1] Something else.")
    assert [text for text, quoted in pieces if quoted] == [
        "The lamp room\ncloses at half past five (in winter)."
    ]


def test_a_row_of_a_table_is_marked_with_its_number() -> None:
    rows = "| Part | Price |\n| --- | --- |\n| Pump seal | 3.95 |\n| Hose | 11.20 |"
    assert [text for text, quoted in marked(rows, "Pump seal | 3.95 [1]") if quoted] == ["Pump seal | 3.95"]


def test_a_few_words_in_common_are_no_quotation() -> None:
    assert not any(quoted for _, quoted in marked(PASSAGE, "Then more. Some words."))


@given(st.text(max_size=300), st.text(max_size=300))
def test_the_pieces_join_to_the_passage(passage: str, answer: str) -> None:
    assert "".join(text for text, _ in marked(passage, answer)) == passage
    assert "".join(text for text, _ in marked(passage, passage)) == passage


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.data())
def test_the_view_highlights_what_the_offsets_name(texts: list[str], data: st.DataObject) -> None:
    pages, start = [], 0
    for number, text in enumerate(texts, 1):
        pages.append(Page(text, start, number))
        start += len(text) + 1
    page = data.draw(st.sampled_from([page for page in pages if page.text] or [Page("x", 0, 1)]))
    first = data.draw(st.integers(0, len(page.text) - 1))
    last = data.draw(st.integers(first + 1, len(page.text)))
    shown = view(pages if page in pages else [page], start=page.start + first, end=page.start + last)
    assert shown is not None
    assert (shown.before, shown.passage, shown.after) == (
        page.text[:first],
        page.text[first:last],
        page.text[last:],
    )


def test_a_long_text_is_shown_in_parts_that_join() -> None:
    text = "A line of some forty characters, again.\n" * 1000
    parts = [view([Page(text)], start=0, end=0, number=number) for number in range(view_count(text))]
    assert "".join(part.before + part.passage + part.after for part in parts if part) == text
    assert all(part is not None and len(part.after) + len(part.before) <= PART for part in parts)
    shown = view([Page(text)], start=20_000, end=20_039)
    assert shown is not None
    assert shown.passage == text[20_000:20_039]


def view_count(text: str) -> int:
    shown = view([Page(text)], start=0, end=0)
    assert shown is not None
    return shown.count


def test_there_is_no_view_outside() -> None:
    assert view([], start=0, end=1) is None
    assert view([Page("x")], start=0, end=1, number=3) is None


def test_a_row_that_is_quoted_with_its_columns_names_is_marked() -> None:
    table = "| Part | Name | Note | In stock |\n| --- | --- | --- | --- |\n| BM-3310 | burr set | | 0 |\n"
    pieces = marked(table, "Part: BM-3310; Name: burr set; In stock: 0 [1]")
    assert [text for text, is_quoted in pieces if is_quoted] == ["BM-3310 | burr set | | 0"]
