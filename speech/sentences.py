"""Token stream → sentences, each given out as soon as it is sure to be complete.

A full stop alone is not sure: "3" may follow it, or "g." as in "e.g.". What follows decides, and the least
of it that can decide is waited for: after ``. ! ?`` (and closing quotes or brackets) white space and the
first character of the next word, which in a token stream come together in the very next token (33 ms later
at 30 tokens a second). A few endings that are ambiguous ("U.S.", an initial) need the next word whole. A
citation, " [2]", belongs to the sentence before it, so an opening bracket is waited out. At the end of the
stream `SentenceSplitter.finish` gives the rest. Who cannot wait for a whole sentence may ask for its first
clause.

Every decision depends on the text alone and is only taken when no continuation could change it, so the
sentences are the same whatever the pieces in which the text arrives. It does not know who speaks, and
changes no character of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from speech.speakable import speakable

__all__ = ["MAX_CHARS", "Place", "SentenceSplitter", "places", "speakable", "split"]

MAX_CHARS = 240  # a sentence longer than this is cut, about 15 s of speech
_MIN_CUT = 60  # a cut at a clause leaves at least so much before it


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the last word of a sentence when a dot follows.
_TITLES = _words(
    "mr mrs ms dr prof rev hon sen rep gov gen col capt lt sgt cmdr messrs mme mlle mgr mt hr fr dipl adm "
    "dott sra srta dra e.g i.e cf viz vs ca approx resp incl excl bzw z.b d.h u.a v.a s.o ggf evtl inkl "
    "zzgl vgl p.ex p.ej tel"
)
# Not the last word when a number (or a Roman numeral) follows: "No. 4", "p. 12".
_NUMBERED = _words(
    "no nos nr p pp s fig figs eq eqs sec sect ch chap vol vols para tab abb bd kap n° num núm pos ziff abs "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
# The last word only if the next word is one that often begins a sentence: "U.S. Army", but "in the U.S. The".
_MONTHS = _words("jan feb mar apr jun jul aug sep sept oct nov dec")
_COMPANY = _words(
    "inc ltd co corp llc jr sr st ave rd al bros univ dept assn ph.d m.d b.a m.a d.c u.s u.k e.u u.n"
)
_STARTERS = _words(
    "The This That These Those It Its He She We They You I In On At By For From With As If When While After "
    "Before But And Or So Then There Their His Her Our My Your However Although Because Since Thus "
    "Therefore Here No Yes Not What Who How Why Where Which To Some Most Many Each All Both One Two Also An "
    "A Der Die Das Es Er Sie Ein Eine Im Am Le La Les Un Une Il Elle El Los Las"
)
_AFTER_CLOCK = _words(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday GMT UTC CET CEST EST EDT PST PDT CST BST ET "
    "PT CT"
)
# "am 3. Oktober", "im 19. Jahrhundert": a German ordinal, not an end.
_AFTER_ORDINAL = _words(
    "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jahrhundert "
    "Jahrhunderts Klasse Stock Etage Obergeschoss Kapitel Auflage Mal Platz Tag Woche Monat Jahr Lebensjahr"
)
_FUNCTION_WORDS = _words(
    "the a an of and or to in on at by for from with as is are was were be that which its their this these "
    "de la le der die das und oder von mit des el los y et"
)

_CLOSERS = "\"'”’»›)]}」』）】》〉*_`~"
_OPENERS = "\"'“‘„«‹*_`~¿¡「『（【《〈"
_WIDE = "。！？｡"
_STOPS = ".!?…؟।॥۔።" + _WIDE
_CITATION = re.compile(r"[ \t\u00a0]*\[\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\]")
_PARTIAL_CITATION = re.compile(r"[ \t\u00a0]*(?:\[[\d\s,;–-]{0,40})?\Z")
_CANDIDATE = re.compile(rf"[{_STOPS}]+|\n")
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘„«*_]*\Z")
_MARKER = re.compile(
    r"(?:[-*+]|\d{1,3}[.)]|[A-Za-z][.)]|#{1,6})[ \t]|[|>•]|```|~~~|(?:-{3,}|\*{3,}|_{3,})[ \t]*\n"
)
_PARTIAL_MARKER = re.compile(
    r"(?:[-*+]|\d{1,3}[.)]?|[A-Za-z][.)]?|#{1,6}|`{1,2}|~{1,2}|-+[ \t]*|\*+[ \t]*|_+[ \t]*)\Z"
)
_ONLY_MARKER = re.compile(r"\s*(?:#{1,6}\s*|[-*+•>]\s+)*[*_]{0,2}(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})\Z")
_BLOCK_LINE = re.compile(r"[ \t]*(?:#{1,6}\s|[-*+•]\s|\d{1,3}[.)]\s|\||>|(?:-{3,}|\*{3,}|_{3,})[ \t]*\Z)")
_FENCE = re.compile(r"(```|~~~)[^`\n]*\n")
_PARTIAL_FENCE = re.compile(r"(?:`{1,2}|~{1,2}|(?:```|~~~)[^`\n]*)\Z")
_CLAUSE = re.compile(r"[;:,—–、，；：)]\s|\s[—–-]\s|[、，；：]")
_EARLY_CLAUSE = re.compile(r"[,;:—–](?=\s)|(?<=\s)-(?=\s)|—(?=\w)|[、，；：]")
_PAIRS = ("[]", "()", "{}", "“”", "«»", "「」")
_TWINS = ("**", "`", '"', "$")
_NO_PROSE = "|#>`~"  # what a table, a heading, a quotation or code begins with
_LEAST_WORDS = 4  # of an early clause
_WIDE_LETTER = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WIDE_IS = 3  # a letter of these says about as much as so many others
_INITIALISM = re.compile(r"(?:[A-Za-zÀ-ž]\.)+[A-Za-zÀ-ž]\Z")
_CLOCK = frozenset({"a.m", "p.m"})


class Place(NamedTuple):
    """A sentence, or a part of one, and where it stands in the whole text."""

    text: str
    start: int
    end: int
    whole: bool = True  # the sentence ends here; else the next place goes on with it


class SentenceSplitter:
    """Fed the pieces of one text in order, gives its sentences in order, each stripped of outer white space.

    Joined, the sentences are the text again, white space aside. A fenced code block is one sentence.

    Args:
        max_chars: a sentence is cut at a clause, else a word, before it grows longer than this many
        characters.
    """

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        if max_chars < 20:
            raise ValueError("max_chars must be at least 20")
        self._max = max_chars
        self._text = ""
        self._passed = 0  # characters of the text before `_text`

    @property
    def rest(self) -> str:
        """What is not given out yet."""
        return self._text

    def feed(self, piece: str) -> list[str]:
        """Add the next piece; the sentences that are now sure, oldest first (often none)."""
        return [place.text for place in self.places(piece)]

    def finish(self) -> list[str]:
        """The text has ended: all that is left. The splitter is empty afterwards."""
        return [place.text for place in self.places(final=True)]

    def places(self, piece: str = "", *, final: bool = False, early: int = 0) -> list[Place]:
        """As `feed` and, when `final`, as `finish`, with the place of each sentence in the whole text.

        Args:
            piece: what comes next of the text.
            final: the text has ended.
            early: only the first sentence is wanted, or its first clause of at least so many characters.
        """
        self._text += piece
        found: list[Place] = []
        text, start = self._text, 0
        while start < len(text):
            end = _next_end(text, start, final, self._max)
            if early and not found:
                end = _early_end(text, start, end, self._max, early)
            if end is None:
                break
            if sentence := text[start : end.at].strip():
                begin = self._passed + text.index(sentence, start)
                found.append(Place(sentence, begin, begin + len(sentence), end.whole))
            start = end.at
            if early and found:
                break
        self._text = text[start:]
        self._passed += start
        return found


def split(text: str, max_chars: int = MAX_CHARS) -> list[str]:
    """All sentences of a whole text."""
    return [place.text for place in places(text, max_chars)]


def places(text: str, max_chars: int = MAX_CHARS) -> list[Place]:
    """All sentences of a whole text, and where they are."""
    return SentenceSplitter(max_chars).places(text, final=True)


class _Wait(Exception):
    """More text is needed before the place can be judged."""


class _End(NamedTuple):
    """The end of a sentence, or, if not `whole`, of a part of one."""

    at: int
    whole: bool = True


def _next_end(text: str, start: int, final: bool, limit: int) -> _End | None:
    """Where the sentence that begins at `start` ends, or None while that is not sure."""
    start = _skip_space(text, start)
    if start == len(text):
        return _End(len(text)) if final else None
    try:
        return _find_end(text, start, final, limit)
    except _Wait:
        return None


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _find_end(text: str, start: int, final: bool, limit: int) -> _End:
    if _at_fence(text, start, final):
        return _End(_fence_end(text, start, final))
    for match in _CANDIDATE.finditer(text, start, start + limit):
        end = _judge(text, start, match, final)
        if end is not None:
            return _End(end)
    if len(text) - start > limit:
        return _End(_cut(text, start, limit), whole=False)
    if final:
        return _End(len(text))
    raise _Wait


def _early_end(text: str, start: int, end: _End | None, limit: int, least: int) -> _End | None:
    """The end of the first clause of `least` characters; `end`, that of the sentence, if there is none."""
    start = _skip_space(text, start)
    if start == len(text) or text[start] in _NO_PROSE:
        return end
    last = start + limit if end is None else end.at
    for match in _EARLY_CLAUSE.finditer(text, start, last):
        clause = text[start : match.end()]
        following = _skip_space(text, match.end())
        goes_on = following < min(last, len(text)) and text[following].isalpha()
        if goes_on and _long_enough(clause, least) and _closed(clause):
            return _End(match.end(), whole=False)
    return end


def _long_enough(clause: str, least: int) -> bool:
    wide = len(_WIDE_LETTER.findall(clause))
    return len(clause) + (_WIDE_IS - 1) * wide >= least and len(clause.split()) + wide >= min(
        _LEAST_WORDS, least
    )


def _closed(clause: str) -> bool:
    """Whether nothing that was opened in it, a bracket or an emphasis, is still open."""
    pairs = all(clause.count(pair[0]) <= clause.count(pair[1]) for pair in _PAIRS)
    return pairs and all(clause.count(twin) % 2 == 0 for twin in _TWINS)


def _judge(text: str, start: int, match: re.Match[str], final: bool) -> int | None:
    """The end of the sentence if the marks or the line end at `match` close it, else None."""
    if match.group() == "\n":
        return _judge_newline(text, start, match.start(), final)
    at = match.start()
    after = at
    while after < len(text) and text[after] in _STOPS:
        after += 1
    marks = text[at:after]
    after, cited = _skip_citations(text, _skip_closers(text, after), final)
    if after == len(text) or marks[-1] in _WIDE:
        return after
    if not text[after].isspace():
        return None
    return after if _judge_spaced(text, start, at, after, marks, cited, final) else None


def _skip_closers(text: str, at: int) -> int:
    while at < len(text) and text[at] in _CLOSERS:
        at += 1
    return at


def _skip_citations(text: str, at: int, final: bool) -> tuple[int, bool]:
    """The place after any citations at `at`, and whether there was one; waits while one may still come."""
    cited = False
    while match := _CITATION.match(text, at):
        at, cited = match.end(), True
    if not final and _PARTIAL_CITATION.match(text, at):
        raise _Wait
    return at, cited


def _judge_spaced(text: str, start: int, at: int, after: int, marks: str, cited: bool, final: bool) -> bool:
    """Whether marks that are followed by white space end their sentence."""
    gap = after
    while gap < len(text) and text[gap].isspace():
        gap += 1
    if text.count("\n", after, gap) > 1:
        return True
    if "\n" in text[after:gap] and not _may_go_on(text[start:at], marks):
        return True
    if gap == len(text):
        if final:
            return True
        raise _Wait
    if cited or marks.strip(".…"):
        return not _first_letter(text, gap, final).islower()
    if marks != ".":
        return False  # an ellipsis is a pause more often than an end
    return _judge_dot(text, start, at, gap, final)


def _may_go_on(before: str, marks: str) -> bool:
    """Whether a sentence may go on after these marks even on another line: an abbreviation, a list number."""
    word = _word_at_end(before)
    plain = word.lower()
    known = plain in _TITLES or plain in _NUMBERED or plain in _COMPANY or plain in _CLOCK
    return (marks == "." and (known or _is_initial(word) or _ONLY_MARKER.match(before) is not None)) or (
        not marks.strip(".…") and marks != "."
    )


def _word_at_end(before: str) -> str:
    found = _WORD_BEFORE.search(before)
    return found.group() if found else ""


def _judge_dot(text: str, start: int, at: int, gap: int, final: bool) -> bool:
    """Whether a single dot before white space ends its sentence; `gap` is where the next word begins."""
    before = text[start:at]
    if _ONLY_MARKER.match(before):
        return False
    word = _word_at_end(before)
    plain = word.lower()
    if plain in _TITLES:
        return False
    letter = _first_letter(text, gap, final)
    if letter.islower():
        return False
    if plain in _NUMBERED and (letter.isdigit() or letter in "§°"):
        return False
    if plain in _CLOCK:
        return _next_word(text, gap, final) not in _AFTER_CLOCK
    if plain in _COMPANY or plain in _MONTHS or _is_initial(word):
        return _next_word(text, gap, final) in _STARTERS
    if plain in _NUMBERED and letter in "IVXLC":
        return re.fullmatch(r"[IVXLC]+", _next_word(text, gap, final)) is None
    if re.fullmatch(r"\d{1,2}", word):
        return _next_word(text, gap, final) not in _AFTER_ORDINAL
    return True


def _is_initial(word: str) -> bool:
    """Whether a word before a dot is an initial ("J") or an initialism ("U.S")."""
    return (len(word) == 1 and word.isalpha() and word.isupper()) or _INITIALISM.fullmatch(word) is not None


def _first_letter(text: str, at: int, final: bool) -> str:
    """The first character at or after `at` that is no opening quote or emphasis."""
    while at < len(text) and text[at] in _OPENERS:
        at += 1
    if at < len(text):
        return text[at]
    if final:
        return " "
    raise _Wait


def _next_word(text: str, at: int, final: bool) -> str:
    """The whole word that begins at or after `at`, without quotes or emphasis around it."""
    while at < len(text) and text[at] in _OPENERS:
        at += 1
    end = at
    while end < len(text) and (text[end].isalnum() or text[end] in "-") and end - at < 20:
        end += 1
    if end == len(text) and not final and end - at < 20:
        raise _Wait
    return text[at:end]


def _judge_newline(text: str, start: int, at: int, final: bool) -> int | None:
    """Whether the line that ends at `at` is a sentence by itself: a heading, an item, a row."""
    following = at + 1
    while following < len(text) and text[following] in " \t":
        following += 1
    if following == len(text):
        if final:
            return len(text)
        raise _Wait
    if text[following] == "\n" or _BLOCK_LINE.match(text, text.rfind("\n", start, at) + 1 or start, at):
        return _block_line_end(text, start, at, following, final)
    if _is_marker(text, following, final):
        return at
    line = text[start:at].strip()
    return at if _looks_like_heading(line) and not _continues(text, following, final) else None


def _block_line_end(text: str, start: int, at: int, following: int, final: bool) -> int | None:
    """The end of a list item, heading or row, which may go on in an indented line."""
    if text[following] == "\n" or following == at + 1 or text[start:at].lstrip().startswith(("#", "|")):
        return at
    return at if _is_marker(text, following, final) else None


def _is_marker(text: str, at: int, final: bool) -> bool:
    """Whether a list item, heading, table row, quotation or code begins at `at`."""
    if _MARKER.match(text, at):
        return True
    if not final and _PARTIAL_MARKER.match(text, at):
        raise _Wait
    return False


def _looks_like_heading(line: str) -> bool:
    if line.endswith(":"):
        return True
    words = line.split()
    if not words or len(line) > 60 or "\n" in line or line[-1] in ",;-–(":
        return False
    return not line[0].islower() and words[-1].lower() not in _FUNCTION_WORDS


def _continues(text: str, at: int, final: bool) -> bool:
    """Whether the line at `at` reads on from the one before it."""
    return _first_letter(text, at, final).islower()


def _at_fence(text: str, start: int, final: bool) -> bool:
    if not final and _PARTIAL_FENCE.match(text, start):
        raise _Wait
    return _FENCE.match(text, start) is not None


def _fence_end(text: str, start: int, final: bool) -> int:
    """The end of the fenced code block that begins at `start`; it is one sentence, however long."""
    fence = _FENCE.match(text, start)
    assert fence is not None
    close = re.compile(r"\n[ \t]*" + re.escape(fence.group(1)) + r"[`~]*[ \t]*(\n|\Z)").search(text, start)
    if close is not None and (final or close.group(1) == "\n"):
        return close.end()
    if final:
        return len(text)
    raise _Wait


def _cut(text: str, start: int, limit: int) -> int:
    """Where to cut a sentence that is too long: after the last clause, else the last word, else anywhere."""
    window = text[start : start + limit]
    ends = [
        m.end() for m in _CLAUSE.finditer(window, min(_MIN_CUT, limit // 2)) if _balanced(window[: m.end()])
    ]
    if ends:
        return start + ends[-1]
    spaces = [m.start() for m in re.finditer(r"\s", window) if m.start() and _balanced(window[: m.start()])]
    return start + (spaces[-1] if spaces else limit)


def _balanced(text: str) -> bool:
    """Whether no square bracket is open, so that no link or citation is torn."""
    return text.rfind("[") <= text.rfind("]")
