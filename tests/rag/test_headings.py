"""find_headings and find_title: what marks or habits make a heading, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.headings import LONGEST, find_headings, find_title


def names(text: str) -> list[str]:
    return [name for _, name in find_headings(text)]


def test_markdown() -> None:
    text = "# One\ntext\n## Two ##\n```\n# a comment\n```\n### **Three** `x`\nSetext\n------\n#hashtag\n"
    assert names(text) == ["One", "Two", "Three x", "Setext"]


def test_restructured_text_and_its_code() -> None:
    text = "Title\n=====\n\n.. code-block:: python\n\n# not one\n\nPart \n~~~~~\n\nToo long a line\n~~~~\n"
    assert names(text) == ["Title", "Part"]


def test_wiki_and_html() -> None:
    assert names(" = Article = \n\n = = Part = = \ntext\n== Other ==\n") == ["Article", "Part", "Other"]
    assert names("<h1>A <b>bold</b> one</h1>\ntext <h2>inline</h2>\n") == ["A bold one"]


def test_guesses_where_nothing_is_marked() -> None:
    text = "OPENING HOURS\nFrom ten.\n\nThe garden\n\nIt opens at 8.\n\n2.1 Fees for groups\n\nTen euros."
    assert names(text) == ["OPENING HOURS", "The garden", "2.1 Fees for groups"]


@pytest.mark.parametrize(
    "text",
    [
        "It is a sentence.\n\nAnother one follows it.",
        "Text.\n\nSPEAKER: Booo —\n\nText.",
        "Text.\n\n12.50\n\nText.",
        "Text.\n\n- a point\n\nText.",
        "Text.\n\nThe last line",
        "no capital here\n\nText.",
    ],
)
def test_lines_that_are_none(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Some text\n\n# The name\n\n# Another\n", "The name"),
        ("PEP: 8\nTitle: Style Guide\nAuthor: A\n B\n\nAbstract\n========\n", "Style Guide"),
        ('---\nlayout: post\ntitle: "Named"\n---\n# Other\n', "Named"),
        ("TICKETS AND PRICES\n\nOne ticket.", "TICKETS AND PRICES"),
        ("Some text.\n\nOPENING HOURS\n\nText.", ""),
        (" = First article = \n\n text\n = Second = \n", ""),
        ("", ""),
    ],
)
def test_title(text: str, title: str) -> None:
    assert find_title(text) == title


@given(st.text(alphabet="#= -~\nAb.<h1>/|`'1\t", max_size=200))
def test_any_text(text: str) -> None:
    found = find_headings(text)
    assert found == sorted(found)
    assert all(0 <= start < len(text) and 0 < len(name) <= LONGEST for start, name in found)
