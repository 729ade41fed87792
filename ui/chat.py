"""Conversations: ask, stop, ask again, read, rate, export. It does not know how an answer is made or shown.

An answer leaves as a stream of JSON lines: {"type": "turn" | "standalone" | "sources" | "notice" | "token" |
"replaced" | "nearest" | "done" | "failed", …}. When the page leaves, or asks to stop, the `Answer` is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from speech.audio import wav_bytes
from ui.answering import Line, Running, aloud, shown
from ui.conversations import Conversations, Turn, as_markdown, messages
from ui.feedback import Feedback
from ui.metrics import Metrics
from ui.services import Services, SpeakRequest, UiError
from ui.spoken import Spoken
from ui.voice import Voices, Wish
from ui.web_io import owner_of, refuse

log = logging.getLogger(__name__)

MAX_QUESTION = 8000  # characters
MAX_COLLECTION = 4000  # characters of a name; a folder's whole path may be one
REMEMBERED = 1000  # conversations whose latest answer is kept at hand
GONE = "This conversation is not here any more. Start a new one."


Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class Ask(BaseModel):
    question: str = Field(min_length=1, max_length=MAX_QUESTION)
    again: int | None = None  # the turn that this one is to replace, once it is answered
    key: str = Field("", max_length=100)  # of the page's voice socket; empty: do not speak
    turn: int = 0  # the page's number for what is spoken
    voice: str = Field("", max_length=100)
    speed: float = 1.0
    collection: str = Field("", max_length=MAX_COLLECTION)  # the only one that is searched
    timings: dict[Annotated[str, Field(max_length=40)], Seconds] = Field(
        default_factory=dict, max_length=4
    )  # seconds that the page measured before

    def wish(self) -> Wish:
        return Wish(self.key, self.turn, self.voice, self.speed)


class Say(BaseModel):
    key: str = Field(max_length=100)
    turn: int
    voice: str = Field("", max_length=100)
    speed: float = 1.0


class Stop(BaseModel):
    shown: int | None = None  # characters of the answer that the page showed (UTF-16, as JavaScript counts)


class Rate(BaseModel):
    rating: Literal["up", "down", ""]


class Heard(BaseModel):
    first_audio: Seconds  # from the question to the first sound


class Chat:
    """What the routes below do; one for the page, with nothing in it that belongs to one person."""

    def __init__(self, services: Services, store: Conversations, voices: Voices, metrics: Metrics) -> None:
        self._services, self.store, self._voices, self._metrics = services, store, voices, metrics
        self._running: dict[str, Running] = {}  # conversation → its latest answer
        self._lock = threading.Lock()
        self.feedback = Feedback(services.data / "feedback.jsonl")

    def begin(
        self, owner: str, conversation: str, ask: Ask, deliver: Callable[[Line | None], None]
    ) -> Running:
        """Start an answer; one that still runs in the same conversation ends."""
        self.stop(conversation)
        before = self.store.turns(owner, conversation)
        last = before[-1] if before else None
        replaced = last if last is not None and last.id == ask.again else None
        history = messages(before[:-1] if replaced else before)
        answer = self._services.assistant.answer(ask.question, history, collection=ask.collection)
        spoken = self._voices.begin(owner, ask.wish(), ask.question)
        timed = partial(self._metrics.turn, spoken=False)
        turn = Turn(ask.question)
        running = Running(answer, turn, self.store, spoken, deliver, replaces=replaced, timed=timed)
        self.adopt(conversation, running)
        running.commit(conversation, times=ask.timings)
        return running

    def propose(
        self,
        owner: str,
        conversation: str,
        question: str,
        language: str | None,
        spoken: Spoken | None,
        deliver: Callable[[Line | None], None],
        *,
        by_voice: bool,
        collection: str = "",
    ) -> Running:
        """Start an answer that may come to nothing: until it is committed, nobody knows of it."""
        history = messages(self.store.turns(owner, conversation))
        answer = self._services.assistant.answer(question, history, language=language, collection=collection)
        timed = partial(self._metrics.turn, spoken=by_voice)
        return Running(answer, Turn(question), self.store, spoken, deliver, timed=timed)

    @property
    def answering(self) -> bool:
        """Whether anybody waits for the rest of an answer."""
        with self._lock:
            return any(not running.ended for running in self._running.values())

    def adopt(self, conversation: str, running: Running) -> None:
        """This is what answers in the conversation now."""
        with self._lock:
            before = self._running.pop(conversation, None)
            self._running[conversation] = running  # the latest is the last to be forgotten
            while len(self._running) > REMEMBERED:
                del self._running[next(iter(self._running))]
        if before is not None and before is not running:
            before.stop()

    def stop(self, conversation: str, shown: int | None = None) -> None:
        """End what is answered there, and silence its voice."""
        if running := self._running.get(conversation):
            running.stop(shown)

    def heard(self, conversation: str, turn: Turn, first_audio: float) -> dict[str, float]:
        """The page heard the turn for the first time; all its stages, in seconds."""
        running = self._running.get(conversation)
        if running is not None and running.turn.id == turn.id:
            return running.heard(first_audio)
        timings = turn.timings | {"first_audio": first_audio}
        self.store.save(replace(turn, timings=timings))
        return timings

    def turn(self, owner: str, conversation: str, identifier: int) -> Turn | None:
        turns = self.store.turns(owner, conversation)
        return next((turn for turn in turns if turn.id == identifier), None)

    def rate(self, owner: str, conversation: str, turn: Turn, rating: str) -> None:
        running = self._running.get(conversation)
        if running is not None and running.turn.id == turn.id:
            running.rate(rating)
        else:
            self.store.save(replace(turn, rating=rating))
        if rating == "down" and turn.rating != "down":
            self.feedback.add(owner, turn)

    def say(self, owner: str, turn: Turn, say: Say) -> bool:
        return self._voices.say(
            owner, Wish(say.key, say.turn, say.voice, say.speed), turn.question, aloud(turn)
        )

    def sound(self, turn: Turn, voice: str, speed: float) -> bytes:
        """The turn's answer aloud, as a WAV file: for a page that can have no socket."""
        notices: list[str] = []
        wish = SpeakRequest(voice, min(max(speed, 0.5), 2.0), turn.question, notices.append)
        speaker = self._services.speak(wish)
        for piece, remark in aloud(turn):
            speaker.feed(piece, remark)
        speaker.finish()
        chunks = list(speaker)
        if not chunks:
            raise UiError(" ".join(notices) or "There is nothing in this answer to say aloud.")
        return wav_bytes(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate)


