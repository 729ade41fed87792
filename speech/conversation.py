"""Who has the floor: a microphone's frames in, replies begun, paused, resumed and broken off.

A `Conversation` hears one person through one microphone. It guesses early and commits late: at the first
short silence the utterance is transcribed and its reply begun, unheard; when the person goes on, both are
dropped, and when the endpoint is decided, the reply is let out. A voice over a reply silences it at once,
but only words end it: after a cough it goes on where it stopped.

Everything happens in one thread that reads one queue, so nothing here is locked. It does not know what a
reply is made of, how a recogniser works, or how sound and messages travel.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import numpy as np

from speech.audio import RATE, Samples
from speech.bargein import Bargein
from speech.echo import EchoCanceller, open_echo_canceller
from speech.endpoint import Began, Dropped, Ended, Listener, ListenOptions, Paused, WentOn
from speech.remarks import is_backchannel, is_stop, takes_back
from speech.vad import FRAME, VadStream

log = logging.getLogger(__name__)

FRAME_SECONDS = FRAME / RATE
CERTAIN = 1.2  # seconds of speech over a reply that end it even before its words are known
KEPT = 3.0  # seconds of sound that are kept for words which began before they were noticed
_SPEECH = 0.5  # probability from which a frame counts towards CERTAIN
_STOOD_STILL = 1.0  # seconds without a frame after which the microphone's clock is set anew
_CLOCK_DRIFT = 1e-4  # by how much a microphone's clock may run ahead of ours


@dataclass(frozen=True)
class Heard:
    """What a person said. An empty text: nothing."""

    text: str
    language: str | None = None


class Words(Protocol):
    """The words of one utterance while it is spoken (`speech.live.LiveTranscript`)."""

    def feed(self, samples: Samples) -> None: ...

    def close(self) -> None: ...


class Reply(Protocol):
    """One answer and its voice. It is held back until `commit`. Every method is quick."""

    turn: int

    @property
    def sounding(self) -> bool:
        """Whether some of its sound has been played, and not yet all."""

    @property
    def over(self) -> bool:
        """Whether nothing more of it will be heard."""

    def commit(self, since: float, times: Mapping[str, float]) -> None:
        """Let it out. `since`: when the speech ended (`time.monotonic`), `times`: stages, seconds later."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def played(self, samples: int) -> None:
        """The loudspeaker has got that many samples of it."""

    def interrupt(self) -> None:
        """It is over; what was played is what was heard."""

    def drop(self) -> None:
        """It was a wrong guess, never let out; it never was."""

    def window(self, position: int, count: int) -> Samples:
        """What it sounds like, `count` samples at 16 kHz from `position` (samples as in `played`) on."""


@dataclass(frozen=True)
class Outside:
    """What a conversation needs; all but `transcribe` is quick."""

    transcribe: Callable[[Samples, Callable[[], bool]], Heard]  # raises what the person should read
    live: Callable[[Callable[[str], None]], Words | None]  # words while they are spoken
    reply: Callable[[Heard], Reply]  # begins an answer, held back
    tell: Callable[..., None]  # a message for the page: tell(type=…, …)
    interrupted: Callable[[Literal["real", "resumed"]], None] = lambda kind: None


@dataclass
class _Guess:
    """An utterance that may be complete: its transcript and its reply, in advance."""

    end: int  # sample of the stream after its last speech
    stopped: bool = False
    final: bool = False  # the endpoint is decided
    heard: Heard | None = None
    error: Exception | None = None
    reply: Reply | None = None
    moments: dict[str, float] = field(default_factory=dict)  # stage → time.monotonic()


