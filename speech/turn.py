"""One spoken answer: pieces of text in, chunks of sound out, in order, while the text is still being written.

A `Speaker` cuts the pieces into sentences, makes each sayable and has it synthesised in a thread of its
own, ahead of whoever plays it. It says which words of the text are spoken when. It knows neither where the
text comes from nor where the sound goes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

from speech.audio import AudioChunk, Samples
from speech.language import guess_language
from speech.marks import Said, Track
from speech.polish import BREATH, PAUSE
from speech.sentences import Place, SentenceSplitter, speakable
from speech.tts import SynthesisError, Synthesizer, UnspokenError, is_slow

log = logging.getLogger(__name__)

AHEAD_SECONDS = 4.0  # of sound that is made before it is fetched
_LOW, _LOW_IF_SLOW = 0.4, 1.0  # seconds left to play at which a clause is said without its sentence
# For an engine that is slow to begin: while so many seconds are left, parts of at least so many characters.
_PARTS = ((_LOW_IF_SLOW, 25), (2.5, 60), (float("inf"), 120))
_SHORT = 25  # characters; shorter sentences are given to it together with the next


class Speaker:
    """Says one answer. `feed` its text, then `finish`; take the sound by iterating, or by `on_chunk`.

    All methods may be called from any thread. Nothing that goes wrong in the voice raises here: it becomes a
    notice, and the next sentence is tried. The threads end when the sound has been taken, or after `stop`.

    Each chunk's marks are places in the text that was fed since the last `replace`. A sentence has its mark
    on its first chunk, a sentence that is said in parts has one for each part; words have theirs where the
    engine tells them.

    An engine that is slow to begin gets a short first part of the answer, and short sentences together.
    Whatever the engine, when the sound is about to run out before a sentence is complete, its first clause
    is said.

    Args:
        synthesizer: the voice.
        on_chunk: called with each chunk, in order, in a thread of the speaker's own; without it, iterate.
        on_notice: called with a sentence for the person when something could not be spoken.
        language: of the answer; None: guessed from each sentence.
        otherwise: the language while it cannot be told, best the question's.
        ahead: seconds of sound that are made before they are taken.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        *,
        on_chunk: Callable[[AudioChunk], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
        language: str | None = None,
        otherwise: str = "en",
        ahead: float = AHEAD_SECONDS,
    ) -> None:
        self._synthesizer, self._notify = synthesizer, on_notice
        self._fixed, self._language = language, language or otherwise
        self._changed = threading.Condition()
        self._pieces: deque[str] = deque()
        self._fed = 0  # characters of the text
        self._remarks: deque[tuple[int, str]] = deque()  # place in the text, what is said before it
        self._chunks: deque[AudioChunk] = deque()
        self._splitter = SentenceSplitter()
        self._fed_all = self._said_all = self._stopped = self._paused = False
        self._ahead = ahead
        self._kept: list[Place] = []  # too short to be said alone
        self._plays_until = self._paused_at = 0.0  # if what was taken is played as it is taken
        self._version = 0  # of the text; `replace` begins a new one
        self._noticed: set[str] = set()
        self._made = time.monotonic()
        self.first_audio: float | None = None  # seconds from the making of the speaker to its first chunk
        self._threads = [threading.Thread(target=self._work, name="speaker", daemon=True)]
        if on_chunk is not None:
            deliver = threading.Thread(
                target=self._deliver, args=(on_chunk,), name="speaker-out", daemon=True
            )
            self._threads.append(deliver)
        for thread in self._threads:
            thread.start()

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def language(self) -> str:
        """The language spoken last."""
        return self._language

    def feed(self, piece: str, remark: str = "") -> None:
        """The next piece of the text. Returns at once; after `finish` or `stop` it does nothing.

        remark: said before the sentence that the piece begins, though it is no part of the text.
        """
        with self._changed:
            if piece and not self._fed_all and not self._stopped:
                if remark:
                    self._remarks.append((self._fed, remark))
                self._fed += len(piece)
                self._pieces.append(piece)
                self._changed.notify_all()

    def finish(self) -> None:
        """The text is complete: what is left of it is said."""
        with self._changed:
            self._fed_all = True
            self._changed.notify_all()

    def replace(self) -> None:
        """What follows replaces the text so far: what has not been taken yet is never heard."""
        with self._changed:
            self._version += 1
            self._kept = []
            self._pieces.clear()
            self._remarks.clear()
            self._fed = 0
            self._chunks.clear()
            self._splitter = SentenceSplitter()
            self._changed.notify_all()

    def pause(self) -> None:
        """Nothing is synthesised or given out until `resume`; what the engine is in the middle of is kept."""
        with self._changed:
            if not self._paused:
                self._paused, self._paused_at = True, time.monotonic()
                self._changed.notify_all()

    def resume(self) -> None:
        """Go on where `pause` has stopped."""
        with self._changed:
            if self._paused:
                self._paused = False
                if self._plays_until > self._paused_at:
                    self._plays_until += time.monotonic() - self._paused_at
                self._changed.notify_all()

    def stop(self) -> None:
        """Be silent: no chunk is given out any more, and everything held is let go."""
        with self._changed:
            self._stopped = self._fed_all = True
            self._pieces.clear()
            self._chunks.clear()
            self._splitter = SentenceSplitter()
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything was said and taken, or stopped; False if `timeout` seconds passed before."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread is threading.current_thread():
                continue
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        with self._changed:
            return not self._chunks and not any(thread.is_alive() for thread in self._threads)

    def __iter__(self) -> Iterator[AudioChunk]:
        while (chunk := self._next_chunk()) is not None:
            yield chunk

    def _next_chunk(self) -> AudioChunk | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or (not self._paused and (self._chunks or self._said_all))
            )
            if self._stopped or not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._plays_until = max(self._plays_until, time.monotonic()) + chunk.seconds
            self._changed.notify_all()
            return chunk

    def _deliver(self, on_chunk: Callable[[AudioChunk], None]) -> None:
        for chunk in self:
            try:
                on_chunk(chunk)
            except Exception as error:  # whoever listens is gone or broken: speak to nobody, but say so
                log.error("the listener failed with %s; speaking stops", type(error).__name__)
                self.stop()

    def _work(self) -> None:
        try:
            self._guarded(warm)
            while (found := self._next_parts()) is not None:
                version, parts = found
                for part in parts:
                    self._guarded(partial(self._say, part, version))
        finally:
            with self._changed:
                self._said_all = True
                self._changed.notify_all()

    def _next_parts(self) -> tuple[int, list[list[Place]]] | None:
        """What is to be said next, with the version of the text that it is from; None at the end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._stopped or not self._paused)
                if self._stopped:
                    return None
                if found := self._sure_parts():
                    return self._version, found
                if self._fed_all:
                    return None
                more = self._left() - self._low
                self._changed.wait_for(
                    lambda: self._pieces or self._fed_all or self._stopped,
                    timeout=more if more > 0 and (self._kept or self._splitter.rest) else None,
                )

    def _sure_parts(self) -> list[list[Place]]:
        """The sentences that are sure now, or the clause that must do, each to be said in one go."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if is_slow(self._synthesizer):
            return self._sure_part(text)
        found = self._splitter.places(text, final=self._fed_all)
        if not found and self.first_audio is not None and self._left() < _LOW:
            found = self._splitter.places(early=1)
        kept, self._kept = self._kept, []
        return [[place] for place in kept + found]

    def _sure_part(self, text: str) -> list[list[Place]]:
        """The next that a slow engine is to say: the less there is left to play, the shorter."""
        left, kept, final = self._left(), self._kept, self._fed_all
        least = next(characters for seconds, characters in _PARTS if left <= seconds)
        while _length(kept) < _SHORT and (found := self._splitter.places(text, final=final, early=least)):
            kept += found
            text = ""
        runs_low = self.first_audio is not None and left < _LOW_IF_SLOW
        if not kept or not (final or runs_low or _length(kept) >= _SHORT):
            return []
        self._kept = []
        return [kept]

    @property
    def _low(self) -> float:
        return _LOW_IF_SLOW if is_slow(self._synthesizer) else _LOW

    def _left(self) -> float:
        """Seconds of sound that are still to be heard."""
        return max(0.0, self._plays_until - time.monotonic()) + self._held()

    def _say(self, places: list[Place], version: int) -> None:
        """Synthesise sentences, or a part of one, into the queue, unless they are not wanted any more."""
        if self._gone(version):
            return
        if self._fixed is None:
            self._language = guess_language(" ".join(place.text for place in places), self._language)
        sentences = [Said(place.text, place.start, self._aloud(place)) for place in places]
        track = Track([sentence for sentence in sentences if sentence.spoken])
        if track.text:
            self._synthesize(track, version, goes_on=not places[-1].whole)

    def _aloud(self, place: Place) -> str:
        """What is said for a sentence, after what is remarked on it."""
        spoken = speakable(place.text, self._language)
        with self._changed:
            while spoken and self._remarks and self._remarks[0][0] < place.end:
                spoken = f"{self._remarks.popleft()[1]} {spoken}"
        return spoken

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do a part of the work; what goes wrong in it is told, and ends nothing but that part."""
        try:
            work()
        except UnspokenError as error:
            self._report(f"Not read aloud: {error}")
        except SynthesisError as error:
            self._report(str(error))
        except (
            Exception
        ) as error:  # a fault in an engine must not end the answer; it is reported, without the text
            log.error("the voice failed with %s", type(error).__name__)
            self._report(f"A sentence could not be spoken ({type(error).__name__}). Its text is complete.")

    def _synthesize(self, track: Track, version: int, goes_on: bool) -> None:
        chunks = self._synthesizer.synthesize(track.text, self._language)
        try:
            for chunk in _with_a_breath(chunks) if goes_on else chunks:
                if chunk.notice:
                    self._report(chunk.notice)
                if not self._put(replace(chunk, marks=track.moved(chunk.marks)), version):
                    return
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _put(self, chunk: AudioChunk, version: int) -> bool:
        """Hold the chunk out, waiting while much is held already; False if it is no longer wanted."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._gone(version) or (not self._paused and self._held() < self._ahead)
            )
            if self._gone(version):
                return False
            if self.first_audio is None:
                self.first_audio = time.monotonic() - self._made
            self._chunks.append(chunk)
            self._changed.notify_all()
            return True

    def _held(self) -> float:
        return sum(chunk.seconds for chunk in self._chunks)

    def _gone(self, version: int) -> bool:
        return self._stopped or version != self._version

    def _report(self, message: str) -> None:
        """Tell the person once, however many sentences it happens to."""
        if self._notify is not None and message not in self._noticed and not self._stopped:
            self._noticed.add(message)
            self._notify(message)


