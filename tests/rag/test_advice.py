"""What is advised follows from what was missed, and can be done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.advice import Advice, Conditions, advise, miss
from rag.evaluate import Measured, Place, Row

HERE = Conditions(
    sources={"a.txt", "b.txt"},
    k=4,
    floor=0.05,
    quotes=True,
    reranks=False,
    chunk_size=1000,
    embedder="sentence-transformers/all-MiniLM-L6-v2",
)
MODEL = replace(HERE, quotes=False)


def asked(
    *sources: str,
    rank: int | None = None,
    answered: bool | None = True,
    contains: bool | None = None,
    answerable: bool | None = True,
    probability: float = 0.5,
    source: str = "a.txt",
) -> Measured:
    """A question about `source` for which passages of `sources` were found, the right one at `rank`."""
    row = Row("1", "q", source if answerable is not False else "", answerable=answerable)
    places = tuple(Place(name, None, 0, 9, 0.5) for name in sources)
    found = tuple(rank is not None and rank <= k for k in range(1, 11))
    return Measured(row, 0.1, found, rank, "…", answered, contains, places, probability)


@pytest.mark.parametrize(
    ("measured", "kind"),
    [
        (asked("a.txt", rank=1), None),
        (asked("a.txt", rank=1, contains=True), None),
        (asked("b.txt", source="c.txt"), "not indexed"),
        (asked("b.txt", "b.txt"), "not found"),
        (asked("b.txt", "a.txt"), "wrong place"),
        (asked(*"xxxxa", rank=5), "too low"),
        (asked("b.txt", "a.txt", rank=2, answered=False, probability=0.03), "under the floor"),
        (asked("a.txt", rank=1, answered=False), "refused"),
        (asked("a.txt", rank=1, contains=False), "not in the answer"),
        (asked("b.txt", contains=True), None),
        (asked("b.txt", answerable=False), "invented"),
        (asked(answered=False, answerable=False), None),
    ],
)
def test_each_miss_has_its_kind(measured: Measured, kind: str | None) -> None:
    assert miss(measured, HERE) == kind


def only(*measured: Measured, under: Conditions = HERE) -> Advice:
    (advice,) = advise(measured, under)
    return advice


def test_nothing_missed_needs_no_advice() -> None:
    assert advise([asked("a.txt", rank=1)], HERE) == []


def test_documents_that_are_not_indexed_are_named() -> None:
    advice = only(*(asked("b.txt", source=f"{name}.pdf") for name in "vwxyz"))
    assert (advice.count, advice.setting) == (5, "")
    assert "v.pdf, w.pdf, x.pdf and 2 more" in advice.text


def test_the_wrong_place_asks_for_smaller_chunks_which_need_a_new_index() -> None:
    advice = only(asked("b.txt", "a.txt"))
    assert (advice.setting, advice.value, advice.reindexes) == ("chunk_size", "500", True)
    assert "reranker" in advice.text
    assert "reranker" not in only(asked("b.txt", "a.txt"), under=replace(HERE, reranks=True)).text


def test_as_many_passages_as_most_of_the_late_ones_need() -> None:
    late = [asked(*"xxxxxxxxx", "a.txt", rank=rank) for rank in (5, 5, 5, 6, 10)]
    assert (only(*late).setting, only(*late).value) == ("k", "6")


def test_a_floor_that_lets_most_of_the_right_passages_through() -> None:
    low = [
        asked("a.txt", rank=1, answered=False, probability=score)
        for score in (0.049, 0.04, 0.035, 0.034, 0.01)
    ]
    advice = only(*low)
    assert advice.setting == "floor"
    assert 0.01 < float(advice.value) < 0.034
    assert "answers more of what the documents do not say" not in advice.text
    refused = asked(answered=False, answerable=False)
    assert "answers more of what the documents do not say" in only(*low, refused).text


def test_a_higher_floor_only_where_it_tells_them_apart() -> None:
    good = [asked("a.txt", rank=1, probability=0.6 + number / 100) for number in range(20)]
    invented = [asked("b.txt", answerable=False, probability=score) for score in (0.1, 0.2, 0.9)]
    advice = only(*good, *invented)
    assert advice.setting == "floor"
    assert 0.2 < float(advice.value) <= 0.61
    assert "would refuse 2 of them" in advice.text
    alike = [asked("b.txt", answerable=False, probability=0.9)]
    assert "no floor tells them apart" in only(*good, *alike).text
    assert only(*good, *alike).setting == "llm"
    assert only(*good, *alike, under=MODEL).setting == ""


def test_what_a_missing_answer_needs_depends_on_who_answers() -> None:
    wrong = asked("a.txt", rank=1, contains=False)
    assert only(wrong).setting == "llm"
    assert (only(wrong, under=MODEL).setting, only(wrong, under=MODEL).value) == ("chain", "refine")
    silent = asked("a.txt", rank=1, answered=False)
    assert only(silent).setting == "floor"
    assert only(silent, under=MODEL).setting == "chain"


def test_another_search_model_is_not_the_one_that_is_there() -> None:
    advice = only(asked("b.txt"))
    assert advice.value == "sentence-transformers/all-mpnet-base-v2"
    assert only(asked("b.txt"), under=replace(HERE, embedder=advice.value)).value == ""


def test_what_concerns_most_questions_comes_first() -> None:
    wrong = [asked("a.txt", rank=1, contains=False)] * 2
    assert [each.count for each in advise([asked("b.txt"), *wrong], HERE)] == [2, 1]
