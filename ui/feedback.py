"""Answers that somebody found bad, as rows for `eval`: complete them with what should have been found."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from pathlib import Path

from rag.questions import QuestionsError, Row, parse_questions
from ui.conversations import Turn

log = logging.getLogger(__name__)


class Feedback:
    """One file for all; each person gets to see what is their own."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def add(self, owner: str, turn: Turn) -> None:
        row = {
            "id": f"feedback-{secrets.token_hex(6)}",
            "question": turn.standalone or turn.question,
            "by": _mark(owner),
            "given": {
                "answer": turn.answer,
                "sources": [[p.source, p.start, p.end] for p in turn.sources],
                "engine": turn.engine,
                "at": round(time.time()),
            },
        }
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def rows(self, owner: str) -> list[Row]:
        """One person's, each question once; a line that is broken, or says nothing of whose it is, is not."""
        rows: dict[str, Row] = {}
        mark = _mark(owner)
        for line in self._lines():
            try:
                if json.loads(line).get("by") == mark:
                    row = parse_questions(line, self._path.name)[0]
                    rows[row.question] = row
            except (ValueError, AttributeError, QuestionsError):
                log.info("A line of %s is not one of Parley's, and is left out.", self._path.name)
        return list(rows.values())

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []


def _mark(owner: str) -> str:
    """Stands for a person, and cannot be turned back into the cookie that a browser has."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]
