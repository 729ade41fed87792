from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from rag.cancel import Cancelled, CancelToken, scope
from rag.memory import contextualize, remember
from tests.rag.scripted import HashChat

# The questions and answers before, the follow-up, and what its standalone form must hold.
Dialogue = tuple[list[tuple[str, str]], str, list[str]]
FOLLOW_UPS: list[Dialogue] = [
    ([("When does the city museum open?", "At nine.")], "and when does it close?", ["city museum", "close"]),
    ([("When does the city museum open?", "At nine.")], "Does it have a cafe?", ["city museum", "cafe"]),
    ([("How much is a ticket for adults?", "Nine euros.")], "What about children?", ["ticket", "children"]),
    (
        [("How much is a ticket for adults?", "Nine."), ("What about children?", "Four.")],
        "And students?",
        ["ticket", "students"],
    ),
    ([("Where did Harrison work?", "In Oslo.")], "When did he start?", ["Harrison", "start"]),
    ([("Who designed the tower?", "Ida Berg did.")], "When was it built?", ["tower", "built"]),
    ([("Who designed the tower?", "It was Ida Berg.")], "Where was she born?", ["Ida Berg", "born"]),
    (
        [("Who is the director of the museum?", "The director is Ada Brown.")],
        "How old is she?",
        ["Ada Brown"],
    ),
    ([("What is the height of the tower?", "90 m.")], "And when was it built?", ["tower", "built"]),
    ([("Is the library closed on Mondays?", "Yes.")], "Why?", ["library", "closed"]),
    ([("How do I renew a passport?", "At the office.")], "How long does that take?", ["renew", "passport"]),
    ([("What does the warranty cover?", "Parts.")], "Is there anything else?", ["warranty"]),
    ([("What does the warranty cover?", "Parts.")], "Tell me more", ["warranty"]),
    ([("What does the warranty cover?", "Parts.")], "How long does it last?", ["warranty", "last"]),
    ([("Which documents do I need for a visa?", "Two.")], "Where do I get them?", ["documents"]),
    ([("When does the ferry leave?", "At six.")], "On Sundays?", ["ferry", "Sundays"]),
    ([("When does the ferry leave?", "At six.")], "How much is it?", ["ferry"]),
    ([("When does the ferry leave?", "At six.")], "Can I take my bicycle on it?", ["ferry", "bicycle"]),
    ([("What is photosynthesis?", "A process.")], "Where does it happen?", ["photosynthesis"]),
    ([("What did Marie Curie discover?", "Radium.")], "Where was she born?", ["Marie Curie", "born"]),
    ([("How many rooms does the hotel have?", "Forty.")], "Does it have parking?", ["hotel", "parking"]),
    (
        [("How do I clean the coffee machine?", "With vinegar.")],
        "How often should I do that?",
        ["clean", "coffee machine"],
    ),
    (
        [("What are the opening hours of the pool?", "Nine to five.")],
        "Is there one for kids?",
        ["pool", "kids"],
    ),
    ([("Where is the botanical garden?", "On the hill.")], "How do I get there?", ["botanical garden"]),
    ([("What is the deposit for a locker?", "A coin.")], "What happens if I lose it?", ["locker", "lose"]),
    ([("Are dogs allowed on the beach?", "Yes.")], "And in summer?", ["dogs", "beach", "summer"]),
    ([("Are dogs allowed on the beach?", "Yes.")], "Do they need a leash?", ["dogs", "leash"]),
    ([("When does the castle open?", "At ten.")], "And the gardens?", ["open", "gardens"]),
    (
        [("When does the castle open?", "At ten."), ("And the gardens?", "At eight.")],
        "How big are they?",
        ["gardens"],
    ),
    (
        [("When does the castle open?", "At ten."), ("Does it have a shop?", "Yes.")],
        "When was it founded?",
        ["castle"],
    ),
    ([("Who wrote the handbook?", "Jo Lind did.")], "Which other books did he write?", ["Jo Lind", "books"]),
    ([("What is the fine for parking?", "Thirty.")], "who has to pay it", ["fine", "parking", "pay"]),
    ([("How hot does the oven get?", "250.")], "how do i clean it", ["oven", "clean"]),
    ([("What is a heat pump?", "A machine.")], "What are its disadvantages?", ["heat pump", "disadvantages"]),
    ([("Does the tram run at night?", "No.")], "Since when?", ["tram", "night"]),
    ([("Wann öffnet das Museum?", "Um neun.")], "Und wann schließt es?", ["Museum", "schließt"]),
    ([("Was kostet eine Fahrkarte?", "Drei Euro.")], "Und für Kinder?", ["Fahrkarte", "Kinder"]),
    ([("Wo ist die Bibliothek?", "Am Markt.")], "Was ist mit der Mensa?", ["Bibliothek", "Mensa"]),
    ([("Quand ouvre le musée ?", "À neuf heures.")], "Et quand ferme-t-il ?", ["musée", "ferme"]),
    ([("Combien coûte un billet ?", "Six euros.")], "Et pour les enfants ?", ["billet", "enfants"]),
    ([("¿Cuándo abre el museo?", "A las nueve.")], "¿Y cuándo cierra?", ["museo", "cierra"]),
    ([("¿Cuánto cuesta la entrada?", "Seis euros.")], "¿Y para niños?", ["entrada", "niños"]),
    (
        [("What is the maximum speed of the e-bike?", "Yes, see page 3.")],
        "and its range?",
        ["e-bike", "range"],
    ),
    ([("Who founded the observatory?", "Yes, see page 3.")], "In which year?", ["observatory"]),
    (
        [("How do I reset the router?", "Yes, see page 3.")],
        "Will I lose my settings if I do that?",
        ["reset", "router"],
    ),
    ([("Which trains go to Bergen?", "Yes, see page 3.")], "How long do they take?", ["trains"]),
    ([("What are the symptoms of anaemia?", "Yes, see page 3.")], "How is it treated?", ["anaemia"]),
    (
        [("When does the winter semester start?", "Yes, see page 3.")],
        "And the summer semester?",
        ["summer semester", "start"],
    ),
    ([("How many employees does Siemens have?", "Yes, see page 3.")], "Where are they based?", ["Siemens"]),
    (
        [("What is the notice period for tenants?", "Yes, see page 3.")],
        "Is it the same for landlords?",
        ["notice period", "landlords"],
    ),
    (
        [("Can I bring a guest to the gym?", "Yes, see page 3.")],
        "How much would that cost?",
        ["guest", "gym"],
    ),
    ([("What did Newton publish in 1687?", "Yes, see page 3.")], "Was he already famous?", ["Newton"]),
    ([("Where is the nearest pharmacy?", "Yes, see page 3.")], "Is it open at night?", ["pharmacy", "night"]),
    ([("How is the annual bonus calculated?", "Yes, see page 3.")], "Who decides?", ["bonus"]),
    ([("What is the penalty for late payment?", "Yes, see page 3.")], "Can it be waived?", ["penalty"]),
    (
        [("Does the insurance cover theft?", "Yes, see page 3.")],
        "What about water damage?",
        ["insurance", "water damage"],
    ),
    ([("What is the Kepler telescope?", "Yes, see page 3.")], "What has it found?", ["Kepler"]),
    (
        [("How much vacation do I get?", "Yes, see page 3.")],
        "and in the first year?",
        ["vacation", "first year"],
    ),
    (
        [("Which languages does the app support?", "Yes, see page 3.")],
        "Can I add more?",
        ["languages", "app"],
    ),
    (
        [("What is the wifi password for guests?", "Yes, see page 3.")],
        "Does it change?",
        ["wifi", "password"],
    ),
    ([("Is there a lift in the building?", "Yes, see page 3.")], "Where exactly?", ["lift"]),
    ([("How heavy is the telescope?", "Yes, see page 3.")], "ok and how tall", ["telescope"]),
]

