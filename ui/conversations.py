"""Conversations in parley.db: who asked what, and what was answered. It knows no web and no model.

Every method names the owner, so that nobody reads or changes what is somebody else's, even with its id.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.database import connect

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL DEFAULT '', changed REAL NOT NULL);
CREATE INDEX IF NOT EXISTS conversations_by_owner ON conversations (owner, changed);
CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation, id);
"""
_TITLE_LENGTH = 60


@dataclass(frozen=True)
class Passage:
    """A source of an answer, as it was when the answer was given."""

    source: str
    page: int | None
    start: int
    end: int
    score: float
    text: str
    title: str = ""
    section: str = ""
    place: str = ""  # the page, slide, sheet or moment, as a person reads it; "": the page, if any
    at: float | None = None  # seconds into a recording


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str = ""
    state: str = "running"  # running, done, stopped (by hand), interrupted (by voice), failed
    standalone: str = ""  # the question as it was understood, if that differs
    sources: tuple[Passage, ...] = ()
    nearest: tuple[Passage, ...] = ()  # where there are no sources: what lies nearest to the question
    notices: tuple[str, ...] = ()
    answered: bool = False
    confidence: float = 0.0
    engine: str = ""
    timings: dict[str, float] = field(default_factory=dict)  # seconds
    rating: str = ""  # up, down
    unsupported: tuple[tuple[int, int], ...] = ()  # where in the answer a sentence stands that no source says
    id: int = 0


@dataclass(frozen=True)
class Summary:
    """A conversation in the list."""

    id: str
    title: str
    changed: float  # seconds since 1970


class Conversations:
    """The store; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = connect(path)
        self._db.executescript(_SCHEMA)

    def create(self, owner: str) -> str:
        """A new, empty conversation; its id cannot be guessed."""
        identifier = secrets.token_urlsafe(18)
        with self._lock:
            self._db.execute(
                "INSERT INTO conversations (id, owner, changed) VALUES (?, ?, ?)",
                (identifier, owner, time.time()),
            )
        return identifier

    def owns(self, owner: str, conversation: str) -> bool:
        with self._lock:
            row = self._db.execute(
                "SELECT 1 FROM conversations WHERE id = ? AND owner = ?", (conversation, owner)
            ).fetchone()
        return row is not None

    def recent(self, owner: str, limit: int = 50) -> list[Summary]:
        """Those with at least one question, newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, title, changed FROM conversations WHERE owner = ? AND title <> '' "
                "ORDER BY changed DESC LIMIT ?",
                (owner, limit),
            ).fetchall()
        return [Summary(*row) for row in rows]

    def delete(self, owner: str, conversation: str) -> bool:
        with self._lock:
            done = self._db.execute(
                "DELETE FROM conversations WHERE id = ? AND owner = ?", (conversation, owner)
            )
            return bool(done.rowcount)

    def turns(self, owner: str, conversation: str) -> list[Turn]:
        """All turns, oldest first; empty for a conversation that is not the owner's."""
        with self._lock:
            rows = self._db.execute(
                "SELECT turns.id, body FROM turns JOIN conversations ON conversations.id = conversation "
                "WHERE conversation = ? AND owner = ? ORDER BY turns.id",
                (conversation, owner),
            ).fetchall()
        return [_load(identifier, body) for identifier, body in rows]

    def add(self, conversation: str, turn: Turn) -> Turn:
        """Append a turn; the first one names the conversation."""
        title = " ".join(turn.question.split())[:_TITLE_LENGTH]
        with self._lock:
            row = self._db.execute(
                "INSERT INTO turns (conversation, body) VALUES (?, ?)", (conversation, _dump(turn))
            )
            self._db.execute(
                "UPDATE conversations SET changed = ?, title = CASE title WHEN '' THEN ? ELSE title END "
                "WHERE id = ?",
                (time.time(), title, conversation),
            )
            return replace(turn, id=row.lastrowid or 0)

    def save(self, turn: Turn) -> None:
        """Write a turn that was added before; nothing happens if its conversation was deleted meanwhile."""
        with self._lock:
            self._db.execute("UPDATE turns SET body = ? WHERE id = ?", (_dump(turn), turn.id))

    def remove(self, turn: Turn) -> None:
        """Take a turn away that another one replaces."""
        with self._lock:
            self._db.execute("DELETE FROM turns WHERE id = ?", (turn.id,))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    """The turns as the assistant's history; what was never answered is left out.

    Of an answer that was interrupted, or stopped by hand, there is what was heard, or seen, marked so, even
    if that is nothing. `sources`
    are the passages that an answer cites, [source, start, end] each; of one without a citation, the best.
    """
    history: list[BaseMessage] = []
    for turn in turns:
        interrupted = turn.state in {"interrupted", "stopped"}
        if turn.answer or interrupted:
            known: dict[str, Any] = {"sources": _cited(turn), "standalone": turn.standalone or turn.question}
            known |= {"interrupted": True} if interrupted else {}
            history += [HumanMessage(turn.question), AIMessage(turn.answer, additional_kwargs=known)]
    return history


def _cited(turn: Turn) -> list[list[Any]]:
    """The passages whose numbers occur in the answer; the best, if it was cut before the first number."""
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", turn.answer)}
    cited = [passage for number, passage in enumerate(turn.sources, 1) if number in numbers]
    return [[passage.source, passage.start, passage.end] for passage in cited or turn.sources[:1]]


def as_markdown(turns: Sequence[Turn]) -> str:
    """A conversation as a Markdown document, each answer followed by the passages that it cites."""
    parts = ["# Conversation"]
    for turn in turns:
        parts += [f"## {' '.join(turn.question.split())}", turn.answer or "*(no answer)*"]
        if turn.state in {"stopped", "interrupted"}:
            parts.append(f"*({turn.state})*")
        parts += [f"*Not in the documents:* {turn.answer[start:end]}" for start, end in turn.unsupported]
        parts += [_footnote(number, passage) for number, passage in enumerate(turn.sources, 1)]
    return "\n\n".join(parts) + "\n"


def _footnote(number: int, passage: Passage) -> str:
    place = f", {passage.place}" if passage.place else ""
    quote = "\n".join(f"> {line}" for line in passage.text.splitlines())
    return f"**[{number}]** {passage.source}{place} (match {passage.score:.0%})\n\n{quote}"


def _dump(turn: Turn) -> str:
    body: dict[str, Any] = asdict(turn)
    del body["id"]
    return json.dumps(body, ensure_ascii=False)


def _load(identifier: int, body: str) -> Turn:
    fields = json.loads(body)
    for name in ("sources", "nearest"):
        fields[name] = tuple(map(_passage, fields.get(name, ())))
    fields["notices"] = tuple(fields["notices"])
    fields["unsupported"] = tuple((start, end) for start, end in fields.get("unsupported", ()))
    return Turn(**fields, id=identifier)


def _passage(fields: dict[str, Any]) -> Passage:
    if "place" not in fields and fields["page"] is not None:  # kept before pages had names of their own
        fields["place"] = f"page {fields['page']}"
    return Passage(**fields)
