"""Signing in, by the form or with each request, and out again. It does not know what that opens."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive

from ui.cookies import SESSION, cookie_name, set_cookie
from ui.credentials import basic, same
from ui.receiving import body
from ui.sessions import Sessions
from ui.visit import METRICS, Visit
from ui.web_io import refuse


class SignIn:
    """The people who may sign in, `users`: user → password, and those who have. Empty: nobody needs to."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._sessions = Sessions()

    @property
    def needed(self) -> bool:
        return bool(self._users)

    def user(self, visit: Visit) -> str | None:
        return self._sessions.user(visit.session)

    def signed_out(self, visit: Visit) -> AbstractContextManager[asyncio.Event]:
        """An event for as long as somebody watches: this visit's person has signed out."""
        return self._sessions.watched(visit.session)

    async def answer(self, visit: Visit, receive: Receive) -> Response | None:
        """What signing in and out answer; None for all else."""
        if visit.path == "/login" and self.needed:
            return await self._sign_in(visit, Request(visit.scope, receive))
        if visit.path == "/logout":
            return self._sign_out(visit)
        return None

    def metrics_refusal(self, visit: Visit) -> Response | None:
        """Whoever reads the metrics without a page signs in with each request, by HTTP Basic."""
        address = f"{visit.address} {METRICS}"  # its failures keep no person there from signing in
        user, password = basic(visit.headers.get("authorization", ""))
        if not self._sessions.may_try(address):
            return refuse(429, "Too many tries. Wait a minute, then try again.")
        if self._knows(user, password):
            visit.scope["owner"] = f"user:{user}"
            return None
        if user:
            self._sessions.failed(address)
        response = refuse(401, "Name a user and a password of PARLEY_AUTH, by HTTP Basic.")
        response.headers["WWW-Authenticate"] = 'Basic realm="Parley", charset="UTF-8"'
        return response

    async def _sign_in(self, visit: Visit, request: Request) -> Response:
        if request.method != "POST":
            return HTMLResponse(_login_page(""))
        fields = parse_qs((await body(request, 4096)).decode("utf-8", "replace"))
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

    def _sign_out(self, visit: Visit) -> Response:
        if visit.scope["method"] != "POST":  # a link on another site's page signs nobody out
            return refuse(405, "Sign out with the button in the settings.")
        self._sessions.forget(visit.session)
        response = RedirectResponse("/login" if self._users else "/", 303)
        response.delete_cookie(cookie_name(SESSION, secure=visit.secure), secure=visit.secure, httponly=True)
        return response

    def _knows(self, user: str, password: str) -> bool:
        """Compared in constant time, a user that does not exist as long as one that does."""
        expected = self._users.get(user)
        return same(password, expected or secrets.token_hex()) and expected is not None


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _login_failure(request: Request, status: int, message: str) -> Response:
    if _wants_html(request):
        return HTMLResponse(_login_page(message), status)
    return refuse(status, message)


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
