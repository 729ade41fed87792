"""What the documents teach a recogniser: PocketSphinx its words and their order, Whisper a hint.

The language model is `pocketsphinx.lm`'s, made from the documents' sentences, from the ways in which
questions begin, and from the commonest English words; the dictionary is CMU's, with espeak-ng's
pronunciation for the words that it lacks. It knows nothing of stores or recordings: texts go in, files come
out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from speech import asr_phonemes

logger = logging.getLogger(__name__)

MAX_WORDS = (
    250_000  # of running text; beyond it an even sample of the sentences, so that building stays quick
)
MAX_VOCABULARY = 20_000
_COMMON_WORDS = 1_000
_COMMON_SHARE = 0.1  # of the probability that the documents' words have together
_FRAME_WEIGHT = 6
_FORMAT = "2"  # in the cache key: raise it when what is written changes
_FOLDER = "recogniser-words"  # of our own: what is old in it is deleted

# How spoken questions and requests begin. Documents seldom ask.
_FRAMES = """
am i|am i allowed to|and how|and how long|and how much|and what|and when|and where|and who|and why|are the
are there|are there any|are we allowed to|at what time|at what time does|by when|can i|can i change
can i change the|can i get|can i pay|can i take|can i take my|can we|can you|can you tell me|compare the
could i|could you tell me|describe the|did he|did she|did the|did they|do i|do i have to|do i need to|do the
do they|do you have|does a|does it|does the|explain|explain how|explain the|find the|for how long
for how long is|from when|from when on|from where|from which|give me the|has anyone|has the|have you|how big
how big is the|how can i|how can we|how cold|how deep is the|how did|how did the|how do i|how do we|how does
how does the|how early|how far|how far is|how far is it|how far is it from|how fast|how has|how have
how heavy is|how high|how high is|how is|how is the|how large|how late|how long|how long are|how long can
how long can i|how long did|how long does|how long does the|how long has|how long have|how long is the
how long will|how many|how many are|how many does|how many of the|how many people|how much|how much did
how much do|how much does|how much does it cost|how much does the|how much is|how much is a|how much is the
how often|how often do|how often does|how often is|how old|how old is the|how old was|how should|how soon
how tall is|how tall is the|how was|how was the|how wide is the|how would|i want to know
i would like to know|in what|in what year did the|in which|in which room|in which year|is it|is the|is there
is there a|is there any|list the|may children|may i|may the|may we|must i|must we|on what day|on which day
on which days|on which days is the|please tell me|should i|show me|show me the|since when|since when is
tell me|tell me about|tell me about the|tell me how|tell me when|tell me where|to which|to whom|until when
until when can i|until when is|was it|was the|were there|what about|what about the|what are|what are the
what can|what can i do|what can we|what city|what color|what country|what did|what did the|what do|what do i
what do i do|what do i need|what does a|what does it|what does the|what else|what else is|what happened
what happens|what happens if|what happens when|what has|what have|what if|what is a|what is in|what is on
what is the|what is the name of the|what kind of|what makes|what may|what must|what must i|what must i do
what percentage of|what should|what should i|what should i do|what size|what time|what time do the
what time does the|what time is|what type of|what was|what was the|what was the name of the|what were
what were the|what will|what would|what year did|what year was the|when are the|when can i|when can we
when did|when did the|when do|when do the|when does|when does it|when does it close|when does it open
when does the|when has|when is|when is it|when is the last|when must i|when should i|when was|when was it
when was the|when were the|when will|when will the|where are the|where can i|where can we|where could i
where did|where did the|where do i|where do we|where does|where have|where is|where is the|where should i
where was|where was the|where were|which|which day|which days|which is the|which of|which of the|which one
who are the|who can|who did|who do i|who does|who had|who has|who is|who is the|who may|who was|who was the
who were the|who will|who won the|who wrote|whom can i|whom do i|whom should i|whose|whose is|why are
why did the|why do|why do the|why does|why does the|why is|why is the|why must|why was|why was the|why would
with whom
"""

_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n\s*\n|\f")
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
_MONEY = re.compile(r"([$€£])\s?(\d[\d.,]*\d|\d)((?:\s(?:thousand|million|billion|trillion))?)")
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_TOKEN = re.compile(
    r"(?P<number>\d+(?:,\d{3})+(?!\d)|\d+)(?P<tail>\.\d+|st\b|nd\b|rd\b|th\b|s\b)?"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
)
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-Þ][\w’'-]*\w(?: [A-ZÀ-ÖØ-Þ][\w’'-]*\w){0,2}")


@dataclass(frozen=True)
class Vocabulary:
    """A language model and dictionary on disk, and how numbers are written in the documents."""

    model: Path  # n-grams, in ARPA's format
    dictionary: Path  # word → phones, in CMU's format
    written: dict[str, str]  # "fourteen fifty five" → "1455"

    def as_written(self, words: Iterable[str]) -> str:
        """Recognised words as a text, with numbers of several words as the documents write them."""
        rest, out = list(words), list[str]()
        longest = max((spoken.count(" ") + 1 for spoken in self.written), default=0)
        while rest:
            for size in range(min(longest, len(rest)), 1, -1):
                if found := self.written.get(" ".join(rest[:size])):
                    break
            else:
                size, found = 1, rest[0]
            out.append(found)
            del rest[:size]
        return " ".join(out)


@dataclass(frozen=True)
class Documents:
    """Where a vocabulary comes from: the texts, and a mark that changes whenever they do."""

    texts: Callable[[], Iterable[str]]
    generation: Callable[[], str]
    folder: Path  # what is made of them is kept here, among whatever else is there


class _Reading:
    """The sentences of all texts as spoken words, and how numbers and capitals were written."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.written: Counter[tuple[str, str]] = Counter()
        self.capitals: Counter[str] = Counter()
        self.sentences = _sample(words for text in texts for words in self._sentences(text))

    def _sentences(self, text: str) -> Iterator[list[str]]:
        for sentence in _SENTENCE_END.split(_BROKEN_WORD.sub("", text)):
            if words := list(self._spoken(_MONEY.sub(_money, sentence).replace("%", " percent "))):
                yield words

    def _spoken(self, sentence: str) -> Iterator[str]:
        for token in _TOKEN.finditer(sentence):
            if word := token["word"]:
                if word.isupper() and 1 < len(word) < 6:
                    self.capitals[word.lower()] += 1
                yield word.lower().replace("’", "'")
                continue
            words = _number(token["number"].replace(",", ""), token["tail"] or "", "," in token["number"])
            if len(words) > 1:
                self.written[" ".join(words), token[0]] += 1
            yield from words


