from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from rag.cancel import Cancelled, CancelToken, scope
from rag.evaluate import QuestionsError, Row, evaluate, read_questions
from rag.prompts import NOT_FOUND


def chunk(
    source: str = "a.txt", start: int = 0, length: int = 100, page: int | None = None, fill: str = "x"
) -> Document:
    place = {"source": source, "page": page, "start": start, "end": start + length}
    return Document(page_content=fill * length, metadata=place)


@dataclass
class Known:
    """A retriever and a chain that answer as they are told, question by question."""

    passages: dict[str, list[Document]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def search(self, query: str, k: int) -> list[Document]:
        return self.passages.get(query, [])[:k]

    def probability(self, query: str) -> float:
        return 0.5

    def invoke(self, input: dict[str, Any]) -> dict[str, Any]:
        return {"query": input["query"], **self.results[input["query"]]}


def recall(row: Row, passages: list[Document]) -> dict[str, float]:
    known = Known({row.question: passages})
    figures: dict[str, float] = evaluate([row], known, known)["recall"]
    return figures


def test_a_chunk_is_relevant_by_its_source_alone_where_no_place_is_given() -> None:
    row = Row("1", "q", source="a.txt")
    assert recall(row, [chunk("b.txt"), chunk("a.txt")]) == {"1": 0.0, "4": 1.0, "5": 1.0, "10": 1.0}


def test_a_chunk_is_relevant_by_its_page() -> None:
    row = Row("1", "q", source="a.pdf", pages=(2, 3))
    assert recall(row, [chunk("a.pdf", page=1), chunk("b.pdf", page=2)])["10"] == 0
    assert recall(row, [chunk("a.pdf", page=3)])["1"] == 1


@pytest.mark.parametrize(
    ("start", "length", "found"),
    [(0, 50, False), (0, 51, True), (59, 10, True), (60, 10, False), (200, 10, True)],
)
def test_a_chunk_is_relevant_if_it_overlaps_any_span(start: int, length: int, found: bool) -> None:
    row = Row("1", "q", source="a.txt", spans=((50, 60), (205, 206)))
    assert recall(row, [chunk("a.txt", start, length)])["1"] == found


def test_recall_reads_1200_characters_a_chunk_and_no_more() -> None:
    row = Row("1", "q", source="a.txt", spans=((1300, 1310),))
    big = chunk("a.txt", 0, 5000)
    assert recall(row, [big]) == {"1": 0.0, "4": 1.0, "5": 1.0, "10": 1.0}
    after = [chunk("b.txt", 0, 4800), chunk("a.txt", 1300, 10)]
    assert recall(row, after) == {"1": 0.0, "4": 0.0, "5": 1.0, "10": 1.0}


def test_mean_reciprocal_rank() -> None:
    rows = [Row("1", "first", "a.txt"), Row("2", "third", "a.txt"), Row("3", "never", "a.txt")]
    other = chunk("b.txt")
    known = Known({"first": [chunk()], "third": [other, other, chunk()], "never": [other] * 10})
    assert evaluate(rows, known, known)["mrr"] == round((1 + 1 / 3) / 3, 4)


@pytest.mark.parametrize(
    ("text", "contains"),
    [
        ("It opens at\n NINE o'clock [1].", True),
        ("At nine [1] o'clock.", True),
        ("At ten.", False),
        ("", False),
    ],
)
def test_answer_contains_looks_past_case_space_and_citations(text: str, contains: bool) -> None:
    row = Row("1", "q", answers=("eight", "nine o'clock"))
    known = Known(results={"q": {"result": text, "source_documents": [chunk()]}})
    assert evaluate([row], known, known)["answer_contains"] == contains


def test_abstention_is_counted_for_each_kind_of_question() -> None:
    rows = [
        Row("1", "known", answerable=True),
        Row("2", "refused", answerable=True),
        Row("3", "nothing", source="a.txt", answers=("x",), answerable=False),
        Row("4", "invented", answerable=False),
    ]
    answer = {"result": "Nine [1].", "source_documents": [chunk()]}
    known = Known(
        results={
            "known": answer,
            "refused": {"result": NOT_FOUND, "source_documents": [chunk()]},
            "nothing": {"result": "x", "source_documents": []},
            "invented": {"result": "Nine."},
        }
    )
    result = evaluate(rows, known, known)
    assert result["abstained"] == {"answerable": 0.5, "unanswerable": 0.5}
    assert result["answer_contains"] is None, "an unanswerable question has no right answer"
    assert result["recall"]["10"] is None


def test_what_no_row_tells_is_null() -> None:
    result = evaluate([Row("1", "q")], Known(), Known())
    assert result["questions"] == 1
    assert result["recall"] == {"1": None, "4": None, "5": None, "10": None}
    assert result["mrr"] is None
    assert result["answer_contains"] is None
    assert result["abstained"] == {"answerable": None, "unanswerable": None}
    assert result["p50_ms"] <= result["p95_ms"] <= result["seconds"] * 1000 + 1
    json.dumps(result, allow_nan=False)


def test_progress_is_told_and_the_work_can_be_cancelled() -> None:
    told: list[tuple[int, int, str]] = []
    evaluate([Row("a", "q"), Row("b", "q")], Known(), Known(), lambda *step: told.append(step))
    assert told == [(0, 2, "a"), (1, 2, "b"), (2, 2, "")]
    token = CancelToken()
    token.cancel()
    with scope(token), pytest.raises(Cancelled):
        evaluate([Row("a", "q")], Known(), Known())


def test_reading_questions(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '\ufeff{"id": 7, "question": "Où", "source": "a.txt", "spans": [[1, 5]], "answers": ["là"], "x": 1}\n'
        '\n{"question": "When?", "source": "b.pdf", "pages": [2], "answerable": false, "answers": null}\n',
        encoding="utf-8",
    )
    assert read_questions(path) == [
        Row("7", "Où", source="a.txt", spans=((1, 5),), answers=("là",)),
        Row("3", "When?", source="b.pdf", pages=(2,), answerable=False),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "q"', "line 2 is not JSON"),
        ('["q"]', "line 2 has no question"),
        ('{"id": "1"}', "line 2 has no question"),
        ('{"question": " "}', "line 2: question must be text that is not empty"),
        ('{"question": "q", "source": "a", "pages": 2}', "line 2: pages must be a list of page numbers"),
        ('{"question": "q", "source": "a", "pages": ["2"]}', "line 2: pages must be"),
        ('{"question": "q", "source": "a", "spans": [[5, 1]]}', "line 2: spans must be"),
        ('{"question": "q", "source": "a", "spans": [1, 5]}', "line 2: spans must be"),
        ('{"question": "q", "answers": "x"}', "line 2: answers must be a list of texts"),
        ('{"question": "q", "answerable": "no"}', "line 2: answerable must be true or false"),
        ('{"question": "q", "pages": [1]}', "line 2 has pages or spans, but no source"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(QuestionsError, match=message) as raised:
        read_questions(path)
    assert "Each line is one object" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00bad", None])
def test_a_file_without_questions(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "questions.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QuestionsError, match=r"questions\.jsonl (has no questions|cannot be read)"):
        read_questions(path)
