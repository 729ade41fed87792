"""Sentences come as soon as they are sure, and are the same however the text arrives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.sentences import SentenceSplitter, places, split


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones and Prof. Lee.",
        "Bring fruit, e.g. apples, i.e. something sweet.",
        "It is 3.5 km long.",
        "The U.S. Army was there.",
        "See p. 12 and pp. 13–15 of it.",
        "Written by J. R. R. Tolkien alone.",
        "Room No. 4 is closed.",
        "Look at https://example.org/a.b?c=d. e for more.",
        "1. Open the door",
        "Well... I am not sure.",
        "He paused … Then he went on.",
        "Am 3. Oktober ist es zu.",
        "Fig. 2 shows it.",
        "The shop opens at 5 p.m. Monday to Friday.",
        "“Really?” he asked.",
        "Yahoo! announced it.",
        "It closes at six. [2]",
        "It closes at six [1]. [2][3]",
        "The file is main.py. it says so",
        "St. Paul is a city.",
        "Smith et al. (2020) found it.",
        "On Jan. 5 it opens.",
        "Cited by Apple Inc. Board members.",
        "A line that is wrapped by the\nMuseum of Art.",
    ],
)
def test_one_sentence(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It closes at six. It opens at nine.", ["It closes at six.", "It opens at nine."]),
        (
            "It closes at six. [2] It opens. [1][3] Yes.",
            ["It closes at six. [2]", "It opens. [1][3]", "Yes."],
        ),
        ("Closed [1]. Open [2, 3].", ["Closed [1].", "Open [2, 3]."]),
        ("Open? Yes! Good.", ["Open?", "Yes!", "Good."]),
        ("“Is it?” The man left.", ["“Is it?”", "The man left."]),
        ("(It is closed.) Go home.", ["(It is closed.)", "Go home."]),
        ("**Closed.** Open on Monday.", ["**Closed.**", "Open on Monday."]),
        ("He lives in the U.S. The house is red.", ["He lives in the U.S.", "The house is red."]),
        ("It was vitamin C. It helps.", ["It was vitamin C.", "It helps."]),
        ("It opened in 1987. In 1990 it closed.", ["It opened in 1987.", "In 1990 it closed."]),
        ("It closes at 5 p.m. Tickets are sold.", ["It closes at 5 p.m.", "Tickets are sold."]),
        ("Apples, pears, etc. All are fresh.", ["Apples, pears, etc.", "All are fresh."]),
        ("博物馆六点关门。九点开门！好吗？", ["博物馆六点关门。", "九点开门！", "好吗？"]),
        ("「閉まります。」次です。", ["「閉まります。」", "次です。"]),
        ("# Hours\nOpen daily.", ["# Hours", "Open daily."]),
        ("Opening hours\nThe museum opens at nine.", ["Opening hours", "The museum opens at nine."]),
        ("Bring:\n- a rope\n- a lamp\n\nGo.", ["Bring:", "- a rope", "- a lamp", "Go."]),
        ("1. Open it.\n2. Shut it.", ["1. Open it.", "2. Shut it."]),
        ("1. Open it. 2. Shut it.", ["1. Open it.", "2. Shut it."]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "|---|---|", "| 1 | 2 |"]),
        (
            "Run this:\n```\na = 1. B\nc = 2.\n```\nDone.",
            ["Run this:", "```\na = 1. B\nc = 2.\n```", "Done."],
        ),
        ("First part\n\nsecond part", ["First part", "second part"]),
        ("क्या यह खुला है। हाँ।", ["क्या यह खुला है।", "हाँ।"]),
        ("¿Está abierto? ¡Sí! Bien.", ["¿Está abierto?", "¡Sí!", "Bien."]),
    ],
)
def test_several_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    ("pieces", "sure_at"),
    [
        (["It closes", " at", " six", ".", " It", " opens"], 4),  # the token after the full stop
        (["It closes at six.", " [2]", " It", " opens"], 2),
        (["It closes at six?", " It"], 1),
        (["Hours:", "\n", "Open daily"], 2),
        (["# Hours\n", "Open"], 1),
        (["六点关门。", "九点"], 1),
    ],
)
def test_given_out_at_the_first_moment(pieces: list[str], sure_at: int) -> None:
    splitter = SentenceSplitter()
    given = [splitter.feed(piece) for piece in pieces]
    assert [bool(sentences) for sentences in given].index(True) == sure_at


def test_a_full_stop_alone_is_not_sure() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("It costs 3.") == []
    assert splitter.feed("5 euros") == []
    assert splitter.finish() == ["It costs 3.5 euros"]
    assert splitter.finish() == []


def test_a_sentence_without_an_end_is_cut_at_a_clause_then_at_a_word() -> None:
    clauses = "this is a clause that goes on, " * 20
    pieces = split(clauses)
    assert all(len(piece) <= 240 for piece in pieces)
    assert all(piece.endswith(",") for piece in pieces)
    words = split("word " * 200)
    assert all(len(piece) <= 240 and piece.endswith("word") for piece in words)
    assert [len(piece) for piece in split("a" * 500)] == [240, 240, 20]


def test_a_link_is_not_torn_by_a_cut() -> None:
    text = "word " * 44 + "and then [a link with a long text](https://example.org) follows here"
    assert any("[a link with a long text](https://example.org)" in piece for piece in split(text))


def test_a_long_code_block_stays_whole() -> None:
    block = "```python\n" + "x = 1. Y\n" * 100 + "```"
    assert split("Look:\n" + block + "\nDone.") == ["Look:", block, "Done."]


_PARTS = (
    "It closes at six|. |.|? |! |… |... |\n|\n\n| [1]|[2, 3]| |Dr|e.g|U.S|p. 12|3.5|1. |- |# |**|`|```"
    "|\n```\n|---\n|“|”|(|)|The|the|No|。|？|」|Oktober"
    "|5 p.m|Monday|J|https://a.b/c.d|\t|> |~|~~~\n|*|_|-|1|A) |,|; |é|😀"
)
_FRAGMENTS = st.sampled_from([*_PARTS.split("|"), "| a |"])
_TEXTS = st.lists(_FRAGMENTS, max_size=40).map("".join) | st.text(alphabet=" .!?\n[]1aA*-`#|。", max_size=60)


@settings(max_examples=400, deadline=None)
@given(_TEXTS, st.data())
def test_the_pieces_do_not_matter_and_nothing_is_lost(text: str, data: st.DataObject) -> None:
    limit = data.draw(st.sampled_from([20, 40, 240]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=30)))
    splitter = SentenceSplitter(limit)
    found: list[str] = []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += splitter.feed(text[begin:end])
    found += splitter.finish()
    assert found == split(text, limit)
    one_by_one = SentenceSplitter(limit)
    assert [s for char in text for s in one_by_one.feed(char)] + one_by_one.finish() == found
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)
    assert all(sentence == sentence.strip() and sentence for sentence in found)


@settings(max_examples=200, deadline=None)
@given(_TEXTS, st.data())
def test_places_are_where_the_sentences_stand(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    splitter = SentenceSplitter(40)
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += splitter.places(text[begin:end])
    found += splitter.places(final=True)
    assert [place.text for place in found] == split(text, 40)
    assert all(text[place.start : place.end] == place.text for place in found)
    assert splitter.rest == ""


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (
            "The museum in the old town closes at six, but the garden",
            "The museum in the old town closes at six,",
        ),
        ("The museum in the old town — a fine one — is", "The museum in the old town —"),
        ("These are all of the things: a rope", "These are all of the things:"),
        ("It closes at six, as it does on every day, or", "It closes at six, as it does on every day,"),
        ("It was opened to all on May 3, 2024, by the mayor", "It was opened to all on May 3, 2024,"),
        ("The things (a rope, a lamp) that you need, and", "The things (a rope, a lamp) that you need,"),
        ("博物馆在老城区的六点钟关门，花园", "博物馆在老城区的六点钟关门，"),
        ("| the museum that is here, or there", None),
        ("The whole museum costs 1,000", None),
        ("Extraordinarily, uncharacteristically, this", None),
        ("The museum closes at six o'clock,", None),  # what follows decides
    ],
)
def test_a_first_clause(text: str, first: str | None) -> None:
    found = SentenceSplitter().places(text, early=25)
    assert [place.text for place in found] == ([first] if first else [])
    assert not any(place.whole for place in found)


def test_an_early_clause_is_only_given_before_the_end_of_its_sentence() -> None:
    splitter = SentenceSplitter()
    text = "It is so. The museum in the old town closes at six, but not the garden. Yes, it is. "
    found = [splitter.places(piece, early=25) for piece in (text, "", "", "", "")]
    assert [[place.text for place in some] for some in found] == [
        ["It is so."],
        ["The museum in the old town closes at six,"],
        ["but not the garden."],
        [],
        [],
    ]
    assert [place.whole for some in found for place in some] == [True, False, True]
    assert splitter.finish() == ["Yes, it is."]


def test_a_part_of_a_sentence_that_is_too_long_is_no_whole_one() -> None:
    parts = places("this is a clause that goes on, " * 12 + "and ends.")
    assert [part.whole for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 1


@settings(max_examples=200, deadline=None)
@given(_TEXTS, st.integers(1, 60))
def test_with_early_clauses_nothing_is_lost_either(text: str, least: int) -> None:
    splitter = SentenceSplitter()
    found = splitter.places(text, early=least)
    while more := splitter.places(final=True, early=least):
        assert len(more) == 1
        found += more
    assert "".join("".join(place.text for place in found).split()) == "".join(text.split())
    assert all(text[place.start : place.end] == place.text for place in found)


def test_a_long_text_is_split_in_good_time() -> None:
    text = "This is a sentence of eight words here. " * 20_000
    assert len(split(text)) == 20_000
