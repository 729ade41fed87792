"""Tokens → text as it is written. Importing this loads transformers; it does not know who reads."""

from __future__ import annotations

from typing import Any

from transformers import TextIteratorStreamer

LONGEST = 8  # tokens held back for a character that never becomes whole


class PieceStreamer(TextIteratorStreamer):  # type: ignore[misc]  # transformers has no types
    """A `TextIteratorStreamer` that gives each token's text at once.

    The original waits for the next space, which in Japanese or Thai is the end of the answer. Only a
    character whose bytes are not all there is held back. New text is the difference between decoding the
    last piece's tokens with and without the new ones, so that decoders see what stands before (the method
    of text-generation-inference).
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(
            tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        self.token_cache: list[int] = []
        self.next_tokens_are_prompt = True
        self._given = 0  # tokens at the front of the cache whose text was given

    def put(self, value: Any) -> None:
        if self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
            return
        self.token_cache.extend(value.flatten().tolist())
        self._give(last=False)

    def end(self) -> None:
        self._give(last=True)
        self.next_tokens_are_prompt = True
        self.on_finalized_text("", stream_end=True)

    def _give(self, last: bool) -> None:
        before = self._decode(self.token_cache[: self._given])
        text = self._decode(self.token_cache)
        unfinished = text.endswith("\ufffd") and len(self.token_cache) - self._given < LONGEST
        if unfinished and not last:
            return
        if len(text) > len(before):
            self.on_finalized_text(text[len(before) :])
        self.token_cache = self.token_cache[self._given :]
        self._given = len(self.token_cache)

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, **self.decode_kwargs)) if tokens else ""