COMPLETE = [
    "What is the capital of France?",
    "And what is the capital of France?",
    "How long does the crossing take?",
    "Is it possible to rent a boat at the harbour?",
    "How long does it take to renew a passport?",
    "How much does it cost to park at the station?",
    "What time is it in the story when the train arrives?",
    "When was the bridge built and who paid for it?",
    "What did Tesla say about his first patent?",
    "Is there a cafe in the botanical garden?",
    "Which museum opened that exhibition hall in 1990?",
    "What is the name of the river that crosses the town?",
    "Does the contract say that tenants must paint the walls?",
    "How many visitors came to the castle this year?",
    "What does this document say about warranty claims?",
    "What happens to the deposit if the tenant moves out before it is due?",
    "Who do I call when the alarm rings and it does not stop?",
    "opening hours city library",
    "How often does it rain in Bergen?",
    "Tell me more about the history of the castle",
    "Which teams did Manning play for while he lived in Denver?",
    "What award did the university win for its IT services?",
    "Wie lange ist die Bibliothek am Samstag geöffnet?",
    "Gibt es im Museum ein Café?",
    "Wo kann man in der Stadt Fahrräder mieten?",
    "Où se trouve la bibliothèque municipale ?",
    "Combien de chambres y a-t-il dans l'hôtel ?",
    "Est-ce qu'il y a un parking près de la gare ?",
    "¿Dónde está la biblioteca municipal?",
    "¿Cuántas habitaciones tiene el hotel?",
    "How do I change the battery of the smoke detector?",
    "Who was the first person to walk on the moon?",
    "Why did the Roman Empire fall?",
    "What temperature should the fridge have?",
    "Which floor is the canteen on?",
    "When do I have to hand in my thesis?",
    "What is the difference between a virus and a bacterium?",
    "Is smoking allowed in the courtyard?",
    "How do bees make honey?",
    "What should I do if the printer says it has no toner?",
    "Does the hotel charge its guests for parking?",
    "How can employees change their address?",
    "Where can I see the northern lights?",
    "What was Einstein's first job?",
    "How many people live in Oslo?",
    "Are there any discounts for students?",
    "What is that tower in the harbour called?",
    "Where do penguins live?",
    "Who won the election?",
    "What's the weather like in May?",
    "And when does the café open?",
    "And is the playground open in winter?",
]

