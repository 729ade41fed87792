"""Requests to an OpenAI-compatible server: a stream of events that can be cut at any moment, or one answer.

It knows HTTP, server-sent events, and when a second try may help; it does not know what an event means.
"""

from __future__ import annotations

import ipaddress
import json
import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from rag.cancel import LONGEST_HOLD, Cancelled, CancelToken, current
from rag.llms.errors import ServerError
from rag.llms.hub import within

MAX_EVENT = 1 << 20  # bytes; a longer line is not an event
DONE = "[DONE]"
LATER = (429, 502, 503, 504)  # busy; or not up yet, behind a proxy or while it loads its model
RETRY_AFTER = 0.5  # seconds, where the server does not say
LONGEST_RETRY = 4.0  # seconds that somebody who has asked is kept waiting for a second try


@dataclass(frozen=True)
class Timeouts:
    """Seconds a server may take."""

    connect: float = 5.0
    first: float = 120.0  # to the first event: it may load a model, or read a long prompt
    stall: float = 30.0  # between two events


class Exchange:
    """A POST in its own thread, read as an iterator of JSON events.

    Used as a context manager: leaving it cuts the connection. `cut` may be called from any thread, at any
    moment; the reader then raises `Cancelled` at once, whatever the request was waiting for (a name, a
    connection, headers, an event). While `token` is held nothing is read and no time-out runs. `done` tells
    whether the server said that the stream is complete.
    """

    def __init__(self, url: str, payload: dict[str, Any], key: SecretStr | None, timeouts: Timeouts) -> None:
        self.done = False
        self.token = CancelToken()
        self._url = url
        self._payload = payload
        self._key = key
        self._timeouts = timeouts
        self._events: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)

    def __enter__(self) -> Exchange:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        patience = self._timeouts.first
        while True:
            event = self._next(patience)
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            yield event
            patience = self._timeouts.stall

    def _next(self, patience: float) -> dict[str, Any] | BaseException | None:
        """What the thread tells next; a server that was not read from meanwhile has all its time again."""
        while True:
            self.token.wait_while_held()
            holds = self.token.holds
            try:
                event = self._events.get(timeout=patience)
            except queue.Empty:
                if self.token.holds == holds:
                    raise _stalled(self._url, patience) from None
                continue
            self.token.wait_while_held()
            return event

    def cut(self) -> None:
        """Shut the connection down and wake the reader."""
        self._events.put(Cancelled())  # before the shutdown, whose errors are none of the reader's business
        self.token.cancel()
        with self._lock:
            self._cut = True
            if self._socket is not None:
                with suppress(OSError):  # already closed
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        """Told by httpcore of each step: keeps the socket, so that `cut` can reach it."""
        if name not in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            return
        with self._lock:
            self._socket = info["return_value"].get_extra_info("socket")
        if self._cut:
            raise Cancelled

    def _run(self) -> None:
        try:
            self._receive()
            self._events.put(None)
        except Cancelled:
            return  # `cut` has told the reader
        except Exception as error:  # reported: the reader raises it
            self._events.put(explained(self._url, error))

    def _receive(self) -> None:
        longest = max(self._timeouts.first, self._timeouts.stall) + LONGEST_HOLD  # the reader's come first
        with (
            _client(self._url, self._timeouts.connect, longest) as client,
            client.stream(
                "POST",
                self._url,
                json=self._payload,
                headers=_headers(self._key) | {"Accept": "text/event-stream"},
                extensions={"trace": self._trace},
            ) as response,
        ):
            _check(self._url, response)
            for data in events(response.iter_bytes()):
                self.token.wait_while_held()
                if data == DONE:
                    self.done = True
                    return
                self._events.put(_parsed(self._url, data))


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each server-sent event (WHATWG HTML, 9.2), however the bytes were cut.

    Only "\\n", "\\r\\n" and "\\r" end a line: a U+2028 inside JSON does not, unlike in `str.splitlines`.
    """
    data: list[str] = []
    for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        held = rest + chunk
        # A "\r" at the end may be half of "\r\n": it waits for the next chunk.
        tail = b"\r" if held.endswith(b"\r") else b""
        whole = held[: len(held) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = whole.split(b"\n")
        yield from lines
        rest += tail
        if len(rest) > MAX_EVENT:
            raise ValueError("an event without end")
    yield from rest.replace(b"\r", b"\n").split(b"\n")


def _parsed(url: str, data: str) -> dict[str, Any]:
    event = json.loads(data)
    if not isinstance(event, dict):
        raise ValueError("an event that is not an object")
    if error := event.get("error"):
        raise ServerError(f"The model server at {url} failed while it answered: {_brief(error)}. Ask again.")
    return event


def ask(url: str, key: SecretStr | None, timeouts: Timeouts) -> bytes:
    """GET within the connect timeout; raises `ServerError`."""
    return _answered("GET", url, key, timeouts.connect, timeouts.connect)


def post(url: str, payload: dict[str, Any], key: SecretStr | None, timeouts: Timeouts) -> Any:
    """The JSON that a POST answers with, tried twice where that may help.

    Raises `ServerError`, and `Cancelled` where the current token is set while it waits for the second try.
    """
    try:
        return _posted(url, payload, key, timeouts)
    except ServerError as error:
        if not wait_to_retry(error):
            raise
    return _posted(url, payload, key, timeouts)


def wait_to_retry(error: ServerError) -> bool:
    """Whether to ask once more, after a moment. Raises `Cancelled` where the current token is set in it."""
    if error.retry_after is None or error.retry_after > LONGEST_RETRY:
        return False
    if current().wait(error.retry_after):
        raise Cancelled
    return True


def _posted(url: str, payload: dict[str, Any], key: SecretStr | None, timeouts: Timeouts) -> Any:
    content = _answered("POST", url, key, timeouts.connect, timeouts.first, payload)
    try:
        return json.loads(content)
    except ValueError as error:
        raise explained(url, error) from error


def _answered(
    method: str,
    url: str,
    key: SecretStr | None,
    connect: float,
    read: float,
    payload: dict[str, Any] | None = None,
) -> bytes:
    def answered() -> bytes:
        with _client(url, connect, read) as client:
            response = client.request(method, url, headers=_headers(key), json=payload)
            _refuse(url, response)
            return response.content

    try:
        return within(connect + read, answered)
    except Exception as error:
        raise explained(url, error) from error


def _client(url: str, connect: float, read: float) -> httpx.Client:
    """No redirects: a server on this machine must not send the documents elsewhere. No proxy to it either."""
    here = is_loopback(urlsplit(url).hostname or "")
    return httpx.Client(
        timeout=httpx.Timeout(read, connect=connect),
        trust_env=not here,
        verify=url.startswith("https:"),
        follow_redirects=False,
    )


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, without asking a name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _headers(key: SecretStr | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}


def _check(url: str, response: httpx.Response) -> None:
    """Refuse what is not a stream of events."""
    if response.status_code != 200:
        response.read()
    _refuse(url, response)
    kind = response.headers.get("content-type", "")
    if "text/event-stream" not in kind:
        raise ServerError(
            f"{url} answered with {kind.split(';')[0] or 'nothing known'} instead of a stream of tokens. "
            "Check that PARLEY_LLM_URL is an OpenAI-compatible server's address, usually ending in /v1."
        )


def _refuse(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    detail = _detail(response)
    remedies = {
        401: "It refuses the key: set PARLEY_LLM_KEY.",
        403: "The key has no access to this model: set another PARLEY_LLM_KEY, or another model.",
        404: "It knows no such model or path: check PARLEY_LLM_URL (usually ends in /v1), name the model "
        "with PARLEY_LLM=remote:NAME.",
        429: "It is busy or your quota is used up: wait a moment and ask again.",
        503: "It is busy, or still loading its model: wait a moment and ask again.",
    }
    remedy = remedies.get(status, "Look at its log." if status >= 500 else "Check its address and the model.")
    said = f" ({detail})" if detail else ""
    message = f"The model server at {url} answered HTTP {status}{said}. {remedy}"
    raise ServerError(message, status, detail, transient=status in LATER, retry_after=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """When to ask again (RFC 9110, 10.2.3); of a server that is busy, only if it says so in seconds."""
    said = response.headers.get("retry-after", "").strip()
    if response.status_code not in LATER or (said and not said.isdecimal()):
        return None
    if said:
        return max(float(said), RETRY_AFTER)
    return None if response.status_code == 429 else RETRY_AFTER


def _detail(response: httpx.Response) -> str:
    """What the server says of its refusal, in one short line."""
    try:
        body = response.json()
    except ValueError:
        return ""
    return _brief(body.get("error", body) if isinstance(body, dict) else body)


def _brief(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or ""
    return " ".join(str(error).split())[:200]


def _stalled(url: str, seconds: float) -> ServerError:
    return ServerError(
        f"The model server at {url} sent nothing for {seconds:.0f} seconds. It may be busy: ask again later.",
        transient=True,
    )


def explained(url: str, error: Exception) -> Exception:
    """An error of the connection as the person should read it."""
    if isinstance(error, ServerError):
        return error
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        message = f"The model server at {url} cannot be reached. Is it running? Check PARLEY_LLM_URL."
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        message = f"The model server at {url} took too long to answer. It may be busy: ask again later."
    elif isinstance(error, httpx.HTTPError):
        message = f"The connection to the model server at {url} broke off. Ask again."
    elif isinstance(error, ValueError):
        message = f"The model server at {url} sent something that is not an answer. Check PARLEY_LLM_URL."
    else:
        message = f"The request to the model server at {url} failed ({type(error).__name__}). Ask again."
    refused = isinstance(error, httpx.ConnectError)
    transient = isinstance(error, httpx.TransportError | TimeoutError)
    wrapped = ServerError(message, transient=transient, retry_after=RETRY_AFTER if refused else None)
    wrapped.__cause__ = error
    return wrapped
