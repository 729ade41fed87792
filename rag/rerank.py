"""A cross-encoder by model name, that reads question and passage together. It does not know the retriever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

_BATCH = 16


class RerankerError(Exception):
    """The reranking model cannot be used; the message says why and what to do."""


class CrossEncoderReranker:
    """Scores passages with a sentence-transformers CrossEncoder, which is loaded at the first use."""

    def __init__(
        self, name: str, *, device: str | None = None, offline: bool = False, token: str | None = None
    ) -> None:
        self.name = name
        self._options: dict[str, Any] = {"device": device, "local_files_only": offline, "token": token}
        self._lock = threading.Lock()
        self._model: Any = None

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


def open_reranker(
    name: str, *, device: str | None = None, offline: bool = False, token: str | None = None
) -> CrossEncoderReranker:
    """The cross-encoder of this name or path. `offline`: only from this machine; `token`: for the hub."""
    return CrossEncoderReranker(name, device=device, offline=offline, token=token)
