""" "Go on" and "tell me more": the rest of an answer that broke off, else what further passages say."""

from __future__ import annotations

from typing import ClassVar

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever

from rag.assistant import Assistant, Done, Responder, Sources, Standalone
from rag.chains import RetrievalQA
from rag.extractive import ExtractiveQA
from rag.go_on import NOTHING_BEFORE, Further, asks_on, no_more
from tests.rag.scripted import HashChat
from tests.rag.test_extractive import Given

MILL = Document(
    "The mill burnt down in 1701. The roof is of slate. The mill burnt down again in 1899.",
    metadata={"source": "mill.txt", "start": 0, "end": 90, "score": 0.9},
)
RUIN = Document(
    "After the mill burnt down, its stones were sold to the bakery.",
    metadata={"source": "ruin.txt", "start": 0, "end": 60, "score": 0.6},
)
BOATS = Document(
    "Boats are let by the hour.", metadata={"source": "boats.txt", "start": 0, "end": 26, "score": 0.06}
)
QUESTION = "When did the mill burn down?"
FIRST, SECOND = "The mill burnt down in 1701. [1]", "The mill burnt down again in 1899. [1]"


class Noted(Given):
    """Remembers what it was asked for."""

    asked: list[str]

    def _get_relevant_documents(self, query: str, **_: object) -> list[Document]:
        self.asked.append(query)
        return self.passages


def said(answer: str, *, cut: bool = False, places: object = (("mill.txt", 0, 90),)) -> AIMessage:
    return AIMessage(answer, additional_kwargs={"sources": places} | ({"interrupted": True} if cut else {}))


def quoted(text: str, *history: BaseMessage) -> tuple[Done, list[str]]:
    retriever = Noted(passages=[MILL, RUIN, BOATS], asked=[])
    responder = Responder("quotations", ExtractiveQA(retriever=retriever))
    assistant = Assistant(lambda _: responder, lambda _: responder, nearest=lambda *_: [BOATS])
    events = list(assistant.answer(text, history))
    assert isinstance(events[-1], Done)
    return events[-1], retriever.asked


ON = """
Go on|go on, please.|Continue.|please go on|Could you continue?|and then?|Tell me more!|Yes, tell me more
Carry on|Weiter|Bitte sprechen Sie weiter.|Erzähl mir mehr|Mehr dazu, bitte|Continuez, s'il vous plaît
Dis-m’en plus|La suite ?|Sigue, por favor|Cuéntame más|Continúe|Vai avanti|Dimmi di più, per favore
"""
NOT_ON = """
Tell me more about the mill|When does it go on?|How do I continue a subscription?|Weiter nach Bergen?
Continue where?|Please|And?|More rooms
"""


@pytest.mark.parametrize("text", ON.strip().replace("\n", "|").split("|"))
def test_asking_on_is_known_in_several_languages(text: str) -> None:
    assert asks_on(text)


@pytest.mark.parametrize("text", ["", *NOT_ON.strip().replace("\n", "|").split("|")])
def test_what_names_a_subject_does_not_ask_on(text: str) -> None:
    assert not asks_on(text)


@pytest.mark.parametrize("request_on", ["Go on", "Please tell me more.", "Weiter"])
def test_the_rest_of_an_answer_that_broke_off_is_given(request_on: str) -> None:
    whole, _ = quoted(QUESTION)
    assert whole.text == f"{FIRST} {SECOND}"
    cut = said("The mill burnt down in 1701. [1] The mill bur", cut=True)
    rest, asked = quoted(request_on, HumanMessage(QUESTION), cut)
    assert (rest.text, asked) == (SECOND, [QUESTION])


def test_an_answer_that_was_stopped_before_its_first_word_is_given_whole() -> None:
    rest, _ = quoted("go on", HumanMessage(QUESTION), said("", cut=True))
    assert rest.text == f"{FIRST} {SECOND}"


def test_after_a_complete_answer_other_passages_tell_more_and_then_there_is_no_more() -> None:
    history: list[BaseMessage] = [HumanMessage(QUESTION), said(f"{FIRST} {SECOND}")]
    more, asked = quoted("Tell me more", *history)
    assert (more.text, asked) == (f"{RUIN.page_content} [1]", [QUESTION])
    history += [HumanMessage("Tell me more"), said(more.text, places=[["ruin.txt", 0, 60]])]
    end, asked = quoted("go on", *history)
    assert (end.text, end.answered, asked) == (no_more("en"), False, [QUESTION])


def test_a_follow_up_after_it_is_of_the_same_subject() -> None:
    history = [
        HumanMessage("When does the mill open?"),
        said("At ten."),
        HumanMessage("go on"),
        said("Daily."),
    ]
    assert quoted("And when does it close?", *history)[1] == ["And when does the mill close?"]


