"""The two cookies: of somebody who has signed in, and of a browser where nobody needs to.

It does not know what they open.
"""

from __future__ import annotations

from starlette.responses import Response

SESSION, BROWSER = "parley_session", "parley_browser"
SESSION_SECONDS = 30 * 24 * 3600


def set_cookie(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(
        cookie_name(name, secure=secure),
        value,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=secure,
        path="/",
    )


def cookie_name(name: str, *, secure: bool) -> str:
    """A cookie's name: with this prefix a browser takes it only from this very host, over HTTPS."""
    return f"__Host-{name}" if secure else name


def is_token(value: str) -> bool:
    return len(value) == 32 and value.replace("-", "").replace("_", "").isalnum()
