"""Assistant: a question and its history → one stream of events, which page, voice and command line all read.

It does not know who asks, how the answer is shown or spoken, or where a conversation is kept.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from rag.cancel import Cancelled, CancelToken, scope
from rag.citations import Citer, Judged, cited_numbers
from rag.evidence import Evidence
from rag.go_on import NOTHING_BEFORE
from rag.languages import guess
from rag.memory import remember, understand
from rag.priority import urgent
from rag.prompts import says_unknown
from rag.telling import Notice, Queued, listening

__all__ = [
    "Answer",
    "Assistant",
    "Chain",
    "Checked",
    "Done",
    "Event",
    "Nearest",
    "Notice",
    "Queued",
    "Replaced",
    "Responder",
    "Sources",
    "Standalone",
    "Token",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standalone:
    """The question as it was understood: a follow-up made complete, else the question itself."""

    question: str
    rewritten: bool = False


@dataclass(frozen=True)
class Sources:
    """The passages the answer is made from, best first; number n in the text is the n-th of them, from 1.

    Each Document's metadata holds source, page (or None), start, end, title, section, score (0 to 1).
    """

    documents: tuple[Document, ...]
    checked: bool = False  # whether a Checked will come for each sentence; what quotes needs none


@dataclass(frozen=True)
class Token:
    """The next piece of the answer's text; citations are part of it, as " [2]"."""

    text: str


@dataclass(frozen=True)
class Checked:
    """What the passages say of the sentence from `start` to `end` of the text so far, its tokens all sent.

    Sentences come in order. Whoever speaks them waits for this.
    """

    start: int
    end: int
    supported: bool  # False: it claims what no passage says
    passages: tuple[int, ...] = ()  # the numbers of those that do, best first


@dataclass(frozen=True)
class Replaced:
    """What follows replaces all tokens so far: a model failed in the middle."""

    reason: str


@dataclass(frozen=True)
class Nearest:
    """Where the documents do not say: what of them lies nearest to the question. No answer is made of it."""

    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Done:
    """The whole answer. Not sent when the answer was closed before its end."""

    text: str
    answered: bool  # False: nothing above the floor, or the answer says that it does not know
    citations: tuple[int, ...] = ()  # the numbers that occur in the text, in order of first use
    confidence: float = 0.0  # the best passage's calibrated score, 0 to 1
    timings: dict[str, float] = field(
        default_factory=dict
    )  # seconds: standalone, retrieval, first_token, total
    engine: str = ""  # which language model wrote it
    unsupported: tuple[tuple[int, int], ...] = ()  # where sentences stand that no passage says
    language: str | None = None  # the code of the one that was asked for


Event = Standalone | Sources | Notice | Queued | Token | Checked | Replaced | Nearest | Done


class Chain(Protocol):
    """What answers: RetrievalQA, ExtractiveQA, or anything with their `stream`."""

    def stream(self, input: Any) -> Iterator[dict[str, Any]]: ...


@dataclass(frozen=True)
class Responder:
    """A chain that can answer now, and the model behind it (None: it quotes)."""

    name: str
    chain: Chain
    llm: BaseChatModel | None = None


