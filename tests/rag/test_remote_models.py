"""Embeddings and reranking by a server: what is asked, each fault, and an index that is made with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rag import cancel
from rag.embeddings import Embedder, EmbedderError, full_name, open_embedder
from rag.embeddings_remote import BATCH, RemoteEmbedder
from rag.llms.exchange import Timeouts
from rag.rerank import Dispensable, RerankerError, open_reranker
from rag.rerank_remote import RemoteReranker
from rag.telling import News, Notice, listening
from tests.rag.llms.servers import reply, scripted
from tests.rag.remote_models import Models

TEXTS = ["The library opens at nine.", "Bees make honey. " * 4, "鳥が飛ぶ", "The library opens at nine."]
QUICK = Timeouts(connect=1, first=0.3)
QUESTION = "Who built the engine?"
PASSAGES = ["Roses grow here.", "Ellwood built the engine in 1887.", "The engine is old."]


@pytest.fixture
def models(embedder: Embedder) -> Models:
    return Models(embedder)


@pytest.fixture
def url(models: Models) -> Iterator[str]:
    with scripted(models) as url:
        yield url


@pytest.fixture(params=["local", "float", "base64"])
def engine(request: pytest.FixtureRequest, embedder: Embedder, models: Models, url: str) -> Embedder:
    """Each engine of the seam, over the same model."""
    if request.param == "local":
        return embedder
    models.encoding = request.param
    return open_embedder("remote:minilm", url=url, offline=True)


def test_contract_of_an_embedder(engine: Embedder, embedder: Embedder) -> None:
    texts = [*TEXTS, *(f"{number} bees" for number in range(BATCH))]
    vectors = engine.embed_array(texts)
    assert vectors.shape == (36, engine.dimension) == (36, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (np.sum(vectors * embedder.embed_array(texts), axis=1) > 0.9998).all()
    query = engine.embed_query("where do I borrow books?")
    library, bees = engine.embed_documents(["a library", "a bee"])
    assert np.dot(query, library) > np.dot(query, bees)
    assert engine.embed_array([]).shape == (0, 384)
    with pytest.raises(ValueError, match="read-only"):
        engine.embed_query_array("bees")[0] = 3
    token = cancel.CancelToken()
    token.cancel()
    with cancel.scope(token), pytest.raises(cancel.Cancelled):
        engine.embed_array(texts)
    assert engine.device


def test_texts_go_in_batches_with_the_key_and_a_query_once(models: Models, url: str) -> None:
    engine = open_embedder("remote:minilm", url=url, key="sk-secret")
    engine.embed_array([f"text {number}" for number in range(BATCH + 1)])
    assert [len(body["input"]) for body in models.asked("/embeddings")] == [BATCH, 1]
    for _ in range(3):
        engine.embed_query_array("bees")
    assert len(models.asked("/embeddings")) == 3
    assert all(body["model"] == "minilm" for body in models.asked("/embeddings"))
    assert all("authorization: bearer sk-secret" in head.lower() for _, _, head in models.requests)
    assert "sk-secret" not in repr(vars(engine))


def test_a_blank_text_is_not_sent_blank(models: Models, url: str) -> None:
    open_embedder("remote:minilm", url=url).embed_array(["", " \n"])
    assert models.asked("/embeddings")[0]["input"] == ["-", "-"]


def test_cancelling_stops_between_two_batches(models: Models, url: str) -> None:
    token = cancel.CancelToken()

    def cancel_then(path: str, body: dict[str, Any]) -> None:
        token.cancel()

    models.fault = cancel_then
    with cancel.scope(token), pytest.raises(cancel.Cancelled):
        open_embedder("remote:minilm", url=url).embed_array(["text"] * (BATCH + 1))
    assert len(models.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply("401 Unauthorized", "{}"), "401.*PARLEY_LLM_KEY"),
        (
            reply("404 Not Found", '{"message": "no such model"}'),
            r"no embedding model 'm'.*no such model.*PARLEY_EMBEDDER and PARLEY_LLM_URL",
        ),
        (reply("400 Bad Request", '{"message": "512 tokens at most"}'), "512 tokens.*PARLEY_CHUNK_SIZE"),
        (reply("500 Oops", ""), "500.*log"),
        (reply("200 OK", "<html>"), "not an answer"),
        (reply("200 OK", "{}"), "something else than 2 vectors"),
        (reply("200 OK", '{"data": [{"index": 0, "embedding": [1, 2]}]}'), "than 2 vectors"),
        (reply("200 OK", '{"data": [{"embedding": [1, 2]}, {"embedding": [1]}]}'), "than 2 vectors"),
        (reply("200 OK", '{"data": [{"embedding": [1, 2]}, {"embedding": [0, 0]}]}'), "than 2 vectors"),
        (reply("200 OK", '{"data": [{"embedding": [1, 2]}, {"embedding": [NaN, 0]}]}'), "than 2 vectors"),
        (reply("200 OK", '{"data": [{"embedding": "AAA"}, {"embedding": "AAAA"}]}'), "than 2 vectors"),
        (b"", "broke off"),
    ],
)
def test_each_fault_of_an_embedder_is_an_error_with_a_remedy(answer: bytes, message: str) -> None:
    with (
        scripted(lambda connection, _: connection.sendall(answer)) as url,
        pytest.raises(EmbedderError, match=message),
    ):
        RemoteEmbedder(url, "m").embed_array(["one", "two"])


def test_a_silent_server_is_given_up_and_one_that_is_down_is_named() -> None:
    begin = time.monotonic()
    with scripted(lambda connection, _: connection.recv(1)) as url:
        with pytest.raises(EmbedderError, match="took too long"):
            RemoteEmbedder(url, "m", timeouts=QUICK).embed_query("one")
        with pytest.raises(RerankerError, match="took too long"):
            RemoteReranker(url, "m", timeouts=QUICK).scores("q", ["p"])
    assert time.monotonic() - begin < 5
    with pytest.raises(EmbedderError, match=r"cannot be reached\. Is it running\? Check PARLEY_LLM_URL"):
        RemoteEmbedder(url, "m", timeouts=QUICK).embed_query("one")


def test_a_server_that_is_busy_for_a_moment_is_asked_once_more(models: Models, url: str) -> None:
    refusals = iter([reply("503 Unavailable", "")])
    models.fault = lambda path, body: next(refusals, None)
    assert len(open_embedder("remote:minilm", url=url).embed_query("one")) == 384
    assert len(models.requests) == 2


def test_another_model_under_the_same_name_is_noticed(url: str) -> None:
    engine = open_embedder("remote:minilm", url=url, dimension=768)
    assert engine.dimension == 768  # as the index says; nobody was asked
    with pytest.raises(EmbedderError, match="384 numbers, and those of the index have 768"):
        engine.embed_query("one")


@pytest.mark.parametrize("opening", [open_embedder, open_reranker])
@pytest.mark.parametrize(
    ("name", "url", "message"),
    [
        ("remote", "http://127.0.0.1:1/v1", "has no name. Set PARLEY_.*=remote:NAME"),
        ("remote:", "http://127.0.0.1:1/v1", "has no name"),
        ("remote:m", "", "PARLEY_LLM_URL"),
        ("remote:m", "http://192.0.2.1/v1", "switched off"),
    ],
)
def test_what_cannot_be_opened(opening: Any, name: str, url: str, message: str) -> None:
    with pytest.raises((EmbedderError, RerankerError), match=message):
        opening(name, url=url, offline=True)


def test_a_servers_name_is_whole() -> None:
    assert full_name("remote:minilm") == "remote:minilm"


# Reranking


@pytest.mark.parametrize("style", ["vllm", "infinity", "tei"])
def test_a_reranker_is_asked_in_the_servers_way(models: Models, url: str, style: str) -> None:
    models.style = style
    reranker = open_reranker("remote:m", url=url, key="sk-secret", offline=True)
    for _ in range(2):
        assert reranker.scores(QUESTION, PASSAGES).tolist() == pytest.approx([0.0, 0.75, 0.5])
    assert len(models.requests) == {"vllm": 2, "infinity": 3, "tei": 4}[style]
    assert models.requests[-1][1]["query"] == QUESTION
    assert "bearer sk-secret" in models.requests[-1][2].lower()
    assert reranker.scores(QUESTION, []).shape == (0,)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply("401 Unauthorized", "{}"), "401.*PARLEY_LLM_KEY"),
        (
            reply("404 Not Found", '{"detail": "Not Found"}'),
            r"'m': HTTP 404.*PARLEY_RERANKER",
        ),
        (reply("500 Oops", ""), "500"),
        (reply("200 OK", "[]"), "a score for each passage"),
        (reply("200 OK", '{"results": [{"index": 0, "relevance_score": 1}]}'), "a score for each passage"),
        (reply("200 OK", '{"results": [{"index": 7, "relevance_score": 1}]}'), "a score for each passage"),
        (reply("200 OK", "7"), "a score for each passage"),
        (reply("200 OK", "<html>"), "not an answer"),
    ],
)
def test_each_fault_of_a_reranker_is_an_error_with_a_remedy(answer: bytes, message: str) -> None:
    with (
        scripted(lambda connection, _: connection.sendall(answer)) as url,
        pytest.raises(RerankerError, match=message),
    ):
        RemoteReranker(url, "m").scores("q", ["one", "two"])


def test_a_reranker_that_fails_leaves_the_order_says_so_and_rests(
    models: Models, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[News] = []
    reranker = Dispensable(open_reranker("remote:m", url=url))
    models.fault = lambda path, body: reply("500 Oops", "")
    with listening(told.append):
        for _ in range(2):
            scores = reranker.scores(QUESTION, PASSAGES)
            assert (np.diff(scores) < 0).all()
        assert len(models.requests) == 1
        assert told == [Notice(reranker.why)] * 2  # with each answer that it is left out of
        assert reranker.why.endswith("The passages are ranked without it.")
        models.fault = lambda path, body: None
        monkeypatch.setattr(reranker, "_rests_until", 0.0)
        assert reranker.scores(QUESTION, PASSAGES).argmax() == 1
    assert len(told) == 2
    assert reranker.why == ""


def test_many_threads_share_one_engine(models: Models, url: str) -> None:
    engine, reranker = open_embedder("remote:m", url=url), open_reranker("remote:m", url=url)
    wrong: list[str] = []

    def work(number: int) -> None:
        texts = [f"{number} {text}" for text in ("bees", "trains")]
        one, other = engine.embed_array(texts), engine.embed_query_array(texts[0])
        if float(one[0] @ other) < 0.9998 or reranker.scores(QUESTION, PASSAGES).argmax() != 1:
            wrong.append(texts[0])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
