"""Whether the documents answer a question at all, judged by what was found for it.

The best passage's score alone does not tell: a long question is seldom covered whole, and a page of the wrong
year is covered better than most right ones. What tells besides: how near the likeliest sentence is, how far
behind the next passage is, and whether its document is of another year. It does not know the index.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.promising import Scored
from rag.terms import Word

FEATURES = (
    "cosine",
    "coverage",
    "runner-up",
    "another number",
    "words",
    "a sentence's cosine",
    "its coverage",
    "with the one before",
)
# Fitted by scripts/fit_retriever.py.
_WEIGHTS, _BIAS = np.array([4.8, 3.6, -1.0, -7.8, 1.0, 2.8, 1.7, 1.7]), -11.0
READ = 4  # passages whose sentences are looked at
_NO_RUNNER_UP = -5.0  # logits
_NUMBER = re.compile(r"\d{2,}")


class Ranked(Protocol):
    """A passage that was found; `rag.retriever.Candidate` is one."""

    @property
    def chunk(self) -> Chunk: ...
    @property
    def cosine(self) -> float: ...
    @property
    def coverage(self) -> float: ...
    @property
    def logit(self) -> float: ...
    @property
    def held(self) -> frozenset[str]: ...
    @property
    def asked(self) -> Mapping[Word, float]: ...


def probability(ranked: Sequence[Ranked], likeliest: Sequence[Scored]) -> float:
    """That one of these passages, best first, answers the question, 0 to 1, where half of all questions are.

    likeliest: the `rag.promising` sentences of the first READ of them, best first. 0 if nothing was found.
    """
    if not ranked:
        return 0.0
    return 1 / (1 + math.exp(-float(features(ranked, likeliest) @ _WEIGHTS) - _BIAS))


def features(ranked: Sequence[Ranked], likeliest: Sequence[Scored]) -> NDArray[np.float64]:
    """(len(FEATURES),) of at least one passage."""
    best = ranked[0]
    first = likeliest[0] if likeliest else None
    return np.array(
        [
            best.cosine,
            best.coverage,
            ranked[1].logit if len(ranked) > 1 else _NO_RUNNER_UP,
            _names_another_number(best),
            math.log(1 + len(best.asked)),
            max((each.cosine for each in likeliest), default=0.0),
            first.coverage if first else 0.0,
            first.together if first else 0.0,
        ],
        dtype=np.float64,
    )


def _names_another_number(passage: Ranked) -> bool:
    """Whether its document is of another year, or number, than the question's, which is nowhere in it."""
    lengths = {len(number) for number in _NUMBER.findall(passage.chunk.document)}
    missing = (word.text for word in passage.asked if word.terms.isdisjoint(passage.held))
    return any(text.isdigit() and len(text) in lengths for text in missing)
