"""The scripts' command lines: what is wrong is said in a line, not with a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.arguments import question_folders

ROOT = Path(__file__).parent.parent


def test_folders_of_questions_are_those_that_hold_them(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "questions.jsonl").write_text("")
    assert question_folders("About.", [str(tmp_path)]) == [tmp_path]


@pytest.mark.parametrize(
    ("given", "said"), [("missing", "there is no folder"), (".", "questions.jsonl and corpus/")]
)
def test_another_folder_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        question_folders("About.", [str(tmp_path / given)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", ["measure_retrieval", "fit_evidence"])
def test_a_script_explains_itself(name: str) -> None:
    command = [sys.executable, "-m", f"scripts.{name}", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"python -m scripts.{name} FOLDER…" in said
    assert "usage:" in said