class Answer(Iterator[Event]):
    """The events of one answer. `close()` cancels the work, `pause()` and `resume()` hold it.

    All three from any thread, any number of times, at any moment; closing ends a pause at once.
    """

    def __init__(self, work: Callable[[Callable[[Event], None]], None]) -> None:
        self._token = CancelToken()
        self._events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(work,), name="answer", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Callable[[Event], None]], None]) -> None:
        def emit(event: Event) -> None:
            self._token.checkpoint()
            self._events.put(event)

        try:
            with scope(self._token):
                work(emit)
        except Cancelled:
            pass  # the person asked for it
        except Exception as error:  # raised again in the reader
            log.debug("The answer failed", exc_info=True)
            self._events.put(error)
        finally:
            self._events.put(None)

    def __next__(self) -> Event:
        if self._token.cancelled:
            raise StopIteration
        event = self._events.get()
        if event is None or self._token.cancelled:
            self._events.put(None)  # for the next caller
            raise StopIteration
        if isinstance(event, BaseException):
            raise event
        return event

    def close(self) -> None:
        self._token.cancel()
        self._events.put(None)  # wakes whoever waits for the next event

    def pause(self) -> None:
        """Let the work stand still, within one token, until `resume`; at most `rag.cancel.LONGEST_HOLD` long.

        Events that were made before can still be read.
        """
        self._token.hold()

    def resume(self) -> None:
        self._token.release()

    @property
    def closed(self) -> bool:
        return self._token.cancelled

    def wait_stopped(self, seconds: float) -> bool:
        """Whether the work behind the answer has ended; waits at most `seconds` for it."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Assistant:
    """Answers questions with whatever can answer at the moment of asking.

    `responder` gives the engine in force, `fallback` what quotes when that one fails, each for a collection;
    `nearest` gives the passages of a collection that lie nearest to a question, however far. Nothing here
    belongs to a person: the history comes with each question.
    """

    def __init__(
        self,
        responder: Callable[[str], Responder],
        fallback: Callable[[str], Responder],
        *,
        memory: str = "buffer",
        notices: Callable[[], Sequence[str]] = tuple,
        nearest: Callable[[str, str], Sequence[Document]] = lambda question, collection: (),
    ) -> None:
        self._responder = responder
        self._fallback = fallback
        self._memory = memory
        self._notices = notices
        self._nearest = nearest

    def answer(
        self,
        question: str,
        history: Sequence[BaseMessage] = (),
        *,
        language: str | None = None,
        collection: str = "",
    ) -> Answer:
        """Start answering. `history`: this person's messages so far, oldest first (see `rag.heard`).

        language: the code of the one that was heard, which the answer is to be in; guessed if None.
        collection: the name of the only one that is searched; all documents if empty.
        """
        responder, fallback = partial(self._responder, collection), partial(self._fallback, collection)

        def work(emit: Callable[[Event], None]) -> None:
            with ExitStack() as waiting:  # for the first word; indexing stands still meanwhile
                waiting.enter_context(urgent())

                def told(event: Event) -> None:
                    emit(event)
                    if isinstance(event, Token):
                        waiting.close()

                for notice in self._notices():
                    told(Notice(notice))
                turn = _Turn(question, list(history), fallback, self._memory, language or guess(question))
                with listening(emit):
                    turn.run(responder, told)
            if (
                turn.new
                and not turn.documents
                and (nearest := tuple(self._nearest(turn.standalone, collection)))
            ):
                emit(Nearest(nearest))
            done = turn.done()
            if collection and not done.answered:  # else it reads as if all documents had been searched
                emit(Notice(f"Only the collection “{collection}” was searched."))
            emit(done)

        return Answer(work)


class _Turn:
    """One question on its way to its answer; lives in the answer's thread."""

    def __init__(
        self,
        question: str,
        history: list[BaseMessage],
        fallback: Callable[[], Responder],
        memory: str,
        language: str | None,
    ) -> None:
        self._question = question
        self._history = history
        self._fallback = fallback
        self._memory = memory
        self._language = language
        self._engine, self._quotes = "", False
        self._text = ""
        self.documents: tuple[Document, ...] = ()
        self.standalone = question
        self.new = True  # False: "go on", which asks for the rest of an answer, or for more
        self._unsupported: list[tuple[int, int]] = []
        self._timings: dict[str, float] = {}
        self._begin = time.perf_counter()

    def run(self, responder: Callable[[], Responder], emit: Callable[[Event], None]) -> None:
        try:
            self._respond(responder(), emit)
        except Cancelled:
            raise
        except Exception as error:
            if self._quotes:  # there is nothing to fall back to
                raise
            self._replace(error, emit)

    def _replace(self, error: Exception, emit: Callable[[Event], None]) -> None:
        """The model failed, or cannot be had: say so, and answer with quotations."""
        log.warning("%s failed (%s); quoting", self._engine or "the language model", type(error).__name__)
        reason = f"{error} This answer quotes the documents instead."
        emit(Replaced(reason) if self._text else Notice(reason))
        self._text, self._unsupported = "", []
        self._respond(self._fallback(), emit)

    def _respond(self, responder: Responder, emit: Callable[[Event], None]) -> None:
        self._engine, self._quotes = responder.name, responder.llm is None
        asked = self._understand(responder, emit)
        if asked is None:
            emit(Sources(()))
            self._say(NOTHING_BEFORE, emit)
            return
        citer: Citer | None = None
        for part in responder.chain.stream(asked):
            if "source_documents" in part:
                self._mark("retrieval")
                self.documents = tuple(part["source_documents"])
                # What quotes has cited already; without passages the chain speaks for itself.
                checks = responder.llm is not None and bool(self.documents)
                emit(Sources(self.documents, checked=checks))
                if checks:
                    citer = Citer(_evidence(self.documents, self.standalone), len(self.documents))
            if "notice" in part:
                emit(Notice(part["notice"]))
            for said in citer.feed(part.get("result", "")) if citer else [part.get("result", "")]:
                self._say(said, emit)
        for said in citer.finish() if citer else ():
            self._say(said, emit)

    def _understand(self, responder: Responder, emit: Callable[[Event], None]) -> dict[str, Any] | None:
        """What the chain is asked: the standalone question, what is remembered, and what is known besides.

        None: "go on", and there is nothing to go on with.
        """

        def note(message: str) -> None:
            emit(Notice(message))

        history = remember(self._history, self._memory, llm=responder.llm, on_notice=note)
        understood = understand(self._question, history, responder.llm, on_notice=note)
        self._mark("standalone")
        self.standalone = understood.question
        emit(Standalone(understood.question, rewritten=understood.question != self._question))
        self.new = understood.further is None and not understood.lost
        if understood.lost:
            return None
        self._language = self._language or guess(understood.question)
        known = {"language": self._language, "heard": understood.heard, "further": understood.further}
        asked = {"query": understood.question, "chat_history": history}
        return asked | {name: value for name, value in known.items() if value}

    def _say(self, said: str | Judged, emit: Callable[[Event], None]) -> None:
        if isinstance(said, Judged):
            if not said.support.supported:
                self._unsupported.append((said.start, said.end))
            emit(Checked(said.start, said.end, said.support.supported, said.support.passages))
        elif said:
            if not self._text:
                self._mark("first_token")
            self._text += said
            emit(Token(said))

    def _mark(self, name: str) -> None:
        self._timings[name] = time.perf_counter() - self._begin

    def done(self) -> Done:
        """All of it, once it has run."""
        self._mark("total")
        citations = cited_numbers(self._text, len(self.documents))
        return Done(
            text=self._text,
            answered=bool(self.documents) and not says_unknown(self._text),
            citations=citations,
            confidence=max((float(d.metadata.get("score", 0.0)) for d in self.documents), default=0.0),
            timings=dict(self._timings),
            engine=self._engine,
            unsupported=tuple(self._unsupported),
            language=self._language,
        )


def _evidence(documents: Sequence[Document], question: str) -> Evidence:
    names = [f"{d.metadata.get('title', '')} {d.metadata.get('source', '')}" for d in documents]
    return Evidence([document.page_content for document in documents], names, question)
