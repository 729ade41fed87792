"""The voice socket: the sound of an answer to the page that asked, and the route that takes a recording.

A page opens one socket and gets a key; whoever asks with that key is spoken to there. Each chunk of sound has
the number of its turn: the page plays nothing of an earlier one. It does not know how speech is made.

Binary, server → page: uint32 turn, uint32 samples per second (little endian), then int16 samples, mono.
Text, server → page: {"type": "key", "key"}, {"type": "end", "turn"}, {"type": "notice", "turn", "message"}.
Text, page → server: {"type": "stop", "turn"}, {"type": "ping"}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from speech.audio import AudioChunk, AudioError, to_int16
from ui.services import Services, Speaker, SpeakRequest, UiError
from ui.web_io import read_body, refuse

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
MAX_RECORDING = 64 << 20  # bytes; hours of Opus, half an hour of WAV
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
    """One page's voice socket. `send_…` may be called from any thread."""

    def __init__(self, websocket: WebSocket, owner: str) -> None:
        self.key = secrets.token_urlsafe(18)
        self.owner = owner
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[bytes | str] = asyncio.Queue()
        self._lock = threading.Lock()
        self._speaking: dict[int, Speaker] = {}

    async def run(self) -> None:
        """Serve the socket until the page leaves."""
        await self._websocket.accept()
        self._put(json.dumps({"type": "key", "key": self.key}))
        sender = asyncio.create_task(self._send_all())
        try:
            await self._receive_all()
        except WebSocketDisconnect:
            pass
        finally:
            sender.cancel()
            self.stop()

    def begin(self, turn: int, speaker: Speaker) -> None:
        """Stop whatever is spoken here, and send this speaker's sound as turn `turn`."""
        self.stop()
        with self._lock:
            self._speaking[turn] = speaker
        threading.Thread(target=self._play, args=(turn, speaker), name="voice", daemon=True).start()

    def stop(self, turn: int | None = None) -> None:
        """Silence one turn, or all."""
        with self._lock:
            turns = [turn] if turn is not None else list(self._speaking)
            speakers = [self._speaking.pop(number) for number in turns if number in self._speaking]
        for speaker in speakers:
            speaker.stop()

    def notice(self, turn: int, message: str) -> None:
        self._put(json.dumps({"type": "notice", "turn": turn, "message": message}))

    def _play(self, turn: int, speaker: Speaker) -> None:
        for chunk in speaker:
            self._put(frame(turn, chunk))
        with self._lock:
            self._speaking.pop(turn, None)
        self._put(json.dumps({"type": "end", "turn": turn}))

    def _put(self, message: bytes | str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._out.put_nowait, message)

    async def _send_all(self) -> None:
        while True:
            message = await self._out.get()
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

    def begin(self, owner: str, wish: Wish, question: str) -> Speaker | None:
        """A speaker whose sound goes to the page that wishes it; None if it wishes none, or has left."""
        socket = self._sockets.get(wish.key)
        if socket is None or socket.owner != owner:
            return None

        def notice(message: str) -> None:
            socket.notice(wish.turn, message)

        request = SpeakRequest(wish.voice, min(max(wish.speed, 0.5), 2.0), question, notice)
        try:
            speaker = self._services.speak(request)
        except Exception as error:
            log.exception("The voice could not be opened")
            notice(f"The answer cannot be spoken: {error}")
            return None
        socket.begin(wish.turn, speaker)
        return speaker

    def say(self, owner: str, wish: Wish, question: str, text: str) -> bool:
        """Speak a finished text, from its beginning."""
        speaker = self.begin(owner, wish, question)
        if speaker is None:
            return False
        speaker.feed(text)
        speaker.finish()
        return True


def frame(turn: int, chunk: AudioChunk) -> bytes:
    """One binary message."""
    return _HEADER.pack(turn & 0xFFFFFFFF, chunk.rate) + to_int16(chunk.samples).astype("<i2").tobytes()


def voice_routes(services: Services, voices: Voices) -> APIRouter:
    router = APIRouter()
    limiter = _Limiter(services.transcribe)

    @router.websocket("/voice/ws")
    async def socket(websocket: WebSocket) -> None:
        await voices.serve(websocket)

    @router.post("/api/transcribe")
    async def transcribe(request: Request, language: str = "") -> JSONResponse:
        try:
            recording = await read_body(request, MAX_RECORDING, "The recording", "Record a shorter one.")
            return JSONResponse(await limiter.run(recording, language or None))
        except (UiError, AudioError) as error:
            return refuse(422, error)
        except Exception as error:
            log.exception("A recording could not be transcribed")
            return refuse(500, f"The recording could not be written down: {error}")

    return router


class _Limiter:
    """Transcribes in threads of its own count, so that people who speak do not hold up those who read."""

    def __init__(self, transcribe: Callable[[bytes, str | None], object], at_once: int = 4) -> None:
        self._transcribe = transcribe
        self._tokens = at_once
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, recording: bytes, language: str | None) -> dict[str, object]:
        self._limiter = self._limiter or anyio.CapacityLimiter(self._tokens)
        begun = time.perf_counter()
        transcript = await anyio.to_thread.run_sync(
            self._transcribe, recording, language, limiter=self._limiter
        )
        return {
            "text": str(getattr(transcript, "text", "")),
            "language": str(getattr(transcript, "language", "") or ""),
            "engine": str(getattr(transcript, "engine", "")),
            "seconds": time.perf_counter() - begun,
        }


def _parse(text: str) -> dict[str, object]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
