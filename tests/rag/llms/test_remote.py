"""The OpenAI-compatible client against a real server over SmolLM2, and against scripted faults."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from pydantic import SecretStr

from rag.cancel import Cancelled, CancelToken, scope
from rag.llms import LLMError, ModelUnavailable, Outlook, PromptTooLong, ServerError, open_llm, outlook
from rag.llms.exchange import Timeouts, events
from rag.llms.local import LocalChatModel
from rag.llms.remote import RemoteChatModel, connect
from tests.models import smollm2
from tests.rag.llms.servers import EVENTS, Script, event, reply, scripted, serving

QUESTION = [SystemMessage("Be brief."), HumanMessage("Who keeps the light?")]
QUICK = Timeouts(connect=2, first=0.5, stall=0.3)


def ask(script: Script, timeouts: Timeouts = QUICK) -> str:
    with scripted(script) as url:
        return str(RemoteChatModel(url=url, timeouts=timeouts).invoke(QUESTION).content)


def sends(*parts: bytes) -> Script:
    return lambda connection, _: connection.sendall(b"".join(parts))


def test_streams_from_a_real_server_what_the_model_writes() -> None:
    seen: list[dict[str, Any]] = []
    with serving(smollm2(), "smol", seen) as url:
        llm = open_llm("remote", url=url, key="sk-secret", offline=True, max_new_tokens=24)
        assert isinstance(llm, RemoteChatModel)
        assert (llm.model_name, llm.context_window) == ("smol", 4096)
        pieces = [str(chunk.content) for chunk in llm.stream(QUESTION) if chunk.content]
    expected = smollm2().model_copy(update={"max_new_tokens": 24}).invoke(QUESTION)
    assert "".join(pieces) == expected.content
    assert len(pieces) > 3
    assert seen[0]["headers"]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(llm)
    assert seen[0]["body"]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_closed_stream_stops_the_model_behind_the_server(slow: LocalChatModel) -> None:
    seen: list[dict[str, Any]] = []
    with serving(slow, "slow", seen) as url:
        llm = connect(url, max_new_tokens=4000)
        stream: Any = llm.stream(QUESTION)
        next(stream)
        stream.close()
        deadline = time.monotonic() + 10
        while any(thread.name == "generation" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_no_environment_variable_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://leak.invalid")
    requests: list[str] = []

    def script(connection: socket.socket, request: str) -> None:
        requests.append(request)
        connection.sendall(EVENTS + event("Olaf", "stop"))

    assert ask(script) == "Olaf"
    assert "leak" not in requests[0]
    assert "authorization" not in requests[0].lower()


def test_sends_only_what_is_set() -> None:
    bodies: list[dict[str, Any]] = []

    def script(connection: socket.socket, request: str) -> None:
        bodies.append(json.loads(request.partition("\r\n\r\n")[2]))
        connection.sendall(EVENTS + event("x", "stop"))

    with scripted(script) as url:
        RemoteChatModel(url=url).invoke("Hi")
        RemoteChatModel(url=url, temperature=0.7, top_p=0.9, top_k=40, repetition_penalty=1.1).invoke(
            "Hi", stop=["\n"]
        )
    assert set(bodies[0]) == {"model", "messages", "stream", "temperature", "max_tokens"}
    assert bodies[1] | {"top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1, "stop": ["\n"]} == bodies[1]


def test_unset_settings_are_not_sent() -> None:
    bodies: list[dict[str, Any]] = []

    def script(connection: socket.socket, request: str) -> None:
        if request.startswith("GET"):
            connection.sendall(reply("200 OK", '{"data": [{"id": "m"}]}'))
            return
        bodies.append(json.loads(request.partition("\r\n\r\n")[2]))
        connection.sendall(EVENTS + event("x", "stop"))

    unset: dict[str, Any] = dict.fromkeys(("top_p", "top_k", "repetition_penalty", "max_new_tokens"))
    with scripted(script) as url:
        open_llm("remote", url=url, **unset).invoke("Hi")
        open_llm("remote", url=url, top_k=0, repetition_penalty=1.0).invoke("Hi")
    assert set(bodies[0]) == {"model", "messages", "stream", "temperature", "max_tokens"}
    assert bodies[0]["max_tokens"] == 512
    assert (bodies[1]["top_k"], bodies[1]["repetition_penalty"]) == (0, 1.0)


def test_what_a_reasoning_model_refuses_is_said_in_its_way() -> None:
    """With the words of OpenAI's own API."""
    bodies: list[dict[str, Any]] = []

    def script(connection: socket.socket, request: str) -> None:
        body = json.loads(request.partition("\r\n\r\n")[2])
        bodies.append(body)
        if "max_tokens" in body:
            refusal = "Unsupported parameter: 'max_tokens' is not supported with this model. "
            refusal += "Use 'max_completion_tokens' instead."
        elif "temperature" in body:
            refusal = "Unsupported value: 'temperature' does not support 0 with this model. "
            refusal += "Only the default (1) value is supported."
        else:
            connection.sendall(EVENTS + event("Olaf", "stop"))
            return
        connection.sendall(reply("400 Bad Request", json.dumps({"error": {"message": refusal}})))

    with scripted(script) as url:
        llm = RemoteChatModel(url=url, max_new_tokens=100)
        assert llm.invoke(QUESTION).content == "Olaf"
        assert llm.invoke(QUESTION).content == "Olaf"
    assert len(bodies) == 4
    assert set(bodies[-1]) == {"model", "messages", "stream", "max_completion_tokens"}
    assert bodies[-1]["max_completion_tokens"] == 100


