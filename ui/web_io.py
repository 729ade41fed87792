"""Reading requests and refusing them, for all routes of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import JSONResponse

from ui.services import UiError


def owner_of(request: Request) -> str:
    """Whose conversations this request may see, as the guard found."""
    return str(request.scope["owner"])


def refuse(status: int, reason: object) -> JSONResponse:
    """An error for the person."""
    return JSONResponse({"error": str(reason)}, status)


async def pieces(request: Request, limit: int, what: str, remedy: str) -> AsyncIterator[bytes]:
    """The request's body piece by piece. Raises UiError once it is larger than `limit` bytes."""
    too_large = UiError(f"{what} is larger than {limit >> 20} MB. {remedy}")
    if int(request.headers.get("content-length") or 0) > limit:
        raise too_large
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > limit:
            raise too_large
        yield piece


async def read_body(request: Request, limit: int, what: str, remedy: str) -> bytes:
    """The whole body, in memory."""
    return b"".join([piece async for piece in pieces(request, limit, what, remedy)])
