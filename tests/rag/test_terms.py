from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.terms import _FUNCTION_WORDS, _singulars, coverage, question_terms, term_set, term_weights, terms


def test_terms_are_stemmed_without_case_and_accents() -> None:
    assert terms("The Mills' WHEELS, cafés") == ["the", "mill", "wheel", "cafe"]
    assert terms("庭は無料") == ["庭", "は", "無", "料"]


@given(st.text())
def test_the_set_of_terms_has_each_of_them(text: str) -> None:
    assert term_set(text) == set(terms(text))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the mill made of?", ["mill", "made"]),
        ("Mill, mill or mills?", ["mill"]),
        ("What is it?", ["what", "is", "it"]),
        ("", []),
    ],
)
def test_a_question_is_its_content_words(question: str, expected: list[str]) -> None:
    assert question_terms(question) == expected


def test_rare_words_weigh_more_and_missing_ones_most() -> None:
    texts = [{"mill", "wheel"}, {"mill"}, {"mill", "oak"}]
    weights = term_weights("mill wheel leiden", texts)
    assert weights["mill"] < weights["wheel"] < weights["leiden"]
    assert coverage(weights, {"mill", "wheel"}) == pytest.approx(1 - weights["leiden"])


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
    assert not set(singulars) & {*singulars.values(), *terms(_FUNCTION_WORDS)}
