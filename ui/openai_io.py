"""What the routes of OpenAI's API share: reading, noticing that a client has left, telling what failed.

It does not know what is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from ui.openai_errors import ApiError, api_error
from ui.services import UiError

log = logging.getLogger(__name__)


def known(model: str, *names: str) -> None:
    """Raises ApiError for a model that the route does not have."""
    if model not in names:
        raise ApiError(
            f"The model {model!r} does not exist here. Use {names[0]}.",
            status=404,
            param="model",
            code="model_not_found",
        )


Body = TypeVar("Body", bound=BaseModel)


def read_json(kind: type[Body], body: bytes) -> Body:
    """A request's body; raises ApiError for what is none."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise ApiError("The request's body is not JSON. Send it as application/json.")
    where = ".".join(map(str, first["loc"]))
    raise ApiError(f"{where or 'The request'}: {first['msg']}.", param=where or None)


class ClientLeft(Exception):
    """Nobody waits for the answer any more; not an error, and never shown as one."""


async def while_there(request: Request, work: Awaitable[None]) -> None:
    """Do the work; cancel it and raise ClientLeft as soon as the client has left. The body has been read."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        await working
    finally:
        working.cancel()
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving


class Closing(StreamingResponse):
    """A stream; however it ends, read to its end or left, `close` is called."""

    def __init__(
        self, pieces: AsyncIterator[str] | AsyncIterator[bytes], close: Callable[[], None], **more: Any
    ) -> None:
        super().__init__(pieces, **more)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # in a thread, and not waited for: this task may be on its way out
            asyncio.get_running_loop().run_in_executor(None, self._close)


def answers(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The route's work, with what it raises as OpenAI's API tells it."""

    async def route(request: Request) -> Response:
        try:
            return await work(request)
        except ApiError as error:
            return error.response()
        except UiError as error:  # from reading the body
            return api_error(413, str(error))
        except ClientLeft:
            return api_error(499, "Nobody waits for this any more.")
        except Exception as error:
            log.warning("A program's request failed: %s", type(error).__name__)
            return api_error(500, str(error) or "The request failed. Try again.")

    return route
