"""Whether the documents answer a question at all, judged by what was found for it.

The best passage's score alone does not tell: a long question is seldom covered whole, and a page of the wrong
year is covered better than most right ones. What tells besides: whether one sentence says it, how far behind
the next passage is, and whether its document is of another year. It does not know the index.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.chunks import Chunk
from rag.sentences import split_sentences
from rag.terms import Word, coverage, language_of, term_set

FEATURES = ("cosine", "coverage", "by a sentence", "runner-up", "another number", "words")
_WEIGHTS, _BIAS = np.array([6.5, 3.2, 4.0, -1.0, -8.0, 0.9]), -10.3  # fitted by scripts/fit_retriever.py
_READ = 3  # passages whose sentences are looked at
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
    return np.array(
        [
            best.cosine,
            best.coverage,
            max(_by_a_sentence(each) for each in ranked[:_READ]),
            ranked[1].logit if len(ranked) > 1 else _NO_RUNNER_UP,
            _names_another_number(best),
            math.log(1 + len(best.asked)),
        ],
        dtype=np.float64,
    )


def _names_another_number(passage: Ranked) -> bool:
    """Whether its document is of another year, or number, than the question's, which is nowhere in it."""
    lengths = {len(number) for number in _NUMBER.findall(passage.chunk.document)}
    missing = (word.text for word in passage.asked if word.terms.isdisjoint(passage.held))
    return any(text.isdigit() and len(text) in lengths for text in missing)


def _by_a_sentence(passage: Ranked) -> float:
    """The most of the question that one sentence covers, with what it stands under."""
    language = language_of(passage.chunk.text)
    header = term_set(passage.chunk.header, language)
    sentences = split_sentences(passage.chunk.text)
    return max(
        (coverage(passage.asked, header | term_set(each, language)) for each in sentences), default=0.0
    )
