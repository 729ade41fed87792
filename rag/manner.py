"""How an answer is wished ("Explain in detail.", "bitte kurz"), which says nothing of what to look for.

It knows English and German; what it does not know is searched for as before.
"""

from __future__ import annotations

import re

_ENGLISH = r"""
    (?:please\W+)? (?:(?:can|could|would)\ you\ )?
    (?:(?:explain|answer|describe|elaborate|summari[sz]e|list|say|write|put|keep|be|make)\b
       (?:\ (?:it|this|that|them|me|the\ answer|your\ answer|to\ me))* \s*)?
    (?:(?:in\ (?:more\ |great\ |full\ |some\ )?details?|in\ short|in\ brief|briefly|shortly|concisely|brief
          |short|concise|thoroughly|precisely|exactly|simply|simple|step\ by\ step
          |as\ (?:briefly|short|brief|simply)\ as\ possible
          |in\ (?:one|a|two|three|a\ few)(?:\ (?:short|simple))?\ (?:sentences?|words|lines|paragraphs?)
          |in\ (?:simple|plain|your\ own)\ (?:words|terms|english|language)|as\ a\ list|in\ bullet\ points)
       (?:\W+(?:and|but)\W+)? \s*)+
    (?:\W*please)?
"""
_GERMAN = r"""
    (?:bitte\W+)?
    (?:(?:erkläre?|erklären\ sie|antworte|antworten\ sie|beschreibe?|beschreiben\ sie|fasse|fass)\b
       (?:\ (?:es|das|mir|dies))* \s*)?
    (?:bitte\W+)?
    (?:(?:ausführlich|genau|im\ detail|in\ allen\ einzelheiten|kurz|knapp|kurz\ und\ knapp|in\ kurzen\ worten
          |schritt\ für\ schritt|in\ (?:einem|zwei|drei|wenigen)\ (?:sätzen|satz|worten)|einfach|als\ liste)
       (?:\W+und\W+)? \s*)+
    (?:\W*(?:bitte|zusammen))?
"""
_MANNER = re.compile(rf"\W*(?:{_ENGLISH}|{_GERMAN})\W*", re.IGNORECASE | re.VERBOSE)
_LONGEST = 80  # characters of a sentence that is looked at
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


def without_manner(question: str) -> str:
    """The question without those of its sentences that only say how to answer; never nothing."""
    parts = _SENTENCES.split(question)
    kept = [part for part in parts if len(part) > _LONGEST or not _MANNER.fullmatch(part)]
    return " ".join(kept) if kept and len(kept) < len(parts) else question
