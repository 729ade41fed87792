"""A reranker behind a server: vLLM, Infinity, llama.cpp, Jina and Cohere answer alike, TEI a bit otherwise.

It does not know the retriever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from rag.llms.errors import LLMError, ServerError
from rag.llms.exchange import Timeouts, post
from rag.rerank import RerankerError

TIMEOUTS = Timeouts(connect=5.0, first=15.0)
_NOT_THIS_WAY = (400, 404, 405, 422)  # HTTP's statuses that may mean: another path, other names


def open_remote(model: str, url: str, key: str | None, offline: bool) -> RemoteReranker:
    """Raises RerankerError where no model is named, or `url` is none that may be asked."""
    from rag.llms.remote import base_url

    if not model:
        raise RerankerError("The server's reranker has no name. Set PARLEY_RERANKER=remote:NAME.")
    try:
        base = base_url(url, offline)
    except LLMError as error:
        raise RerankerError(str(error)) from error
    return RemoteReranker(base, model, key=key)


class RemoteReranker:
    """A model behind `url`, which ends in "/v1". The first question finds out how it is asked."""

    def __init__(
        self, url: str, model: str, *, key: str | None = None, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self.name = f"remote:{model}"
        self._url, self._model, self._timeouts = url, model, timeouts
        self._key = SecretStr(key) if key else None
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}"
        # vLLM, Jina, Cohere · Infinity · TEI: an address, and the name that it has for the passages
        self._ways = [(url, "documents"), (root, "documents"), (root, "texts")]

    def load(self) -> None:
        """Nothing: a server that is down now may be up when it is asked."""

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """(len(passages),), higher is better, on the model's own scale. Raises RerankerError."""
        if not passages:
            return np.empty(0, dtype=np.float32)
        first: ServerError | None = None
        for way in self._ways:
            try:
                answer = self._ask(*way, question, passages)
            except ServerError as error:
                if error.status not in _NOT_THIS_WAY:
                    raise RerankerError(str(error)) from error
                first = first or error
                continue
            self._ways = [way]
            return self._read(answer, len(passages))
        assert first is not None  # there is a way at least
        raise RerankerError(self._explained(first)) from first

    def _ask(self, address: str, name: str, question: str, passages: Sequence[str]) -> Any:
        asked = {"model": self._model, "query": question, name: list(passages)}
        return post(f"{address}/rerank", asked, self._key, self._timeouts)

    def _read(self, answer: Any, count: int) -> NDArray[np.float32]:
        """From {"results": [{"index", "relevance_score"}, …]}, or TEI's [{"index", "score"}, …]."""
        scores = np.full(count, np.nan, dtype=np.float32)
        try:
            for entry in answer["results"] if isinstance(answer, dict) else answer:
                score = entry["relevance_score"] if "relevance_score" in entry else entry["score"]
                scores[entry["index"]] = float(score)
        except (KeyError, TypeError, ValueError, IndexError):
            scores[:] = np.nan
        if np.isnan(scores).any():
            raise RerankerError(
                f"The server at {self._url} did not give a score for each passage. "
                f"Check that {self._model} is a reranker, or set PARLEY_RERANKER to none."
            )
        return scores

    def _explained(self, error: ServerError) -> str:
        detail = f" ({error.detail})" if error.detail else ""
        return (
            f"The server at {self._url} does not rerank with {self._model!r}: HTTP {error.status}{detail}. "
            "Check PARLEY_RERANKER and PARLEY_LLM_URL."
        )
