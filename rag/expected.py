"""A question → what a sentence that answers it would show: an amount, a time, a number, a name.

A soft hint in English alone, from the question word and the look of the text; for any other question there is
none. It knows no passages.
"""

from __future__ import annotations

import re

_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|half|dozen"
)
_CLOCK = r"\d{1,2}[:.]\d\d|\d\s?[ap]\.?m\b|\b(?:noon|midnight|o.clock)\b"

_MONEY = re.compile(r"[$€£¥]|\b(?:euros?|dollars?|pounds?|cents?|francs?|yen|free)\b", re.IGNORECASE)
_HOUR = re.compile(_CLOCK, re.IGNORECASE)
_TIME = re.compile(
    rf"(?i:{_CLOCK}|\b(?:1\d|20)\d\d\b|\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|{_MONTHS}|century)\b)"
    r"|\bMay\b"
)
_NUMBER = re.compile(rf"\d|\b(?:{_NUMBERS})\b", re.IGNORECASE)
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z]\w")  # a capital that does not begin the sentence

_HOW = "many|much|long|old|far|big|high|tall|wide|deep|often|large|warm|early|late|fast|heavy"
_KINDS = [  # the first that the question matches
    (r"\bhow much\b.*\b(?:costs?|is|are|pay|charge)\b|\b(?:costs?|price|fee|pay)\b", _MONEY),
    (r"\b(?:what|which) (?:time|hour)\b", _HOUR),
    (rf"\bhow (?:{_HOW})\b", _NUMBER),
    (r"\b(?:what|which) (?:percent\w*|number)\b", _NUMBER),
    (r"\bwhen\b|\b(?:what|which) (?:days?|date|months?|year|century)\b", _TIME),
    (r"\b(?:who|whom|whose|where)\b", _NAME),
]
_ASKED = [(re.compile(asked, re.IGNORECASE), shown) for asked, shown in _KINDS]


def expected(question: str) -> re.Pattern[str] | None:
    """What to search a sentence for, or None where the question does not tell."""
    return next((shown for asked, shown in _ASKED if asked.search(question)), None)