def _length(places: Iterable[Place]) -> int:
    return sum(len(place.text) for place in places)


def _with_a_breath(chunks: Iterable[AudioChunk]) -> Iterator[AudioChunk]:
    """The same sound, with a breath after it instead of the pause after a sentence."""
    held: list[AudioChunk] = []
    for chunk in chunks:
        if not chunk.pause:
            yield from held
            held.clear()
            yield chunk
        else:
            held.append(chunk)
    yield from reversed(_cut_pauses(held))


def _cut_pauses(held: list[AudioChunk]) -> list[AudioChunk]:
    """The chunks, last first, without as much of their pauses as a breath is shorter than a pause."""
    kept = []
    surplus = PAUSE - BREATH
    for chunk in reversed(held):
        cut = min(chunk.pause, round(surplus * chunk.rate))
        surplus -= cut / chunk.rate
        samples = chunk.samples[: len(chunk.samples) - cut]
        if len(samples):
            kept.append(replace(chunk, samples=samples, pause=chunk.pause - cut))
    return kept


def warm() -> None:
    """Load what the first sentence needs (about half a second, once in a process).

    A speaker does it while the answer is still being thought of; a server does it when it starts.
    """
    guess_language("Which language is this sentence in?")
    speakable("In 1987 it cost €3.50 for 5 km.", "en")


