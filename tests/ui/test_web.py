"""The page's routes without a browser: who is let in, what is refused, what is served."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from rag.documents import SUFFIXES
from speech.audio import decode, wav_bytes
from tests.ui.scripted import ANSWER, QUOTE, Heard, Script
from ui.guard import Guard
from ui.services import LibraryItem
from ui.web import build_ui

HOST = "http://127.0.0.1"
SOCKET = "ws://127.0.0.1/voice/ws"  # the client names another host otherwise


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
def client(script: Script) -> Iterator[TestClient]:
    with TestClient(build_ui(script.services()), base_url=HOST) as client:
        client.get("/")
        yield client


@pytest.fixture
def closed(script: Script) -> Iterator[TestClient]:
    """With sign-in."""
    script.users = {"ada": "engine"}
    with TestClient(build_ui(script.services()), base_url=HOST, follow_redirects=False) as client:
        yield client


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for path in ("/", "/health", "/api/state", "/parley/main.js", "/nowhere"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"https?:|\*|script-src[^;]*'unsafe-inline'", policy)


def test_the_pages_own_scripts_carry_the_nonce(client: TestClient) -> None:
    answer = client.get("/")
    nonce = re.search(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
    assert nonce
    assert answer.text.count("<script") == answer.text.count(f'<script nonce="{nonce[1]}"') > 0
    assert f"'nonce-{nonce[1]}'" not in client.get("/").headers["content-security-policy"]


def test_gradios_own_work_routes_are_closed(client: TestClient) -> None:
    for path in ("config", "gradio_api/info", "gradio_api/upload", "gradio_api/queue/join", "monitoring"):
        assert client.get(f"/{path}").status_code == 404
        assert client.post(f"/{path}").status_code == 404
    assert client.get("/gradio_api/file=/etc/passwd").status_code == 404
    assert client.get("/openapi.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/state",
        "/api/conversations",
        "/api/page?source=lighthouse.pdf",
        "/parley/main.js",
        "/theme.css",
    ],
)
def test_sign_in_guards_every_route(closed: TestClient, path: str) -> None:
    assert closed.get(path).status_code in {303, 401}
    assert closed.get("/health").json() == {"status": "ok"}
    assert closed.post("/login", data={"username": "ada", "password": "wrong"}).status_code == 401
    assert closed.post("/login", data={"username": "eve", "password": "engine"}).status_code == 401
    assert closed.get(path).status_code in {303, 401}
    assert closed.post("/login", data={"username": "ada", "password": "engine"}).json() == {"success": True}
    assert closed.get(path).status_code == 200
    assert closed.get("/logout").status_code == 405
    assert closed.get(path).status_code == 200
    closed.post("/logout")
    assert closed.get(path).status_code in {303, 401}


def test_sign_in_guards_what_is_sent_and_the_socket(closed: TestClient) -> None:
    for path in ("/api/transcribe", "/api/library/files?name=x.txt", "/api/conversations", "/api/agree"):
        assert closed.post(path).status_code == 401
    with pytest.raises(WebSocketDisconnect) as refusal, closed.websocket_connect(SOCKET):
        pass
    assert refusal.value.code == 4401


def test_too_many_tries_are_slowed_down(closed: TestClient) -> None:
    wrong = {"username": "ada", "password": "wrong"}
    statuses = [closed.post("/login", data=wrong).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert closed.post("/login", data={"username": "ada", "password": "engine"}).status_code == 429


def test_tries_at_the_same_time_are_slowed_down_too(script: Script) -> None:
    script.users = {"ada": "engine"}
    guard = Guard(build_ui(script.services()), users=script.users, local_only=True)
    statuses: list[int] = []

    async def attempt(all_here: asyncio.Barrier) -> None:
        async def receive() -> Message:
            await all_here.wait()  # every body is still on its way when the last try has begun
            return {"type": "http.request", "body": b"username=ada&password=wrong"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": "/login", "client": ("192.0.2.1", 1)}
        await guard({**scope, "headers": [(b"host", b"127.0.0.1")]}, receive, send)

    async def attempt_all() -> None:
        all_here = asyncio.Barrier(15)
        await asyncio.gather(*(attempt(all_here) for _ in range(15)))

    asyncio.run(attempt_all())
    assert sorted(statuses) == [401] * 10 + [429] * 5


def test_another_sites_page_is_refused(client: TestClient) -> None:
    foreign = {"origin": "http://example.org"}
    assert client.post("/api/conversations", headers=foreign).status_code == 403
    assert client.post("/api/conversations", headers={"origin": "null"}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect) as refusal,
        client.websocket_connect(SOCKET, headers=foreign),
    ):
        pass
    assert refusal.value.code == 4403
    assert client.post("/api/conversations", headers={"origin": HOST}).status_code == 200


def test_another_host_name_is_refused_on_loopback(client: TestClient) -> None:
    assert client.get("/api/state", headers={"host": "example.org"}).status_code == 421
    assert client.get("/api/state", headers={"host": "[not an address"}).status_code == 421
    for host in ("localhost:7860", "127.0.0.2:7860", "[::1]:7860"):
        assert client.get("/api/state", headers={"host": host}).status_code == 200


def test_a_reverse_proxys_name_counts_as_our_own(script: Script) -> None:
    services = replace(script.services(), hosts=("Talk.example.org",))
    origin = {"origin": "https://talk.example.org"}
    with TestClient(build_ui(services), base_url=HOST) as client:
        for host in ("talk.example.org", "127.0.0.1:7860"):
            answer = client.post("/api/conversations", headers=origin | {"host": host})
            assert answer.status_code == 200
        assert client.get("/api/state", headers={"host": "example.org"}).status_code == 421
        foreign = {"origin": "https://example.org", "host": "talk.example.org"}
        assert client.post("/api/conversations", headers=foreign).status_code == 403


def test_another_apps_odd_cookie_changes_nobody(client: TestClient) -> None:
    mine = client.cookies["parley_browser"]
    conversation = client.post("/api/conversations").json()["id"]
    client.cookies.clear()
    odd = {"cookie": f'prefs={{"theme":"dark"}}; parley_browser={mine}'}
    assert client.get(f"/api/conversations/{conversation}", headers=odd).status_code == 200


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(5):
            yield b"[" * (16 << 10)

    for content in (b"[" * (65 << 10), endless()):
        answer = client.post("/api/library/urls", content=content)
        assert answer.status_code == 413


def test_an_answer_leaves_as_lines_and_is_kept(client: TestClient) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    answer = client.post(f"/api/conversations/{conversation}/ask", json={"question": "When?"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["type"] for line in lines][:3] == ["turn", "standalone", "sources"]
    assert "".join(line["text"] for line in lines if line["type"] == "token") == ANSWER
    assert lines[-1]["turn"]["answer"] == ANSWER
    kept = client.get(f"/api/conversations/{conversation}").json()["turns"]
    assert kept == [lines[-1]["turn"]]


def test_what_nothing_supports_is_told_shown_and_said(client: TestClient, script: Script) -> None:
    doubted = "Penguins live there."
    script.assistant.text, script.assistant.doubted = f"😀 {QUOTE} [1] {doubted} It is so.", doubted
    conversation = client.post("/api/conversations").json()["id"]
    answer = client.post(f"/api/conversations/{conversation}/ask", json={"question": "Who lives there?"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    begin = len(f"xx {QUOTE} [1] ")  # in UTF-16 units, of which the face takes two
    place = {"start": begin, "end": begin + len(doubted)}
    [told] = [line for line in lines if line["type"] == "checked" and not line["supported"]]
    assert told == {"type": "checked", **place, "supported": False, "passages": []}
    kept = client.get(f"/api/conversations/{conversation}").json()["turns"]
    assert kept[0]["unsupported"] == [[place["start"], place["end"]]]
    sound = client.get(f"/api/conversations/{conversation}/turns/{kept[0]['id']}/sound")
    assert sound.status_code == 200
    assert f"Not in the documents: {doubted}" in script.tone.spoken
    text = client.get(f"/api/conversations/{conversation}/export").text
    assert f"*Not in the documents:* {doubted}" in text


def test_an_empty_and_an_endless_question_are_refused(client: TestClient) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    for question in ("", "x" * 9000):
        assert (
            client.post(f"/api/conversations/{conversation}/ask", json={"question": question}).status_code
            == 422
        )


def test_a_recording_that_is_too_large_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.voice.MAX_RECORDING", 1 << 20)
    answer = client.post("/api/transcribe", content=b"x" * (2 << 20))
    assert answer.status_code == 422
    assert "larger than 1 MB" in answer.json()["error"]


def test_a_file_that_is_too_large_leaves_nothing_behind(
    client: TestClient, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.library.MAX_UPLOAD", 1 << 20)

    def endless() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * (1 << 20)

    answer = client.post("/api/library/files", params={"name": "big.pdf"}, content=endless())
    assert answer.status_code == 413
    assert "big.pdf is larger than 1 MB" in answer.json()["error"]
    assert list((script.data / "incoming").iterdir()) == []


def test_the_socket_limits_what_a_page_sends(client: TestClient) -> None:
    with client.websocket_connect(SOCKET) as socket:
        assert socket.receive_json()["type"] == "key"
        socket.send_text("not json")
        socket.send_text("x" * 20_000)
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_text()
    assert end.value.code == 1008


def test_a_socket_of_somebody_else_is_not_spoken_to(client: TestClient, script: Script) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    mine = client.cookies.get("parley_browser")
    with client.websocket_connect(SOCKET, headers={"cookie": "parley_browser=" + "x" * 32}) as socket:
        key = socket.receive_json()["key"]
        assert mine != "x" * 32
        question = {"question": "When?", "key": key, "turn": 1}
        assert client.post(f"/api/conversations/{conversation}/ask", json=question).status_code == 200
    assert script.requests == []


def ask_again(client: TestClient, conversation: str, question: str, again: int | None) -> dict[str, Any]:
    """Ask; the line that says what becomes of it."""
    body = {"question": question, "again": again}
    answer = client.post(f"/api/conversations/{conversation}/ask", json=body)
    first: dict[str, Any] = json.loads(answer.text.splitlines()[0])
    return first


def test_again_replaces_that_turn_and_no_other(client: TestClient) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    one = ask_again(client, conversation, "One?", None)["id"]
    two = ask_again(client, conversation, "Two?", None)["id"]
    late = ask_again(client, conversation, "One?", one)  # a tab that has not seen the second question
    assert not late["replaces"]
    again = ask_again(client, conversation, "One?", late["id"])
    assert again["replaces"]
    failed = ask_again(client, conversation, "a broken question", again["id"])
    assert failed["replaces"]
    turns = client.get(f"/api/conversations/{conversation}").json()["turns"]
    assert [turn["id"] for turn in turns] == [one, two, again["id"], failed["id"]]


def test_a_page_is_told_that_it_is_not_spoken_to(client: TestClient) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    body = {"question": "When?", "key": "of a socket that is gone", "turn": 1}
    answer = client.post(f"/api/conversations/{conversation}/ask", json=body)
    assert json.loads(answer.text.splitlines()[0])["spoken"] is False


def test_a_recording_that_is_too_long_is_refused(client: TestClient, script: Script) -> None:
    recording = wav_bytes(np.zeros(2000 * 320, np.float32), 2000)
    answer = client.post("/api/transcribe", content=recording)
    assert answer.status_code == 422
    assert "longer than" in answer.json()["error"]
    assert script.recordings == []


def test_a_page_that_leaves_stops_the_transcription(script: Script) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def transcribe(recording: bytes, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        begun.set()
        until = time.monotonic() + 20
        while not should_stop() and time.monotonic() < until:
            time.sleep(0.01)
        if should_stop():
            stopped.set()
        raise RuntimeError("stopped")

    app = build_ui(replace(script.services(), transcribe=transcribe))
    recording = wav_bytes(np.zeros(8000, np.float32), 8000)

    async def leave() -> None:
        messages: list[Message] = [{"type": "http.request", "body": recording}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await asyncio.to_thread(begun.wait, 20)
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None: ...

        scope = {"type": "http", "method": "POST", "path": "/api/transcribe", "query_string": b""}
        await app({**scope, "headers": [(b"host", b"127.0.0.1")]}, receive, send)

    asyncio.run(leave())
    assert stopped.is_set()


def test_what_the_library_lists_as_failed_is_listed_once_and_can_be_removed(
    client: TestClient, script: Script
) -> None:
    def refuse(path: Path, name: str) -> str:
        reason = "It is encrypted."
        script.library.known["a_b.pdf"] = LibraryItem("a_b.pdf", "failed", reason=reason, origin="upload")
        raise RuntimeError(reason)

    script.library.add_file = refuse  # type: ignore[method-assign]
    client.post("/api/library/files", params={"name": "a:b.pdf"}, content=b"x")
    until = time.monotonic() + 20
    while client.get("/api/state").json()["busy"] and time.monotonic() < until:
        time.sleep(0.01)
    names = [item["source"] for item in client.get("/api/library").json()["items"]]
    assert names == ["a_b.pdf", "lighthouse.pdf"]
    assert client.post("/api/library/remove", json={"source": "a_b.pdf"}).status_code == 200
    assert client.get("/api/library").json()["total"] == 1


def test_an_answer_can_be_had_as_one_sound(client: TestClient) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    client.post(f"/api/conversations/{conversation}/ask", json={"question": "When?"})
    sound = client.get(f"/api/conversations/{conversation}/turns/1/sound")
    assert sound.headers["content-type"] == "audio/wav"
    assert len(decode(sound.content)) > 3 * 16_000
    assert client.get(f"/api/conversations/{conversation}/turns/99/sound").status_code == 404


def test_the_list_comes_in_parts(client: TestClient, script: Script) -> None:
    for number in range(250):
        name = f"{number:03}.pdf"
        script.library.known[name] = LibraryItem(
            name, "failed" if number % 50 == 0 else "ready", title="Bees"
        )

    def part(**wish: object) -> tuple[list[str], int]:
        answer = client.get("/api/library", params=wish).json()  # type: ignore[arg-type]
        return [item["source"] for item in answer["items"]], answer["total"]

    assert part()[1] == 251
    assert len(part()[0]) == 100
    assert part(state="failed", limit=3) == (["000.pdf", "050.pdf", "100.pdf"], 5)
    assert part(search="BEES", state="ready", offset=244) == (["249.pdf"], 245)
    assert part(search="lighthouse") == (["lighthouse.pdf"], 1)
    assert part(offset=1000) == ([], 251)
    assert client.get("/api/library", params={"limit": 100_000}).status_code == 422
    assert client.get("/api/state").json()["documents"] == {
        "waiting": 0,
        "reading": 0,
        "ready": 246,
        "failed": 5,
    }


def test_a_long_list_is_not_made_for_each_look(client: TestClient, script: Script) -> None:
    looks: list[float] = []
    items = script.library.items

    def slow() -> list[LibraryItem]:
        looks.append(time.monotonic())
        while time.monotonic() - looks[-1] < 0.05:
            pass  # it takes its time
        return items()

    script.library.items = slow  # type: ignore[method-assign]
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        client.get("/api/library")
    assert len(looks) <= 3
    client.post("/api/library/remove", json={"source": "lighthouse.pdf"})
    assert client.get("/api/library").json()["total"] == 0  # what one did oneself is seen at once


def test_uploads_have_limits(client: TestClient, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(name: str) -> tuple[int, str]:
        answer = client.post("/api/library/files", params={"name": name}, content=b"x")
        return answer.status_code, answer.json().get("error", "")

    script.library.gate.clear()
    monkeypatch.setattr("ui.intake.MAX_WAITING", 0)
    assert add("a.txt") == (429, "Too many documents wait to be read. Add more when those are done.")
    monkeypatch.setattr("ui.intake.MAX_WAITING", 10)
    monkeypatch.setattr("ui.library.MAX_UPLOADS", 1)
    script.library.known["b.txt"] = LibraryItem("b.txt", "ready", origin="upload")
    status, reason = add("c.txt")
    assert (status, "PARLEY_CORPUS" in reason) == (413, True)
    monkeypatch.setattr("ui.library.MAX_UPLOADS", 10)
    monkeypatch.setattr("ui.library.ROOM", 1 << 60)
    status, reason = add("d.txt")
    assert (status, "Make room" in reason) == (413, True)
    script.library.gate.set()


def test_a_question_goes_to_the_collection_that_is_named(client: TestClient, script: Script) -> None:
    script.library.collected = ["papers"]
    assert client.get("/api/state").json()["collections"] == ["papers"]
    conversation = client.post("/api/conversations").json()["id"]
    client.post(f"/api/conversations/{conversation}/ask", json={"question": "When?", "collection": "papers"})
    assert script.assistant.collections == ["papers"]


def test_the_page_is_told_which_files_it_may_offer(client: TestClient) -> None:
    assert client.get("/api/state").json()["types"] == sorted(SUFFIXES)
