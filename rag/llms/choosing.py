"""Logits → the next tokens: greedy or sampled, and which guesses were right. It does not know the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    temperature: 0 is greedy; above it a token is drawn from the `top_k` likeliest (0: from all), of them from
        those with the total probability `top_p`.
    repetition_penalty: divides the logits of what the model wrote itself (arXiv:1909.05858), not of what
        stands in the prompt: what it quotes is not held against it.
    """

    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    repetition_penalty: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken, whatever was written before."""
        return self.temperature <= 0 and self.repetition_penalty == 1.0


def choose(logits: Any, sampling: Sampling, written: Sequence[int], guesses: Sequence[int]) -> list[int]:
    """The tokens that follow: as many guesses as are what would have been chosen anyway, and one more.

    logits: (len(guesses) + 1, vocabulary), the n-th behind the n-th guess. A drawn token is drawn before it
    is compared, so that guesses change no probability.
    """
    if sampling.plain:
        return _right(logits.argmax(-1).tolist(), guesses)
    chosen: list[int] = []
    for row, guess in zip(logits, [*guesses, None], strict=True):
        chosen.append(_next(row, sampling, [*written, *chosen]))
        if chosen[-1] != guess:
            break
    return chosen


def _right(chosen: list[int], guesses: Sequence[int]) -> list[int]:
    right = 0
    while right < len(guesses) and chosen[right] == guesses[right]:
        right += 1
    return chosen[: right + 1]


def _next(logits: Any, sampling: Sampling, written: Sequence[int]) -> int:
    import torch

    if sampling.repetition_penalty != 1.0 and written:
        logits = _penalized(logits, sampling.repetition_penalty, written)
    if sampling.temperature <= 0:
        return int(logits.argmax())
    logits = logits / sampling.temperature
    if sampling.top_k:
        least = logits.topk(min(sampling.top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities, order = logits.softmax(-1).sort(descending=True)
    before = probabilities.cumsum(-1) - probabilities  # what is likelier than each
    probabilities[before >= sampling.top_p] = 0
    return int(order[torch.multinomial(probabilities, 1)])


def _penalized(logits: Any, penalty: float, written: Sequence[int]) -> Any:
    import torch

    tokens = torch.tensor(sorted(set(written)), device=logits.device)
    scores = logits[tokens]
    return logits.index_copy(0, tokens, torch.where(scores < 0, scores * penalty, scores / penalty))