def remarked(text: str, starts: Iterable[int], remark: str) -> Iterator[tuple[str, str]]:
    """`text` in pieces for `Speaker.feed`, with `remark` before each that begins at one of `starts`."""
    starts = sorted(starts)
    for start, end in pairwise([0, *(start for start in starts if start), len(text)]):
        yield text[start:end], remark if start in starts else ""


def speak(
    pieces: Iterable[str | tuple[str, str]],
    synthesizer: Synthesizer,
    *,
    language: str | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Iterator[AudioChunk]:
    """The sound of a text that arrives in pieces, or in (piece, remark); closing the iterator stops it."""
    speaker = Speaker(synthesizer, language=language, on_notice=on_notice)
    failed: list[BaseException] = []

    def feed() -> None:
        try:
            _feed(pieces, speaker)
        except BaseException as error:  # raised again below, in the thread that listens
            failed.append(error)

    feeder = threading.Thread(target=feed, name="speaker-in", daemon=True)
    feeder.start()
    try:
        yield from speaker
    finally:
        speaker.stop()
    feeder.join()
    if failed:
        raise failed[0]


def spoken_turn(
    recording: Samples,
    *,
    transcribe: Callable[[Samples], str],
    answer: Callable[[str], Iterable[str]],
    speaker: Speaker,
) -> str:
    """What was asked in `recording`; the answer's pieces go to `speaker`, whose sound is taken elsewhere.

    Args:
        recording: mono at 16 kHz.
        transcribe: gives the question; "" means that nothing was heard, and then nothing is answered.
        answer: gives the answer's pieces; it is closed when the speaker is stopped.
    """
    question = transcribe(recording)
    if question and not speaker.stopped:
        _feed(answer(question), speaker)
    speaker.finish()
    return question


def _feed(pieces: Iterable[str | tuple[str, str]], speaker: Speaker) -> None:
    iterator = iter(pieces)
    try:
        for piece in iterator:
            if speaker.stopped:
                return
            speaker.feed(*((piece,) if isinstance(piece, str) else piece))
    finally:
        speaker.finish()
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
