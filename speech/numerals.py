"""Numbers in writing → numbers in speech: money, units, times, dates, ranges, signs, abbreviations.

Units, currencies and dates take their names and plurals from CLDR (Babel), so they are right in every
language it has. The rest is English: what English engines read wrongly ("1987" as a count, "17:00" as
"seventeen zero zero") is spelled out, and for other languages it is left to the engine, which knows its
own. Plain integers stay digits.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from speech.english import say_abbreviations, say_products, say_rest, say_telephones, say_times
from speech.units import CODES, ENGLISH_UNITS, PLAIN_NAMES, SCALE, SCALES, SUBUNITS, SYMBOLS, UNIT, UNITS

_NUM = r"\d+(?:[.,\u00a0\u202f']\d{3})*(?:[.,]\d+)?"
# Nothing that makes the unit part of a word; Chinese and Japanese words follow without a space.
_NO_MORE = r"(?!(?![\u3040-\u30ff\u4e00-\u9fff])[\w²³/])"
_HOURS = {"de": "Uhr", "fr": "heures", "nl": "uur"}
_PRICE = re.compile(
    rf"(?:([{''.join(SYMBOLS)}])|\b({'|'.join(CODES)})\s?|\b(?:US|A|C)(\$))\s?({_NUM})(?:\s?({SCALE}))?"
    rf"|(?<![\w.,])({_NUM})\s?(?:({SCALE})\s?)?(?:([{''.join(SYMBOLS)}])|({'|'.join(CODES)})\b)"
)


def say_numerals(text: str, language: str) -> str:
    """Written numbers and abbreviations of `text` as words; `language` is an ISO 639-1 code."""
    text = _dates(say_products(text) if language == "en" else text, language)
    text = _money(text, language)
    if language == "en":
        text = say_times(say_telephones(text))
        text = say_abbreviations(text)
    elif language in _HOURS:
        text = _hours(text, _HOURS[language])
    text = _ranges(text, language)
    text = _units(text, language)
    if language != "en":
        return re.sub(r"(?<=\w)/(?=\w)", " ", text)
    return say_rest(text)


def _hours(text: str, word: str) -> str:
    """17:00 → "17 Uhr", 9h30 → "9 heures 30"."""
    pattern = rf"\b([01]?\d|2[0-4])(?::|h)([0-5]\d)(?!:|\d)(?:\s*(?:{word}|h)\b)?"
    return re.sub(pattern, lambda m: f"{m[1]} {word}" + (f" {int(m[2])}" if int(m[2]) else ""), text)


@lru_cache(maxsize=32)
def _locale(language: str) -> str | None:
    from babel import Locale, UnknownLocaleError

    try:
        return str(Locale.parse({"iw": "he", "jw": "jv", "no": "nb"}.get(language, language)))
    except (UnknownLocaleError, ValueError):
        return None


def _value(number: str, language: str) -> float | int:
    """What a written number means; "1.200" is a thousand in German and a little over one in English."""
    decimal = "." if language in ("en", "zh", "ja", "ko", "th", "he", "hi") else ","
    plain = re.sub(r"[\s\u00a0\u202f']", "", number)
    other = "," if decimal == "." else "."
    if re.fullmatch(rf"\d+(?:\{other}\d{{3}})+(?:\{decimal}\d+)?", plain):
        plain = plain.replace(other, "")
    plain = plain.replace(",", ".")
    if plain.count(".") > 1:
        plain = plain.replace(".", "")
    value = float(plain)
    return int(value) if value.is_integer() and "." not in plain else value


def _dates(text: str, language: str) -> str:
    text = re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", lambda m: _say_date(m, m[1], m[2], m[3], language), text)
    text = re.sub(
        r"\b(\d{1,2})\.\s?(\d{1,2})\.(\d{4})\b", lambda m: _say_date(m, m[3], m[2], m[1], language), text
    )
    return re.sub(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b", lambda m: _slashed(m, language), text)


def _slashed(match: re.Match[str], language: str) -> str:
    """3/5/2024 is March in America and May elsewhere; where both are possible the numbers are said."""
    first, second, year = match.groups()
    if int(first) > 12 or language != "en" or first == second:
        return _say_date(match, year, second, first, language)
    if int(second) > 12:
        return _say_date(match, year, first, second, language)
    return f"{int(first)}, {int(second)}, {year}"


def _say_date(match: re.Match[str], year: str, month: str, day: str, language: str) -> str:
    from babel.dates import format_date

    locale = _locale(language)
    try:
        value = date(int(year), int(month), int(day))
    except ValueError:
        return match.group()
    return format_date(value, "long", locale=locale) if locale else match.group()


def _money(text: str, language: str) -> str:
    text = re.sub(r"\bUS\$", "$", text)
    text = re.sub(
        rf"([{''.join(SYMBOLS)}]\s?)({_NUM})\s*[–-]\s*(?:\1)?(?={_NUM})", rf"\1\2{_to(language)}\1", text
    )
    return _PRICE.sub(lambda match: _say_price(match, language), text)


def _say_price(match: re.Match[str], language: str) -> str:
    before, code, dollar, number, scale, number2, scale2, after, code2 = match.groups()
    written, scale = (number or number2), (scale or scale2 or "")
    currency = SYMBOLS.get(before or dollar or after or "", code or code2 or "")
    if language == "en":
        return _english_price(written, scale, currency)
    locale = _locale(language)
    if locale is None:
        return match.group()
    from babel.numbers import format_currency

    if scale:
        name = format_currency(5, currency, locale=locale, format_type="name").lstrip("5.,0\u00a0 ")
        return f"{written} {scale} {name}"
    said = format_currency(_value(written, language), currency, locale=locale, format_type="name")
    return _as_written(said, written) or match.group()


def _english_price(written: str, scale: str, currency: str) -> str:
    value = _value(written, "en")
    names = _currency_names(currency)
    if scale:
        word = SCALES.get(scale.lower().rstrip("."), scale)
        return f"{_plain(written)} {word} {names[1]}"
    whole, _, part = _plain(written).partition(".")
    name = names[0] if int(whole) == 1 else names[1]
    if len(part) != 2 or currency not in SUBUNITS:
        return f"{_plain(written)} {names[0] if value == 1 else names[1]}"
    if int(part) == 0:
        return f"{whole} {name}"
    cents = _cents(int(part), SUBUNITS[currency])
    return f"{whole} {name} and {cents}" if int(whole) else cents


def _cents(count: int, unit: str) -> str:
    if unit == "pence":
        return "1 penny" if count == 1 else f"{count} pence"
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _currency_names(currency: str) -> tuple[str, str]:
    if currency in PLAIN_NAMES:
        return PLAIN_NAMES[currency]
    from babel.numbers import get_currency_name

    return get_currency_name(currency, 1, locale="en"), get_currency_name(currency, 5, locale="en")


def _plain(number: str) -> str:
    """An English number without its thousands separators."""
    plain = re.sub(r"[\s\u00a0\u202f']", "", number)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return plain.replace(",", "")
    return plain.replace(",", ".")


def _units(text: str, language: str) -> str:
    pattern = rf"(?<![A-Za-z0-9_.,])([-−]?)(?!\d+0s\b)({_NUM})"
    pattern += rf"(?:\s?({UNIT}){_NO_MORE}(?!\.\w)|-({UNIT}){_NO_MORE}(?!-))"
    return re.sub(pattern, lambda match: _say_unit(match, language), text)


def _say_unit(match: re.Match[str], language: str) -> str:
    sign, number, unit, joined = match.groups()
    unit = unit or joined
    if unit in ("m", "s", "h", "t", "g", "l", "V", "W", "L", "N") and re.match(
        r"'", match.string[match.end() :]
    ):
        return match.group()
    value, locale = _value(number, language), _locale(language)
    spoken = _english_unit(number, value, unit) if language == "en" else None
    if spoken is None:
        spoken = _cldr_unit(number, value, unit, locale)
    if spoken is None:
        return match.group()
    return (f"minus {spoken}" if language == "en" else f"-{spoken}") if sign else spoken


def _english_unit(number: str, value: float, unit: str) -> str | None:
    if unit not in ENGLISH_UNITS:
        return None
    return f"{_plain(number)} {ENGLISH_UNITS[unit][value != 1]}"


def _cldr_unit(number: str, value: float, unit: str, locale: str | None) -> str | None:
    """The number with its unit's name, the number as it was written."""
    from babel.core import Locale
    from babel.units import UnknownUnitError, format_unit

    if locale is None or unit not in UNITS:
        return None
    try:
        value = 2 if value == 1 and number != "1" else value  # "1.0 gigabytes"
        said = format_unit(value, UNITS[unit], length="long", format="#", locale=Locale.parse(locale))
    except (UnknownUnitError, ValueError):
        return None
    return _as_written(said, _plain(number) if locale.startswith("en") else number)


