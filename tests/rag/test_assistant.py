"""The event stream of an answer: its order, its failures, and stopping it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.assistant import (
    Answer,
    Assistant,
    Done,
    Event,
    Nearest,
    Notice,
    Replaced,
    Responder,
    Sources,
    Standalone,
    Token,
)
from rag.cancel import Cancelled, current

GARDEN = Document("The garden opens at nine in the morning.", metadata={"source": "garden.txt", "score": 0.9})
PRICES = Document("Admission is 12 euros for adults.", metadata={"source": "prices.txt", "score": 0.4})


class Scripted:
    """A chain that says what it is told to, and fails where it is told to."""

    def __init__(
        self, *pieces: str | Exception, documents: Sequence[Document] = (GARDEN, PRICES), notice: str = ""
    ) -> None:
        self.pieces, self.documents, self.notice = pieces, documents, notice
        self.asked: list[dict[str, Any]] = []

    def stream(self, input: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(input)
        yield {"source_documents": list(self.documents)}
        if self.notice:
            yield {"notice": self.notice}
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield {"result": piece}


class Endless(Scripted):
    """Goes on until it is cancelled, and says when it has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def stream(self, input: Any) -> Iterator[dict[str, Any]]:
        yield {"source_documents": [GARDEN]}
        try:
            while True:
                yield {"result": "on and "}
                if current().wait(0.002):
                    raise Cancelled
        finally:
            self.stopped.set()


def quoting(chain: Scripted) -> Responder:
    return Responder("quotations", chain)


def model(chain: Scripted, *replies: str) -> Responder:
    return Responder("scripted model", chain, FakeListChatModel(responses=list(replies) or ["?"]))


def ask(
    responder: Responder, fallback: Scripted | None = None, history: Sequence[BaseMessage] = ()
) -> list[Event]:
    assistant = Assistant(lambda _: responder, lambda _: quoting(fallback or Scripted("Quoted. [1]")))
    return list(assistant.answer("When does the garden open?", history))


def test_events_come_in_order_and_done_sums_them_up() -> None:
    events = ask(quoting(Scripted("The garden opens ", "at nine. [1]", notice="One passage was dropped.")))
    assert [type(event) for event in events] == [Standalone, Sources, Notice, Token, Token, Done]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.text == "The garden opens at nine. [1]"
    assert (done.answered, done.citations, done.confidence, done.engine) == (True, (1,), 0.9, "quotations")
    times = [done.timings[name] for name in ("standalone", "retrieval", "first_token", "total")]
    assert times == sorted(times)


def test_where_the_documents_do_not_say_the_nearest_is_told() -> None:
    silent = quoting(Scripted("That is not in the documents.", documents=()))
    asked: list[tuple[str, str]] = []

    def nearest(question: str, collection: str) -> list[Document]:
        asked.append((question, collection))
        return [GARDEN]

    history = [HumanMessage("When does the garden open?"), AIMessage("At nine. [1]")]
    assistant = Assistant(lambda _: silent, lambda _: silent, nearest=nearest)
    *_, last, limit, done = assistant.answer("And when does it close?", history, collection="handbooks")
    assert last == Nearest((GARDEN,))
    assert limit == Notice("Only the collection “handbooks” was searched.")
    assert isinstance(done, Done)
    assert (done.answered, done.confidence) == (False, 0.0)
    assert asked == [("And when does the garden close?", "handbooks")]
    found = quoting(Scripted("At nine. [1]"))
    answered = Assistant(lambda _: found, lambda _: found, nearest=nearest)
    events = list(answered.answer("When?", collection="handbooks"))
    assert not any(isinstance(event, Nearest | Notice) for event in events)
    assert not any(isinstance(event, Notice) for event in ask(silent)), "all were searched"


def test_a_models_sentences_are_cited() -> None:
    events = ask(model(Scripted("The garden opens at nine in the morning.", " Admission is 12 euros.")))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.text == "The garden opens at nine in the morning. [1] Admission is 12 euros. [2]"
    assert "".join(event.text for event in events if isinstance(event, Token)) == done.text


def test_a_model_that_fails_in_the_middle_is_replaced_by_quotations() -> None:
    failing = Scripted("The garden op", RuntimeError("The model ran out of memory. Choose a smaller one."))
    events = ask(model(failing))
    replaced = [event for event in events if isinstance(event, Replaced)]
    assert len(replaced) == 1
    assert "out of memory" in replaced[0].reason
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.text, done.engine) == ("Quoted. [1]", "quotations")


def test_a_model_that_fails_before_it_said_anything_leaves_a_notice() -> None:
    events = ask(model(Scripted(RuntimeError("No such model."))))
    assert not any(isinstance(event, Replaced) for event in events)
    assert any(isinstance(event, Notice) and "No such model." in event.message for event in events)


