"""Who may come in: sign-in, the page's headers, and which of Gradio's routes exist.

It stands before everything, HTTP and WebSocket, so that a route is closed until it is opened here. It does
not know what the routes do.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.openai_errors import api_error

SESSION, BROWSER = "parley_session", "parley_browser"
METRICS, API = "/metrics", "/v1/"
SESSION_SECONDS = 30 * 24 * 3600
SIGNED_OUT = 4401  # closes a socket, or refuses one: its person has to sign in first
_TRIES, _TRIES_SECONDS = 10, 60.0  # failed sign-ins of one address
_OPEN = ("/health", "/login", "/parley/login.css")
# What Gradio's page loads. Its upload, file, proxy, queue, info and history routes stay closed.
_GRADIO = ("/assets/", "/static/", "/theme.css", "/favicon.ico", "/manifest.json", "/pwa_icon")
_OWN = ("/api/", API, "/parley/", "/voice/", "/health", "/login", "/logout")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "600",
}
MAX_BODY = 64 << 10  # bytes of any body but those of the routes below, which have limits of their own
_LARGE_BODIES = {
    *("/api/library/files", "/api/transcribe"),
    *("/api/evaluation/sets", "/api/evaluation/read"),
}


class Guard:
    """ASGI middleware. A request that passes has `scope["owner"]`: whose conversations it may see.

    Over HTTPS its cookies have other names: no plain page can replace a cookie that came over HTTPS, so
    with one name for both nobody could sign in again once HTTPS is off.

    Args:
        users: user → password; empty: nobody needs to sign in.
        local_only: answer only to names of this machine and to `hosts`, so that no other site's name can be
            made to lead here.
        hosts: the names under which a reverse proxy serves the page. They count as this server's own, also as
            the origin of a request whose Host the proxy has rewritten.
        api_key: what a client of the API shows; empty: only this machine may use it, where nobody signs in.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        users: Mapping[str, str],
        local_only: bool,
        hosts: Collection[str] = (),
        api_key: str = "",
    ) -> None:
        self._app, self._users, self._local_only = app, dict(users), local_only
        self._api_key = api_key
        self._hosts = {host.casefold() for host in hosts}
        self._sessions = Sessions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope)
        answer = self._refusal(visit)
        if answer is None and scope["type"] == "http":
            answer = await self._own_answer(visit, receive)
        if answer is None and visit.has_small_body:
            received = await _received(visit.headers, receive, MAX_BODY)
            if received is None:
                answer = _error(413, "This request is too large. Make the text shorter.")
            else:
                receive = _again(received, receive)
        if answer is not None:
            await _refuse(answer, scope, receive, _with_headers(send, visit))
            return
        if scope["type"] == "websocket" and self._users:
            await self._while_signed_in(visit, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send, visit))

    async def _while_signed_in(self, visit: _Visit, receive: Receive, send: Send) -> None:
        """A socket, until its page leaves or its session is signed out, which to the app is the same."""
        with self._sessions.watched(visit.session) as signed_out:
            until = _Until(receive, signed_out)
            try:
                await self._app(visit.scope, until.receive, _with_headers(send, visit))
            finally:
                until.stop()
        if until.reached:
            await send({"type": "websocket.close", "code": SIGNED_OUT})

    async def _own_answer(self, visit: _Visit, receive: Receive) -> Response | None:
        """What signing in and out answer; None for all else."""
        if visit.path == "/login" and self._users:
            return await self._sign_in(visit, Request(visit.scope, receive))
        if visit.path == "/logout":
            return self._sign_out(visit)
        return None

    def _refusal(self, visit: _Visit) -> Response | None:
        """Why this request goes no further; None if it does. Names the owner on the way."""
        if self._local_only and not _is_loopback(visit.host) and visit.host not in self._hosts:
            return visit.error(421, "Parley serves this machine alone. Open it as 127.0.0.1 or localhost.")
        if visit.is_api:
            return self._api_refusal(visit)
        if visit.cross_origin and _host_of(visit.headers["origin"]) not in self._hosts:
            return _error(403, "This request comes from another site's page. Open Parley's own page.")
        if not visit.exists:
            return _error(404, "There is nothing at this address.")
        user = self._sessions.user(visit.session)
        if self._users:
            if user is None and visit.path == METRICS:
                return self._metrics_refusal(visit)
            visit.scope["owner"] = f"user:{user}"
            if user is None and visit.path not in _OPEN:
                return (
                    RedirectResponse("/login", 303)
                    if visit.path == "/"
                    else _error(401, "Sign in first: /login.")
                )
            return None
        visit.scope["owner"] = f"browser:{visit.browser}"
        return None

    def _api_refusal(self, visit: _Visit) -> Response | None:
        """A program shows its key with each request; the page's cookies count for nothing here.

        With the right key a request may come from any site's page, since no browser adds a key by itself.
        """
        visit.scope["owner"] = "api"
        visit.any_origin = bool(self._api_key)
        if self._api_key:
            if visit.scope.get("method") == "OPTIONS":  # a browser asks whether it may send the key
                return Response(status_code=204, headers=_PREFLIGHT)
            if not _same(_bearer(visit.headers.get("authorization", "")), self._api_key):
                sent = visit.headers.get("authorization")
                why = "This key is not PARLEY_API_KEY." if sent else "There is no key in this request."
                return visit.error(401, f"{why} Send PARLEY_API_KEY as a bearer token.")
            return None
        if self._users or self._hosts or not self._local_only:
            return visit.error(401, "This server has no key for programs. Start it with PARLEY_API_KEY set.")
        if visit.cross_origin:
            return visit.error(
                403, "This comes from another site's page. Start Parley with PARLEY_API_KEY set."
            )
        return None

    def _metrics_refusal(self, visit: _Visit) -> Response | None:
        """Whoever reads the metrics without a page signs in with each request, by HTTP Basic."""
        address = f"{visit.address} {METRICS}"  # its failures keep no person there from signing in
        user, password = _basic(visit.headers.get("authorization", ""))
        if not self._sessions.may_try(address):
            return _error(429, "Too many tries. Wait a minute, then try again.")
        if self._knows(user, password):
            visit.scope["owner"] = f"user:{user}"
            return None
        if user:
            self._sessions.failed(address)
        response = _error(401, "Name a user and a password of PARLEY_AUTH, by HTTP Basic.")
        response.headers["WWW-Authenticate"] = 'Basic realm="Parley", charset="UTF-8"'
        return response

    async def _sign_in(self, visit: _Visit, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(_login_page(""))
        fields = parse_qs((await _body(request, 4096)).decode("utf-8", "replace"))
        # From here on nothing is awaited, so that tries at the same time are counted one by one.
        if not self._sessions.may_try(visit.address):
            return _login_failure(request, 429, "Too many tries. Wait a minute, then try again.")
        user, password = (fields.get(name, [""])[0] for name in ("username", "password"))
        if not self._knows(user, password):
            self._sessions.failed(visit.address)
            return _login_failure(request, 401, "This user name and password are not valid. Try again.")
        response: Response = (
            RedirectResponse("/", 303) if _wants_html(request) else JSONResponse({"success": True})
        )
        set_cookie(response, SESSION, self._sessions.open(user), secure=visit.secure)
        return response

    def _sign_out(self, visit: _Visit) -> Response:
        if visit.scope["method"] != "POST":  # a link on another site's page signs nobody out
            return _error(405, "Sign out with the button in the settings.")
        self._sessions.forget(visit.session)
        response = RedirectResponse("/login" if self._users else "/", 303)
        response.delete_cookie(_cookie(SESSION, secure=visit.secure), secure=visit.secure, httponly=True)
        return response

    def _knows(self, user: str, password: str) -> bool:
        """Compared in constant time, a user that does not exist as long as one that does."""
        expected = self._users.get(user)
        return _same(password, expected or secrets.token_hex()) and expected is not None


class Sessions:
    """Who has signed in; in memory, so a restart signs everybody out."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}  # digest of the cookie → user, until when
        self._tries: dict[str, list[float]] = {}
        self._watched: dict[str, set[asyncio.Event]] = {}  # digest of the cookie → set when it is forgotten

    def open(self, user: str) -> str:
        """A new session's cookie."""
        now = time.time()
        self._open = {key: entry for key, entry in self._open.items() if entry[1] > now}
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = (user, now + SESSION_SECONDS)
        return token

    def user(self, token: str) -> str | None:
        user, until = self._open.get(_digest(token), ("", 0.0))
        return user if until > time.time() else None

    def forget(self, token: str) -> None:
        self._open.pop(_digest(token), None)
        for forgotten in self._watched.get(_digest(token), ()):
            forgotten.set()

    @contextmanager
    def watched(self, token: str) -> Iterator[asyncio.Event]:
        """An event for as long as somebody watches: the session is forgotten."""
        key, forgotten = _digest(token), asyncio.Event()
        watching = self._watched.setdefault(key, set())
        watching.add(forgotten)
        try:
            yield forgotten
        finally:
            watching.remove(forgotten)
            if not watching:
                del self._watched[key]

    def may_try(self, address: str) -> bool:
        recent = [at for at in self._tries.get(address, ()) if at > time.monotonic() - _TRIES_SECONDS]
        self._tries = {key: tries for key, tries in self._tries.items() if key != address}
        if recent:
            self._tries[address] = recent
        return len(recent) < _TRIES

    def failed(self, address: str) -> None:
        self._tries.setdefault(address, []).append(time.monotonic())


class _Until:
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


class _Visit:
    """What the guard looks at in a request."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.headers = Headers(scope=scope)
        self.cookies = cookie_parser(self.headers.get("cookie", ""))
        self.secure = scope.get("scheme") in {"https", "wss"}
        self.nonce = secrets.token_urlsafe(16)
        self.is_api = self.path.startswith(API)
        self.any_origin = False  # whether another site's page may read the answer
        browser = self.cookies.get(_cookie(BROWSER, secure=self.secure), "")
        self.new_browser = not _is_token(browser)
        plain = self.cookies.get(BROWSER, "")  # of the time before HTTPS: what was said then stays one's own
        self.browser = next((token for token in (browser, plain) if _is_token(token)), "")
        self.browser = self.browser or secrets.token_urlsafe(24)

    def error(self, status: int, message: str) -> Response:
        """A refusal in the shape that whoever asks can read."""
        return api_error(status, message) if self.is_api else _error(status, message)

    @property
    def session(self) -> str:
        """The cookie of a sign-in; empty without."""
        return self.cookies.get(_cookie(SESSION, secure=self.secure), "")

    @property
    def address(self) -> str:
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def host(self) -> str:
        return _host_of(f"//{self.headers.get('host', '')}")

    @property
    def has_small_body(self) -> bool:
        """Whether it is a request with a body that has to be small."""
        if self.scope["type"] != "http" or self.scope["method"] in _SAFE_METHODS:
            return False
        return self.path not in _LARGE_BODIES and not self.is_api

    @property
    def cross_origin(self) -> bool:
        """Whether another site's page makes a request that changes something or opens a socket."""
        if self.scope["type"] == "http" and self.scope["method"] in _SAFE_METHODS:
            return False
        origin = self.headers.get("origin")
        if origin is None:
            return False
        scheme, _, host = origin.partition("://")
        return host != self.headers.get("host") or (self.secure and scheme != "https")

    @property
    def exists(self) -> bool:
        return self.path in {"/", METRICS} or self.path.startswith((*_GRADIO, *_OWN))


def set_cookie(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(
        _cookie(name, secure=secure),
        value,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=secure,
        path="/",
    )


def _cookie(name: str, *, secure: bool) -> str:
    """A cookie's name: with this prefix a browser takes it only from this very host, over HTTPS."""
    return f"__Host-{name}" if secure else name


def _basic(header: str) -> tuple[str, str]:
    """User and password of an Authorization header; empty ones where it has none."""
    kind, _, encoded = header.partition(" ")
    if kind.casefold() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _bearer(header: str) -> str:
    """The key of an Authorization header; empty where it has none."""
    kind, _, key = header.partition(" ")
    return key.strip() if kind.casefold() == "bearer" else ""


def _same(given: str, right: str) -> bool:
    """Compared in constant time."""
    digests = (hashlib.sha256(text.encode()).digest() for text in (given, right))
    return hmac.compare_digest(*digests)


def _with_headers(send: Send, visit: _Visit) -> Send:
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


def _add_headers(headers: MutableHeaders, visit: _Visit) -> None:
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


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": SIGNED_OUT if response.status_code == 401 else 4403})
        return
    await response(scope, receive, send)


async def _body(request: Request, limit: int) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            return b""
    return body


async def _received(headers: Headers, receive: Receive, limit: int) -> list[Message] | None:
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


def _again(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives these messages first."""
    waiting = iter(messages)

    async def received() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return received


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _login_failure(request: Request, status: int, message: str) -> Response:
    if _wants_html(request):
        return HTMLResponse(_login_page(message), status)
    return _error(status, message)


def _login_page(message: str) -> str:
    alert = f'<p role="alert">{escape(message)}</p>' if message else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · Parley</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/parley/login.css"></head><body><form method="post" action="/login">'
        f"<h1>Parley</h1><p>Talk with your documents.</p>{alert}"
        '<label>User name<input name="username" autocomplete="username" required autofocus></label>'
        '<label>Password<input name="password" type="password" autocomplete="current-password" required>'
        "</label>"
        "<button>Sign in</button></form></body></html>"
    )


def _host_of(address: str) -> str:
    """The host name in an address; "" where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_token(value: str) -> bool:
    return len(value) == 32 and value.replace("-", "").replace("_", "").isalnum()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
