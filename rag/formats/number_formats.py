"""A number and the format of its cell → what a person sees there, as far as that is simple.

It knows the codes that spreadsheets share (`0.0%`, `#,##0.00 "€"`, `dd.mm.yyyy`). Dates come in ISO form and
numbers without separators of thousands, whatever the reader's country; fractions, exponents and conditions
are left as the plain number.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple

# Those that a workbook need not spell out. What they show of a currency depends on the reader's country.
BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    **dict.fromkeys((14, 15, *range(27, 32), 36, *range(50, 55), 57, 58), "d/m/yyyy"),
    16: "d/m",
    17: "m/yyyy",
    **dict.fromkeys((18, 19, 20, 21, *range(32, 36), 55, 56), "h:mm"),
    22: "d/m/yyyy h:mm",
    **dict.fromkeys((37, 38), "#,##0"),
    **dict.fromkeys((39, 40), "#,##0.00"),
    **dict.fromkeys((45, 47), "mm:ss"),
    46: "[h]:mm:ss",
}
_TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | _(?P<room>.) | \*(?P<fill>.)
    | \[\$(?P<currency>[^\]-]*)[^\]]*\] | \[(?P<elapsed>h+|m+|s+)\] | \[(?P<bracket>[^\]]*)\]
    | (?P<clock>AM/PM|A/P) | (?P<number>General|[0#?][0#?,.]*|\.[0#?]+) | (?P<date>[ymdhs]+(?:\.0+)?)
    | (?P<percent>%) | (?P<text>@) | (?P<literal>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_SEEN = frozenset({"quoted", "escaped", "currency", "literal", "percent", "room"})
_EPOCH, _EPOCH_1904 = dt.datetime(1899, 12, 30), dt.datetime(1904, 1, 1)
_MOST_DAYS = 2_957_000  # until the year 9999
_MISSING_DAY = 60  # 29 February 1900, which these calendars have and no other


class _Format(NamedTuple):
    """One section of a code: what stands before and after the number, and how it is written."""

    before: str = ""
    after: str = ""
    number: str = ""
    percent: bool = False
    letters: str = ""  # of a date or a time
    elapsed: bool = False


def shown(value: float, code: str, *, since_1904: bool = False) -> str:
    """The number as a cell of this format shows it."""
    sections = _sections(code)
    if sections is None:
        return plain(value)
    first = sections[0]
    if first.letters or first.elapsed:
        return _moment(value, first, since_1904) or plain(value)
    sign = "-" if value < 0 and len(sections) == 1 else ""
    if value < 0 and len(sections) > 1:
        first = sections[1]
    elif value == 0 and len(sections) > 2:
        first = sections[2]
    return " ".join(f"{sign}{first.before}{_number(abs(value), first)}{first.after}".split())


def plain(value: float) -> str:
    return f"{value:.15g}"


@lru_cache(1000)
def _sections(code: str) -> list[_Format] | None:
    """None for a code that is not simple."""
    sections = [""]
    for token in _TOKEN.finditer(code):
        if token["literal"] == ";":
            sections.append("")
        else:
            sections[-1] += token.group()
    found = [form for section in sections[:3] if (form := _section(section))]
    return found if len(found) == len(sections[:3]) else None


def _section(code: str) -> _Format | None:
    before = after = number = letters = ""
    percent = elapsed = False
    for token in _TOKEN.finditer(code):
        kind = token.lastgroup or ""
        said = token[kind]
        if kind == "number" and not number:
            number = said
        elif kind in ("date", "elapsed"):
            letters += said.lower()
            elapsed = elapsed or kind == "elapsed"
        elif kind in _SEEN:
            said = " " if kind == "room" else said
            before, after = (before, after + said) if number else (before + said, after)
            percent = percent or kind == "percent"
        elif kind == "number" or (kind == "bracket" and said[:1] in ("<", ">", "=")):
            return None  # a fraction, an exponent, or a condition
    return None if number.endswith(",") else _Format(before, after, number, percent, letters, elapsed)


def _number(value: float, form: _Format) -> str:
    if not form.number:
        return ""
    if form.percent:
        value *= 100
    if form.number.lower() == "general":
        return plain(value)
    decimals = form.number.partition(".")[2]
    text = f"{value:.{min(len(decimals), 15)}f}"
    if "0" not in form.number and not float(text):
        return ""
    most = len(decimals) - len(decimals.rstrip("#?"))  # digits that are shown only where there are some
    for _ in range(most):
        text = text.removesuffix("0")
    return text.removesuffix(".")


def _moment(value: float, form: _Format, since_1904: bool) -> str:
    """A date, a time or a duration; "" for a number that is none."""
    if not 0 <= value < _MOST_DAYS:
        return ""
    seconds = round(value * 86_400)
    if form.elapsed:
        hours, rest = divmod(seconds, 3600)
        return f"{hours}:{rest // 60:02}:{rest % 60:02}"
    if not since_1904 and value < _MISSING_DAY:
        seconds += 86_400
    moment = (_EPOCH_1904 if since_1904 else _EPOCH) + dt.timedelta(seconds=seconds)
    letters = form.letters
    timed = "h" in letters or "s" in letters
    clock = moment.time().isoformat("seconds" if moment.second else "minutes") if timed else ""
    if timed and not ("y" in letters or "d" in letters):
        return clock
    day = moment.date().isoformat()
    if "d" not in letters and "y" in letters:
        day = day[:7] if "m" in letters else day[:4]
    return f"{day} {clock}" if timed and clock != "00:00" else day
