"""PocketSphinx as a transcriber, for when no Whisper model is to be had. It knows English only.

Its package carries the acoustic model; the words and their order come from the documents (`asr_vocabulary`).
A recording is heard by one decoder, words while they are spoken by others: neither waits for the other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import numpy as np

from speech.asr import (
    WEAK,
    Engine,
    Live,
    Recognised,
    ShouldStop,
    Stopped,
    TranscriberError,
    language_code,
)
from speech.asr_decoder import Decoder, Mean, open_decoder, own_mean, set_mean, words_of
from speech.asr_vocabulary import Documents, Vocabulary, vocabulary
from speech.audio import RATE, Samples, to_int16
from speech.vad import Segment

logger = logging.getLogger(__name__)

_PAUSE = round(1.0 * RATE)  # a pause of this length ends an utterance
_ENOUGH = 12 * RATE  # an utterance of this length ends at the next pause, however short
_MOST = 30 * RATE  # and without any pause it is cut here
_MARGIN = round(0.25 * RATE)  # of silence kept at both ends

_LIVE = 2  # utterances heard at a time while they are spoken; each needs a decoder of some 10 MB
_PIECE = 512  # samples that a live decoder takes at once
_NEWS = round(0.2 * RATE)  # samples from one text to the next
_AGAIN = tuple(round(seconds * RATE) for seconds in (0.7, 1.4, 2.8, 5.6))
_FRAME = RATE // 100  # samples
_USUAL: Mean = np.array([40.0, 3.0, -1.0, *[0.0] * 10])  # the package's first guess at a voice
_GUESS = 50  # frames of the voice itself that the guess weighs as much as
_KNOWN = 7 * RATE  # samples after which a voice's mean is known well enough


class Sphinx(Engine):
    """PocketSphinx with the documents' own language model.

    When the documents have changed, the new model is made in the background, and the old one serves until
    then.
    """

    def __init__(self, documents: Documents | None = None) -> None:
        super().__init__()
        self.name = "pocketsphinx"
        self.notice = WEAK
        self._documents = documents
        self._decoder: Decoder | None = None
        self._words: Vocabulary | None = None
        self._spare: _Spare | None = None
        self._generation = ""
        self._renewing: threading.Thread | None = None
        self._due = self._looking = False
        self._refreshing = threading.Lock()

    def load(self) -> None:
        super().load()
        self._refresh()

    def live(self, language: str | None = None, hint: str | None = None) -> Live | None:
        spare = self._spare
        if spare is None or language_code(language) not in (None, "en"):
            return None
        decoder = spare.borrow()
        return _SphinxLive(spare, decoder) if decoder else None

    def _load(self) -> None:
        if self._decoder is None:
            self._take(*self._made(self._current()))
        else:
            self._refresh()

    def _current(self) -> str:
        return self._documents.generation() if self._documents else "none"

    def _refresh(self) -> None:
        """See in the background whether the documents have changed: with many of them it takes a while."""
        with self._refreshing:
            self._due = True
            if not self._looking:
                self._looking = True
                self._renewing = threading.Thread(target=self._look, name="pocketsphinx", daemon=True)
                self._renewing.start()

    def _look(self) -> None:
        while self._is_due():
            try:
                self._renew()
            except Exception:
                logger.exception("PocketSphinx goes on with the words that it knows")

    def _is_due(self) -> bool:
        with self._refreshing:
            self._looking, self._due = self._due, False
            return self._looking

    def _renew(self) -> None:
        generation = self._current()
        if generation != self._generation:
            made = self._made(generation)
            with self._lock:
                self._take(*made)
        if self._spare:
            self._spare.fill()

    def _take(self, generation: str, decoder: Decoder, words: Vocabulary | None) -> None:
        self._generation, self._decoder, self._words = generation, decoder, words
        # The words of English in general take most of a core, and come late.
        self._spare = _Spare(lambda: _opened(words), words) if words else None

    def _made(self, generation: str) -> tuple[str, Decoder, Vocabulary | None]:
        """A decoder for the documents; for English in general where there are none."""
        words = None
        if self._documents:
            try:
                words = vocabulary(self._documents)
            except OSError as error:
                logger.warning("PocketSphinx knows none of the documents' words: %s", error)
        decoder = _opened(words)
        _said(decoder, np.zeros(RATE, np.float32), lambda: False)  # the first sound takes longer
        return generation, decoder, words

    def _recognise(
        self,
        audio: Samples,
        segments: list[Segment],
        language: str | None,
        hint: str | None,
        stop: ShouldStop,
    ) -> Recognised:
        if language not in (None, "en"):
            raise TranscriberError(
                f"PocketSphinx knows English only, and the language is set to {language!r}. "
                "Choose Whisper (PARLEY_ASR=faster-whisper:base), or set PARLEY_LANGUAGE=en."
            )
        assert self._decoder is not None
        words: list[str] = []
        for utterance in utterances(segments, len(audio)):
            words += _said(self._decoder, audio[utterance.start : utterance.end], stop)
        return Recognised(self._words.as_written(words) if self._words else " ".join(words), "en")


class _Spare:
    """Decoders for live words, all of one vocabulary; each is lent for one utterance."""

    def __init__(self, make: Callable[[], Decoder], words: Vocabulary) -> None:
        self.words = words
        self._make = make
        self._free: list[Decoder] = []
        self._missing = _LIVE
        self._lock = threading.Lock()

    def fill(self) -> None:
        """Make what is missing; for one thread, in the background."""
        while self._missing:
            made = self._make()
            with self._lock:
                self._missing -= 1
                self._free.append(made)

    def borrow(self) -> Decoder | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def give_back(self, decoder: Decoder) -> None:
        with self._lock:
            self._free.append(decoder)

    def lose(self) -> None:
        """One that was lent has failed."""
        with self._lock:
            self._missing += 1


class _SphinxLive:
    """One utterance in a borrowed decoder.

    Its mean is known for the first time after 0.7 s; whenever there is twice as much of it, the search begins
    anew with a better one. All in all the work is done twice.
    """

    def __init__(self, spare: _Spare, decoder: Decoder) -> None:
        self._spare, self._decoder = spare, decoder
        self._mean = _USUAL
        self._sound = bytearray()  # what is searched again or still has to be
        self._at = 0  # bytes of it that the decoder has got
        self._again = list(_AGAIN)
        self._silent = 0  # samples since the last text
        self._begin()

    def hear(self, samples: Samples, should_stop: ShouldStop) -> str | None:
        self._sound += to_int16(samples).tobytes()
        self._silent += len(samples)
        while len(self._again) > 1 and len(self._sound) > 2 * self._again[1]:
            del self._again[0]  # so much came at once
        while len(self._sound) - self._at >= 2 * _PIECE:
            if should_stop():
                raise Stopped
            if self._again and self._at >= 2 * self._again[0]:
                self._learn()
            self._decoder.hear(bytes(self._sound[self._at : self._at + 2 * _PIECE]))
            self._at += 2 * _PIECE
        if not self._again:
            del self._sound[: self._at]
            self._at = 0
        if len(self._again) == len(_AGAIN) or self._silent < _NEWS:
            return None
        self._silent = 0
        return self._text()

    def transcript(self) -> Recognised:
        return Recognised(self._text(), "en")

    def _text(self) -> str:
        return self._spare.words.as_written(words_of(self._decoder))

    def close(self) -> None:
        try:
            self._decoder.end()
        except RuntimeError:
            self._spare.lose()
        else:
            self._spare.give_back(self._decoder)

    def _begin(self) -> None:
        set_mean(self._decoder, self._mean)
        self._decoder.begin()

    def _learn(self) -> None:
        """The mean of the utterance so far, and all of it once more."""
        del self._again[0]
        self._mean = _learnt(self._decoder, self._mean, self._at // 2)
        self._decoder.end()
        self._at = 0
        self._begin()


def _opened(words: Vocabulary | None) -> Decoder:
    options = {"cmn": "live", "fwdflat": "no"}  # its second search: a third of the time for no word more
    if words:
        options |= {"lm": str(words.model), "dict": str(words.dictionary)}
    try:
        return open_decoder(options)
    except RuntimeError as error:
        raise TranscriberError(
            "PocketSphinx cannot start. Install it again: pip install --force-reinstall pocketsphinx"
        ) from error


def _learnt(decoder: Decoder, begun_with: Mean, samples: int) -> Mean:
    """A better mean for a voice of which the decoder has heard so many samples.

    A voice is judged by what differs from its mean; with a guess at that, one word in seven more is wrong.
    """
    frames = samples // _FRAME
    return (begun_with * _GUESS + own_mean(decoder, begun_with, frames) * frames) / (_GUESS + frames)


def _said(decoder: Decoder, samples: Samples, stop: ShouldStop) -> list[str]:
    """The words of an utterance, heard twice: the second time with the voice's own mean."""
    _hear(decoder, _USUAL, samples[:_KNOWN], stop)
    mean = _learnt(decoder, _USUAL, min(len(samples), _KNOWN))
    decoder.end()
    _hear(decoder, mean, samples, stop)
    decoder.end()
    return words_of(decoder)


def _hear(decoder: Decoder, mean: Mean, samples: Samples, stop: ShouldStop) -> None:
    """Begin an utterance and hear `samples`; the caller ends it."""
    set_mean(decoder, mean)
    decoder.begin()
    sound = to_int16(samples).tobytes()
    try:
        for at in range(0, len(sound), 2 * _PIECE):
            if stop():
                raise Stopped
            decoder.hear(sound[at : at + 2 * _PIECE])
    except BaseException:
        decoder.end()
        raise


def utterances(segments: list[Segment], length: int) -> Iterator[Segment]:
    """Stretches of speech joined to utterances as long as suits the decoder, some silence around each."""
    start, end = segments[0].start, segments[0].end
    for segment in [*segments[1:], None]:
        if segment and segment.start - end < _PAUSE and end - start < _ENOUGH:
            end = segment.end
            continue
        yield from _cut(max(0, start - _MARGIN), min(length, end + _MARGIN))
        if segment:
            start, end = segment.start, segment.end


def _cut(start: int, end: int) -> Iterator[Segment]:
    for at in range(start, end, _MOST):
        yield Segment(at, min(at + _MOST, end))
