"""Fits the constants of `rag.retriever` and of `rag.answerable`; see docs/retrieval.md.

    python -m scripts.fit_retriever FOLDER…

Each FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`. The made
sets are learned from, too; of those that are the same documents over again, only one. Every set weighs the
same, and so do the questions that its documents answer and those that they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag import answerable
from rag.evaluate import Row
from rag.promising import promising, sentences
from rag.retriever import HybridRetriever, as_document, rank
from scripts.arguments import question_folders
from scripts.retrieval_sets import QuestionSet, Remembered, half, indexed, is_relevant, read_sets

FOLDS = 5
LEARNT_FROM = 4  # best candidates of each question: those that a person gets to see
SHOWN = 10
AGAIN = ("unnamed", "foreign", "compare", "misspelt", "misheard")  # other sets' documents
FLOORS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.33, 0.4, 0.5)
Features = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A question: its best candidates, which of them are relevant, and whether the documents answer it."""

    features: Features  # (candidates, 3): cosine, coverage, unnamed
    relevant: NDArray[np.bool_]
    judged: Features  # (len(answerable.FEATURES),)
    answers: bool


def ask(given: QuestionSet, embedder: Remembered) -> tuple[list[Asked], list[Asked]]:
    """Each question, asked of all documents; and of either half of them."""
    with indexed(given.documents, embedder) as kept:
        whole = [_ask(HybridRetriever(store=kept.store, embedder=embedder), row, True) for row in given.rows]
    halves: list[Asked] = []
    for odd in (0, 1):
        with half(given, embedder, odd) as kept:
            retriever = HybridRetriever(store=kept.store, embedder=embedder)
            halves += [_ask(retriever, row, kept.answers(row)) for row in given.rows]
    return [each for each in whole if len(each.features)], [each for each in halves if len(each.features)]


def _ask(retriever: HybridRetriever, row: Row, answers: bool) -> Asked:
    ranked = rank(retriever.candidates(row.question), SHOWN)
    features = np.array([[each.cosine, each.coverage, each.unnamed] for each in ranked]).reshape(-1, 3)
    relevant = np.array([is_relevant(row, each.chunk) for each in ranked])
    passages = [as_document(candidate) for candidate in ranked[: answerable.READ]]
    likeliest = promising(row.question, sentences(passages), retriever.embedder)
    return Asked(features, relevant, answerable.features(ranked, likeliest), answers)


def fit(points: Features, right: NDArray[np.bool_], weights: Features) -> tuple[Features, float]:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    model = LogisticRegression(C=30, max_iter=2000)
    model.fit(points, right, sample_weight=weights / weights.mean())
    weights_found: Features = model.coef_[0]
    return weights_found, float(model.intercept_[0])


def fit_ranking(sets: Sequence[Sequence[Asked]]) -> tuple[Features, float]:
    points, right, weights = [], [], []
    for questions in sets:
        for each in questions:
            points.append(each.features[:LEARNT_FROM])
            right.append(each.relevant[:LEARNT_FROM])
            weights.append(np.full(len(right[-1]), 1 / len(questions)))
    return fit(np.vstack(points), np.concatenate(right), np.concatenate(weights))


def fit_answerable(sets: Sequence[Sequence[Asked]]) -> tuple[Features, float]:
    points = [each.judged for questions in sets for each in questions]
    right = np.array([each.answers for questions in sets for each in questions])
    weights = np.concatenate([_balanced(questions) for questions in sets])
    return fit(np.vstack(points), right, weights)


def _balanced(questions: Sequence[Asked]) -> Features:
    answers = np.array([each.answers for each in questions])
    each_one, other = 0.5 / max(1, answers.sum()), 0.5 / max(1, (~answers).sum())
    return np.array([each_one if answer else other for answer in answers])


def held_out(sets: Sequence[Sequence[Asked]]) -> Iterator[Features]:
    """For each set: the probability that its questions are answered, by constants from the other folds."""
    found = [np.zeros(len(questions)) for questions in sets]
    for fold in range(FOLDS):
        weights, bias = fit_answerable(
            [[each for n, each in enumerate(questions) if n % FOLDS != fold] for questions in sets]
        )
        for questions, probabilities in zip(sets, found, strict=True):
            judged = np.vstack([each.judged for each in questions[fold::FOLDS]])
            probabilities[fold::FOLDS] = 1 / (1 + np.exp(-(judged @ weights) - bias))
    return iter(found)


def curve(names: Sequence[str], sets: Sequence[Sequence[Asked]]) -> Iterator[str]:
    """What each floor refuses: of the answerable, of the others."""
    yield f"| floor | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}"
    judged = list(zip(sets, held_out(sets), strict=True))
    for floor in FLOORS:
        cells = []
        for questions, found in judged:
            answers = np.array([each.answers for each in questions])
            refused = found < floor
            cells.append(f"{refused[answers].mean():.3f} / {refused[~answers].mean():.3f}")
        yield f"| {floor} | {' | '.join(cells)} |"


def main(folders: Sequence[Path]) -> None:
    embedder = Remembered()
    sets = [given for given in read_sets(folders) if given.name not in AGAIN]
    asked = [ask(given, embedder) for given in sets]
    embedder.save()
    halves = [parts for _, parts in asked]
    weights, bias = fit_ranking([questions for whole, parts in asked for questions in (whole, parts)])
    print("ranking:", ", ".join(f"{weight:.2f}" for weight in weights), f"bias {bias:.2f}")
    weights, bias = fit_answerable(halves)
    told = (f"{name} {weight:.2f}" for name, weight in zip(answerable.FEATURES, weights, strict=True))
    print("answerable:", ", ".join(told), f"bias {bias:.2f}\n")
    print("\n".join(curve([given.name for given in sets], halves)))


if __name__ == "__main__":
    main(question_folders(__doc__))
