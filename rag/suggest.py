"""Questions to begin with, from the documents' own sentences and headings.

Only what is answered from that very document is suggested. It does not know where they are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.assistant import Chain
from rag.headings import find_headings
from rag.propose import CLAUSE, by_rule
from rag.store import ChunkStore

_LOOKED_AT = 12  # documents, from all over the list
_PAGES = 20  # of each of them
_WORDS = range(1, 7)
_TOO_GENERAL = frozenset(
    ["contents", "introduction", "overview", "index", "preface", "summary", "notes", "references", "appendix"]
)
_NO_SUBJECT = frozenset(  # what begins so names a place in the text, not a thing to ask about
    [
        "about",
        "after",
        "as",
        "at",
        "before",
        "by",
        "during",
        "for",
        "from",
        "how",
        "if",
        "in",
        "into",
        "on",
        "to",
        "under",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "with",
        "without",
    ]
)


def suggest(store: ChunkStore, chain: Chain, count: int = 3) -> list[str]:
    """At most `count` questions, each from another document where there are enough.

    `chain`: what quotes; a question whose best passage is from another document is left out.
    """
    found: list[str] = []
    sources = [source.source for source in store.sources()]
    candidates = [_questions(store, name) for name in sources[:: max(1, len(sources) // _LOOKED_AT)]]
    for _ in range(count):  # one from each document, then a second one
        for name, questions in zip(sources[:: max(1, len(sources) // _LOOKED_AT)], candidates, strict=True):
            question = next((q for q in questions if q not in found and _answered(chain, q, name)), None)
            if question is not None:
                found.append(question)
            if len(found) == count:
                return found
    return found


def _questions(store: ChunkStore, source: str) -> Iterator[str]:
    """What the document asks itself, then what its sentences answer, then what stands over its sections."""
    pages = store.pages(source)[:_PAGES]
    yield from (row.question for row in by_rule(source, pages))
    for page in pages:
        for _, heading in find_headings(page.text):
            words = heading.split()
            if len(words) in _WORDS and not heading.endswith("?") and _names_a_subject(heading, words):
                yield f"What should I know about {_inside(heading)}?"


def _names_a_subject(heading: str, words: list[str]) -> bool:
    """Only words, and not those of a title page or a table of contents."""
    general = words[-1].casefold() in _TOO_GENERAL or words[0].casefold() in _NO_SUBJECT
    general = general or CLAUSE.search(heading) is not None
    return not general and not heading.isupper() and re.sub(r"[ '’-]", "", heading).isalpha()


def _inside(heading: str) -> str:
    """The heading as it stands inside a sentence: names and abbreviations keep their capitals."""
    first, *rest = heading.split()
    small = first[0].lower() + first[1:]
    names = rest and all(word[0].isupper() for word in rest) and first.casefold() not in {"the", "a", "an"}
    return heading if names or not first.istitle() else " ".join([small, *rest])


def _answered(chain: Chain, question: str, source: str) -> bool:
    documents = next(chain.stream({"query": question}))["source_documents"]
    return bool(documents) and documents[0].metadata["source"] == source
