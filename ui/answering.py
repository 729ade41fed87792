"""One answer on its way to the page: its events are kept as a turn, spoken, and sent on as lines.

It does not know whose answer it is, nor how the lines travel.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from langchain_core.documents import Document

from rag.assistant import (
    Checked,
    Done,
    Event,
    Nearest,
    Notice,
    Queued,
    Replaced,
    Sources,
    Standalone,
    Token,
)
from rag.languages import guess, not_supported
from speech.turn import remarked
from ui.conversations import Conversations, Passage, Turn
from ui.quotes import marked
from ui.services import Answer
from ui.spoken import Spoken, units

log = logging.getLogger(__name__)

Line = dict[str, Any]
_STAGES: dict[type[Event], str] = {
    Standalone: "standalone",
    Sources: "retrieval",
    Token: "first_token",
    Done: "total",
}


class Running:
    """One answer on its way: a thread reads its events, keeps the turn, feeds the voice and the page.

    Until `commit` it is a guess: nothing of it is kept, shown or heard. All methods may be called from any
    thread.

    Args:
        deliver: takes the lines in order, None after the last; quick, from any thread.
        replaces: the turn that goes when this one is answered.
        timed: told its stages once, in seconds: when it is first heard, or complete if it has no voice.
    """

    def __init__(
        self,
        answer: Answer,
        turn: Turn,
        store: Conversations,
        spoken: Spoken | None,
        deliver: Callable[[Line | None], None],
        *,
        replaces: Turn | None = None,
        timed: Callable[[Mapping[str, float]], None] = lambda timings: None,
    ) -> None:
        self._answer, self._turn, self._store, self._spoken = answer, turn, store, spoken
        self._deliver, self._replaces, self._timed = deliver, replaces, timed
        self._lock = threading.RLock()
        self._early: list[Line | None] | None = []  # lines that came before `commit`
        self._since = time.monotonic()  # what the stages are counted from
        self._moments: dict[str, float] = {}  # stage → time.monotonic()
        self._committed = 0.0  # time.monotonic(); what was there before, nobody saw or heard before
        self._ended = False
        self._waits, self._unsaid = (
            False,
            "",
        )  # whether text is said only when it has been checked; what waits
        threading.Thread(target=self._run, name="page-answer", daemon=True).start()

    @property
    def turn(self) -> Turn:
        return self._turn

    @property
    def ended(self) -> bool:
        """Whether no more text comes."""
        return self._ended

    def commit(
        self, conversation: str, *, since: float | None = None, times: Mapping[str, float] | None = None
    ) -> Turn:
        """Keep it in the conversation, show and speak it.

        `since` (`time.monotonic`) is what its stages are counted from, `times` are stages before its own.
        """
        if self._spoken is not None:
            self._spoken.release()
        with self._lock:
            self._since = self._since if since is None else since
            self._committed = time.monotonic()
            earlier = self._turn.timings | dict(times or {})
            self._turn = replace(self._turn, timings=earlier | self._measured())
            self._turn = self._store.add(conversation, self._turn)
            early, self._early = self._early or [], None
            self._deliver({"type": "turn", "id": self._turn.id, **self._plan})
            if self._ended:
                self._save_last()
            for line in early:
                self._deliver(self._renewed(line))
            ended = self._ended
        if ended and self._spoken is None:
            self._timed(self._turn.timings)
        return self._turn

    @property
    def _plan(self) -> dict[str, bool]:
        """Whether it will be spoken, and whether it replaces the turn that the page wants replaced."""
        return {"spoken": self._spoken is not None, "replaces": self._replaces is not None}

    def pause(self) -> None:
        """Nothing is written or heard until `resume`."""
        self._answer.pause()
        if self._spoken is not None:
            self._spoken.pause()

    def resume(self) -> None:
        self._answer.resume()
        if self._spoken is not None:
            self._spoken.resume()

    def stop(self, shown: int | None = None) -> None:
        """End the answer and its voice now; what was `shown` of it (UTF-16 units) is what is kept."""
        self._answer.close()
        ended_now = self._end("stopped", shown)
        if self._spoken is not None:
            self._spoken.stop()
        if ended_now:
            self._put(None)

    def leave(self) -> None:
        """Nobody reads its lines any more; a text that is complete is still spoken to its end."""
        if not self._ended:
            self.stop()

    def rate(self, rating: str) -> None:
        """The person finds it good ("up"), bad ("down") or neither ("")."""
        with self._lock:
            self._turn = replace(self._turn, rating=rating)
            self._save()

    def drop(self) -> None:
        """It was a wrong guess: nothing of it ever was."""
        self._answer.close()
        with self._lock:
            self._ended = True
        if self._spoken is not None:
            self._spoken.stop()

    def interrupt(self) -> None:
        """End the answer and its voice now; what was heard of it is what is kept.

        Nothing changes if all of it was heard, or if it was stopped before.
        """
        self._answer.close()
        with self._lock:
            text = self._turn.answer
            heard = text if self._spoken is None else text[: self._spoken.heard]
            if self._spoken is not None:
                self._spoken.stop()
            if self._turn.state not in {"running", "done"} or (self._ended and heard == text):
                return
            self._ended = True
            self._turn = replace(
                self._turn, answer=heard, state="interrupted", timings=self._turn.timings | self._measured()
            )
            self._save_last()
        self._put(None)

    def heard(self, first_audio: float) -> dict[str, float]:
        """The page hears it for the first time, that many seconds after `since`; all its stages."""
        with self._lock:
            first = "first_audio" not in self._turn.timings
            timings = self._turn.timings | self._measured() | {"first_audio": first_audio}
            self._turn = replace(self._turn, timings=timings)
            if self._ended:
                self._save()
        if first:
            self._timed(timings)
        return timings

    def heard_at(self, moment: float) -> dict[str, float]:
        """The page hears it for the first time at that `time.monotonic`; all its stages."""
        return self.heard(moment - self._since)

    def _measured(self) -> dict[str, float]:
        """Its own stages so far, in seconds after `since`."""
        moments = self._moments | (self._spoken.moments if self._spoken is not None else {})
        return {name: max(self._committed, at, self._since) - self._since for name, at in moments.items()}

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

    def _save(self) -> None:
        if self._early is None:
            self._store.save(self._turn)

    def _save_last(self) -> None:
        """Keep the turn that has ended; the one that it replaces goes, but an answer only for an answer."""
        self._save()
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

    def _take(self, event: Event) -> Line | None:
        """Keep what the event says; the line for the page, or None after a stop."""
        if stage := _STAGES.get(type(event)):
            self._moments.setdefault(stage, time.monotonic())
        if self._spoken is not None:
            self._speak(event)
        with self._lock:
            if self._ended:
                return None
            self._turn = keep(self._turn, event)
            if isinstance(event, Done):
                self._ended = True
                self._turn = replace(self._turn, timings=self._turn.timings | self._measured())
                self._save_last()
        if isinstance(event, Done) and self._spoken is None and self._early is None:
            self._timed(self._turn.timings)
        return line_of(event, self._turn)

    def _speak(self, event: Event) -> None:
        if self._spoken is None or self._ended:
            return
        match event:
            case Sources():
                self._waits = event.checked
            case Token(text):
                self._unsaid += text
                if not self._waits:
                    self._say_rest()
            case Checked():
                self._say_rest("" if event.supported else not_supported(guess(self._turn.question)))
            case Replaced():
                self._unsaid = ""
                self._spoken.replace()
            case Done():
                self._say_rest()
                self._spoken.finish()

    def _say_rest(self, remark: str = "") -> None:
        """Give what waits to the voice; `remark` is said before it."""
        text, self._unsaid = self._unsaid, ""
        if self._spoken is not None and text:
            self._spoken.feed(text, remark)

    def _fail(self, reason: str) -> None:
        if not self._end("failed", reason=reason):
            return
        if self._spoken is not None:
            self._spoken.stop()
        self._put({"type": "failed", "reason": reason})

    def _renewed(self, line: Line | None) -> Line | None:
        """A line from before `commit`, with what only the commit knows."""
        return {"type": "done", "turn": shown(self._turn)} if line and line["type"] == "done" else line

    def _put(self, line: Line | None) -> None:
        with self._lock:
            if self._early is None:
                self._deliver(line)
            else:
                self._early.append(line)


def keep(turn: Turn, event: Event) -> Turn:
    """The turn after the event."""
    match event:
        case Standalone(question, rewritten):
            return replace(turn, standalone=question if rewritten else "")
        case Sources(documents):
            return replace(turn, sources=tuple(map(passage_of, documents)))
        case Nearest(documents):
            return replace(turn, nearest=tuple(map(passage_of, documents)))
        case Notice(message):
            return replace(turn, notices=(*turn.notices, message))
        case Queued():
            return turn
        case Token(text):
            return replace(turn, answer=turn.answer + text)
        case Checked(start, end, supported):
            return turn if supported else replace(turn, unsupported=(*turn.unsupported, (start, end)))
        case Replaced(reason):
            return replace(turn, answer="", unsupported=(), notices=(*turn.notices, reason))
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


def aloud(turn: Turn) -> Iterator[tuple[str, str]]:
    """The answer in pieces for the voice, each with what is said before it."""
    starts = [start for start, _ in turn.unsupported]
    return remarked(turn.answer, starts, not_supported(guess(turn.question)))


def line_of(event: Event, turn: Turn) -> Line:
    """The event as the page reads it."""
    match event:
        case Standalone():
            return {"type": "standalone", "question": turn.standalone}
        case Sources():
            return {"type": "sources", "sources": shown_passages(turn.sources, turn.answer)}
        case Nearest():
            return {"type": "nearest", "sources": shown_passages(turn.nearest)}
        case Notice(message):
            return {"type": "notice", "message": message}
        case Queued(before, seconds):
            return {"type": "queued", "before": before, "seconds": seconds}
        case Token(text):
            return {"type": "token", "text": text}
        case Checked(start, end, supported, passages):
            place = {"start": units(turn.answer[:start]), "end": units(turn.answer[:end])}
            return {"type": "checked", **place, "supported": supported, "passages": passages}
        case Replaced(reason):
            return {"type": "replaced", "reason": reason}
        case Done():
            return {"type": "done", "turn": shown(turn)}


def shown(turn: Turn) -> dict[str, Any]:
    """A turn as the page reads it."""
    passages = {"sources": shown_passages(turn.sources, turn.answer), "nearest": shown_passages(turn.nearest)}
    places = [(units(turn.answer[:start]), units(turn.answer[:end])) for start, end in turn.unsupported]
    return asdict(turn) | passages | {"unsupported": places}


def shown_passages(passages: Sequence[Passage], answer: str = "") -> list[dict[str, Any]]:
    """Passages as the page reads them, what the answer quotes of each marked."""
    return [asdict(passage) | {"pieces": marked(passage.text, answer)} for passage in passages]


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
        place=str(data.get("place") or ""),
        at=data.get("at"),
    )


def _cut(text: str, units: int) -> str:
    """The first `units` UTF-16 units of a text."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * max(units, 0)].decode("utf-16-le", "ignore")
