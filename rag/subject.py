"""What a document is about, for its chunks' headers: the names that it begins with and keeps returning to.

A page of figures seldom says whose figures they are, or of which year; the document's first page does. It
does not know questions, nor what a header is for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from rag.function_words import FUNCTION_WORDS

_LEAD = 2000  # characters of the beginning that name the subject
_READ = 400_000  # characters of the document that confirm it
_PARTS = 6  # of the document; half of them have what it is about
_NAMES = 3
_SHORT = 5_000  # characters; a shorter document says in every part what it is about
_WORD = re.compile(r"\b[^\W\d_][\w&]*[^\W_]")
_INSIDE = re.compile(r"[a-zß-ÿ,;(] ?$")  # before a word that does not begin its sentence
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_MONTHS = """
    january february march april may june july august september october november december jan feb
    mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday
    sunday
"""
_FURNITURE = """
    act agreement annual appendix article board chapter commission company content contents
    copyright corporation department director document edition exchange executive figure form group
    holdings inc item limited llc ltd manual no note number office page part president published
    report rights section securities share shares states table title united university version
    volume www com http https abbildung bericht inhalt kapitel seite tabelle figura capítulo página
    tabla chapitre tableau
"""
_GENERAL = frozenset(f"{_MONTHS} {_FURNITURE}".split())  # what documents of every kind begin with


def subject(pages: Sequence[str], known: str = "") -> str:
    """The names and the year in order of first use, those left out that `known` has; "" if there are none."""
    lead = "\n".join(islice(filter(str.strip, pages), 2))[:_LEAD]
    text = "\n".join(pages)[:_READ]
    if len(text) < _SHORT:
        return ""
    said = set(_fold(known))
    found = [*_names(lead, text), *_years(lead, text)]
    return " ".join(name for name in found if name.casefold() not in said)


def _names(lead: str, text: str) -> list[str]:
    """Words of the beginning that have a capital throughout, within sentences too; the most frequent ones."""
    total, small, inside = Counter[str](), Counter[str](), Counter[str]()
    for match in _WORD.finditer(text):
        key = match[0].casefold()
        total[key] += 1
        small[key] += match[0].islower()
        inside[key] += bool(_INSIDE.search(text, max(0, match.start() - 3), match.start()))
    shown = {word.casefold(): word for word in reversed(_WORD.findall(lead)) if word[0].isupper()}
    proper = [
        key
        for key in shown
        if inside[key] and small[key] * 10 <= total[key] and key not in _GENERAL | _FUNCTION
    ]
    often = sorted((key for key in proper if _recurs(key, text)), key=lambda key: -total[key])[:_NAMES]
    names = (shown[key] for key in sorted(often, key=lead.casefold().find))
    return [name.title() if name.isupper() else name for name in names]


def _years(lead: str, text: str) -> list[str]:
    """The year that the document has most often, if its beginning has it."""
    counted = Counter(_YEAR.findall(text)).most_common(1)
    return [year for year, _ in counted if year in lead and _recurs(year, text)]


def _recurs(word: str, text: str) -> bool:
    """Whether half of the parts of the text have the word."""
    size = len(text) // _PARTS + 1
    parts = [text[at : at + size].casefold() for at in range(0, len(text), size)]
    return sum(word in part for part in parts) * 2 >= len(parts)


def _fold(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


_FUNCTION = frozenset(word for words in FUNCTION_WORDS.values() for word in words.split())
