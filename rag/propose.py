"""Documents → questions with their answers and places, for a person to accept or drop.

With a language model it writes them, and one whose answer does not stand in its passage is dropped. Without
one they are made by rule from English sentences that tell a time, a price, a number, a maker or what
something is; of documents in other languages only the questions that they ask themselves are proposed.
Either way they use the documents' own words, so that they are easier than what people ask. It does not know
where they are shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable

from rag.cancel import current
from rag.combine import Step
from rag.headings import find_headings
from rag.prompts import PROPOSE, neutralise
from rag.questions import Row
from rag.sentences import sentence_spans
from rag.store import ChunkStore, Page

_EACH = 3  # questions from one document before another one's turn has come
_PASSAGE = 1200  # characters that a language model reads for one question
_SHORTEST, _LONGEST = 25, 240  # characters of a sentence that a rule reads
_LONGEST_QUESTION, _LONGEST_ANSWER = 200, 120  # characters
_AFTER_HEADING = 300  # characters below a question that is a heading, in which its answer begins
_TRIES = 3  # passages read for each question wanted, as some give none

Model = Runnable[Any, Any]
Progress = Callable[[int, int, str], None]  # done, of how many, what


def propose(
    store: ChunkStore,
    count: int,
    llm: Model | None = None,
    *,
    without: Collection[str] = (),
    progress: Progress | None = None,
) -> list[Row]:
    """At most `count` questions from all over the documents, none of those in `without`. Raises Cancelled."""
    known = {_plain(question) for question in without}
    rows: list[Row] = []
    for row in _candidates(store, llm, limit=_TRIES * (count + len(known))):
        current().raise_if_cancelled()
        if progress is not None:
            progress(len(rows), count, row.source if row else "")
        if row is None or _plain(row.question) in known:
            continue
        known.add(_plain(row.question))
        rows.append(row)
        if len(rows) == count:
            break
    return rows


def _candidates(store: ChunkStore, llm: Model | None, limit: int) -> Iterator[Row | None]:
    """A question from each document, then more from each; None for a passage that gave none."""
    names = _spread([source.source for source in store.sources()])
    waiting = [(name, _of_document(store, name, llm)) for name in names]
    tried = 0
    while waiting:
        left = []
        for name, questions in waiting:
            for _ in range(_EACH if len(waiting) < limit // _EACH else 1):
                found = next(questions, _END)
                if found is _END:
                    break
                tried += 1
                yield found if isinstance(found, Row) else None
                if llm is not None and tried >= limit:
                    return
            else:
                left.append((name, questions))
        waiting = left


_END = object()


def _spread(names: Sequence[str]) -> list[str]:
    """The same names in an order that has nothing to do with their folders, and is the same each time."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "replace")).digest())


def _of_document(store: ChunkStore, source: str, llm: Model | None) -> Iterator[Row | None]:
    pages = store.pages(source)
    if llm is None:
        yield from by_rule(source, pages)
        return
    for page, start, passage in _passages(pages):
        yield _written(llm, source, page, start, passage)


