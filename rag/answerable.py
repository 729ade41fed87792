"""Whether the documents answer a question at all, judged by what was found for it.

The best passage's score alone does not tell: a long question is seldom covered whole, and a page of the wrong
year is covered better than most right ones. What tells besides: whether one sentence says it, how far behind
the next passage is, and whether the question's numbers are there. It does not know the index.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.sentences import split_sentences
from rag.terms import Word, coverage, language_of, term_set

FEATURES = ("cosine", "coverage", "by a sentence", "runner-up", "number missing", "words")
_WEIGHTS, _BIAS = np.array([6.0, 4.7, 2.6, -1.0, -1.7, 1.0]), -10.4  # fitted by scripts/fit_retriever.py
_READ = 3  # passages whose sentences are looked at
_NO_RUNNER_UP = -5.0  # logits


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


def probability(ranked: Sequence[Ranked]) -> float:
    """That one of these passages, best first, answers the question, 0 to 1, where half of all questions are.

    0 if nothing was found.
    """
    if not ranked:
        return 0.0
    return 1 / (1 + math.exp(-float(features(ranked) @ _WEIGHTS) - _BIAS))


def features(ranked: Sequence[Ranked]) -> NDArray[np.float64]:
    """(len(FEATURES),) of at least one passage."""
    best = ranked[0]
    missing = [word for word in best.asked if word.terms.isdisjoint(best.held)]
    return np.array(
        [
            best.cosine,
            best.coverage,
            max(_by_a_sentence(each) for each in ranked[:_READ]),
            ranked[1].logit if len(ranked) > 1 else _NO_RUNNER_UP,
            any(any(map(str.isdigit, word.text)) for word in missing),
            math.log(1 + len(best.asked)),
        ],
        dtype=np.float64,
    )


def _by_a_sentence(passage: Ranked) -> float:
    """The most of the question that one sentence covers, with what it stands under."""
    language = language_of(passage.chunk.text)
    header = term_set(passage.chunk.header, language)
    sentences = split_sentences(passage.chunk.text)
    return max(
        (coverage(passage.asked, header | term_set(each, language)) for each in sentences), default=0.0
    )
