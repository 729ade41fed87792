"""A model server that fails, through the Assistant: each fault is said, and the documents are quoted."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.indexing import index
from engines import Engines
from rag.assistant import Done, Notice, Replaced, Token
from rag.llms import remote
from rag.llms.exchange import Timeouts
from serving.switching import PageModels
from settings import Settings
from tests.engines.test_engines import TEXT, varied
from tests.rag.llms.servers import EVENTS, Script, event, reply, scripted
from tests.rag.llms.test_remote_retries import thinking

QUESTION = "When does the lantern boat return?"


class Server:
    """Lists one model, and hands each question to `script`."""

    def __init__(self) -> None:
        self.script: Script = sends()
        self.asked = 0

    def __call__(self, connection: socket.socket, request: str) -> None:
        if request.startswith("GET"):
            body = json.dumps({"object": "list", "data": [{"id": "m", "max_model_len": 4096}]})
            connection.sendall(reply("200 OK", body))
            return
        self.asked += 1
        self.script(connection, request)


def sends(*parts: bytes) -> Script:
    return lambda connection, _: connection.sendall(b"".join(parts))


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def engines(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    folder = tmp_path_factory.mktemp("remote")
    (folder / "docs").mkdir()
    (folder / "docs" / "rules.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patched, scripted(server) as url:
        patched.setattr(remote, "Timeouts", lambda: Timeouts(connect=2, first=0.5, stall=0.3))
        with Engines(remote_settings(folder, url), can_ask=True) as engines:
            index(engines, engines.settings.corpus, ())
            engines.llm.get()
            yield engines


def remote_settings(folder: Path, url: str) -> Settings:
    return varied(
        data=folder / "data", corpus=(folder / "docs",), offline=True, llm="remote", llm_url=url, tts="none"
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (sends(reply("401 Unauthorized", "{}")), "401.*PARLEY_LLM_KEY"),
        (sends(reply("404 Not Found", '{"message": "no model m"}')), r"404 \(no model m\).*remote:NAME"),
        (sends(reply("429 Too Many Requests", "{}")), "429.*wait a moment"),
        (sends(reply("500 Oops", "")), r"500\. Look at its log"),
        (sends(reply("503 Unavailable", "")), "503.*loading its model"),
        (sends(reply("200 OK", "<html>", "text/html")), "instead of a stream"),
        (sends(), "broke off"),
        (lambda connection, _: connection.recv(1), "sent nothing|took too long"),
        (sends(EVENTS, b"data: {nonsense\n\n"), "not an answer"),
        (sends(EVENTS, thinking("reasoning_content")), "broke off"),
    ],
)
def test_a_fault_before_the_first_word_is_noticed_and_quoted(
    engines: Engines, server: Server, script: Script, reason: str
) -> None:
    server.script = script
    events = list(engines.assistant().answer(QUESTION))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert_quoted(events[-1])
    assert any(matches(reason, notice) for notice in notices), notices
    assert not any(isinstance(event, Replaced) for event in events)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (sends(EVENTS, event("At nine, "), event("I think")), "broke off in the middle"),
        (sends(EVENTS, event("At nine, "), b'data: {"error": {"message": "CUDA died"}}\n\n'), "CUDA died"),
        (sends(EVENTS, event("At nine, "), b"data: {nonsense\n\n"), "not an answer"),
        (lambda c, _: (c.sendall(EVENTS + event("At nine, ")), c.recv(1)), "sent nothing"),
    ],
)
def test_a_fault_in_the_middle_replaces_what_was_written(
    engines: Engines, server: Server, script: Script, reason: str
) -> None:
    server.script, before = script, server.asked
    events = list(engines.assistant().answer(QUESTION))
    replaced = next(event for event in events if isinstance(event, Replaced))
    assert matches(reason, replaced.reason)
    assert any(isinstance(event, Token) for event in events[: events.index(replaced)])
    assert_quoted(events[-1])
    assert server.asked == before + 1  # never again once it has written
    line = PageModels(engines.llm).line()
    assert line.state == "failed"
    assert re.search(reason, line.why)


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None and "quotes the documents instead" in text


def assert_quoted(done: object) -> None:
    assert isinstance(done, Done)
    assert done.engine == "quotations"
    assert "eleven" in done.text
    assert "nine" not in done.text


def test_one_retry_and_the_model_answers(engines: Engines, server: Server) -> None:
    answers = iter([reply("503 Unavailable", ""), EVENTS + event("At eleven. [1]", "stop")])
    server.script = lambda connection, _: connection.sendall(next(answers))
    done = list(engines.assistant().answer(QUESTION))[-1]
    assert isinstance(done, Done)
    assert (done.text, done.engine) == ("At eleven. [1]", "remote")
    assert PageModels(engines.llm).line().state == "ready"


@pytest.mark.parametrize("sent", [b"", EVENTS, EVENTS + thinking("reasoning"), EVENTS + event("At ")])
def test_a_closed_answer_cuts_the_connection(engines: Engines, server: Server, sent: bytes) -> None:
    reached, left = threading.Event(), threading.Event()

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(sent)
        reached.set()
        connection.settimeout(10)
        if connection.recv(1) == b"":
            left.set()

    server.script = script
    answer = engines.assistant().answer(QUESTION)
    reading = threading.Thread(target=lambda: list(answer))
    reading.start()
    assert reached.wait(10)
    begin = time.monotonic()
    answer.close()
    assert left.wait(5), "the server was not told"
    assert answer.wait_stopped(5)
    assert time.monotonic() - begin < 2
    reading.join(5)
