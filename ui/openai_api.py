"""OpenAI's API over Parley: any program that speaks it can ask the documents, dictate, and have text spoken.

It stands under /v1; `ui.guard` has asked for the key. Nothing of what is asked here is kept. An answer, a
transcript and a voice each end as soon as the client has left. It does not know engines or settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from langchain_core.documents import Document

from rag.assistant import Event
from ui.metrics import Metrics
from ui.openai_audio import HEARING, SPEAKING, Audio
from ui.openai_chat import MODEL, Asked, ChatRequest, Completion, understood
from ui.openai_errors import api_error, error_body
from ui.openai_io import Closing, answers, known, read_json, while_there
from ui.services import Answer, Services
from ui.web_io import read_body

log = logging.getLogger(__name__)

MAX_CHAT = 4 << 20  # bytes of a request: long conversations come whole with each question
MODELS = (MODEL, HEARING, SPEAKING)
_ROUTES = "/v1/chat/completions, /v1/models, /v1/audio/transcriptions, /v1/audio/speech"


class Programs:
    """What the routes below do; nothing in it belongs to one client."""

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services, self._metrics = services, metrics
        self.audio = Audio(services)
        self.answering = 0  # answers on their way
        self.begun = int(time.time())

    async def complete(self, request: Request) -> Response:
        body = await read_body(request, MAX_CHAT, "The request", "Leave earlier messages out.")
        wanted = read_json(ChatRequest, body)
        known(wanted.model, MODEL)
        asked = understood(wanted)
        completion = Completion(asked, _linker(request), streams=bool(wanted.stream))
        if wanted.stream:
            answer = self._begin(asked)
            chunks = self._streamed(completion, answer, usage=wanted.usage_wanted)
            return Closing(chunks, answer.close, media_type="text/event-stream")
        await while_there(request, self._collect(completion, asked))
        return JSONResponse(completion.whole())

    def _begin(self, asked: Asked) -> Answer:
        return self._services.assistant.answer(asked.question, asked.history)

    async def _collect(self, completion: Completion, asked: Asked) -> None:
        async for _ in self._texts(completion, self._begin(asked)):
            pass

    async def _streamed(self, completion: Completion, answer: Answer, *, usage: bool) -> AsyncIterator[str]:
        """The answer as server-sent events. A failure is one, too: the status has been sent by then."""
        yield _event(completion.chunk({"role": "assistant", "content": ""}))
        try:
            async for text in self._texts(completion, answer):
                yield _event(completion.chunk({"content": text}))
        except Exception as error:
            log.warning("An answer failed: %s", type(error).__name__)
            yield _event(error_body(500, str(error) or "The answer failed. Ask again."))
            return
        for chunk in completion.last_chunks(usage=usage):
            yield _event(chunk)
        yield "data: [DONE]\n\n"

    async def _texts(self, completion: Completion, answer: Answer) -> AsyncIterator[str]:
        """The answer's text in pieces, until it is complete or as long as the client wants it."""
        self.answering += 1
        try:
            async for event in events_of(answer):
                if text := completion.take(event):
                    yield text
                if completion.full:
                    return
            if completion.done is not None:
                self._metrics.turn(completion.done.timings, spoken=False)
        finally:
            answer.close()
            self.answering -= 1

    def models(self) -> list[dict[str, Any]]:
        return [
            {"id": name, "object": "model", "created": self.begun, "owned_by": "parley"} for name in MODELS
        ]


async def events_of(answer: Answer) -> AsyncIterator[Event]:
    """An answer's events without holding up the loop: a thread reads them, and ends with the answer."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

    def put(event: Event | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(waiting.put_nowait, event)

    def read() -> None:
        try:
            for event in answer:
                put(event)
        except Exception as error:  # reported: whoever reads the events raises it
            put(error)
        put(None)

    threading.Thread(target=read, name="api-answer", daemon=True).start()
    while (event := await waiting.get()) is not None:
        if isinstance(event, Exception):
            raise event
        yield event


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _linker(request: Request) -> Callable[[Document], str]:
    """The address of a passage: the web page it is from, or what Parley shows of its document."""
    base = str(request.base_url).rstrip("/")

    def link(document: Document) -> str:
        data = document.metadata
        source = str(data.get("source", ""))
        if urlsplit(source).scheme in {"http", "https"}:
            return source
        if source.lower().endswith(".pdf") and data.get("page"):
            return f"{base}/api/page/image?{urlencode({'source': source, 'page': data['page']})}"
        place = {"source": source, "start": data.get("start", 0), "end": data.get("end", 0)}
        return f"{base}/api/page?{urlencode(place)}"

    return link


def api_routes(programs: Programs) -> APIRouter:
    router = APIRouter(prefix="/v1")

    router.add_api_route("/chat/completions", answers(programs.complete), methods=["POST"])
    router.add_api_route("/audio/transcriptions", answers(programs.audio.transcribe), methods=["POST"])
    router.add_api_route("/audio/speech", answers(programs.audio.speak), methods=["POST"])

    @router.get("/models")
    def models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": programs.models()})

    @router.get("/models/{name}")
    def model(name: str) -> JSONResponse:
        found = next((each for each in programs.models() if each["id"] == name), None)
        missing = f"The model {name!r} does not exist here. There are {', '.join(MODELS)}."
        if found is None:
            return api_error(404, missing, param="model", code="model_not_found")
        return JSONResponse(found)

    @router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def nothing(request: Request, path: str) -> JSONResponse:
        return api_error(404, f"There is no {request.method} /v1/{path} here. There are {_ROUTES}.")

    return router
