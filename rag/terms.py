"""Text → stemmed terms, and how much of a question a text's terms cover. It knows no index, no passage.

BM25 counts these same terms (`rag.store_text`), so what one search finds, the other's score sees. A text is
stemmed as the language that its function words are of; a word of a question, which is too short to tell, may
be any language's. Besides its words a text has what is written with digits: "XJ-4400/B" whole and in its
parts, "FY2018" also as 2018, "1,250" also as 1250.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from rag.function_words import FUNCTION_WORDS
from rag.spelling import nearest

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
# What is one thing though marks stand in it: a part number, a date, a paragraph's number, an amount.
_JOINED = re.compile(r"[^\W_]+(?:[-/._:,'’][^\W_]+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:([.,'’])\d{3})(?:\1\d{3})*")
_PIECE = re.compile(r"\d+|[^\W\d_]+")
_FISCAL = re.compile(r"\b[FC]Y ?['’]?((?:\d\d)?\d\d)\b")  # "FY2018", "FY 18": a year
_BESIDE = "'’?!.,;:¿¡("  # what stands between words, or at one
_MARKS = re.compile(r"[-/_:,'’]")


ENGLISH = "english"
_UNSTEMMED = frozenset({"polish"})
_REMEMBERED = 200_000  # words of each language whose terms are kept
_READ = 600  # characters that tell a text's language
_LEAST = 3  # function words that a guess of the language rests on
_JOINED_LIKENESS = 0.8  # from which two words are one that was torn: "el wood"
_LEAD = 1.3  # how many times as many as English has


@dataclass(frozen=True)
class Word:
    """One word of a question, as the texts of any language may have it."""

    text: str  # lower case, without accents
    terms: frozenset[str]  # a text that has one of these has the word
    likeness: float = 1.0  # less than 1: it was taken for another, by its spelling or sound

    def __hash__(self) -> int:
        return hash(self.text)


def terms(text: str, language: str | None = None) -> list[str]:
    """The terms of `text`: lower case, without accents, stemmed as `language`, by default its own.

    English plurals become singular. What is written with digits comes after the words.
    """
    return _stemmed(text, language or language_of(text)) + _codes(text)


def term_set(text: str, language: str | None = None) -> frozenset[str]:
    """The distinct terms of `text`, much faster than `terms` where its words have been seen before."""
    known = _known(language or language_of(text))
    return frozenset(chain.from_iterable(map(known.__getitem__, text.split())))


class _Known(dict[str, list[str]]):
    """The terms of each word of a language that has been seen; a plain dictionary is quicker than a cache."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, word: str) -> list[str]:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[word] = terms(word, self._language)
        return found


_known = cache(_Known)


def language_of(text: str) -> str:
    """The language (a key of FUNCTION_WORDS) that most of the text's function words are of; else English."""
    counted = _counted(text[:_READ])
    if not counted:
        return ENGLISH
    name, most = counted.most_common(1)[0]
    return name if most >= _LEAST and most > _LEAD * counted[ENGLISH] else ENGLISH


def question_words(question: str) -> list[Word]:
    """The distinct words that an answer would share; function words only where it has no others."""
    question = _FISCAL.sub(lambda match: f" {'20' * (len(match[1]) == 2)}{match[1]}", question)
    words: dict[frozenset[str], Word] = {}
    stop = _stop_words(question)
    rest: dict[frozenset[str], Word] = {}
    for token in _plain()(question):
        word = Word(token, _variants(token))
        (rest if token in stop else words).setdefault(word.terms, word)
    for code in _codes(question):
        words.setdefault(frozenset([code]), Word(code, frozenset([code])))
    return list((words or rest).values())


def term_weights(question: str, texts: Collection[Set[str]]) -> dict[Word, float]:
    """The question's words → their share of its inverse document frequency in `texts`, sets of terms.

    A word that no text holds is taken for the one that it is most like. If there is none, it weighs most: it
    is the best sign that the answer is not there.
    """
    wanted = _meant(question_words(question), texts)
    frequency = {word: sum(not word.terms.isdisjoint(text) for text in texts) for word in wanted}
    weight = {word: idf(frequency[word], len(texts)) for word in wanted}
    mass = sum(weight.values())
    return {word: each / mass for word, each in weight.items()}


def idf(having: int, texts: int) -> float:
    """Inverse document frequency of a word that `having` of `texts` have, as BM25 reckons it, in nats."""
    return math.log(1 + (texts - having + 0.5) / (having + 0.5))


def coverage(weights: Mapping[Word, float], text: Set[str]) -> float:
    """How much of the weight the terms of `text` cover; all of it is 1 for `term_weights`."""
    return sum(weight * word.likeness for word, weight in weights.items() if not word.terms.isdisjoint(text))


