"""English only: abbreviations, times, years, telephone numbers and signs, as they are said.

What English engines read wrongly is spelled out ("1987" as a count, "17:00" as "seventeen zero zero");
plain integers stay digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
]  # fmt: skip
_MONTH_NAMES = {name[:3].lower(): name for name in MONTHS} | {"sept": "September"}
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAYS = {name[:3].lower(): name for name in _DAY_NAMES}
_ABBREVIATIONS: tuple[tuple[str, str], ...] = (
    (r"\b[Ee]\.\s?g\.,?", "for example"),
    (r"\b[Ii]\.\s?e\.,?", "that is"),
    (r"\betc\.(?=\s+[A-Z]|\s*$)", "et cetera."),
    (r"(?<![/\w])etc\.?(?![/\w])", "et cetera"),
    (r"\bet al\.(?=\s*$)", "and others."),
    (r"\bet al\.", "and others"),
    (r"\bvs?\.(?=\s)", "versus"),
    (r"\bvs\b", "versus"),
    (r"\bcf\.", "compare"),
    (r"\bviz\.", "namely"),
    (r"\bca\.(?=\s)", "about"),
    (r"\bapprox\.", "approximately"),
    (r"\bincl\.", "including"),
    (r"\bexcl\.", "excluding"),
    (r"\bresp\.", "respectively"),
    (r"\ba\.k\.a\.", "also known as"),
    (r"\bw/o\b", "without"),
    (r"\bw/(?=\s?\w)", "with "),
    (r"\bDr\.?(?=\s+[A-Z])(?<![A-Z][a-z] Dr\.)", "Doctor"),
    (r"(?<=[a-z] )Dr\.", "Drive"),
    (r"\bMr\.?(?=\s+[A-Z])", "Mister"),
    (r"\bMrs\.?(?=\s+[A-Z])", "Missus"),
    (r"\bMs\.(?=\s+[A-Z])", "Miss"),
    (r"\bProf\.", "Professor"),
    (r"\bSt\.(?=\s+[A-Z])(?!\s+(?:The|It|In|On|A|We|You|They)\b)", "Saint"),
    (r"(?<=\w )St\.(?=\s+[A-Z]|\s*$)", "Street."),
    (r"(?<=\w )St\.", "Street"),
    (r"(?<=[a-z] )Ave\.(?=\s+[A-Z]|\s*$)", "Avenue."),
    (r"(?<=[a-z] )Ave\.", "Avenue"),
    (r"\bMt\.(?=\s+[A-Z])", "Mount"),
    (r"\bJr\.(?=\s+[a-z])", "Junior"),
    (r"\bSr\.(?=\s+[a-z])", "Senior"),
    (r"\b[Nn]o\.(?=\s?\d)", "number "),
    (r"\b[Nn]os\.(?=\s?\d)", "numbers "),
    (r"\bpp\.(?=\s?\d)", "pages "),
    (r"\bp\.(?=\s?\d)", "page "),
    (r"\b[Ff]igs?\.(?=\s?\d)", "figure "),
    (r"\b[Ee]qs?\.(?=\s?\d)", "equation "),
    (r"\b[Ss]ect?\.(?=\s?\d)", "section "),
    (r"\b[Cc]h(?:ap)?\.(?=\s?\d)", "chapter "),
    (r"\b[Vv]ols?\.(?=\s?\d)", "volume "),
    (r"\b[Tt]el\.:?", "telephone "),
    (r"\bmin\.(?=\s+[a-z\d])", "minimum"),
    (r"\bmax\.(?=\s+[a-z\d])", "maximum"),
    (r"\bdept\.", "department"),
    (r"\bInc\.(?=\s+[a-z])", "Incorporated"),
    (r"\bLtd\.(?=\s+[a-z])", "Limited"),
    (r"\bCorp\.(?=\s+[a-z])", "Corporation"),
    (r"\bPh\.\s?D\.?", "P H D"),
    (r"\bC\+\+", "C plus plus"),
    (r"\b([CF])#", r"\1 sharp"),
    (r"(?<!\w)\.NET\b", "dot net"),
    (r"\b([Aa])nd/or\b", r"\1nd or"),
)  # fmt: skip
_SIGNS = {
    "±": "plus or minus", "×": "times", "÷": "divided by", "≤": "at most", "≥": "at least", "≠": "is not",
    "≈": "about",
    "→": "to", "⇒": "so", "←": "from", "↔": "to and from", "∞": "infinity", "√": "square root of",
    "π": "pi", "∑": "sum of",
    "²": "squared", "³": "cubed", "½": "one half", "¼": "one quarter", "¾": "three quarters",
    "⅓": "one third",
    "⅔": "two thirds", "©": "copyright", "°": "degrees", "%": "percent", "‰": "per mille", "µ": "micro",
    "€": "euros", "£": "pounds", "$": "dollars", "¥": "yen", "∈": "in", "∆": "delta", "Ω": "ohms",
}  # fmt: skip
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
    "24/7": "24 7",
}
_TIME = re.compile(
    r"\b([01]?\d|2[0-4])(?:[:.]([0-5]\d))(?::([0-5]\d))?\s*([ap])\.?m\b\.?"
    r"|\b([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?\b(?!:)|\b(1[0-2]|0?[1-9])\s?([ap])\.?m\b(\.?)",
    re.I,
)
_A_YEAR = r"(1[1-9]\d\d|20\d\d)"
_YEAR = re.compile(
    r"(?<![\d.,/:€$£])(?<![\d)]-)(1[1-9]\d\d|20\d\d)(s?)(?![\d:/%€$]|[.,]\d)"
    r"(?!\s+(?:percent|people|million|billion|thousand)\b)(?!\s+(?!is|was|has|as|its|this|does)[a-z]+s\b)"
)
_BEFORE_YEAR = re.compile(
    r"(?:\b(?:in|since|from|until|till|by|of|year|years|and|to|before|after|around|about|early|late|mid|"
    r"during|between|circa|c|summer|spring|autumn|fall|winter|copyright)|"
    rf"\b(?:{'|'.join(MONTHS)})(?: \d{{1,2}}(?:st|nd|rd|th)?,?)?|\(|\d (?:{'|'.join(MONTHS)}))\s*$",
    re.I,
)  # fmt: skip


def say_times(text: str) -> str:
    text = re.sub(rf"({_TIME.pattern})\s*[–-]\s*(?=\d)", lambda m: m.group(1) + " to ", text, flags=re.I)
    text = re.sub(r"\b(\d{1,2})\s*[–-]\s*(?=\d{1,2}(?::\d\d)?\s?[ap]\.?m\b)", r"\1 to ", text, flags=re.I)
    return _TIME.sub(_say_time, text)


def _say_time(match: re.Match[str]) -> str:
    hour, minute, _, half, hour24, minute24, second, bare, bare_half, _ = match.groups()
    end = (
        "." if match.group().endswith(".") and re.match(r"\s*$|\s+[A-Z]", match.string[match.end() :]) else ""
    )
    if bare:
        return f"{int(bare)} {bare_half.upper()}M{end}"
    if half:
        return f"{_clock(int(hour), minute)} {half.upper()}M{end}"
    if second:
        seconds = f" and {int(second)} seconds" if int(second) else ""
        return f"{int(hour24)} {_minute(minute24)}{seconds}"
    return _say_24(int(hour24), minute24)


def _say_24(hour: int, minute: str) -> str:
    if hour in (0, 24) and minute == "00":
        return "midnight"
    if hour > 12 or hour == 0:
        return f"{_clock(hour % 12 or 12, minute)} {'PM' if 12 < hour < 24 else 'AM'}"
    return f"{hour} {_minute(minute)}" if minute != "00" else f"{hour} o'clock"


def _clock(hour: int, minute: str) -> str:
    return str(hour) if minute == "00" else f"{hour} {_minute(minute)}"


def _minute(minute: str) -> str:
    return f"oh {int(minute)}" if minute.startswith("0") and minute != "00" else minute


def say_telephones(text: str) -> str:
    """Telephone numbers digit by digit, group by group."""
    prefix = r"(?:\+\d{1,3}[ -]?)?(?:\(\d{1,5}\)[ -]?|0\d{1,4}[ /-])?"
    pattern = rf"(?<![\w.,]){prefix}\d{{2,8}}(?:[ -]\d{{2,8}}){{0,4}}(?![\w.,]?\d)"

    def say(match: re.Match[str]) -> str:
        found = match.group()
        digits = re.sub(r"\D", "", found)
        is_phone = found.startswith(("+", "(", "0")) or re.fullmatch(r"\d{3}-\d{3}-\d{4}|\d{3}-\d{4}", found)
        if not is_phone or not 7 <= len(digits) <= 15:
            return found
        groups = re.findall(r"\d+", found)
        return ("plus " if found.startswith("+") else "") + ", ".join(" ".join(group) for group in groups)

    return re.sub(pattern, say, text)


def say_abbreviations(text: str) -> str:
    for pattern, said in _ABBREVIATIONS:
        text = re.sub(pattern, said, text)
    months, days = "|".join(_MONTH_NAMES), "|".join(_DAYS)

    def month(match: re.Match[str]) -> str:
        after = match.string[match.end() :]
        stop = "." if match.group().endswith(".") and not re.match(r"\s+[\da-z]|[,;–-]", after) else ""
        return _MONTH_NAMES[match[1].lower()] + stop if match[1][0].isupper() else match.group()

    def day(match: re.Match[str]) -> str:
        return _DAYS[match[1].lower()] if match[1][0].isupper() else match.group()

    text = re.sub(rf"\b({months})\.?(?=\s+\d{{1,4}}\b)", month, text, flags=re.I)
    text = re.sub(rf"(?<=\d )({months})\b\.?(?![a-z])", month, text, flags=re.I)
    text = re.sub(rf"\b({days})(?:\.(?=\W)|(?=[–-](?:{days})\b)|(?<=[–-].{{3}}))", day, text, flags=re.I)
    names = "|".join([*MONTHS, *_DAY_NAMES])
    text = re.sub(rf"\b({names})\s?[–-]\s?(?=(?:{names})\b)", r"\1 to ", text)
    text = re.sub(r"\b(?:[A-Z]\.){2,}", _initialism, text)
    return re.sub(r"\b(Chapter|Part|Section|Volume|War|Act|Book|Phase|Level) ([IVX]+)\b", _roman, text)


def _initialism(match: re.Match[str]) -> str:
    """ "U.S." → "U S", with its stop kept where it also ends a sentence."""
    spaced = " ".join(match.group().replace(".", ""))
    return spaced + ("." if not match.string[match.end() :].strip() else "")


def _roman(match: re.Match[str]) -> str:
    values = {"I": 1, "V": 5, "X": 10}
    numbers = [values[letter] for letter in match[2]]
    total = sum(-n if n < following else n for n, following in zip(numbers, [*numbers[1:], 0], strict=True))
    return f"{match[1]} {total}"


def say_products(text: str) -> str:
    """3 x 4 → 3 by 4, kWh/day → kWh per day, subscripts and superscripts as plain digits."""
    text = text.translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
    text = re.sub(
        r"(?<=\d)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "^" + "".join(str(unicodedata.digit(c)) for c in m[1]), text
    )
    text = re.sub(r"(?<=\d)\s?x\s?(?=\d)", " by ", text)
    return re.sub(
        r"/(?=(?:day|week|month|year|hour|minute|second|night|person|user|page|token)\b)", " per ", text
    )


def say_rest(text: str) -> str:
    """Years, plain numbers and signs, after everything with a unit has been said."""
    return _signs(_plain_numbers(_years(text)))


def _years(text: str) -> str:
    """Years as people say them (nineteen eighty-seven), where what stands around shows that it is a year."""
    from num2words import num2words

    text = re.sub(
        rf"(?<![\d.,]){_A_YEAR} to {_A_YEAR}(?![\d.,]\d|\d|\s+[a-z]+s\b)",
        lambda m: f"{num2words(int(m[1]), to='year')} to {num2words(int(m[2]), to='year')}",
        text,
    )
    text = _YEAR.sub(_say_year, text)
    following = r"(?!\d|st|nd|rd|th|:|\s(?:to|o'clock|AM|PM)\b)"
    pattern = rf"\b({'|'.join(MONTHS)}) (\d{{1,2}}){following}"
    return re.sub(pattern, lambda m: f"{m[1]} {_ordinal(int(m[2]))}", text)


def _say_year(match: re.Match[str]) -> str:
    plural = match[2]
    if not (plural and match[1].endswith("0")) and not _BEFORE_YEAR.search(match.string[: match.start()]):
        return match.group()
    from num2words import num2words

    said: str = num2words(int(match[1]), to="year")
    if plural:
        return (said[:-1] + "ies") if said.endswith("y") else said + "s"
    return said


def _ordinal(day: int) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _plain_numbers(text: str) -> str:
    """Thousands separators, versions, signs before numbers, fractions, "10k"."""
    text = re.sub(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])", lambda m: m.group().replace(",", ""), text)
    text = re.sub(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b", lambda m: m.group().replace(".", " dot "), text)
    text = re.sub(r"\bv?(\d+(?:\.\d+){2,})\b", lambda m: m[1].replace(".", " point "), text)
    text = re.sub(r"\bv(?=\d)", "version ", text)
    for written, said in _FRACTIONS.items():
        text = re.sub(rf"(?<![\d/]){written}(?![\d/])", said, text)
    text = re.sub(r"(?<=\d)([kK])\b(?!\w)", " thousand", text)
    text = re.sub(r"(?<=\d)([bB]n)\b", " billion", text)
    text = re.sub(r"(?<![\w)])[-−](?=\d)", "minus ", text)
    return re.sub(r"−", " minus ", text)


def _signs(text: str) -> str:
    rules: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
        (r"\s*\^\s*2\b", " squared"),
        (r"(?<=\w)\s*\^\s*(?=[\w-])", " to the power of "),
        (r"(?<=\d)\s*\*\s*(?=\d)", " times "),
        (r"(?<=\d):(?=\d)", " to "),
        (r"\s*(?:<=|=<)\s*", " at most "),
        (r"\s*>=\s*", " at least "),
        (r"\s*!=\s*", " is not "),
        (r"\s*(?:->|=>)\s*", " to "),
        (r"\s*==?\s*", " equals "),
        (r"(?<=\d)x\b(?!\w)", " times"),
        (r"\s*<\s*(?=[\w-])", " less than "),
        (r"\s*>\s*(?=[\w-])", " greater than "),
        (r"(?<!\w)~\s?(?=\d)", "about "),
        (r"(?<!\w)#\s?(?=\d)", "number "),
        (r"§§?\s?", "section "),
        (r"\s*&+\s*", " and "),
        (r"(?<=\w)\+(?!\w)", " plus"),
        (r"\s*\+\s*", " plus "),
        (r"(?<=[\w.])@(?=\w)", " at "),
        (r"(?<=\d)/(?=\d)", " over "),
        (r"/", " "),
    )
    for pattern, said in rules:
        text = re.sub(pattern, said, text)
    return "".join(f" {_SIGNS[char]} " if char in _SIGNS else char for char in text)
