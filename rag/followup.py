"""Follow-up → standalone question without a model: find what it leaves out, and carry the subject over.

It works on the words alone, in English with more care than in German, French and Spanish; in any language a
question that needs nothing stays as it is. It does not know the documents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag.correction_place import Correction
from rag.corrections import correction
from rag.wordlists import (
    ATTRIBUTES,
    AUXILIARIES,
    BOUNDARIES,
    DETERMINERS,
    ENGLISH,
    FRENCH,
    GERMAN,
    INVERTING,
    LANGUAGES,
    LINKS,
    MODALS,
    PERSONS,
    PLURAL,
    POSSESSIVES,
    PREDICATES,
    PREPOSITIONS,
    QUESTION_WORDS,
    TEXTS,
    TIMES,
    VERBS,
    Language,
)

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_EXPLETIVE = re.compile(
    r"\b(?:what time is it|(?:does|did|will|would) it (?:rain|snow|freeze|get dark)|it (?:rains|snows)"
    r"|(?:is|was|be|would be|does|did|will|would|can|could) it (?:\w+ ){1,4}?(?:to|that|if)"
    r"|it (?:is|was|takes?|took|costs?) (?:\w+ ){0,4}?(?:to|that))\b",
    re.IGNORECASE,
)
_EXISTENTIAL = re.compile(
    r"\b(?:is|are|was|were|be|been|isn['’]t|aren['’]t) there\b|\bthere (?:is|are|was|were)\b"
)


@dataclass(frozen=True)
class Topic:
    """What a conversation is about: the subject of the last question, and that question in full."""

    subject: str = ""
    question: str = ""
    answer: str = ""
    last: str = ""  # the last question as it was understood; `question` may leave out a fragment that it had


@dataclass(frozen=True)
class Resolved:
    """A question as it would be asked without the conversation, and what kind of follow-up it was."""

    question: str
    correction: Correction | None = None


def needs_context(question: str, before: str = "") -> bool:
    """Whether `question` leaves out something that only the conversation tells."""
    language = _language(f"{before} {question}")
    text = question.strip()
    if not _content(text, language):
        return bool(_WORD.search(text))
    return (
        _is_fragment(text, language)
        or _refers(text, language)
        or _pronoun(text, language) is not None
        or _continues(text, language)
    )


def _refers(text: str, language: Language) -> bool:
    """ "What else?", "which one", in a question that says little besides."""
    return bool(re.search(language.references, text, re.IGNORECASE)) and len(_content(text, language)) < 3


def carry_over(question: str, turns: Sequence[tuple[str, str]]) -> str:
    """`question` with the subject of the conversation, or as it is where it needs none.

    turns: the questions and answers before, oldest first.
    """
    return resolve(question, turns).question


def resolve(question: str, turns: Sequence[tuple[str, str]]) -> Resolved:
    """As `carry_over`, and tells whether it was a correction."""
    topic = Topic()
    for asked, answer in turns:
        resolved, topic = _understand(asked, topic)
        topic = replace(topic, answer=answer, last=resolved.question)
    return _understand(question, topic)[0]


def _understand(question: str, topic: Topic) -> tuple[Resolved, Topic]:
    """The question, and the topic after it."""
    corrected = _correction(question, topic)
    if corrected is None:
        standalone, topic = _follow(question, topic)
        return Resolved(standalone), topic
    if corrected.kind == "ask":
        standalone, topic = _follow(corrected.question, topic)
        return Resolved(standalone, corrected), topic
    if corrected.kind == "replace":
        topic = Topic(_subject(corrected.question, ENGLISH) or topic.subject, corrected.question)
    return Resolved(corrected.question, corrected), topic


def _correction(question: str, topic: Topic) -> Correction | None:
    if not topic.question or _language(f"{topic.question} {question}") is not ENGLISH:
        return None
    return correction(question, topic.question, topic.last, topic.answer)


def _follow(question: str, topic: Topic) -> tuple[str, Topic]:
    """The standalone question, and the topic after it."""
    language = _language(f"{topic.question} {question}")
    text = question.strip()
    if not topic.question or not needs_context(text, topic.question):
        return question, Topic(_subject(text, language) or topic.subject, text)
    pronoun = _pronoun(text, language)
    if pronoun is not None and not _is_fragment(text, language):
        return _with_subject(text, pronoun, topic, language)
    if _continues(text, language) and not _is_fragment(text, language) and topic.subject:
        return f"{text} ({topic.subject})", Topic(_subject(text, language) or topic.subject, text)
    if parallel := _in_place_of_another(_without_opener(text, language), topic.question):
        return parallel, Topic(_subject(parallel, language) or topic.subject, parallel)
    named = _subject(_without_opener(text, language), language)
    concrete = any(word in DETERMINERS or word[0].isupper() for word in named.split())
    return f"{text} ({topic.question})", Topic(named if concrete else topic.subject, topic.question)


def _with_subject(text: str, pronoun: re.Match[str], topic: Topic, language: Language) -> tuple[str, Topic]:
    word = pronoun[0].casefold()
    subject = _referent(word, topic)
    if language is not ENGLISH or not subject or word not in ENGLISH.pronouns:
        return f"{text} ({topic.question})", topic
    possessive = word in POSSESSIVES and (word != "her" or _followed_by_content(text, pronoun))
    inserted = f"{subject}'s" if possessive else subject
    whole = text[: pronoun.start()] + inserted + text[pronoun.end() :]
    names = [name for name in _names(topic.question) if name not in whole and word not in PERSONS]
    return f"{whole} ({', '.join(names)})" if names else whole, Topic(subject, whole)


def _referent(pronoun: str, topic: Topic) -> str:
    """What `pronoun` stands for: a person where it is one, else the subject."""
    if pronoun in PLURAL:
        return next((phrase for phrase in _phrases(topic.question) if phrase.endswith("s")), topic.subject)
    if pronoun not in PERSONS:
        return topic.subject
    names = _names(topic.question)
    asks_who = re.match(r"(?:and |but )?who\b", topic.question, re.IGNORECASE)
    if not asks_who and topic.question.islower() and topic.subject:
        return topic.subject  # written without capitals, so that no name can be told
    if names and not asks_who:
        return names[0]
    answered = _names(topic.answer, first=True)
    return answered[0] if answered else topic.subject


def _names(text: str, first: bool = False) -> list[str]:
    """Runs of capitalised words; the one that begins the text counts if it has two, or if `first`."""
    runs = re.findall(
        r"\b[A-ZÀ-Þ][\w'’\-]+(?:\s+(?:(?:de|van|von|of|da|di|la|le|the)\s+)*[A-ZÀ-Þ][\w'’\-]+)*", text
    )
    kept = []
    for run in runs:
        words = run.split()
        if words[0].casefold() in ENGLISH.function:
            words = words[1:]
        if words and (first or len(words) > 1 or not text.startswith(words[0])):
            kept.append(" ".join(words))
    return kept


def _is_fragment(text: str, language: Language) -> bool:
    """No clause of its own: "What about children?", "On Sundays?", "And the shop?", "Why?"."""
    rest = _without_opener(text, language)
    opened = len(rest) < len(text)
    words = [word.casefold() for word in _WORD.findall(rest)]
    content = _content(rest, language)
    if re.match(language.topics, _bare(text), re.IGNORECASE):
        return len(content) <= 4
    clause = any(word in language.clause for word in words)
    if not content:
        return not clause
    if opened:
        return not clause and len(content) <= 4
    adjunct = language is ENGLISH and words[0] in PREPOSITIONS and not QUESTION_WORDS & set(words)
    return not clause and (len(content) == 1 or (adjunct and len(content) <= 3))


def _continues(text: str, language: Language) -> bool:
    """A clause that begins with "and" and says too little to stand alone."""
    rest = _without_opener(text, language)
    if len(rest) == len(text) or re.match(r"(?:so|ok|okay|also)\b", text, re.IGNORECASE):
        return False
    return len(_content(rest, language)) < 3 and not _names(rest) and not _is_whole(rest, language)


def _is_whole(clause: str, language: Language) -> bool:
    """Whether it names what it asks about: "when does the café open", but not "how much is the fee"."""
    if language is not ENGLISH:
        return False
    words = [word.casefold() for word in _WORD.findall(clause)]
    named = next((p for p in _phrases(clause) if p.split()[0].casefold() in {"the", "a", "an"}), "")
    return bool(named) and words[-1] not in ENGLISH.function and not named.casefold().endswith(words[-1])


def _in_place_of_another(text: str, question: str) -> str:
    """ "of the grinder?" after "What is the price of the kettle?": that question of the grinder; or ""."""
    match = re.fullmatch(r"(\w+)\s+([^?!.,]+)[?!.]*", text.strip())
    if not match or match[1].casefold() not in PREPOSITIONS:
        return ""
    asked = rf"\b({re.escape(match[1])})\s+((?:the|an?|my|our)\s+)?[\w'’-]+(?:\s+[\w'’-]+)*?(?=[?!.,]*$)"
    replaced, count = re.subn(asked, lambda found: f"{found[1]} {match[2]}", question, flags=re.IGNORECASE)
    return replaced if count == 1 else ""


def _without_opener(text: str, language: Language) -> str:
    bare = _bare(text)
    opener = re.match(language.openers, bare, re.IGNORECASE)
    rest = bare[opener.end() :].lstrip(" ,") if opener else bare
    return rest if rest != bare else text


def _bare(text: str) -> str:
    return text.lstrip("¿¡ ")


def _pronoun(text: str, language: Language) -> re.Match[str] | None:
    """The first word that stands for something named before, and not earlier in the same question."""
    words = list(_WORD.finditer(text))
    for at, word in enumerate(words):
        lower = re.sub(r"['’](?:s|re|ll|d|ve)$", "", word[0].casefold())
        if word[0] != "IT" and lower in language.pronouns and not _idle(text, words, at, language):
            return re.compile(re.escape(lower), re.IGNORECASE).search(text, word.start())
        if language is ENGLISH and _points_back(text, words, at):
            return word
    return None


def _idle(text: str, words: list[re.Match[str]], at: int, language: Language) -> bool:
    """Whether the pronoun refers to nothing ("is it possible to") or to something within the question."""
    before = text[: words[at].start()]
    if language is not ENGLISH:
        return _idle_elsewhere(words, at, language, before)
    if words[at][0].casefold() == "it" and (match := _EXPLETIVE.search(text)):
        return match.start() <= words[at].start() < match.end() and bool(
            _content(text[match.end() :], language)
        )
    if not _subject(before, language):
        return False
    boundary = "," in before or any(w[0].casefold() in BOUNDARIES for w in words[1:at])
    return boundary or words[at][0].casefold() in POSSESSIVES or _begins_clause(words, at)


def _begins_clause(words: list[re.Match[str]], at: int) -> bool:
    """Whether the pronoun is the subject of a clause without a conjunction: "… say it would"."""
    following = words[at + 1][0].casefold() if at + 1 < len(words) else ""
    contracted = re.search(r"['’]", words[at][0]) is not None
    return (contracted or following in AUXILIARIES | VERBS) and words[at - 1][0].casefold() not in AUXILIARIES


def _idle_elsewhere(words: list[re.Match[str]], at: int, language: Language, before: str) -> bool:
    """As `_idle`, by the rough rule that two content words before the pronoun name what it stands for."""
    word = words[at][0].casefold()
    if language is GERMAN and word == "es":
        return any(w[0].casefold() in {"gibt", "gab"} for w in words) or bool(_content(before, language))
    if language is GERMAN and word == "sie" and words[at][0][0].isupper() and at:
        return True  # "Sie" is the polite "you"
    if language is FRENCH and word in {"y", "en", "il"}:
        following = words[at + 1][0].casefold() if at + 1 < len(words) else ""
        return word != "il" or following in {"y", "faut", "est"} or bool(_content(before, language)[1:])
    return len(_content(before, language)) >= 2


def _points_back(text: str, words: list[re.Match[str]], at: int) -> bool:
    """ "this", "that", "those", "there" as a reference to what was said."""
    word = words[at][0].casefold()
    previous = words[at - 1][0].casefold() if at else ""
    following = words[at + 1][0].casefold() if at + 1 < len(words) else ""
    if word == "there":
        return (
            not following and previous not in {"is", "are"} and not _EXISTENTIAL.search(text[-12:].casefold())
        )
    if word not in {"this", "that", "these", "those"} or following in TIMES | TEXTS | {"who"}:
        return False
    if not following:
        return True
    if _subject(text[: words[at].start()], ENGLISH) and previous not in INVERTING | PREPOSITIONS:
        return False
    if at + 2 < len(words) and words[at + 2][0].casefold() in LINKS:
        return False  # "that tower in the harbour" says which one itself
    if word != "that" or not previous or previous in INVERTING:
        return True
    return previous in PREPOSITIONS and following in ENGLISH.function


def _subject(text: str, language: Language) -> str:
    """The noun phrase that a question is about: the first that says more than a function word."""
    if language is not ENGLISH:
        return " ".join(_content(text, language))
    phrases = _phrases(text)
    return next(
        (p for p in phrases if not p.endswith("s") or p.split()[0][0].isupper()),
        phrases[0] if phrases else "",
    )


def _phrases(text: str) -> list[str]:
    """Noun phrases of an English question, in order."""
    phrases: list[str] = []
    for clause in re.split(r"[,;:?!()]|\.\s", text):
        phrases += _phrases_of_clause(clause)
    return [_without_attribute(phrase) for phrase in phrases]


def _phrases_of_clause(clause: str) -> list[str]:
    phrases: list[str] = []
    run: list[str] = []
    auxiliary, before = False, ""
    for word in [*_WORD.findall(clause), ""]:
        lower = word.casefold()
        inside = lower not in ENGLISH.function and lower not in VERBS and before not in PREDICATES
        before = lower
        if word and (
            inside or (lower in DETERMINERS and (not run or run[-1] in LINKS)) or (run and lower in LINKS)
        ):
            run.append(word)
            continue
        if phrase := _trimmed(run, verb_last=auxiliary and not word):
            phrases.append(phrase)
            auxiliary = False  # its verb was, or comes after, that subject
        run = [word] if lower in DETERMINERS else []
        auxiliary = lower in MODALS or (auxiliary and lower not in PREDICATES)
    return phrases


def _trimmed(run: list[str], verb_last: bool) -> str:
    """`run` without loose ends, and without the verb that follows "does the museum …" at a clause's end."""
    while run and run[-1].casefold() in LINKS | DETERMINERS:
        run = run[:-1]
    named = [word for word in run if word.casefold() not in DETERMINERS]
    if verb_last and len(named) > 1 and not run[-1][0].isupper() and run[-2] not in LINKS | DETERMINERS:
        run = run[:-1]
    return " ".join(run) if named else ""


def _without_attribute(phrase: str) -> str:
    """ "the price of the ticket" → "the ticket"."""
    head, _, owner = phrase.partition(" of ")
    return owner if owner and head.split()[-1].casefold() in ATTRIBUTES else phrase


def _followed_by_content(text: str, pronoun: re.Match[str]) -> bool:
    following = _WORD.search(text, pronoun.end())
    return bool(following and following[0].casefold() not in ENGLISH.function)


def content_words(question: str) -> list[str]:
    """The words that say what a question is about, lower case."""
    return [word.casefold() for word in _content(question, _language(question))]


def _content(text: str, language: Language) -> list[str]:
    return [word for word in _WORD.findall(text) if word.casefold() not in language.function]


def _language(text: str) -> Language:
    """The language whose function words `text` has most of; English where none leads."""
    words = [word.casefold() for word in _WORD.findall(text)]
    return max(LANGUAGES, key=lambda language: sum(word in language.function for word in words))
