from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from rag.cancel import Cancelled, CancelToken, scope
from rag.embeddings import Embedder
from rag.extractive import LONGEST_ANSWER, NOT_FOUND, ExtractiveQA

CITATION = re.compile(r" \[(\d+)\]")


class Given(BaseRetriever):
    """Gives the passages it was given."""

    passages: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.passages


def passage(text: str, title: str = "", section: str = "") -> Document:
    return Document(page_content=text, metadata={"title": title, "section": section})


def answer(question: str, *texts: str | Document, embedder: Embedder | None = None) -> str:
    passages = [text if isinstance(text, Document) else passage(text) for text in texts]
    chain = ExtractiveQA(retriever=Given(passages=passages), embedder=embedder)
    return str(chain.invoke({"query": question, "chat_history": []})["result"])


MILL = (
    "The mill stands on the river Ode. "
    "It was built in 1632 by Hannes Grote, who had seen one like it in Leiden. "
    "Its wheel is made of oak. The mill burnt down twice, in 1701 and in 1899."
)
BAKERY = "The bakery is open from Tuesday to Sunday. It bakes with flour from the mill."


def test_the_best_sentence_is_quoted_with_its_passage(embedder: Embedder) -> None:
    text = answer("Who built the mill?", BAKERY, MILL, embedder=embedder)
    assert "It was built in 1632 by Hannes Grote, who had seen one like it in Leiden. [2]" in text
    assert answer("On which days is the bakery open?", BAKERY, MILL, embedder=embedder).startswith(
        "The bakery is open from Tuesday to Sunday. [1]"
    )


def test_of_two_things_that_are_compared_each_is_quoted(embedder: Embedder) -> None:
    aurora = "The warranty of the Aurora kettle lasts two years from the day of purchase. It covers the lid."
    borealis = "The warranty of the Borealis kettle lasts five years and covers the heating element."
    text = answer(
        "Compare the warranty of the Aurora and the Borealis kettle.", aurora, borealis, embedder=embedder
    )
    assert "lasts two years from the day of purchase. [1]" in text
    assert "lasts five years and covers the heating element. [2]" in text


def test_words_alone_decide_without_an_embedder() -> None:
    assert answer("When did the mill burn down?", BAKERY, MILL).startswith(
        "The mill burnt down twice, in 1701 and in 1899. [2]"
    )


def test_what_the_words_do_not_tell_the_embedder_does(embedder: Embedder) -> None:
    text = "Our doors close at six. The chef is from Lyon. The roof was mended last year."
    assert answer("Where does the cook come from?", text, embedder=embedder).startswith(
        "The chef is from Lyon."
    )


def test_stream_and_invoke_say_the_same(embedder: Embedder) -> None:
    chain = ExtractiveQA(retriever=Given(passages=[passage(MILL), passage(BAKERY)]), embedder=embedder)
    question = {"query": "Who built the mill?", "chat_history": []}
    parts = list(chain.stream(question))
    whole = chain.invoke(question)
    assert [list(part) for part in parts] == [["source_documents"]] + [["result"]] * (len(parts) - 1)
    assert parts[0]["source_documents"] == whole["source_documents"] == [passage(MILL), passage(BAKERY)]
    assert "".join(part["result"] for part in parts[1:]) == whole["result"]
    assert len(parts) > 10
    assert all(len(part["result"].split()) == 1 for part in parts[1:])
    assert whole["query"] == question["query"]


def test_no_passage_no_answer(embedder: Embedder) -> None:
    chain = ExtractiveQA(retriever=Given(passages=[]), embedder=embedder)
    expected = {"query": "Who?", "result": NOT_FOUND, "source_documents": []}
    assert chain.invoke("Who?") == expected
    assert next(iter(chain.stream("Who?"))) == {"source_documents": []}


def test_a_passage_without_words_is_no_answer() -> None:
    chain = ExtractiveQA(retriever=Given(passages=[passage("--- * * *\n\n...")]))
    output = chain.invoke("Who built the mill?")
    assert output["result"] == NOT_FOUND
    assert output["source_documents"] == []


def test_a_question_in_the_text_is_not_its_own_answer(embedder: Embedder) -> None:
    text = "When does the museum open?\nAt nine, except on Mondays.\nHow do I get there?\nBy tram number 4."
    assert "At nine, except on Mondays." in answer("When does the museum open?", text, embedder=embedder)
    headed = "Opening hours of the museum\n\nDaily from nine to five."
    assert "Daily from nine to five." in answer("opening hours of the museum", headed, embedder=embedder)


GARDEN = (
    "The garden\n\nThe garden opens every day at 08:00. From April to September it closes at 20:00.\n\n"
    "The glasshouses\n\nThe three glasshouses open at 09:30 and close one hour before the garden does.\n"
)


