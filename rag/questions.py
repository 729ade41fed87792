"""A file of questions → rows that can be measured: JSON lines, a table (CSV), or a question a line.

It does not know what is measured on them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REMEDY = 'Each line is one object such as {"id": "1", "question": "…", "source": "a.txt", "pages": [2]}.'
_TABLE_REMEDY = (
    "The first line names the columns: question, and any of id, source, pages, answers, answerable."
)
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (lambda value: isinstance(value, str | int), "text or a number"),
    "question": (lambda value: isinstance(value, str) and bool(value.strip()), "text that is not empty"),
    "source": (lambda value: isinstance(value, str), "text, the document's name"),
    "pages": (lambda value: _is_list(value, _is_number), "a list of page numbers"),
    "spans": (lambda value: _is_list(value, _is_span), "a list of [start, end] offsets"),
    "answers": (lambda value: _is_list(value, lambda each: isinstance(each, str)), "a list of texts"),
    "answerable": (lambda value: isinstance(value, bool), "true or false"),
}
_COLUMNS = {"document": "source", "page": "pages", "answer": "answers"}  # what people also call them
_TRUE, _FALSE = {"true", "yes", "y", "1"}, {"false", "no", "n", "0"}


class QuestionsError(Exception):
    """A file of questions that cannot be used; the message names the line, what is wrong, and the form."""


@dataclass(frozen=True)
class Row:
    """One question and what is known of its answer; an empty field is not known."""

    id: str
    question: str
    source: str = ""
    pages: tuple[int, ...] = ()  # 1-based
    spans: tuple[tuple[int, int], ...] = ()  # offsets in the source's text
    answers: tuple[str, ...] = ()  # any of them will do
    answerable: bool | None = None  # whether the documents have the answer

    @property
    def tests_retrieval(self) -> bool:
        return bool(self.source) and self.answerable is not False

    @property
    def tests_answer(self) -> bool:
        return bool(self.answers) and self.answerable is not False

    def as_dict(self) -> dict[str, Any]:
        """As a line of a file has it; what is not known is left out."""
        known = {
            "source": self.source,
            "pages": list(self.pages),
            "spans": [list(span) for span in self.spans],
            "answers": list(self.answers),
        }
        row: dict[str, Any] = {"id": self.id, "question": self.question}
        row |= {name: value for name, value in known.items() if value}
        return row if self.answerable is None else row | {"answerable": self.answerable}


def read_questions(path: Path) -> list[Row]:
    """The rows of a file; keys and columns that are not a Row's are left alone.

    Raises QuestionsError, which names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise QuestionsError(f"{path} cannot be read: {reason}. {_REMEDY}") from error
    return parse_questions(text, str(path))


def parse_questions(text: str, name: str) -> list[Row]:
    """The rows of a file's text. `name` says the form: .csv or .tsv, .txt, and JSON lines for any other."""
    ending = name.rpartition(".")[2].casefold()
    if ending in {"csv", "tsv"}:
        given, remedy = _table(text, name), _TABLE_REMEDY
    elif ending == "txt":
        given, remedy = _plain_lines(text), "Write one question a line."
    else:
        given, remedy = _json_lines(text, name), _REMEDY
    rows = [_row(each, f"{name}, line {n}", n, remedy) for n, each in given]
    if not rows:
        raise QuestionsError(f"{name} has no questions. {remedy}")
    return rows


def as_lines(rows: Sequence[Row]) -> str:
    """The rows as JSON lines."""
    return "".join(json.dumps(row.as_dict(), ensure_ascii=False) + "\n" for row in rows)


Given = Iterator[tuple[int, Any]]  # the number of a line, from 1, and what stands there


def _json_lines(text: str, name: str) -> Given:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise QuestionsError(f"{name}, line {number} is not JSON: {error}. {_REMEDY}") from error


def _plain_lines(text: str) -> Given:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, {"question": line.strip()}


def _table(text: str, name: str) -> Given:
    """A spreadsheet's rows; it may separate its columns by commas, semicolons or tabs."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        columns = [_column(cell) for cell in next(reader, [])]
        if "question" not in columns:
            raise QuestionsError(f"{name} has no column named question. {_TABLE_REMEDY}")
        for cells in reader:
            known = {c: v.strip() for c, v in zip(columns, cells, strict=False) if v.strip()}
            if known:
                yield reader.line_num, {column: _cell(column, value) for column, value in known.items()}
    except csv.Error as error:
        raise QuestionsError(f"{name}, line {reader.line_num}: {error}. {_TABLE_REMEDY}") from error


def _column(name: str) -> str:
    plain = name.strip().casefold()
    return _COLUMNS.get(plain, plain)


def _cell(column: str, value: str) -> Any:
    """A cell's text as JSON lines would have it; what cannot be is left as it is, and refused later."""
    if column == "pages":
        parts = [part for part in re.split(r"[\s,;]+", value) if part]
        return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else value
    if column == "answers":
        return [part.strip() for part in value.split("|") if part.strip()]
    if column == "answerable" and value.casefold() in _TRUE | _FALSE:
        return value.casefold() in _TRUE
    return None if column == "spans" else value


def _row(given: Any, place: str, number: int, remedy: str) -> Row:
    if not isinstance(given, dict) or "question" not in given:
        raise QuestionsError(f"{place} has no question. {remedy}")
    known = {key: value for key, value in given.items() if key in _CHECKS and value is not None}
    for key, value in known.items():
        valid, wanted = _CHECKS[key]
        if not valid(value):
            raise QuestionsError(f"{place}: {key} must be {wanted}. {remedy}")
    if ("pages" in known or "spans" in known) and not known.get("source"):
        raise QuestionsError(f"{place} has pages or spans, but no source that they are in. {remedy}")
    return Row(
        id=str(known.get("id", number)),
        question=known["question"],
        source=known.get("source", ""),
        pages=tuple(known.get("pages", ())),
        spans=tuple((start, end) for start, end in known.get("spans", ())),
        answers=tuple(answer for answer in known.get("answers", ()) if answer.strip()),
        answerable=known.get("answerable"),
    )


def _is_list(value: object, valid: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(valid(each) for each in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_span(value: object) -> bool:
    return _is_list(value, _is_number) and isinstance(value, list) and len(value) == 2 and value[0] < value[1]
