"""A live conversation on one page's socket: its microphone, its replies, and what both tell the page.

Who has the floor is decided in `speech.conversation`; the messages are listed in `ui.voice`.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from speech.audio import RATE, Samples, from_int16
from speech.conversation import Conversation
from speech.endpoint import ListenOptions
from speech.loudspeaker import RATE as SPOKEN_RATE
from speech.outside import Heard, Outside, Words
from speech.vad import FRAME
from ui.answering import Line
from ui.chat import GONE, MAX_COLLECTION, MAX_QUESTION, Chat
from ui.metrics import Metrics
from ui.services import Services
from ui.spoken import Spoken
from ui.voice import Socket, Voices, Wish

log = logging.getLogger(__name__)

RATES = range(8_000, 48_001)
_HEADER = struct.Struct("<III")
_LONGEST_FRAME = 0.1  # seconds
_LONGEST_GAP = 1.0  # seconds of lost sound that are filled up with silence
_AHEAD = 5.0  # seconds that a microphone may be ahead of the clock
MOST = 100  # live conversations at once
FULL = "Too many people talk with Parley right now. Try again in a moment; typing works."


class Microphone:
    """The page's frames → frames of 512 samples at 16 kHz, with what was played at the beginning of each."""

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise ValueError(f"a microphone at {rate} samples per second")
        self._rate = rate
        self._resampler: Any = None
        self._rest: Samples = np.empty(0, np.float32)
        self._next: int | None = None  # the number of the frame that should come
        self._begun = time.monotonic()
        self._heard = 0.0  # seconds of sound
        self.lost = 0  # frames

    def check(self, data: bytes) -> None:
        """Raises ValueError for what is no frame, and for sound that comes faster than it can be spoken.

        For the event loop: it computes nothing, since there every operation of numpy waits for the threads
        that compute.
        """
        size = len(data) - _HEADER.size
        if size <= 0 or size % 2 or size // 2 > self._rate * _LONGEST_FRAME:
            raise ValueError("this is no frame of a microphone")
        self._heard += size / 2 / self._rate
        if self._heard > time.monotonic() - self._begun + _AHEAD:
            raise ValueError("no microphone is so fast")

    def frames(self, data: bytes) -> Iterator[tuple[Samples, int, int]]:
        """Frames of what `check` has let pass, each with the turn that was played then, and how far it was.

        That is in samples at SPOKEN_RATE.
        """
        number, turn, position = _HEADER.unpack_from(data)
        new = self._at_16_khz(from_int16(np.frombuffer(data, "<i2", offset=_HEADER.size)))
        gap = self._gap(number, len(new))
        begin = position - (len(self._rest) + len(gap)) * SPOKEN_RATE // RATE
        whole = np.concatenate([self._rest, gap, new])
        used = len(whole) // FRAME * FRAME
        self._rest = whole[used:]
        for at in range(0, used, FRAME):
            yield whole[at : at + FRAME], turn, max(0, begin + at * SPOKEN_RATE // RATE)

    def _gap(self, number: int, samples: int) -> Samples:
        """Silence in place of what was lost."""
        lost = 0 if self._next is None else max(0, number - self._next)
        self._next = number + 1
        self.lost += min(lost, round(_LONGEST_GAP * RATE / max(1, samples)))
        return np.zeros(min(lost * samples, round(_LONGEST_GAP * RATE)), np.float32)

    def _at_16_khz(self, samples: Samples) -> Samples:
        if self._rate == RATE:
            return samples
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = self._rate
        parts = [part.to_ndarray().reshape(-1) for part in self._resampler.resample(frame)]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)


class Reply:
    """One answer of the live conversation, as `speech.conversation` sees it."""

    def __init__(self, live: Live, heard: Heard) -> None:
        self.turn = live.socket.next_turn()
        self.timed = False  # the page has said when it was first heard
        self._live, self._heard = live, heard
        self._spoken = live.voice(self.turn, heard)
        self.running = live.chat.propose(
            live.owner,
            live.conversation,
            heard.text,
            heard.language,
            self._spoken,
            self._deliver,
            by_voice=not heard.typed,
            collection=live.collection,
        )
        if self._spoken is not None:
            self._spoken.start()

    @property
    def begun(self) -> bool:
        return self.sounding if self._spoken is not None else bool(self.running.turn.answer)

    @property
    def sounding(self) -> bool:
        return self._spoken is not None and self._spoken.sounding

    @property
    def over(self) -> bool:
        return self.running.ended and (self._spoken is None or self._spoken.over)

    def commit(self, since: float, times: Mapping[str, float]) -> None:
        live = self._live
        if not live.chat.store.owns(live.owner, live.conversation):
            self.drop()
            live.tell(type="refused", message=GONE)
            return
        live.chat.adopt(live.conversation, self.running)
        live.current = self
        if self._spoken is not None:
            live.socket.take(self._spoken)
        live.tell(type="asked", turn=self.turn, conversation=live.conversation, question=self._heard.text)
        self.running.commit(live.conversation, since=since, times=times)

    def pause(self) -> None:
        self.running.pause()

    def resume(self) -> None:
        self.running.resume()

    def played(self, samples: int) -> None:
        if self._spoken is not None:
            self._spoken.played(samples)

    def interrupt(self) -> None:
        self.running.interrupt()

    def drop(self) -> None:
        self.running.drop()

    def window(self, position: int, count: int) -> Samples:
        if self._spoken is None:
            return np.zeros(count, np.float32)
        return self._spoken.window(position, count)

    def _deliver(self, line: Line | None) -> None:
        if line is not None:
            self._live.tell(type="line", turn=self.turn, line=line)
        elif self.running.turn.state in {"stopped", "interrupted"}:
            self._live.tell(type="interrupted", turn=self.turn, answer=self.running.turn.answer)