class Conversation:
    """One live conversation, from `start` to `close`. Its methods return at once, from any thread."""

    def __init__(
        self,
        outside: Outside,
        *,
        options: ListenOptions | None = None,
        interrupt: float = 0.4,
        echo: EchoCanceller | None = None,
    ) -> None:
        self._outside = outside
        self._listener = Listener(options)
        self._bargein = Bargein(interrupt)
        self._echo = echo or open_echo_canceller()
        self._vad = VadStream()
        self._items: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._recent: deque[Samples] = deque(maxlen=round(KEPT / FRAME_SECONDS))
        self._offset = float("inf")  # time.monotonic() of the stream's first sample
        self._reply: Reply | None = None
        self._asked = ""  # what the reply answers
        self._unanswered = ""  # a question whose answer was cut off before any of it was heard
        self._guess: _Guess | None = None
        self._live: Words | None = None
        self._utterances = itertools.count(1)
        self._utterance = 0
        self._paused = False  # the reply is silent until it is known whether the voice over it has words
        self._over_it = 0.0  # seconds of speech since then
        self._hearing = False
        self._held = False  # push to talk
        self._shown: tuple[str, bool] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="conversation", daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    @property
    def notice(self) -> str:
        """What the person should know about how well it hears; "" when there is nothing."""
        return self._echo.notice

    # From outside, in any thread

    def hear(self, frame: Samples, turn: int = 0, position: int = 0) -> None:
        """The next 512 samples of the microphone, at 16 kHz.

        `turn` is what the loudspeaker played when it began (0: nothing), `position` how many samples of it.
        """
        self._do(partial(self._frame, frame, turn, position))

    def played(self, turn: int, samples: int) -> None:
        """How far the loudspeaker has come in a turn."""
        self._do(partial(self._played, turn, samples))

    def push(self, down: bool) -> None:
        """Push to talk: while it is held nothing ends the utterance, its release does."""
        self._do(partial(self._push, down))

    def forget(self) -> None:
        """What is being said does not count (the microphone was muted)."""
        self._do(self._forget)

    def ask(self, text: str) -> None:
        """A typed question."""
        self._do(partial(self._ask, text))

    def stop(self) -> None:
        """The person wants silence; the conversation goes on."""
        self._do(self._stop)

    def close(self) -> None:
        """End it, and all the work behind it."""
        self._closed = True
        self._items.put(None)

    def wait(self, seconds: float) -> bool:
        """Whether its thread has ended, after at most `seconds`."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    # In the conversation's own thread

    def _do(self, work: Callable[[], None]) -> None:
        if not self._closed:
            self._items.put(work)

    def _run(self) -> None:
        try:
            self._show()
            while not self._closed and (work := self._items.get()) is not None:
                self._guarded(work)
        finally:
            self._end_all()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # one bad moment must not end the conversation; the person is told
            log.exception("The conversation stumbled")
            self._outside.tell(type="notice", turn=0, message="Something went wrong. Say it again.")
            self._forget()

    def _end_all(self) -> None:
        self._drop_guess()
        self._end_words()
        if self._reply is not None and not self._reply.over:
            self._reply.interrupt()
        self._reply = None

    def _frame(self, frame: Samples, turn: int, position: int) -> None:
        self._set_clock()
        reply = self._reply
        played = np.zeros(FRAME, np.float32)
        if reply is not None and turn == reply.turn:
            reply.played(position)
            played = reply.window(position, FRAME)
        clean = self._echo.clean(frame, played)
        probability = self._vad.feed(clean)
        self._recent.append(clean)
        if self._live is not None:
            self._live.feed(clean)
        began = self._bargein.feed(clean, probability, played) if self._answering else None
        for event in self._listener.feed(clean, probability):
            self._listened(event)
        if self._paused and probability >= _SPEECH:
            self._over_it += FRAME_SECONDS
            if self._over_it >= CERTAIN:
                self._confirm()
        if began is not None and not self._paused:
            self._interrupt()
        self._show()

    def _set_clock(self) -> None:
        """When the stream's first sample was spoken, by the frame that came with the least delay.

        A pause of the microphone moves it.
        """
        begun = time.monotonic() - (self._listener.position + FRAME) / RATE
        moved = begun - self._offset > _STOOD_STILL
        self._offset = begun if moved else min(self._offset + _CLOCK_DRIFT * FRAME_SECONDS, begun)

    @property
    def _answering(self) -> bool:
        """Whether a reply is out that has not come to its end."""
        return self._reply is not None and not self._reply.over

    @property
    def _has_floor(self) -> bool:
        """Whether what the person says counts as said, rather than as a sound over an answer."""
        return not self._answering or self._paused or self._held

    def _listened(self, event: Began | Paused | WentOn | Ended | Dropped) -> None:
        match event:
            case Began():
                self._utterance = next(self._utterances)
                self._drop_guess()
                if self._has_floor:
                    self._begin_words()
            case Paused(audio, end):
                if self._has_floor:
                    self._begin_words()
                    self._begin_guess(audio, end)
            case WentOn():
                self._drop_guess()
            case Ended(audio, _, end, _):
                if self._has_floor:
                    self._decide(audio, end)
                else:
                    self._drop_guess()
            case Dropped():
                self._unheard()

    # Words while they are spoken

    def _begin_words(self) -> None:
        """Show that somebody is heard, and what."""
        if self._hearing:
            return
        self._hearing = True
        utterance = self._utterance

        def on_text(text: str) -> None:
            self._do(partial(self._words, utterance, text))

        self._live = self._outside.live(on_text)
        if self._live is not None:
            for frame in self._recent:
                self._live.feed(frame)

    def _words(self, utterance: int, text: str) -> None:
        if utterance != self._utterance or not self._hearing or not text:
            return
        self._listener.heard(text)
        self._outside.tell(type="words", text=text, final=False)

    def _end_words(self) -> None:
        self._hearing = False
        live, self._live = self._live, None
        if live is not None:
            live.close()

    def _unheard(self) -> None:
        """What was heard was nothing: the floor is as it was."""
        self._drop_guess()
        if self._hearing:
            self._outside.tell(type="unheard")
        self._end_words()
        self._resume()

    # Guessing early

    def _begin_guess(self, audio: Samples, end: int) -> None:
        self._drop_guess()
        guess = self._guess = _Guess(end)
        threading.Thread(target=self._transcribe, args=(guess, audio), name="transcribe", daemon=True).start()

    def _transcribe(self, guess: _Guess, audio: Samples) -> None:
        """In a thread of its own."""
        try:
            heard = self._outside.transcribe(audio, lambda: guess.stopped or self._closed)
        except Exception as error:  # whatever the recogniser says goes to the person, unless nobody waits
            failed = error
            self._do(lambda: self._transcribed(guess, None, failed))
        else:
            self._do(lambda: self._transcribed(guess, heard, None))

    def _transcribed(self, guess: _Guess, heard: Heard | None, error: Exception | None) -> None:
        if guess.stopped or guess is not self._guess:
            return
        guess.heard, guess.error = heard, error
        guess.moments["transcript"] = time.monotonic()
        if heard is not None and heard.text:
            self._listener.heard(heard.text)
            self._outside.tell(type="words", text=heard.text, final=guess.final)
            self._answer_ahead(guess, heard)
        if guess.final:
            self._conclude(guess)

    def _answer_ahead(self, guess: _Guess, heard: Heard) -> None:
        """Begin the reply before it is sure that the person has finished."""
        if self._answering and not self._paused:
            return
        if self._paused:
            if is_backchannel(heard.text) or is_stop(heard.text):
                return
            self._confirm()  # words: what was said before them belongs to the history from now on
        guess.heard = heard = self._with_unanswered(heard)
        guess.reply = self._outside.reply(heard)

    def _with_unanswered(self, heard: Heard) -> Heard:
        """Who speaks on before the answer is heard goes on with the question, unless it is taken back."""
        unanswered, self._unanswered = self._unanswered, ""
        if not unanswered or takes_back(heard.text):
            return heard
        return Heard(f"{unanswered} {heard.text}", heard.language)

    def _drop_guess(self) -> None:
        guess, self._guess = self._guess, None
        if guess is None:
            return
        guess.stopped = True
        if guess.reply is not None:
            guess.reply.drop()

    # The endpoint

    def _decide(self, audio: Samples, end: int) -> None:
        """The person has finished."""
        if self._guess is None or self._guess.end != end:
            self._begin_guess(audio, end)
        guess = self._guess
        assert guess is not None
        guess.final = True
        guess.moments["endpoint"] = time.monotonic()
        self._end_words()
        if guess.heard is not None or guess.error is not None:
            self._conclude(guess)

    def _conclude(self, guess: _Guess) -> None:
        """The endpoint is decided and the words are known: answer, or do not."""
        self._guess = None
        heard = guess.heard
        if guess.error is not None:
            self._outside.tell(type="notice", turn=0, message=str(guess.error))
        if heard is None or not heard.text or (self._paused and is_backchannel(heard.text)):
            self._outside.tell(type="unheard")
            self._resume()
        elif is_stop(heard.text) and self._answering:
            self._outside.tell(type="unheard")
            self._confirm()
        else:
            self._let_out(guess, heard)

    def _let_out(self, guess: _Guess, heard: Heard) -> None:
        if self._paused:
            self._confirm()
        reply = guess.reply
        if reply is None:
            heard = self._with_unanswered(heard)
            reply = self._outside.reply(heard)
        since = self._offset + guess.end / RATE
        times = {name: max(0.0, at - since) for name, at in guess.moments.items()}
        self._take(reply, heard.text)
        reply.commit(since, times)

    def _take(self, reply: Reply, asked: str) -> None:
        """From now on this is what answers."""
        self._asked, self._unanswered = asked, ""
        self._reply = reply
        self._bargein.reset()

    # Interrupting

    def _interrupt(self) -> None:
        """A voice over the reply: silence now, and then see whether it has words."""
        assert self._reply is not None
        self._paused, self._over_it = True, 0.0
        self._reply.pause()
        self._begin_words()

    def _resume(self) -> None:
        """It was no interruption."""
        if not self._paused:
            return
        self._paused = False
        self._bargein.reset()
        self._outside.interrupted("resumed")
        if self._reply is not None and not self._reply.over:
            self._reply.resume()

    def _confirm(self) -> None:
        """It was an interruption: the reply is over, and what was heard of it is what it said."""
        reply, self._reply = self._reply, None
        was_paused, self._paused = self._paused, False
        if reply is not None and not reply.over:
            self._unanswered = self._asked if was_paused and not reply.sounding else ""
            reply.interrupt()
        if was_paused:
            self._outside.interrupted("real")

    # What the page's controls do

    def _played(self, turn: int, samples: int) -> None:
        if self._reply is not None and self._reply.turn == turn:
            self._reply.played(samples)
        self._show()

    def _push(self, down: bool) -> None:
        self._held = down
        self._listener.hold(down)
        if down:
            if self._answering and not self._paused:
                self._interrupt()
            self._show()
            return
        events = self._listener.finish()
        self._held = True  # what the release ends was said with the floor
        try:
            for event in events:
                self._listened(event)
        finally:
            self._held = False
        if not events:
            self._unheard()
        self._show()

    def _forget(self) -> None:
        self._listener.reset()
        self._vad.reset()
        self._offset = float("inf")
        self._recent.clear()
        self._held = False
        self._unheard()
        self._show()

    def _ask(self, text: str) -> None:
        self._unheard()
        self._confirm()
        reply = self._outside.reply(Heard(text))
        self._take(reply, text)
        reply.commit(time.monotonic(), {})
        self._show()

    def _stop(self) -> None:
        self._drop_guess()
        if self._hearing:
            self._outside.tell(type="unheard")
        self._end_words()
        self._confirm()
        self._listener.reset()
        self._show()

    def _show(self) -> None:
        """Tell the page whose turn it is, when that has changed."""
        if self._paused:
            state = "listening"
        elif self._reply is not None and self._reply.sounding:
            state = "speaking"
        elif self._answering or (self._guess is not None and self._guess.final):
            state = "thinking"
        else:
            state = "listening"
        shown = (state, self._hearing)
        if shown != self._shown:
            self._shown = shown
            self._outside.tell(type="state", state=state, hearing=self._hearing)
