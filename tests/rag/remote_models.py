"""A server of embeddings and of reranking on loopback, over MiniLM, and a count of shared words."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from typing import Any

import numpy as np

from rag.embeddings import Embedder
from tests.rag.llms.servers import reply


class Models:
    """Answers as vLLM does, unless told otherwise; any connection is a thread of its own.

    fault: what is answered in its place, given the path and the request; None: nothing, it is well.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.encoding, self.style = "float", "vllm"
        self.requests: list[tuple[str, dict[str, Any], str]] = []  # path, body, head
        self.fault: Callable[[str, dict[str, Any]], bytes | None] = lambda path, body: None

    def asked(self, name: str) -> list[dict[str, Any]]:
        return [body for path, body, _ in self.requests if path.endswith(name)]

    def __call__(self, connection: socket.socket, request: str) -> None:
        head, _, text = request.partition("\r\n\r\n")
        path, body = head.split()[1], json.loads(text or "{}")
        self.requests.append((path, body, head))
        answer = self.fault(path, body)
        connection.sendall(self._answer(path, body) if answer is None else answer)

    def _answer(self, path: str, body: dict[str, Any]) -> bytes:
        if path == "/v1/embeddings":
            return _json(self._embeddings(body["input"]))
        ways = {"vllm": ("/v1/rerank", "documents"), "infinity": ("/rerank", "documents")}
        address, name = ways.get(self.style, ("/rerank", "texts"))
        if path != address:
            return reply("404 Not Found", '{"detail": "Not Found"}')
        if name not in body:
            return reply("422 Unprocessable Entity", json.dumps({"error": f"missing field `{name}`"}))
        return _json(self._reranked(body["query"], body[name]))

    def _embeddings(self, texts: list[str]) -> Any:
        rows = 3 * self._embedder.embed_array(texts)  # not of unit length
        entries = [
            {"object": "embedding", "index": n, "embedding": self._coded(r)} for n, r in enumerate(rows)
        ]
        return {"object": "list", "data": entries[::-1], "model": "minilm"}

    def _coded(self, row: Any) -> Any:
        if self.encoding == "base64":
            return base64.b64encode(row.astype("<f4").tobytes()).decode()
        return row.tolist()

    def _reranked(self, query: str, passages: list[str]) -> Any:
        """By how many of the question's words a passage has; best first."""
        words = set(query.lower().strip("?").split())
        scores = [len(words & set(passage.lower().split())) / len(words) for passage in passages]
        order = np.argsort(scores)[::-1]
        name = "relevance_score" if self.style != "tei" else "score"
        results = [{"index": int(place), name: scores[place]} for place in order]
        return results if self.style == "tei" else {"id": "rerank-1", "results": results}


def _json(value: Any) -> bytes:
    return reply("200 OK", json.dumps(value))