def test_with_nothing_before_it_nothing_is_searched() -> None:
    done, asked = quoted("Go on")
    assert (done.text, done.answered, asked) == (NOTHING_BEFORE, False, [])


def test_that_the_documents_say_no_more_is_said_in_the_language_of_the_question() -> None:
    history = [
        HumanMessage("Wann ist die Mühle abgebrannt?"),
        said("1701. [1]", places=[["mill.txt", 0, 90]]),
    ]
    history += [HumanMessage("weiter"), said("Verkauft. [1]", places=[["ruin.txt", 0, 60]])]
    assert quoted("Weiter", *history)[0].text == no_more("de") != no_more("en")


@pytest.mark.parametrize("cut", [True, False])
def test_a_model_is_asked_the_question_again_and_told_what_was_said(cut: bool) -> None:
    llm = HashChat(answer=lambda _: "Their stones were sold. [1]")
    retriever = Noted(passages=[MILL, RUIN], asked=[])
    responder = Responder("model", RetrievalQA.from_chain_type(llm, retriever=retriever), llm)
    assistant = Assistant(lambda _: responder, lambda _: responder)
    events = list(
        assistant.answer("go on", [HumanMessage(QUESTION), said("The mill burnt down in", cut=cut)])
    )
    [prompt] = llm.sent
    assert Standalone(QUESTION, rewritten=True) in events
    assert QUESTION in prompt[-1][1]
    assert ("broke off after “…The mill burnt down in”" in prompt[-1][1]) is cut
    [sources] = [event for event in events if isinstance(event, Sources)]
    assert sources.documents == ((MILL, RUIN) if cut else (RUIN,))
    assert retriever.asked == [QUESTION]


class Continuing(HashChat):
    in_process: ClassVar[bool] = True


@pytest.mark.parametrize(("rest", "heard"), [(" in 1701. [1]", " in 1701. [1]"), ("", no_more("en"))])
def test_a_model_that_can_goes_on_with_its_own_words(rest: str, heard: str) -> None:
    llm = Continuing(answer=lambda _: rest)
    retriever = Noted(passages=[MILL, RUIN], asked=[])
    responder = Responder("model", RetrievalQA.from_chain_type(llm, retriever=retriever), llm)
    events = list(
        Assistant(lambda _: responder, lambda _: responder).answer(
            "go on", [HumanMessage(QUESTION), said("The mill burnt down in", cut=True)]
        )
    )
    [prompt] = llm.sent
    assert prompt[-2][1].endswith(f"Question: {QUESTION}")
    assert prompt[-1] == ("ai", "The mill burnt down")  # "in" may be the half of a word
    assert isinstance(events[-1], Done)
    assert events[-1].text == heard


class Found(BaseRetriever):
    """As many passages as it may give, ever less alike."""

    k: int = 4

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [
            Document(
                f"Passage {n}.",
                metadata={"source": "a", "start": 9 * n, "end": 9 * n + 9, "score": 0.9 - n / 10},
            )
            for n in range(self.k)
        ]


def test_more_is_looked_for_behind_the_passages_that_were_all_told_of() -> None:
    told = tuple(("a", 9 * n, 9 * n + 9) for n in range(4))
    more = Further("All of it.", cut=False, places=told)
    found = more.searching(Found()).invoke("q")
    assert [document.page_content for document in more.more(found)] == [f"Passage {n}." for n in (4, 5, 6, 7)]
    cut = Further("Half of", cut=True, places=told)
    assert len(cut.searching(Found()).invoke("q")) == 4


@pytest.mark.parametrize(
    ("text", "whole"),
    [("It opens on Sat", "It opens on"), ("It opens. ", "It opens."), ("At 8 [1]", "At 8 [1]"), ("Sat", "")],
)
def test_what_a_model_goes_on_with_ends_with_a_whole_word(text: str, whole: str) -> None:
    assert Further(text, cut=True).whole == whole


def test_what_was_understood_once_is_not_asked_of_the_model_again() -> None:
    llm = HashChat(answer=lambda _: "Their stones were sold. [1]")
    retriever = Noted(passages=[MILL, RUIN], asked=[])
    responder = Responder("model", RetrievalQA.from_chain_type(llm, retriever=retriever), llm)
    answer = AIMessage(
        "It burnt down in", additional_kwargs={"interrupted": True, "standalone": QUESTION, "sources": []}
    )
    history = [HumanMessage("Is there a mill?"), AIMessage("Yes."), HumanMessage("And then?  When?"), answer]
    list(Assistant(lambda _: responder, lambda _: responder).answer("go on", history))
    assert len(llm.sent) == 1
    assert retriever.asked == [QUESTION]
