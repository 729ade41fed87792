"""The sample corpus: the PDF comes from its script, and the sample questions have the answers they name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag.documents import load_file

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("txt/*"), *ROOT.glob("pdfs/*")])
ROWS = [json.loads(line) for line in (ROOT / "docs/sample-questions.jsonl").read_text("utf-8").splitlines()]
ANSWERABLE = [row for row in ROWS if row["answerable"]]


@pytest.fixture(scope="module")
def pages() -> dict[str, dict[int | None, str]]:
    """source → page → text."""
    return {
        path.name: {page.metadata["page"]: page.page_content for page in load_file(path, path.name)}
        for path in FILES
    }


def test_the_script_writes_the_same_bytes(tmp_path: Path) -> None:
    again = tmp_path / "again.pdf"
    subprocess.run([sys.executable, str(ROOT / "scripts/make_sample_pdf.py"), str(again)], check=True)
    assert again.read_bytes() == (ROOT / "pdfs/larkmoor-handbook.pdf").read_bytes()


def test_the_handbook_is_what_a_visitor_sees(pages: dict[str, dict[int | None, str]]) -> None:
    handbook = pages["larkmoor-handbook.pdf"]
    assert list(handbook) == list(range(1, 13))
    assert "Palm House 24 °C 19 °C 75 % every day at 06:30" in handbook[5]  # a table's row stays a line
    left, right = handbook[7].index("The old oak"), handbook[7].index("The youngest")
    assert left < handbook[7].index("The wishing lime") < right  # the columns one after the other


def test_the_questions_are_rows_for_eval() -> None:
    assert len({row["id"] for row in ROWS}) == len({row["question"] for row in ROWS}) == len(ROWS)
    assert len(ANSWERABLE) >= 24
    assert len(ROWS) - len(ANSWERABLE) >= 6


@pytest.mark.parametrize("row", ANSWERABLE, ids=lambda row: row["id"])
def test_an_answer_is_where_its_row_says(
    row: dict[str, Any], pages: dict[str, dict[int | None, str]]
) -> None:
    source = pages[row["source"]]
    places = [source[page] for page in row.get("pages", [])]
    places += [source[None][start:end] for start, end in row.get("spans", [])]
    text = " ".join(" ".join(places).split())
    assert row["answers"]
    for answer in row["answers"]:
        assert answer in text
