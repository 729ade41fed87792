"""Settings → the recogniser: opened once with the documents' words, and replaced once a better one is there.

It knows the index only as texts that change; it does not know how speech is recognised.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import EngineError
from engines.loading import Loading
from settings import Settings

if TYPE_CHECKING:
    from rag.corpus import Corpus
    from rag.store import ChunkStore
    from speech.asr import Transcriber, Transcript
    from speech.audio import Samples
    from speech.live import LiveTranscript

log = logging.getLogger(__name__)


class Hearing:
    """The recogniser of one process.

    `data`: the folder where it keeps what it has learnt; `library`: the documents whose words it learns;
    `beside`: the device that is left to it.
    """

    def __init__(
        self,
        settings: Settings,
        data: Path,
        library: Loading[tuple[ChunkStore, Corpus]],
        beside: Loading[str | None],
    ) -> None:
        self.settings = settings
        self.transcriber: Loading[Transcriber] = Loading("the recogniser", self._open_transcriber)
        self.whisper_failure = ""  # why Whisper could not be downloaded
        self._data, self._library, self._beside = data, library, beside
        self._better: Transcriber | None = None
        self._hint_of = ("", "")  # the index's generation, and the hint made from it

    def under(self, settings: Settings, *, shared: bool) -> Hearing:
        """The same documents and device under other settings; `shared`: with the same recogniser."""
        other = Hearing(settings, self._data, self._library, self._beside)
        if shared:
            other.transcriber, other._better = self.transcriber, self._better
        return other

    def in_force(self) -> Transcriber:
        """The recogniser that hears now; waits for one."""
        return self._better or self.transcriber.get()

    def transcribe(
        self,
        recording: bytes | Path,
        language: str | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Transcript:
        """What is said in a recording of any common format; `Stopped` soon after `should_stop` is true."""
        from speech.audio import decode

        return self.hear(decode(recording), language, should_stop)

    def hear(
        self,
        samples: Samples,
        language: str | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Transcript:
        """What is said in `samples` (n,) at 16 kHz; `Stopped` soon after `should_stop` is true."""
        engine = self.in_force()
        return engine.transcribe(
            samples, self._spoken_language(language), self._hint_for(engine), should_stop
        )

    def live_words(
        self, on_text: Callable[[str], None], language: str | None = None
    ) -> LiveTranscript | None:
        """The words of an utterance while it is spoken; None where there is no way to have them in time."""
        from speech.live import open_live

        if self.transcriber.ready() is None:
            return None
        engine = self.in_force()
        return open_live(
            engine, on_text, language=self._spoken_language(language), hint=self._hint_for(engine)
        )

    # Opening it

    def _open_transcriber(self) -> Transcriber:
        from speech.asr import Documents, open_transcriber

        documents = Documents(self._texts, self._generation, self._data)
        self._refuse_large_whisper(self.settings.asr)
        transcriber = open_transcriber(
            self.settings.asr,
            device=self._beside.get(),
            offline=self.settings.offline,
            documents=documents,
        )
        transcriber.load()
        return transcriber

    def _refuse_large_whisper(self, name: str) -> None:
        from speech.asr import cached, megabytes

        if name == "auto" or self.settings.offline:  # offline, opening it says what it lacks
            return
        size = 0 if cached(name) else megabytes(name) or 0
        if size > 1000 and not self.settings.download:
            raise EngineError(
                f"{name} is a download of {size / 1000:.1f} GB. Add --download to agree to it, or choose "
                "a smaller one with --asr."
            )

    def fetch_whisper(self) -> None:
        """Where `auto` has to do with PocketSphinx, fetch Whisper and use it from then on; for a thread."""
        from speech.asr import TranscriberError, best, cached, download, megabytes, open_transcriber

        if self.settings.asr != "auto" or self.settings.offline:
            return
        wanted = best(self._beside.get())
        if (megabytes(wanted) or 0) > 1000 and not self.settings.download:
            wanted = "faster-whisper:base"
        if cached(wanted):
            return
        log.warning(
            "Downloading %s (%s MB); PocketSphinx listens until it is there.", wanted, megabytes(wanted)
        )
        try:
            download(wanted)
            transcriber = open_transcriber(wanted, device=self._beside.get())
            transcriber.load()
        except TranscriberError as error:
            log.warning("%s", error)
            self.whisper_failure = str(error)
        else:
            self._better = transcriber
            log.warning("%s listens from now on.", wanted)

    # What helps it

    def _spoken_language(self, language: str | None) -> str | None:
        """The language that is wished or set; None where the recogniser is to find out."""
        chosen = language or self.settings.language
        return None if chosen == "auto" else chosen

    def _hint_for(self, engine: Transcriber) -> str | None:
        return None if engine.name == "pocketsphinx" else self._hint()

    def _hint(self) -> str:
        """Names in the documents, for Whisper; made once for each state of the index."""
        from speech.asr import vocabulary_hint

        if self._library.ready() is None:
            return ""
        generation = self._generation()
        if self._hint_of[0] != generation:
            self._hint_of = (generation, vocabulary_hint(self._texts()))
        return self._hint_of[1]

    def _texts(self) -> Iterator[str]:
        """The text of all documents, for a recogniser that learns their words."""
        store, _ = self._library.get()
        return (page.text for source in store.sources() for page in store.pages(source.source))

    def _generation(self) -> str:
        """A mark that changes with the documents."""
        store, _ = self._library.get()
        marks = sorted(f"{source.source}\n{source.content_hash}" for source in store.sources())
        return hashlib.sha256("\n".join(marks).encode("utf-8", "replace")).hexdigest()[:16]