# By rule

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan\.?|Feb\.?|Mar\.?|Apr\.?|Jun\.?|Jul\.?|Aug\.?|Sept?\.?|Oct\.?|Nov\.?|Dec\.?)"
)
_YEAR = r"(?:1[0-9]|20)\d\d"
_DATE = rf"(?:\d{{1,2}} {_MONTH}(?: {_YEAR})?|{_MONTH} \d{{1,2}}(?:, {_YEAR})?|{_MONTH} {_YEAR}|{_YEAR})\b"
_DAY = r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?)\b"
_COUNT = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
)
_CLOCK = (
    rf"(?:\d{{1,2}}[:.]\d\d(?: ?[ap]\.?m\b\.?)?|\d{{1,2}} ?[ap]\.?m\b\.?|noon|midnight"
    rf"|(?:half past |quarter (?:past|to) )?{_COUNT} o.clock|half past {_COUNT}|{_COUNT} in the "
    r"(?:morning|afternoon|evening))"
)
_NUMBER = rf"(?:\d[\d,.]*\d|\d|{_COUNT})"
_MONEY = rf"(?:[$€£¥] ?{_NUMBER}|{_NUMBER} (?:euros?|dollars?|pounds?|cents?|francs?|yen))"
_UNIT = (
    r"(?:metres?|meters?|kilometres?|kilometers?|centimetres?|centimeters?|millimetres?|feet|foot|inch(?:es)?"
    r"|miles?|yards?|years?|months?|weeks?|days?|hours?|minutes?|seconds?|tonnes?|tons?|kilograms?|pounds?"
    r"|litres?|liters?|degrees?|hectares?|acres?)"
)
_SPAN = r"(?:years?|months?|weeks?|days?|hours?|minutes?)"
_MEASURE = r"(?:litres?|liters?|l|ml|kilograms?|kg|grams?|g|pounds?|tonnes?|tons?)"
_OFTEN = rf"(?P<answer>every (?:{_NUMBER} )?{_SPAN}|once an? {_SPAN})\b"
_SUBJECT = r"(?P<subject>(?:(?:The|A|An|Our|Your|Each|Every) )?\w[\w’'&.-]*(?: [\w’'&-]+){0,6}?)"
_CAPITAL = r"[A-Z][\w’'.-]*"
_ABOUT = r"(?:(?:about|around|only|almost|nearly|exactly|at least|at most|up to|over|more than|roughly) )?"
_PARTICIPLE = (
    r"(?P<done>(?:first )?(?:\w+ed|built|founded|made|begun|held|sold|born|written|lost|won|set up|laid"
    r"|drawn|found|given|taken|known|put up))"
)


@dataclass(frozen=True)
class _Rule:
    """A sentence of this form answers this question; {names} are the form's groups."""

    form: re.Pattern[str]
    question: str


def _rule(form: str, question: str) -> _Rule:
    return _Rule(re.compile(rf"{_SUBJECT} {form}"), question)


_Found = tuple[Row, bool]  # whether its question may mean many things
_RULES = (
    _rule(
        rf"(?P<verb>opens?|closes?|starts?|begins?|ends?|leaves?|departs?|arrives?|returns?)\b.{{0,40}}?"
        rf"\b(?:at|from|until|by|on|in) (?P<answer>{_CLOCK}|{_DATE})",
        "When {does} {subject} {verb}?",
    ),
    _rule(
        rf"(?:was|were) {_PARTICIPLE} by (?P<answer>(?:the )?{_CAPITAL}"
        rf"(?:(?: (?:of|the|and|van|von|de|&))* {_CAPITAL})*)",
        "By whom {was} {subject} {done}?",
    ),
    _rule(
        rf"(?P<is_>is|are|was|were) {_PARTICIPLE}\b.{{0,60}}?\b(?:in|on) (?P<answer>{_DATE}|{_DAY})",
        "When {is_} {subject} {done}?",
    ),
    _rule(
        r"(?P<is_>is|are|was|were) (?P<done>covered|guaranteed|warranted|insured)"
        rf"(?P<against>(?: against [\w ]{{2,30}}?)?) for {_ABOUT}(?P<answer>{_NUMBER} {_SPAN})\b",
        "For how long {is_} {subject} {done}{against}?",
    ),
    _rule(rf"(?P<is_>is|are) {_PARTICIPLE}\b.{{0,30}}? {_OFTEN}", "How often {is_} {subject} {done}?"),
    _rule(
        rf"(?P<verb>must|should) be {_PARTICIPLE}\b.{{0,30}}? {_OFTEN}",
        "How often {verb} {subject} be {done}?",
    ),
    _rule(rf"(?P<verb>lasts?) {_ABOUT}(?P<answer>{_NUMBER} {_UNIT})\b", "How long {does} {subject} {verb}?"),
    _rule(rf"(?:costs?|pays?) {_ABOUT}(?P<answer>{_MONEY})", "How much {does} {subject} {verb}?"),
    _rule(
        rf"(?:is|are|was|were) {_ABOUT}(?P<answer>{_NUMBER} {_UNIT}) "
        r"(?P<how>long|tall|high|wide|deep|old|thick|heavy|away)\b",
        "How {how} {is_} {subject}?",
    ),
    _rule(
        rf"(?P<verb>has|have|holds?|contains?|seats?|takes?|employs?) {_ABOUT}(?P<answer>{_NUMBER} "
        r"(?P<things>(?:[a-z][a-z-]+ )?[a-z-]+s))(?=[.,;]| (?:and|in|on|of|for|with|that|which|from|at)\b)",
        "How many {things} {does} {subject} {verb}?",
    ),
    _rule(
        rf"(?P<verb>holds?|weighs?) {_ABOUT}(?P<answer>{_NUMBER} {_MEASURE})\b",
        "How much {does} {subject} {verb}?",
    ),
    _rule(
        r"(?P<is_>is|are|was|were) (?P<answer>(?:an?|one of the) [a-z][\w’'-]*(?: [\w’'-]+){1,9}?)"
        r"(?=[.,;:]| (?:that|which|who|where|when|because|and|but)\b)",
        "What {is_} {subject}?",
    ),
)
# What cannot be asked about without what stands before it, or is no thing at all.
_NO_SUBJECT = re.compile(
    r"(?:it|its|he|she|they|them|their|his|her|we|you|i|this|that|these|those|there|here|such|both|some|many"
    r"|most|other|others|another|what|which|who|when|where|why|how|if|as|at|by|for|from|in|on|to|with|after"
    r"|before|during|while|since|until|under|and|but|or|so|yet|also|then|however|all|no|none|not|one|only"
    r"|please|today|now|long|soon|below|above|first|next|finally|although|because|though"
    r"|(?:who|what|which|when|where)ever|(?:any|every|some|no)(?:one|body|thing))\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|do|does|did|can|could|may|might|must|shall|should|will|would"
    r"|opens?|closes|starts|begins|ends|leaves|departs|arrives|returns|costs|pays|holds|weighs|contains"
    r"|seats|takes|employs|that|which|who|whom|whose|where|when|if|because|it|they|he|she|we|you|this|these"
    r"|those|there)\b",
    re.IGNORECASE,
)
_DETERMINERS = {"The", "A", "An", "Our", "Your", "Each", "Every"}
_BASE = {
    "has": "have",
    "does": "do",
    "takes": "take",
    "closes": "close",
    "leaves": "leave",
    "arrives": "arrive",
}