def test_when_quoting_fails_too_the_error_reaches_the_reader() -> None:
    broken = Scripted(RuntimeError("The index cannot be read."))
    with pytest.raises(RuntimeError, match="index cannot be read"):
        ask(model(broken), fallback=broken)


def test_an_answer_that_says_it_does_not_know_is_not_an_answer() -> None:
    done = ask(model(Scripted("I don't know.")))[-1]
    assert isinstance(done, Done)
    assert not done.answered


def test_without_passages_nothing_is_answered() -> None:
    done = ask(quoting(Scripted("I could not find this in your documents.", documents=[])))[-1]
    assert isinstance(done, Done)
    assert (done.answered, done.citations, done.confidence) == (False, (), 0.0)


def test_a_follow_up_is_asked_as_a_question_of_its_own() -> None:
    chain = Scripted("At six. [1]")
    history = [HumanMessage("When does the botanic garden open?"), AIMessage("At nine. [1]")]
    assistant = Assistant(lambda _: quoting(chain), lambda _: quoting(chain))
    events = list(assistant.answer("And when does it close?", history))
    assert isinstance(events[0], Standalone)
    assert events[0].rewritten
    assert "garden" in events[0].question
    assert chain.asked[0]["query"] == events[0].question


def test_without_memory_the_history_is_not_used() -> None:
    chain = Scripted("At six. [1]")
    history = [HumanMessage("When does the botanic garden open?"), AIMessage("At nine. [1]")]
    assistant = Assistant(lambda _: quoting(chain), lambda _: quoting(chain), memory="none")
    events = list(assistant.answer("And when does it close?", history))
    assert isinstance(events[0], Standalone)
    assert events[0].question == "And when does it close?"
    assert chain.asked[0]["chat_history"] == []


def test_closing_from_another_thread_stops_the_reader_and_the_work() -> None:
    chain = Endless()
    answer = Assistant(lambda _: quoting(chain), lambda _: quoting(chain)).answer("On?")
    seen: list[Event] = []
    reader = threading.Thread(target=lambda: seen.extend(answer))
    reader.start()
    while len(seen) < 5 and reader.is_alive():
        time.sleep(0.001)
    begin = time.perf_counter()
    for _ in range(3):
        answer.close()
    reader.join(2)
    assert not reader.is_alive()
    assert chain.stopped.wait(2)
    assert answer.wait_stopped(2)
    assert time.perf_counter() - begin < 0.5
    assert not any(isinstance(event, Done) for event in seen)
    assert list(answer) == []


def test_closing_wakes_a_reader_that_waits_for_a_silent_model() -> None:
    release = threading.Event()

    def work(emit: object) -> None:
        release.wait(5)

    answer = Answer(work)
    reader = threading.Thread(target=lambda: list(answer))
    reader.start()
    answer.close()
    reader.join(2)
    assert not reader.is_alive()
    release.set()
    assert answer.wait_stopped(2)


def test_leaving_the_block_closes_the_answer() -> None:
    chain = Endless()
    with Assistant(lambda _: quoting(chain), lambda _: quoting(chain)).answer("On?") as answer:
        next(answer)
    assert chain.stopped.wait(2)


def test_a_finished_answer_stays_finished() -> None:
    answer = Assistant(lambda _: quoting(Scripted("Yes. [1]")), lambda _: quoting(Scripted())).answer(
        "Is it?"
    )
    assert list(answer)
    assert list(answer) == []
    answer.close()


class Counting(Scripted):
    """Says two hundred words, about one a millisecond; knows nothing of holding."""

    def __init__(self) -> None:
        super().__init__(*(f"word{number} " for number in range(200)))
        self.said = 0

    def stream(self, input: Any) -> Iterator[dict[str, Any]]:
        for part in super().stream(input):
            yield part
            self.said += 1
            time.sleep(0.001)


def test_a_paused_answer_stands_still_and_goes_on_with_the_same_text() -> None:
    chain = Counting()
    answer = Assistant(lambda _: quoting(chain), lambda _: quoting(chain)).answer("On?")
    assert isinstance(next(answer), Standalone)
    answer.pause()
    answer.pause()
    time.sleep(0.05)
    held = chain.said
    time.sleep(0.3)
    assert chain.said == held < 200
    answer.resume()
    answer.resume()
    done = list(answer)[-1]
    assert isinstance(done, Done)
    assert done.text == "".join(f"word{number} " for number in range(200))


def test_closing_a_paused_answer_ends_it_at_once() -> None:
    chain = Endless()
    answer = Assistant(lambda _: quoting(chain), lambda _: quoting(chain)).answer("On?")
    next(answer)
    answer.pause()
    begin = time.perf_counter()
    answer.close()
    assert chain.stopped.wait(2)
    assert answer.wait_stopped(2)
    assert time.perf_counter() - begin < 0.5
    assert list(answer) == []
