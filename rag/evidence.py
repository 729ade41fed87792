"""Whether the passages support a sentence of an answer: by its words, numbers, names and quotations.

A language model may write what no passage says. Each sentence is held against the sentences of the passages,
one by one and two by two: what it says should stand together in one place. Numbers and quotations have to be
there to the letter. It does not know who wrote the sentence, how it is shown, nor what is true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rag.prompts import says_unknown
from rag.sentences import split_sentences
from rag.terms import Word, function_words, language_of, question_words, terms

LEAST = 0.4  # a sentence that is supported with less probability is not: many say it in their own words
FEATURES = ("new words in one place", "missing names", "negation")
_WEIGHTS, _BIAS = np.array([5.5, -22.6, -5.0]), -3.1  # fitted by scripts/fit_evidence.py

_MARK = re.compile(r"\[\d{1,3}\]")
_BULLET = re.compile(r"^\s*(?:[-*•#>]+|\(?\d{1,3}[.)])\s+")
_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"|«([^«»]+)»|„([^„“”]+)[“”]")
_CLAUSE = re.compile(r"[;:]\s+|,?\s+(?:and|but|while|whereas|und|aber|während|y|pero|et|mais)\s+")
_QUOTED_WORDS = 3  # what is shorter is a name or a term in quotation marks
_NUMBER = re.compile(r"\d+(?:[.,'’ \u00a0\u202f]\d{3})+(?!\d)|\d+(?:[.,]\d+)?")
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"\b[^\W\d_a-z][\w'’&-]*\w")
_NOT = re.compile(
    r"\b(?:not|no|never|none|neither|nor|nobody|nothing|without|cannot|nicht|kein\w*|nie|ohne|nunca|jamás|sin"
    r"|ne|pas|jamais|aucune?|sans|non|mai|senza|não|nem|sem|niet|geen|nooit)\b|n['’]t\b",
    re.IGNORECASE,
)
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMERALS = {word: str(value) for value, word in enumerate(f"{_UNITS} {_TEENS}".split())}
_NUMERALS |= {word: str(10 * tens) for tens, word in enumerate(_TENS.split(), 2)}


@dataclass(frozen=True)
class Support:
    """What the passages say of one sentence."""

    probability: float  # that they support it, 0 to 1
    passages: tuple[int, ...] = ()  # the numbers of those that do, from 1, best first
    claims: bool = True  # whether it says anything that could be in a document

    @property
    def supported(self) -> bool:
        return bool(self.passages) or not self.claims


NO_CLAIM = Support(1.0, claims=False)


@dataclass(frozen=True)
class _Window:
    """One sentence of a passage, or two neighbours."""

    terms: frozenset[str]
    numbers: frozenset[str]
    negated: bool


_NOTHING = _Window(frozenset(), frozenset(), negated=False)


class Evidence:
    """The passages that an answer was made from. `support` says which of them a sentence rests on.

    names: what each passage stands under (its title, its file's name), which counts as said in it.
    question: what was asked; an answer repeats its words, whatever the passages call the thing.
    """

    def __init__(self, passages: Sequence[str], names: Sequence[str] = (), question: str = "") -> None:
        known = names or [""] * len(passages)
        self._passages = [_Passage(text, name) for text, name in zip(passages, known, strict=True)]
        self._asked = frozenset[str]().union(*(word.terms for word in question_words(question)))

    def support(self, sentence: str, cited: Sequence[int] = ()) -> Support:
        """Which passages support the sentence; of equals the `cited` ones come first.

        Where none does, each of its clauses may rest on one of its own.
        """
        found = self._support(self._claim(sentence), cited)
        clauses = [] if found.supported else _CLAUSE.split(_MARK.sub("", sentence))
        parts = [self._support(self._claim(clause), cited) for clause in clauses if clause.strip()]
        if len(parts) < 2 or not all(part.supported for part in parts) or not all(p.claims for p in parts):
            return found
        passages = dict.fromkeys(number for part in parts for number in part.passages[:1])
        return Support(min(part.probability for part in parts), tuple(passages))

    def _support(self, claim: Claim, cited: Sequence[int]) -> Support:
        if not claim.claims or not self._judges(claim):
            return NO_CLAIM
        found = [
            (self._probability(claim, passage), number in cited, -number)
            for number, passage in enumerate(self._passages, 1)
        ]
        best = sorted(found, reverse=True)
        passages = tuple(-number for probability, _, number in best if probability >= LEAST)
        return Support(best[0][0] if best else 0.0, passages)

    def _claim(self, sentence: str) -> Claim:
        return Claim(sentence, self._asked)

    def _judges(self, claim: Claim) -> bool:
        """Whether the passages can tell: in another language than theirs, only where there is a number."""
        foreign = all(passage.language != claim.language for passage in self._passages)
        return not self._passages or not foreign or bool(claim.numbers)

    def seen(self, sentence: str) -> NDArray[np.float64] | None:
        """(len(FEATURES),) in the passage that speaks most for the sentence; None where none may."""
        claim = self._claim(sentence)
        may = [passage for passage in self._passages if self._may(claim, passage)]
        return max((self._features(claim, passage) for passage in may), key=_logit, default=None)

    def _probability(self, claim: Claim, passage: _Passage) -> float:
        if not self._may(claim, passage):
            return 0.0
        if passage.language != claim.language:
            return 1.0 if claim.numbers else 0.0
        return 1 / (1 + math.exp(-_logit(self._features(claim, passage))))

    def _may(self, claim: Claim, passage: _Passage) -> bool:
        """Whether the passage has every number and quotation."""
        return claim.quotations_in(passage.plain) and claim.numbers <= passage.numbers

    def _features(self, claim: Claim, passage: _Passage) -> NDArray[np.float64]:
        best = max(passage.windows, key=claim.standing_in, default=_NOTHING)
        held = best.terms | passage.name
        return np.array(
            [
                _share(claim.new or claim.words, held),
                1 - _share(claim.names, passage.terms | passage.name),
                claim.negated != best.negated,
            ],
            dtype=np.float64,
        )


def _logit(features: NDArray[np.float64]) -> float:
    return float(features @ _WEIGHTS) + _BIAS


class Claim:
    """A sentence of an answer: what of it can be looked for. `asked`: the terms of the question."""

    def __init__(self, sentence: str, asked: frozenset[str] = frozenset()) -> None:
        self.text = " ".join(_BULLET.sub("", _MARK.sub("", sentence)).split())
        self.language = language_of(self.text)
        self._common = function_words(self.language)
        said = (word for word in question_words(self.text) if word.text not in self._common)
        self.words = [word for word in said if word.text not in _NUMERALS and not _DIGIT.search(word.text)]
        self.new = [word for word in self.words if word.terms.isdisjoint(asked)]
        self.numbers = numbers(self.text)
        quoted = map("".join, _QUOTED.findall(self.text))
        self.quotations = [_plain(each) for each in quoted if len(each.split()) >= _QUOTED_WORDS]
        self.negated = bool(_NOT.search(self.text))

    @property
    def claims(self) -> bool:
        """Whether it says anything that a document could: it does not ask, announce, or pass."""
        says = len(self.words) > 1 or bool(self.numbers)
        return says and not self.text.endswith(("?", "？", ":")) and not says_unknown(self.text)

    @cached_property
    def names(self) -> list[Word]:
        """Its words with a capital, but for a first one that only begins the sentence."""
        found = [match for match in _NAME.finditer(self.text) if match[0].casefold() not in self._common]
        inner = [match for match in found if match.start() or self.text[match.end() :].lstrip()[:1].isupper()]
        return [word for match in inner for word in question_words(match[0])]

    def standing_in(self, window: _Window) -> float:
        """How well it stands in this place of a passage; what it says beyond the question counts twice."""
        told = 2 * _count(self.new, window.terms) + _count(self.words, window.terms)
        return told - 4 * len(self.numbers - window.numbers)

    def quotations_in(self, plain: str) -> bool:
        """Whether every quotation stands in the passage, word for word."""
        return all(quotation in plain for quotation in self.quotations)


def _count(words: Sequence[Word], known: frozenset[str]) -> int:
    return sum(not word.terms.isdisjoint(known) for word in words)


def _share(words: Sequence[Word], known: frozenset[str]) -> float:
    """How many of the words `known` has, 0 to 1; 1 where there are none."""
    return _count(words, known) / len(words) if words else 1.0


class _Passage:
    def __init__(self, text: str, name: str) -> None:
        self.plain = _plain(text)
        self.language = language_of(text)
        self.name = frozenset(terms(name, self.language))
        self.terms = frozenset(terms(text, self.language))
        self.numbers = numbers(f"{text} {name}")
        self._text = text

    @cached_property
    def windows(self) -> list[_Window]:
        """Each sentence, and each two neighbours."""
        sentences = split_sentences(self._text, 1000)
        return [self._window(text) for text in (*sentences, *map(" ".join, pairwise(sentences)))]

    def _window(self, text: str) -> _Window:
        found = frozenset(terms(text, self.language))
        return _Window(found, numbers(text), bool(_NOT.search(text)))


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text in one form: "1,250" and "1 250" are 1250, "seven" is 7."""
    found = {_number(match[0]) for match in _NUMBER.finditer(text)}
    found |= {_NUMERALS[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in _NUMERALS}
    return frozenset(found)


def _number(written: str) -> str:
    whole = re.sub(r"[.,'’ \u00a0\u202f](?=\d{3}(?!\d))", "", written)
    digits = whole.replace(",", ".")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits.lstrip("0") or "0"


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())