def by_rule(source: str, pages: Sequence[Page]) -> Iterator[Row]:
    """Questions that English sentences answer: from each page one, then from each another.

    Those whose subject may mean anything come last.
    """
    found = list(_in_turn([_of_page(source, page) for page in pages]))
    yield from (row for row, vague in found if not vague)
    yield from (row for row, vague in found if vague)


def _in_turn(each: Iterable[Iterator[_Found]]) -> Iterator[_Found]:
    waiting = list(each)
    while waiting:
        left = []
        for one in waiting:
            if (found := next(one, None)) is not None:
                left.append(one)
                yield found
        waiting = left


def _of_page(source: str, page: Page) -> Iterator[_Found]:
    """What the page's headings ask, as lists of frequent questions do; then what a rule makes of the rest."""
    for start, heading in find_headings(page.text):
        if heading.endswith(("?", "？", "؟")) and len(heading) <= _LONGEST_QUESTION:
            place = page.start + start
            yield _row(source, page, place, place + len(heading) + _AFTER_HEADING, heading, ""), False
    small = frozenset(re.findall(r"(?<=[\s(])[a-z]\w*(?=[\s,.;:)])", page.text))
    names = frozenset(re.findall(r"(?<=[a-z,;] )[A-Z][\w’'-]*", page.text))
    for start, end in sentence_spans(page.text):
        asked = _asked(" ".join(page.text[start:end].split()), small, names)
        if asked is not None:
            question, answer, vague = asked
            yield _row(source, page, page.start + start, page.start + end, question, answer), vague


def _asked(text: str, small: frozenset[str], names: frozenset[str]) -> tuple[str, str, bool] | None:
    """The question that a sentence answers, the answer, and whether the question may mean many things.

    `small`: words that are written small elsewhere; `names`: those that have a capital inside a sentence.
    """
    if not _SHORTEST <= len(text) <= _LONGEST or not text.endswith(".") or _NO_SUBJECT.match(text):
        return None
    for rule in _RULES:
        match = rule.form.match(text)
        if match is None or CLAUSE.search(match["subject"]) or len(match["subject"]) < 3:
            continue
        filled = _filled(match, small)
        if not _may_stand_inside(filled["subject"], names):
            continue
        vague = len(filled["subject"].split()) <= 2 and filled["subject"][0].islower()
        return rule.question.format(**filled), match["answer"].rstrip("."), vague
    return None


