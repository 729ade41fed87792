"""OpenAI's API with its official client and with curl, against a real server with scripted services."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from openai.types.chat import ChatCompletionMessageParam

from rag.assistant import Event, Replaced, Token
from tests.ui.api_client import KEY, curl
from tests.ui.scripted import ANSWER, QUOTE, Script, ScriptedAssistant

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "When does the lamp room close?"}]


def ask(client: openai.OpenAI, **given: Any) -> Any:
    return client.chat.completions.create(**({"model": "parley", "messages": QUESTION} | given))


def test_an_answer_with_its_citations(client: openai.OpenAI) -> None:
    completion = ask(client)
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")
    first, second = choice.message.annotations
    assert first.type == "url_citation"
    cited = first.url_citation
    assert ANSWER[cited.start_index : cited.end_index] == "[1]"
    assert cited.title == "The lighthouse"
    assert second.url_citation.url.endswith("/api/page/image?source=lighthouse.pdf&page=1")
    assert completion.usage.completion_tokens == -(-len(ANSWER) // 3)
    assert completion.usage.prompt_tokens > 20
    more = completion.model_extra["parley"]
    assert more["answered"] is True
    assert [source["place"] for source in more["sources"]] == ["page 2", "page 1"]


def test_a_stream_with_its_citations_and_usage(client: openai.OpenAI) -> None:
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(filter(None, texts)) == ANSWER
    assert len(list(filter(None, texts))) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    annotated = next(c for c in chunks if c.choices and "annotations" in c.choices[0].delta.model_extra)
    marks = annotated.choices[0].delta.model_extra["annotations"]
    places = [mark["url_citation"] for mark in marks]
    assert [ANSWER[place["start_index"] : place["end_index"]] for place in places] == ["[1]", "[2]"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].model_extra["parley"]["engine"] == "scripted"
    assert not chunks[-1].choices
    assert chunks[-1].usage.total_tokens > chunks[-1].usage.completion_tokens


def test_a_stream_without_usage_says_none(client: openai.OpenAI) -> None:
    assert all(chunk.usage is None and chunk.choices for chunk in ask(client, stream=True))


def test_the_last_message_is_the_question_and_those_before_are_the_history(
    client: openai.OpenAI, script: Script
) -> None:
    messages = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": [{"type": "text", "text": "Who built it?"}]},
        {"role": "assistant", "content": "Local masons. [1]"},
        {"role": "user", "content": "And when?"},
    ]
    completion = ask(client, messages=messages)
    question, history = script.assistant.asked[-1]
    assert question == "And when?"
    assert [(type(said), said.content) for said in history] == [
        (HumanMessage, "Who built it?"),
        (AIMessage, "Local masons. [1]"),
    ]
    assert completion.model_extra["parley"]["standalone"] == "And when? (of the lighthouse)"


def test_nothing_of_it_is_kept(client: openai.OpenAI, script: Script) -> None:
    ask(client, messages=[{"role": "user", "content": "Where is the zebra kept?"}])
    list(ask(client, messages=[{"role": "user", "content": "Where is the zebra kept?"}], stream=True))
    kept = b"".join(path.read_bytes() for path in script.data.rglob("*") if path.is_file())
    assert b"zebra" not in kept


@pytest.mark.parametrize("stream", [False, True])
def test_max_tokens_ends_the_answer_and_the_work(client: openai.OpenAI, script: Script, stream: bool) -> None:
    script.assistant.text = "word " * 500
    completion = ask(client, max_tokens=10, stream=stream)
    if stream:
        chunks = list(completion)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        reason = chunks[-1].choices[0].finish_reason
    else:
        text, reason = completion.choices[0].message.content, completion.choices[0].finish_reason
    assert (text, reason) == (("word " * 500)[:30], "length")
    assert script.assistant.answers[-1].wait_stopped(5)


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    completion = ask(client, stop=["[2", "masons. "])
    assert completion.choices[0].message.content == ANSWER[: ANSWER.index("masons. ")]
    assert completion.choices[0].finish_reason == "stop"
    streamed = ask(client, stop="never said", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == ANSWER


def test_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["parley", "whisper-1", "tts-1"]
    assert client.models.retrieve("parley").owned_by == "parley"
    with pytest.raises(openai.NotFoundError, match="does not exist here"):
        client.models.retrieve("gpt-9")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "'gpt-9' does not exist here. Use parley"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, openai.BadRequestError, "the question"),
        ({"messages": [{"role": "user", "content": "  "}]}, openai.BadRequestError, "empty"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, openai.BadRequestError, "make it shorter"),
        ({"messages": [{"role": "tool", "content": "x"}, *QUESTION]}, openai.BadRequestError, "role 'tool'"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
                ]
            },
            openai.BadRequestError,
            "no images",
        ),
        ({"n": 2}, openai.BadRequestError, "n: .* one answer"),
        ({"max_tokens": 0}, openai.BadRequestError, "max_tokens: .*greater than or equal to 1"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    client: openai.OpenAI, given: dict[str, Any], error: type[openai.APIStatusError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        ask(client, **given)
    body: Any = caught.value.body
    assert body["type"] == "invalid_request_error"
    assert set(body) == {"message", "type", "param", "code"}


def test_what_only_settings_decide_is_passed_over(client: openai.OpenAI) -> None:
    completion = ask(client, temperature=1.5, top_p=0.1, seed=7, presence_penalty=1, user="anna", store=True)
    assert completion.choices[0].message.content == ANSWER


def test_curl_asks_and_streams(with_key: str, script: Script) -> None:
    url = with_key
    key = ("-H", f"Authorization: Bearer {KEY}")
    body = json.dumps({"model": "parley", "messages": QUESTION}).encode()
    status, answer = curl(f"{url}/chat/completions", *key, "--data-binary", "@-", body=body)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, ANSWER)
    body = json.dumps({"model": "parley", "messages": QUESTION, "stream": True}).encode()
    status, text = curl(f"{url}/chat/completions", "-N", *key, "--data-binary", "@-", body=body)
    events = text.split("\n\n")
    assert status == 200
    assert all(event.startswith("data: ") for event in events if event.strip())
    assert events[-2] == "data: [DONE]"


def test_bodies_that_are_none_or_too_large(with_key: str) -> None:
    url, key = with_key, ("-H", f"Authorization: Bearer {KEY}")
    status, answer = curl(f"{url}/chat/completions", *key, "--data-binary", "@-", body=b"{nonsense")
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert "not JSON" in answer["error"]["message"]
    for chunked in ((), ("-H", "Transfer-Encoding: chunked")):
        large = b" " * (5 << 20)
        status, answer = curl(f"{url}/chat/completions", *key, *chunked, "--data-binary", "@-", body=large)
        assert status == 413
        assert "larger than 4 MB. Leave earlier messages out." in answer["error"]["message"]
    status, answer = curl(f"{url}/embeddings", *key, "-d", "{}")
    assert (status, answer["error"]["code"]) == (404, "not_found")
    assert "/v1/chat/completions" in answer["error"]["message"]
    assert curl(f"{url}/chat/completions", *key)[0] == 404  # GET


# Leaving, failing, many at once


def long_request(stream: bool) -> bytes:
    body = json.dumps({"model": "parley", "messages": QUESTION, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_in_the_middle_ends_the_work(
    without_key: str, script: Script, stream: bool
) -> None:
    script.assistant.text = "word " * 2000
    url = httpx.URL(without_key)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(long_request(stream))
        if stream:
            heard = b""
            while heard.count(b'"content": " word"') < 3:
                heard += connection.recv(4096)
        else:
            deadline = time.monotonic() + 10
            while not script.assistant.answers:
                assert time.monotonic() < deadline
                time.sleep(0.01)
    left = time.monotonic()
    assert script.assistant.answers[0].wait_stopped(5)
    assert time.monotonic() - left < 1


def test_the_official_client_closes_a_stream(client: openai.OpenAI, script: Script) -> None:
    script.assistant.text = "word " * 2000
    with ask(client, stream=True) as stream:
        for _, _chunk in zip(range(4), stream, strict=False):
            pass
    assert script.assistant.answers[0].wait_stopped(5)


def test_a_failure_is_told_in_either_way(client: openai.OpenAI) -> None:
    broken = [{"role": "user", "content": "broken?"}]
    with pytest.raises(openai.InternalServerError, match=r"The model is gone\. Ask again\."):
        ask(client, messages=broken)
    with pytest.raises(openai.APIError, match=r"The model is gone\. Ask again\."):
        list(ask(client, messages=broken, stream=True))


class Failing(ScriptedAssistant):
    """A model that fails after its first words; the answer goes on with quotations."""

    def _events(self, question: str, history: Any) -> Iterator[Event]:
        first, *rest = super()._events(question, history)
        yield first
        yield Token("It closes [2] at")
        yield Replaced("The model died. This answer quotes the documents instead.")
        yield from rest


def test_a_model_that_fails_in_the_middle_is_said_and_the_quotations_follow(
    client: openai.OpenAI, script: Script
) -> None:
    script.assistant = Failing()
    completion = ask(client)
    assert completion.choices[0].message.content == ANSWER
    assert completion.model_extra["parley"]["notices"] == [
        "The model died. This answer quotes the documents instead."
    ]
    chunks = list(ask(client, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == (
        "It closes [2] at\n\nThe model died. This answer quotes the documents instead.\n\n" + ANSWER
    )
    marks = next(
        c.choices[0].delta.model_extra["annotations"]
        for c in chunks
        if "annotations" in c.choices[0].delta.model_extra
    )
    places = [mark["url_citation"] for mark in marks]
    assert [text[place["start_index"] : place["end_index"]] for place in places] == ["[1]", "[2]"]


class Together(ScriptedAssistant):
    """Each answer stands still after its first word until `all_here`, so that none ends before all began."""

    all_here = threading.Barrier(17)

    def _events(self, question: str, history: Any) -> Iterator[Event]:
        said = False
        for event in super()._events(question, history):
            yield event
            if isinstance(event, Token) and not said:
                said = True
                self.all_here.wait(60)


def test_many_ask_at_once_and_none_waits_for_another(client: openai.OpenAI, script: Script) -> None:
    script.assistant = together = Together()

    def text(number: int) -> str:
        if number % 2:
            return str(ask(client).choices[0].message.content)
        return "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, stream=True))

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(text, number) for number in range(16)]
        deadline = time.monotonic() + 60
        while together.all_here.n_waiting < 16:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert client.models.list().data  # while all of them stand still, the server answers
        together.all_here.wait(60)
        assert [answer.result() for answer in answers] == [ANSWER] * 16


def test_answers_count_in_the_metrics(client: openai.OpenAI) -> None:
    root = str(client.base_url).removesuffix("/v1/")

    def turns() -> float:
        lines = httpx.get(f"{root}/metrics").text.splitlines()
        return float(
            next(line for line in lines if line.startswith('parley_turns_total{kind="typed"}')).split()[1]
        )

    before = turns()
    ask(client)
    assert turns() == before + 1
    assert QUOTE not in httpx.get(f"{root}/metrics").text
