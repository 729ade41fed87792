"""Model servers on loopback: a real one over a local model, and one that fails as scripted."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import convert_to_messages

from rag.cancel import Cancelled, CancelToken, scope

Script = Callable[[socket.socket, str], object]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(text: str = "", finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


@contextmanager
def scripted(script: Script, port: int = 0) -> Iterator[str]:
    """A server that hands each connection and its whole request to `script`, then closes it."""
    listener = socket.create_server(("127.0.0.1", port))
    threads: list[threading.Thread] = []

    def serve() -> None:
        with suppress(OSError):  # the listener was closed: the end
            while True:
                connection, _ = listener.accept()
                thread = threading.Thread(target=answer, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client may leave at any moment
            script(connection, read_request(connection))

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(5)


def read_request(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


def reply(status: str, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


@contextmanager
def serving(llm: BaseChatModel, name: str, seen: list[dict[str, Any]]) -> Iterator[str]:
    """A real HTTP server in front of a model; it stops the model when the client leaves."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "max_model_len": 4096}]})

    async def chat(request: Request) -> Response:
        body = await request.json()
        seen.append({"body": body, "headers": dict(request.headers)})
        return StreamingResponse(answer(body), media_type="text/event-stream")

    async def answer(body: dict[str, Any]) -> AsyncIterator[bytes]:
        token = CancelToken()
        bound = llm.model_copy(update={"max_new_tokens": body["max_tokens"]})
        try:
            with scope(token):
                async for chunk in bound.astream(
                    convert_to_messages(body["messages"]), stop=body.get("stop")
                ):
                    yield event(str(chunk.content))
            yield event(finish="stop")
            yield b"data: [DONE]\n\n"
        except Cancelled:
            seen.append({"stopped": True})
        finally:
            token.cancel()

    app = Starlette(
        routes=[Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
