"""When the client of a model server asks once more, and when it must not."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from langchain_core.messages import HumanMessage

from rag.cancel import Cancelled, CancelToken, scope
from rag.llms import ServerError
from rag.llms.exchange import LONGEST_RETRY, Timeouts
from rag.llms.remote import RemoteChatModel
from tests.rag.llms.servers import EVENTS, Script, event, reply, scripted

QUESTION = [HumanMessage("Who keeps the light?")]
QUICK = Timeouts(connect=2, first=0.5, stall=0.3)
OLAF = EVENTS + event("Olaf") + event(finish="stop") + b"data: [DONE]\n\n"


def first_then(*answers: bytes) -> tuple[Script, list[float]]:
    """A server that gives these answers one after the other, the last one again; when it was asked."""
    asked: list[float] = []

    def script(connection: socket.socket, _: str) -> None:
        asked.append(time.monotonic())
        connection.sendall(answers[min(len(asked), len(answers)) - 1])

    return script, asked


def refusal(status: str, **headers: str) -> bytes:
    lines = "".join(f"\r\n{name.replace('_', '-')}: {value}" for name, value in headers.items())
    return reply(status + lines, '{"error": {"message": "not now"}}')


def ask(script: Script, timeouts: Timeouts = QUICK) -> str:
    with scripted(script) as url:
        return str(RemoteChatModel(url=url, timeouts=timeouts).invoke(QUESTION).content)


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout"])
def test_a_server_that_is_not_up_yet_is_asked_once_more(status: str) -> None:
    script, asked = first_then(refusal(status), OLAF)
    assert ask(script) == "Olaf"
    assert len(asked) == 2


def test_a_busy_server_is_asked_when_it_says() -> None:
    script, asked = first_then(refusal("429 Too Many Requests", Retry_After="1"), OLAF)
    assert ask(script) == "Olaf"
    assert 0.95 < asked[1] - asked[0] < LONGEST_RETRY


@pytest.mark.parametrize(
    "answer",
    [
        refusal("429 Too Many Requests"),
        refusal("429 Too Many Requests", Retry_After="60"),
        refusal("503 Unavailable", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
        refusal("401 Unauthorized"),
        refusal("404 Not Found"),
        refusal("500 Oops"),
        EVENTS + event("Ol"),
        EVENTS + event("Ol") + b'data: {"error": {"message": "CUDA died", "code": 503}}\n\n',
        EVENTS + b"data: {nonsense\n\n",
        b"",
    ],
)
def test_all_else_is_not_asked_again(answer: bytes) -> None:
    script, asked = first_then(answer, OLAF)
    with pytest.raises(ServerError):
        ask(script)
    assert len(asked) == 1


def test_one_retry_is_all() -> None:
    script, asked = first_then(refusal("503 Unavailable"))
    with pytest.raises(ServerError, match=r"503 \(not now\)"):
        ask(script)
    assert len(asked) == 2


def test_a_refused_connection_is_tried_once_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answers: list[str] = []
    llm = RemoteChatModel(url=f"http://127.0.0.1:{port}/v1", timeouts=QUICK)
    asking = threading.Thread(target=lambda: answers.append(str(llm.invoke(QUESTION).content)))
    asking.start()
    time.sleep(0.2)  # by now it was refused; it asks again after half a second
    with scripted(first_then(OLAF)[0], port=port):
        asking.join(10)
    assert answers == ["Olaf"]


def test_who_cancels_while_it_waits_is_not_kept_waiting_and_nothing_is_asked() -> None:
    script, asked = first_then(refusal("503 Unavailable", Retry_After="3"), OLAF)
    token, ended = CancelToken(), list[float]()
    answered = threading.Event()

    def and_tell(connection: socket.socket, request: str) -> None:
        script(connection, request)
        answered.set()

    def run(url: str) -> None:
        with scope(token), pytest.raises(Cancelled):
            RemoteChatModel(url=url, timeouts=QUICK).invoke(QUESTION)
        ended.append(time.monotonic())

    with scripted(and_tell) as url:
        thread = threading.Thread(target=run, args=(url,))
        thread.start()
        assert answered.wait(5)
        cancelled = time.monotonic()
        token.cancel()
        thread.join(5)
    assert ended[0] - cancelled < 1
    assert len(asked) == 1


def thinking(field: str) -> bytes:
    return b'data: {"choices": [{"delta": {"%s": "Hm, who?", "content": null}}]}\n\n' % field.encode()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_what_a_model_thinks_never_reaches_the_text(field: str) -> None:
    script, _ = first_then(EVENTS + 3 * thinking(field) + event("Olaf", "stop"))
    with scripted(script) as url:
        chunks = list(RemoteChatModel(url=url, timeouts=QUICK).stream(QUESTION))
    assert "".join(str(chunk.content) for chunk in chunks) == "Olaf"
    assert "Hm" not in repr(chunks)


def test_a_model_that_thinks_long_is_no_stalled_one() -> None:
    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(EVENTS)
        for _try in range(10):
            time.sleep(0.1)
            connection.sendall(thinking("reasoning_content"))
        connection.sendall(event("Olaf", "stop"))

    assert ask(script) == "Olaf"


def test_a_stream_that_only_thinks_is_an_error_and_not_an_empty_answer() -> None:
    script, _ = first_then(EVENTS + thinking("reasoning_content"))
    with pytest.raises(ServerError, match="broke off"):
        ask(script)
