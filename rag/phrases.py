"""The noun phrases of an English question: what it speaks of, and where in it.

It works on the words, without capitals or punctuation too, as a recogniser may leave them out. It does not
know what a phrase is wanted for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.wordlists import (
    AUXILIARIES,
    ENGLISH,
    KINDS,
    MODALS,
    PREDICATES,
    PREPOSITIONS,
    TRANSITIVE,
    VERBS,
    words,
)

WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_ARTICLES = words("the a an")
_OWNERS = words("my our your his her its their this that these those")
STARTS = _ARTICLES | _OWNERS
TOPIC_PREPOSITIONS = (PREPOSITIONS - words("like than of about")) | words(
    "through inside near behind via under over"
)

_MODIFIERS = words(
    "last free open work show play design book order change day year time date old big"
)  # after an article; elsewhere they are verbs, or say little


@dataclass(frozen=True)
class Phrase:
    """A noun phrase of a question, and what stands around it."""

    text: str
    start: int
    before: str = ""  # the word before it, lower case
    asked: bool = False  # "which museum", "how many boats"

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def words(self) -> list[str]:
        return words_in(self.text)

    @property
    def head(self) -> str:
        return stem(self.words[-1])

    @property
    def named(self) -> list[str]:
        """Its words without article."""
        return [word for word in self.words if word not in STARTS]

    @property
    def opening(self) -> str:
        """What kind of word begins it."""
        first = self.words[0]
        return "the" if first == "the" else "a" if first in _ARTICLES else "my" if first in _OWNERS else ""

    @property
    def kind(self) -> str:
        return next((kind for kind, members in KINDS.items() if self.head in members), _number(self.named))

    @property
    def is_name(self) -> bool:
        return any(word[0].isupper() for word in self.text.split() if word.casefold() not in STARTS)

    @property
    def plural(self) -> bool:
        return self.words[-1].endswith("s") and not self.words[-1].endswith("ss")


def phrases(text: str) -> list[Phrase]:
    """The noun phrases of an English question, each without what hangs on it by a preposition."""
    found: list[Phrase] = []
    run: list[re.Match[str]] = []
    before, previous = "", ""
    modal = False
    tokens = list(WORD.finditer(text))
    for token in [*tokens, None]:
        word = token[0].casefold() if token else ""
        cut = token is None or (
            run and re.search(r"[,;:?!()]", text[run[-1].end() : token.start()]) is not None
        )
        starts = word in STARTS and not (len(run) == 1 and not cut and _is_gerund(run[0][0]))
        inside = bool(word) and not cut and not starts
        inside = inside and (word in STARTS or _names_something(word, previous))
        if inside and (run or not starts):
            before = before if run else previous
            run = [*run, token] if token else run
        else:
            subject = modal and not any(p.start > 0 and not p.asked for p in found)
            later = token is not None and bool(VERBS & set(words_in(text[token.start() :])))
            found += _phrase(text, run, before, subject and not later, word)
            run, before = ([token] if starts and token else []), previous
            if token and cut and _names_something(word, previous):
                run = [token]
        modal = modal or word in MODALS
        previous = word
    return found


def _names_something(word: str, previous: str) -> bool:
    if previous == "who" or (previous in PREDICATES and previous != "one"):
        return False
    if word == "may":
        return previous in TOPIC_PREPOSITIONS
    if word in _MODIFIERS and previous in STARTS:
        return True
    return word not in ENGLISH.function and word not in VERBS and word not in TOPIC_PREPOSITIONS


def _phrase(
    text: str, run: Sequence[re.Match[str]], before: str, subject: bool, following: str
) -> list[Phrase]:
    """`run` as a phrase, or as two around the verb that follows a subject: "did the Huguenots settle"."""
    if not [each for each in run if each[0].casefold() not in STARTS]:
        return []
    kept = list(run)
    verb = _verb_of(kept, following) if subject else None
    if verb is not None:
        rest = _phrase(text, kept[verb + 1 :], kept[verb][0].casefold(), False, following)
        return _phrase(text, kept[:verb], before, False, following) + rest
    if len(kept) > 1 and re.search(r"(?<!e)ed$", kept[-1][0]) and kept[-1][0].islower():
        kept.pop()
        return _phrase(text, kept, before, False, "")
    asked = before in {"what", "which", "whose", "many"}
    return [Phrase(text[kept[0].start() : kept[-1].end()], kept[0].start(), before, asked)]


def _verb_of(run: Sequence[re.Match[str]], following: str) -> int | None:
    """Where in the words after "did" the subject ends and the verb is, if it is among them."""
    named = [at for at, each in enumerate(run) if each[0].casefold() not in STARTS]
    for earlier, at in pairwise(named):
        before, word = run[earlier][0], run[at][0]
        plural = before.casefold().endswith("s") and not word.endswith("s")
        if word.islower() and (word in TRANSITIVE or before[0].isupper() or (plural and at != named[-1])):
            return at
    ends = len(named) > 1 and following not in VERBS | AUXILIARIES and run[-1][0].islower()
    return named[-1] if ends else None


def _is_gerund(word: str) -> bool:
    return word.islower() and len(word) > 5 and word.endswith("ing")


def _number(named: Sequence[str]) -> str:
    return "number" if named and named[-1].isdigit() else ""


def stem(word: str) -> str:
    lower = re.sub(r"['’]s?$", "", word.casefold().strip("?.,!"))
    return lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith("ss") else lower


def words_in(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]
