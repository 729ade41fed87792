"""How soon an answer is heard: a text at a language model's pace, spoken as it comes and in the old order.

The old order is the tutorials': the whole recording, then the whole answer, then the whole speech, and
only then sound. It does not know any model; the pace is given.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

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


def _paced(pieces: list[str], rate: float) -> Iterator[str]:
    start = time.perf_counter()
    for at, piece in enumerate(pieces):
        time.sleep(max(0.0, start + at / rate - time.perf_counter()))
        yield piece
