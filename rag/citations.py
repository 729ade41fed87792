"""Citations for a text as it streams: each finished sentence is held against the passages, and cites its own.

A model is asked to cite but often does not, and small ones never do. A number it gives itself is kept where
that passage exists, and dropped where it does not; where another passage supports the sentence and that one
does not, the other's is added. What supports a sentence is decided in `rag.evidence`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rag.evidence import Evidence, Support

_MARK = re.compile(r"\[(\d{1,3})\]")
_MARKS_AFTER = re.compile(r"(?:\s*\[\d{1,3}\])+$")
_MARK_START = re.compile(r"\[\d{0,3}$")
_END = re.compile(r"[.!?…。！？]['\"”’)]*$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z][a-z]{0,2}|(?:\w\.)+\w|e\.g|i\.e|etc|approx)\.$")
_WORD = re.compile(r"\w+")


def cited_numbers(text: str, passages: int) -> tuple[int, ...]:
    """The numbers that `text` cites, in order of first use, of those that exist."""
    found = (int(match) for match in _MARK.findall(text))
    return tuple(dict.fromkeys(number for number in found if 1 <= number <= passages))


@dataclass(frozen=True)
class Judged:
    """A finished sentence: where it stands in the text that was given out, and what supports it."""

    start: int
    end: int  # without the citations after it
    support: Support


class Citer:
    """Feed it the pieces of an answer; it gives them back at once, with " [n]" at sentence ends.

    After the text of a sentence comes what is said of it. Only white space, and what might become a citation
    ("[", "[1"), wait for the next piece.
    """

    def __init__(self, evidence: Evidence, passages: int) -> None:
        self._evidence, self._passages = evidence, passages
        self._sentence = ""  # given out already, since the last sentence end
        self._given = 0  # characters that were given out
        self._held = ""  # not yet given out

    def feed(self, piece: str) -> Iterator[str | Judged]:
        self._held += piece
        ready, self._held = self._split_held()
        yield from self._cite(ready)

    def finish(self) -> Iterator[str | Judged]:
        """Give out the rest, and the last sentence's citation."""
        rest, self._held = self._held.rstrip(), ""
        yield from self._cite(rest)
        yield from self._close()

    def _split_held(self) -> tuple[str, str]:
        """What can be given out, and what waits: an unfinished mark, and white space before it or the end."""
        unfinished = _MARK_START.search(self._held)
        ready = self._held[: unfinished.start() if unfinished else len(self._held)].rstrip()
        return ready, self._held[len(ready) :]

    def _cite(self, text: str) -> Iterator[str | Judged]:
        """`text` with its own marks checked and the missing ones put in."""
        out = ""
        parts = [part for part in re.split(r"(\[\d{1,3}\]|\s+)", text) if part]
        for part, following in zip_longest(parts, parts[1:], fillvalue=""):
            mark = _MARK.fullmatch(part)
            if mark and not 1 <= int(mark[1]) <= self._passages:
                continue
            if part.isspace() and self._ends_before(part) and not _MARK.fullmatch(following):
                yield from self._give(out)
                yield from self._close()
                out = ""
            elif self._sentence or not part.isspace():
                self._sentence += part
            out += part
        yield from self._give(out)

    def _give(self, text: str) -> Iterator[str]:
        self._given += len(text)
        if text:
            yield text

    def _ends_before(self, space: str) -> bool:
        """Whether the sentence so far is one: not "Dr." or "1."; a line that says something is one, too."""
        text = _MARK.sub("", self._sentence).rstrip()
        if "\n" in space and text.endswith(":"):
            return True
        if len(set(_content(text))) < 2:
            return False
        return "\n" in space or bool(_END.search(text) and not _ABBREVIATION.search(text))

    def _close(self) -> Iterator[str | Judged]:
        """The citation that the sentence lacks, and what is said of it."""
        sentence, self._sentence = self._sentence, ""
        if not sentence.strip():
            return
        start = self._given - len(sentence)
        end = start + len(_MARKS_AFTER.sub("", sentence))
        cited = cited_numbers(sentence, self._passages)
        support = self._evidence.support(sentence, cited)
        if support.passages and not set(cited) & set(support.passages):
            yield from self._give(f" [{support.passages[0]}]")
        yield Judged(start, end, support)


def _content(text: str) -> list[str]:
    """Words that say something: numbers, and what is longer than two letters."""
    return [word for word in _WORD.findall(text.casefold()) if len(word) > 2 or word.isdigit()]
