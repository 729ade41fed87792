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
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np

from speech.audio import RATE, Samples
from speech.bargein import Bargein
from speech.echo import open_echo_canceller
from speech.endpoint import Began, Dropped, Ended, Event, Listener, ListenOptions, Paused, WentOn
from speech.guess import Guess
from speech.microphone_clock import MicrophoneClock
from speech.outside import Heard, Outside, Reply
from speech.remarks import is_backchannel, is_stop, takes_back
from speech.serial import Serial
from speech.vad import FRAME, VadStream
from speech.words_spoken import WordsWhileSpoken

log = logging.getLogger(__name__)

FRAME_SECONDS = FRAME / RATE
BACKLOG = 200  # pieces of sound that may wait, 4 to 8 s; more are lost, rather than heard late
_SPEECH = 0.3  # Silero's probability below which nobody speaks
_NOTHING = 0.7  # seconds without speech after which a voice over a reply was none


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
        self._clock = MicrophoneClock()
        self._words = WordsWhileSpoken(outside.live, self._do, self._word)
        self._reply: Reply | None = None  # the last that was let out
        self._asked = ""  # what it answers
        self._unanswered = ""  # a question whose answer was cut off before anything of it was heard
        self._guess: Guess | None = None
        self._decided: list[Guess] = []  # not settled yet
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
        self._clock.set(self._listener.position + FRAME)
        reply = self._reply
        played = np.zeros(FRAME, np.float32)
        if reply is not None and turn == reply.turn:
            reply.played(position)
            played = reply.window(position, FRAME)
        clean = self._echo.clean(frame, played)
        probability = self._vad.feed(clean)
        self._words.feed(clean)
        over_reply = self._answering and self._bargein.feed(clean, probability, played) is not None
        for event in self._listener.feed(clean, probability):
            self._listened(event, floor=self._has_floor)
        if over_reply and self._answering and not self._paused:
            self._interrupt()
        self._await_words(probability)

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
        self._words.begin(self._listener.position - self._began)

    def _word(self, text: str) -> None:
        self._listener.heard(text)
        self._outside.tell(type="words", text=text, final=False)

    def _end_words(self) -> None:
        self._hearing = False
        self._words.end()

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

    def _begin_guess(self, audio: Samples, end: int) -> Guess:
        self._drop_guess()
        guess = self._guess = Guess(end)
        words = self._words.transcript()

        def unwanted() -> bool:
            return guess.stopped or self._closed

        def transcribed() -> Heard:
            said = words(unwanted) if words is not None else None
            return Heard(said.text, said.language) if said else self._outside.transcribe(audio, unwanted)

        guess.transcribe(transcribed, lambda: self._do(partial(self._transcribed, guess)))
        return guess

    def _transcribed(self, guess: Guess) -> None:
        if guess.stopped:
            return
        if guess is self._guess and guess.heard is not None and guess.heard.text:
            self._listener.heard(guess.heard.text)
            if not self._words.known:
                self._outside.tell(type="words", text=guess.heard.text, final=False)
        if guess.heard is not None:
            self._answer_ahead(guess, guess.heard)
        if guess in self._decided:
            self._settle()

    def _answer_ahead(self, guess: Guess, heard: Heard) -> None:
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
        guess.since = self._clock.at(end) if released is None else released
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

    def _answer(self, said: list[Guess], parts: list[Heard]) -> None:
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
        self._clock.reset()
        self._words.forget()
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
