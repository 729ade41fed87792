"""What says that a text is a correction ("no", "sorry", "I meant", "not the hall"), and what is new in it.

English alone. It does not know which question is put right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rag.phrases import STARTS, TOPIC_PREPOSITIONS, words_in
from rag.wordlists import AUXILIARIES, QUESTION_WORDS, words

_CLAUSE = (AUXILIARIES | QUESTION_WORDS) - {"may"}  # which is a month more often, in a correction

_MEANT = (
    r"(?:(?:i|eye|what i)\s+(?:really\s+|actually\s+|just\s+|only\s+)?"
    r"(?:meant|mean|ment|mint|said|asked(?:\s+(?:about|for))?|was\s+(?:asking|talking|thinking)(?:\s+(?:about|of|for))?"
    r"|(?:want|wanted)\s+to\s+(?:know|ask)(?:\s+about)?|am\s+(?:asking|talking)\s+about)"
    r"|i['’]m\s+(?:asking|talking)\s+about|make\s+(?:that|it)|change\s+(?:that|it)\s+to)"
)
_DENIED = (
    r"(?:not|i\s+(?:didn['’]?t|did\s+not|don['’]?t|do\s+not)\s+(?:mean|say|want|ask(?:\s+(?:about|for))?))"
)
COMPLAINT = (
    r"(?:(?:that['’]?s|that\s+is|that\s+was)\s+(?:not|n['’]t)\s+what\s+i\s+(?:asked|meant|said|wanted)(?:\s+(?:for|about))?"
    r"|(?:that['’]?s|that\s+is)\s+(?:wrong|(?:the\s+)?wrong\s+one|not\s+(?:it|right))|you\s+misunderstood(?:\s+me)?|not\s+that(?:\s+one)?"
    r"|i\s+did(?:n['’]?t|\s+not)\s+(?:mean|ask|say)(?:\s+for)?\s+that|(?:the\s+)?wrong\s+one)(?!\s+(?:in|of|from|with|\w+ing)\b)"
)
# The first group may be followed by anything short, the second only by what shows that it goes on.
_OPENER = re.compile(
    r"(?P<strong>no+|nope|nah|sorry|i['’]m\s+sorry|pardon(?:\s+me)?|excuse\s+me|oops|oh|ah+|u[hm]+|er+m?|hmm*"
    rf"|hang\s+on|hold\s+on|{COMPLAINT})\b(?P<after>[\s,.;:!?–—-]*)"
    r"|(?P<weak>know|now|wait|stop|well|actually|rather|ok|okay|right|but|or|so|and)\b(?P<then>[\s,.;:!?–—-]*)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"[\s,]+(?:(?P<cue>{_MEANT}|instead|rather|sorry|actually)|please|thanks|thank\s+you|though)$",
    re.IGNORECASE,
)
_GO_ON = words("i eye not i'm make")
_JOINS = words("and or so but")
_HESITATES = re.compile(r"oh|ah+|u[hm]+|er+m?|hmm*|well|ok|okay|right|so|and", re.IGNORECASE)
SHORT = 4  # words that may follow "no" without showing that they go on


@dataclass(frozen=True)
class Said:
    """The words of a correction, apart from what only says that it is one."""

    new: str
    old: str = ""
    sure: bool = False  # whether something said that it is a correction


def said_in(bare: str) -> Said:
    """What is said in a text without the spaces and marks around it."""
    rest, opened = without_opening(bare)
    rest, closed = _closed(rest)
    hesitant = rest != bare and bool(words_in(rest)) and words_in(rest)[0] in STARTS
    sure = opened or closed or (hesitant and _is_short(rest))
    if (apart := _contrast(rest)) and (sure or not is_clause(f"{apart.new} {apart.old}")):
        return apart
    if meant := re.match(rf"{_MEANT}(?:\s+(?:was|is|to\s+say))?\b[\s,:]*(?=\w)", rest, re.IGNORECASE):
        inner = said_in(rest[meant.end() :])
        return replace(inner, sure=True)
    return Said(rest, sure=sure)


def without_opening(text: str) -> tuple[str, bool]:
    """`text` without "no, sorry, wait", and whether any of that says that something was wrong."""
    wrong = False
    while (opener := _OPENER.match(text)) and _opens(opener, text[opener.end() :]):
        wrong = wrong or not _HESITATES.fullmatch(opener[0].strip(" ,.!?…–—-;:"))
        text = text[opener.end() :]
    return text, wrong


def _opens(opener: re.Match[str], rest: str) -> bool:
    """Whether the word only opens what follows: "no the library", but not "no smoking areas in the map"."""
    if not rest:
        return False
    if (weak := opener["weak"]) and weak.casefold() in _JOINS:
        return bool(re.match(rf"{_MEANT}|rather\b|no\b|sorry\b|actually\b|not\b", rest, re.IGNORECASE))
    if weak and weak.casefold() in {"know", "now"}:
        return bool(re.match(rf"{_MEANT}|not\b|the\b", rest, re.IGNORECASE))
    paused = bool((opener["then"] if weak else opener["after"]).strip())
    return paused or _goes_on(rest) or (not weak and _is_short(rest))


def _goes_on(rest: str) -> bool:
    """Whether what follows shows that the word before was none of its own: "wait, where …", "sorry my …"."""
    first = words_in(rest)[0] if words_in(rest) else ""
    return (
        first in STARTS | QUESTION_WORDS | AUXILIARIES | TOPIC_PREPOSITIONS | _GO_ON
        or _OPENER.match(rest) is not None
    )


def _is_short(rest: str) -> bool:
    return len(words_in(rest)) <= SHORT and not is_clause(rest)


def is_clause(text: str) -> bool:
    return bool(set(words_in(text)) & _CLAUSE)


def _closed(text: str) -> tuple[str, bool]:
    cue = False
    while closing := _CLOSING.search(text):
        cue = cue or closing["cue"] is not None
        text = text[: closing.start()]
    return text, cue


def _contrast(text: str) -> Said | None:
    """ "Not the garden, the orchard"; "the orchard, not the garden"; "not the garden"."""
    denied = re.match(rf"{_DENIED}\s+(?P<old>.+)$", text, re.IGNORECASE)
    if denied:
        parts = re.split(
            rf"\s*[,;.–—]\s*(?:but\s+)?(?:{_MEANT}\s+)?|\s+but\s+(?:{_MEANT}\s+)?|\s+{_MEANT}\s+"
            rf"|(?<=\w)\s+(?=(?:the|my|our|an?)\s)",
            denied["old"],
            maxsplit=1,
            flags=re.IGNORECASE,
        )
        new = _closed(parts[1])[0] if len(parts) > 1 else ""
        return Said(new, parts[0], sure=True)
    split = re.fullmatch(
        rf"(?:{_MEANT}\s+)?(?P<new>.+?)[\s,]+(?:(?:and|but)\s+)?(?:not|instead\s+of|rather\s+than)\s+(?:about\s+)?(?P<old>.+)",
        text,
        re.IGNORECASE,
    )
    return Said(split["new"], split["old"], sure=True) if split else None
