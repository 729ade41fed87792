"""Which passage supports a sentence, and which sentences none does."""

from __future__ import annotations

import pytest

from rag.evidence import Evidence, numbers

PASSAGES = [
    "The garden opens at nine in the morning from Tuesday to Sunday. It is closed on Mondays.",
    "Admission is 12 euros for adults. Children under six enter free of charge.",
    "The steam engine was built in 1887 by Margaret Ellwood, a locksmith from Leiden. It has 1,250 parts.",
]
EVIDENCE = Evidence(PASSAGES)


@pytest.mark.parametrize(
    ("sentence", "passages"),
    [
        ("The garden opens at nine in the morning.", (1,)),
        ("The garden opens at 9.", (1,)),
        ("Adults pay 12 euros for admission.", (2,)),
        ("Margaret Ellwood, a locksmith from Leiden, built the steam engine in 1887.", (3,)),
        ("- It was built by Margaret Ellwood in 1887 [3].", (3,)),
        ("The engine has 1 250 parts.", (3,)),
        ("It is described as “a locksmith from Leiden”, Margaret Ellwood.", (3,)),
    ],
)
def test_what_a_passage_says_is_supported(sentence: str, passages: tuple[int, ...]) -> None:
    found = EVIDENCE.support(sentence)
    assert found.supported
    assert found.passages == passages


@pytest.mark.parametrize(
    "sentence",
    [
        "The garden opens at ten in the morning.",  # another number
        "Admission is 15 euros for adults.",
        "The steam engine was built in 1887 by Robert Stephenson.",  # another name
        "The garden is not closed on Mondays.",  # the contrary
        "The passage says “a locksmith from Delft” of her.",  # not word for word
        "Penguins rarely visit northern libraries.",  # something else
        "Adults pay 1887 euros.",  # the number is in another passage
    ],
)
def test_what_no_passage_says_is_not(sentence: str) -> None:
    found = EVIDENCE.support(sentence)
    assert not found.supported
    assert found.probability < 0.5


@pytest.mark.parametrize(
    "sentence", ["", "…", "Yes.", "I don't know.", "Which garden do you mean?", "Here you are:"]
)
def test_what_claims_nothing_is_left_alone(sentence: str) -> None:
    found = EVIDENCE.support(sentence)
    assert found.supported
    assert not found.claims


def test_of_two_that_support_it_the_cited_one_comes_first() -> None:
    twice = Evidence([PASSAGES[0], PASSAGES[0]])
    assert twice.support("The garden opens at nine in the morning.").passages == (1, 2)
    assert twice.support("The garden opens at nine in the morning.", cited=[2]).passages == (2, 1)


def test_a_title_counts_as_said() -> None:
    named = Evidence(["It employs 3,400 people."], ["Norvex annual report 2018"])
    assert named.support("Norvex employs 3,400 people.").supported
    assert (
        not Evidence(["It employs 3,400 people."]).support("Halbrook Foods employs 3,400 people.").supported
    )


def test_a_sentence_in_another_language_is_judged_by_its_numbers() -> None:
    german = "Der Garten öffnet um neun Uhr und der Eintritt ist für die Kinder unter 6 Jahren frei."
    assert EVIDENCE.support(german.replace("6", "6")).supported
    assert not EVIDENCE.support(german.replace("6", "17")).supported


def test_without_passages_nothing_is_supported() -> None:
    assert not Evidence([]).support("The garden opens at nine in the morning.").supported


def test_numbers_have_one_form() -> None:
    assert numbers("1,250 and 1 250, 3.50 or seven") == {"1250", "3.5", "7"}
