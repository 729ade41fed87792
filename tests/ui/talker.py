"""A page without a browser: it speaks into the voice socket, and plays in real time what comes out of it."""

from __future__ import annotations

import asyncio
import json
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from speech.audio import RATE, Samples, from_int16, to_int16
from speech.loudspeaker import RATE as SPOKEN_RATE
from speech.vad import FRAME

FRAME_SECONDS = FRAME / RATE
_REPORT = 0.2  # seconds between two reports of how far a turn was played


@dataclass
class Played:
    """What the loudspeaker does with one turn."""

    turn: int
    chunks: list[Samples] = field(default_factory=list)
    samples: int = 0  # played
    first_at: float | None = None  # when the first sound that is no silence was played
    over: bool = False

    @property
    def sound(self) -> Samples:
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        return self.chunks[0] if self.chunks else np.empty(0, np.float32)


class Talker:
    """One page. Enter it, `talk`, `say` something, and wait `until` a message has come.

    Args:
        url: of the server, http://…
        echo: mixes into the microphone what the loudspeaker played: (delay in seconds, gain).
    """

    def __init__(
        self, url: str, *, cookie: str = "", echo: tuple[float, float] | None = None, rate: int = RATE
    ) -> None:
        self._url, self._echo, self._rate = url.replace("http", "ws", 1), echo, rate
        self.cookie = cookie or f"parley_browser={secrets.token_urlsafe(24)}"
        self.messages: list[tuple[float, dict[str, Any]]] = []  # time.monotonic(), message
        self.late: list[float] = []  # seconds after its time that each frame was sent
        self.stray = 0  # samples of another turn than the current one
        self.turns: dict[int, Played] = {}
        self.heard_last: float = 0.0  # when the last sample of `say` was sent
        self.output: list[Samples] = []  # what left the loudspeaker, a frame at a time, at SPOKEN_RATE
        self.output_at: list[float] = []
        self._turn: Played | None = None
        self._paused = False
        self._speech: list[Samples] = []  # frames that are to be said
        self._number = 0
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listening = False
        self._said = asyncio.Event()
        self.socket: ClientConnection

    async def __aenter__(self) -> Talker:
        self.socket = await connect(
            f"{self._url}/voice/ws",
            additional_headers={"Cookie": self.cookie},
            compression=None,
            max_size=None,
        )
        self._tasks.append(asyncio.create_task(self._receive()))
        await self.until("key")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.socket.close()

    async def talk(self, conversation: str = "", **wish: Any) -> str:
        """Begin the live conversation; its id."""
        await self.tell(type="talk", conversation=conversation, rate=self._rate, **wish)
        begun = await self.until("talking")
        if not self._listening:
            self._listening = True
            self._tasks.append(asyncio.create_task(self._run()))
        return str(begun["conversation"])

    async def tell(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    def say(self, sound: Samples) -> None:
        """Speak; returns at once. After it the microphone is silent."""
        padded = np.pad(sound, (0, -len(sound) % FRAME))
        self._speech += list(padded.reshape(-1, FRAME))
        self._said.clear()

    async def said(self) -> float:
        """Wait until all was said; when its last frame was sent (`time.monotonic`)."""
        await self._said.wait()
        return self.heard_last

    async def until(
        self,
        kind: str,
        wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
        *,
        seconds: float = 20.0,
        since: int = 0,
    ) -> dict[str, Any]:
        """The first message of that type, from number `since` on, that is wanted."""

        async def found() -> dict[str, Any]:
            while True:
                self._arrived.clear()
                for _, message in self.messages[since:]:
                    if message["type"] == kind and wanted(message):
                        return message
                await self._arrived.wait()

        return await asyncio.wait_for(found(), seconds)

    def kinds(self, since: int = 0) -> list[str]:
        return [message["type"] for _, message in self.messages[since:]]

    async def _receive(self) -> None:
        async for data in self.socket:
            if isinstance(data, bytes):
                turn, _ = struct.unpack_from("<II", data)
                self._sound(turn, from_int16(np.frombuffer(data, "<i2", offset=8)))
                continue
            message = json.loads(data)
            self.messages.append((time.monotonic(), message))
            await self._told(message)
            self._arrived.set()

    def _sound(self, turn: int, samples: Samples) -> None:
        if self._turn is None or turn != self._turn.turn:
            self.stray += len(samples)
            return
        self._turn.chunks.append(samples)

    async def _told(self, message: dict[str, Any]) -> None:
        turn = message.get("turn")
        match message["type"]:
            case "asked":
                self._turn = self.turns[message["turn"]] = Played(message["turn"])
                self._paused = False
            case "pause" if self._turn and turn == self._turn.turn:
                self._paused = True
                await self.tell(type="paused", turn=turn, samples=self._turn.samples)
            case "resume" if self._turn and turn == self._turn.turn:
                self._paused = False
            case "clear" if self._turn and turn == self._turn.turn:
                await self.tell(type="cleared", turn=turn, samples=self._turn.samples)
                self._turn = None
            case "end" if self._turn and turn == self._turn.turn:
                self._turn.over = True

    async def _run(self) -> None:
        """Every 32 ms: play as much, and send as much of the microphone."""
        begun, count, reported = time.monotonic(), 0, 0.0
        delay = round((self._echo[0] if self._echo else 0) / FRAME_SECONDS)
        while True:
            count += 1
            await asyncio.sleep(max(0.0, begun + count * FRAME_SECONDS - time.monotonic()))
            self.late.append(time.monotonic() - begun - count * FRAME_SECONDS)
            turn = self._turn
            position = turn.samples if turn else 0
            sounding = await self._play()
            microphone = self._speech.pop(0) if self._speech else np.zeros(FRAME, np.float32)
            if self._echo and len(self.output) > delay:
                heard = self.output[-1 - delay][: FRAME * 3 // 2]
                at_16 = np.interp(np.arange(FRAME) * 1.5, np.arange(len(heard)), heard)
                microphone = microphone + (self._echo[1] * at_16).astype(np.float32)
            header = struct.pack("<III", self._number, turn.turn if turn and sounding else 0, position)
            self._number += 1
            await self.socket.send(header + to_int16(microphone).astype("<i2").tobytes())
            if not self._speech and not self._said.is_set():
                self.heard_last = time.monotonic()
                self._said.set()
            if turn and sounding and time.monotonic() - reported > _REPORT:
                reported = time.monotonic()
                await self.tell(type="playing", turn=turn.turn, samples=turn.samples)

    async def _play(self) -> bool:
        """32 ms of the loudspeaker; whether there was anything to play."""
        count = round(FRAME_SECONDS * SPOKEN_RATE)
        out = np.zeros(count, np.float32)
        turn = self._turn
        part = turn.sound[turn.samples : turn.samples + count] if turn and not self._paused else out[:0]
        out[: len(part)] = part
        self.output.append(out)
        self.output_at.append(time.monotonic())
        if turn is None or not len(part):
            return False
        turn.samples += len(part)
        if turn.first_at is None and np.abs(part).max() > 0.002:
            turn.first_at = time.monotonic()
            await self.tell(type="first", turn=turn.turn, latency=0.0)
        if turn.over and turn.samples >= len(turn.sound):
            await self.tell(type="playing", turn=turn.turn, samples=turn.samples)
        return True
