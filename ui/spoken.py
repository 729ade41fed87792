"""One spoken answer on its way to one page, and what waits to be sent there.

It knows neither the socket nor how speech is made; `ui.voice` has the messages' format.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from speech.audio import AudioChunk, Mark, Samples, to_int16
from speech.loudspeaker import RATE, Loudspeaker
from speech.sentences import SentenceSplitter
from ui.services import Speaker

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
SOUNDS_AHEAD = 16  # chunks that wait for a slow connection; then the voice waits, too
SECONDS_AHEAD = 4.0  # of sound that the page holds and has not played
_LOST_END = 4.0  # seconds without a word from the page after which a turn that was sent counts as played


def frame(turn: int, chunk: AudioChunk) -> bytes:
    """One binary message."""
    return _HEADER.pack(turn & 0xFFFFFFFF, chunk.rate) + to_int16(chunk.samples).astype("<i2").tobytes()


def units(text: str) -> int:
    """The length of a text as JavaScript counts: in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


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

    `held`: the sound is made, but nothing of it is sent before `release`.
    """

    def __init__(
        self, turn: int, open_voice: Callable[[], Speaker], outbox: Outbox, *, held: bool = False
    ) -> None:
        self.turn = turn
        self.moments: dict[str, float] = {}  # first_sentence, audio_sent → time.monotonic()
        self._open_voice, self._outbox = open_voice, outbox
        self._changed = threading.Condition()
        self._speaker: Speaker | None = None
        self._early: list[tuple[str, str]] = []  # text and remarks that came before the voice was open
        self._version = 0  # of the text
        self._held, self._paused = held, False
        self._notices: list[str] = []  # from before `release`: the page does not know the turn yet
        self._finished = self._stopped = self._ended = False
        self._begin_text()

    def _begin_text(self) -> None:
        self._text = ""
        self._splitter: SentenceSplitter | None = SentenceSplitter()  # until it has found a sentence
        self._loudspeaker = Loudspeaker()
        self._last_word = time.monotonic()  # from the page

    def start(self) -> None:
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    # The answer's text

    def feed(self, piece: str, remark: str = "") -> None:
        """`remark`: said before the sentence that the piece begins, though it is no part of the text."""
        with self._changed:
            self._text += piece
            self._watch_first_sentence(piece)
            if self._speaker is None:
                self._early.append((piece, remark))
            else:
                self._speaker.feed(piece, remark)

    def _watch_first_sentence(self, piece: str) -> None:
        if self._splitter is not None and self._splitter.feed(piece):
            self.moments.setdefault("first_sentence", time.monotonic())
            self._splitter = None

    def replace(self) -> None:
        """What follows replaces the text so far: of that, nothing more is heard."""
        with self._changed:
            self._version += 1
            self._early.clear()
            self._silence()
            self._begin_text()
            self._outbox.tell(type="flush", turn=self.turn)
            self._changed.notify_all()
        self._outbox.wake()

    def finish(self) -> None:
        """No more text comes."""
        with self._changed:
            self._finished = True
            self.moments.setdefault("first_sentence", time.monotonic())
            if self._speaker is not None:
                self._speaker.finish()

    # Who may be heard

    def release(self) -> None:
        """From now on its sound is sent."""
        with self._changed:
            self._held = False
            self._last_word = time.monotonic()
            for message in self._notices:
                self._tell_notice(message)
            self._changed.notify_all()

    def notice(self, message: str) -> None:
        """Tell the person what is amiss with the voice."""
        with self._changed:
            if self._held:
                self._notices.append(message)
            else:
                self._tell_notice(message)

    def _tell_notice(self, message: str) -> None:
        self._outbox.tell(type="notice", turn=self.turn, message=message)

    def pause(self) -> None:
        """Silence at the page, which keeps what it has; nothing is made or sent until `resume`."""
        with self._changed:
            if self._paused or self._stopped:
                return
            self._paused = True
            self._outbox.tell(type="pause", turn=self.turn)
            if self._speaker is not None:
                self._speaker.pause()

    def resume(self) -> None:
        with self._changed:
            if not self._paused or self._stopped:
                return
            self._paused = False
            self._last_word = time.monotonic()
            if self._speaker is not None:
                self._speaker.resume()
            self._outbox.tell(type="resume", turn=self.turn)
            self._changed.notify_all()

    def stop(self) -> None:
        """Silence."""
        with self._changed:
            already, self._stopped = self._stopped, True
            self._silence()
            if not already and not self._held:
                self._outbox.tell(type="clear", turn=self.turn)
            self._changed.notify_all()
        self._outbox.wake()

    # How far it has been heard

    def played(self, samples: int) -> None:
        """The page has given that many samples to the loudspeaker."""
        with self._changed:
            if self._loudspeaker.played_to(samples):
                self._last_word = time.monotonic()
                self._changed.notify_all()

    @property
    def sounding(self) -> bool:
        """Whether some of it has been played, and not yet all."""
        return self._loudspeaker.played > 0 and not self.over

    @property
    def over(self) -> bool:
        """Whether nothing more of it will be heard."""
        if self._stopped:
            return True
        if not self._ended or self._paused:
            return False
        return not self._loudspeaker.waiting or time.monotonic() - self._last_word > _LOST_END

    @property
    def heard(self) -> int:
        """How many characters of the text have been heard."""
        with self._changed:
            if self._ended and not self._stopped and not self._loudspeaker.waiting:
                return len(self._text)
            return self._loudspeaker.heard(self._text)

    def window(self, position: int, count: int) -> Samples:
        """What it sounds like at 16 kHz, from `position` (samples as in `played`) on."""
        return self._loudspeaker.window(position, count)

    def _silence(self) -> None:
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.stop()

    # In its own thread

    def _run(self) -> None:
        try:
            while self._speak():
                pass
        except Exception as error:
            log.exception("The voice failed")
            self.stop()
            self.notice(f"The answer cannot be spoken: {error}")
        finally:
            with self._changed:
                self._ended = True
                self._silence()
            self._outbox.tell(type="end", turn=self.turn)

    def _speak(self) -> bool:
        """Speak one version of the text, each with a voice of its own; whether another one has come."""
        version = self._version
        speaker = self._open_voice()
        if self._take_over(speaker, version):
            for chunk in speaker:
                if not self._send(chunk, version):
                    break
        return not self._stopped and version != self._version

    def _send(self, chunk: AudioChunk, version: int) -> bool:
        """Send a chunk as soon as it may be heard and the page has room; False if nobody wants it then."""
        with self._changed:
            self._changed.wait_for(lambda: not self._wants(version) or self._may_send())
            if not self._wants(version):
                return False
            begin = self._loudspeaker.add(chunk)
            self.moments.setdefault("audio_sent", time.monotonic())
        for mark in chunk.marks:
            self._tell_mark(mark, begin)
        return self._outbox.sound(frame(self.turn, chunk), lambda: self._wants(version))

    def _may_send(self) -> bool:
        return not self._held and not self._paused and self._loudspeaker.waiting < SECONDS_AHEAD * RATE

    def _tell_mark(self, mark: Mark, begin: int) -> None:
        self._outbox.tell(
            type="mark",
            turn=self.turn,
            at=round(begin / RATE + mark.at, 4),
            start=units(self._text[: mark.start]),
            end=units(self._text[: mark.end]),
            kind=mark.kind,
        )

    def _take_over(self, speaker: Speaker, version: int) -> bool:
        """Give an opened voice the text so far; False if that is not wanted any more."""
        with self._changed:
            if not self._wants(version):
                speaker.stop()
                return False
            self._speaker = speaker
            if self._paused:
                speaker.pause()
            for piece, remark in self._early:
                speaker.feed(piece, remark)
            self._early.clear()
            if self._finished:
                speaker.finish()
            return True

    def _wants(self, version: int) -> bool:
        return version == self._version and not self._stopped