def _as_written(said: str, number: str) -> str | None:
    """`said` with its number, which was formatted, as `number`, which a person wrote."""
    formatted = re.search(r"\d[\d.,\u00a0\u202f]*\d|\d", said)
    return said.replace(formatted.group(), number, 1) if formatted else None


def _to(language: str) -> str:
    words = {
        "en": "to",
        "de": "bis",
        "fr": "à",
        "es": "a",
        "it": "a",
        "pt": "a",
        "nl": "tot",
        "sv": "till",
        "pl": "do",
    }
    return f" {words[language]} " if language in words else "-"


def _ranges(text: str, language: str) -> str:
    """9–17 → 9 to 17. A plain hyphen counts only between numbers that rise: 555-1234 is none."""
    number = r"\d+(?:[.,]\d+)?"
    text = re.sub(
        rf"(?<![\w.,–-])({number})\s?(?:–|\s-\s)\s?({number})(?![\w–-])|(?<=\d)\s?–\s?(?=\d)",
        lambda m: _range(m, language),
        text,
    )
    unit = rf"(?:\s?(?:{UNIT}))?"
    return re.sub(
        rf"(?<![\w.,/-])({number})({unit})[-–]({number})(?={unit}(?![\w-]))",
        lambda m: _rising(m, language),
        text,
    )


def _range(match: re.Match[str], language: str) -> str:
    return f"{match[1]}{_to(language)}{match[2]}" if match[1] else _to(language)


def _rising(match: re.Match[str], language: str) -> str:
    low, unit, high = match.groups()
    a, b = _value(low, language), _value(high, language)
    short_year = len(low) == 4 and len(high) == 2 and int(high) > int(low[2:])
    if (a < b and abs(len(low) - len(high)) <= 1 and len(high) <= 4) or short_year:
        return f"{low}{unit}{_to(language)}{high}"
    return f"{low}{unit} {high}"
