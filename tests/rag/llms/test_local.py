"""The local model through its real door, with tiny random weights."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough

from rag.cancel import Cancelled, CancelToken, scope
from rag.llms.errors import GenerationFailed, PromptTooLong
from rag.llms.local import LocalChatModel
from rag.llms.run import THREAD, Run
from tests.models import open_tiny

QUESTION = [SystemMessage("Answer from the passages."), HumanMessage("Who keeps the light on the cape?")]
LONG = [HumanMessage("The lighthouse on the northern cape was built in 1874. " * 150)]


def generating() -> list[threading.Thread]:
    """The threads that still make tokens, half a second after the last should have ended."""
    threads = [thread for thread in threading.enumerate() if thread.name == THREAD]
    for thread in threads:
        thread.join(0.5)
    return [thread for thread in threads if thread.is_alive()]


@contextmanager
def before(llm: LocalChatModel, layer: int, action: Callable[[], None]) -> Iterator[None]:
    """Run `action` in the generating thread before a layer computes."""
    module = llm.loaded.model.model.layers[layer]
    handle = module.register_forward_pre_hook(lambda *_: action())
    try:
        yield
    finally:
        handle.remove()


def cancelled_after(run: Callable[[], object], reached: threading.Event) -> float:
    """Run in a thread under a token, cancel once `reached`; seconds from the cancelling to `Cancelled`."""
    token, ended = CancelToken(), []

    def work() -> None:
        with scope(token), pytest.raises(Cancelled):
            run()
        ended.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    assert reached.wait(20)
    start = time.perf_counter()
    token.cancel()
    thread.join(20)
    assert ended, "the generation did not stop"
    return ended[0] - start


@pytest.mark.parametrize("kind", ["mistral", "qwen", "base"])
def test_writes_what_the_model_itself_writes(kind: str, writes: str, request: pytest.FixtureRequest) -> None:
    import torch

    llm: LocalChatModel = request.getfixturevalue(kind).model_copy(update={"repetition_penalty": 1.0})
    tokenizer, model = llm.loaded.tokenizer, llm.loaded.model
    text = QUESTION[0].text + "\n\n" + QUESTION[1].text
    if kind == "mistral":
        text = f"<s>[INST] {text} [/INST]"
    elif kind == "qwen":
        turns = [
            {"role": "system", "content": QUESTION[0].text},
            {"role": "user", "content": QUESTION[1].text},
        ]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
    assert llm.invoke(QUESTION).content == tokenizer.decode(
        expected[0, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


def test_streams_pieces_that_add_up_to_the_whole(mistral: LocalChatModel) -> None:
    chunks = list(mistral.stream(QUESTION))
    pieces = [chunk.content for chunk in chunks if chunk.content]
    assert len(pieces) > 1
    whole = mistral.invoke(QUESTION)
    assert "".join(map(str, pieces)) == whole.content
    assert whole.usage_metadata == chunks[-1].usage_metadata
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 24
    assert whole.usage_metadata["input_tokens"] == mistral.count_prompt_tokens(QUESTION)
    assert whole.response_metadata["finish_reason"] == "length"


def test_streams_while_it_still_writes(slow: LocalChatModel) -> None:
    stream = cast("Generator[BaseMessage]", slow.stream(QUESTION))
    assert any(next(stream).content for _ in range(50))
    assert generating(), "8000 tokens cannot be written yet"
    stream.close()
    assert not generating()


def test_repetition_penalty_counts_the_answer_only(qwen: LocalChatModel) -> None:
    first = {}
    for penalty in (1.0, 50.0):
        llm = qwen.model_copy(update={"repetition_penalty": penalty, "max_new_tokens": 1})
        first[penalty] = llm.invoke(QUESTION).content
    assert first[1.0] == first[50.0]
    twenty = [
        qwen.model_copy(update={"repetition_penalty": penalty}).invoke(QUESTION).content
        for penalty in (1.0, 50.0)
    ]
    assert twenty[0] != twenty[1]


def test_samples_by_setting_and_warns_of_nothing(qwen: LocalChatModel) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("transformers")
    log.addHandler(handler)
    try:
        greedy = {qwen.invoke(QUESTION).content for _ in range(2)}
        warm = qwen.model_copy(update={"temperature": 1.5, "top_p": 0.95, "top_k": 40})
        sampled = {warm.invoke(QUESTION).content for _ in range(3)}
        narrow = qwen.model_copy(update={"temperature": 1.5, "top_k": 1})
        assert narrow.invoke(QUESTION).content in greedy
    finally:
        log.removeHandler(handler)
    assert len(greedy) == 1
    assert len(sampled) > 1
    assert said.getvalue() == ""


def test_what_is_not_set_has_a_default_that_acts(mistral_path: Path) -> None:
    unset: dict[str, Any] = dict.fromkeys(("top_p", "top_k", "repetition_penalty", "max_new_tokens"))
    llm = open_tiny(mistral_path, temperature=0.7, **unset)
    assert (llm.top_p, llm.top_k, llm.max_new_tokens) == (0.95, 40, 512)


def test_stops_at_a_stop_string(mistral: LocalChatModel) -> None:
    whole = str(mistral.invoke(QUESTION).content)
    stop = whole[8:11]
    answer = mistral.invoke(QUESTION, stop=[stop, "never"])
    assert answer.content == whole[: whole.index(stop)]
    assert answer.response_metadata["finish_reason"] == "stop"
    assert not generating()


def test_counts_with_its_own_tokenizer(mistral: LocalChatModel) -> None:
    ids = mistral.loaded.tokenizer("The lighthouse", add_special_tokens=False)["input_ids"]
    assert mistral.get_num_tokens("The lighthouse") == len(ids)
    assert mistral.get_num_tokens_from_messages(QUESTION) == mistral.count_prompt_tokens(QUESTION)
    assert mistral.count_prompt_tokens(QUESTION) > sum(mistral.get_num_tokens(m.text) for m in QUESTION)


def test_a_prompt_beyond_the_window_is_an_error(mistral: LocalChatModel) -> None:
    assert mistral.context_window == 4096
    with pytest.raises(PromptTooLong, match=r"takes 4096.*fewer passages") as caught:
        mistral.invoke([HumanMessage("\N{SNOWMAN}" * 5000)])
    assert caught.value.tokens > caught.value.window


def test_the_answer_ends_where_the_window_ends(mistral: LocalChatModel) -> None:
    text = "x"
    while mistral.count_prompt_tokens([HumanMessage(text)]) < 4088:
        text += " x" * max(1, (4088 - mistral.count_prompt_tokens([HumanMessage(text)])) // 3)
    answer = mistral.invoke([HumanMessage(text)])
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] <= 4096


def test_cancel_in_the_middle_of_the_prompt(slow: LocalChatModel) -> None:
    reached, past = threading.Event(), []
    held = threading.Event()

    def middle() -> None:
        reached.set()
        held.wait(0.2)  # so that the cancelling falls into this pass, whatever the machine

    with before(slow, 6, middle), before(slow, 9, lambda: past.append(1)):
        latency = cancelled_after(lambda: slow.invoke(LONG), reached)
    assert past == [], "layers after the cancelling still computed"
    assert latency < 1.5
    assert not generating()


def test_cancel_in_the_middle_of_the_answer(slow: LocalChatModel) -> None:
    reached = threading.Event()
    pieces: list[str] = []

    def read() -> None:
        for chunk in slow.stream(QUESTION):
            pieces.append(str(chunk.content))
            reached.set()

    assert cancelled_after(read, reached) < 1.0
    assert pieces
    assert not generating()


def test_cancel_inside_an_lcel_chain(slow: LocalChatModel) -> None:
    class Passages(BaseRetriever):
        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            return [Document("Olaf keeps the light.")]

    prompt = ChatPromptTemplate.from_template("Context: {context}\nQuestion: {question}")
    chain: Any = (
        {"context": Passages(), "question": RunnablePassthrough()} | prompt | slow | StrOutputParser()
    )
    for way in (lambda: chain.invoke("Who?"), lambda: list(chain.stream("Who?"))):
        reached = threading.Event()
        with before(slow, 3, reached.set):
            assert cancelled_after(way, reached) < 1.0
        assert not generating()


def test_a_token_that_is_already_set_starts_nothing(slow: LocalChatModel) -> None:
    token = CancelToken()
    token.cancel()
    with scope(token), pytest.raises(Cancelled), before(slow, 0, lambda: pytest.fail("computed")):
        slow.invoke(QUESTION)


def test_cancel_while_waiting_for_another_generation(slow: LocalChatModel) -> None:
    first = cast("Generator[BaseMessage]", slow.stream(QUESTION))
    next(first)
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        for _ in slow.stream(QUESTION):  # in a batch it is its turn at once
            pass

    assert cancelled_after(wait, waiting) < 1.0
    assert len(generating()) == 1
    first.close()
    assert not generating()


def test_cancel_reaches_an_async_reader(slow: LocalChatModel) -> None:
    token = CancelToken()

    async def read() -> None:
        with scope(token):
            async for _ in slow.astream(QUESTION):
                token.cancel()

    with pytest.raises(Cancelled):
        asyncio.run(read())
    assert not generating()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("layer exploded"), r"failed while it wrote \(RuntimeError\).*another model"),
        (MemoryError(), r"ran out of memory.*fewer passages"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), r"ran out of memory.*smaller model"),
    ],
)
def test_an_error_in_the_model_reaches_the_reader_and_the_next_question_is_answered(
    mistral: LocalChatModel, error: Exception, message: str
) -> None:
    def fail() -> None:
        raise error

    with before(mistral, 1, fail), pytest.raises(GenerationFailed, match=message) as caught:
        mistral.invoke(QUESTION)
    assert caught.value.__cause__ is error
    assert mistral.invoke(QUESTION).content


def test_an_error_in_the_middle_keeps_what_was_said(mistral: LocalChatModel) -> None:
    calls: list[int] = []

    def fail_later() -> None:
        calls.append(1)
        if len(calls) > 12:
            raise RuntimeError("gone")

    pieces: list[str] = []

    def read() -> None:
        for chunk in mistral.stream(QUESTION):
            pieces.append(str(chunk.content))  # noqa: PERF401  # extend would lose them with the error

    with before(mistral, 0, fail_later), pytest.raises(GenerationFailed):
        read()
    assert any(pieces)
    assert str(mistral.invoke(QUESTION).content).startswith("".join(pieces))


def test_several_readers_at_once_get_their_own_answers(mistral: LocalChatModel) -> None:
    questions = [f"Question number {number}?" for number in range(4)]
    expected = [mistral.invoke(question).content for question in questions]
    got: dict[int, object] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            mistral.get_num_tokens(questions[number] * 20)
        got[number] = mistral.invoke(questions[number]).content

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [got[number] for number in range(4)] == expected


def produced(generation: Callable[[], int], seconds: float) -> int:
    before = generation()
    time.sleep(seconds)
    return generation() - before


def test_a_held_generation_writes_nothing_and_goes_on_with_the_same_text(mistral: LocalChatModel) -> None:
    llm = mistral.model_copy(update={"max_new_tokens": 60})
    whole = str(llm.invoke(QUESTION).content)
    passes: list[int] = []
    token, pieces = CancelToken(), list[str]()

    def read() -> None:
        with scope(token):
            pieces.extend(str(chunk.content) for chunk in llm.stream(QUESTION))

    def at_layer() -> None:
        passes.append(1)
        if len(passes) == 10:
            token.hold()

    with before(llm, 0, at_layer):
        reader = threading.Thread(target=read)
        reader.start()
        deadline = time.monotonic() + 10
        while len(passes) < 10 and time.monotonic() < deadline:
            time.sleep(0.001)
        held = len(passes)
        assert produced(lambda: len(passes), 0.2) == 0
        assert held == len(passes) == 10
        assert generating()
        token.release()
        reader.join(10)
    assert "".join(pieces) == whole


def test_cancel_while_held_ends_the_generation_at_once(slow: LocalChatModel) -> None:
    reached, token = threading.Event(), CancelToken()
    ended: list[float] = []

    def read() -> None:
        with scope(token), pytest.raises(Cancelled):
            slow.invoke(LONG)
        ended.append(time.perf_counter())

    def middle() -> None:
        token.hold()
        reached.set()

    past: list[int] = []
    with before(slow, 6, middle), before(slow, 9, lambda: past.append(1)):
        reader = threading.Thread(target=read)
        reader.start()
        assert reached.wait(20)
        assert produced(lambda: len(past), 0.2) == 0
        begin = time.perf_counter()
        token.cancel()
        reader.join(10)
    assert past == []
    assert ended[0] - begin < 1.0
    assert not generating()


def test_closing_a_held_stream_from_its_own_reader_ends_it(slow: LocalChatModel) -> None:
    token = CancelToken()
    with scope(token):
        stream = cast("Generator[BaseMessage]", slow.stream(QUESTION))
        next(stream)
        token.hold()
        begin = time.perf_counter()
        stream.close()
    assert time.perf_counter() - begin < 1.0
    assert not generating()


def test_thoughts_are_not_part_of_the_answer(
    mistral: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = "<think>The cape.\n</think>\n\nOlaf keeps it."
    ids = mistral.loaded.tokenizer(written, add_special_tokens=False)["input_ids"]

    class Scripted:
        def start(self, run: Run) -> None:
            for token in ids:
                run.write([token], frozenset())
            run.finish = "stop"
            run.end()

    llm = mistral.model_copy(update={"max_new_tokens": 500})
    monkeypatch.setattr(llm, "_writer", Scripted())
    pieces = [str(chunk.content) for chunk in llm.stream(QUESTION)]
    assert "".join(pieces) == "Olaf keeps it."
    assert len([piece for piece in pieces if piece]) > 1
