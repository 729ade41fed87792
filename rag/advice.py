"""What went wrong with each question, and what to change: a short list, derived from the misses alone.

Each piece of advice names one setting to try, and says what it cannot promise. It does not know how settings
are set, nor whether a question was typed or heard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rag.evaluate import CUTS, Measured

Kind = Literal[
    "not indexed",
    "not found",
    "wrong place",
    "too low",
    "under the floor",
    "not in the answer",
    "refused",
    "invented",
]
_LISTED = 3  # names in a sentence
_SPARED = 0.05  # of the answered questions that a higher floor may refuse


@dataclass(frozen=True)
class Conditions:
    """Under which questions were measured."""

    sources: Collection[str]  # the documents in the index
    k: int  # passages that an answer reads
    floor: float
    quotes: bool  # answers are quotations, without a language model
    reranks: bool
    chunk_size: int
    embedder: str


@dataclass(frozen=True)
class Advice:
    """What to try, and why."""

    kind: str  # a `Kind`, or the caller's own
    count: int  # questions that it is about
    text: str
    setting: str = ""  # its name; empty where it is something else that has to be done
    value: str = ""
    reindexes: bool = False  # whether documents have to be indexed again, so that it cannot just be compared


def miss(measured: Measured, conditions: Conditions) -> Kind | None:
    """What went wrong; None where nothing did, as far as the row can tell."""
    row = measured.row
    if measured.contains:
        return None
    if row.tests_retrieval:
        if row.source not in conditions.sources:
            return "not indexed"
        if measured.rank is None:
            there = any(place.source == row.source for place in measured.places)
            return "wrong place" if there else "not found"
        if measured.rank > conditions.k:
            return "too low"
    return _answer_miss(measured, conditions)


def _answer_miss(measured: Measured, conditions: Conditions) -> Kind | None:
    """What went wrong where the right passage was found, or where none is known."""
    if measured.row.answerable is False:
        return "invented" if measured.answered else None
    wanted = measured.row.answerable is True or measured.contains is not None
    if measured.answered is False and wanted:
        if measured.rank and measured.probability < conditions.floor:
            return "under the floor"
        return "refused"
    return "not in the answer" if measured.contains is False else None


def advise(measured: Sequence[Measured], conditions: Conditions) -> list[Advice]:
    """What to change, what concerns most questions first."""
    missed: dict[Kind, list[Measured]] = {}
    for each in measured:
        if kind := miss(each, conditions):
            missed.setdefault(kind, []).append(each)
    found = [_ADVISERS[kind](each, measured, conditions) for kind, each in missed.items()]
    return sorted(found, key=lambda advice: -advice.count)


Group = Sequence[Measured]


def _not_indexed(group: Group, _: Group, conditions: Conditions) -> Advice:
    names = sorted({each.row.source for each in group})
    listed = ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
    text = f"{_count(group, 'is', 'are')} about documents that are not in the index ({listed}). Add them."
    return Advice("not indexed", len(group), text)


def _not_found(group: Group, _: Group, conditions: Conditions) -> Advice:
    text = (
        f"For {_count(group)} the first {max(CUTS)} passages had none of the right document. Such questions "
        "use other words than the document does. A stronger search model may know that they mean the same; "
        "it reads all documents again."
    )
    mpnet = "sentence-transformers/all-mpnet-base-v2"
    if conditions.embedder == mpnet:
        return Advice("not found", len(group), text.replace("A stronger", "Another"), "embedder", "", True)
    return Advice("not found", len(group), text, "embedder", mpnet, True)


def _wrong_place(group: Group, _: Group, conditions: Conditions) -> Advice:
    size = max(200, conditions.chunk_size // 2)
    text = (
        f"For {_count(group)} the right document was found, but not the right place in it. Smaller chunks "
        "tell its places apart better; all documents are indexed again."
    )
    if not conditions.reranks:
        text += " A reranker helps, too, and can be compared at once."
    return Advice("wrong place", len(group), text, "chunk_size", str(size), True)


def _too_low(group: Group, _: Group, conditions: Conditions) -> Advice:
    ranks = sorted(each.rank or 0 for each in group)
    wanted = ranks[math.ceil(0.8 * len(ranks)) - 1]
    text = (
        f"For {_count(group)} the right passage was found, but later than the first {conditions.k}, which an "
        f"answer reads. With {wanted} passages most of them have it; a language model takes longer for more."
    )
    return Advice("too low", len(group), text, "k", str(wanted))


def _under_the_floor(group: Group, everything: Group, conditions: Conditions) -> Advice:
    floor = math.floor(1000 * float(np.quantile([each.probability for each in group], 0.2))) / 1000
    silent = [e for e in everything if e.row.answerable is False and e.answered is False]
    text = (
        f"For {_count(group)} the right passage was found, but it seemed less probable than the floor of "
        f"{conditions.floor:g} that it answers, so that it was not used. A lower floor uses it"
    )
    text += ", and answers more of what the documents do not say." if silent else "."
    return Advice("under the floor", len(group), text, "floor", f"{floor:g}")


def _refused(group: Group, _: Group, conditions: Conditions) -> Advice:
    if conditions.quotes:
        said = f"refused, as no answer seemed as probable as {conditions.floor:g}."
        text = f"{_count(group, 'was', 'were')} {said}"
        return Advice(
            "refused", len(group), text + " Try a lower floor.", "floor", f"{conditions.floor / 2:g}"
        )
    text = (
        f"{_count(group, 'was', 'were')} refused by the language model. Asked of one passage after the "
        "other, it overlooks less, and takes longer."
    )
    return Advice("refused", len(group), text, "chain", "refine")


def _not_in_the_answer(group: Group, _: Group, conditions: Conditions) -> Advice:
    text = f"For {_count(group)} the answer does not have the words that you expect."
    if conditions.quotes:
        text += " Quotations pick another sentence there; a language model reads all passages."
        return Advice("not in the answer", len(group), text, "llm", "")
    text += " Look at them: it may say the same otherwise. If it does not, try another way of reading."
    return Advice("not in the answer", len(group), text, "chain", "refine")


def _invented(group: Group, everything: Group, conditions: Conditions) -> Advice:
    """A floor that refuses these, if it refuses hardly any other."""
    text = (
        f"{_count(group, 'that the documents do not answer was', 'that the documents do not answer were')} "
    )
    text += "answered all the same."
    tops = [each.probability for each in group]
    good = [each.probability for each in everything if each.row.answerable is not False and each.answered]
    limit = float(np.quantile(good, _SPARED)) if good else max(tops)
    floor = math.ceil(1000 * min(limit, max(tops))) / 1000
    caught = sum(top < floor for top in tops)
    if caught and floor > conditions.floor:
        spared = sum(score < floor for score in good)
        text += f" A floor of {floor:g} would refuse {caught} of them"
        text += f", and {_others(spared)} that are answered now." if spared else ", and no other."
        return Advice("invented", len(group), text, "floor", f"{floor:g}")
    text += (
        " They seem as well answered as other questions, so that no floor tells them apart; a "
        "language model that reads them may."
    )
    return Advice("invented", len(group), text, "llm" if conditions.quotes else "", "")


_ADVISERS: Mapping[Kind, Callable[[Group, Group, Conditions], Advice]] = {
    "not indexed": _not_indexed,
    "not found": _not_found,
    "wrong place": _wrong_place,
    "too low": _too_low,
    "under the floor": _under_the_floor,
    "refused": _refused,
    "not in the answer": _not_in_the_answer,
    "invented": _invented,
}


def _count(group: Group, one: str = "", more: str = "") -> str:
    return f"1 question {one}".rstrip() if len(group) == 1 else f"{len(group)} questions {more}".rstrip()


def _others(count: int) -> str:
    return "1 of those" if count == 1 else f"{count} of those"
