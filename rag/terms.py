"""Text → stemmed terms, for comparing words beyond what an index answers. It knows no index, no ranking."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

# English words that a question is made of, whatever it asks for; the usual stop lists have no "what".
_FUNCTION_WORDS = """
    a about an and any are as at be been being but by can could did do does for from had has have having
    he her him his how i if in into is it its many may me might much must my no nor not of on or our
    shall she should so some than that the their them then there these they this those to us was we were
    what when where which who whom whose why will with would you your
"""
_LONGEST = 60  # characters of a term; what is longer is no word
_IDEOGRAPH = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")  # written without spaces


def terms(text: str) -> list[str]:
    """The stemmed terms of `text` in order, lower case; each ideograph and kana is a term of its own."""
    return _analyzer()(_IDEOGRAPH.sub(r" \1 ", text))


def question_terms(question: str) -> list[str]:
    """The distinct terms that an answer would share; function words only where it has no others."""
    distinct = list(dict.fromkeys(terms(question)))
    return [term for term in distinct if term not in _stop_terms()] or distinct


@cache
def _stop_terms() -> frozenset[str]:
    return frozenset(terms(_FUNCTION_WORDS))


@cache
def _analyzer() -> Callable[[str], list[str]]:
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(_LONGEST),
        tantivy.Filter.lowercase(),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    analyze: Callable[[str], list[str]] = builder.build().analyze
    return analyze
