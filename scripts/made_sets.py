"""Sets of questions on made-up documents of kinds that are hard to search, each the same in every run.

`filings`: ten companies' reports of two years, which differ in little but the figures; `unnamed`: the same
in files whose names say nothing. `parts`: identifiers that differ in one character. `languages`: notices of
three towns with questions in their own language; `foreign`: the same asked in English. `compare`: what lies
in two documents, a row for each. `misspelt` and `misheard` spoil one name in each question of another set.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag.evaluate import Row

Pages = list[str]
REPORT = Path(__file__).with_name("report.txt")
NOTICES = Path(__file__).with_name("notices.jsonl")


@dataclass(frozen=True)
class Made:
    """Documents (each a list of pages) by name, and questions whose place is known."""

    name: str
    documents: Mapping[str, Pages]
    rows: Sequence[Row]


COMPANIES = [
    ("Norvex", "Norvex Corporation", "industrial adhesives", "Dayton, Ohio"),
    ("Halbrook", "Halbrook Foods, Inc.", "packaged foods", "Omaha, Nebraska"),
    ("Quillon", "Quillon Therapeutics, Inc.", "generic medicines", "Cambridge, Massachusetts"),
    ("Terravane", "Terravane Energy Company", "natural gas distribution", "Tulsa, Oklahoma"),
    ("Ostrander", "Ostrander Aerospace Holdings", "aircraft components", "Wichita, Kansas"),
    ("Mirelle", "Mirelle Brands, Inc.", "cosmetics", "Stamford, Connecticut"),
    ("Castellan", "Castellan Systems, Inc.", "payment software", "Austin, Texas"),
    ("Pellworth", "Pellworth Retail Group", "discount stores", "Columbus, Georgia"),
    ("Drummond Vale", "Drummond Vale Water Works", "water utilities", "Camden, New Jersey"),
    ("Isenbeck", "Isenbeck Semiconductor Ltd.", "power semiconductors", "Boise, Idaho"),
]
YEARS = (2018, 2019)
CHOICES = {
    "auditor": ["Hartley & Moss LLP", "Brennan Cole LLP", "Deverell Young LLP", "Pryce Lockhart LLP"],
    "first": ["Alan", "Maria", "Judith", "Samuel", "Priya", "Howard", "Elena", "Victor", "Grace", "Tobias"],
    "last": ["Whitfield", "Okafor", "Lindqvist", "Marchetti", "Rao", "Abernathy", "Sorensen", "Duarte", "Ng"],
    "legal": ["asbestos exposure", "a data breach", "wage and hour claims", "patent infringement"],
    "driver": ["higher raw material costs", "a favourable product mix", "lower freight expense"],
}
# What is asked of a report, and on which of its pages that is.
ASKED = [
    ("What is the FY{year} capital expenditure amount (in USD millions) for {short}?", 10),
    ("How many people did {short} employ at the end of {year}?", 2),
    ("Who audited {short}'s {year} accounts?", 11),
    ("What drove the change of the operating margin of {short} in FY{year}?", 6),
    ("How much did {short} spend on R&D in fiscal {year}?", 8),
    ("Is {short} involved in any lawsuits as of {year}?", 4),
    ("What was {short}'s long-term debt at year end FY{year}?", 9),
    ("Who is the chief executive of {short} according to its {year} report?", 14),
    ("Which company did {short} acquire in {year}?", 12),
    ("What discount rate did {short} use for its pension obligations in FY{year}?", 13),
    ("When does the credit facility that {short} had in {year} run out?", 7),
    ("How large was the dividend a share that {short} paid in {year}?", 5),
]


def _report(number: int, year: int) -> Pages:
    """One company's report; not all say at the foot of a page, or at the top of the first, whose it is."""
    short, name, trade, seat = COMPANIES[number]
    rng = random.Random(f"{short}{year}")
    known = {"name": name, "trade": trade, "seat": seat}
    known |= {"year": str(year), **{f"year{by:+}": str(year + by) for by in (-2, -1, 1, 4)}}
    pages = REPORT.read_text(encoding="utf-8").split("\n\f\n")
    pages = [_filled(page, known, rng) for page in pages]
    if rng.random() < 0.7:
        pages = [page.replace("The Company", short, 1) for page in pages]
    foot = rng.choice([f"{name} {year} Form 10-K", "Table of Contents", ""])
    head = f"{name} - {year} annual report\n" if rng.random() < 0.5 else ""
    pages = [f"{page}\n{foot} {number}" for number, page in enumerate(pages, 1)]
    return [head + pages[0], *pages[1:]]