BEFORE = [
    [("When does the city museum open?", "At nine.")],
    [("Wann öffnet das Museum?", "Um neun."), ("Und wann schließt es?", "Um fünf.")],
]


def messages(turns: list[tuple[str, str]]) -> list[BaseMessage]:
    return [made for asked, answer in turns for made in (HumanMessage(asked), AIMessage(answer))]


def says(text: str) -> HashChat:
    return HashChat(answer=lambda _: text)


@pytest.mark.parametrize(("turns", "question", "terms"), FOLLOW_UPS)
def test_a_follow_up_carries_its_subject(
    turns: list[tuple[str, str]], question: str, terms: list[str]
) -> None:
    standalone = contextualize(question, messages(turns))
    assert all(term.casefold() in standalone.casefold() for term in terms), standalone


@pytest.mark.parametrize(
    ("before", "question", "expected"),
    [
        (
            "How long is the warranty of the AquaFlow 200?",
            "And of the grinder?",
            "How long is the warranty of the grinder?",
        ),
        (
            "When does the garden open on Mondays?",
            "And on Sundays?",
            "When does the garden open on Sundays?",
        ),
        ("When does the garden open?", "And of the shop?", "And of the shop? (When does the garden open?)"),
    ],
)
def test_what_is_asked_of_another_thing_takes_its_place(before: str, question: str, expected: str) -> None:
    assert contextualize(question, messages([(before, "So.")])) == expected


@pytest.mark.parametrize("turns", BEFORE)
@pytest.mark.parametrize("question", COMPLETE)
def test_a_complete_question_stays_as_it_is(question: str, turns: list[tuple[str, str]]) -> None:
    assert contextualize(question, messages(turns)) == question


@pytest.mark.parametrize("question", [*(question for _, question, _ in FOLLOW_UPS), *COMPLETE])
def test_without_a_conversation_every_question_stays(question: str) -> None:
    assert contextualize(question, [], says("something else?")) == question


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=4), st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_keeps_what_was_asked(turns: list[tuple[str, str]], question: str) -> None:
    standalone = contextualize(question, messages(turns))
    assert len(standalone) <= len(question) + sum(len(asked) + 10 for asked, _ in turns) * 8 + 200


HISTORY = messages([("When does the city museum open?", "It opens at nine.")])


def test_the_model_completes_a_follow_up() -> None:
    llm = says('Standalone question: "When does the city museum close?"\nBecause the person asked.')
    assert contextualize("and when does it close?", HISTORY, llm) == "When does the city museum close?"
    [prompt] = llm.sent
    assert "When does the city museum open?" in prompt[-1][1]
    assert "and when does it close?" in prompt[-1][1]


