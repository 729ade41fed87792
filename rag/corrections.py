"""What a person says to put a question right: "no, I meant the library", "not the hall", "the second one".

English alone. It works on the words, without capitals or punctuation too, as a recogniser may leave them out.
What replaces what is chosen by likeness: the same kind of thing, the same last word, the same preposition, a
similar sound. It does not know the documents, nor which passages an answer came from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

from rag.wordlists import (
    AUXILIARIES,
    ENGLISH,
    INVERTING,
    KINDS,
    MODALS,
    PREDICATES,
    PREPOSITIONS,
    QUESTION_WORDS,
    TRANSITIVE,
    VERBS,
    words,
)

Kind = Literal["replace", "ask", "other", "repeat"]

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_ARTICLES = words("the a an")
_OWNERS = words("my our your his her its their this that these those")
_STARTS = _ARTICLES | _OWNERS
_TOPIC_WORDS = PREPOSITIONS - words("like than of about")
_MORE_PREPOSITIONS = _TOPIC_WORDS | words("through inside near behind via under over")

_MODIFIERS = words(
    "last free open work show play design book order change day year time date old big"
)  # after an article; elsewhere they are verbs, or say little

_CLAUSE = (AUXILIARIES | QUESTION_WORDS) - {"may"}  # which is a month more often, in a correction
_CONTINUES = re.compile(r"(?:(?:and|but|or)\s+)?(?:(?:what|how)\s+about\s+)?", re.IGNORECASE)

_MEANT = (
    r"(?:(?:i|eye|what i)\s+(?:really\s+|actually\s+|just\s+|only\s+)?"
    r"(?:meant|mean|ment|mint|said|asked(?:\s+(?:about|for))?|was\s+(?:asking|talking|thinking)(?:\s+(?:about|of|for))?"
    r"|(?:want|wanted)\s+to\s+(?:know|ask)(?:\s+about)?|am\s+(?:asking|talking)\s+about)"
    r"|i['’]m\s+(?:asking|talking)\s+about|make\s+(?:that|it)|change\s+(?:that|it)\s+to)"
)
_DENIED = (
    r"(?:not|i\s+(?:didn['’]?t|did\s+not|don['’]?t|do\s+not)\s+(?:mean|say|want|ask(?:\s+(?:about|for))?))"
)
_COMPLAINT = (
    r"(?:(?:that['’]?s|that\s+is|that\s+was)\s+(?:not|n['’]t)\s+what\s+i\s+(?:asked|meant|said|wanted)(?:\s+(?:for|about))?"
    r"|(?:that['’]?s|that\s+is)\s+(?:wrong|(?:the\s+)?wrong\s+one|not\s+(?:it|right))|you\s+misunderstood(?:\s+me)?|not\s+that(?:\s+one)?"
    r"|i\s+did(?:n['’]?t|\s+not)\s+(?:mean|ask|say)(?:\s+for)?\s+that|(?:the\s+)?wrong\s+one)(?!\s+(?:in|of|from|with|\w+ing)\b)"
)
# The first group may be followed by anything short, the second only by what shows that it goes on.
_OPENER = re.compile(
    r"(?P<strong>no+|nope|nah|sorry|i['’]m\s+sorry|pardon(?:\s+me)?|excuse\s+me|oops|oh|ah+|u[hm]+|er+m?|hmm*"
    rf"|hang\s+on|hold\s+on|{_COMPLAINT})\b(?P<after>[\s,.;:!?–—-]*)"
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
_SHORT = 4  # words that may follow "no" without showing that they go on
_REPEAT = re.compile(
    r"""(?:(?:can|could|would|will)\s+you\s+|please\s+)*(?:
      (?:please\s+)?(?:say|repeat|read|tell\s+me)(?:\s+(?:that|it|this|yourself|the\s+answer))?
          (?:\s+(?:again|once\s+more|one\s+more\s+time|please|for\s+me))+
    | (?:please\s+)?repeat(?:\s+(?:that|it|this|yourself|the\s+answer|please))*
    | come\s+again | once\s+(?:more|again) | one\s+more\s+time | again
    | what\s+(?:did\s+you\s+(?:just\s+)?say|was\s+that|were\s+you\s+saying) | say\s+what | what | huh
    | (?:i\s+beg\s+your\s+)?pardon(?:\s+me)? | sorry | excuse\s+me
    | i\s+(?:did|could)(?:n['’]?t|\s+not)\s+(?:hear|catch|get|understand)(?:\s+(?:that|you|it))?
    )(?:\s+please)?""",
    re.IGNORECASE | re.VERBOSE,
)
_OTHER = re.compile(
    r"(?:(?:and|or|but)\s+)?(?:(?:what|how)\s+about\s+|(?:is|are)\s+there\s+|tell\s+me\s+about\s+)?"
    r"(?:(?:the|any|an|a|some)\s+)?(?:other|others|another|different)(?:\s+ones?)?(?:\s+please)?"
    rf"|{_COMPLAINT}",
    re.IGNORECASE,
)
_ORDINALS = {
    "first": 0, "former": 0, "second": 1, "latter": -1, "third": 2, "fourth": 3, "fifth": 4, "last": -1,
}  # fmt: skip
_ORDINAL = re.compile(
    rf"\bthe\s+(?P<which>{'|'.join(_ORDINALS)})"
    rf"(?:\s+ones?\b|$|(?:(?<=former)|(?<=latter))(?=\s+(?:{'|'.join(sorted(INVERTING | VERBS))})\b))",
    re.IGNORECASE,
)
_THE_ONE = re.compile(
    r"(?P<start>the|a|an|that|this)\s+(?P<like>(?:\w+\s+){0,3})ones?(?P<place>\s+\w+.*)?", re.IGNORECASE
)
_ASKING = re.compile(
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


@dataclass(frozen=True)
class _Said:
    """The words of a correction, apart from what only says that it is one."""

    new: str
    old: str = ""
    sure: bool = False  # whether something said that it is a correction


def correction(text: str, asked: str, last: str, answer: str) -> Correction | None:
    """What `text` puts right, or None where it is no correction.

    asked: the question that the conversation is about; last: the last one in full; answer: what was answered.
    """
    bare = _bare(text)
    mark = "?" if text.rstrip().endswith("?") else ""
    if _REPEAT.fullmatch(bare) or _REPEAT.fullmatch(_opened(bare)[0] or "-"):
        return Correction("repeat", last)
    said = _said(bare)
    if not _words(said.new):  # a comma is nothing new
        said = replace(said, new="")
    if said.old and not said.new:
        return Correction("other", last, old=said.old)
    if _OTHER.fullmatch(bare) or _OTHER.fullmatch(said.new):
        return Correction("other", last)
    found = _ordinal(said.new, last, answer)
    if found is None and said.new:
        found = _put_right(said, asked, last) if said.sure else _exchanged(said.new, asked)
    return replace(found, question=found.question + mark) if found and found.kind == "ask" else found


def _put_right(said: _Said, asked: str, last: str) -> Correction | None:
    new = said.new
    if named := re.fullmatch(r"the other (.+)", new, re.IGNORECASE):
        if _stem(named[1].split()[-1]) in {_stem(word) for word in asked.split()}:
            return Correction("other", last)
        new = f"the {named[1]}"
    if _ASKING.fullmatch(new):
        return _replaced(asked, _ASKING.match(asked), new) or Correction("ask", new)
    if done := _by_asked(asked, new):
        return done
    if _is_clause(new) or set(_words(new)) & ENGLISH.pronouns:
        return Correction("ask", new)
    done = (
        _by_name(asked, new, said.old)
        or _by_verb(asked, new)
        or _by_place(asked, new)
        or _by_kind(asked, new)
    )
    return done or Correction("replace", f"{new} ({asked})", new=new)


def _exchanged(text: str, asked: str) -> Correction | None:
    """ "What about children?", "to Bergen": in place of what is clearly of the same kind, else None."""
    opener = _CONTINUES.match(text)
    rest = text[opener.end() :] if opener else text
    wanted = phrases(rest)
    said = _words(rest)
    if len(wanted) != 1 or _is_clause(rest) or len(said) > _SHORT:
        return None
    whole = wanted[0].text.casefold() == rest.casefold()
    if not whole and said[0] not in _MORE_PREPOSITIONS:
        return None
    if rest == text and whole and not wanted[0].opening and len(wanted[0].named) > 2:
        return None  # "opening hours city library" is a question of its own
    same = [
        phrase
        for phrase in phrases(asked)
        if phrase.words != wanted[0].words
        and (
            (phrase.kind and phrase.kind == wanted[0].kind)
            or (phrase.head == wanted[0].head and len(phrase.named) > 1)
            or (not whole and phrase.before == said[0] and phrase.is_name and wanted[0].is_name)
        )
    ]
    if len(same) != 1:
        return None
    given = wanted[0].text if whole or same[0].before in _MORE_PREPOSITIONS else rest
    return _swap(asked, same[0], given)


# What was said


def _said(bare: str) -> _Said:
    rest, opened = _opened(bare)
    rest, closed = _closed(rest)
    hesitant = rest != bare and bool(_words(rest)) and _words(rest)[0] in _STARTS
    sure = opened or closed or (hesitant and _is_short(rest))
    if (apart := _contrast(rest)) and (sure or not _is_clause(f"{apart.new} {apart.old}")):
        return apart
    if meant := re.match(rf"{_MEANT}(?:\s+(?:was|is|to\s+say))?\b[\s,:]*(?=\w)", rest, re.IGNORECASE):
        inner = _said(rest[meant.end() :])
        return replace(inner, sure=True)
    return _Said(rest, sure=sure)


def _opened(text: str) -> tuple[str, bool]:
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
    first = _words(rest)[0] if _words(rest) else ""
    return (
        first in _STARTS | QUESTION_WORDS | AUXILIARIES | _MORE_PREPOSITIONS | _GO_ON
        or _OPENER.match(rest) is not None
    )


def _is_short(rest: str) -> bool:
    return len(_words(rest)) <= _SHORT and not _is_clause(rest)


def _is_clause(text: str) -> bool:
    return bool(set(_words(text)) & _CLAUSE)


def _closed(text: str) -> tuple[str, bool]:
    cue = False
    while closing := _CLOSING.search(text):
        cue = cue or closing["cue"] is not None
        text = text[: closing.start()]
    return text, cue


def _contrast(text: str) -> _Said | None:
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
        return _Said(new, parts[0], sure=True)
    split = re.fullmatch(
        rf"(?:{_MEANT}\s+)?(?P<new>.+?)[\s,]+(?:(?:and|but)\s+)?(?:not|instead\s+of|rather\s+than)\s+(?:about\s+)?(?P<old>.+)",
        text,
        re.IGNORECASE,
    )
    return _Said(split["new"], split["old"], sure=True) if split else None


def _ordinal(new: str, last: str, answer: str) -> Correction | None:
    """ "The second one": what the answer, or else the question, lists in that place."""
    found = _ORDINAL.search(new)
    if not found:
        return None
    whole = found[0] == new or _words(new[: found.start()]) in (["what", "about"], ["and"], ["how", "about"])
    items = listed(answer) or listed(last)
    place = _ORDINALS[found["which"].casefold()]
    if not -len(items) <= place < len(items):
        return Correction("other", last) if whole else None
    item = items[place]
    if whole:
        return Correction("replace", f"{item} ({last})", new=item)
    return Correction("ask", new[: found.start()] + item + new[found.end() :], new=item)


def listed(text: str) -> list[str]:
    """The things that a text enumerates, "the Swan, the Otter or the Heron", in their order."""
    for sentence in re.split(r"(?<=[.!?])\s+|:\s+", text):
        pieces = re.split(r",\s+(?:(?:and|or)\s+)?|\s+(?:and|or)\s+", sentence.strip(" .!?"))
        if len(pieces) < 2:
            continue
        first, final = phrases(pieces[0])[-1:], phrases(pieces[-1])[:1]
        inner = pieces[1:-1]
        if first and final and all(len(piece.split()) <= 5 for piece in inner):
            return [first[0].text, *inner, final[0].text]
    return []


# Where it goes


@dataclass(frozen=True)
class Phrase:
    """A noun phrase of a question, and what stands around it."""

    text: str
    start: int
    before: str = ""  # the word before it, lower case
    asked: bool = False  # "which museum", "how many boats"

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def words(self) -> list[str]:
        return _words(self.text)

    @property
    def head(self) -> str:
        return _stem(self.words[-1])

    @property
    def named(self) -> list[str]:
        """Its words without article."""
        return [word for word in self.words if word not in _STARTS]

    @property
    def opening(self) -> str:
        """What kind of word begins it."""
        first = self.words[0]
        return "the" if first == "the" else "a" if first in _ARTICLES else "my" if first in _OWNERS else ""

    @property
    def kind(self) -> str:
        return next((kind for kind, members in KINDS.items() if self.head in members), _number(self.named))

    @property
    def is_name(self) -> bool:
        return any(word[0].isupper() for word in self.text.split() if word.casefold() not in _STARTS)

    @property
    def plural(self) -> bool:
        return self.words[-1].endswith("s") and not self.words[-1].endswith("ss")


def phrases(text: str) -> list[Phrase]:
    """The noun phrases of an English question, each without what hangs on it by a preposition."""
    found: list[Phrase] = []
    run: list[re.Match[str]] = []
    before, previous = "", ""
    modal = False
    tokens = list(_WORD.finditer(text))
    for token in [*tokens, None]:
        word = token[0].casefold() if token else ""
        cut = token is None or (
            run and re.search(r"[,;:?!()]", text[run[-1].end() : token.start()]) is not None
        )
        starts = word in _STARTS and not (len(run) == 1 and not cut and _is_gerund(run[0][0]))
        inside = bool(word) and not cut and not starts
        inside = inside and (word in _STARTS or _names_something(word, previous))
        if inside and (run or not starts):
            before = before if run else previous
            run = [*run, token] if token else run
        else:
            subject = modal and not any(p.start > 0 and not p.asked for p in found)
            later = token is not None and bool(VERBS & set(_words(text[token.start() :])))
            found += _phrase(text, run, before, subject and not later, word)
            run, before = ([token] if starts and token else []), previous
            if token and cut and _names_something(word, previous):
                run = [token]
        modal = modal or word in MODALS
        previous = word
    return found


def _names_something(word: str, previous: str) -> bool:
    if previous == "who" or (previous in PREDICATES and previous != "one"):
        return False
    if word == "may":
        return previous in _MORE_PREPOSITIONS
    if word in _MODIFIERS and previous in _STARTS:
        return True
    return word not in ENGLISH.function and word not in VERBS and word not in _MORE_PREPOSITIONS


def _phrase(
    text: str, run: Sequence[re.Match[str]], before: str, subject: bool, following: str
) -> list[Phrase]:
    """`run` as a phrase, or as two around the verb that follows a subject: "did the Huguenots settle"."""
    if not [each for each in run if each[0].casefold() not in _STARTS]:
        return []
    kept = list(run)
    verb = _verb_of(kept, following) if subject else None
    if verb is not None:
        rest = _phrase(text, kept[verb + 1 :], kept[verb][0].casefold(), False, following)
        return _phrase(text, kept[:verb], before, False, following) + rest
    if len(kept) > 1 and re.search(r"(?<!e)ed$", kept[-1][0]) and kept[-1][0].islower():
        kept.pop()
        return _phrase(text, kept, before, False, "")
    asked = before in {"what", "which", "whose", "many"}
    return [Phrase(text[kept[0].start() : kept[-1].end()], kept[0].start(), before, asked)]


def _verb_of(run: Sequence[re.Match[str]], following: str) -> int | None:
    """Where in the words after "did" the subject ends and the verb is, if it is among them."""
    named = [at for at, each in enumerate(run) if each[0].casefold() not in _STARTS]
    for earlier, at in pairwise(named):
        before, word = run[earlier][0], run[at][0]
        plural = before.casefold().endswith("s") and not word.endswith("s")
        if word.islower() and (word in TRANSITIVE or before[0].isupper() or (plural and at != named[-1])):
            return at
    ends = len(named) > 1 and following not in VERBS | AUXILIARIES and run[-1][0].islower()
    return named[-1] if ends else None


def _is_gerund(word: str) -> bool:
    return word.islower() and len(word) > 5 and word.endswith("ing")


def _by_name(asked: str, new: str, old: str) -> Correction | None:
    """Where it was said what is to be replaced."""
    wanted = [_stem(word) for word in _words(old) if word not in _STARTS | PREPOSITIONS]
    if not wanted:
        return None
    for phrase in phrases(asked):
        if {_stem(word) for word in phrase.named} & set(wanted):
            return _swap(asked, phrase, _without_preposition(new, phrase))
    for token in _WORD.finditer(asked):
        if _stem(token[0].casefold()) in wanted:
            return _replaced(asked, token, new)
    return None


def _by_asked(asked: str, new: str) -> Correction | None:
    """ "No, how many words": in place of "how many pages"."""
    wanted = phrases(new)
    if len(wanted) != 1 or not wanted[0].asked or wanted[0].end != len(new):
        return None
    phrase = next((phrase for phrase in phrases(asked) if phrase.asked), None)
    return _swap(asked, phrase, wanted[0].text) if phrase else None


def _by_verb(asked: str, new: str) -> Correction | None:
    """ "No, close": a verb for the verb."""
    said = _words(new)
    if len(said) != 1 or said[0] not in VERBS:
        return None
    taken = [(phrase.start, phrase.end) for phrase in phrases(asked)]
    verbs = [
        token
        for token in _WORD.finditer(asked)
        if token[0].casefold() in VERBS or not _is_covered(token, taken)
        if token[0].casefold() not in ENGLISH.function | MODALS
    ]
    return _replaced(asked, verbs[-1], new) if verbs else None


def _is_covered(token: re.Match[str], taken: Sequence[tuple[int, int]]) -> bool:
    return any(start <= token.start() < end for start, end in taken)


def _by_place(asked: str, new: str) -> Correction | None:
    """ "For children", "from the hospital": after the same preposition, else in place of the same kind."""
    said = _words(new)
    if len(said) < 2 or said[0] not in _MORE_PREPOSITIONS:
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
        return _swap(asked, alike[-1], inner)
    of_kind = [phrase for phrase in found if kind and phrase.kind == kind]
    if of_kind:
        phrase = of_kind[-1]
        given = new if phrase.before not in _MORE_PREPOSITIONS else inner
        return _swap(asked, phrase, given)
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
    return _swap(asked, ranked[0][1], new)


def _by_one(asked: str, found: Sequence[Phrase], one: re.Match[str]) -> Correction | None:
    """ "The small one", "the one in the old town": the same thing, of another kind or elsewhere."""
    things = [p for p in found if not p.kind.startswith(("time", "number", "attribute"))] or list(found)
    if not things:
        return None
    phrase = next((p for p in things if len(p.named) > 1), things[-1])
    noun = (
        phrase.text.split()[-1]
        if one["like"]
        else " ".join(word for word in phrase.text.split() if word.casefold() not in _STARTS)
    )
    text = f"{one['start']} {one['like'] or ''}{noun}{one['place'] or ''}"
    return _swap(asked, phrase, text)


def _likeness(old: Phrase, new: Phrase) -> float:
    """How well `new` would stand where `old` does."""
    if old.words == new.words:
        return -100
    shared = {_stem(word) for word in old.named} & {_stem(word) for word in new.named}
    score = 5.0 * (old.head == new.head) + 3.0 * bool(shared)
    if old.kind or new.kind:
        score += 5.0 if old.kind == new.kind else -2.5 if "time" in (old.kind, new.kind) else -1.0
    alike = SequenceMatcher(None, " ".join(old.named), " ".join(new.named)).ratio()
    score += 4.0 * alike if alike >= 0.6 else 0.0
    score += 2.0 * (old.is_name == new.is_name) + 2.0 * (old.opening == new.opening)
    score += 1.0 * (old.plural == new.plural) - 0.5 * old.asked
    return score


def _swap(asked: str, phrase: Phrase, new: str) -> Correction:
    if phrase.asked and _words(new)[0] in _STARTS and " " in new:
        new = new.split(None, 1)[1]
    question = asked[: phrase.start] + new + asked[phrase.end :]
    return Correction("replace", question, new=new, old=phrase.text)


def _added(asked: str, new: str) -> Correction:
    whole = asked.rstrip(" ?.!")
    return Correction("replace", f"{whole} {new}{asked[len(whole) :]}", new=new)


def _replaced(asked: str, token: re.Match[str] | None, new: str) -> Correction | None:
    """`asked` with `new` in place of `token`; None where nothing would be left to ask about."""
    if token is None or not asked[token.end() :].strip(" ?") + asked[: token.start()].strip():
        return None
    following = _words(asked[token.end() :])
    if _ASKING.fullmatch(new) and (not following or following[0] not in AUXILIARIES):
        return None
    if new[:1].islower() and asked[: token.start()] == "" and asked[:1].isupper():
        new = new[0].upper() + new[1:]
    question = asked[: token.start()] + new + asked[token.end() :]
    return Correction("replace", question, new=new, old=token[0])


def _without_preposition(new: str, phrase: Phrase) -> str:
    first, _, rest = new.partition(" ")
    return rest if rest and first.casefold() == phrase.before else new


def _number(named: Sequence[str]) -> str:
    return "number" if named and named[-1].isdigit() else ""


def _stem(word: str) -> str:
    lower = re.sub(r"['’]s?$", "", word.casefold().strip("?.,!"))
    return lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith("ss") else lower


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _bare(text: str) -> str:
    return " ".join(text.split()).strip(" .?!,;…")