def _filled(text: str, known: Mapping[str, str], rng: random.Random) -> str:
    """`text` with what stands in <>: a name, one of several words, or a number between two."""

    def fill(match: re.Match[str]) -> str:
        what = match[1]
        if what in known:
            return known[what]
        if what in CHOICES or "|" in what:
            chosen: str = rng.choice(CHOICES.get(what) or what.split("|"))
            return chosen
        low, separator, high = re.split(r"(-|\.\.)", what)
        decimals = len(low.partition(".")[2])
        if decimals:
            return f"{rng.uniform(float(low), float(high)):.{decimals}f}"
        return f"{rng.randint(int(low), int(high)):{',' if separator == '-' else ''}}"

    return re.sub(r"<([^<>]+)>", fill, text)


def filings(named: bool = True) -> Made:
    documents: dict[str, Pages] = {}
    rows: list[Row] = []
    for number, (short, *_) in enumerate(COMPANIES):
        for year in YEARS:
            label = short.upper().replace(" ", "")
            source = f"{label}_{year}_10K.pdf" if named else f"doc-{(number * 7 + year) * 37 % 1000:03}.pdf"
            documents[source] = _report(number, year)
            rows += [
                Row(f"{source}-{n}", asked.format(short=short, year=year), source, pages=(page,))
                for n, (asked, page) in enumerate(ASKED)
            ]
    return Made("filings" if named else "unnamed", documents, rows)


# What each kind of entry says, and what may be asked of it; <code> is its identifier.
PART = """<code> <relay|contactor|limit switch|thermal fuse|float valve>. Rated <12|24|48|110|230> V, <1..40>
A. Housing <steel|brass|polyamide>. Fits the <Alto|Brio|Cord> series only; it is no replacement for
<other>. Tightening torque <2..90> Nm. Warranty <12|18|24|36|60> months from delivery. Storage from
-<5..40> to <40..90> degrees Celsius."""
PART_ASKED = """What is the tightening torque of <code>?|How long is the warranty on the <code>?|At what
voltage is <code> rated?|What is the housing of part <code> made of?"""
ERROR = """<code>: <supply voltage low|no reply from the drive|door open>. The controller shows <code> on its
second line and stops the <pump|fan|conveyor|heater>. Switch off the supply, wait <5..90> seconds,
and <check the fuse|clean the filter|reseat the plug|close the guard>. If <code> comes back within a
day, call the service."""
ERROR_ASKED = "What should I do about error <code>?|What does <code> mean?|The display says <code>"
CLAUSE = """§ <code> Terms. <The buyer examines the goods on arrival and gives notice of defects within ten
days.|Title passes to the buyer once the price has been paid in full.|Neither party is liable for
delay that is caused by events beyond its control.|Invoices are due within thirty days; interest of
five percent is charged after that.>"""
CLAUSE_ASKED = "What does § <code> say?|Which terms are in § <code>?"


def parts() -> Made:
    """A catalogue, a list of errors and terms of delivery: a question names one entry by its identifier."""
    codes = [f"XJ-{number}/{letter}" for number in (4400, 4410, 4440, 4404) for letter in "ABCD"]
    codes += [f"TS{number}-{size}" for number in (12, 21, 112) for size in (5, 50, 55)]
    errors = [f"E-{number}" for number in range(1010, 1310, 15)]
    clauses = [f"{chapter}.{number}" for chapter in (3, 12, 13) for number in range(1, 9)]
    documents: dict[str, Pages] = {}
    rows: list[Row] = []
    for source, names, text, asked in (
        ("catalogue.pdf", codes, PART, PART_ASKED),
        ("errors.pdf", errors, ERROR, ERROR_ASKED),
        ("terms.pdf", clauses, CLAUSE, CLAUSE_ASKED),
    ):
        rng = random.Random(source)
        documents[source] = [_entry(text, code, rng.choice(names), rng) for code in names]
        for page, code in enumerate(names, 1):
            question = _entry(rng.choice(asked.split("|")), code, "", rng)
            rows.append(Row(code, question, source, pages=(page,)))
    return Made("parts", documents, rows)