def _meant(words: list[Word], texts: Collection[Set[str]]) -> list[Word]:
    """The words; for those that no text has, what they are most like, alone or with the word before."""
    missing = {word for word in words if all(word.terms.isdisjoint(text) for text in texts)}
    vocabulary = frozenset[str]().union(*texts) if missing else frozenset[str]()
    meant: list[Word] = []
    for word in words:
        joined = meant[-1].text + word.text if meant and (word in missing or meant[-1] in missing) else ""
        if joined and (both := _alike(joined, vocabulary)) and both.likeness > _JOINED_LIKENESS:
            meant[-1] = both
        else:
            meant.append((_alike(word.text, vocabulary) or word) if word in missing else word)
    return list(dict.fromkeys(meant))


def _alike(text: str, vocabulary: Set[str]) -> Word | None:
    found: dict[str, float] = {}
    for form in {text, *_stemmed(text, ENGLISH)}:
        found |= nearest(form, vocabulary)
    best = max(found.values(), default=0.0)
    return Word(text, frozenset(each for each in found if found[each] == best), best) if found else None


def _codes(text: str) -> list[str]:
    """What a token with digits is besides its words: whole, without marks, and letters and digits apart."""
    tokens = [token for token in text.split() if not token.isalpha() and any(map(str.isdigit, token))]
    return [
        code for token in tokens for joined in _JOINED.findall(token) for code in _codes_of(joined.lower())
    ]


def _codes_of(joined: str) -> Iterator[str]:
    whole = _MARKS.sub("", joined)
    if _THOUSANDS.fullmatch(joined):
        yield re.sub(r"\D", "", joined)
    elif whole != joined or "." in joined:
        yield whole
    for part in re.split(r"[^\w]", joined):
        pieces = _PIECE.findall(part)
        if len(pieces) > 1:
            yield from (piece for piece in pieces if len(piece) > 1)


def _stemmed(text: str, language: str) -> list[str]:
    found = _analyzer(language)(text)
    if language != ENGLISH:
        return found
    singulars = _singulars()
    return [singulars.get(term, term) for term in found]


@lru_cache(4096)
def _variants(token: str) -> frozenset[str]:
    """The terms of one word in every language."""
    return frozenset(term for language in FUNCTION_WORDS for term in _stemmed(token, language))


@cache
def function_words(language: str) -> frozenset[str]:
    """The words of FUNCTION_WORDS[language], as they are written."""
    return frozenset(FUNCTION_WORDS[language].split())


def _stop_words(question: str) -> frozenset[str]:
    """The function words of the question's language; short as it is, two are enough."""
    counted = _counted(question)
    best = max(counted, key=lambda name: (counted[name], name == ENGLISH), default=ENGLISH)
    return _words_of(best)


def _counted(text: str) -> Counter[str]:
    """How many different function words of each language the text has."""
    known, text = _languages(), text.lower()
    for mark in _BESIDE:  # much quicker than a pattern
        text = text.replace(mark, " ")
    found = known.keys() & text.split()
    return Counter(chain.from_iterable(map(known.__getitem__, found)))


@cache
def _words_of(language: str) -> frozenset[str]:
    return frozenset(_plain()(FUNCTION_WORDS[language]))


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Each function word → the languages that it is of."""
    found: dict[str, list[str]] = {}
    for language, words in FUNCTION_WORDS.items():
        for word in dict.fromkeys(words.split()):
            found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


@cache
def _singulars() -> dict[str, str]:
    """The stem of each plural in the table → that of its singular."""
    stems = iter(_analyzer(ENGLISH)(_PLURALS))
    return dict(zip(stems, stems, strict=True))


@cache
def _plain() -> Callable[[str], list[str]]:
    import tantivy

    return _built(_WORD, tantivy.Filter.lowercase(), tantivy.Filter.ascii_fold())


@cache
def _analyzer(language: str) -> Callable[[str], list[str]]:
    import tantivy

    filters = [tantivy.Filter.lowercase()]
    if language == ENGLISH:  # its stemmer knows no accents: "café" and "cafes"
        filters += [tantivy.Filter.ascii_fold(), tantivy.Filter.stemmer(ENGLISH)]
    elif language in _UNSTEMMED:
        filters += [tantivy.Filter.ascii_fold()]
    else:
        filters += [tantivy.Filter.stemmer(language), tantivy.Filter.ascii_fold()]
    return _built(_WORD, *filters)


def _built(pattern: str, *filters: Any) -> Callable[[str], list[str]]:
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(pattern))
    for step in (tantivy.Filter.remove_long(_LONGEST), *filters):
        builder = builder.filter(step)
    analyze: Callable[[str], list[str]] = builder.build().analyze
    return analyze
