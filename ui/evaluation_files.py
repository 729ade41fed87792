"""Sets of questions and the results measured on them, as files in the data folder. It measures nothing.

Everybody who may open the page sees them, as with the documents.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag.questions import Row, as_lines, parse_questions
from ui.services import UiError

log = logging.getLogger(__name__)

KEPT = 20  # results
MAX_ROWS = 5000  # questions of a set
MAX_SETS = 200
_NAME = re.compile(r"[^\W_][\w ().,'-]{0,58}[\w)]|[^\W_]")
_ID = re.compile(r"\d{13}-[0-9a-f]{8}")
GONE = "This result is not there any more: the newest {} are kept."


class QuestionSets:
    """One file a set, in the form that `eval` reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.jsonl"))

    def read(self, name: str) -> list[Row]:
        try:
            text = self._path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UiError(f"There is no set of questions named {name} any more. Reload the page.") from None
        return parse_questions(text, name)

    def write(self, name: str, rows: Sequence[Row]) -> None:
        if not rows:
            raise UiError("The set has no questions yet. Add one, then save it.")
        if len(rows) > MAX_ROWS:
            raise UiError(f"A set can have {MAX_ROWS} questions at most. Split it.")
        path = self._path(name)
        with self._lock:
            if not path.exists() and len(self.names()) >= MAX_SETS:
                raise UiError(f"There are {MAX_SETS} sets already. Remove one that you do not need.")
            _write(path, as_lines(rows))

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UiError("The name of a set is 1 to 60 letters, digits and spaces. Choose another name.")
        return self._folder / f"{name}.jsonl"


def read_upload(text: str, name: str) -> list[Row]:
    """The questions of a file that a person chose. Raises QuestionsError and UiError."""
    rows = parse_questions(text, name)
    if len(rows) > MAX_ROWS:
        raise UiError(f"{name} has {len(rows)} questions; {MAX_ROWS} can be measured at once. Split it.")
    return rows


class Results:
    """The newest results, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._summaries: dict[str, dict[str, Any]] = {}  # a result never changes

    def add(self, name: str, record: dict[str, Any]) -> str:
        """Keep what was measured on the set of that name; the oldest goes. Its id."""
        now = time.time()
        identifier = f"{int(now * 1000):013d}-{secrets.token_hex(4)}"
        body = {"id": identifier, "at": round(now), "name": name} | record
        with self._lock:
            _write(self._folder / f"{identifier}.json", json.dumps(body, ensure_ascii=False))
            for old in self._ids()[KEPT:]:
                (self._folder / f"{old}.json").unlink(missing_ok=True)
        return identifier

    def read(self, identifier: str) -> dict[str, Any]:
        try:
            if not _ID.fullmatch(identifier):
                raise FileNotFoundError(identifier)
            text = (self._folder / f"{identifier}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UiError(GONE.format(KEPT)) from None
        try:
            record: dict[str, Any] = json.loads(text)
        except ValueError:
            raise UiError(
                f"The result {identifier} is broken. Remove its file from the data folder."
            ) from None
        return record

    def remove(self, identifier: str) -> None:
        if _ID.fullmatch(identifier):
            (self._folder / f"{identifier}.json").unlink(missing_ok=True)

    def summaries(self) -> list[dict[str, Any]]:
        """What the list of results shows, newest first."""
        with self._lock:
            ids = self._ids()
            for identifier in ids:
                if identifier not in self._summaries:
                    self._summarise(identifier)
            return [self._summaries[identifier] for identifier in ids if identifier in self._summaries]

    def _summarise(self, identifier: str) -> None:
        try:
            self._summaries[identifier] = _summary(self.read(identifier))
        except UiError as error:
            log.warning("%s", error)

    def _ids(self) -> list[str]:
        names = (path.stem for path in self._folder.glob("*.json"))
        return sorted((name for name in names if _ID.fullmatch(name)), reverse=True)


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: record[name] for name in ("id", "at", "name", "changed")}
    return kept | {
        "questions": len(record["questions"]),
        "spoken": any(run["spoken"] for run in record["runs"]),
    }


def shown(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what only the view of one question needs."""
    runs = [
        run
        | {"rows": [{k: v for k, v in row.items() if k not in {"answer", "places"}} for row in run["rows"]]}
        for run in record["runs"]
    ]
    return record | {"runs": runs}


_COLUMNS = (
    *("id", "question", "source", "pages", "answers", "answerable"),
    *("setting", "asked", "heard", "rank", "outcome", "miss", "milliseconds", "answer"),
)


def as_csv(record: dict[str, Any]) -> str:
    """A line for each question in each run, for a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    changed = ", ".join(f"{name}={value}" for name, value in record["changed"].items())
    for run in record["runs"]:
        how = (changed if run["changed"] else "now", "aloud" if run["spoken"] else "typed")
        for question, row in zip(record["questions"], run["rows"], strict=True):
            known = (
                *(question["id"], question["question"], question.get("source", "")),
                " ".join(map(str, question.get("pages", ()))),
                "|".join(question.get("answers", ())),
                question.get("answerable", ""),
            )
            came = (row["heard"], row["rank"], row["outcome"], row["kind"], row["ms"], row["answer"])
            writer.writerow([_cell(value) for value in (*known, *how, *came)])
    return "\ufeff" + out.getvalue()  # by this mark a spreadsheet knows that it is UTF-8


def _cell(value: object) -> object:
    """No text begins a formula: a document or a model may have written it."""
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )


def _write(path: Path, text: str) -> None:
    """Beside, then renamed: the file is whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
