"""Suggested questions come from headings, and only where they lead back to their document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from langchain_core.documents import Document

from rag.store import ChunkStore, Page, Source
from rag.suggest import suggest


class Library:
    """Documents by name, and a chain that finds the one whose text holds the question's last word."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    def sources(self) -> list[Source]:
        return [Source(name, "") for name in self.texts]

    def pages(self, source: str) -> list[Page]:
        return [Page(self.texts[source])]

    def stream(self, input: Any) -> Iterator[dict[str, Any]]:
        word = input["query"].rstrip("?").split()[-1].casefold()
        found = [name for name, text in self.texts.items() if word in text.casefold()]
        yield {"source_documents": [Document("…", metadata={"source": name}) for name in found]}


def suggested(count: int = 3, **texts: str) -> list[str]:
    library = Library(**texts)
    return suggest(cast(ChunkStore, library), library, count)


def test_each_document_gives_one_before_any_gives_two() -> None:
    found = suggested(
        garden="# The glasshouses\n\nWarm.\n\n# The orchard\n\nApples.\n",
        prices="# Family tickets\n\nCheap.\n",
    )
    assert found == [
        "What should I know about the glasshouses?",
        "What should I know about family tickets?",
        "What should I know about the orchard?",
    ]


@pytest.mark.parametrize(
    "heading",
    ["Contents", "By bus", "3.2.1", "OPENING HOURS", "Table 4: prices", "Days on which all is closed"],
)
def test_headings_that_name_no_subject_are_left_out(heading: str) -> None:
    assert suggested(a=f"# {heading}\n\nText.\n") == []


def test_a_heading_that_asks_is_taken_as_it_is() -> None:
    assert suggested(a="# Where can I park?\n\nBehind the house you can park.\n") == ["Where can I park?"]


def test_what_a_sentence_tells_is_asked_before_what_stands_over_it() -> None:
    garden = "# The glasshouses\n\nThe glasshouses open at 10:00. Whoever is late pays 40 euros.\n"
    assert suggested(a=garden) == [
        "When do the glasshouses open?",
        "What should I know about the glasshouses?",
    ]


def test_a_question_that_leads_elsewhere_is_left_out() -> None:
    assert suggested(1, a="Everything about lanterns.", b="# The lanterns\n\nNothing here.\n") == []


def test_nothing_is_suggested_for_an_empty_library() -> None:
    assert suggested() == []
