"""Tokens → text as it is written. It does not know who writes them, nor who reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LONGEST = 8  # tokens held back for a character that never becomes whole


class Pieces:
    """Gives each token's text at once; only a character whose bytes are not all there is held back.

    New text is the difference between decoding the last piece's tokens with and without the new ones, so that
    decoders see what stands before (the method of text-generation-inference).
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._given = 0  # tokens at the front whose text was given

    def feed(self, tokens: Sequence[int]) -> str:
        """The text that is sure now."""
        self._tokens.extend(tokens)
        return self._next(last=False)

    def rest(self) -> str:
        """What was held back."""
        return self._next(last=True)

    def _next(self, last: bool) -> str:
        before = self._decode(self._tokens[: self._given])
        text = self._decode(self._tokens)
        unfinished = text.endswith("\ufffd") and len(self._tokens) - self._given < LONGEST
        if unfinished and not last:
            return ""
        self._tokens = self._tokens[self._given :]
        self._given = len(self._tokens)
        return text[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        if not tokens:
            return ""
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
