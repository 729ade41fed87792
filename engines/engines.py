"""Settings → engines: each is opened once, when it is first needed or in the background, and says how it is.

The one place where rag, speech and settings meet; the command line and the page ask it for what they need. It
knows neither of them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import EngineError
from engines.hearing import Hearing
from engines.language_model import EXTRACTIVE_NAME, LanguageModel
from engines.loading import Loading
from engines.voices import Voices
from planning.arrangement import device_of_parts
from settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag.assistant import Assistant, Responder
    from rag.corpus import Corpus
    from rag.embeddings import Embedder
    from rag.rerank import Dispensable
    from rag.retriever import HybridRetriever, Reranker
    from rag.store import ChunkStore

log = logging.getLogger(__name__)

NEAREST = 2  # passages that are shown where the documents do not answer
FIRST_DOCUMENTS = 30.0  # seconds that a question waits for an index which is still empty
Progress = Callable[[int, int, str], None]


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
        self.data = settings.data / apart / _fingerprint(settings) if apart else settings.data
        self.embedder: Loading[Embedder] = Loading("the search model", self._open_embedder)
        self.library: Loading[tuple[ChunkStore, Corpus]] = Loading("the index", self._open_library)
        self.llm = LanguageModel(settings, can_ask=can_ask)
        self.beside: Loading[str | None] = Loading("the plan", partial(device_of_parts, settings))  # a device
        self.hearing = Hearing(settings, self.data, self.library, self.beside)
        self.voices = Voices(settings)
        self.reembedding = ""  # how far a change of the embedder has come
        self.corpus_notices: list[str] = []  # what is amiss with the corpus folders
        self.indexing = False  # whether documents are being read that an answer may lack
        self.indexed = ""  # how far that has come, in words
        self._reranker_missing = ""  # why the reranker that is set could not be opened
        self._dispensable: Dispensable | None = None
        self._retriever: Loading[HybridRetriever] = Loading("the retriever", self._open_retriever)

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write down what the index still holds in memory, and open no model any more."""
        self.llm.close()
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
        dimension = stored[1] if stored and stored[0] == name else None
        return open_embedder(
            name,
            **self._where_to_look(),
            device=self.beside.get(),
            download=self.settings.download,
            dimension=dimension,
        )

    def _where_to_look(self) -> dict[str, Any]:
        """For a model by its name: on this disk, the model hub, or the server."""
        key = self.settings.llm_key.get_secret_value() or None
        server = {"url": self.settings.llm_url, "key": key}
        return server | {"token": self._token, "offline": self.settings.offline}

    @property
    def _token(self) -> str | None:
        return self.settings.hf_token.get_secret_value() or None

    def _open_library(self) -> tuple[ChunkStore, Corpus]:
        from engines.listening import Recordings
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
        recordings = Recordings(self.hearing)
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
        other.voices, other.beside = self.voices, self.beside
        other.hearing = self.hearing.under(other.settings, shared="asr" not in changes)
        if "llm" not in changes:
            other.llm = self.llm
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
        """The reranker that is set; one that cannot be had is said with each answer, and left out."""
        if self.settings.reranker == "none":
            return None
        from rag.rerank import Dispensable, RerankerError, left_out, open_reranker

        try:
            reranker = open_reranker(
                self.settings.reranker, **self._where_to_look(), device=self.beside.get()
            )
            reranker.load()
        except RerankerError as error:
            self._reranker_missing = left_out(error)
            return None
        self._dispensable = Dispensable(reranker)
        return self._dispensable

    @property
    def reranker_notice(self) -> str:
        """Why the reranker that is set does not rerank."""
        return self._reranker_missing or (self._dispensable.why if self._dispensable else "")

    def quoting(self, collection: str = "") -> Responder:
        """What answers without a language model."""
        from rag.assistant import Responder
        from rag.extractive import ExtractiveQA

        return Responder(
            EXTRACTIVE_NAME, ExtractiveQA(retriever=self.retriever(collection), embedder=self.embedder.get())
        )

    def responder(self, collection: str = "", *, wait: bool = False) -> Responder:
        """What answers now: the language model if it is there (`wait`: or will be), else quotations."""
        self.llm.wake()
        self._wait_for_first_documents()
        if wait:
            self.llm.get()
        answering = self.llm.in_force
        if answering.llm is None:
            return self.quoting(collection)
        from rag.assistant import Responder
        from rag.chains import RetrievalQA
        from rag.prompts import NOT_FOUND

        chain = RetrievalQA.from_chain_type(
            llm=answering.llm,
            chain_type=self.settings.chain,
            retriever=self.retriever(collection),
            chain_type_kwargs=self.own_prompt(),
            return_source_documents=True,
            compressor=self._compressor(),
            not_found=NOT_FOUND,
        )
        return Responder(answering.name, chain, answering.llm)

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
        self.llm.wake()
        missing = [self._reranker_missing] if self._reranker_missing else []
        notices = [*self.corpus_notices, *missing, *self.llm.notices()]
        if self.indexing:
            far = f" ({self.indexed})" if self.indexed else ""
            notices.append(f"Indexing is not finished{far}: what is not read yet cannot be found.")
        return notices
