"""What a person says to put a question right: "no, I meant the library", "not the hall", "the second one".

English alone. It works on the words, without capitals or punctuation too, as a recogniser may leave them out.
It does not know the documents, nor which passages an answer came from.
"""

from __future__ import annotations

import re
from dataclasses import replace

from rag.correction_cues import COMPLAINT, SHORT, Said, is_clause, said_in, without_opening
from rag.correction_place import ASKING, Correction, by_asked, placed, replaced, swap
from rag.phrases import TOPIC_PREPOSITIONS, phrases, stem, words_in
from rag.wordlists import ENGLISH, INVERTING, VERBS

_CONTINUES = re.compile(r"(?:(?:and|but|or)\s+)?(?:(?:what|how)\s+about\s+)?", re.IGNORECASE)
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
    rf"|{COMPLAINT}",
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


def correction(text: str, asked: str, last: str, answer: str) -> Correction | None:
    """What `text` puts right, or None where it is no correction.

    asked: the question that the conversation is about; last: the last one in full; answer: what was answered.
    """
    bare = _bare(text)
    mark = "?" if text.rstrip().endswith("?") else ""
    if _REPEAT.fullmatch(bare) or _REPEAT.fullmatch(without_opening(bare)[0] or "-"):
        return Correction("repeat", last)
    said = said_in(bare)
    if not words_in(said.new):  # a comma is nothing new
        said = replace(said, new="")
    if said.old and not said.new:
        return Correction("other", last, old=said.old)
    if _OTHER.fullmatch(bare) or _OTHER.fullmatch(said.new):
        return Correction("other", last)
    found = _ordinal(said.new, last, answer)
    if found is None and said.new:
        found = _put_right(said, asked, last) if said.sure else _exchanged(said.new, asked)
    return replace(found, question=found.question + mark) if found and found.kind == "ask" else found


def _put_right(said: Said, asked: str, last: str) -> Correction | None:
    new = said.new
    if named := re.fullmatch(r"the other (.+)", new, re.IGNORECASE):
        if stem(named[1].split()[-1]) in {stem(word) for word in asked.split()}:
            return Correction("other", last)
        new = f"the {named[1]}"
    if ASKING.fullmatch(new):
        return replaced(asked, ASKING.match(asked), new) or Correction("ask", new)
    if done := by_asked(asked, new):
        return done
    if is_clause(new) or set(words_in(new)) & ENGLISH.pronouns:
        return Correction("ask", new)
    return placed(asked, new, said.old) or Correction("replace", f"{new} ({asked})", new=new)


def _exchanged(text: str, asked: str) -> Correction | None:
    """ "What about children?", "to Bergen": in place of what is clearly of the same kind, else None."""
    opener = _CONTINUES.match(text)
    rest = text[opener.end() :] if opener else text
    wanted = phrases(rest)
    said = words_in(rest)
    if len(wanted) != 1 or is_clause(rest) or len(said) > SHORT:
        return None
    whole = wanted[0].text.casefold() == rest.casefold()
    if not whole and said[0] not in TOPIC_PREPOSITIONS:
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
    given = wanted[0].text if whole or same[0].before in TOPIC_PREPOSITIONS else rest
    return swap(asked, same[0], given)


def _ordinal(new: str, last: str, answer: str) -> Correction | None:
    """ "The second one": what the answer, or else the question, lists in that place."""
    found = _ORDINAL.search(new)
    if not found:
        return None
    before = words_in(new[: found.start()])
    whole = found[0] == new or before in (["what", "about"], ["and"], ["how", "about"])
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


def _bare(text: str) -> str:
    return " ".join(text.split()).strip(" .?!,;…")
