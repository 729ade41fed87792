"""Fits the constants of `rag.evidence`, and says which sentences it tells; see docs/retrieval.md.

    python -m scripts.fit_evidence FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`. Sentences
are made from both: the question with its answer put in, and sentences of the passages, as they are, with
other words here and there, or with a number, a name or a "not" changed. They are held against the passages
that are found for the question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.evaluate import Row
from rag.evidence import FEATURES, LEAST, Evidence
from rag.retriever import HybridRetriever
from rag.sentences import split_sentences
from scripts.arguments import question_folders
from scripts.fit_retriever import fit
from scripts.retrieval_sets import Remembered, indexed, read_folder

ASKED = 400  # questions of each folder
REWORDED = 0.25  # of the common words
_AUXILIARY = r"(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would|should|may|must)"
_WHAT = r"(?:(?:in|on|at|for|from|to) )?(?:what|which|who|whom|whose|when|where|why|how)"
_ASKS = re.compile(rf"{_WHAT}\b.*?\b({_AUXILIARY})\b(.*)", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
_COMMON = re.compile(r"\b[a-z]{5,}\b")
_VERB = re.compile(r"\b(is|are|was|were|has|have|had|can|could|will|would)\b")


@dataclass(frozen=True)
class Said:
    """A sentence, what kind it is of, and whether the passages say it."""

    kind: str
    sentence: str
    true: bool


@dataclass(frozen=True)
class Judged:
    """What `rag.evidence` sees of a sentence in the passage that speaks most for it."""

    kind: str
    true: bool
    features: NDArray[np.float64] | None  # None: a number or a quotation is in no passage
    weight: float


def statement(question: str, answer: str) -> str | None:
    """The question with its answer in its place: "Who built it?", "Ellwood" → "Ellwood built it."."""
    match = _ASKS.match(question.strip().rstrip("?"))
    if match is None or not match[2].strip():
        return None
    rest = match[2].strip()
    if match[1].lower() in ("did", "does", "do"):
        return f"{rest[0].upper()}{rest[1:]} {answer}."
    return f"{answer[0].upper()}{answer[1:]} {match[1].lower()} {rest}."


def sayings(
    row: Row, passages: Sequence[str], others: Sequence[Row], foreign: Sequence[str]
) -> Iterator[Said]:
    """True and false sentences about one question. `foreign`: sentences of other documents."""
    rng, text = random.Random(row.id), " ".join(passages)
    if row.answers and row.answers[0] in text and (true := statement(row.question, row.answers[0])):
        yield Said("the answer", true, True)
        if _VERB.search(true):
            yield Said("the answer, denied", _VERB.sub(r"\1 not", true, count=1), False)
        wrong = [each.answers[0] for each in others if each.answers and each.answers[0] not in text]
        alike = [each for each in wrong if bool(_NUMBER.search(each)) == bool(_NUMBER.search(row.answers[0]))]
        if alike and (false := statement(row.question, rng.choice(alike))):
            yield Said("another answer", false, False)
        near = [each for each in _NUMBER.findall(text) if each not in row.answers[0]]
        if near and _NUMBER.search(row.answers[0]) and (false := statement(row.question, rng.choice(near))):
            yield Said("another number of the passages", false, False)
    yield from _changed(
        rng, text, [s for s in split_sentences(passages[0]) if 6 <= len(s.split()) <= 40], foreign
    )


def _changed(rng: random.Random, text: str, own: Sequence[str], foreign: Sequence[str]) -> Iterator[Said]:
    yield Said("another document's sentence", rng.choice(foreign), False)
    if not own:
        return
    sentence = rng.choice(own)
    yield Said("a sentence", sentence, True)
    yield Said("a sentence, in other words", _reworded(rng, sentence, foreign), True)
    if "," in sentence:
        yield Said("a sentence, shortened", f"{sentence.rpartition(',')[0]}.", True)
    if number := _NUMBER.search(sentence):
        other = str(int(re.sub(r"\D", "", number[0])) + rng.choice([1, 2, 3, 7, 10]))
        if other not in text:
            yield Said("a number changed", sentence.replace(number[0], other, 1), False)
    names = [name for each in foreign for name in _NAME.findall(each) if name not in text]
    if names and (name := _NAME.search(sentence)):
        yield Said("a name changed", sentence.replace(name[0], rng.choice(names), 1), False)
    if _VERB.search(sentence):
        yield Said("a sentence, denied", _VERB.sub(r"\1 not", sentence, count=1), False)


def _reworded(rng: random.Random, sentence: str, foreign: Sequence[str]) -> str:
    """As a model might put it: one in four of its common words is another one."""
    others = [word for each in foreign for word in _COMMON.findall(each)] or ["thing"]
    return _COMMON.sub(lambda match: rng.choice(others) if rng.random() < REWORDED else match[0], sentence)


def judged(folder: Path, embedder: Remembered) -> Iterator[Judged]:
    given = read_folder(folder)
    rows = random.Random(0).sample(list(given.rows), min(ASKED, len(given.rows)))
    with indexed(given.documents, embedder) as kept:
        retriever = HybridRetriever(store=kept.store, embedder=embedder, floor=0)
        found = {row.id: retriever.search(row.question, 4) for row in rows}
    for row in rows:
        passages = [document.page_content for document in found[row.id]]
        names = [f"{d.metadata['title']} {d.metadata['source']}" for d in found[row.id]]
        elsewhere = [found[each.id][0].page_content for each in random.Random(row.id).sample(rows, 12)]
        foreign = [s for each in elsewhere if each not in passages for s in split_sentences(each)[1:-1]]
        evidence = Evidence(passages, names, row.question)
        for said in sayings(row, passages, rows, foreign or ["Nothing of the kind is to be found here."]):
            yield Judged(said.kind, said.true, evidence.seen(said.sentence), 1 / len(rows))


def report(
    sets: Sequence[tuple[str, Sequence[Judged]]], weights: NDArray[np.float64], bias: float
) -> Iterator[str]:
    kinds = list(dict.fromkeys((each.kind, each.true) for _, some in sets for each in some))
    names = " | ".join(name for name, _ in sets)
    yield f"| taken as supported | true | {names} |\n|{' --- |' * (len(sets) + 2)}"
    for kind, true in kinds:
        cells = []
        for _, some in sets:
            of = [each for each in some if (each.kind, each.true) == (kind, true)]
            taken = [
                each.features is not None and _probable(float(each.features @ weights) + bias) for each in of
            ]
            cells.append(f"{np.mean(taken):.2f} of {len(of)}" if of else "")
        yield f"| {kind} | {'yes' if true else 'no'} | {' | '.join(cells)} |"


def _probable(logit: float) -> bool:
    return bool(1 / (1 + np.exp(-logit)) >= LEAST)


def main(folders: Sequence[Path]) -> None:
    embedder = Remembered()
    sets = [(folder.name, list(judged(folder, embedder))) for folder in folders]
    embedder.save()
    seen = [each for _, some in sets for each in some if each.features is not None]
    share = {true: sum(each.weight for each in seen if each.true is true) for true in (True, False)}
    weights, bias = fit(
        np.vstack([each.features for each in seen if each.features is not None]),
        np.array([each.true for each in seen]),
        np.array([each.weight / share[each.true] for each in seen]),
    )
    told = (f"{name} {weight:.1f}" for name, weight in zip(FEATURES, weights, strict=True))
    print(", ".join(told), f"bias {bias:.1f}\n")
    print("\n".join(report(sets, weights, bias)))


if __name__ == "__main__":
    main(question_folders(__doc__))