def vocabulary(documents: Documents) -> Vocabulary:
    """The vocabulary of the documents as they are now: read from its folder, or made, which takes seconds.

    Raises `OSError` when the folder cannot be written.
    """
    key = hashlib.sha256(f"{_FORMAT} {documents.generation()}".encode()).hexdigest()[:16]
    folder = documents.folder / _FOLDER
    place = folder / key
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _write(place, documents.texts())
        for old in folder.iterdir():  # nothing else is kept in it
            if old != place:
                shutil.rmtree(old, ignore_errors=True)
    written = json.loads((place / "written.json").read_text("utf-8"))
    return Vocabulary(place / "words.lm", place / "words.dict", written)


def _write(place: Path, texts: Iterable[str]) -> None:
    """Write the three files beside and rename the folder: it is whole or absent."""
    reading = _Reading(texts)
    beside = Path(tempfile.mkdtemp(dir=place.parent, prefix="making-"))
    try:
        pronunciations = _pronunciations(reading)
        _write_model(beside / "words.lm", reading.sentences, pronunciations)
        with (beside / "words.dict").open("w", encoding="utf-8") as file:
            for word, ways in sorted(pronunciations.items()):
                file.writelines(f"{word}{f'({i})' if i > 1 else ''} {way}\n" for i, way in enumerate(ways, 1))
        best = {spoken: form for (spoken, form), _ in reversed(reading.written.most_common())}
        (beside / "written.json").write_text(json.dumps(best), "utf-8")
        os.rename(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _pronunciations(reading: _Reading) -> dict[str, list[str]]:
    """The vocabulary, with every way in which each word is said; a word that cannot be said is not in it."""
    known = _dictionary()
    counts = Counter(word for words in reading.sentences for word in words)
    chosen = [word for word, _ in counts.most_common(MAX_VOCABULARY)]
    chosen += [word for frame in _frames() for word in frame] + [word for _, word in _common_words()]
    found = {word: known[_plain(word)] for word in chosen if _plain(word) in known}
    strange = {word for word in chosen if word not in found and _plain(word).isascii()}
    # A short name in capitals is often spelled; espeak-ng decides by the capitals.
    asked = {
        word.upper() if reading.capitals[word] * 2 > counts[word] else _plain(word): word for word in strange
    }
    try:
        said = asr_phonemes.pronounce(asked)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("no pronunciation for %d words that the dictionary lacks: %s", len(asked), error)
        said = {}
    return found | {asked[form]: [phones] for form, phones in said.items()}


def _write_model(path: Path, sentences: list[list[str]], known: Iterable[str]) -> None:
    from pocketsphinx.lm import ArpaBoLM

    vocabulary = set(known)
    lines = [*sentences, *(frame for frame in _frames() for _ in range(_FRAME_WEIGHT))]
    # A word without pronunciation breaks the sentence there: n-grams must not jump over it.
    pieces = [piece for words in lines for piece in _pieces(words, vocabulary)]
    model: Any = ArpaBoLM(text="\n".join(" ".join(piece) for piece in pieces))
    total = sum(model.grams_1.values())
    for share, word in _common_words():
        model.grams_1[word] += math.ceil(share * total * _COMMON_SHARE)
    model.compute()
    with path.open("w", encoding="utf-8") as file:
        model.write(file)


def _pieces(words: list[str], vocabulary: set[str]) -> Iterator[list[str]]:
    piece = ["<s>"]
    for word in words:
        if word in vocabulary:
            piece.append(word)
            continue
        if piece:
            yield piece
        piece = []
    yield [*piece, "</s>"]


def _sample(sentences: Iterable[list[str]]) -> list[list[str]]:
    """All the sentences, or every second, fourth, …, so that they have `MAX_WORDS` words at most."""
    kept: list[list[str]] = []
    size, step = 0, 1
    for number, words in enumerate(sentences):
        if number % step:
            continue
        kept.append(words)
        size += len(words)
        if size > MAX_WORDS:
            kept, step = kept[::2], step * 2
            size = sum(map(len, kept))
    return kept


def _money(found: re.Match[str]) -> str:
    return f"{found[2]}{found[3]} {_CURRENCIES[found[1]]}"


@cache
def _number(digits: str, tail: str, grouped: bool) -> tuple[str, ...]:
    """A number as it is said: 1455 → fourteen fifty five, 3rd → third, 1970s → nineteen seventies."""
    from num2words import num2words

    if len(digits) > 15:
        return tuple(word for digit in digits for word in _number(digit, "", False))
    whole = int(digits)
    year = len(digits) == 4 and not grouped and 1100 <= whole < 2100 and not tail.startswith(".")
    if tail.startswith("."):
        said = num2words(float(digits + tail))
    elif tail and tail != "s":
        said = num2words(whole, to="ordinal")
    else:
        said = num2words(whole, to="year" if year else "cardinal")
    if tail == "s":
        said = said[:-1] + "ies" if said.endswith("y") else said + "s"
    return tuple(word for word in re.findall(r"[a-z]+", said) if word != "and")


def _plain(word: str) -> str:
    """The word without accents, as English dictionaries have it."""
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def _frames() -> list[list[str]]:
    return [frame.split() for frame in re.split(r"[|\n]", _FRAMES) if frame]


@cache
def _dictionary() -> dict[str, list[str]]:
    """CMU's dictionary, from PocketSphinx's package: word → its pronunciations."""
    from pocketsphinx import get_model_path

    known: dict[str, list[str]] = {}
    with open(get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        for line in file:
            word, _, phones = line.strip().partition(" ")
            known.setdefault(re.sub(r"\(\d+\)$", "", word), []).append(phones)
    return known


@cache
def _common_words() -> list[tuple[float, str]]:
    """The commonest English words and each one's share among them, from PocketSphinx's general model."""
    from pocketsphinx import Config, LogMath, NGramModel, get_model_path

    logs = LogMath()
    model = NGramModel(Config(), logs, get_model_path("en-us/en-us.lm.bin"))
    ranked = sorted(((logs.exp(model.prob([word])), word) for word in _dictionary()), reverse=True)[
        :_COMMON_WORDS
    ]
    total = sum(probability for probability, _ in ranked)
    return [(probability / total, word) for probability, word in ranked]


def vocabulary_hint(texts: Iterable[str], limit: int = 400) -> str:
    """Names in the documents, the most frequent first, for Whisper's prompt; at most `limit` characters.

    A name is written with a capital where no sentence begins, and hardly ever without.
    """
    names: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for number, sentence in enumerate(s for text in texts for s in _SENTENCE_END.split(text)):
        if number >= MAX_WORDS // 10:
            break
        names.update(found[0] for found in _NAME.finditer(sentence, 1))
        small.update(re.findall(r"\b[^\W\d_A-Z]{3,}\b", sentence))
    ranked = [name for name, _ in names.most_common() if small[name.lower()] * 4 < names[name]]
    out, size = list[str](), 0
    for name in ranked:
        if size + len(name) + 2 > limit:
            break
        out.append(name)
        size += len(name) + 2
    return ", ".join(out)
