"""Text → unit vectors by a server that speaks OpenAI's embeddings API (vLLM, TEI, Infinity, llama.cpp).

It does not know what the vectors are for. The texts are sent as they are: instructions that a model wants
before a query are the server's business.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from rag import cancel
from rag.embeddings import REMOTE, Embedder, EmbedderError
from rag.llms.errors import LLMError, ServerError
from rag.llms.exchange import Timeouts, post

BATCH = 32  # texts of a request: the most that TEI takes unless told otherwise
TIMEOUTS = Timeouts(connect=5.0, first=60.0)


def open_remote(
    model: str, url: str, key: str | None, offline: bool, dimension: int | None = None
) -> RemoteEmbedder:
    """Raises EmbedderError where no model is named, or `url` is none that may be asked."""
    from rag.llms.remote import base_url

    if not model:
        raise EmbedderError("The server's embedding model has no name. Set PARLEY_EMBEDDER=remote:NAME.")
    try:
        base = base_url(url, offline)
    except LLMError as error:
        raise EmbedderError(str(error)) from error
    return RemoteEmbedder(base, model, key=key, dimension=dimension)


class RemoteEmbedder(Embedder):
    """A model behind `url`, which ends in "/v1". It is asked when it is first needed, and may be down then.

    dimension: of its vectors, where that is known; else it is found by asking.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        dimension: int | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        super().__init__(f"{REMOTE}{model}")
        self._url, self._model, self._timeouts = url, model, timeouts
        self._key = SecretStr(key) if key else None
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            self._vectors(["How many numbers?"])
        assert self._dimension is not None  # `_vectors` has set it, or raised
        return self._dimension

    @property
    def device(self) -> str:
        return f"the server at {self._url}"

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        parts = []
        for at in range(0, len(texts), BATCH):
            cancel.current().raise_if_cancelled()
            parts.append(self._vectors(texts[at : at + BATCH]))
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _query_vector(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._vectors([text])[0]
        return vector

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimension), unit length."""
        asked = {"model": self._model, "input": [text if text.strip() else "-" for text in texts]}
        try:
            answer = post(f"{self._url}/embeddings", asked, self._key, self._timeouts)
        except ServerError as error:
            raise EmbedderError(self._explained(error)) from error
        try:
            vectors = _rows(answer, len(texts))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise EmbedderError(
                f"{self._url}/embeddings answered with something else than {len(texts)} vectors. "
                f"Check that {self._model} is an embedding model, and PARLEY_LLM_URL."
            ) from error
        self._check(vectors.shape[1])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _check(self, found: int) -> None:
        if self._dimension is None:
            self._dimension = found
        if found != self._dimension:
            raise EmbedderError(
                f"The server's {self._model} gives vectors of {found} numbers, and those of the index have "
                f"{self._dimension}: it is another model. Name it as the server does, in "
                "PARLEY_EMBEDDER=remote:NAME."
            )

    def _explained(self, error: ServerError) -> str:
        if error.status == 404:
            return (
                f"The server at {self._url} has no embedding model {self._model!r}, or no /embeddings"
                f"{f' ({error.detail})' if error.detail else ''}. Check PARLEY_EMBEDDER and PARLEY_LLM_URL."
            )
        if error.status in (400, 413, 422):
            return f"{error} If it takes shorter texts only: PARLEY_CHUNK_SIZE."
        return str(error)


def _rows(answer: Any, count: int) -> NDArray[np.float32]:
    """The vectors in the order of the texts. Raises ValueError and the like for what is no such answer."""
    rows: list[NDArray[np.float32] | None] = [None] * count
    for place, entry in enumerate(answer["data"]):
        rows[int(entry.get("index", place))] = _vector(entry["embedding"])
    vectors = np.stack([row for row in rows if row is not None])
    if len(vectors) != count or vectors.ndim != 2 or not np.linalg.norm(vectors, axis=1).all():
        raise ValueError("not a vector for each text")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors that are no numbers")
    return vectors


def _vector(given: Any) -> NDArray[np.float32]:
    """From a list of numbers, or base64 of little-endian float32."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), "<f4").astype(np.float32)
    return np.asarray(given, dtype=np.float32)
