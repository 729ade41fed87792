"""The language of a question and of what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.assistant import Assistant, Done, Responder, Standalone
from rag.chains import CHAIN_TYPES, RetrievalQA
from rag.extractive import ExtractiveQA
from rag.languages import english_name, guess, not_found, not_found_sentences
from rag.prompts import NOT_FOUND, says_unknown
from tests.rag.scripted import Fixed, HashChat, HashLLM, passages

QUESTIONS = {
    "en": ["When does the garden open?", "how much is a ticket for children", "Who won Super Bowl 50?"],
    "de": ["Wann öffnet der Garten?", "Wie viel kostet eine Karte?", "wo ist die Bibliothek"],
    "fr": ["Quand ouvre le musée ?", "Combien de chambres y a-t-il dans l'hôtel ?", "où est la gare"],
    "es": ["¿Cuándo abre el museo?", "cuánto cuesta la entrada", "¿Dónde está la biblioteca?"],
    "it": ["Quando apre il museo?", "Dove si trova la biblioteca?", "quanto costa il biglietto"],
    "pt": ["Quando abre o museu?", "Onde fica a biblioteca?", "quanto custa o bilhete"],
    "nl": ["Wanneer opent het museum?", "Hoeveel kost een kaartje?", "waar is de bibliotheek"],
    "pl": ["Kiedy otwiera się ogród?", "Ile kosztuje bilet do muzeum?"],
    "tr": ["Bahçe ne zaman açılıyor?", "Bu kütüphane nerede?"],
    "ru": ["Когда открывается сад?", "Сколько стоит билет?"],
    "uk": ["Коли відкривається сад?", "Скільки коштує квиток?"],
    "ja": ["庭園は何時に開きますか", "図書館はどこですか？"],
    "zh": ["花园几点开门？", "图书馆在哪里"],
    "ko": ["정원은 언제 여나요?"],
    "ar": ["متى تفتح الحديقة؟", "أين المكتبة؟"],
    "hi": ["बगीचा कब खुलता है?"],
}


@pytest.mark.parametrize(("code", "question"), [(code, q) for code, all_ in QUESTIONS.items() for q in all_])
def test_a_questions_language_is_guessed_or_left_open(code: str, question: str) -> None:
    assert guess(question) in (code, None)


def test_most_questions_languages_are_guessed() -> None:
    pairs = [(code, question) for code, questions in QUESTIONS.items() for question in questions]
    assert sum(guess(question) == code for code, question in pairs) >= 0.9 * len(pairs)


@pytest.mark.parametrize("text", ["", "?", "Why?", "ok", "Larkmoor", "1984", "no, the library"])
def test_too_little_is_not_guessed(text: str) -> None:
    assert guess(text) is None


@given(st.text(max_size=80))
def test_any_text_is_survived(text: str) -> None:
    found = guess(text)
    assert found is None or english_name(found)


def test_codes_and_names() -> None:
    assert (english_name("de"), english_name("pt-BR"), english_name("YUE")) == (
        "German",
        "Portuguese",
        "Cantonese",
    )
    assert english_name("xx") is english_name(None) is english_name("") is None


def test_not_found_in_each_language_is_recognised() -> None:
    assert len(set(not_found_sentences())) == 16
    assert not_found() == not_found("xx") == not_found("fi") == NOT_FOUND
    for sentence in not_found_sentences():
        assert says_unknown(sentence)
        assert says_unknown(f" {sentence} ")
    assert says_unknown("わかりません。")
    assert says_unknown("Non lo so.")
    assert not says_unknown("Das Museum öffnet um neun.")
    assert not says_unknown("博物馆九点开门。我不知道更多。")


@pytest.mark.parametrize("model", [HashChat, HashLLM])
@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_the_model_is_told_the_language(chain_type: str, model: type[HashChat] | type[HashLLM]) -> None:
    sent = {}
    for language in ("de", "xx", None):
        llm = model()
        chain = RetrievalQA.from_chain_type(llm, chain_type, retriever=Fixed(documents=passages(2)))
        chain.invoke({"query": "When?", "language": language} if language else {"query": "When?"})
        sent[language] = repr(llm.sent[-1])
    assert "in German" in sent["de"]
    assert "in the language of the question" in sent[None]
    if chain_type in ("stuff", "map_rerank"):  # elsewhere a hash of the first call is in the last
        assert sent["xx"] == sent[None]
        assert sent["de"].replace("in German", "in the language of the question") == sent[None]


@pytest.mark.parametrize(
    "chain",
    [
        ExtractiveQA(retriever=Fixed(documents=[])),
        RetrievalQA.from_chain_type(HashChat(), "stuff", retriever=Fixed(documents=[])),
        RetrievalQA.from_chain_type(HashChat(), "refine", retriever=Fixed(documents=[]), not_found=NOT_FOUND),
    ],
)
def test_nothing_found_is_said_in_the_language(chain: ExtractiveQA | RetrievalQA) -> None:
    for code in QUESTIONS:
        assert chain.invoke({"query": "?", "language": code})["result"] == not_found(code)
    assert chain.invoke({"query": "?"})["result"] == NOT_FOUND


def test_somebodys_own_sentence_stays() -> None:
    chain = RetrievalQA.from_chain_type(
        HashChat(), "stuff", retriever=Fixed(documents=[]), not_found="Nothing."
    )
    assert chain.invoke({"query": "?", "language": "de"})["result"] == "Nothing."


@pytest.mark.parametrize(
    ("question", "language", "expected"),
    [
        ("Wann öffnet der Garten?", None, "de"),
        ("When does the garden open?", "fr", "fr"),
        ("Hm?", None, "en"),
        ("Hm?", "haw", "en"),
    ],
)
def test_the_language_heard_goes_before_the_one_guessed(
    question: str, language: str | None, expected: str
) -> None:
    responder = Responder("quotations", ExtractiveQA(retriever=Fixed(documents=[])))
    events = list(Assistant(lambda _: responder, lambda _: responder).answer(question, language=language))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.text == not_found(expected)
    assert not done.answered


def test_the_other_one_is_answered_from_elsewhere() -> None:
    documents = passages(3)
    for at, document in enumerate(documents):
        document.metadata |= {"start": 0, "end": 100}
        document.page_content = f"The garden number {at} opens at {at + 7} o'clock."
    chain = ExtractiveQA(retriever=Fixed(documents=documents))
    responder = Responder("quotations", chain)
    assistant = Assistant(lambda _: responder, lambda _: responder)
    history: list[BaseMessage] = [HumanMessage("When does the garden open?")]
    first = list(assistant.answer("When does the garden open?"))[-1]
    assert isinstance(first, Done)
    assert "number 0" in first.text
    about = {"interrupted": True, "sources": [["0.txt", 0, 100]]}
    history.append(AIMessage("The garden number 0", additional_kwargs=about))
    events = list(assistant.answer("no, the other one", history))
    assert events[0] == Standalone("When does the garden open?", rewritten=True)
    done = events[-1]
    assert isinstance(done, Done)
    assert "number 0" not in done.text
    assert "number 1" in done.text


@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_the_model_reads_what_was_not_heard_first(chain_type: str) -> None:
    documents = passages(3)
    for document in documents:
        document.metadata |= {"start": 0, "end": 100}
    llm = HashChat()
    chain = RetrievalQA.from_chain_type(
        llm, chain_type, retriever=Fixed(documents=documents), return_source_documents=True
    )
    output = chain.invoke({"query": "When?", "heard": [["0.txt", 0, 100], ["1.txt", 0, 100]]})
    assert output["source_documents"] == [documents[2], documents[0], documents[1]]
    assert "Another one" in repr(llm.sent[-1])
    llm.sent.clear()
    everything = [[f"{number}.txt", 0, 100] for number in range(3)]
    output = chain.invoke({"query": "When?", "heard": everything})
    assert output["source_documents"] == documents
    assert "Another one" not in repr(llm.sent)
