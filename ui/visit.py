"""A request as the guard sees it: from where, by whom and for what.

Whether it goes on is the guard's to decide.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from ui.cookies import BROWSER, SESSION, cookie_name, is_token
from ui.openai_errors import api_error
from ui.web_io import refuse

METRICS, API = "/metrics", "/v1/"
# What Gradio's page loads. Its upload, file, proxy, queue, info and history routes stay closed.
_GRADIO = ("/assets/", "/static/", "/theme.css", "/favicon.ico", "/manifest.json", "/pwa_icon")
_OWN = ("/api/", API, "/parley/", "/voice/", "/health", "/login", "/logout")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_LARGE_BODIES = {  # which have limits of their own
    *("/api/library/files", "/api/transcribe"),
    *("/api/evaluation/sets", "/api/evaluation/read"),
}


class Visit:
    """One request, or one socket. Who it belongs to is written into its scope by the guard."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.headers = Headers(scope=scope)
        self.cookies = cookie_parser(self.headers.get("cookie", ""))
        self.secure = scope.get("scheme") in {"https", "wss"}
        self.nonce = secrets.token_urlsafe(16)
        self.is_api = self.path.startswith(API)
        self.any_origin = False  # whether another site's page may read the answer
        browser = self.cookies.get(cookie_name(BROWSER, secure=self.secure), "")
        self.new_browser = not is_token(browser)
        plain = self.cookies.get(BROWSER, "")  # of the time before HTTPS: what was said then stays one's own
        self.browser = next((token for token in (browser, plain) if is_token(token)), "")
        self.browser = self.browser or secrets.token_urlsafe(24)

    def error(self, status: int, message: str) -> Response:
        """A refusal in the shape that whoever asks can read."""
        return api_error(status, message) if self.is_api else refuse(status, message)

    @property
    def session(self) -> str:
        """The cookie of a sign-in; empty without."""
        return self.cookies.get(cookie_name(SESSION, secure=self.secure), "")

    @property
    def address(self) -> str:
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def host(self) -> str:
        return _host_of(f"//{self.headers.get('host', '')}")

    @property
    def origin_host(self) -> str:
        """The host of the page that makes the request; empty where no browser says so."""
        return _host_of(self.headers.get("origin", ""))

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


def _host_of(address: str) -> str:
    """The host name in an address; "" where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
