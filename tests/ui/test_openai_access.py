"""Who may use OpenAI's API: with a key, without one, from another site's page, with the page's sign-in."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from tests.ui.api_client import KEY, curl, official
from tests.ui.scripted import ANSWER, Script, served
from tests.ui.test_openai_api import QUESTION, ask
from ui.web import build_ui


def test_a_wrong_key_and_none(with_key: str) -> None:
    url = with_key
    with (
        official(url, "sk-parley-0123456788") as client,
        pytest.raises(openai.AuthenticationError, match="PARLEY_API_KEY") as caught,
    ):
        ask(client)
    body: Any = caught.value.body
    assert body["code"] == "invalid_api_key"
    for path in ("models", "chat/completions", "audio/speech", "anything"):
        assert curl(f"{url}/{path}")[0] == 401
        assert curl(f"{url}/{path}", "-H", f"Authorization: Basic {KEY}")[0] == 401
    assert curl(f"{url}/models", "-H", f"authorization: bearer {KEY}")[0] == 200


def test_without_a_key_it_serves_this_machine(without_key: str, script: Script) -> None:
    with official(without_key, "anything") as client:
        assert ask(client).choices[0].message.content == ANSWER


@pytest.mark.parametrize(
    "given", [{"users": {"ada": "engine"}}, {"local_only": False}, {"hosts": ("talk.example.org",)}]
)
def test_without_a_key_it_serves_nobody_else(script: Script, given: dict[str, Any]) -> None:
    with TestClient(build_ui(served(script, **given)), base_url="http://127.0.0.1") as client:
        for headers in ({}, {"authorization": "Bearer anything"}):
            answer = client.get("/v1/models", headers=headers)
            assert answer.status_code == 401
            assert "Start it with PARLEY_API_KEY" in answer.json()["error"]["message"]


def test_a_signed_in_pages_cookie_opens_nothing_and_a_key_opens_no_page(script: Script) -> None:
    app = build_ui(served(script, api_key=KEY, users={"ada": "engine"}))
    with TestClient(app, base_url="http://127.0.0.1") as page:
        assert page.post("/login", data={"username": "ada", "password": "engine"}).status_code == 200
        assert page.get("/api/state").status_code == 200
        assert page.get("/v1/models").status_code == 401
        page.cookies.clear()
        key = {"authorization": f"Bearer {KEY}"}
        assert page.get("/v1/models", headers=key).status_code == 200
        for path in ("/api/state", "/api/conversations", "/metrics"):
            assert page.get(path, headers=key).status_code == 401


def test_a_foreign_page_needs_the_key(with_key: str, without_key: str, script: Script) -> None:
    foreign = {"origin": "https://app.example.org"}
    body = {"model": "parley", "messages": QUESTION}
    refused = httpx.post(f"{without_key}/chat/completions", json=body, headers=foreign)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    url = with_key
    asks = httpx.options(
        f"{url}/chat/completions", headers=foreign | {"access-control-request-method": "POST"}
    )
    assert (asks.status_code, asks.headers["access-control-allow-origin"]) == (204, "*")
    assert "Authorization" in asks.headers["access-control-allow-headers"]
    answered = httpx.post(
        f"{url}/chat/completions", json=body, headers=foreign | {"authorization": f"Bearer {KEY}"}
    )
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, "*")
    page = url.removesuffix("/v1")
    assert httpx.post(f"{page}/api/conversations", headers=foreign).status_code == 403
    assert "access-control-allow-origin" not in httpx.get(f"{page}/api/state", headers=foreign).headers


def test_another_host_name_is_refused_in_the_same_shape(without_key: str) -> None:
    answer = httpx.get(f"{without_key}/models", headers={"host": "example.org"})
    assert answer.status_code == 421
    assert "this machine alone" in answer.json()["error"]["message"]
