"""How soon an answer is heard, and how smoothly: a text at a language model's pace, spoken as it comes.

The time to the first sound is compared with the tutorials' order: the whole recording, then the whole answer,
then the whole speech, and only then sound. It does not know any model; the pace is given.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from speech.audio import AudioChunk
from speech.polish import BREATH, PAUSE
from speech.sentences import speakable, split
from speech.tts import Synthesizer
from speech.turn import Speaker, warm

ANSWER = (
    "The museum closes at six in the evening. [1] On Thursdays it stays open until nine, and entry is "
    "free from seven. [2] A ticket costs €12.50 for adults and half of that for students. [1] Dr. Smith"
    " leads a tour at 11:30 every day. Large bags must be left at the cloakroom, which is 20 m to the "
    "left of the entrance. [3] The café on the second floor serves lunch from noon."
)


@dataclass(frozen=True)
class FirstAudio:
    """Seconds, all from the first token of the answer, but for `after_sentence`."""

    after_sentence: float  # from the last token of the first sentence to the first sound
    streamed: float  # to the first sound, spoken as the text comes
    whole: float  # to the first sound when the whole answer and then the whole speech are waited for
    answer: float  # to the last token


_QUIET = 0.005  # amplitude under which nothing is heard
_JUST_IN_TIME = 0.25  # seconds before it is due that a player takes a chunk


@dataclass(frozen=True)
class Smoothness:
    """What is heard of one answer that is played while its text arrives. Silence is in seconds."""

    seconds: float  # of sound
    late: float  # the longest silence because a chunk was not there in time
    long: float  # by how much the longest pause was longer than meant
    jump: float  # the largest step between two chunks, 1 is full scale
    level: float  # dB between the loudest sentence and the quietest

    @property
    def gap(self) -> float:
        """The longest silence that was not meant as a pause."""
        return max(self.late, self.long)


def tokens(text: str) -> list[str]:
    """About what a language model's tokens are: words with the space before them, marks by themselves."""
    return re.findall(r"\s*(?:\w+|[^\w\s])", text)


def first_audio(synthesizer: Synthesizer, text: str = ANSWER, *, rate: float = 30.0) -> FirstAudio:
    """Play `text` at `rate` tokens per second into a `Speaker`, then synthesise it whole."""
    warm()
    heard: list[float] = []
    begun = threading.Event()

    def on_chunk(_: object) -> None:
        if not heard:
            heard.append(time.perf_counter())
            begun.set()

    speaker = Speaker(synthesizer, on_chunk=on_chunk, language="en")
    first = split(text)[0]
    start = time.perf_counter()
    sentence_end, said = 0.0, ""
    for token in _paced(tokens(text), rate):
        speaker.feed(token)
        said += token
        if not sentence_end and len(said.strip()) >= len(first):
            sentence_end = time.perf_counter()
    end = time.perf_counter()
    speaker.finish()
    begun.wait(30)
    speaker.stop()
    speaker.wait(30)
    begin_whole = time.perf_counter()
    for _ in synthesizer.synthesize(speakable(text, "en"), "en"):
        pass
    whole = end - start + time.perf_counter() - begin_whole
    return FirstAudio(heard[0] - sentence_end, heard[0] - start, whole, end - start)


def smoothness(synthesizer: Synthesizer, text: str = ANSWER, *, rate: float = 30.0) -> Smoothness:
    """Play `text` in real time into a `Speaker`, and its sound out of it, chunk by chunk just in time."""
    warm()
    speaker = Speaker(synthesizer, language="en")

    def feed() -> None:
        for token in _paced(tokens(text), rate):
            speaker.feed(token)
        speaker.finish()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    chunks: list[AudioChunk] = []
    late = due = 0.0
    for chunk in speaker:
        now = time.perf_counter()
        if chunks:
            late = max(late, now - due)
        due = max(due, now) + chunk.seconds
        chunks.append(chunk)
        time.sleep(max(0.0, due - _JUST_IN_TIME - time.perf_counter()))
    feeder.join()
    seconds = sum(chunk.seconds for chunk in chunks)
    return Smoothness(seconds, late, _over_long(chunks), largest_jump(chunks), _unevenness(chunks))


def largest_jump(chunks: Sequence[AudioChunk]) -> float:
    """The largest step from the last sample of a chunk to the first of the next; 1 is full scale."""
    steps = [abs(float(after.samples[0] - before.samples[-1])) for before, after in pairwise(chunks)]
    return max(steps, default=0.0)


def _over_long(chunks: Sequence[AudioChunk]) -> float:
    """By how many seconds the silence around a pause is longer than that pause was meant to be, at most."""
    if not chunks:
        return 0.0
    sound, rate = np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    worst, end, quiet = 0.0, 0, 0
    for chunk in chunks:
        if quiet and not chunk.pause and 0 < (after := int(np.searchsorted(loud, end))) < len(loud):
            meant = PAUSE if quiet > BREATH * rate else BREATH
            worst = max(worst, (loud[after] - loud[after - 1]) / rate - meant)
        end += len(chunk.samples)
        quiet = quiet + chunk.pause if chunk.pause else 0
    return float(worst)


def _unevenness(chunks: Sequence[AudioChunk]) -> float:
    """How many dB the loudest sentence is above the quietest."""
    levels = []
    for _, group in groupby(chunks, key=lambda chunk: chunk.text):
        sound = np.concatenate([chunk.samples for chunk in group])
        audible = sound[np.abs(sound) > _QUIET]
        if audible.size:
            levels.append(10 * float(np.log10(np.mean(np.square(audible, dtype=np.float64)))))
    return max(levels) - min(levels) if levels else 0.0


def _paced(pieces: list[str], rate: float) -> Iterator[str]:
    start = time.perf_counter()
    for at, piece in enumerate(pieces):
        time.sleep(max(0.0, start + at / rate - time.perf_counter()))
        yield piece