class _Lines(StreamingResponse):
    """An answer as JSON lines. However the response ends, read to its end or left, `on_close` is called."""

    def __init__(self, lines: asyncio.Queue[Line | None], on_close: Callable[[], None]) -> None:
        super().__init__(self._lines(lines), media_type="application/x-ndjson")
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # in a thread, and not waited for: this task may be on its way out
            asyncio.get_running_loop().run_in_executor(None, self._on_close)

    @staticmethod
    async def _lines(lines: asyncio.Queue[Line | None]) -> AsyncIterator[str]:
        while (line := await lines.get()) is not None:
            yield _json_line(line)


def _into(
    lines: asyncio.Queue[Line | None], loop: asyncio.AbstractEventLoop
) -> Callable[[Line | None], None]:
    """Puts lines into the queue of a loop, from any thread."""

    def deliver(line: Line | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lines.put_nowait, line)

    return deliver


def _json_line(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def chat_routes(chat: Chat) -> APIRouter:
    router = APIRouter(prefix="/api/conversations")
    store = chat.store

    @router.get("")
    def conversations(request: Request) -> JSONResponse:
        return JSONResponse({"conversations": [asdict(item) for item in store.recent(owner_of(request))]})

    @router.post("")
    def create(request: Request) -> JSONResponse:
        return JSONResponse({"id": store.create(owner_of(request))})

    @router.get("/{conversation}")
    def read(request: Request, conversation: str) -> Response:
        if not store.owns(owner_of(request), conversation):
            return refuse(404, GONE)
        return JSONResponse({"turns": [shown(turn) for turn in store.turns(owner_of(request), conversation)]})

    @router.delete("/{conversation}")
    def delete(request: Request, conversation: str) -> Response:
        if not store.owns(owner_of(request), conversation):
            return refuse(404, GONE)
        chat.stop(conversation)
        store.delete(owner_of(request), conversation)
        return JSONResponse({})

    @router.get("/{conversation}/export")
    def export(request: Request, conversation: str) -> Response:
        if not store.owns(owner_of(request), conversation):
            return refuse(404, GONE)
        text = as_markdown(store.turns(owner_of(request), conversation))
        headers = {"Content-Disposition": 'attachment; filename="conversation.md"'}
        return PlainTextResponse(text, media_type="text/markdown", headers=headers)

    @router.post("/{conversation}/ask")
    async def ask(request: Request, conversation: str, ask: Ask) -> Response:
        owner = owner_of(request)
        if not await run_in_threadpool(store.owns, owner, conversation):
            return refuse(404, GONE)
        lines: asyncio.Queue[Line | None] = asyncio.Queue()
        deliver = _into(lines, asyncio.get_running_loop())
        running = await run_in_threadpool(chat.begin, owner, conversation, ask, deliver)
        return _Lines(lines, on_close=running.leave)

    @router.post("/{conversation}/stop")
    def stop(request: Request, conversation: str, stop: Stop) -> Response:
        if not store.owns(owner_of(request), conversation):
            return refuse(404, GONE)
        chat.stop(conversation, stop.shown)
        return JSONResponse({})

    _add_turn_routes(router, chat)
    return router


def _add_turn_routes(router: APIRouter, chat: Chat) -> None:
    path = "/{conversation}/turns/{identifier}"

    @router.post(path + "/rating")
    def rate(request: Request, conversation: str, identifier: int, rate: Rate) -> Response:
        turn = chat.turn(owner_of(request), conversation, identifier)
        if turn is None:
            return refuse(404, GONE)
        chat.rate(owner_of(request), conversation, turn, rate.rating)
        return JSONResponse({})

    @router.post(path + "/heard")
    def heard(request: Request, conversation: str, identifier: int, heard: Heard) -> Response:
        turn = chat.turn(owner_of(request), conversation, identifier)
        if turn is None:
            return refuse(404, GONE)
        return JSONResponse({"timings": chat.heard(conversation, turn, heard.first_audio)})

    @router.get(path + "/sound")
    def sound(
        request: Request, conversation: str, identifier: int, voice: str = "", speed: float = 1.0
    ) -> Response:
        turn = chat.turn(owner_of(request), conversation, identifier)
        if turn is None:
            return refuse(404, GONE)
        try:
            return Response(chat.sound(turn, voice, speed), media_type="audio/wav")
        except Exception as error:  # whatever the voice says goes to the person
            return refuse(422, error)

    @router.post(path + "/say")
    def say(request: Request, conversation: str, identifier: int, say: Say) -> Response:
        turn = chat.turn(owner_of(request), conversation, identifier)
        if turn is None:
            return refuse(404, GONE)
        if not chat.say(owner_of(request), turn, say):
            return refuse(
                409,
                "The voice is not connected, or in conversation. End it, or wait a moment, then try again.",
            )
        return JSONResponse({})