class Live:
    """One page's live conversation, from `talk` to `quiet`."""

    def __init__(
        self,
        socket: Socket,
        chat: Chat,
        voices: Voices,
        services: Services,
        metrics: Metrics,
        message: Mapping[str, Any],
    ) -> None:
        self._microphone = Microphone(int(_number(message.get("rate"), RATE)))
        self.socket, self.chat, self.owner = socket, chat, socket.owner
        self.conversation = str(message.get("conversation") or "") or chat.store.create(self.owner)
        self.collection = str(message.get("collection") or "")[:MAX_COLLECTION]
        self.current: Reply | None = None
        self._voices, self._services, self._metrics = voices, services, metrics
        self._speaks = message.get("speak") is not False
        self._wish = Wish(socket.key, 0, str(message.get("voice") or ""), _number(message.get("speed"), 1.0))
        self._language = str(message.get("language") or "") or None
        self._counted = ExitStack()
        listening = services.listening
        self._talk = Conversation(
            Outside(
                transcribe=self._transcribe,
                live=self._words,
                reply=lambda heard: Reply(self, heard),
                tell=self.tell,
                interrupted=metrics.interruption,
                ended=self._ended,
            ),
            options=ListenOptions(quickest=listening.quickest, longest=listening.longest),
            interrupt=listening.interrupt,
        )

    def start(self) -> None:
        """Listen from now on, and say so."""
        self.tell(type="talking", conversation=self.conversation)
        self._counted.enter_context(self._metrics.conversation())
        self._talk.start()

    def tell(self, **message: object) -> None:
        """A message for the page."""
        self.socket.outbox.tell(**message)

    def voice(self, turn: int, heard: Heard) -> Spoken | None:
        """What speaks a reply; None where the page wants none."""
        if not self._speaks:
            return None
        wish = Wish(self._wish.key, turn, self._wish.voice, self._wish.speed)
        return self._voices.prepare(self.socket, wish, heard.text, heard.language, held=True)

    def hear(self, frame: bytes) -> None:
        self._microphone.check(frame)
        self._talk.hear(self._microphone.frames(frame))

    def told(self, message: Mapping[str, Any]) -> None:
        turn = message.get("turn")
        match message.get("type"):
            case "first" if isinstance(turn, int):
                self._first(turn, _number(message.get("latency"), 0.0))
            case "push":
                ago = min(max(_number(message.get("ago"), 0.0), 0.0), 1.0)
                self._talk.push(message.get("down") is True, ago)
            case "mute":
                self._talk.forget()
            case "ask" if text := str(message.get("text") or "").strip()[:MAX_QUESTION]:
                self._talk.ask(text)
            case "stop" if self.current is None or turn in {None, self.current.turn}:
                self._talk.stop()

    def close(self) -> None:
        self._talk.close()

    def _ended(self) -> None:
        self._metrics.frames_lost(self._microphone.lost)
        self._counted.close()

    def _first(self, turn: int, latency: float) -> None:
        """The page hears a reply's first sound."""
        reply, now = self.current, time.monotonic()
        if reply is None or reply.turn != turn or reply.timed:
            return
        reply.timed = True

        def work() -> None:
            timings = reply.running.heard_at(now + min(max(latency, 0.0), 1.0))
            self.tell(type="latency", turn=turn, timings=timings)

        asyncio.get_running_loop().run_in_executor(None, work)  # it writes to the database

    def _transcribe(self, audio: Samples, should_stop: Any) -> Heard:
        transcript = self._services.hear(audio, self._language, should_stop)
        return Heard(transcript.text, transcript.language)

    def _words(self, on_text: Any) -> Words | None:
        return self._services.live(on_text, self._language)


def talk_on(voices: Voices, chat: Chat, services: Services, metrics: Metrics) -> None:
    """Let the pages of `voices` begin live conversations."""

    def begin(socket: Socket, message: Mapping[str, Any]) -> Live | None:
        conversation = str(message.get("conversation") or "")
        if conversation and not chat.store.owns(socket.owner, conversation):
            socket.outbox.tell(
                type="refused", message="This conversation is not here any more. Start a new one."
            )
            return None
        if voices.talking >= MOST:
            socket.outbox.tell(type="refused", message=FULL)
            return None
        try:
            live = Live(socket, chat, voices, services, metrics, message)
        except Exception as error:
            log.exception("A live conversation could not begin")
            socket.outbox.tell(type="refused", message=f"The live conversation cannot begin: {error}")
            return None
        live.start()
        return live

    async def talk(socket: Socket, message: Mapping[str, Any]) -> Live | None:
        return await asyncio.to_thread(begin, socket, message)

    voices.talk = talk


def _number(value: object, otherwise: float) -> float:
    """A number that a page may mean; anything else, or one that is none, is `otherwise`."""
    usual = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if usual and value == value else otherwise  # type: ignore[arg-type]
