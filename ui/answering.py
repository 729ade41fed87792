"""One answer on its way to the page: its events are kept as a turn, spoken, and sent on as lines.

It does not know whose answer it is, nor how the lines travel.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import asdict, replace
from typing import Any

from langchain_core.documents import Document

from rag.assistant import Done, Event, Notice, Replaced, Sources, Standalone, Token
from ui.conversations import Conversations, Passage, Turn
from ui.quotes import marked
from ui.services import Answer
from ui.spoken import Spoken

log = logging.getLogger(__name__)


class Running:
    """One answer on its way: a thread reads its events, keeps the turn, feeds the voice and the page."""

    def __init__(
        self,
        answer: Answer,
        turn: Turn,
        store: Conversations,
        spoken: Spoken | None,
        loop: asyncio.AbstractEventLoop,
        *,
        replaces: Turn | None = None,
    ) -> None:
        self._answer, self._turn, self._store, self._spoken = answer, turn, store, spoken
        self._loop, self._replaces = loop, replaces
        self.lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._lock = threading.Lock()
        self._ended = False
        threading.Thread(target=self._run, name="page-answer", daemon=True).start()

    @property
    def turn(self) -> Turn:
        return self._turn

    @property
    def plan(self) -> dict[str, bool]:
        """Whether it will be spoken, and whether it replaces the turn that the page wants replaced."""
        return {"spoken": self._spoken is not None, "replaces": self._replaces is not None}

    def stop(self, shown: int | None = None) -> None:
        """End the answer now; what was `shown` of it is what is kept."""
        self._answer.close()
        if not self._end("stopped", shown):
            return
        if self._spoken is not None:
            self._spoken.stop()
        self._put(None)

    def heard(self, first_audio: float) -> None:
        """The page says after how many seconds the answer was first heard."""
        with self._lock:
            self._turn = replace(self._turn, timings=self._turn.timings | {"first_audio": first_audio})
            if self._ended:
                self._store.save(self._turn)

    def _end(self, state: str, shown: int | None = None, reason: str = "") -> bool:
        """Keep the turn as it is, unless it has ended already."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
            text = self._turn.answer if shown is None else _cut(self._turn.answer, shown)
            notices = (*self._turn.notices, reason) if reason else self._turn.notices
            self._turn = replace(self._turn, answer=text, state=state, notices=notices)
            self._save_last()
        return True

    def _save_last(self) -> None:
        """Keep the turn that has ended; the one that it replaces goes, but an answer only for an answer."""
        self._store.save(self._turn)
        if self._replaces is not None and (self._turn.state == "done" or not self._replaces.answer):
            self._store.remove(self._replaces)

    def _run(self) -> None:
        try:
            for event in self._answer:
                line = self._take(event)
                if line is None:
                    return
                self._put(line)
        except Exception as error:
            log.warning("An answer failed: %s", type(error).__name__)
            self._fail(str(error) or "The answer failed. Ask again.")
        finally:
            self._answer.close()
            self._put(None)

    def _take(self, event: Event) -> dict[str, Any] | None:
        """Keep what the event says; the line for the page, or None after a stop."""
        with self._lock:
            if self._ended:
                return None
            self._turn = keep(self._turn, event)
            if isinstance(event, Done):
                self._ended = True
                self._save_last()
        if self._spoken is not None:
            _speak(self._spoken, event)
        return line_of(event, self._turn)

    def _fail(self, reason: str) -> None:
        if not self._end("failed", reason=reason):
            return
        if self._spoken is not None:
            self._spoken.stop()
        self._put({"type": "failed", "reason": reason})

    def _put(self, line: dict[str, Any] | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.lines.put_nowait, line)


def keep(turn: Turn, event: Event) -> Turn:
    """The turn after the event."""
    match event:
        case Standalone(question, rewritten):
            return replace(turn, standalone=question if rewritten else "")
        case Sources(documents):
            return replace(turn, sources=tuple(map(passage_of, documents)))
        case Notice(message):
            return replace(turn, notices=(*turn.notices, message))
        case Token(text):
            return replace(turn, answer=turn.answer + text)
        case Replaced(reason):
            return replace(turn, answer="", notices=(*turn.notices, reason))
        case Done():
            return replace(
                turn,
                answer=event.text,
                state="done",
                answered=event.answered,
                confidence=event.confidence,
                engine=event.engine,
                timings=turn.timings | event.timings,
            )


def line_of(event: Event, turn: Turn) -> dict[str, Any]:
    """The event as the page reads it."""
    match event:
        case Standalone():
            return {"type": "standalone", "question": turn.standalone}
        case Sources():
            return {"type": "sources", "sources": shown_sources(turn)}
        case Notice(message):
            return {"type": "notice", "message": message}
        case Token(text):
            return {"type": "token", "text": text}
        case Replaced(reason):
            return {"type": "replaced", "reason": reason}
        case Done():
            return {"type": "done", "turn": shown(turn)}


def shown(turn: Turn) -> dict[str, Any]:
    """A turn as the page reads it."""
    return asdict(turn) | {"sources": shown_sources(turn)}


def shown_sources(turn: Turn) -> list[dict[str, Any]]:
    return [asdict(passage) | {"pieces": marked(passage.text, turn.answer)} for passage in turn.sources]


def passage_of(document: Document) -> Passage:
    data = document.metadata
    return Passage(
        source=str(data.get("source", "")),
        page=data.get("page"),
        start=int(data.get("start", 0)),
        end=int(data.get("end", 0)),
        score=float(data.get("score", 0.0)),
        text=document.page_content,
        title=str(data.get("title") or ""),
        section=str(data.get("section") or ""),
    )


def _speak(spoken: Spoken, event: Event) -> None:
    match event:
        case Token(text):
            spoken.feed(text)
        case Replaced():
            spoken.replace()
        case Done():
            spoken.finish()


def _cut(text: str, units: int) -> str:
    """The first `units` UTF-16 units of a text."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * max(units, 0)].decode("utf-16-le", "ignore")