def test_a_refusal_that_stays_is_an_error_not_a_loop() -> None:
    refusal = "Unsupported value: 'temperature' does not support 0 with this model."
    with pytest.raises(ServerError, match="400"):
        ask(sends(reply("400 Bad Request", json.dumps({"message": refusal}))))


def test_what_is_wrong_with_the_server_is_kept_until_it_answers() -> None:
    answers = [
        reply("400 Bad Request", '{"message": "too long"}'),  # of this question alone
        reply("503 Unavailable", ""),
        EVENTS + event("Olaf") + event(" keeps it.", "stop"),
    ]
    with scripted(lambda connection, _: connection.sendall(answers.pop(0))) as url:
        llm = RemoteChatModel(url=url)
        with pytest.raises(ServerError, match="400"):
            llm.invoke(QUESTION)
        assert llm.trouble == ""
        answers.insert(1, answers[0])  # once more, as it may be busy for a moment
        with pytest.raises(ServerError, match="503"):
            llm.invoke(QUESTION)
        assert "503" in llm.trouble
        for _ in llm.stream(QUESTION):
            break  # whoever has enough of it
        assert llm.trouble == ""


SLOW_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"


def pings(connection: socket.socket, _: str) -> None:
    """Keeps the connection alive and says nothing."""
    connection.sendall(EVENTS)
    connection.settimeout(0.05)
    for _try in range(60):
        connection.sendall(b": ping\n\n")
        with suppress(TimeoutError):
            if connection.recv(1) == b"":
                return


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            sends(reply("401 Unauthorized", '{"error": {"message": "bad key"}}')),
            r"401 \(bad key\).*PARLEY_LLM_KEY",
        ),
        (sends(reply("403 Forbidden", "")), r"403.*no access"),
        (sends(reply("404 Not Found", '{"detail": "no model x"}')), r"404.*PARLEY_LLM_URL.*remote:NAME"),
        (sends(reply("429 Too Many Requests", '{"message": "slow down"}')), r"429.*wait a moment"),
        (sends(reply("500 Oops", "<html>")), r"500\. Look at its log"),
        (sends(reply("302 Found", "")), r"302"),
        (sends(reply("200 OK", "<html>hello</html>", "text/html")), r"text/html instead of a stream"),
        (sends(EVENTS, b"data: {nonsense\n\n"), "not an answer"),
        (sends(EVENTS, b"data: [1, 2]\n\n"), "not an answer"),
        (sends(EVENTS, b"data: " + b"x" * (2 << 20)), "not an answer"),
        (sends(EVENTS, event("Ol"), b'data: {"error": {"message": "CUDA died"}}\n\n'), "failed.*CUDA died"),
        (sends(EVENTS, event("Ol")), "broke off in the middle"),
        (sends(EVENTS), "broke off"),
        (sends(b"garbage\r\n\r\n"), "broke off"),
        (lambda connection, _: None, "broke off"),
        (lambda connection, _: connection.recv(1), r"sent nothing for 0 seconds|took too long"),
        (lambda c, _: (c.sendall(SLOW_HEADERS), c.recv(1)), r"sent nothing|took too long"),
        (lambda c, _: (c.sendall(EVENTS + event("Ol")), c.recv(1)), r"sent nothing for 0 seconds"),
        (pings, "sent nothing"),
    ],
)
def test_each_fault_is_an_error_with_a_remedy(script: Script, message: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ServerError, match=message):
        ask(script)
    assert time.perf_counter() - start < 6


