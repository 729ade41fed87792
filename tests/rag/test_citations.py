"""Citations put into a text while it streams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.citations import Citer, Judged, cited_numbers
from rag.evidence import Evidence

PASSAGES = [
    "The garden opens at nine in the morning from Tuesday to Sunday.",
    "Admission is 12 euros for adults. Children under six enter free of charge.",
]


def said(*pieces: str, passages: list[str] = PASSAGES) -> list[str | Judged]:
    citer = Citer(Evidence(passages), len(passages))
    return [*(out for piece in pieces for out in citer.feed(piece)), *citer.finish()]


def cite(*pieces: str, passages: list[str] = PASSAGES) -> str:
    return "".join(each for each in said(*pieces, passages=passages) if isinstance(each, str))


def test_each_sentence_gets_the_passage_that_supports_it() -> None:
    text = "The garden opens at nine in the morning. Admission is 12 euros for adults."
    assert cite(text) == (
        "The garden opens at nine in the morning. [1] Admission is 12 euros for adults. [2]"
    )


def test_a_sentence_that_nothing_supports_gets_none() -> None:
    assert cite("Penguins rarely visit northern libraries.") == "Penguins rarely visit northern libraries."


def test_the_models_own_citation_is_kept_before_and_after_the_full_stop() -> None:
    assert cite("The garden opens at nine [1]. It is so. [2] Good.") == (
        "The garden opens at nine [1]. It is so. [2] Good."
    )


def test_a_citation_of_a_passage_that_is_not_there_is_dropped() -> None:
    assert "[7]" not in cite("The garden opens at nine in the morning [7].")


def test_abbreviations_do_not_end_a_sentence() -> None:
    text = "Dr. Smith opens the garden at nine in the morning."
    assert cite(text, passages=[text]) == f"{text} [1]"


def test_a_passage_that_supports_is_cited_beside_the_one_that_does_not() -> None:
    assert cite("The garden opens at nine in the morning [2].") == (
        "The garden opens at nine in the morning [2]. [1]"
    )


def test_lines_are_sentences_of_their_own() -> None:
    text = "Hours:\n- The garden opens at nine in the morning\n- Admission is 12 euros for adults"
    assert cite(text) == (
        "Hours:\n- The garden opens at nine in the morning [1]\n- Admission is 12 euros for adults [2]"
    )


def test_text_is_given_out_at_once() -> None:
    citer = Citer(Evidence(PASSAGES), len(PASSAGES))
    assert list(citer.feed("The garden opens")) == ["The garden opens"]
    assert list(citer.feed(" at nine in the morning.")) == [" at nine in the morning."]
    cited, judged, following = citer.feed(" And")
    assert (cited, following) == (" [1]", " And")
    assert isinstance(judged, Judged)
    assert list(citer.feed(" [")) == []  # it may become a citation
    assert list(citer.feed("2]")) == [" [2]"]


def test_a_sentence_is_judged_after_its_text_and_before_the_next() -> None:
    out = said("The garden opens at nine in the morning. Penguins rarely visit northern libraries. [1] Good.")
    text = ""
    found = []
    for each in out:
        if isinstance(each, str):
            text += each
        else:
            assert each.end <= len(text)
            found.append((text[each.start : each.end], each.support.supported))
    assert found == [
        ("The garden opens at nine in the morning.", True),
        ("Penguins rarely visit northern libraries.", False),
        ("Good.", True),  # it claims nothing
    ]


@given(st.text(alphabet="The garden.opens at [1] nine[]2?9 \n", max_size=80), st.data())
def test_the_result_does_not_depend_on_the_pieces(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert cite(*pieces) == cite(text)


@given(st.text(max_size=60).filter(lambda text: "[" not in text))
def test_nothing_but_citations_is_added(text: str) -> None:
    out = cite(text)  # a line is cited like a sentence
    assert out.replace(" [1]", "").replace(" [2]", "").rstrip() == text.rstrip()


def test_cited_numbers() -> None:
    assert cited_numbers("A [2]. B [1][2]. C [9] [0].", passages=3) == (2, 1)
