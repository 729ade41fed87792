"""What a request or a socket receives: up to a limit, once more, or until its person signs out.

It does not know what is received.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive

SIGNED_OUT = 4401  # closes a socket, or refuses one: its person has to sign in first


class Until:
    """A socket's `receive` that says the page has left as soon as an event is set."""

    def __init__(self, receive: Receive, event: asyncio.Event) -> None:
        self.reached = False
        self._receive = receive
        self._waiting = asyncio.ensure_future(event.wait())

    async def receive(self) -> Message:
        arriving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({arriving, self._waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not arriving.done():
                arriving.cancel()
        if arriving.done():
            message = arriving.result()
            if message["type"] != "websocket.receive" or not self._waiting.done():
                return message
        self.reached = True
        return {"type": "websocket.disconnect", "code": SIGNED_OUT}

    def stop(self) -> None:
        self._waiting.cancel()


async def body(request: Request, limit: int) -> bytes:
    """A request's body; empty where it is larger than `limit` bytes."""
    taken = b""
    async for piece in request.stream():
        taken += piece
        if len(taken) > limit:
            return b""
    return taken


async def bounded(headers: Headers, receive: Receive, limit: int) -> list[Message] | None:
    """The messages of a request's body; None once it is larger than `limit` bytes."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        return None
    messages: list[Message] = []
    taken = 0
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
        taken += len(messages[-1].get("body", b""))
        if taken > limit:
            return None
    return messages


def replayed(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives these messages first."""
    waiting = iter(messages)

    async def next_one() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return next_one
