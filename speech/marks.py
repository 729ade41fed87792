"""When which word is spoken: an engine's events → words of what it said → words of the text as written.

What is said differs from what was written ("1987" is said as three words, a citation not at all), and
engines differ in what they tell: espeak-ng reports two words that it runs together as one, and a number as
many. Here both are put in order: every word has one time, times only rise, and every word that is said
belongs to the written word that it stands for. It does not know any engine, nor how sound is made.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from speech.audio import Mark

# Written without spaces: each character counts as a word.
_CJK = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_PART = re.compile(rf"[{_CJK}]|[^\W\d_{_CJK}]+|\d+")
# What has no words of its own: citations, where a link leads, tags, the ends of Markdown's brackets.
_SILENT = re.compile(
    r"\[\^?\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\](?![(:])|\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|"
    r"<!--.*?-->|</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>",
    re.S,
)
_LOUD = frozenset("%&@#§°+−-£$€¥")  # signs at the edge of a word that are read aloud
_FIRST = frozenset("+−-±~≈≤≥<>=×√£$€¥#§")  # signs whose words come before the word that they stand at


class Span(NamedTuple):
    """A stretch of a text, by character offsets."""

    start: int
    end: int


def words(text: str) -> list[Span]:
    """The words of a text, without the marks around them, in order; Chinese and Japanese by character."""
    found = []
    for token in _TOKEN.finditer(_without_silent(text)):
        start, end = token.span()
        while start < end and not _sounds(text[start]):
            start += 1
        while start < end and not _sounds(text[end - 1]):
            end -= 1
        if any(char.isalnum() for char in text[start:end]):
            found.append(Span(start, end))
    return found


def timed(text: str, events: Sequence[tuple[int, float]], seconds: float) -> tuple[Mark, ...]:
    """A mark for each word of `text`, from what an engine told of some of them.

    Args:
        text: what was said.
        events: a character's offset in `text` and when it is spoken, in order of time. Two in one word are
            the parts of a number, or of words that are run together; words between two events share the
            time between them.
        seconds: when the sound ends.
    """
    spans = words(text)
    if not spans or not events:
        return ()
    at = _first_times(spans, events, text)
    known = [index for index, time in enumerate(at) if time is not None]
    edges = [(-1, 0.0), *((index, at[index] or 0.0) for index in known), (len(spans), seconds)]
    for (before, begin), (after, end) in pairwise(edges):
        _share(at, spans, before, begin, after, end)
    return tuple(Mark(time or 0.0, *span) for time, span in zip(at, spans, strict=True))


class Alignment:
    """Which written word each spoken word stands for.

    Args:
        raw: as written, with Markdown and citations.
        spoken: the same as `speech.speakable` makes it.
    """

    def __init__(self, raw: str, spoken: str) -> None:
        self._raw, self._spoken = words(raw), words(spoken)
        written, said = _parts(raw, self._raw), _parts(spoken, self._spoken)
        self._owners: dict[int, int] = {}  # index of a spoken word → index of the written one
        last = 0
        for part, owner in _owners(raw, self._raw, written, said):
            last = max(last, owner)
            self._owners.setdefault(said[part].word, last)

    def written(self, start: int, end: int) -> Span | None:
        """Where the word that is spoken at these offsets is written; None if it stands for none."""
        for index, span in enumerate(self._spoken):
            if span.start < end and start < span.end:
                owner = self._owners.get(index)
                return None if owner is None else self._raw[owner]
        return None


class Said(NamedTuple):
    """A sentence: as it was written, where that begins in the whole text, and as it is said."""

    raw: str
    start: int
    spoken: str


class Track:
    """The marks of one or more sentences that are said in one go, moved to the text as it was written.

    What an engine is given to say is `text`. Places in the written text only rise, even where an engine that
    breaks off makes another one begin again.
    """

    def __init__(self, sentences: Sequence[Said]) -> None:
        self.text = " ".join(sentence.spoken for sentence in sentences)
        self._sentences = list(sentences)
        self._alignments: dict[int, Alignment] = {}
        self._told = -1  # the last sentence that has its mark
        self._latest = -1  # the last place that was marked

    def moved(self, marks: Sequence[Mark]) -> tuple[Mark, ...]:
        """The marks of the next chunk; its first has those of the sentences that begin with it."""
        found: list[Mark] = []
        if self._told < 0:
            # without words it is not known where the second sentence begins
            last = 0 if marks else len(self._sentences) - 1
            found.append(self._sentence(0, last, 0.0))
        for mark in marks:
            found += self._word(mark)
        return tuple(found)

    def _sentence(self, first: int, last: int, at: float) -> Mark:
        self._told = last
        begin, end = self._sentences[first], self._sentences[last]
        return Mark(at, begin.start, end.start + len(end.raw), "sentence")

    def _word(self, mark: Mark) -> list[Mark]:
        index, begin = self._at(mark.start)
        sentence = self._sentences[index]
        if index not in self._alignments:
            self._alignments[index] = Alignment(sentence.raw, sentence.spoken)
        span = self._alignments[index].written(mark.start - begin, mark.end - begin)
        if span is None or sentence.start + span.start <= self._latest:
            return []
        self._latest = sentence.start + span.start
        word = replace(mark, start=self._latest, end=sentence.start + span.end)
        return [self._sentence(index, index, mark.at), word] if index > self._told else [word]

    def _at(self, offset: int) -> tuple[int, int]:
        """The sentence that a place in what is said belongs to, and where it begins there."""
        begin = 0
        for index, sentence in enumerate(self._sentences[:-1]):
            if offset <= begin + len(sentence.spoken):
                return index, begin
            begin += len(sentence.spoken) + 1
        return len(self._sentences) - 1, begin


class _Part(NamedTuple):
    text: str
    word: int  # index of the word that it is a part of


def _sounds(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" or char in _LOUD


def _without_silent(text: str) -> str:
    """The same text, of the same length, with spaces where nothing is said."""
    return _SILENT.sub(lambda match: " " * len(match.group()), text)


def _first_times(spans: list[Span], events: Iterable[tuple[int, float]], text: str) -> list[float | None]:
    """The time of each word that an event tells."""
    told: list[list[float]] = [[] for _ in spans]
    index, latest = 0, 0.0
    for offset, time in events:
        here = index
        while here < len(spans) - 1 and spans[here].end <= offset:
            here += 1
        if offset >= spans[index].start or not told[index]:
            index, latest = here, max(latest, time)
            told[index].append(latest)
    for index, times in enumerate(told):
        _hand_on(told, index, times, text[slice(*spans[index])])
    return [times[0] if times else None for times in told]


def _hand_on(told: list[list[float]], index: int, times: list[float], word: str) -> None:
    """Times of a word beyond its first are those of the words that were run together with it."""
    if any(char.isdigit() for char in word):
        return
    silent = 0
    while index + silent + 1 < len(told) and not told[index + silent + 1]:
        silent += 1
    spare = times[1:][-silent:] if silent else []
    for offset, time in enumerate(spare, start=1):
        told[index + offset] = [time]


def _share(
    at: list[float | None], spans: list[Span], before: int, begin: float, after: int, end: float
) -> None:
    """Spread the words between two times over them, each by its length."""
    first = max(before, 0)
    lengths = [spans[index].end - spans[index].start + 1 for index in range(first, after)]
    total, passed = sum(lengths), 0
    for index, length in zip(range(first, after), lengths, strict=True):
        if at[index] is None:
            at[index] = begin + max(0.0, end - begin) * passed / total
        passed += length


def _parts(text: str, spans: list[Span]) -> list[_Part]:
    return [
        _Part(unicodedata.normalize("NFKC", part.group()).casefold(), index)
        for index, span in enumerate(spans)
        for part in _PART.finditer(text, span.start, span.end)
    ]


def _owners(
    raw: str, spans: list[Span], written: list[_Part], said: list[_Part]
) -> Iterable[tuple[int, int]]:
    """For each part that is said, in order, the written word that it stands for."""
    if not written:
        return
    matcher = SequenceMatcher(None, [part.text for part in written], [part.text for part in said], False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        for j in range(j1, j2):
            if kind == "insert":
                yield j, _beside(raw, spans, written, i1)
            else:
                yield j, written[i1 + (j - j1) * (i2 - i1) // (j2 - j1)].word


def _beside(raw: str, spans: list[Span], written: list[_Part], at: int) -> int:
    """The word that something said between two written parts belongs to: "5 €" before it, "−5" after."""
    if at == 0:
        return written[0].word
    if at < len(written) and written[at].word != written[at - 1].word:
        following = spans[written[at].word]
        if raw[following.start] in _FIRST:
            return written[at].word
    return written[at - 1].word
