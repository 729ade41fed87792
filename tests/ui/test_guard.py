"""The guard over HTTPS: cookies that only HTTPS carries, the way back to HTTP, who may open a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.ui.scripted import Script
from ui.cookies import BROWSER, SESSION
from ui.receiving import SIGNED_OUT
from ui.web import build_ui

PLAIN, SECURE = "http://127.0.0.1", "https://127.0.0.1"
SOCKET = "ws://127.0.0.1/voice/ws"
ADA = {"username": "ada", "password": "engine"}


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
def app(script: Script) -> FastAPI:
    return build_ui(script.services())


@pytest.fixture
def closed(script: Script) -> FastAPI:
    """With sign-in."""
    script.users = {"ada": "engine"}
    return build_ui(script.services())


@pytest.fixture
def secure(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=SECURE) as client:
        yield client


def test_cookies_over_https_never_leave_it(secure: TestClient) -> None:
    cookie = secure.get("/").headers["set-cookie"]
    assert cookie.startswith(f"__Host-{BROWSER}=")
    for part in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
        assert part in cookie
    assert "Domain" not in cookie
    assert "set-cookie" not in secure.get("/").headers  # it is known by now


def test_who_signed_in_over_https_can_sign_in_without_it_too(closed: FastAPI) -> None:
    """A browser takes no plain cookie in place of a secure one of the same name, and sends none of those."""
    with TestClient(closed, base_url=SECURE) as client:
        over_https = client.post("/login", data=ADA).headers["set-cookie"]
        assert client.get("/api/state").status_code == 200
        gone = client.post("/logout", follow_redirects=False).headers["set-cookie"]
        assert client.get("/api/state").status_code == 401
    assert gone.startswith(f'__Host-{SESSION}=""')
    assert "Secure" in gone  # else the browser keeps the cookie
    with TestClient(closed, base_url=PLAIN) as client:
        plain = client.post("/login", data=ADA).headers["set-cookie"]
        assert plain.partition("=")[0] != over_https.partition("=")[0]
        assert "Secure" not in plain
        assert client.get("/api/state").status_code == 200


def test_signing_out_closes_the_sockets_of_this_session_and_no_others(closed: FastAPI) -> None:
    with TestClient(closed, base_url=PLAIN) as client:
        cookies = []
        for _ in range(2):  # two browsers of one person
            client.post("/login", data=ADA)
            cookies.append({"cookie": f"{SESSION}={client.cookies[SESSION]}"})
            client.cookies.clear()
        gone, stays = cookies
        with (
            client.websocket_connect(SOCKET, headers=gone) as first,
            client.websocket_connect(SOCKET, headers=gone) as second,
            client.websocket_connect(SOCKET, headers=stays) as other,
        ):
            for socket in (first, second, other):
                assert socket.receive_json()["type"] == "key"
            client.post("/logout", headers=gone, follow_redirects=False)
            for socket in (first, second):
                with pytest.raises(WebSocketDisconnect) as closing:
                    socket.receive_json()
                assert closing.value.code == SIGNED_OUT
            other.send_json({"type": "talk", "rate": 1})
            assert other.receive_json()["type"] == "refused"
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers=gone):
            pass


def test_a_session_cookie_without_https_counts_for_nothing_over_it(closed: FastAPI) -> None:
    with TestClient(closed, base_url=PLAIN) as client:
        client.post("/login", data=ADA)
        stolen = client.cookies[SESSION]
    with TestClient(closed, base_url=SECURE) as client:
        assert client.get("/api/state", headers={"cookie": f"{SESSION}={stolen}"}).status_code == 401


def test_conversations_stay_ones_own_when_https_comes(app: FastAPI) -> None:
    with TestClient(app, base_url=PLAIN) as client:
        client.get("/")
        conversation = client.post("/api/conversations").json()["id"]
        before = {"cookie": f"{BROWSER}={client.cookies[BROWSER]}"}
        secured = client.get(f"{SECURE}/", headers=before)
        assert client.get(f"{SECURE}/api/conversations/{conversation}", headers=before).status_code == 200
    assert f"__Host-{BROWSER}={before['cookie'].partition('=')[2]};" in secured.headers["set-cookie"]


def test_only_its_own_https_page_may_change_and_listen(secure: TestClient) -> None:
    secure.get("/")
    socket_url, own = "wss://127.0.0.1/voice/ws", {"origin": SECURE}
    assert secure.post("/api/conversations", headers=own).status_code == 200
    with secure.websocket_connect(socket_url, headers=own) as socket:
        assert socket.receive_json()["type"] == "key"
    for origin in ("http://127.0.0.1", "https://127.0.0.1:444", "https://example.org", "null", ""):
        foreign = {"origin": origin}
        assert secure.post("/api/conversations", headers=foreign).status_code == 403
        with (
            pytest.raises(WebSocketDisconnect) as refusal,
            secure.websocket_connect(socket_url, headers=foreign),
        ):
            pass
        assert refusal.value.code == 4403


def test_a_proxy_that_ends_https_in_front_is_no_other_site(app: FastAPI) -> None:
    with TestClient(app, base_url=PLAIN) as client:
        assert client.post("/api/conversations", headers={"origin": SECURE}).status_code == 200


def test_no_browser_is_told_to_insist_on_https(secure: TestClient) -> None:
    assert "strict-transport-security" not in secure.get("/").headers
