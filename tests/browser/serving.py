"""A server for the browser tests: any ASGI app on a port of this machine, in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from ui.protocol import WebSockets


@contextmanager
def serve(
    app: FastAPI, files: tuple[Path, Path] | None = None, listener: socket.socket | None = None
) -> Iterator[str]:
    """The app's URL while it is served; over HTTPS with the files of a certificate and its key.

    `listener`: where; without one, at a port that is free.
    """
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup()
            started.set()

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1, ws=WebSockets
    )
    if files is not None:
        config.ssl_certfile, config.ssl_keyfile = files
    server = Server(config)
    sockets = [listener.dup()] if listener else None  # the server closes its own
    thread = threading.Thread(target=server.run, args=(sockets,), name="test-server", daemon=True)
    thread.start()
    if not started.wait(30):
        raise RuntimeError("the server did not start")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"{'https' if files else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
