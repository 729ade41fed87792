"""Text → stemmed terms, and how much of a question a text's terms cover. It knows no index, no passage.

BM25 counts these same terms (`rag.store_text`), so what one search finds, the other's score sees.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Set
from functools import cache, lru_cache
from itertools import chain

# English words that a question is made of, whatever it asks for; the usual stop lists have no "what".
_FUNCTION_WORDS = """
    a about an and any are as at be been being but by can could did do does for from had has have having
    he her him his how i if in into is it its many may me might much must my no nor not of on or our
    shall she should so some than that the their them then there these they this those to us was we were
    what when where which who whom whose why will with would you your
"""
# Plurals that no stemmer takes to their singular. Left out is what is, or is stemmed like, a form of another
# word: leaves, lives, bases, axes, data, media; indices (indicate), vertices (vertical), theses (these).
_PLURALS = """
    children/child grandchildren/grandchild schoolchildren/schoolchild stepchildren/stepchild
    people/person feet/foot teeth/tooth mice/mouse lice/louse geese/goose oxen/ox men/man women/woman
    businessmen/businessman businesswomen/businesswoman chairmen/chairman craftsmen/craftsman
    firemen/fireman fishermen/fisherman gentlemen/gentleman policemen/policeman policewomen/policewoman
    salesmen/salesman sportsmen/sportsman statesmen/statesman workmen/workman
    calves/calf elves/elf halves/half hooves/hoof knives/knife loaves/loaf scarves/scarf shelves/shelf
    thieves/thief wives/wife wolves/wolf
    alumni/alumnus analyses/analysis bacteria/bacterium cacti/cactus crises/crisis criteria/criterion
    curricula/curriculum diagnoses/diagnosis fungi/fungus hypotheses/hypothesis matrices/matrix
    nuclei/nucleus parentheses/parenthesis phenomena/phenomenon radii/radius stimuli/stimulus
    syntheses/synthesis
"""
_LONGEST = 60  # characters of a term; what is longer is no word
# Scripts that put no space between words are taken character by character; all else word by word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]&&[^{_UNSPACED}]]+"


def terms(text: str) -> list[str]:
    """The terms of `text` in order: lower case, without accents, singular, stemmed as English."""
    singulars = _singulars()
    return [singulars.get(term, term) for term in _analyzer()(text)]


def term_set(text: str) -> frozenset[str]:
    """The distinct terms of `text`, three times as fast as `terms` where its words are known."""
    return frozenset(chain.from_iterable(map(_terms_of, set(text.split()))))


@lru_cache(1 << 16)
def _terms_of(word: str) -> tuple[str, ...]:
    return tuple(terms(word))


def question_terms(question: str) -> list[str]:
    """The distinct terms that an answer would share; function words only where it has no others."""
    distinct = list(dict.fromkeys(terms(question)))
    return [term for term in distinct if term not in _stop_terms()] or distinct


def term_weights(question: str, texts: Collection[Set[str]]) -> dict[str, float]:
    """The question's terms → their share of its inverse document frequency in `texts`, sets of terms.

    A term that no text holds weighs most: it is the best sign that the answer is not there.
    """
    wanted = question_terms(question)
    frequency = Counter(term for text in texts for term in wanted if term in text)
    absent = {term: len(texts) - frequency[term] + 0.5 for term in wanted}
    weight = {term: math.log(1 + absent[term] / (frequency[term] + 0.5)) for term in wanted}
    mass = sum(weight.values())
    return {term: each / mass for term, each in weight.items()}


def coverage(weights: Mapping[str, float], text: Set[str]) -> float:
    """How much of the question the terms of `text` cover, 0 to 1. `weights`: from `term_weights`."""
    return sum(weight for term, weight in weights.items() if term in text)


@cache
def _stop_terms() -> frozenset[str]:
    return frozenset(terms(_FUNCTION_WORDS))


@cache
def _singulars() -> dict[str, str]:
    """The stem of each plural in the table → that of its singular."""
    stems = iter(_analyzer()(_PLURALS))
    return dict(zip(stems, stems, strict=True))


@cache
def _analyzer() -> Callable[[str], list[str]]:
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORD))
    for step in (
        tantivy.Filter.remove_long(_LONGEST),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    analyze: Callable[[str], list[str]] = builder.build().analyze
    return analyze
