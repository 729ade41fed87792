"""Who may come in: each request and each socket, before anything else sees it.

A route is closed until it is opened (`ui.visit`). It does not know what the routes do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.credentials import bearer, same
from ui.headers import with_headers
from ui.receiving import SIGNED_OUT, Until, bounded, replayed
from ui.sign_in import SignIn
from ui.visit import METRICS, Visit
from ui.web_io import refuse

# Served to whoever has not signed in.
_OPEN = ("/health", "/login", "/parley/login.css")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Max-Age": "600",
}
MAX_BODY = 64 << 10  # bytes of a body that has to be small (`Visit.has_small_body`)


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
        self._app, self._local_only = app, local_only
        self._api_key = api_key
        self._hosts = {host.casefold() for host in hosts}
        self._sign_in = SignIn(users)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        visit = Visit(scope)
        answer = self._refusal(visit)
        if answer is None and scope["type"] == "http":
            answer = await self._sign_in.answer(visit, receive)
        if answer is None and visit.has_small_body:
            messages = await bounded(visit.headers, receive, MAX_BODY)
            if messages is None:
                answer = refuse(413, "This request is too large. Make the text shorter.")
            else:
                receive = replayed(messages, receive)
        if answer is not None:
            await _end(answer, scope, receive, with_headers(send, visit))
            return
        if scope["type"] == "websocket" and self._sign_in.needed:
            await self._while_signed_in(visit, receive, send)
        else:
            await self._app(scope, receive, with_headers(send, visit))

    async def _while_signed_in(self, visit: Visit, receive: Receive, send: Send) -> None:
        """A socket, until its page leaves or its session is signed out, which to the app is the same."""
        with self._sign_in.signed_out(visit) as signed_out:
            until = Until(receive, signed_out)
            try:
                await self._app(visit.scope, until.receive, with_headers(send, visit))
            finally:
                until.stop()
        if until.reached:
            await send({"type": "websocket.close", "code": SIGNED_OUT})

    def _refusal(self, visit: Visit) -> Response | None:
        """Why this request goes no further; None if it does. Names the owner on the way."""
        if self._local_only and not _is_loopback(visit.host) and visit.host not in self._hosts:
            return visit.error(421, "Parley serves this machine alone. Open it as 127.0.0.1 or localhost.")
        if visit.is_api:
            return self._api_refusal(visit)
        if visit.cross_origin and visit.origin_host not in self._hosts:
            return refuse(403, "This request comes from another site's page. Open Parley's own page.")
        if not visit.exists:
            return refuse(404, "There is nothing at this address.")
        user = self._sign_in.user(visit)
        if self._sign_in.needed:
            if user is None and visit.path == METRICS:
                return self._sign_in.metrics_refusal(visit)
            visit.scope["owner"] = f"user:{user}"
            if user is None and visit.path not in _OPEN:
                return (
                    RedirectResponse("/login", 303)
                    if visit.path == "/"
                    else refuse(401, "Sign in first: /login.")
                )
            return None
        visit.scope["owner"] = f"browser:{visit.browser}"
        return None

    def _api_refusal(self, visit: Visit) -> Response | None:
        """A program shows its key with each request; the page's cookies count for nothing here.

        With the right key a request may come from any site's page, since no browser adds a key by itself.
        """
        visit.scope["owner"] = "api"
        visit.any_origin = bool(self._api_key)
        if self._api_key:
            if visit.scope.get("method") == "OPTIONS":  # a browser asks whether it may send the key
                return Response(status_code=204, headers=_PREFLIGHT)
            if not same(bearer(visit.headers.get("authorization", "")), self._api_key):
                sent = visit.headers.get("authorization")
                why = "This key is not PARLEY_API_KEY." if sent else "There is no key in this request."
                return visit.error(401, f"{why} Send PARLEY_API_KEY as a bearer token.")
            return None
        if self._sign_in.needed or self._hosts or not self._local_only:
            return visit.error(401, "This server has no key for programs. Start it with PARLEY_API_KEY set.")
        if visit.cross_origin:
            return visit.error(
                403, "This comes from another site's page. Start Parley with PARLEY_API_KEY set."
            )
        return None


async def _end(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": SIGNED_OUT if response.status_code == 401 else 4403})
        return
    await response(scope, receive, send)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
