"""Citations for a text as it streams: each finished sentence gets the number of the passage that supports it.

A model is asked to cite but often does not, and small ones never do. A number it gives itself is kept where
that passage exists, and dropped where it does not. It does not judge whether the sentence is true.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

_MARK = re.compile(r"\[(\d{1,3})\]")
_MARK_START = re.compile(r"\[\d{0,3}$")
_END = re.compile(r"[.!?…。！？]['\"”’)]*$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z][a-z]{0,2}|(?:\w\.)+\w|e\.g|i\.e|etc|approx)\.$")
_WORD = re.compile(r"\w+")
_SUPPORT = 0.6  # share of a sentence's weighted words that its passage must hold


def cited_numbers(text: str, passages: int) -> tuple[int, ...]:
    """The numbers that `text` cites, in order of first use, of those that exist."""
    found = (int(match) for match in _MARK.findall(text))
    return tuple(dict.fromkeys(number for number in found if 1 <= number <= passages))


class Citer:
    """Feed it the pieces of an answer; it gives them back at once, with " [n]" at sentence ends.

    Only what might become a citation ("[", "[1") and the space after a sentence wait for the next piece.
    """

    def __init__(self, passages: Sequence[str]) -> None:
        self._words = [set(_content(passage)) for passage in passages]
        spread = Counter(word for words in self._words for word in words)
        self._weight = {word: 1 / count for word, count in spread.items()}
        self._sentence = ""  # given out already, since the last sentence end
        self._held = ""  # not yet given out

    def feed(self, piece: str) -> Iterator[str]:
        self._held += piece
        ready, self._held = self._split_held()
        if ready:
            yield self._cite(ready)

    def finish(self) -> Iterator[str]:
        """Give out the rest, and the last sentence's citation."""
        rest, self._held = self._held.rstrip(), ""
        text = self._cite(rest) + self._due()
        if text:
            yield text

    def _split_held(self) -> tuple[str, str]:
        """What can be given out, and what waits: an unfinished mark, white space after a sentence's end."""
        unfinished = _MARK_START.search(self._held)
        cut = unfinished.start() if unfinished else len(self._held)
        head = self._held[:cut].rstrip()
        if head == self._held[:cut] or not _END.search(self._sentence + head):
            return self._held[:cut], self._held[cut:]
        return head, self._held[len(head) :]

    def _cite(self, text: str) -> str:
        """`text` with its own marks checked and the missing ones put in."""
        out: list[str] = []
        parts = [part for part in re.split(r"(\[\d{1,3}\]|\s+)", text) if part]
        for part, following in zip_longest(parts, parts[1:], fillvalue=""):
            mark = _MARK.fullmatch(part)
            if mark and not 1 <= int(mark[1]) <= len(self._words):
                continue
            if part.isspace() and self._closed() and not _MARK.fullmatch(following):
                out.append(self._due())
                self._sentence = ""
            else:
                self._sentence += part
            out.append(part)
        return "".join(out)

    def _closed(self) -> bool:
        """Whether the sentence so far is one: not "Dr." or "1."."""
        text = _MARK.sub("", self._sentence).rstrip()
        return bool(_END.search(text)) and not _ABBREVIATION.search(text) and len(_content(text)) > 1

    def _due(self) -> str:
        """The citation that the current sentence lacks, or nothing."""
        if _MARK.search(self._sentence):
            return ""
        number = self._best_passage(self._sentence)
        return f" [{number}]" if number else ""

    def _best_passage(self, sentence: str) -> int | None:
        words = _content(sentence)
        if not words:
            return None
        support = [sum(self._weight[w] for w in words if w in passage) for passage in self._words]
        if not support or max(support) == 0:
            return None
        best = support.index(max(support))
        held = sum(w in self._words[best] for w in words)
        return best + 1 if held >= _SUPPORT * len(words) else None


def _content(text: str) -> set[str]:
    """Words that can tell passages apart: numbers, and what is longer than two letters."""
    return {word for word in _WORD.findall(text.casefold()) if len(word) > 2 or word.isdigit()}