def _may_stand_inside(subject: str, names: frozenset[str]) -> bool:
    """Whether it begins as it does inside a sentence; a capital may be that of its own sentence alone."""
    first, *rest = subject.split()
    return first[0].islower() or first in names or first[1:] != first[1:].lower() or _is_named(rest)


def _is_named(rest: Sequence[str]) -> bool:
    """Whether what follows a capital shows that it belongs to a name: "Castle Street", "Room 4"."""
    return bool(rest) and not rest[0][0].islower()


def _filled(match: re.Match[str], small: frozenset[str]) -> dict[str, str]:
    """What the question's names stand for."""
    groups = {name: value or "" for name, value in match.groupdict().items()}
    subject, said = groups["subject"], groups.get("verb") or match[0][len(groups["subject"]) :].split()[0]
    several = said in {"are", "were", "have"} or (said not in {"is", "was", "has"} and not said.endswith("s"))
    first, _, rest = subject.partition(" ")
    if first.lower() in small or first in _DETERMINERS:
        subject = f"{first[0].lower()}{first[1:]} {rest}".rstrip()
    return groups | {
        "subject": subject,
        "does": "do" if several else "does",
        "was": "were" if several else "was",
        "is_": groups.get("is_") or said,
        "verb": said if several else _BASE.get(said, said.removesuffix("s")),
    }


# By a language model


def _passages(pages: Sequence[Page]) -> Iterator[tuple[Page, int, str]]:
    """Whole sentences of a document, with the page that they stand on and where they begin in its text."""
    for page in pages:
        spans = sentence_spans(page.text)
        while spans:
            begin = spans[0][0]
            taken = [span for span in spans if span[1] - begin <= _PASSAGE] or spans[:1]
            passage = page.text[begin : taken[-1][1]][:_PASSAGE]
            if len(passage) >= _SHORTEST:
                yield page, begin, passage
            spans = spans[len(taken) :]


_WRITTEN = re.compile(
    r"question\W{0,4}:\s*(?P<question>[^\n]+?)\s*\n+\W*answer\W{0,4}:\s*(?P<answer>[^\n]+)", re.I
)
_ABOUT_THE_TEXT = re.compile(r"\b(?:passage|text|document|author|paragraph|excerpt|context)\b", re.IGNORECASE)


def _written(llm: Model, source: str, page: Page, start: int, passage: str) -> Row | None:
    """The model's question about a passage; None where its answer does not stand there."""
    match = _WRITTEN.search(_reply(llm, passage))
    if match is None:
        return None
    question, answer = (match[name].strip(" \"'“”„«»*") for name in ("question", "answer"))
    answer = answer.rstrip(".")
    place = re.search(r"\s+".join(map(re.escape, answer.split())), passage, re.IGNORECASE) if answer else None
    if place is None or len(answer) > _LONGEST_ANSWER or len(question) > _LONGEST_QUESTION:
        return None
    if not question.endswith(("?", "？", "؟")) or _ABOUT_THE_TEXT.search(question):
        return None
    if _plain(answer) in _plain(question):
        return None
    begin = page.start + start
    return _row(source, page, begin + place.start(), begin + place.end(), question, answer)


def _reply(llm: Model, passage: str) -> str:
    step = Step(llm, PROPOSE.for_model(llm))
    text = ""
    with closing(step.stream({"context": neutralise(passage)}, {})) as pieces:
        for piece in pieces:
            text += piece
            if len(text) > 2 * (_LONGEST_QUESTION + _LONGEST_ANSWER):
                break
    return text


def _row(source: str, page: Page, start: int, end: int, question: str, answer: str) -> Row:
    """A page says where; where there are none, the offsets do."""
    number = hashlib.sha256(f"{source}\n{question}".encode("utf-8", "replace")).hexdigest()[:10]
    return Row(
        id=f"proposed-{number}",
        question=question,
        source=source,
        pages=() if page.page is None else (page.page,),
        spans=((start, end),) if page.page is None else (),
        answers=(answer,) if answer else (),
        answerable=True,
    )


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
