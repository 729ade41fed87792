"""A row of a table is quoted with the names of its columns, in the table's own words."""

from __future__ import annotations

from rag.rows import named_rows
from rag.sentences import split_sentences
from tests.rag.test_extractive import answer

TABLE = (
    "Spare parts\n\n| Part | Name | Note | In stock |\n| --- | --- | --- | --- |\n"
    "| BM-3310 | grinder burr set | | 0 |\n| BM-3311 | drip tray | steel \\| plastic | 14 |\n\nOrder early.\n"
)


def test_each_value_has_the_name_of_its_column() -> None:
    rows = named_rows(TABLE)
    assert list(rows.values()) == [
        "Part; Name; Note; In stock",
        "Part: BM-3310; Name: grinder burr set; In stock: 0",
        "Part: BM-3311; Name: drip tray; Note: steel | plastic; In stock: 14",
    ]
    assert set(rows) <= set(split_sentences(TABLE)), "each is one of the passage's sentences"


def test_without_a_head_there_are_no_names_and_no_pipes_all_the_same() -> None:
    assert list(named_rows("| BM-3310 | grinder burr set | 0 |\n").values()) == [
        "BM-3310; grinder burr set; 0"
    ]
    assert named_rows("cat parts.txt | sort\n") == {}
    parted = named_rows("| A | B |\n| --- | --- |\n| It is old. It leaks badly. | 7 litres |\n")
    assert list(parted.values())[1:] == ["It is old.", "It leaks badly.", "7 litres"]


def test_a_row_is_quoted_with_its_names() -> None:
    assert answer("How many BM-3310 are in stock?", TABLE) == (
        "Part: BM-3310; Name: grinder burr set; In stock: 0 [1]"
    )