def test_a_pronoun_is_read_and_quoted_with_the_sentence_before(embedder: Embedder) -> None:
    expected = "The garden opens every day at 08:00. [1] From April to September it closes at 20:00. [1]"
    assert answer("When does the garden close?", GARDEN, embedder=embedder) == expected
    dialogue = "May I take cuttings? No, never. Is there a cash machine? The nearest is at the station."
    assert answer("Is there a cash machine?", dialogue, embedder=embedder) == (
        "Is there a cash machine? [1] The nearest is at the station. [1]"
    )


def test_a_heading_says_what_follows_and_is_no_answer(embedder: Embedder) -> None:
    text = "The director and the head gardener\n\nThe director is Dr. Mirela Voss. She is from Hensford."
    assert answer("Who is the director?", text, embedder=embedder).startswith(
        "The director is Dr. Mirela Voss."
    )


def test_the_kind_of_answer_decides_between_equals() -> None:
    text = "A ticket for a child is green. A ticket for a child costs 5 euros. A ticket for a child is small."
    assert answer("How much is a ticket for a child?", text).startswith("A ticket for a child costs 5 euros.")


def test_one_sentence_is_enough(embedder: Embedder) -> None:
    text = answer(
        "Who is the chair of the committee?", "Ida Brandt is the chair of the committee. It rained."
    )
    assert text == "Ida Brandt is the chair of the committee. [1]"


def test_the_section_counts_for_its_sentences() -> None:
    summer = Document(page_content="It closes at nine.", metadata={"title": "Garden", "section": "Summer"})
    winter = Document(page_content="It closes at four.", metadata={"title": "Garden", "section": "Winter"})
    assert answer("When does the garden close in winter?", summer, winter).startswith(
        "It closes at four. [2]"
    )


def test_a_table_row_and_a_wrapped_line() -> None:
    table = "Day        Opens   Closes\nMonday     10:00   16:00\nTuesday    09:00   18:00\n"
    assert "Tuesday 09:00 18:00 [1]" in answer("When does it open on Tuesday?", table)
    wrapped = (
        "The committee met in the great\nhall and chose Ida Brandt as its\nchair for two years.\n\nIt rained."
    )
    assert "hall and chose Ida Brandt as its chair for two years. [1]" in answer("Who is the chair?", wrapped)


def test_overlapping_passages_are_quoted_once() -> None:
    one = "Grain came by boat. The mill was built in 1632 by Hannes Grote. It is still there."
    two = "built in 1632 by Hannes Grote. It is still there. Nobody lives in it."
    text = answer("Who built the mill in 1632?", one, two)
    assert text.count("Hannes Grote") == 1
    assert "The mill was built in 1632 by Hannes Grote. [1]" in text


def test_two_sentences_of_one_passage_come_in_reading_order() -> None:
    text = answer(
        "Which river is the mill on, and when was the mill built?",
        "The mill was built in 1632. The mill is on the river Ode.",
    )
    assert text == "The mill was built in 1632. [1] The mill is on the river Ode. [1]"


def test_languages_without_spaces_or_accents_at_hand() -> None:
    text = "博物館は九時に開きます。入場料は千円です。庭は無料です。"
    assert answer("入場料はいくらですか", text).startswith("入場料は千円です。 [1]")
    german = "Das Museum öffnet um neun Uhr. Der Eintritt beträgt fünf Euro."
    assert answer("Wie viel beträgt der Eintritt?", german).endswith("Der Eintritt beträgt fünf Euro. [1]")


def test_text_without_punctuation_is_cut_and_says_so() -> None:
    words = " ".join(f"word{n}" for n in range(60))
    text = answer("Who was Hannes Grote?", f"{words} the miller Hannes Grote came from Leiden {words}")
    assert "Hannes Grote" in text
    assert "…" in text
    assert len(text) <= LONGEST_ANSWER


def test_a_missing_question_is_named() -> None:
    with pytest.raises(ValueError, match="question is missing"):
        ExtractiveQA(retriever=Given(passages=[])).invoke({"question": "Who?"})


def test_cancelling_stops_between_two_pieces() -> None:
    chain = ExtractiveQA(retriever=Given(passages=[passage(MILL)]))
    token = CancelToken()
    with scope(token):
        pieces = chain.stream({"query": "Who built the mill?"})
        assert "source_documents" in next(pieces)
        next(pieces)
        token.cancel()
        with pytest.raises(Cancelled):
            next(pieces)


@given(
    st.lists(st.text(alphabet=st.sampled_from("ab éß。？.!?;,:|-…\n\t \f12A博"), max_size=900), max_size=4),
    st.text(max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_text_the_answer_is_short_and_verbatim(texts: list[str], question: str) -> None:
    chain: Any = ExtractiveQA(retriever=Given(passages=[passage(text) for text in texts]))
    output = chain.invoke({"query": question})
    result = output["result"]
    if result == NOT_FOUND:
        return
    assert len(result) <= LONGEST_ANSWER
    assert result == result.strip()
    quoted = [part for part in CITATION.split(result) if part]
    assert 2 <= len(quoted) <= 4
    for sentence, number in zip(quoted[::2], quoted[1::2], strict=True):
        source = " ".join(output["source_documents"][int(number) - 1].page_content.split())
        assert sentence.strip().strip("…").strip() in source
