"""What the scripts are given on the command line: folders that exist and hold what is read from them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def existing_folder(text: str) -> Path:
    """A folder; for argparse, which says so in one line where there is none."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return Path(text)


def question_folder(text: str) -> Path:
    """A folder with `questions.jsonl`, and its documents in `corpus/`."""
    found = existing_folder(text)
    if not (found / "questions.jsonl").is_file() or not (found / "corpus").is_dir():
        raise argparse.ArgumentTypeError(f"{text} does not hold both questions.jsonl and corpus/")
    return found


def question_folders(about: str | None, given: Sequence[str] | None = None) -> list[Path]:
    """The FOLDERs of a script that takes nothing else; `about`: its docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=question_folder, metavar="FOLDER")
    folders: list[Path] = parser.parse_args(given).folders
    return folders
