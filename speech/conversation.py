"""Who has the floor: a microphone's frames in, replies begun, paused, resumed and broken off.

A `Conversation` hears one person through one microphone. It guesses early and commits late: at the first
short silence the utterance is transcribed and its reply begun, unheard; when the person goes on, both are
dropped, and when the endpoint is decided, the reply is let out. A voice over a reply silences it at once,
but only words end it: after a cough it goes on where it stopped.

Everything happens one thing after another (`speech.serial`), so nothing here is locked. It does not know what
a reply is made of, how a recogniser works, or how sound and messages travel.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import numpy as np

from speech.audio import RATE, Samples
from speech.bargein import Bargein
from speech.echo import open_echo_canceller
from speech.endpoint import Began, Dropped, Ended, Event, Listener, ListenOptions, Paused, WentOn
from speech.remarks import is_backchannel, is_stop, takes_back
from speech.serial import Serial
from speech.vad import FRAME, VadStream

log = logging.getLogger(__name__)

FRAME_SECONDS = FRAME / RATE
KEPT = 3.0  # seconds of sound that are kept for words which began before they were noticed
BACKLOG = 200  # pieces of sound that may wait, 4 to 8 s; more are lost, rather than heard late
_SPEECH = 0.3  # Silero's probability below which nobody speaks
_NOTHING = 0.7  # seconds without speech after which a voice over a reply was none
_STOOD_STILL = 1.0  # seconds without a frame after which the microphone's clock is set anew
_CLOCK = round(3.0 / FRAME_SECONDS)  # frames by which it is set: a microphone's clock is not ours


@dataclass(frozen=True)
class Heard:
    """What a person said. An empty text: nothing."""

    text: str
    language: str | None = None
    typed: bool = False


class Words(Protocol):
    """The words of one utterance while it is spoken (`speech.live.LiveTranscript`)."""

    def feed(self, samples: Samples) -> None: ...

    def transcript(self) -> Callable[[Callable[[], bool]], Said | None] | None:
        """Ask for all that was fed so far; None where a transcript of the recording is better.

        The result waits for it, also after `close`; None if there is none after all.
        """

    def close(self) -> None: ...


class Said(Protocol):
    """What a recogniser understood."""

    @property
    def text(self) -> str: ...

    @property
    def language(self) -> str | None: ...


class Reply(Protocol):
    """One answer and its voice. It is held back until `commit`. Every method is quick."""

    turn: int

    @property
    def begun(self) -> bool:
        """Whether the person has got any of it: heard or, without a voice, read."""

    @property
    def sounding(self) -> bool:
        """Whether some of its sound has been played, and not yet all."""

    @property
    def over(self) -> bool:
        """Whether nothing more of it will be heard."""

    def commit(self, since: float, times: Mapping[str, float]) -> None:
        """Let it out. `since`: when the person had finished (`time.monotonic`), `times`: stages, in seconds.

        Without hands that is the end of speech, and a stage "endpoint" says when it was noticed; in
        push-to-talk it is the moment of letting go, and the stage "release" says when that was known.
        Raises what the person should read when that cannot be; then it is dropped.
        """

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def played(self, samples: int) -> None:
        """The loudspeaker has got that many samples of it."""

    def interrupt(self) -> None:
        """It is over; what was played is what was heard. Nothing changes if all of it was."""

    def drop(self) -> None:
        """It was a wrong guess, never let out; it never was."""

    def window(self, position: int, count: int) -> Samples:
        """What it sounds like, `count` samples at 16 kHz from `position` (samples as in `played`) on."""


@dataclass(frozen=True)
class Outside:
    """What a conversation needs. `transcribe` takes its time, `reply` looks things up, the rest is quick."""

    transcribe: Callable[[Samples, Callable[[], bool]], Heard]  # raises what the person should read
    live: Callable[[Callable[[str], None]], Words | None]  # words while they are spoken
    reply: Callable[[Heard], Reply]  # begins an answer, held back
    tell: Callable[..., None]  # a message for the page: tell(type=…, …)
    interrupted: Callable[[Literal["real", "resumed"]], None] = lambda kind: None
    ended: Callable[[], None] = lambda: None  # the conversation is over, and nothing of it at work


@dataclass
class _Guess:
    """An utterance that may be complete: its transcript and its reply, in advance."""

    end: int  # sample of the stream after its last speech
    since: float = 0.0  # once decided, when the person had finished (`time.monotonic`)
    stopped: bool = False
    heard: Heard | None = None
    error: Exception | None = None
    reply: Reply | None = None
    moments: dict[str, float] = field(default_factory=dict)  # stage → time.monotonic()

    @property
    def known(self) -> bool:
        return self.heard is not None or self.error is not None

    def drop(self) -> None:
        self.stopped = True
        if self.reply is not None:
            self.reply.drop()
            self.reply = None


class Conversation:
    """One live conversation, from `start` to `close`. Its methods return at once, from any thread.

    An utterance is first a guess (begun at each pause, dropped when the person goes on), then decided (the
    endpoint has come), and settled when its words are known and nobody speaks: then its reply is let out.
    """

    def __init__(
        self,
        outside: Outside,
        *,
        options: ListenOptions | None = None,
        interrupt: float = 0.4,
        listener: Listener | None = None,
        bargein: Bargein | None = None,
        vad: VadStream | None = None,
    ) -> None:
        self._outside = outside
        self._listener = listener or Listener(options)
        self._bargein = bargein or Bargein(interrupt)
        self._echo = open_echo_canceller()
        self._vad = vad or VadStream()
        self._serial = Serial(tick=self._show_guarded, last=self._end)
        self._recent: deque[Samples] = deque(maxlen=round(KEPT / FRAME_SECONDS))
        self._offset = float("inf")  # time.monotonic() of the stream's first sample
        self._begun: deque[float] = deque(maxlen=_CLOCK)  # the same by each of the last frames
        self._reply: Reply | None = None  # the last that was let out
        self._asked = ""  # what it answers
        self._unanswered = ""  # a question whose answer was cut off before anything of it was heard
        self._guess: _Guess | None = None
        self._decided: list[_Guess] = []  # not settled yet
        self._live: Words | None = None
        self._from_begin = False  # it hears the utterance from its first sample on
        self._uttering = False  # between Began and Ended or Dropped
        self._began = 0  # sample of the stream at which the utterance begins
        self._hearing = False  # the person is told that they are heard
        self._paused = False  # the reply is silent until it is known whether the voice over it has words
        self._nothing = 0.0  # seconds without speech since then
        self._shown: tuple[str, bool] | None = None
        self._closed = False

    def start(self) -> None:
        """Listen from now on."""
        self._serial.start()

    # From outside, in any thread

    def hear(self, frames: Iterable[tuple[Samples, int, int]]) -> None:
        """What the microphone gave next, taken from `frames` when it is its turn, or not at all.

        Each is 512 samples at 16 kHz, the turn that the loudspeaker played when they began (0: nothing), and
        how many samples of it.
        """
        if len(self._serial) <= BACKLOG:
            self._do(partial(self._hear, frames))

    def played(self, turn: int, samples: int) -> None:
        """How far the loudspeaker has come in a turn."""
        self._do(partial(self._played, turn, samples))

    def push(self, down: bool, ago: float = 0.0) -> None:
        """Push to talk: while it is held nothing ends the utterance; letting go (`ago` seconds ago) does."""
        self._do(partial(self._push, down, time.monotonic() - ago))

    def forget(self) -> None:
        """What is being said does not count (the microphone was muted); what has been said does."""
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
        self._serial.close()

    # One after another

    def _do(self, work: Callable[[], None]) -> None:
        self._serial.do(partial(self._next, work))

    def _next(self, work: Callable[[], None]) -> None:
        self._guarded(work)
        self._show_guarded()

    def _show_guarded(self) -> None:
        if not self._closed:
            self._guarded(self._show)

    def _end(self) -> None:
        self._guarded(self._end_all)
        self._outside.ended()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # one bad moment must not end the conversation; the person is told
            log.exception("The conversation stumbled")
            self._outside.tell(type="notice", turn=0, message=f"{error} Say it again.")

    def _end_all(self) -> None:
        self._drop_guesses()
        self._end_words()
        if self._reply is not None:
            self._reply.interrupt()

    def _hear(self, frames: Iterable[tuple[Samples, int, int]]) -> None:
        for frame, turn, position in frames:
            self._frame(frame, turn, position)

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
        over_reply = self._answering and self._bargein.feed(clean, probability, played) is not None
        for event in self._listener.feed(clean, probability):
            self._listened(event, floor=self._has_floor)
        if over_reply and self._answering and not self._paused:
            self._interrupt()
        self._await_words(probability)

    def _set_clock(self) -> None:
        """When the stream's first sample was spoken, by the latest frame that came with little delay.

        A pause of the microphone moves it.
        """
        begun = time.monotonic() - (self._listener.position + FRAME) / RATE
        if begun - self._offset > _STOOD_STILL:
            self._begun.clear()
        self._begun.append(begun)
        self._offset = min(self._begun)

    def _await_words(self, probability: float) -> None:
        """A voice over a reply that the listener takes for no utterance was nothing."""
        if not self._paused or self._uttering or self._decided:
            self._nothing = 0.0
            return
        self._nothing = 0.0 if probability >= _SPEECH else self._nothing + FRAME_SECONDS
        if self._nothing >= _NOTHING:
            self._unheard()

    @property
    def _answering(self) -> bool:
        """Whether a reply is out that has not come to its end."""
        return self._reply is not None and not self._reply.over

    @property
    def _has_floor(self) -> bool:
        """Whether what the person says counts as said, rather than as a sound over an answer."""
        return not self._answering or self._paused

    def _listened(self, event: Event, *, floor: bool, released: float | None = None) -> None:
        match event:
            case Began(start):
                self._uttering, self._began = True, start
                self._drop_guess()
                if floor:
                    self._begin_words()
            case Paused(audio, end):
                if floor:
                    self._begin_words()
                    self._begin_guess(audio, end)
            case WentOn():
                self._drop_guess()
            case Ended(audio, _, end, _):
                self._uttering = False
                if floor:
                    self._decide(audio, end, released)
                else:
                    self._unheard()
            case Dropped():
                self._uttering = False
                self._unheard()

    # Words while they are spoken

    def _begin_words(self) -> None:
        """Show what the person says, from the utterance's first sample on."""
        self._hearing = True
        if self._live is not None:
            return
        told: list[Words | None] = []

        def on_text(text: str) -> None:
            self._do(lambda: self._words(told[0] if told else None, text))

        live = self._outside.live(on_text)
        told.append(live)
        self._live = live
        if live is not None:
            kept = np.concatenate(self._recent)
            uttered = self._listener.position - self._began
            self._from_begin = uttered <= len(kept)
            live.feed(kept[-uttered:])

    def _words(self, source: Words | None, text: str) -> None:
        if source is not self._live or not text:
            return
        self._listener.heard(text)
        self._outside.tell(type="words", text=text, final=False)

    def _end_words(self) -> None:
        self._hearing = False
        live, self._live = self._live, None
        if live is not None:
            live.close()

    def _unheard(self) -> None:
        """What is heard now was nothing: the floor is as it was, and what was said before is settled."""
        self._drop_guess()
        if self._hearing:
            self._outside.tell(type="unheard")
        self._end_words()
        if self._decided:
            self._settle()
        else:
            self._resume()

    # Guessing early

    def _begin_guess(self, audio: Samples, end: int) -> _Guess:
        self._drop_guess()
        guess = self._guess = _Guess(end)
        words = self._live.transcript() if self._live is not None and self._from_begin else None
        work = partial(self._transcribe, guess, audio, words)
        threading.Thread(target=work, name="transcribe", daemon=True).start()
        return guess

    def _transcribe(
        self, guess: _Guess, audio: Samples, words: Callable[[Callable[[], bool]], Said | None] | None
    ) -> None:
        """In a thread of its own."""

        def unwanted() -> bool:
            return guess.stopped or self._closed

        try:
            said = words(unwanted) if words is not None else None
            heard = Heard(said.text, said.language) if said else self._outside.transcribe(audio, unwanted)
            guess.moments["transcript"] = time.monotonic()
            guess.heard = heard
        except Exception as error:  # whatever the recogniser says goes to the person, unless nobody waits
            guess.error = error
        self._do(partial(self._transcribed, guess))

    def _transcribed(self, guess: _Guess) -> None:
        if guess.stopped:
            return
        if guess is self._guess and guess.heard is not None and guess.heard.text:
            self._listener.heard(guess.heard.text)
            if self._live is None:
                self._outside.tell(type="words", text=guess.heard.text, final=False)
        if guess.heard is not None:
            self._answer_ahead(guess, guess.heard)
        if guess in self._decided:
            self._settle()

    def _answer_ahead(self, guess: _Guess, heard: Heard) -> None:
        """Begin the reply before it is sure that the person has finished."""
        alone = [guess] == ([self._guess] if not self._decided else self._decided)
        if not alone or not heard.text:
            return
        if self._paused:
            if is_backchannel(heard.text) or is_stop(heard.text):
                return
            self._confirm()  # words: what was said before them belongs to the history from now on
        if not self._answering:
            guess.reply = self._outside.reply(self._whole([heard]))

    def _whole(self, parts: list[Heard]) -> Heard:
        """The question that these utterances make, with one that was not answered before them.

        Who takes something back begins anew.
        """
        texts = [self._unanswered, *(part.text for part in parts)]
        begin = max((at for at, text in enumerate(texts) if takes_back(text)), default=0)
        return Heard(" ".join(filter(None, texts[begin:])), parts[-1].language)

    def _drop_guess(self) -> None:
        guess, self._guess = self._guess, None
        if guess is not None:
            guess.drop()

    def _drop_guesses(self) -> None:
        self._drop_guess()
        decided, self._decided = self._decided, []
        for guess in decided:
            guess.drop()

    # The endpoint

    def _decide(self, audio: Samples, end: int, released: float | None) -> None:
        """The person has finished: the silence says so, or, in push-to-talk, a hand, which waits for none."""
        guess = self._guess
        if guess is None or guess.end != end:
            guess = self._begin_guess(audio, end)
        self._guess = None
        guess.since = self._offset + end / RATE if released is None else released
        guess.moments["endpoint" if released is None else "release"] = time.monotonic()
        self._decided.append(guess)
        self._end_words()
        self._settle()

    def _settle(self) -> None:
        """Answer what was said, or do not; as soon as its words are known and the person does not go on."""
        if self._hearing or not all(guess.known for guess in self._decided):
            return
        decided, self._decided = self._decided, []
        for guess in decided:
            if guess.error is not None:
                self._outside.tell(type="notice", turn=0, message=str(guess.error))
        said = [guess for guess in decided if guess.heard is not None and guess.heard.text]
        parts = [guess.heard for guess in said if guess.heard is not None]
        words = " ".join(part.text for part in parts)
        if not words or (self._paused and is_backchannel(words)):
            self._outside.tell(type="unheard")
            self._resume()
        elif is_stop(words):
            self._outside.tell(type="unheard")
            self._confirm()
            self._unanswered = ""
        else:
            self._answer(said, parts)

    def _answer(self, said: list[_Guess], parts: list[Heard]) -> None:
        self._confirm()
        heard = self._whole(parts)
        self._outside.tell(type="words", text=heard.text, final=True)
        last = said[-1]
        reply = last.reply if len(said) == 1 else None
        if reply is None:
            for guess in said:
                guess.drop()
            reply = self._outside.reply(heard)
        times = {name: max(0.0, at - last.since) for name, at in last.moments.items()}
        self._let_out(reply, heard, last.since, times)

    def _let_out(self, reply: Reply, heard: Heard, since: float, times: Mapping[str, float]) -> None:
        """From now on this is what answers."""
        self._unanswered = ""
        try:
            reply.commit(since, times)
        except Exception:  # told by whoever called; the reply must not wait for ever
            reply.drop()
            raise
        self._asked, self._reply = heard.text, reply
        self._bargein.reset()

    # Interrupting

    def _interrupt(self) -> None:
        """A voice over the reply: silence now, and then see whether it has words."""
        assert self._reply is not None
        self._paused, self._nothing = True, 0.0
        self._reply.pause()
        self._hearing = True
        if self._uttering:
            self._begin_words()

    def _resume(self) -> None:
        """It was no interruption."""
        if not self._paused:
            return
        self._paused = False
        self._bargein.reset()
        self._outside.interrupted("resumed")
        if self._reply is not None:
            self._reply.resume()

    def _confirm(self) -> None:
        """The reply is over, and what was heard of it is what it said."""
        reply, self._reply = self._reply, None
        was_paused, self._paused = self._paused, False
        if reply is not None:
            if not reply.over and not reply.begun:
                self._unanswered = self._asked
            reply.interrupt()
        if was_paused:
            self._outside.interrupted("real")

    # What the page's controls do

    def _played(self, turn: int, samples: int) -> None:
        if self._reply is not None and self._reply.turn == turn:
            self._reply.played(samples)

    def _push(self, down: bool, at: float) -> None:
        self._listener.hold(down)
        if down:
            if self._answering and not self._paused:
                self._interrupt()
            return
        events = self._listener.finish()
        for event in events:
            self._listened(event, floor=True, released=at)
        if not events:
            self._unheard()

    def _forget(self) -> None:
        self._listener.reset()
        self._vad.reset()
        self._offset = float("inf")
        self._begun.clear()
        self._recent.clear()
        self._uttering = False
        self._unheard()

    def _ask(self, text: str) -> None:
        self._stop()
        heard = Heard(text, typed=True)
        self._let_out(self._outside.reply(heard), heard, time.monotonic(), {})

    def _stop(self) -> None:
        self._drop_guesses()
        self._confirm()
        self._unanswered = ""
        self._forget()

    def _show(self) -> None:
        """Tell the page whose turn it is, when that has changed."""
        if self._paused and not self._decided:
            state = "listening"
        elif self._reply is not None and self._reply.sounding:
            state = "speaking"
        elif self._answering or self._decided:
            state = "thinking"
        else:
            state = "listening"
        shown = (state, self._hearing)
        if shown != self._shown:
            self._shown = shown
            self._outside.tell(type="state", state=state, hearing=self._hearing)
