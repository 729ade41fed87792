"""Fits the constants of `rag.extractive`; see docs/retrieval.md.

    python -m scripts.fit_extractive FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, with answers, and the documents in
`corpus/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.promising import features, sentences
from rag.retriever import HybridRetriever
from scripts.arguments import question_folders
from scripts.fit_retriever import FOLDS
from scripts.retrieval_sets import Remembered, indexed, read_folder

NAMES = ("cosine", "coverage", "with the sentence before", "expected kind", "heading", "asks or announces")
RIDGE = 1e-5
Weights = NDArray[np.float64]


@dataclass
class Asked:
    """A question's sentences: their features, (sentences, 6), and which hold the answer; its set's weight."""

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    weight: float


def ask(folder: Path, embedder: Remembered) -> list[Asked]:
    given = read_folder(folder)
    rows = [row for row in given.rows if row.tests_answer]
    with indexed(given.documents, embedder) as kept:
        retriever = HybridRetriever(store=kept.store, embedder=embedder)
        found = [sentences(retriever.invoke(row.question)) for row in rows]
    texts = sorted({each.in_context for passages in found for each in passages})  # many are found often
    vectors = dict(zip(texts, embedder.embed_array(texts), strict=True))
    asked = []
    for row, passages in zip(rows, found, strict=True):
        if passages:
            question = embedder.embed_array([row.question])[0]
            cosines = [vectors[each.in_context] @ question for each in passages]
            columns = np.column_stack([cosines, features(row.question, passages)])
            right = np.array([_holds(each.text, row.answers) for each in passages])
            asked.append(Asked(columns, right, 1 / len(rows)))
    return asked


def _holds(text: str, answers: Sequence[str]) -> bool:
    return any(answer.casefold() in text.casefold() for answer in answers)


def fit(asked: Sequence[Asked]) -> Weights:
    """The weights that make it most probable to draw a right sentence, by a softmax over each question's."""
    from scipy.optimize import minimize

    telling = [each for each in asked if each.right.any() and not each.right.all()]
    whole = sum(each.weight for each in telling)

    def loss(weights: Weights) -> tuple[float, Weights]:
        total, slope = RIDGE * weights @ weights, 2 * RIDGE * weights
        for each in telling:
            logits = each.features @ weights
            shares = np.exp(logits - logits.max())
            shares /= shares.sum()
            right = np.where(each.right, shares, 0)
            mass = right.sum() + 1e-12
            total -= each.weight / whole * np.log(mass)
            slope -= each.weight / whole * each.features.T @ (right / mass - shares)
        return float(total), slope

    best: Weights = minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B").x
    return best


def first_is_right(asked: Sequence[Asked], weights: Weights) -> float:
    return float(np.mean([each.right[np.argmax(each.features @ weights)] for each in asked]))


def held_out(sets: Sequence[Sequence[Asked]]) -> Iterator[float]:
    """For each set: how often the best sentence is right, by weights from the other folds of every set."""
    right: list[list[float]] = [[] for _ in sets]
    for fold in range(FOLDS):
        weights = fit([a for each in sets for n, a in enumerate(each) if n * FOLDS // len(each) != fold])
        for each, shares in zip(sets, right, strict=True):
            held = [a for n, a in enumerate(each) if n * FOLDS // len(each) == fold]
            shares += [first_is_right([a], weights) for a in held]
    return (float(np.mean(shares)) for shares in right)


def main(folders: Sequence[Path]) -> None:
    embedder = Remembered()
    sets = [ask(folder, embedder) for folder in folders]
    embedder.save()
    for folder, share in zip(folders, held_out(sets), strict=True):
        print(f"{folder.name}: the best sentence is right for {share:.3f} (held out)")
    weights = fit([each for asked in sets for each in asked])
    print(", ".join(f"{name} {weight:.1f}" for name, weight in zip(NAMES, weights, strict=True)))


if __name__ == "__main__":
    main(question_folders(__doc__))