def _entry(text: str, code: str, other: str, rng: random.Random) -> str:
    return " ".join(_filled(text, {"code": code, "other": other}, rng).split())


def notices(foreign: bool = False) -> Made:
    """Three towns' notices, each in its language, asked about in that or, if `foreign`, in English."""
    lines = NOTICES.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    sources = [f"{entry['language']}-{number}.txt" for number, entry in enumerate(entries)]
    asked = "english" if foreign else "question"
    rows = [Row(source, entry[asked], source) for source, entry in zip(sources, entries, strict=True)]
    documents = {source: [entry["text"]] for source, entry in zip(sources, entries, strict=True)}
    return Made("foreign" if foreign else "languages", documents, rows)


def compare() -> Made:
    """Questions about two companies or two parts; each has a row for either."""
    base = filings()
    rng = random.Random("compare")
    by_source: dict[str, list[Row]] = {}
    for row in base.rows:
        by_source.setdefault(row.source, []).append(row)
    subjects = {  # what may be compared → its place in ASKED
        "the number of employees": 1,
        "the research and development expenses": 4,
        "the long-term debt": 6,
        "the auditors": 2,
        "the capital expenditures": 0,
        "the pension discount rate": 9,
    }
    rows = []
    for n in range(30):
        one, other = rng.sample(range(len(COMPANIES)), 2)
        year = rng.choice(YEARS)
        what, at = list(subjects.items())[n % len(subjects)]
        names = [COMPANIES[i][0] for i in (one, other)]
        question = rng.choice(
            ["Compare {what} of {a} and {b} in {year}.", "How do {a} and {b} differ in {what} in {year}?"]
        )
        text = question.format(what=what, a=names[0], b=names[1], year=year)
        for name in names:
            source = f"{name.upper().replace(' ', '')}_{year}_10K.pdf"
            rows.append(replace(by_source[source][at], id=f"compare-{n}-{name}", question=text))
    return Made("compare", base.documents, rows)


_WORD = re.compile(r"(?<!^)\b[A-Z][a-z]{4,}\b|\b[a-z]{7,}\b")
_WRITTEN = (  # sounds, and other ways to write them
    "ph/f ck/k ee/ea ie/ee ou/oo tion/shun gh/ kn/n wr/r ce/se ca/ka co/ko qu/kw x/ks y/i ei/i z/s ll/l "
    "ss/s tt/t er/ar or/er an/en in/en v/f d/t b/p"
)
_SOUNDS = [tuple(pair.split("/")) for pair in _WRITTEN.split()]


def misspelt(base: Sequence[Row], name: str = "misspelt") -> list[Row]:
    """Each question with one typing error in its longest name, or else its longest word."""
    return _spoilt(base, name, _typo)


def misheard(base: Sequence[Row], name: str = "misheard") -> list[Row]:
    """Each question with its longest name, or else word, as somebody might write what it sounds like."""
    return _spoilt(base, name, _by_ear)


def _spoilt(base: Sequence[Row], name: str, spoil: Callable[[str, random.Random], str]) -> list[Row]:
    rows = []
    for row in base:
        rng = random.Random(f"{name}{row.id}")
        words = list(_WORD.finditer(row.question))
        if not words:
            continue
        best = max(words, key=lambda match: (match[0][0].isupper(), len(match[0])))
        text = row.question[: best.start()] + spoil(best[0], rng) + row.question[best.end() :]
        rows.append(replace(row, id=f"{name}-{row.id}", question=text))
    return rows


def _typo(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(["swap", "drop", "double", "other"])
    if kind == "swap":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice("aeiourstln") + word[at + 1 :]


def _by_ear(word: str, rng: random.Random) -> str:
    """Two of the sounds written otherwise, and sometimes as two words."""
    changes = [pair for pair in _SOUNDS if pair[0] in word[1:].lower()]
    for old, new in rng.sample(changes, min(2, len(changes))):
        at = word.lower().find(old, 1)
        if at > 0:
            word = word[:at] + new + word[at + len(old) :]
    if len(word) > 7 and rng.random() < 0.3:
        middle = len(word) // 2
        word = f"{word[:middle]} {word[middle:]}"
    return word


def all_made() -> Iterator[Made]:
    yield filings()
    yield filings(named=False)
    yield parts()
    yield notices()
    yield notices(foreign=True)
    yield compare()
