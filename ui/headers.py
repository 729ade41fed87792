"""The headers that every answer has, and the mark of the page's own scripts.

They keep the page to itself: nothing from another origin, in no other site's frame. Nothing is known here of
what is answered.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

from ui.cookies import BROWSER, set_cookie
from ui.visit import API, METRICS, Visit


def with_headers(send: Send, visit: Visit) -> Send:
    """Put the headers that every answer has on what is sent; on the page itself also the nonce."""
    page = visit.scope["type"] == "http" and visit.path == "/" and visit.scope["method"] == "GET"
    pending: list[Message] = []

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add_headers(MutableHeaders(scope=message), visit)
            if page:
                pending.append(message)
                return
        if pending and message["type"] == "http.response.body":
            pending.append(message)
            if message.get("more_body"):
                return
            for whole in _with_nonce(pending, visit.nonce):
                await send(whole)
            return
        await send(message)

    return wrapped


def _add_headers(headers: MutableHeaders, visit: Visit) -> None:
    headers["Content-Security-Policy"] = _policy(visit.nonce)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "SAMEORIGIN"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "microphone=(self), camera=(), geolocation=()"
    if visit.path.startswith(("/api/", API)) or visit.path == METRICS:
        headers.setdefault("Cache-Control", "no-store")
    if visit.any_origin:
        headers["Access-Control-Allow-Origin"] = "*"
    if visit.path == "/" and visit.new_browser:
        cookie = Response()
        set_cookie(cookie, BROWSER, visit.browser, secure=visit.secure)
        headers.append("Set-Cookie", cookie.headers["set-cookie"])


def _policy(nonce: str) -> str:
    """Nothing from another origin, and no inline script that was not in the page when it was sent.

    Gradio's components set styles inline. Nothing here needs 'unsafe-eval': it is there for tools that drive
    the page, which cannot wait for a condition without it. No code of the page evaluates text.
    """
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
        "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self'"
    )


def _with_nonce(messages: list[Message], nonce: str) -> list[Message]:
    """The page's HTML as one message, its own scripts marked as allowed."""
    start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
    body = body.replace(b"<script", b'<script nonce="' + nonce.encode() + b'"')
    headers = MutableHeaders(scope=start)
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-store"
    messages.clear()
    return [start, {"type": "http.response.body", "body": body}]
