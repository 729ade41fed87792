"""A cross-encoder, here or behind a server, that reads question and passage together.

It does not know the retriever, nor how a server is asked (`rerank_remote`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.importing import import_transformers
from rag.telling import Notice, tell

log = logging.getLogger(__name__)

_BATCH = 16
REST = 30.0  # seconds that a reranker which failed is left alone


class RerankerError(Exception):
    """The reranking model cannot be used; the message says why and what to do."""


class Reranker(Protocol):
    """`load` raises RerankerError where it cannot be had, as `scores` does where it fails."""

    name: str

    def load(self) -> None: ...

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """(len(passages),), higher is better, on the model's own scale."""


class CrossEncoderReranker:
    """Scores passages with a sentence-transformers CrossEncoder, which is loaded at the first use."""

    def __init__(
        self, name: str, *, device: str | None = None, offline: bool = False, token: str | None = None
    ) -> None:
        self.name = name
        self._options: dict[str, Any] = {"device": device, "local_files_only": offline, "token": token}
        self._lock = threading.Lock()
        self._model: Any = None

    def load(self) -> None:
        """Load it, and see that it scores."""
        self.scores("Does it load?", ["It does."])

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """(len(passages),), higher is better, on the model's own scale. Raises RerankerError."""
        if not passages:
            return np.empty(0, dtype=np.float32)
        with self._lock:
            model = self._model = self._model or self._load()
            pairs = [(question, passage) for passage in passages]
            values = model.predict(pairs, batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(values, dtype=np.float32)

    def _load(self) -> Any:
        import_transformers()
        from sentence_transformers import CrossEncoder

        try:
            model = CrossEncoder(self.name, **self._options)
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("The reranker could not be loaded.", exc_info=error)
            raise RerankerError(self._explain()) from error
        if model.num_labels != 1:
            raise RerankerError(
                f"{self.name} gives {model.num_labels} numbers for a passage, so it is no reranker. "
                "Set PARLEY_RERANKER to a cross-encoder with one, or to none."
            )
        return model

    def _explain(self) -> str:
        looked = (
            "on this machine" if self._options["local_files_only"] else "on this machine or the model hub"
        )
        if Path(self.name).exists():
            return (
                f"{self.name} holds no cross-encoder that can be loaded. "
                "Set PARLEY_RERANKER to another one, or to none."
            )
        return (
            f"The reranker {self.name} was not found {looked}. Check the name, download it while there is a "
            "network, or set PARLEY_RERANKER to none."
        )


class Dispensable:
    """A reranker without which it goes on, too: where it fails, the passages stay in their order.

    The person is told so with that answer (`rag.telling`).
    """

    def __init__(self, reranker: Reranker) -> None:
        self.name = reranker.name
        self.why = ""  # it does not work, in a sentence for the person
        self._reranker = reranker
        self._rests_until = float("-inf")

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """(len(passages),); where it fails, less for each than for the one before."""
        if time.monotonic() >= self._rests_until:
            try:
                scores = self._reranker.scores(question, passages)
            except RerankerError as error:
                self._rests_until = time.monotonic() + REST
                self.why = left_out(error)
            else:
                self.why = ""
                return scores
        tell(Notice(self.why))
        return -np.arange(len(passages), dtype=np.float32)


def left_out(error: RerankerError) -> str:
    return f"{error} The passages are ranked without it."


def open_reranker(
    name: str,
    *,
    device: str | None = None,
    offline: bool = False,
    token: str | None = None,
    url: str = "",
    key: str | None = None,
) -> Reranker:
    """The cross-encoder of this name or path, or "remote:NAME", a model of the server at `url`.

    `offline`: only from this machine; `token`: for the hub; `key`: the server's.
    """
    if name == "remote" or name.startswith("remote:"):
        from rag.rerank_remote import open_remote

        return open_remote(name.partition(":")[2], url, key, offline)
    return CrossEncoderReranker(name, device=device, offline=offline, token=token)
