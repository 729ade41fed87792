"""The command line as a person uses it: results, exit codes, and JSON that is alone on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from tests.pdfs import draw_pdf, lines

ROOT = Path(app.__file__).parent
Run = Callable[..., Any]

PRICES = "Tickets\n\nA ticket for the lantern boat costs 14 euros. Children under six ride for free.\n"
HOURS = "Hours\n\nThe lantern boat leaves at nine in the evening. It returns at eleven.\n"


@pytest.fixture(autouse=True)
def a_quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside, and nothing that a command sets for its process stays."""
    for name in list(os.environ):
        if name.startswith("PARLEY_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two documents and a broken one."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "prices.txt").write_text(PRICES)
    (folder / "hours.txt").write_text(HOURS)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    data = tmp_path_factory.mktemp("data")
    assert app.main(["index", "--corpus", str(folder), "--data", str(data), "--offline"]) == 0
    return data


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], data: Path) -> Run:
    """Runs a command with --json; returns the object that it printed."""

    def go(*arguments: str, expected: int = 0) -> Any:
        capfd.readouterr()
        code = app.main([*arguments, "--json", "--offline", "--data", str(data)])
        printed = capfd.readouterr()
        assert code == expected, printed.err
        return json.loads(printed.out) if expected == 0 else printed.err

    return go


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import app; took = time.perf_counter() - t;"
        "heavy = {'torch', 'transformers', 'faiss', 'gradio', 'langchain_core', 'numpy', 'tantivy'};"
        "print(took); print(*(heavy & sys.modules.keys()))"
    )
    best = []
    for _ in range(3):
        out = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        took, _, loaded = out.stdout.partition("\n")
        assert loaded.strip() == ""
        best.append(float(took))
    assert min(best) < 0.5


COMPUTING = """
import atexit, threading, torch, app

def work():
    while True:
        matrix @ matrix
        begun.set()

matrix, begun = torch.ones(600, 600), threading.Event()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
atexit.register(print, "tidied")
app.leave(3)
"""


def test_the_program_ends_cleanly_while_a_model_computes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPUTING], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "tidied\n", "")


def test_index_reports_what_changed_and_why_something_failed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.md").write_text("# The ferry\n\nThe ferry crosses at noon.\n")
    (tmp_path / "empty.txt").write_text("")
    first = run("index", "--corpus", str(tmp_path))
    assert (first["added"], first["removed"]) == (1, 0)
    assert [failure["source"] for failure in first["failed"]] == ["empty.txt"]
    assert "empty" in first["failed"][0]["error"]
    (tmp_path / "new.md").unlink()
    second = run("index", "--corpus", str(tmp_path))
    assert (second["added"], second["removed"]) == (0, 1)
    assert second["chunks"] < first["chunks"]
    assert second["seconds"] >= 0


def test_index_names_documents_that_are_read_in_part(run: Run, tmp_path: Path) -> None:
    draw_pdf(
        tmp_path / "ferry.pdf", lines("The ferry crosses at noon."), lambda canvas: canvas.rect(9, 9, 9, 9)
    )
    (tmp_path / "whole.txt").write_text("The kiosk sells umbrellas.")
    report = run("index", "--corpus", str(tmp_path), "--ocr", "none")
    notice = (
        "1 of 2 pages is a picture without text and was not read. PARLEY_OCR is none: set it to auto, and"
    )
    [partly] = report["partly"]
    assert (partly["source"], partly["notice"].startswith(notice)) == ("ferry.pdf", True)
    notices = {file["source"]: file["notice"] for file in report["files"]}
    assert (notices["ferry.pdf"], notices["whole.txt"]) == (partly["notice"], "")
    run("index", "--forget", str(tmp_path))


def test_a_corpus_folder_can_be_forgotten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("# The kiosk\n\nThe kiosk sells umbrellas.\n")
    assert run("index", "--corpus", str(tmp_path))["added"] == 1
    assert run("index", "--forget", str(tmp_path))["removed"] == 1
    assert (tmp_path / "old.md").exists()


def test_ask_answers_with_its_sources(run: Run) -> None:
    result = run("ask", "What does a ticket for the lantern boat cost?")
    assert result["answered"] is True
    assert "14 euros" in result["answer"]
    assert result["standalone"] == result["question"]
    best = result["sources"][0]
    assert set(best) == {"source", "page", "place", "at", "start", "end", "score", "text"}
    assert best["source"] == "prices.txt"
    assert PRICES[best["start"] : best["end"]] == best["text"]
    assert 0 < best["score"] <= 1
    assert set(result["engine"]) == {"llm", "embedder"}
    assert result["timings"]["first_token"] <= result["timings"]["total"]


def test_ask_says_so_when_nothing_is_found(run: Run) -> None:
    result = run("ask", "Which enzyme splits lactose in the small intestine of mammals?")
    assert result["answered"] is False
    assert result["sources"] == []


