"""Words that were written, typed or heard wrongly → the words of the documents that they most likely are.

Two words are alike by the pairs of letters that they share, or by what they sound like, roughly, in the
languages of Europe. It does not know questions, nor which words a document has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

LEAST = 0.6  # likeness from which one word may be meant by another
_SHORTEST = 4  # letters; shorter words are like too many others
_LENGTHS = 3  # letters that one word may be longer
_SAME_SOUND = 0.85  # likeness of words that sound the same,
_HALF_ALIKE = 0.4  # if they are so much alike as they are written: "pool" is no "ball"
_BEGINNINGS = ("ckqg", "sz", "fvwpb", "iyj")  # letters that one may write, or hear, for the other
_SOUNDS = [
    (re.compile(pattern), sound)
    for pattern, sound in [
        (r"ph", "f"),
        (r"x", "ks"),
        (r"tion|cion|sion|shun|zion", "šn"),
        (r"sch|ch|sh", "š"),
        (r"ck|qu|q|c(?![eiy])", "k"),
        (r"[zc]", "s"),
        (r"gh|h", ""),
        (r"[dt]+", "t"),
        (r"[bp]+", "p"),
        (r"[gk]+", "k"),
        (r"[vwf]+", "f"),
        (r"[mn]+", "n"),
        (r"(?<=.)[aeiouyj]+", ""),
        (r"^[aeiouyj]+", "a"),
        (r"(.)\1+", r"\1"),
    ]
]


def nearest(word: str, vocabulary: Iterable[str]) -> dict[str, float]:
    """Those of `vocabulary` that `word` is most like, lower case all, and how like, LEAST to 1."""
    if len(word) < _SHORTEST or not word.isalpha():
        return {}
    lengths = range(max(_SHORTEST, len(word) - _LENGTHS), len(word) + _LENGTHS + 1)
    pairs, sound, begins = _pairs(word), _sound(word), _begins_like(word[0])
    found: dict[str, float] = {}
    for other in vocabulary:
        if len(other) in lengths and other[0] in begins:
            likeness = _likeness(pairs, _pairs(other))
            if _HALF_ALIKE <= likeness < _SAME_SOUND and _sound(other) == sound:
                likeness = _SAME_SOUND
            if likeness >= LEAST:
                found[other] = likeness
    best = max(found.values(), default=0.0)
    return {other: likeness for other, likeness in found.items() if likeness == best}


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Dice's coefficient: the share of the pairs that both have."""
    return 2 * len(one & other) / (len(one) + len(other))


@lru_cache(20_000)
def _pairs(word: str) -> frozenset[str]:
    """Neighbouring letters, the ends marked; letters that are swapped still share the pairs around them."""
    padded = f"^{word}$"
    return frozenset(
        [padded[at : at + 2] for at in range(len(padded) - 1)]
        + ["".join(sorted(padded[at : at + 3 : 2])) + "_" for at in range(len(padded) - 2)]
    )


def _begins_like(letter: str) -> str:
    """The letters that may stand for it at the beginning of a word, itself among them."""
    return next((letters for letters in _BEGINNINGS if letter in letters), letter)


@lru_cache(20_000)
def _sound(word: str) -> str:
    for pattern, sound in _SOUNDS:
        word = pattern.sub(sound, word)
    return word
