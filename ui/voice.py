"""The voice socket: sound and messages between a page and its conversation, and the route for recordings.

A page opens one socket and gets a key; whoever asks with that key is spoken to there. Each chunk of sound has
the number of its turn: the page plays nothing of an earlier one. What the live conversation does with what
it hears is in `ui.live`.

Binary, little endian. Page → server, a frame of the microphone: uint32 its number, uint32 the turn that is
played (0: none), uint32 samples (24 kHz) of it that were played before the frame, then int16 samples, mono.
Server → page: uint32 turn, uint32 samples per second, then int16 samples, mono.

The server closes it with 4401 when its person signs out (`ui.receiving`).

Text, JSON by "type". Page → server:
  talk {conversation, rate, voice, speed, speak, language, collection}, quiet: begin and end the live
  conversation; mute {on}, push {down, ago}, ask {text}: what the person does in it; `ago` seconds before,
  when letting go
  playing {turn, samples}, paused {turn, samples}, cleared {turn, samples}: how far it was played
  first {turn, latency}: the first sound goes out; stop {turn}
Server → page:
  key {key}; talking {conversation}, refused {message}: whether the live conversation has begun
  state {state, hearing}, words {text, final}, unheard: what is heard
  asked {turn, conversation, question}, line {turn, line}: a turn begins, and its lines as in `ui.chat`
  mark {turn, at, start, end, kind}: from `at` seconds of its sound on, this stretch of the text is spoken
  pause {turn}, resume {turn}, clear {turn}, interrupted {turn, answer}, latency {turn, timings}
  flush {turn}: what came of this turn is not valid any more; end {turn}: nothing more comes of it
  notice {turn, message}
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

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
MAX_MESSAGE = 16_384
MESSAGES_PER_SECOND = 70.0  # frames of 20 ms, and what is told beside them
BYTES_PER_SECOND = 130_000.0  # 48 kHz, the fastest microphone, and a third more
BURST = 4.0  # seconds of both that may come at once, after the connection stood still
SOCKETS_PER_OWNER = 20
LIVE_TURNS = 1 << 20  # turns of the live conversation have numbers from here on


@dataclass(frozen=True)
class Wish:
    """How the page wants an answer spoken."""

    key: str  # of its socket; empty: not at all
    turn: int = 0
    voice: str = ""
    speed: float = 1.0


class Live(Protocol):
    """A live conversation on a socket (`ui.live.Live`). Every method returns at once."""

    def hear(self, frame: bytes) -> None:
        """A frame of the microphone. Raises ValueError if it is none."""

    def told(self, message: Mapping[str, Any]) -> None:
        """What the page says that is not about the socket itself."""

    def close(self) -> None: ...


class Socket:
    """One page's voice socket. `begin`, `take` and `stop` may be called from any thread."""

    def __init__(self, websocket: WebSocket, owner: str, talk: Talk, turns: Iterator[int]) -> None:
        self.key = secrets.token_urlsafe(18)
        self.owner = owner
        self.outbox = Outbox()
        self._websocket = websocket
        self._talk = talk
        self._lock = threading.Lock()
        self._spoken: Spoken | None = None
        self._live: Live | None = None
        self._turns = turns

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
            self._quiet()
            self.stop()

    @property
    def talks(self) -> bool:
        """Whether there is a live conversation on it."""
        return self._live is not None

    def next_turn(self) -> int:
        """A number for a turn of the live conversation."""
        return next(self._turns)

    def begin(self, spoken: Spoken) -> None:
        """Stop whatever is spoken here, and speak this."""
        self.take(spoken)
        spoken.start()

    def take(self, spoken: Spoken) -> None:
        """From now on this is what is spoken here."""
        with self._lock:
            before, self._spoken = self._spoken, spoken
        if before is not None and before is not spoken:
            before.stop()

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
        limits = Limits()
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text, data = received.get("text"), received.get("bytes")
            if not limits.allow(len(text or data or "")):
                await self._websocket.close(1008, "too much at once")
                return
            if text is not None:
                await self._told(_parse(text))
            elif not self._hear(data or b""):
                await self._websocket.close(1003, "this is not sound")
                return

    def _hear(self, data: bytes) -> bool:
        """Take a frame; False if it is none. Without a live conversation (it has just ended) it is let go."""
        try:
            if self._live is not None:
                self._live.hear(data)
        except ValueError:
            return False
        return True

    async def _told(self, message: dict[str, Any]) -> None:
        turn = message.get("turn")
        match message.get("type"):
            case "talk":
                self._quiet()
                self._live = await self._talk(self, message)
            case "quiet":
                self._quiet()
            case "stop" if isinstance(turn, int) and turn < LIVE_TURNS:
                self.stop(turn)
            case "playing" | "paused" | "cleared":
                self._played(turn, message.get("samples"))
            case _ if self._live is not None:
                self._live.told(message)

    def _played(self, turn: object, samples: object) -> None:
        spoken = self._spoken
        if spoken is not None and turn == spoken.turn and isinstance(samples, int):
            spoken.played(samples)

    def _quiet(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.close()


Talk = Callable[[Socket, Mapping[str, Any]], Awaitable[Live | None]]


class _Bucket:
    """So much a second, and what was not used before at most `BURST` seconds of it."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate * BURST

    def take(self, amount: float, passed: float) -> bool:
        self._left = min(BURST * self._rate, self._left + passed * self._rate) - amount
        return self._left >= 0


class Limits:
    """How much a page may send: messages, and sound little faster than it can be spoken."""

    def __init__(self) -> None:
        self._bytes, self._messages = _Bucket(BYTES_PER_SECOND), _Bucket(MESSAGES_PER_SECOND)
        self._at = time.monotonic()

    def allow(self, size: int) -> bool:
        """Whether a message of `size` bytes may come now."""
        now = time.monotonic()
        passed, self._at = now - self._at, now
        allowed = [self._bytes.take(size, passed), self._messages.take(1, passed)]
        return size <= MAX_MESSAGE and all(allowed)


class Voices:
    """All open voice sockets."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sockets: dict[str, Socket] = {}
        self.talk: Talk = _nobody_listens
        self._turns = itertools.count(LIVE_TURNS)  # no number twice, also for a page that comes back

    async def serve(self, websocket: WebSocket) -> None:
        owner = str(websocket.scope.get("owner", ""))
        if sum(socket.owner == owner for socket in self._sockets.values()) >= SOCKETS_PER_OWNER:
            await websocket.close(1013, "too many pages are open")
            return
        socket = Socket(websocket, owner, self.talk, self._turns)
        self._sockets[socket.key] = socket
        try:
            await socket.run()
        finally:
            del self._sockets[socket.key]

    @property
    def talking(self) -> int:
        """How many live conversations there are."""
        return sum(socket.talks for socket in list(self._sockets.values()))

    def begin(self, owner: str, wish: Wish, question: str) -> Spoken | None:
        """A voice whose sound goes to the page that wishes it; None if it wishes none, or has left."""
        socket = self._sockets.get(wish.key)
        if socket is None or socket.owner != owner:
            return None

        spoken = self.prepare(socket, wish, question)
        socket.begin(spoken)
        return spoken

    def prepare(
        self, socket: Socket, wish: Wish, question: str, language: str | None = None, *, held: bool = False
    ) -> Spoken:
        """A voice for the socket's page, not begun yet."""

        def open_voice() -> Speaker:
            speed = min(max(wish.speed, 0.5), 2.0)
            return self._services.speak(SpeakRequest(wish.voice, speed, question, spoken.notice, language))

        spoken = Spoken(wish.turn, open_voice, socket.outbox, held=held)
        return spoken

    def say(self, owner: str, wish: Wish, question: str, pieces: Iterable[tuple[str, str]]) -> bool:
        """Speak a finished text, (piece, remark) each, from its beginning. False where that cannot be heard.

        Nor in a live conversation: it would not know whose voice it hears.
        """
        socket = self._sockets.get(wish.key)
        if socket is not None and socket.talks:
            return False
        spoken = self.begin(owner, wish, question)
        if spoken is None:
            return False
        for piece, remark in pieces:
            spoken.feed(piece, remark)
        spoken.finish()
        return True


async def _nobody_listens(socket: Socket, message: Mapping[str, Any]) -> None:
    socket.outbox.tell(type="refused", message="There is no live conversation here.")


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
            async with watched(request, gone):
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
async def watched(request: Request, gone: threading.Event) -> AsyncIterator[None]:
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


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
