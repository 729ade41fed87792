"""Questions from a spreadsheet and from a plain list; JSON lines are in test_evaluate."""

from __future__ import annotations

import pytest

from rag.questions import QuestionsError, Row, as_lines, parse_questions

TABLE = """Question;Document;Page;Answer;Answerable
"When does it open; and why?";a.pdf;2, 3;at nine|9:00;yes

Who?;;;;no
"""


def test_a_spreadsheets_table() -> None:
    assert parse_questions(TABLE, "mine.CSV") == [
        Row(
            "2", "When does it open; and why?", "a.pdf", (2, 3), answers=("at nine", "9:00"), answerable=True
        ),
        Row("4", "Who?", answerable=False),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_may_be_separated_by_what_a_spreadsheet_likes(separator: str) -> None:
    text = "id;question;notes\nx;Why?;unused\n".replace(";", separator)
    assert parse_questions(text, "a.tsv" if separator == "\t" else "a.csv") == [Row("x", "Why?")]


def test_a_question_a_line() -> None:
    assert parse_questions("When?\r\n\n  Où est-ce?  \n", "list.txt") == [
        Row("1", "When?"),
        Row("3", "Où est-ce?"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frage\nWann?\n", "no column named question"),
        ("", "no column named question"),
        ("question\n", "no questions"),
        ("question,source,page\nq,a.pdf,two\n", "line 2: pages must be"),
        ("question,page\nq,2\n", "line 2 has pages"),
        ("question,answerable\nq,perhaps\n", "line 2: answerable must be"),
        ("question,source\n,a.txt\n", "line 2 has no question"),
        ('question\n"' + "x" * 200_000 + '"\n', "line 2: field larger"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(text: str, message: str) -> None:
    with pytest.raises(QuestionsError, match=message) as raised:
        parse_questions(text, "t.csv")
    assert "t.csv" in str(raised.value)
    assert "The first line names the columns" in str(raised.value)


def test_an_endlessly_nested_line_is_refused() -> None:
    with pytest.raises(QuestionsError, match="line 1 is not JSON"):
        parse_questions("[" * 200_000, "q.jsonl")


def test_rows_are_written_as_they_are_read() -> None:
    rows = [
        Row("1", "Où?", "a.txt", spans=((1, 5), (7, 9)), answers=("là",), answerable=True),
        Row("2", "When?", "b.pdf", pages=(2,), answerable=False),
        Row("3", "Why?"),
    ]
    assert parse_questions(as_lines(rows), "q.jsonl") == rows
    assert as_lines(rows[2:]) == '{"id": "3", "question": "Why?"}\n'


def test_an_empty_answer_would_be_in_every_answer_and_is_left_out() -> None:
    (row,) = parse_questions('{"question": "q", "answers": ["", " ", "nine"]}', "q.jsonl")
    assert row.answers == ("nine",)
