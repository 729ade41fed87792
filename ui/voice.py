"""The voice socket: the sound of an answer to the page that asked, and the route that takes a recording.

A page opens one socket and gets a key; whoever asks with that key is spoken to there. Each chunk of sound has
the number of its turn: the page plays nothing of an earlier one. It does not know how speech is made.

Binary, server → page: uint32 turn, uint32 samples per second (little endian), then int16 samples, mono.
Text, server → page: {"type": "key", "key"}, {"type": "notice", "turn", "message"}, {"type": "flush", "turn"}:
what came of this turn is not valid any more, and {"type": "end", "turn"}: nothing more comes of it.
Text, page → server: {"type": "stop", "turn"}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from speech.audio import AudioError, decode
from ui.services import Services, Speaker, SpeakRequest, Transcript, UiError
from ui.spoken import Outbox, Spoken
from ui.web_io import read_body, refuse

log = logging.getLogger(__name__)

LONGEST_RECORDING = 310.0  # seconds; the page ends a recording after five minutes
MAX_RECORDING = 64 << 20  # bytes; as many seconds of WAV, at the highest usual rate
MAX_MESSAGE = 4096
MESSAGES_PER_SECOND = 20
SOCKETS_PER_OWNER = 20


@dataclass(frozen=True)
class Wish:
    """How the page wants an answer spoken."""

    key: str  # of its socket; empty: not at all
    turn: int = 0
    voice: str = ""
    speed: float = 1.0


class Socket:
    """One page's voice socket. `begin` and `stop` may be called from any thread."""

    def __init__(self, websocket: WebSocket, owner: str) -> None:
        self.key = secrets.token_urlsafe(18)
        self.owner = owner
        self.outbox = Outbox()
        self._websocket = websocket
        self._lock = threading.Lock()
        self._spoken: Spoken | None = None

    async def run(self) -> None:
        """Serve the socket until the page leaves."""
        await self._websocket.accept()
        self.outbox.tell(type="key", key=self.key)
        sender = asyncio.create_task(self._send_all())
        try:
            await self._receive_all()
        except WebSocketDisconnect:
            pass
        finally:
            sender.cancel()
            self.outbox.close()
            self.stop()

    def begin(self, spoken: Spoken) -> None:
        """Stop whatever is spoken here, and speak this."""
        with self._lock:
            before, self._spoken = self._spoken, spoken
        if before is not None:
            before.stop()
        spoken.start()

    def stop(self, turn: int | None = None) -> None:
        """Silence one turn, or whatever is spoken."""
        with self._lock:
            spoken = self._spoken
        if spoken is not None and turn in {None, spoken.turn}:
            spoken.stop()

    async def _send_all(self) -> None:
        while True:
            message = await self.outbox.take()
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(message)

    async def _receive_all(self) -> None:
        recent: list[float] = []
        while True:
            text = await self._websocket.receive_text()
            now = time.monotonic()
            recent = [at for at in recent if at > now - 1.0] + [now]
            if len(text) > MAX_MESSAGE or len(recent) > MESSAGES_PER_SECOND:
                await self._websocket.close(1008, "too much at once")
                return
            message = _parse(text)
            turn = message.get("turn")
            if message.get("type") == "stop" and isinstance(turn, int):
                self.stop(turn)


class Voices:
    """All open voice sockets."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sockets: dict[str, Socket] = {}

    async def serve(self, websocket: WebSocket) -> None:
        owner = str(websocket.scope.get("owner", ""))
        if sum(socket.owner == owner for socket in self._sockets.values()) >= SOCKETS_PER_OWNER:
            await websocket.close(1013, "too many pages are open")
            return
        socket = Socket(websocket, owner)
        self._sockets[socket.key] = socket
        try:
            await socket.run()
        finally:
            del self._sockets[socket.key]

    def begin(self, owner: str, wish: Wish, question: str) -> Spoken | None:
        """A voice whose sound goes to the page that wishes it; None if it wishes none, or has left."""
        socket = self._sockets.get(wish.key)
        if socket is None or socket.owner != owner:
            return None

        def notice(message: str) -> None:
            socket.outbox.tell(type="notice", turn=wish.turn, message=message)

        def open_voice() -> Speaker:
            speed = min(max(wish.speed, 0.5), 2.0)
            return self._services.speak(SpeakRequest(wish.voice, speed, question, notice))

        spoken = Spoken(wish.turn, open_voice, socket.outbox)
        socket.begin(spoken)
        return spoken

    def say(self, owner: str, wish: Wish, question: str, text: str) -> bool:
        """Speak a finished text, from its beginning."""
        spoken = self.begin(owner, wish, question)
        if spoken is None:
            return False
        spoken.feed(text)
        spoken.finish()
        return True


def voice_routes(services: Services, voices: Voices) -> APIRouter:
    router = APIRouter()
    limiter = _Limiter(services.transcribe)

    @router.websocket("/voice/ws")
    async def socket(websocket: WebSocket) -> None:
        await voices.serve(websocket)

    @router.post("/api/transcribe")
    async def transcribe(request: Request, language: str = "") -> JSONResponse:
        gone = threading.Event()
        try:
            recording = await read_body(request, MAX_RECORDING, "The recording", "Record a shorter one.")
            async with _watched(request, gone):
                return JSONResponse(await limiter.run(recording, language or None, gone.is_set))
        except (UiError, AudioError) as error:
            return refuse(422, error)
        except Exception as error:
            if gone.is_set():
                return refuse(499, "Nobody waits for this any more.")
            log.exception("A recording could not be transcribed")
            return refuse(500, f"The recording could not be written down: {error}")

    return router


@asynccontextmanager
async def _watched(request: Request, gone: threading.Event) -> AsyncIterator[None]:
    """Set `gone` when the page leaves; the request's body must have been read."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


class _Limiter:
    """Transcribes in threads of its own count, so that people who speak do not hold up those who read."""

    def __init__(
        self,
        transcribe: Callable[[bytes, str | None, Callable[[], bool]], Transcript],
        at_once: int = 4,
    ) -> None:
        self._transcribe = transcribe
        self._tokens = at_once
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(
        self, recording: bytes, language: str | None, should_stop: Callable[[], bool]
    ) -> dict[str, object]:
        self._limiter = self._limiter or anyio.CapacityLimiter(self._tokens)
        begun = time.perf_counter()

        def work() -> Transcript:
            decode(recording, 8000, max_seconds=LONGEST_RECORDING)  # raises for one that is too long
            return self._transcribe(recording, language, should_stop)

        transcript = await anyio.to_thread.run_sync(work, limiter=self._limiter)
        return {
            "text": transcript.text,
            "language": transcript.language or "",
            "engine": transcript.engine,
            "seconds": time.perf_counter() - begun,
        }


def _parse(text: str) -> dict[str, object]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
