"""One spoken answer on its way to one page, and what waits to be sent there.

It knows neither the socket nor how speech is made; `ui.voice` has the messages' format.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from speech.audio import AudioChunk, to_int16
from ui.services import Speaker

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
SOUNDS_AHEAD = 16  # chunks that wait for a slow page; then the voice waits, too


def frame(turn: int, chunk: AudioChunk) -> bytes:
    """One binary message."""
    return _HEADER.pack(turn & 0xFFFFFFFF, chunk.rate) + to_int16(chunk.samples).astype("<i2").tobytes()


@dataclass(frozen=True)
class _Sound:
    data: bytes
    wanted: Callable[[], bool]  # asked again when it is its turn to be sent


class Outbox:
    """What waits to be sent to one page, in order. Texts may always be put in, sound only so much.

    Made in the event loop's thread, which alone may call `take`; the rest may be called from any.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[_Sound | str] = asyncio.Queue()
        self._changed = threading.Condition()
        self._sounds = 0
        self._closed = False

    def tell(self, **message: object) -> None:
        self._put(json.dumps(message))

    def sound(self, data: bytes, wanted: Callable[[], bool]) -> bool:
        """Put a chunk in as soon as there is room; False if it is not `wanted` any more by then."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not wanted() or self._sounds < SOUNDS_AHEAD)
            if self._closed or not wanted():
                return False
            self._sounds += 1
        self._put(_Sound(data, wanted))
        return True

    def wake(self) -> None:
        """What is wanted has changed."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """The page has left: nobody waits for room any more."""
        self._closed = True
        self.wake()

    async def take(self) -> bytes | str:
        """The next message; sound that nobody wants any more is left out."""
        while True:
            message = await self._waiting.get()
            if isinstance(message, str):
                return message
            with self._changed:
                self._sounds -= 1
                self._changed.notify_all()
            if message.wanted():
                return message.data

    def _put(self, message: _Sound | str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, message)


class Spoken:
    """The voice of one answer: feed its text; its sound goes to the page as turn `turn`.

    The voice is opened in a thread of its own, because that may take long and no text may wait for it; what
    is fed meanwhile is kept. All methods return at once and may be called from any thread.
    """

    def __init__(self, turn: int, open_voice: Callable[[], Speaker], outbox: Outbox) -> None:
        self.turn = turn
        self._open_voice, self._outbox = open_voice, outbox
        self._lock = threading.Lock()
        self._speaker: Speaker | None = None
        self._early: list[str] = []  # text that came before the voice was open
        self._version = 0  # of the text
        self._finished = self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    def feed(self, piece: str) -> None:
        with self._lock:
            if self._speaker is None:
                self._early.append(piece)
            else:
                self._speaker.feed(piece)

    def replace(self) -> None:
        """What follows replaces the text so far: of that, nothing more is heard."""
        with self._lock:
            self._version += 1
            self._early.clear()
            self._silence()
            self._outbox.tell(type="flush", turn=self.turn)
        self._outbox.wake()

    def finish(self) -> None:
        """No more text comes."""
        with self._lock:
            self._finished = True
            if self._speaker is not None:
                self._speaker.finish()

    def stop(self) -> None:
        """Silence."""
        with self._lock:
            self._stopped = True
            self._silence()
        self._outbox.wake()

    def _silence(self) -> None:
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.stop()

    def _run(self) -> None:
        try:
            while self._speak():
                pass
        except Exception as error:
            log.exception("The voice failed")
            self.stop()
            message = f"The answer cannot be spoken: {error}"
            self._outbox.tell(type="notice", turn=self.turn, message=message)
        finally:
            self._outbox.tell(type="end", turn=self.turn)

    def _speak(self) -> bool:
        """Speak one version of the text, each with a voice of its own; whether another one has come."""
        version = self._version
        speaker = self._open_voice()
        if self._take_over(speaker, version):
            for chunk in speaker:
                if not self._outbox.sound(frame(self.turn, chunk), lambda: self._wants(version)):
                    break
        return not self._stopped and version != self._version

    def _take_over(self, speaker: Speaker, version: int) -> bool:
        """Give an opened voice the text so far; False if that is not wanted any more."""
        with self._lock:
            if not self._wants(version):
                speaker.stop()
                return False
            self._speaker = speaker
            for piece in self._early:
                speaker.feed(piece)
            self._early.clear()
            if self._finished:
                speaker.finish()
            return True

    def _wants(self, version: int) -> bool:
        return version == self._version and not self._stopped