def test_a_chunked_stream_that_is_cut_is_an_error_even_after_its_finish() -> None:
    head = EVENTS.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    data = event("Olaf")
    with pytest.raises(ServerError, match="broke off"):
        ask(sends(head, f"{len(data):x}\r\n".encode(), data, b"\r\n"))


def test_a_stream_that_only_says_done_is_complete() -> None:
    assert ask(sends(EVENTS, event("Olaf"), b"data: [DONE]\n\n")) == "Olaf"


def test_no_server_is_said_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(ServerError, match=r"cannot be reached\. Is it running"):
            RemoteChatModel(url=url).invoke("Hi")
        for opening in (open_llm, outlook):
            with pytest.raises(ServerError, match="cannot be reached") as caught:
                opening("remote", url=url)
            assert caught.value.transient


@pytest.mark.parametrize(
    ("status", "transient"), [("503 Service Unavailable", True), ("502 Bad Gateway", True), ("401 No", False)]
)
def test_a_server_that_may_come_up_later_is_told_from_one_that_refuses(status: str, transient: bool) -> None:
    for opening in (open_llm, outlook):
        with (
            scripted(sends(reply(status, '{"error": {"message": "Loading model"}}'))) as url,
            pytest.raises(ServerError, match="Loading model") as caught,
        ):
            opening("remote", url=url)
        assert caught.value.transient is transient


def test_a_server_that_breaks_off_may_answer_later_and_one_that_talks_nonsense_will_not() -> None:
    for script, transient in ((sends(), True), (sends(reply("200 OK", "<html>", "text/html")), False)):
        with pytest.raises(ServerError) as caught:
            ask(script)
        assert caught.value.transient is transient


def test_an_outlook_on_a_server_names_its_model_and_window() -> None:
    models = '{"data": [{"id": "m", "max_model_len": 32768}]}'
    with scripted(sends(reply("200 OK", models))) as url:
        assert outlook("remote", url=url) == Outlook("m", url, 0, 32768, 0)
        assert outlook("remote:other", url=url).name == "other"