def test_ask_quotes_where_the_model_cannot_be_had_and_says_why(data: Path) -> None:
    command = [sys.executable, "app.py", "ask", "When does the lantern boat leave?", "--llm", "no/such-model"]
    done = subprocess.run(
        [*command, "--json", "--offline", "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    assert "nine" in result["answer"]
    assert result["engine"]["llm"] == "quotations"
    assert "no/such-model" in done.stderr
    assert "Traceback" not in done.stderr


def test_ask_speaks_its_answer_into_a_file(run: Run, tmp_path: Path) -> None:
    run("ask", "When does the lantern boat leave?", "--speak", str(tmp_path / "answer.wav"))
    with wave.open(str(tmp_path / "answer.wav")) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
        assert len(samples) / sound.getframerate() > 1
    assert np.abs(samples).max() > 1000


def test_ask_prints_the_answer_and_its_places(capfd: pytest.CaptureFixture[str], data: Path) -> None:
    assert app.main(["ask", "When does the lantern boat leave?", "--data", str(data), "--offline"]) == 0
    printed = capfd.readouterr().out
    assert "nine in the evening" in printed
    assert "[1] hours.txt" in printed


def test_what_is_spoken_can_be_transcribed(run: Run, tmp_path: Path) -> None:
    assert app.main(["speak", "The lantern boat returns at eleven.", "--out", "said.wav", "--offline"]) == 0
    result = run("transcribe", str(tmp_path / "said.wav"), "--language", "en")
    assert set(result) >= {"text", "language", "engine", "seconds"}
    assert "at eleven" in result["text"].lower()


def test_eval_measures_a_corpus_of_its_own(run: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "hours.txt").write_text(HOURS)
    rows = [
        {
            "id": "a",
            "question": "When does the lantern boat leave?",
            "source": "hours.txt",
            "answers": ["nine"],
        },
        {"id": "b", "question": "Which enzyme splits lactose in mammals?", "answerable": False},
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    result = run("eval", str(tmp_path / "questions.jsonl"), "--corpus", str(corpus))
    assert result["questions"] == 2
    assert result["recall"]["1"] == 1.0
    assert result["answer_contains"] == 1.0
    assert result["abstained"]["unanswerable"] == 1.0
    assert run("ask", "What does a ticket for the lantern boat cost?")["sources"][0]["source"] == "prices.txt"


def test_eval_takes_a_table_compares_and_says_what_to_change(
    run: Run, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "questions.csv"
    table.write_text(
        "question,source,answers\nWhen does the lantern boat leave?,hours.txt,nine\nHow deep is it?,x.txt,9\n"
    )
    result = run("eval", str(table), "--compare", "floor=1")
    assert result["compared"]["changed"] == {"floor": "1"}
    assert (result["answer_contains"], result["compared"]["answer_contains"]) == (0.5, 0.0)
    assert [miss["kind"] for miss in result["misses"]] == ["not indexed"]
    assert app.main(["eval", str(table), "--offline", "--data", str(data)]) == 0
    printed = capfd.readouterr().out
    assert "What to change:" in printed
    assert "x.txt" in printed


@pytest.mark.parametrize(("source", "warned"), [("theirs.txt", True), ("hours.txt", False)])
def test_eval_says_at_once_that_the_questions_are_about_other_documents(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, warned: bool
) -> None:
    questions = tmp_path / "questions.csv"
    questions.write_text(f"question,source\nWhen does the boat leave?,{source}\nHow deep is it?,x.txt\n")
    assert run("eval", str(questions))["questions"] == 2
    assert ("--corpus" in caplog.text and "theirs.txt" in caplog.text) == warned


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "--corpus", "no-such-folder"], "no-such-folder"),
        (["transcribe", "no-such-file.wav"], "cannot be opened"),
        (["eval", "no-such-file.jsonl"], "no-such-file.jsonl"),
        (["eval", "questions.jsonl", "--noise", "5"], "Add --spoken"),
        (["eval", "questions.jsonl", "--compare", "colour=red"], "colour is no setting"),
        (["ask", "Why?", "--prompt", "no-such-prompt.txt"], "no-such-prompt.txt"),
    ],
)
def test_a_failure_is_one_clear_line(run: Run, arguments: list[str], said: str) -> None:
    error = run(*arguments, expected=1)
    line = error.strip().splitlines()[-1]
    assert line.startswith("parley: ")
    assert said in line
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["ask"], ["ask", "Why?", "--fast"], ["serve", "--k", "many"], ["speak", "Hello"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = app.main(arguments)
    except SystemExit as stopped:  # argparse's own way
        code = int(stopped.code or 0)
    assert code == 2
    assert capfd.readouterr().err


def test_a_host_that_lets_others_in_is_refused_without_sign_in(capfd: pytest.CaptureFixture[str]) -> None:
    assert app.main(["serve", "--host", "0.0.0.0", "--offline"]) == 1
    assert "PARLEY_AUTH" in capfd.readouterr().err


def test_doctor_says_what_works_and_what_to_do(
    capfd: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    code = app.main(["doctor", "--data", str(data), "--corpus", str(tmp_path), "--offline"])
    printed = capfd.readouterr().out
    for name in ("Python", "SQLite", "search", "answers", "hearing", "voice"):
        assert f" {name}: " in printed
    assert "all-MiniLM-L6-v2" in printed
    assert code == 0, printed
