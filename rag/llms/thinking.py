"""What a model thinks before it answers, taken out of the stream: it is neither shown nor spoken.

It knows the marks that Qwen3, DeepSeek-R1 and others put around their thoughts; it does not know the model.
"""

from __future__ import annotations

import re

from rag.llms.stopping import beginning

OPEN, CLOSE = "<think>", "</think>"
MARK = re.compile(f"{OPEN}|{CLOSE}")


class ThoughtFilter:
    """Leaves `<think>…</think>` out of a text that comes in pieces, cut anywhere.

    It holds back what could be the beginning of a mark, and drops a mark that closes nothing.

    thinking: the text begins within a thought, as after a prompt that ends with `<think>`.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking = thinking
        self._pending = ""
        self._trim = False  # whether white space that comes next stands behind a thought

    @property
    def thinking(self) -> bool:
        """Whether the model is within a thought: at the end of a stream, it never came to its answer."""
        return self._thinking

    def feed(self, text: str) -> str:
        """What is sure to be part of the answer."""
        self._pending += text
        said = []
        while found := MARK.search(self._pending):
            said.append(self._said(self._pending[: found.start()]))
            self._pending = self._pending[found.end() :]
            self._thinking, self._trim = found[0] == OPEN, True
        sure = len(self._pending) - beginning(self._pending, (OPEN, CLOSE))
        said.append(self._said(self._pending[:sure]))
        self._pending = self._pending[sure:]
        return "".join(said)

    def rest(self) -> str:
        """What was held back, when the stream has ended."""
        rest, self._pending = self._pending, ""
        return self._said(rest)

    def _said(self, text: str) -> str:
        """Nothing of a thought, nor of the empty lines between it and the answer."""
        if self._thinking:
            return ""
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        return text


def begins_thinking(prompt: str) -> bool:
    """Whether a prompt ends with the beginning of a thought, so that the model goes on with it."""
    return prompt.rstrip().endswith(OPEN)
