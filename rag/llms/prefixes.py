"""What prompts begin with again and again: its keys and values are computed once.

Only what two prompts have in common is kept, which is what the program itself puts there (the rules of
answering), not what a person asked. It does not know the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rag.llms.ragged import KeyValues

SHORTEST = 16  # tokens; less is read again as quickly
KEPT = 2048  # tokens in all: the rules of answering, of making a question complete, …
COMPARED = 8  # prompts


@dataclass(frozen=True)
class Beginning:
    """Tokens, and the keys and values that they have at a prompt's beginning."""

    tokens: list[int]
    cache: KeyValues


class Prefixes:
    """Give each prompt to `start`, and once it is read to `learn`."""

    def __init__(self) -> None:
        self._kept: tuple[Beginning, ...] = ()  # replaced whole: any thread may look; the latest used last
        self._seen: deque[list[int]] = deque(maxlen=COMPARED)

    def start(self, prompt: Sequence[int], capacity: int) -> KeyValues:
        """A cache with room for `capacity` tokens, and as much of the prompt as is known; never all of it."""
        same, known = self._longest(prompt)
        if known is None or same < SHORTEST:
            return KeyValues(capacity)
        self._kept = (*(kept for kept in self._kept if kept is not known), known)
        return known.cache.copy(min(same, len(prompt) - 1), capacity)

    def known(self, prompt: Sequence[int]) -> int:
        """How many of the prompt's tokens need not be read."""
        same, _ = self._longest(prompt)
        return min(same, len(prompt) - 1) if same >= SHORTEST else 0

    def _longest(self, prompt: Sequence[int]) -> tuple[int, Beginning | None]:
        """What has most in common with the prompt, and how many tokens."""
        found = ((in_common(kept.tokens, prompt), kept) for kept in self._kept)
        return max(found, key=lambda pair: pair[0], default=(0, None))

    def learn(self, prompt: Sequence[int], cache: KeyValues) -> None:
        """Keep what this prompt, all of which is in `cache`, has in common with one before."""
        same = min(KEPT, max((in_common(seen, prompt) for seen in self._seen), default=0))
        known, _ = self._longest(prompt)
        self._seen.append(list(prompt))
        if same >= known + SHORTEST:
            kept = [*self._kept, Beginning(list(prompt[:same]), cache.copy(same, same))]
            while sum(len(each.tokens) for each in kept) > KEPT:
                kept.pop(0)
            self._kept = tuple(kept)

    def forget(self) -> None:
        """Give the memory back."""
        self._kept = ()


def in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