def test_the_model_is_not_asked_about_a_complete_question() -> None:
    llm = says("What?")
    question = "How much does a day ticket for the tram cost?"
    assert contextualize(question, HISTORY, llm) == question
    assert llm.sent == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n ",
        "It closes at six.",
        "The museum closes at six o'clock in the evening, as the second passage says.",
        "When does the city museum close? " + "And more? " * 60,
        "What is the weather in Paris tomorrow?",
    ],
)
def test_a_useless_model_answer_falls_back_and_is_said(text: str) -> None:
    notices: list[str] = []
    standalone = contextualize("and when does it close?", HISTORY, says(text), on_notice=notices.append)
    assert standalone == "and when does the city museum close?"
    assert len(notices) == 1
    assert "by rule" in notices[0]


def test_a_failing_model_falls_back_and_is_said() -> None:
    def fail(_: str) -> str:
        raise RuntimeError("out of memory")

    notices: list[str] = []
    llm = HashChat(answer=fail)
    assert "museum" in contextualize("When does it close?", HISTORY, llm, on_notice=notices.append)
    assert len(notices) == 1


def test_a_rambling_model_is_read_no_further_than_needed() -> None:
    read: list[str] = []

    class Rambling(HashChat):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for chunk in super()._stream(*args, **kwargs):
                read.append(str(chunk.message.content))
                yield chunk

    llm = Rambling(answer=lambda _: "When does the city museum close?\n" + "and so on " * 500)
    assert contextualize("when does it close?", HISTORY, llm) == "When does the city museum close?"
    assert len(read) < 20


def test_completing_can_be_cancelled() -> None:
    token = CancelToken()

    def cancel(_: str) -> str:
        token.cancel()
        return "When does the city museum close?"

    with scope(token), pytest.raises(Cancelled):
        contextualize("when does it close?", HISTORY, HashChat(answer=cancel))


LONG = messages([(f"Question {n} about the harbour?", f"Answer {n} " + "word " * 20) for n in range(20)])


def test_buffer_memory_keeps_the_latest_whole_turns() -> None:
    kept = remember(LONG, "buffer", 100, HashChat())
    assert kept == LONG[-len(kept) :]
    assert 0 < len(kept) < len(LONG)
    assert isinstance(kept[0], HumanMessage)
    assert sum(len(str(message.text).split()) for message in kept) <= 100


def test_a_short_conversation_is_kept_whole_and_none_keeps_nothing() -> None:
    assert remember(HISTORY) == HISTORY
    assert remember(HISTORY, "summary", llm=HashChat()) == HISTORY
    assert remember(LONG, "none") == []
    assert remember([], "buffer") == []


def test_summary_memory_summarises_what_has_no_room() -> None:
    llm = says("They spoke about the harbour.")
    kept = remember(LONG, "summary", 100, llm)
    assert "They spoke about the harbour." in str(kept[0].text)
    assert kept[2:] == LONG[-len(kept) + 2 :]
    assert len(kept) > 2
    [prompt] = llm.sent
    assert "Question 0 about" in prompt[-1][1]
    assert "Question 19 about" not in prompt[-1][1]
    assert [type(message) for message in kept] == [HumanMessage, AIMessage] * (len(kept) // 2)
    assert "harbour" in contextualize("What about boats?", kept)


def test_without_a_model_summary_memory_drops_the_oldest() -> None:
    kept = remember(LONG, "summary", 100)
    assert 0 < len(kept) < len(LONG)
    assert kept == LONG[-len(kept) :]


@pytest.mark.parametrize("summary", ["", "much too long " * 100])
def test_a_useless_summary_falls_back_and_is_said(summary: str) -> None:
    notices: list[str] = []
    kept = remember(LONG, "summary", 100, says(summary), on_notice=notices.append)
    assert kept == remember(LONG, "buffer", 100, HashChat())
    assert len(notices) == 1


def test_the_history_itself_is_left_as_it_is() -> None:
    before = [message.model_copy() for message in LONG]
    remember(LONG, "summary", 100, says("Short."))
    contextualize("and then?", LONG, says("?"))
    assert before == LONG


def test_an_unknown_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer, summary, none"):
        remember(LONG, "forever")
