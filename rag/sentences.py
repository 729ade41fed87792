"""A passage → its sentences, also where lines and marks say little. It does not know questions.

A passage may come from a PDF (a sentence runs over several lines), hold headings, lists and table rows (which
end with their line), or have no punctuation at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

LONGEST = 400  # characters; what runs on longer is cut at a clause, else at a word

_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？｡]+[」』”’）]*")
_NOT_AN_END = re.compile(
    r"""(?: \b(?:[A-Za-z]|[A-Z][a-z]?)                      # an initial, "St.", "Dr."
          | \b(?:Mrs|Gen|Col|Sgt|Capt|Prof|Rev|Hon|Gov|Sen|Rep|Messrs|Inc|Ltd|Corp|Bros)
          | \b(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat)
          | \b(?:vs|etc|cf|al|approx|ca|fig|figs|no|nos|vol|pp|ed|eds|lit|bzw|usw|evtl)
          | \b(?:\w\.)+\w                                   # "e.g.", "U.S."
          )\.$""",
    re.VERBOSE,
)
_CLOSED = re.compile(r"[.!?…。！？｡:;][\"'”’»)\]]*$")
_ITEM = re.compile(r"\s*(?:[-*•‣▪◦–—#>|]|\(?\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s)")
_ITEM_NUMBER = re.compile(r"[\s(#*•-]*\d{1,3}")  # "12." opens an item, it is no sentence
_MARKS = re.compile(r"^(?:[-*•‣▪◦–—#>|]+ )+|(?: ?\|)+$")
_ELLIPSIS = "…"
_ROW = re.compile(r"\S(?:\t|[ ]{3,})\S|\|.*\|")
_NUMBERS_ROW = re.compile(
    r"(?:.*?\b\d[\d.,:]*\b){3,}\W*$"
)  # "Bats at dusk 75 minutes 8 euros 20": ends as it counts
_CLAUSE = re.compile(r"[;:,，、；：]\s*|\s[–—-]\s")
_FULL_LINE = 0.7  # of the longest line near it: a line at least so long goes on in the next one
_PROSE_LINE = 30  # characters; a shorter line is not wrapped prose


def split_sentences(text: str, longest: int = LONGEST) -> list[str]:
    """The sentences of `text` in order, white space normalised, without list marks, none blank.

    What is longer than `longest` characters comes in parts, each with an ellipsis where it was cut.
    """
    found: list[str] = []
    for start, end in sentence_spans(text):
        found += _parts(_MARKS.sub("", " ".join(text[start:end].split())), longest)
    return found


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences of `text` begin and end, in order, white space around them left out, none blank."""
    spans = (sentence for block in _blocks(text) for sentence in _sentences(text, *block))
    return [span for span in (_trim(text, *each) for each in spans) if span[0] < span[1]]


def _blocks(text: str) -> Iterator[Span]:
    """Runs of lines that belong together: what a line end does not close."""
    lines = list(_lines(text))
    begin = 0
    for number, (start, end) in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else None
        if following is None or not _goes_on(text[start:end], text[slice(*following)], lines, number, text):
            yield begin, end
            begin = following[0] if following else end


def _lines(text: str) -> Iterator[Span]:
    for match in re.finditer(r"[^\n\f\r]*(?:\r\n|[\n\f\r]|$)", text):
        if match.start() < match.end():
            yield match.span()


def _goes_on(line: str, following: str, lines: list[Span], number: int, text: str) -> bool:
    """Whether a sentence may run from this line into the next one."""
    line, following = line.rstrip(), following.rstrip()
    if (
        not line
        or not following.strip()
        or _ITEM.match(following)
        or _ROW.search(line)
        or _ROW.search(following)
    ):
        return False
    if _CLOSED.search(line) and not _NOT_AN_END.search(line):
        return False
    if _NUMBERS_ROW.match(line) and following.lstrip()[0].isupper():
        return False
    if following.lstrip()[0].islower() or line[-1] in ",-–":
        return not line.lstrip().startswith("#")
    near = lines[max(0, number - 3) : number + 4]
    longest = max(len(text[slice(*span)].rstrip()) for span in near)
    return len(line) >= max(_PROSE_LINE, _FULL_LINE * longest) and len(near) > 1 and longest < 200


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    begin = start
    for match in _END.finditer(text, start, end):
        if not _ends(text, begin, match, end):
            continue
        yield begin, match.end()
        begin = match.end()
    if begin < end:
        yield begin, end


def _ends(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether this mark ends a sentence: not an abbreviation's point, not one before a small letter."""
    if match[0][0] in "。！？｡":
        return True
    after = text[match.end() : min(end, match.end() + 40)].lstrip()
    if after[:1].islower() or (match[0] == "." and after[:1] in ",;:"):
        return False
    if match[0] != ".":
        return True
    before = text[max(begin, match.start() - 12) : match.end()]
    return not _NOT_AN_END.search(before) and not _ITEM_NUMBER.fullmatch(text, begin, match.start())


def _parts(sentence: str, longest: int) -> Iterator[str]:
    """The sentence, if it is no longer than `longest`; else parts of it, cut at clauses or words."""
    start = 0
    while len(sentence) - start > longest - (start > 0):
        cut = _cut(sentence, start, start + longest - 2)
        yield _ELLIPSIS * (start > 0) + sentence[start:cut].strip() + _ELLIPSIS
        start = cut
    if sentence[start:].strip():
        yield _ELLIPSIS * (start > 0) + sentence[start:].strip()


def _cut(text: str, start: int, limit: int) -> int:
    """The last clause's end in the second half of [start, limit), else the last word's, else `limit`."""
    middle = (start + limit) // 2
    clauses = [match.end() for match in _CLAUSE.finditer(text, middle, limit)]
    if clauses:
        return clauses[-1]
    space = text.rfind(" ", middle, limit)
    return space + 1 if space > 0 else limit


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
