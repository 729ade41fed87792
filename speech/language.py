"""Which language a sentence is in, so that a voice that speaks it can read it.

py3langid judges (byte n-grams, a few MB, no network), among the languages that voices are common for and
the one that is spoken already. Short or mixed text is hard to tell: unless the judgement is sure, the
language that is already spoken stays. It does not know which voices there are.
"""

from __future__ import annotations

import math
import re
import threading
from functools import cache
from typing import Any

_SURE = 0.8  # probability
_CODES = (
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk "
    "sl sr sv ta th tr uk ur vi zh"
)
_COMMON = frozenset(_CODES.split())
_LETTERS = 12  # a Latin text with fewer letters is not judged
_LOCK = threading.Lock()


def guess_language(text: str, otherwise: str = "en") -> str:
    """The language of `text`, ISO 639-1; `otherwise` where it cannot be told."""
    letters = sum(char.isalpha() for char in text)
    if not letters or (letters < _LETTERS and re.search(r"[A-Za-z]", text)):
        return otherwise
    spoken = _plain(otherwise)
    with _LOCK:
        ranked = [(code, score) for code, score in _identifier().rank(text) if code in _COMMON | {spoken}]
    language, best = ranked[0]
    if 1 / sum(math.exp(score - best) for _, score in ranked) < _SURE:
        return otherwise
    return otherwise if language == spoken else str(language)


def language_name(code: str) -> str:
    """A language for a person to read: "eo" → "Esperanto (eo)"."""
    from babel import Locale

    name = Locale.parse("en").languages.get(_plain(code))
    return f"{name} ({code})" if name else f"the language {code!r}"


def _plain(code: str) -> str:
    return code.replace("_", "-").lower().partition("-")[0]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
