"""Prompt lookup: what may come next, guessed from what followed the same words before.

An answer from documents copies from its prompt. Where its last tokens stand in the prompt or in the answer
so far, what followed there is guessed to follow here, and the model checks all guesses in one pass; what it
would not have said itself is dropped. (Saxena, "Prompt Lookup Decoding", 2023.) It does not know the model.
"""

from __future__ import annotations

from collections.abc import Iterable

MATCHED = (4, 3, 2)  # tokens that have to be the same, the most first
MOST = 10  # guesses at a time


class Lookup:
    """The tokens of one sequence, and where each short run of them was seen last."""

    def __init__(self, tokens: Iterable[int]) -> None:
        self.tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            place = len(self.tokens)
            for length in MATCHED:
                if place >= length:
                    self._after[tuple(self.tokens[place - length :])] = place
            self.tokens.append(token)

    def guess(self, most: int = MOST) -> list[int]:
        """At most `most` tokens that may come next; none where the last two are new."""
        for length in MATCHED:
            place = self._after.get(tuple(self.tokens[-length:]))
            if place is not None and len(self.tokens) >= length:
                return self.tokens[place : place + most]
        return []