def test_a_template_that_refuses_a_system_role_gets_it_folded() -> None:
    bodies: list[dict[str, Any]] = []

    def script(connection: socket.socket, request: str) -> None:
        bodies.append(json.loads(request.partition("\r\n\r\n")[2]))
        if any(message["role"] == "system" for message in bodies[-1]["messages"]):
            connection.sendall(
                reply("400 Bad Request", '{"message": "Only user and assistant roles are supported!"}')
            )
        else:
            connection.sendall(EVENTS + event("Olaf", "stop"))

    with scripted(script) as url:
        llm = RemoteChatModel(url=url)
        assert llm.invoke(QUESTION).content == "Olaf"
        assert llm.invoke(QUESTION).content == "Olaf"
    assert len(bodies) == 3
    assert bodies[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nWho keeps the light?"}]


def serves_models(status: str, body: str) -> Script:
    return sends(reply(status, body))


def test_the_model_is_asked_from_the_server() -> None:
    with scripted(serves_models("200 OK", '{"data": [{"id": "m", "max_model_len": 32768}]}')) as url:
        llm = connect(url)
        assert (llm.model_name, llm.context_window) == ("m", 32768)
        assert connect(url, model="other").model_name == "other"
    parley = '{"data": [{"id": "parley"}, {"id": "tts-1"}, {"id": "whisper-1"}, {"id": "bge-reranker"}]}'
    with scripted(serves_models("200 OK", parley)) as url:
        assert connect(url).model_name == "parley"  # the others write no answers
    with (
        scripted(serves_models("200 OK", '{"data": [{"id": "a"}, {"id": "b"}]}')) as url,
        pytest.raises(ModelUnavailable, match=r"several models \(a, b\).*PARLEY_LLM=remote:NAME"),
    ):
        connect(url)


@pytest.mark.parametrize(
    ("status", "body"), [("404 Not Found", ""), ("500 Oops", ""), ("200 OK", "<html>"), ("200 OK", "{}")]
)
def test_a_server_that_lists_no_models_is_used_by_a_default_name(status: str, body: str) -> None:
    with scripted(serves_models(status, body)) as url:
        assert connect(url).model_name == "default"


def test_a_refused_key_is_said_when_the_server_is_opened() -> None:
    with (
        scripted(serves_models("401 Unauthorized", "")) as url,
        pytest.raises(ServerError, match="PARLEY_LLM_KEY"),
    ):
        open_llm("remote:m", url=url)


@pytest.mark.parametrize(
    ("url", "offline", "message"),
    [
        ("", False, r"not a URL.*PARLEY_LLM_URL"),
        ("ftp://127.0.0.1", False, "not a URL"),
        ("http://192.0.2.1:8000/v1", True, "not this machine and the network is switched off"),
        ("https://api.example.org/v1", True, "switched off"),
    ],
)
def test_addresses_that_are_refused(url: str, offline: bool, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        open_llm("remote", url=url, offline=offline)


def cancel_latency(
    script: Script, reached: threading.Event, build: Callable[[RemoteChatModel], Any]
) -> float:
    """Seconds from the cancelling, in another thread, to `Cancelled` in the reader."""
    token, ended = CancelToken(), []
    with scripted(script) as url:
        work = build(RemoteChatModel(url=url))

        def run() -> None:
            with scope(token), pytest.raises(Cancelled):
                work("Who keeps the light?")
            ended.append(time.perf_counter())

        thread = threading.Thread(target=run)
        thread.start()
        assert reached.wait(10)
        start = time.perf_counter()
        token.cancel()
        thread.join(10)
    return ended[0] - start


def in_lcel(llm: RemoteChatModel) -> Any:
    prompt = ChatPromptTemplate.from_template("Context: {context}\nQuestion: {question}")
    retriever: Any = RunnableLambda(lambda _: "Olaf keeps the light.")
    chain: Any = {"context": retriever, "question": RunnablePassthrough()} | prompt | llm | StrOutputParser()
    return lambda question: list(chain.stream(question))


@pytest.mark.parametrize(
    "build", [lambda llm: llm.invoke, lambda llm: lambda q: list(llm.stream(q)), in_lcel]
)
@pytest.mark.parametrize("sent", [b"", SLOW_HEADERS, EVENTS, EVENTS + event("Olaf ")])
def test_cancel_cuts_the_connection_whatever_it_waits_for(sent: bytes, build: Callable[[Any], Any]) -> None:
    reached, left = threading.Event(), threading.Event()

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(sent)
        reached.set()
        connection.settimeout(10)
        if connection.recv(1) == b"":
            left.set()

    assert cancel_latency(script, reached, build) < 0.5
    assert left.wait(5), "the server was not told"


def test_cancel_while_a_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, release = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        asked.set()
        release.wait(10)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", hang)
    token = CancelToken()

    def cancel() -> None:
        asked.wait(5)
        token.cancel()

    threading.Thread(target=cancel).start()
    start = time.perf_counter()
    with scope(token), pytest.raises(Cancelled):
        RemoteChatModel(url="http://model.invalid/v1").invoke("Hi")
    assert time.perf_counter() - start < 3
    release.set()


def test_a_token_that_is_already_set_asks_nobody() -> None:
    token = CancelToken()
    token.cancel()
    with scope(token), pytest.raises(Cancelled):
        RemoteChatModel(url="http://192.0.2.1/v1").invoke("Hi")


def test_counts_without_a_tokenizer_and_rather_too_high() -> None:
    llm = RemoteChatModel(url="http://127.0.0.1/v1", context_window=100, key=SecretStr("sk"))
    assert llm.get_num_tokens("The lighthouse on the cape.") >= 6
    assert llm.get_num_tokens("灯台は一八七四年") >= 8
    with pytest.raises(PromptTooLong):
        llm.invoke("word " * 400)
    assert issubclass(PromptTooLong, LLMError)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n"), min_size=1, max_size=8), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_events_come_out_however_the_bytes_are_cut(datas: list[str], end: str, cuts: list[int]) -> None:
    datas = [json.dumps(data, ensure_ascii=False) for data in datas]
    wire = "".join(f": note{end}data: {data}{end}id: 1{end}{end}" for data in datas).encode(
        "utf-8", "replace"
    )
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    chunks = [wire[a:b] for a, b in itertools.pairwise(edges)]
    assert list(events(chunks)) == [data.encode("utf-8", "replace").decode() for data in datas]


def test_a_held_stream_is_not_read_and_goes_on_with_the_same_text() -> None:
    words = [f"word{number} " for number in range(40)]

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(EVENTS)
        for word in words:
            connection.sendall(event(word))
        connection.sendall(event(finish="stop"))

    token, pieces, reached = CancelToken(), list[str](), threading.Event()

    def read(url: str) -> None:
        with scope(token):
            for chunk in RemoteChatModel(url=url, timeouts=QUICK).stream(QUESTION):
                pieces.append(str(chunk.content))
                if len(pieces) == 5:
                    token.hold()
                    reached.set()

    with scripted(script) as url:
        reader = threading.Thread(target=read, args=(url,))
        reader.start()
        assert reached.wait(5)
        time.sleep(QUICK.stall + QUICK.first + 0.1)  # longer than any time-out
        assert len(pieces) <= 6
        token.release()
        reader.join(5)
    assert "".join(pieces) == "".join(words)


def test_a_held_stream_pushes_back_on_the_server() -> None:
    """What the server can send is bounded by the buffers between the two, not by what it has."""
    sent: list[int] = []
    finished = threading.Event()

    def script(connection: socket.socket, request: str) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.sendall(EVENTS)
        for _ in range(3000):
            connection.sendall(event("x" * 10_000))
            sent.append(1)
        connection.sendall(event(finish="stop"))
        finished.set()

    token, read = CancelToken(), list[int]()

    def run(url: str) -> None:
        with scope(token), suppress(Cancelled):
            for _ in RemoteChatModel(url=url, timeouts=Timeouts(connect=2, first=5, stall=5)).stream(
                QUESTION
            ):
                if not read:
                    token.hold()
                read.append(1)

    with scripted(script) as url:
        reader = threading.Thread(target=run, args=(url,))
        reader.start()
        before = -1
        while len(sent) != before:  # until the buffers are full
            before = len(sent)
            time.sleep(0.3)
        assert 0 < len(sent) < 3000
        assert not finished.is_set()
        assert len(read) <= 1
        begin = time.monotonic()
        token.cancel()
        reader.join(5)
        assert time.monotonic() - begin < 1
        assert not reader.is_alive()


@pytest.mark.parametrize("silent", ["before the first event", "between two"])
def test_after_a_hold_a_silent_server_has_all_its_time_again(silent: str) -> None:
    """The time-out ran out while it was held, and fires only after as much time again."""
    first = EVENTS + event("Olaf ") if silent == "between two" else EVENTS

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(first)
        connection.settimeout(8)
        connection.recv(1)

    token, failed = CancelToken(), list[float]()
    timeouts = Timeouts(connect=2, first=0.3, stall=0.3)

    def run(url: str) -> None:
        with scope(token), pytest.raises(ServerError, match="sent nothing"):
            RemoteChatModel(url=url, timeouts=timeouts).invoke(QUESTION)
        failed.append(time.monotonic())

    with scripted(script) as url:
        reader = threading.Thread(target=run, args=(url,))
        token.hold()
        reader.start()
        time.sleep(0.7)
        assert not failed
        released = time.monotonic()
        token.release()
        reader.join(5)
    assert 0.2 < failed[0] - released < 2
