"""Stopping the server while a page is on its way out."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket

from serving.certificates import certificate
from tests.browser.serving import serve

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe9"  # going away


def test_a_page_that_is_leaving_does_not_keep_the_app_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        ended.append(True)

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def hold(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    files = certificate("auto", tmp_path, "127.0.0.1")
    assert files is not None
    context = ssl.create_default_context(cafile=str(files[0]))
    with serve(app, files) as url:
        raw = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)
        page = context.wrap_socket(raw, server_hostname="localhost")
        page.sendall(UPGRADE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += page.recv(4096)
        assert b" 101 " in answer
        page.sendall(CLOSE)
        assert page.recv(2)[0] == 0x88  # the server has closed its end, and waits for this one
        stop = uvicorn.Server.shutdown

        async def stop_then_leave(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
            asyncio.get_running_loop().call_soon(page.close)  # when all connections have been told to close
            await stop(server, sockets)

        monkeypatch.setattr(uvicorn.Server, "shutdown", stop_then_leave)
    assert ended == [True]
