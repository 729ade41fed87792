"""PocketSphinx as a transcriber, for when no Whisper model is to be had. It knows English only.

Its package carries the acoustic model; the words and their order come from the documents (`asr_vocabulary`).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

from speech.asr import WEAK, Engine, Recognised, ShouldStop, Stopped, TranscriberError
from speech.asr_vocabulary import Documents, Vocabulary, vocabulary
from speech.audio import RATE, Samples, to_int16
from speech.vad import Segment

logger = logging.getLogger(__name__)

_PAUSE = round(1.0 * RATE)  # a pause of this length ends an utterance
_ENOUGH = 12 * RATE  # an utterance of this length ends at the next pause, however short
_MOST = 30 * RATE  # and without any pause it is cut here
_MARGIN = round(0.25 * RATE)  # of silence kept at both ends


class Sphinx(Engine):
    """PocketSphinx with the documents' own language model.

    When the documents have changed, the new model is made in the background, and the old one serves until
    then.
    """

    def __init__(self, documents: Documents | None = None) -> None:
        super().__init__()
        self.name = "pocketsphinx"
        self.notice = f"{WEAK} For Whisper, which is far better, set PARLEY_ASR=faster-whisper:base."
        self._documents = documents
        self._decoder: Any = None
        self._words: Vocabulary | None = None
        self._generation = ""
        self._renewing: threading.Thread | None = None

    def _load(self) -> None:
        generation = self._documents.generation() if self._documents else "none"
        if generation == self._generation:
            return
        if self._decoder is None:
            self._take(generation, *self._made())
        elif self._renewing is None or not self._renewing.is_alive():
            self._renewing = threading.Thread(target=self._renew, args=[generation], daemon=True)
            self._renewing.start()

    def _renew(self, generation: str) -> None:
        made = self._made()
        with self._lock:
            self._take(generation, *made)

    def _take(self, generation: str, decoder: Any, words: Vocabulary | None) -> None:
        self._generation, self._decoder, self._words = generation, decoder, words

    def _made(self) -> tuple[Any, Vocabulary | None]:
        """A decoder for the documents; for English in general where there are none."""
        from pocketsphinx import Decoder

        words = None
        if self._documents:
            try:
                words = vocabulary(self._documents)
            except OSError as error:
                logger.warning("PocketSphinx knows none of the documents' words: %s", error)
        files = {"lm": str(words.model), "dict": str(words.dictionary)} if words else {}
        try:
            return Decoder(loglevel="FATAL", cmn="batch", **files), words
        except RuntimeError as error:
            raise TranscriberError(
                "PocketSphinx cannot start. Install it again: pip install --force-reinstall pocketsphinx"
            ) from error

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
        words: list[str] = []
        for utterance in utterances(segments, len(audio)):
            if stop():
                raise Stopped
            words += self._words_of(audio[utterance.start : utterance.end])
        return Recognised(self._words.as_written(words) if self._words else " ".join(words), "en")

    def _words_of(self, samples: Samples) -> list[str]:
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(to_int16(samples).tobytes(), no_search=False, full_utt=True)
        finally:
            self._decoder.end_utt()
        heard = self._decoder.hyp()
        return [re.sub(r"\(\d+\)$", "", word) for word in heard.hypstr.split()] if heard else []


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
