"""Settings → engines: each is opened once, when it is first needed or in the background, and says how it is.

The one place where rag, speech and settings meet; the command line and the page ask it for what they need. It
knows neither of them.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loading import Loading
from settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.language_models import BaseChatModel
    from numpy.typing import NDArray

    from rag.assistant import Assistant, Responder
    from rag.corpus import Corpus
    from rag.embeddings import Embedder
    from rag.llms import Outlook
    from rag.retriever import HybridRetriever, Reranker
    from rag.store import ChunkStore
    from speech.asr import Transcriber, Transcript
    from speech.audio import Samples
    from speech.live import LiveTranscript
    from speech.tts import Outage, Synthesizer

log = logging.getLogger(__name__)

GIGABYTE = 1_000_000_000
NEAREST = 2  # passages that are shown where the documents do not answer
FIRST_DOCUMENTS = 30.0  # seconds that a question waits for an index which is still empty
RETRY = 30.0  # seconds until a model server that was down is asked again
EXTRACTIVE_NAME = "quotations"
Progress = Callable[[int, int, str], None]


class EngineError(Exception):
    """An engine cannot be had; the message says what to do."""


def _fingerprint(settings: Settings) -> str:
    """A name for the index of these folders, made in this way."""
    parts = [*(str(folder.resolve()) for folder in settings.corpus), settings.embedder, settings.splitter]
    text = "\n".join([*parts, str(settings.chunk_size), str(settings.chunk_overlap)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class EmbedderOnDemand:
    """The embedder for indexing, opened at the first text: where nothing changed, none is needed."""

    def __init__(self, loading: Loading[Embedder]) -> None:
        self._loading = loading

    @property
    def opened(self) -> Embedder:
        return self._loading.get()

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.opened.embed_array(texts)


class Engines:
    """All engines of one process.

    `apart`: keep the index in a folder of its own inside the data folder, so that an evaluation of other
    documents does not mix with the person's. `can_ask`: there is a page on which a person can agree to a
    large download; without one it is refused, with the flag that agrees.
    """

    def __init__(self, settings: Settings, *, apart: str = "", can_ask: bool = False) -> None:
        self.settings = settings
        self._can_ask = can_ask
        self.data = settings.data / apart / _fingerprint(settings) if apart else settings.data
        self.embedder: Loading[Embedder] = Loading("the search model", self._open_embedder)
        self.library: Loading[tuple[ChunkStore, Corpus]] = Loading("the index", self._open_library)
        self.llm: Loading[BaseChatModel | None] = Loading("the language model", self._open_llm)
        self.transcriber: Loading[Transcriber] = Loading("the recogniser", self._open_transcriber)
        self.synthesizer: Loading[Synthesizer | None] = Loading("the voice", self._open_synthesizer)
        self.reembedding = ""  # how far a change of the embedder has come
        self.corpus_notices: list[str] = []  # what is amiss with the corpus folders
        self.indexing = False  # whether documents are being read that an answer may lack
        self.indexed = ""  # how far that has come, in words
        self.asking = 0  # bytes of a language model's download that waits for consent
        self.llm_name = settings.llm
        self._agreed = threading.Event()
        self._llm_tried = 0.0
        self.reranker_notice = ""  # why the reranker that is set does not rerank
        self._retriever: Loading[HybridRetriever] = Loading("the retriever", self._open_retriever)
        self._better_transcriber: Transcriber | None = None
        self.whisper_failure = ""  # why Whisper could not be downloaded
        self._hint_of = ("", "")  # the index's generation, and the hint made from it
        self._voices: dict[tuple[str, float], Loading[Synthesizer]] = {}
        self._outages: dict[str, Outage] = {}  # of a voice engine, at whatever speed
        self._voice_notices: dict[str, str] = {}  # what a voice said when it was opened, or later
        self._voices_lock = threading.Lock()

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write down what the index still holds in memory."""
        library = self.library.ready()
        if library is not None:
            store, corpus = library
            store.close()
            corpus.close()

    # What each is made of

    def _open_embedder(self) -> Embedder:
        from rag.embeddings import open_embedder
        from rag.store_local import stored_embedder

        name = self.settings.embedder
        stored = stored_embedder(self.data)
        if name == "auto" and stored:  # an index keeps the embedder that it was made with
            name, _ = stored
        return open_embedder(
            name,
            offline=self.settings.offline,
            token=self._token,
            download=self.settings.download,
        )

    def _open_library(self) -> tuple[ChunkStore, Corpus]:
        from listening import Recordings
        from rag.corpus import Corpus
        from rag.reembed import reembed
        from rag.store import EmbedderMismatchError, open_store

        try:
            self.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(
                f"The data folder {self.data} cannot be made ({error.strerror}). Name another: --data DIR."
            ) from error
        embedder = EmbedderOnDemand(self.embedder)
        name, dimension = self._embedder_in_the_index() or (embedder.opened.name, embedder.opened.dimension)
        wanted: dict[str, Any] = {"dimension": dimension, "embedder": name}
        try:
            store = open_store(self.data, **wanted)
        except EmbedderMismatchError as error:
            log.warning(
                "%s made the index; every document is embedded anew by %s.", error.stored, error.wanted
            )
            reembed(self.data, embedder.embed_array, progress=self._tell_reembedding, **wanted)
            self.reembedding = ""
            store = open_store(self.data, **wanted)
        recordings = Recordings(self)
        corpus = Corpus(
            store,
            embedder,
            self.data,
            size=self.settings.chunk_size,
            overlap=self.settings.chunk_overlap,
            splitter=self.settings.splitter,
            offline=self.settings.offline,
            allow_private=self.settings.allow_private_urls,
            ocr=self.settings.ocr,
            hear=recordings.hear,
            hears_well=recordings.hears_well,
        )
        return store, corpus

    def _embedder_in_the_index(self) -> tuple[str, int] | None:
        """Name and dimension of the embedder that made the index, where that is the one that is set.

        Then the index opens without it. A model in a folder may be another one by now, so it is looked at.
        """
        from rag.embeddings import full_name
        from rag.store_local import stored_embedder

        stored = stored_embedder(self.data)
        if stored is None or Path(stored[0]).is_dir():
            return None
        return (
            stored
            if self.settings.embedder in ("auto", stored[0]) or full_name(self.settings.embedder) == stored[0]
            else None
        )

    def _tell_reembedding(self, done: int, total: int) -> None:
        self.reembedding = f"embedding all passages anew: {done} of {total}"
        log.info("%s", self.reembedding)

    def _open_llm(self) -> BaseChatModel | None:
        """The language model, or None where answers are quotations."""
        from rag.llms import EXTRACTIVE, open_llm, resolve

        settings = self.settings
        self.llm_name = name = resolve(settings.llm, offline=settings.offline)
        if name == EXTRACTIVE:
            return None
        size = self._outlook(
            name
        ).download_bytes  # raises for what could not be opened after a download either
        if size > GIGABYTE and not settings.download:
            self._wait_for_consent(name, size)
        return open_llm(
            name,
            **self._how_to_open(),
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            repetition_penalty=settings.repetition_penalty,
            max_new_tokens=settings.max_new_tokens,
        )

    def _outlook(self, name: str) -> Outlook:
        from rag.llms import outlook

        return outlook(name, **self._how_to_open())

    def _how_to_open(self) -> dict[str, Any]:
        return {
            "url": self.settings.llm_url,
            "key": self.settings.llm_key.get_secret_value() or None,
            "quantize": self.settings.quantize,
            "gpu_layout": self.settings.gpu_layout,
            "trust_remote_code": self.settings.trust_remote_code,
            "token": self._token,
            "offline": self.settings.offline,
        }

    def _wait_for_consent(self, name: str, size: int) -> None:
        if not self._can_ask:
            raise EngineError(
                f"{name} is a download of {size / GIGABYTE:.1f} GB. Add --download to agree to it, "
                "or choose another one with --llm."
            )
        self.asking = size
        self._agreed.wait()
        self.asking = 0

    def _open_transcriber(self) -> Transcriber:
        from speech.asr import Documents, open_transcriber

        documents = Documents(self._texts, self._generation, self.data)
        self._refuse_large_whisper(self.settings.asr)
        transcriber = open_transcriber(self.settings.asr, offline=self.settings.offline, documents=documents)
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
        wanted = best()
        if (megabytes(wanted) or 0) > 1000 and not self.settings.download:
            wanted = "faster-whisper:base"
        if cached(wanted):
            return
        log.warning(
            "Downloading %s (%s MB); PocketSphinx listens until it is there.", wanted, megabytes(wanted)
        )
        try:
            download(wanted)
            transcriber = open_transcriber(wanted)
            transcriber.load()
        except TranscriberError as error:
            log.warning("%s", error)
            self.whisper_failure = str(error)
        else:
            self._better_transcriber = transcriber
            log.warning("%s listens from now on.", wanted)

    def hearing(self) -> Transcriber:
        """The recogniser in force."""
        return self._better_transcriber or self.transcriber.get()

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
        engine = self.hearing()
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
        engine = self.hearing()
        return open_live(
            engine, on_text, language=self._spoken_language(language), hint=self._hint_for(engine)
        )

    def _spoken_language(self, language: str | None) -> str | None:
        """The language that is wished or set; None where the recogniser is to find out."""
        chosen = language or self.settings.language
        return None if chosen == "auto" else chosen

    def _hint_for(self, engine: Transcriber) -> str | None:
        return None if engine.name == "pocketsphinx" else self._hint()

    def _hint(self) -> str:
        """Names in the documents, for Whisper; made once for each state of the index."""
        from speech.asr import vocabulary_hint

        if self.library.ready() is None:
            return ""
        generation = self._generation()
        if self._hint_of[0] != generation:
            self._hint_of = (generation, vocabulary_hint(self._texts()))
        return self._hint_of[1]

    def _open_synthesizer(self) -> Synthesizer | None:
        return self.voice_named(self.settings.tts, self.settings.speed)

    def voice_named(self, name: str, speed: float) -> Synthesizer | None:
        """The voice engine of that name (NAME or NAME:MODEL), opened once for each speed; None for "none"."""
        if name == "none":
            return None
        speed = round(speed, 1)
        with self._voices_lock:
            opening = Loading(f"the voice {name}", lambda: self._open_voice(name, speed))
            loading = self._voices.setdefault((name, speed), opening)
        return loading.get()

    def _open_voice(self, name: str, speed: float) -> Synthesizer:
        from speech.tts import Outage, open_synthesizer

        engine, _, model = name.partition(":")
        with self._voices_lock:
            outage = self._outages.setdefault("gtts" if engine == "auto" else engine, Outage())
        return open_synthesizer(
            engine,
            voice=self.settings.voice if name == self.settings.tts else None,
            speed=speed,
            offline=self.settings.offline,
            url=self.settings.tts_url or None,
            key=self.settings.tts_key.get_secret_value() or None,
            model=model or None,
            on_notice=lambda notice: self._voice_notices.update({name: notice}),
            outage=outage,
        )

    def speaks(self, name: str) -> tuple[str, str]:
        """The engine that speaks for the voice of that name, and why, if it is another one."""
        with self._voices_lock:
            opened = [loading.ready() for (named, _), loading in self._voices.items() if named == name]
        voice = next(filter(None, opened), None)
        wanted = name.partition(":")[0]
        if voice is None:
            return wanted, ""
        if why := getattr(voice, "why", ""):
            return getattr(voice, "active", voice.name), why
        replaced = voice.name != wanted != "auto"
        return voice.name, self._voice_notices.get(name, "") if replaced else ""

    def _texts(self) -> Iterator[str]:
        """The text of all documents, for a recogniser that learns their words."""
        store, _ = self.library.get()
        return (page.text for source in store.sources() for page in store.pages(source.source))

    def _generation(self) -> str:
        """A mark that changes with the documents."""
        store, _ = self.library.get()
        marks = sorted(f"{source.source}\n{source.content_hash}" for source in store.sources())
        return hashlib.sha256("\n".join(marks).encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def _token(self) -> str | None:
        return self.settings.hf_token.get_secret_value() or None

    # Answering

    def retriever(self, collection: str = "") -> HybridRetriever:
        """The retriever over this data folder, or over one collection of it; waits for the index."""
        retriever = self._retriever.get()
        if not collection:
            return retriever
        _, corpus = self.library.get()
        return retriever.model_copy(update={"within": corpus.documents_in(collection)})

    def variant(self, changes: Mapping[str, object]) -> Engines:
        """The same index, voice and models under other settings of answering or hearing; not to be closed.

        `changes`: settings → checked values; what none of them concerns is shared.
        """
        other = Engines(self.settings.model_copy(update=dict(changes)))
        other.data, other.embedder, other.library = self.data, self.embedder, self.library
        other.synthesizer, other._voices = self.synthesizer, self._voices
        if "llm" not in changes:
            other.llm, other.llm_name = self.llm, self.llm_name
        if "asr" not in changes:
            other.transcriber, other._better_transcriber = self.transcriber, self._better_transcriber
        return other

    def _open_retriever(self) -> HybridRetriever:
        from rag.retriever import DEFAULT_FLOOR, HybridRetriever

        settings = self.settings
        return HybridRetriever(
            store=self.library.get()[0],
            embedder=self.embedder.get(),
            k=settings.k,
            floor=DEFAULT_FLOOR if settings.floor is None else settings.floor,
            reranker=self._reranker(),
        )

    def _reranker(self) -> Reranker | None:
        """The cross-encoder that is set; one that cannot be had is said with each answer, and left out."""
        name = self.settings.reranker
        if name == "none":
            return None
        from rag.rerank import RerankerError, open_reranker

        try:
            reranker = open_reranker(name, offline=self.settings.offline, token=self._token)
            reranker.scores("Does it load?", ["It does."])
        except RerankerError as error:
            self.reranker_notice = f"{error} The passages are ranked without it."
            return None
        return reranker

    def quoting(self, collection: str = "") -> Responder:
        """What answers without a language model."""
        from rag.assistant import Responder
        from rag.extractive import ExtractiveQA

        return Responder(
            EXTRACTIVE_NAME, ExtractiveQA(retriever=self.retriever(collection), embedder=self.embedder.get())
        )

    def responder(self, collection: str = "", *, wait: bool = False) -> Responder:
        """What answers now: the language model if it is there (`wait`: or will be), else quotations."""
        self._try_llm_again()
        self._wait_for_first_documents()
        if wait:
            self.llm.get()
        llm = self.llm.ready()
        if llm is None:
            return self.quoting(collection)
        from rag.assistant import Responder
        from rag.chains import RetrievalQA
        from rag.prompts import NOT_FOUND

        chain = RetrievalQA.from_chain_type(
            llm=llm,
            chain_type=self.settings.chain,
            retriever=self.retriever(collection),
            chain_type_kwargs=self.own_prompt(),
            return_source_documents=True,
            compressor=self._compressor(),
            not_found=NOT_FOUND,
        )
        return Responder(self.llm_name, chain, llm)

    def _compressor(self) -> Any:
        if not self.settings.compress:
            return None
        from rag.compress import compressor

        return compressor(self.embedder.get())

    def _wait_for_first_documents(self) -> None:
        """An empty index answers nothing: a question waits a little while it is filled for the first time."""
        from rag.cancel import current

        deadline = time.monotonic() + FIRST_DOCUMENTS
        store, _ = self.library.get()
        empty = not store.count()
        while empty and self.indexing and time.monotonic() < deadline:
            if current().wait(0.1):
                return

    def _try_llm_again(self) -> None:
        """A server that was down may be there by now."""
        if getattr(self.llm.error, "transient", False) and time.monotonic() - self._llm_tried > RETRY:
            self._llm_tried = time.monotonic()
            self.llm.again()

    def own_prompt(self) -> dict[str, Any]:
        """The person's prompt, for the chain; empty without one. Raises where it cannot work."""
        from rag.prompts import PASSAGE_PROMPT, load_prompt

        if self.settings.prompt is None:
            return {}
        if self.settings.chain != "stuff":
            raise EngineError(
                f"PARLEY_PROMPT is for PARLEY_CHAIN=stuff; {self.settings.chain} asks in several steps, "
                "each with its own prompt. Unset one of the two."
            )
        return {"prompt": load_prompt(self.settings.prompt), "document_prompt": PASSAGE_PROMPT}

    def assistant(self, *, wait: bool = False) -> Assistant:
        """Answers with what is there when it is asked; `wait`: for the language model, if one is set."""
        from rag.assistant import Assistant

        self.own_prompt()  # one that cannot work is refused before anybody asks
        return Assistant(
            partial(self.responder, wait=wait),
            self.quoting,
            memory=self.settings.memory,
            notices=self._notices,
            nearest=lambda question, collection: self.retriever(collection).search(question, NEAREST),
        )

    def _notices(self) -> list[str]:
        """What a person should know about the answer that comes."""
        notices = [*self.corpus_notices, *([self.reranker_notice] if self.reranker_notice else [])]
        if self.asking:
            size = f"{self.asking / GIGABYTE:.1f} GB"
            notices.append(f"{self.llm_name} is a download of {size} that waits for your consent.")
        elif self.llm.state == "loading" and self._can_ask:  # elsewhere it is waited for
            name = "The language model" if self.llm_name == "auto" else self.llm_name
            notices.append(f"{name} is still loading; this answer quotes the documents.")
        elif self.llm.state == "failed" and self._can_ask:  # elsewhere the answer says so
            notices.append(f"{self.llm.error} This answer quotes the documents.")
        if self.indexing:
            far = f" ({self.indexed})" if self.indexed else ""
            notices.append(f"Indexing is not finished{far}: what is not read yet cannot be found.")
        return notices

    def agree_to_download(self) -> None:
        self._agreed.set()

    @property
    def llm_choices(self) -> str:
        """What PARLEY_LLM can be here, as a sentence goes on."""
        if self.settings.offline:
            return (
                "a folder, a GGUF file, the name of a model that is on this disk, smollm2, or remote for a "
                "server on this machine; without PARLEY_OFFLINE, to any model's name"
            )
        return "a model's name, a folder, a GGUF file, smollm2, or remote"

    def describe_llm(self) -> tuple[str, str]:
        """What will answer and where it will be, and what to do for something better; loads nothing."""
        from rag.llms import EXTRACTIVE, LLMError, resolve

        name = resolve(self.settings.llm, offline=self.settings.offline)
        if name == EXTRACTIVE:
            return "quotations, without a language model", f"Set PARLEY_LLM to {self.llm_choices}."
        try:
            found = self._outlook(name)
        except LLMError as error:
            return f"{name} cannot be had, so quotations", str(error)
        size = f", {found.weights_bytes / GIGABYTE:.1f} GB" if found.weights_bytes else ""
        what = f"{found.name} on {found.where}{size}, window of {found.window} tokens"
        if found.download_bytes > GIGABYTE and not self.settings.download:
            return what, f"A download of {found.download_bytes / GIGABYTE:.1f} GB: agree with --download."
        return what, ""
