"""A question put right: new words in the place of those that they are most like.

What replaces what is chosen by likeness: the same kind of thing, the same last word, the same preposition, a
similar sound. It does not know whether a correction was meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from rag.phrases import STARTS, TOPIC_PREPOSITIONS, WORD, Phrase, phrases, stem, words_in
from rag.wordlists import AUXILIARIES, ENGLISH, MODALS, PREPOSITIONS, VERBS

Kind = Literal["replace", "ask", "other", "repeat"]

_THE_ONE = re.compile(
    r"(?P<start>the|a|an|that|this)\s+(?P<like>(?:\w+\s+){0,3})ones?(?P<place>\s+\w+.*)?", re.IGNORECASE
)
ASKING = re.compile(
    r"(?:(?:at|in|on|until|since|from|to|by|for)\s+)?"
    r"(?:what\s+time|how\s+\w+|what|when|where|who|why|how)(?=\s|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Correction:
    """What was understood. `question` is to be asked, unless it is "ask": then it is a text to go on with."""

    kind: Kind
    question: str
    new: str = ""  # what was put in
    old: str = ""  # what it replaced


def placed(asked: str, new: str, old: str) -> Correction | None:
    """`asked` with `new` in the place where it fits, which `old` may name."""
    return _by_name(asked, new, old) or _by_verb(asked, new) or _by_place(asked, new) or _by_kind(asked, new)


def _by_name(asked: str, new: str, old: str) -> Correction | None:
    """Where it was said what is to be replaced."""
    wanted = [stem(word) for word in words_in(old) if word not in STARTS | PREPOSITIONS]
    if not wanted:
        return None
    for phrase in phrases(asked):
        if {stem(word) for word in phrase.named} & set(wanted):
            return swap(asked, phrase, _without_preposition(new, phrase))
    for token in WORD.finditer(asked):
        if stem(token[0].casefold()) in wanted:
            return replaced(asked, token, new)
    return None


def by_asked(asked: str, new: str) -> Correction | None:
    """ "No, how many words": in place of "how many pages"."""
    wanted = phrases(new)
    if len(wanted) != 1 or not wanted[0].asked or wanted[0].end != len(new):
        return None
    phrase = next((phrase for phrase in phrases(asked) if phrase.asked), None)
    return swap(asked, phrase, wanted[0].text) if phrase else None


def _by_verb(asked: str, new: str) -> Correction | None:
    """ "No, close": a verb for the verb."""
    said = words_in(new)
    if len(said) != 1 or said[0] not in VERBS:
        return None
    taken = [(phrase.start, phrase.end) for phrase in phrases(asked)]
    verbs = [
        token
        for token in WORD.finditer(asked)
        if token[0].casefold() in VERBS or not _is_covered(token, taken)
        if token[0].casefold() not in ENGLISH.function | MODALS
    ]
    return replaced(asked, verbs[-1], new) if verbs else None


def _is_covered(token: re.Match[str], taken: Sequence[tuple[int, int]]) -> bool:
    return any(start <= token.start() < end for start, end in taken)


def _by_place(asked: str, new: str) -> Correction | None:
    """ "For children", "from the hospital": after the same preposition, else in place of the same kind."""
    said = words_in(new)
    if len(said) < 2 or said[0] not in TOPIC_PREPOSITIONS:
        return None
    inner = new.split(None, 1)[1]
    wanted = phrases(new)[:1]
    kind = wanted[0].kind if wanted else ""
    found = phrases(asked)
    same = [phrase for phrase in found if phrase.before == said[0]]
    alike = [phrase for phrase in same if phrase.kind == kind] or [
        phrase for phrase in same if "time" not in (phrase.kind, kind)
    ]
    if alike:
        return swap(asked, alike[-1], inner)
    of_kind = [phrase for phrase in found if kind and phrase.kind == kind]
    if of_kind:
        phrase = of_kind[-1]
        given = new if phrase.before not in TOPIC_PREPOSITIONS else inner
        return swap(asked, phrase, given)
    return _added(asked, new)


def _by_kind(asked: str, new: str) -> Correction | None:
    """In place of the phrase that it is most like."""
    found = phrases(asked)
    if one := _THE_ONE.fullmatch(new):
        return _by_one(asked, found, one)
    wanted = phrases(new)
    if not found or len(wanted) != 1:
        wanted = wanted[:1]
    if not found or not wanted:
        return None
    if wanted[0].kind == "time" and not any(phrase.kind == "time" for phrase in found):
        return _added(asked, new)
    ranked = sorted(
        ((_likeness(phrase, wanted[0]) + 0.3 * at, phrase) for at, phrase in enumerate(found)),
        key=lambda pair: -pair[0],
    )
    return swap(asked, ranked[0][1], new)


def _by_one(asked: str, found: Sequence[Phrase], one: re.Match[str]) -> Correction | None:
    """ "The small one", "the one in the old town": the same thing, of another kind or elsewhere."""
    things = [p for p in found if not p.kind.startswith(("time", "number", "attribute"))] or list(found)
    if not things:
        return None
    phrase = next((p for p in things if len(p.named) > 1), things[-1])
    noun = (
        phrase.text.split()[-1]
        if one["like"]
        else " ".join(word for word in phrase.text.split() if word.casefold() not in STARTS)
    )
    text = f"{one['start']} {one['like'] or ''}{noun}{one['place'] or ''}"
    return swap(asked, phrase, text)


def _likeness(old: Phrase, new: Phrase) -> float:
    """How well `new` would stand where `old` does."""
    if old.words == new.words:
        return -100
    shared = {stem(word) for word in old.named} & {stem(word) for word in new.named}
    score = 5.0 * (old.head == new.head) + 3.0 * bool(shared)
    if old.kind or new.kind:
        score += 5.0 if old.kind == new.kind else -2.5 if "time" in (old.kind, new.kind) else -1.0
    alike = SequenceMatcher(None, " ".join(old.named), " ".join(new.named)).ratio()
    score += 4.0 * alike if alike >= 0.6 else 0.0
    score += 2.0 * (old.is_name == new.is_name) + 2.0 * (old.opening == new.opening)
    score += 1.0 * (old.plural == new.plural) - 0.5 * old.asked
    return score


def swap(asked: str, phrase: Phrase, new: str) -> Correction:
    if phrase.asked and words_in(new)[0] in STARTS and " " in new:
        new = new.split(None, 1)[1]
    question = asked[: phrase.start] + new + asked[phrase.end :]
    return Correction("replace", question, new=new, old=phrase.text)


def _added(asked: str, new: str) -> Correction:
    whole = asked.rstrip(" ?.!")
    return Correction("replace", f"{whole} {new}{asked[len(whole) :]}", new=new)


def replaced(asked: str, token: re.Match[str] | None, new: str) -> Correction | None:
    """`asked` with `new` in place of `token`; None where nothing would be left to ask about."""
    if token is None or not asked[token.end() :].strip(" ?") + asked[: token.start()].strip():
        return None
    following = words_in(asked[token.end() :])
    if ASKING.fullmatch(new) and (not following or following[0] not in AUXILIARIES):
        return None
    if new[:1].islower() and asked[: token.start()] == "" and asked[:1].isupper():
        new = new[0].upper() + new[1:]
    question = asked[: token.start()] + new + asked[token.end() :]
    return Correction("replace", question, new=new, old=token[0])


def _without_preposition(new: str, phrase: Phrase) -> str:
    first, _, rest = new.partition(" ")
    return rest if rest and first.casefold() == phrase.before else new
