from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.function_words import FUNCTION_WORDS
from rag.terms import (
    Word,
    _singulars,
    coverage,
    language_of,
    question_words,
    term_set,
    term_weights,
    terms,
)


def test_terms_are_stemmed_without_case_and_accents() -> None:
    assert terms("The Mills' WHEELS, cafés") == ["the", "mill", "wheel", "cafe"]
    assert terms("庭は無料") == ["庭", "は", "無", "料"]


@given(st.text())
def test_the_set_of_terms_has_each_of_them(text: str) -> None:
    assert term_set(text) == set(terms(text))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The mill was built in the year of the flood.", "english"),
        ("Die Mühle wurde in dem Jahr der Flut errichtet und ist noch zu sehen.", "german"),
        ("El molino fue construido en el año de la inundación por los condes.", "spanish"),
        ("Le moulin fut bâti dans l'année de la crue et les meules sont là.", "french"),
        ("Мельница была построена в том году, и она ещё стоит на месте.", "russian"),
        ("Operating income 12,340 11,870", "english"),  # too little to tell
    ],
)
def test_a_text_is_stemmed_as_its_own_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Wann werden die Hallenbäder geöffnet?", "Das Hallenbad wird um sieben von der Stadt geöffnet."),
        ("¿Cuándo abren las piscinas municipales?", "La piscina municipal abre a las siete de la mañana."),
        ("Quels sont les tarifs des piscines ?", "Le tarif de la piscine est de trois euros."),
        ("Which mills were built?", "The mill is of oak, and it was built in a year."),
    ],
)
def test_a_question_meets_a_text_of_its_language(question: str, text: str) -> None:
    held = set(terms(text))
    words = question_words(question)
    assert words
    assert sum(not word.terms.isdisjoint(held) for word in words) >= len(words) / 2


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("the XJ-4400/B relay", {"xj4400b", "4400", "xj", "b"}),
        ("error E-1042,", {"e1042", "1042"}),
        ("fiscal FY2018", {"fy2018", "fy", "2018"}),
        ("§ 12.3 Terms", {"12.3", "12", "3"}),
        ("$1,250 or 1.250.000", {"1250", "1250000"}),
    ],
)
def test_what_has_digits_is_found_whole_and_in_parts(text: str, codes: set[str]) -> None:
    assert codes <= set(terms(text))


def test_a_part_number_is_not_its_neighbour() -> None:
    whole = question_words("What is the torque of XJ-4400/B?")[-1]
    assert whole.terms == {"xj4400b"}
    assert whole.terms.isdisjoint(terms("XJ-4400/A relay"))
    assert not whole.terms.isdisjoint(terms("relay XJ 4400-B, or XJ-4400/B"))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the mill made of?", ["mill", "made"]),
        ("Mill, mill or mill?", ["mill"]),
        ("What is it?", ["what", "is", "it"]),
        ("Wo ist die Mühle?", ["muhle"]),
        ("Mills in FY2018 or FY19", ["mills", "2018", "2019"]),
        ("", []),
    ],
)
def test_a_question_is_its_content_words(question: str, expected: list[str]) -> None:
    assert [word.text for word in question_words(question)] == expected


def test_rare_words_weigh_more_and_missing_ones_most() -> None:
    texts = [{"mill", "wheel"}, {"mill"}, {"mill", "oak"}]
    weights = {word.text: weight for word, weight in term_weights("mill wheel leiden", texts).items()}
    assert weights["mill"] < weights["wheel"] < weights["leiden"]
    words = {Word(text, frozenset([text])): weight for text, weight in weights.items()}
    assert coverage(words, {"mill", "wheel"}) == pytest.approx(1 - weights["leiden"])


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=5))
def test_coverage_is_a_share(question: str, texts: list[str]) -> None:
    held = [frozenset(terms(text)) for text in texts]
    weights = term_weights(question, held)
    assert sum(weights.values()) == pytest.approx(1 if weights else 0)
    assert all(0 <= coverage(weights, each) <= 1 + 1e-9 for each in held)


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("Children", "child"),
        ("the women's feet", "the woman's foot"),
        ("WOLVES", "wolf"),
        ("analyses", "analysis"),
    ],
)
def test_irregular_plurals_meet_their_singular(plural: str, singular: str) -> None:
    assert terms(plural) == terms(singular)


def test_what_only_looks_like_a_plural_stays() -> None:
    assert terms("specimen, omens, leaves, these") == ["specimen", "omen", "leav", "these"]


def test_the_table_of_plurals_changes_no_singular_and_has_nothing_that_stemming_does_alone() -> None:
    singulars = _singulars()
    assert not set(singulars) & {*singulars.values(), *terms(FUNCTION_WORDS["english"])}
