r"""Words that a line end has cut: whole again, and a hyphen that belongs to the word stays.

"muse-\num" is "museum", and "well-\nknown" is "well-known". The document itself knows best: it mostly has the
word elsewhere, in one piece or with its hyphen.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from rag.formats.base import Page

MARK = "\ufffe"  # PDFium's sign for a hyphen at a line end; it has joined the two lines

_CUT = re.compile(rf"(?P<left>\w*)(?:{MARK}|(?<=\w)[-\u2010]\n(?=[^\W\d_]))(?P<right>\w*)(?P<more>-?)")
_WORD = re.compile(r"[^\W\d_]+")
_COMPOUND = re.compile(r"\w+(?:-\w+)+")
_ENGLISH = 1 / 100  # share of "the"
# English words that begin words written as one ("however", "into", "something"), seldom words with a hyphen.
_PREFIXES = frozenset(
    [
        "a",
        "an",
        "any",
        "be",
        "can",
        "every",
        "for",
        "how",
        "in",
        "into",
        "man",
        "more",
        "no",
        "on",
        "out",
        "over",
        "some",
        "there",
        "to",
        "under",
        "up",
        "who",
        "with",
        "where",
    ]
)


@dataclass(frozen=True)
class _Vocabulary:
    """The words of one document, in lower case."""

    words: Counter[str]
    compounds: frozenset[str]
    english: bool

    def hyphen(self, left: str, right: str, more: bool) -> str:
        """What stands between two halves: a hyphen, or nothing."""
        if not left or not right:
            return ""
        low, high = left.lower(), right.lower()
        if self.words[low + high] and not more:
            return ""
        if more or f"{low}-{high}" in self.compounds:
            return "-"
        if left[-1].isdigit() or right[0].isdigit():
            return "-"
        if right[0].isupper() and not left.isupper():
            return "-"  # a name
        both = self.words[low] and self.words[high] and low not in _PREFIXES
        return "-" if self.english and both else ""


def join_line_ends(pages: list[Page]) -> None:
    """Join what line ends have cut on these pages; their headings follow."""
    if not any(_CUT.search(page.text) for page in pages):
        return
    known = _vocabulary(pages)
    for page in pages:
        page.headings = [
            (_moved(page.text, start, known), _joined(line, known)) for start, line in page.headings
        ]
        page.text = _joined(page.text, known)


def _vocabulary(pages: list[Page]) -> _Vocabulary:
    words: Counter[str] = Counter()
    compounds: set[str] = set()
    for page in pages:
        whole = _CUT.sub(" ", page.text.lower())
        words.update(_WORD.findall(whole))
        compounds.update(_COMPOUND.findall(whole))
    return _Vocabulary(words, frozenset(compounds), words["the"] > _ENGLISH * words.total())


def _joined(text: str, known: _Vocabulary) -> str:
    def whole(match: re.Match[str]) -> str:
        left, right, more = match["left"], match["right"], match["more"]
        return f"{left}{known.hyphen(left, right, bool(more))}{right}{more}"

    return _CUT.sub(whole, text)


def _moved(text: str, offset: int, known: _Vocabulary) -> int:
    """Where `offset` lies after the joining; headings begin a line, so none lies within a cut word."""
    return len(_joined(text[:offset], known))
