"""Numbers in writing → numbers in speech: money, units, times, dates, ranges, signs, abbreviations.

Units, currencies and dates take their names and plurals from CLDR (Babel), so they are right in every language it has. The
rest is English: what English engines read wrongly ("1987" as a count, "17:00" as "seventeen zero zero") is spelled
out, and for other languages it is left to the engine, which knows its own. Plain integers stay digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache

_NUM = r"\d+(?:[.,\u00a0\u202f']\d{3})*(?:[.,]\d+)?"
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH_NAMES = {name[:3].lower(): name for name in _MONTHS} | {"sept": "September"}
_DAYS = {
    d[:3].lower(): d for d in ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
}

_SYMBOLS = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "₽": "RUB",
    "₩": "KRW",
    "₺": "TRY",
    "₴": "UAH",
}
_CODES = [
    "EUR",
    "USD",
    "GBP",
    "JPY",
    "CHF",
    "INR",
    "CAD",
    "AUD",
    "NZD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "CNY",
    "RUB",
    "KRW",
    "BRL",
    "MXN",
]
_SUBUNITS = {
    "EUR": "cent",
    "USD": "cent",
    "GBP": "pence",
    "CAD": "cent",
    "AUD": "cent",
    "NZD": "cent",
    "CHF": "centime",
}
_PLAIN_NAMES = {
    "USD": ("dollar", "dollars"),
    "GBP": ("pound", "pounds"),
    "JPY": ("yen", "yen"),
    "INR": ("rupee", "rupees"),
}
_SCALE = r"(?:thousand|million|billion|trillion|[kKMB](?![a-zA-Z])|bn|mn|mio\.?|m(?![a-zA-Z²³]))"
_SCALES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "mio": "million",
    "b": "billion",
    "bn": "billion",
}

_UNITS = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter", "mm": "length-millimeter",
    "µm": "length-micrometer", "μm": "length-micrometer", "nm": "length-nanometer", "mi": "length-mile", "ft": "length-foot",
    "yd": "length-yard", "kg": "mass-kilogram", "g": "mass-gram", "mg": "mass-milligram", "t": "mass-tonne", "lb": "mass-pound",
    "lbs": "mass-pound", "oz": "mass-ounce", "l": "volume-liter", "L": "volume-liter", "ml": "volume-milliliter",
    "mL": "volume-milliliter", "cl": "volume-centiliter", "m²": "area-square-meter", "m2": "area-square-meter",
    "km²": "area-square-kilometer", "km2": "area-square-kilometer", "cm²": "area-square-centimeter", "ha": "area-hectare",
    "m³": "volume-cubic-meter", "m3": "volume-cubic-meter", "cm³": "volume-cubic-centimeter", "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit", "℃": "temperature-celsius", "℉": "temperature-fahrenheit", "°": "angle-degree",
    "%": "concentr-percent", "‰": "concentr-permille", "km/h": "speed-kilometer-per-hour", "kph": "speed-kilometer-per-hour",
    "mph": "speed-mile-per-hour", "m/s": "speed-meter-per-second", "kB": "digital-kilobyte", "KB": "digital-kilobyte",
    "MB": "digital-megabyte", "GB": "digital-gigabyte", "TB": "digital-terabyte", "PB": "digital-petabyte",
    "Mbit": "digital-megabit", "Gbit": "digital-gigabit", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz",
    "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz", "W": "power-watt", "kW": "power-kilowatt", "MW": "power-megawatt",
    "GW": "power-gigawatt", "kWh": "energy-kilowatt-hour", "V": "electric-volt", "mA": "electric-milliampere",
    "hPa": "pressure-hectopascal", "bar": "pressure-bar", "ms": "duration-millisecond", "s": "duration-second",
    "sec": "duration-second", "min": "duration-minute", "h": "duration-hour", "hrs": "duration-hour", "hr": "duration-hour",
    "kcal": "energy-foodcalorie", "kJ": "energy-kilojoule", "px": "graphics-pixel", "dpi": "graphics-dot-per-inch",
    "rpm": "frequency-revolution-per-minute", "ppm": "concentr-part-per-1e6",
}  # fmt: skip
_ENGLISH_UNITS = {
    "GiB": ("gibibyte", "gibibytes"), "MiB": ("mebibyte", "mebibytes"), "KiB": ("kibibyte", "kibibytes"),
    "MB/s": ("megabyte per second", "megabytes per second"), "GB/s": ("gigabyte per second", "gigabytes per second"),
    "Mbit/s": ("megabit per second", "megabits per second"), "Gbit/s": ("gigabit per second", "gigabits per second"),
    "Mbps": ("megabit per second", "megabits per second"), "fps": ("frame per second", "frames per second"),
    "dB": ("decibel", "decibels"), "N": ("newton", "newtons"), "Pa": ("pascal", "pascals"), "Wh": ("watt hour", "watt hours"),
    "µs": ("microsecond", "microseconds"), "ns": ("nanosecond", "nanoseconds"), "°K": ("kelvin", "kelvin"),
    "sqm": ("square meter", "square meters"), "mA": ("milliampere", "milliamperes"), "µg": ("microgram", "micrograms"),
}  # fmt: skip
_UNIT = "|".join(re.escape(u) for u in sorted({*_UNITS, *_ENGLISH_UNITS}, key=len, reverse=True))

_ABBREVIATIONS: tuple[tuple[str, str], ...] = (
    (r"\be\.\s?g\.,?", "for example"),
    (r"\bi\.\s?e\.,?", "that is"),
    (r"\betc\.(?=\s+[A-Z]|\s*$)", "et cetera."),
    (r"\betc\.?", "et cetera"),
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
    "±": "plus or minus", "×": "times", "÷": "divided by", "≤": "at most", "≥": "at least", "≠": "is not", "≈": "about",
    "→": "to", "⇒": "so", "←": "from", "↔": "to and from", "∞": "infinity", "√": "square root of", "π": "pi", "∑": "sum of",
    "²": "squared", "³": "cubed", "½": "one half", "¼": "one quarter", "¾": "three quarters", "⅓": "one third",
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


def say_numerals(text: str, language: str) -> str:
    """Written numbers and abbreviations of `text` as words; `language` is an ISO 639-1 code."""
    text = _dates(text, language)
    text = _money(text, language)
    if language == "en":
        text = _times(_phones(text))
        text = _abbreviations(text)
    text = _ranges(text, language)
    text = _units(text, language)
    if language != "en":
        return re.sub(r"(?<=\w)/(?=\w)", " ", text)
    return _signs(_plain_numbers(_years(text)))


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


# --- dates and times


def _dates(text: str, language: str) -> str:
    text = re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", lambda m: _say_date(m, m[1], m[2], m[3], language), text)
    text = re.sub(
        r"\b(\d{1,2})\.\s?(\d{1,2})\.(\d{4})\b", lambda m: _say_date(m, m[3], m[2], m[1], language), text
    )
    return re.sub(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b", lambda m: _slashed(m, language), text)


def _slashed(match: re.Match[str], language: str) -> str:
    """3/5/2024 is March in American writing and May elsewhere; where both are possible the numbers are said."""
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


_TIME = re.compile(
    r"\b([01]?\d|2[0-4])(?:[:.]([0-5]\d))(?::([0-5]\d))?\s*([ap])\.?m\b\.?|\b([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?\b"
    r"(?!:)|\b(1[0-2]|0?[1-9])\s?([ap])\.?m\b(\.?)",
    re.I,
)


def _times(text: str) -> str:
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
        return f"{int(hour24)} {_minute(minute24)} and {int(second)} seconds"
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


# --- money


_PRICE = re.compile(
    rf"(?:([{''.join(_SYMBOLS)}])|\b({'|'.join(_CODES)})\s?|\b(?:US|A|C)(\$))\s?({_NUM})(?:\s?({_SCALE}))?"
    rf"|(?<![\w.,])({_NUM})\s?(?:({_SCALE})\s?)?(?:([{''.join(_SYMBOLS)}])|({'|'.join(_CODES)})\b)"
)


def _money(text: str, language: str) -> str:
    text = re.sub(r"\bUS\$", "$", text)
    text = re.sub(rf"([{''.join(_SYMBOLS)}]\s?)({_NUM})\s*[–-]\s*(?={_NUM})", rf"\1\2{_to(language)}\1", text)
    return _PRICE.sub(lambda match: _say_price(match, language), text)


def _say_price(match: re.Match[str], language: str) -> str:
    before, code, dollar, number, scale, number2, scale2, after, code2 = match.groups()
    written, scale = (number or number2), (scale or scale2 or "")
    currency = _SYMBOLS.get(before or dollar or after or "", code or code2 or "")
    if language == "en":
        return _english_price(written, scale, currency)
    locale = _locale(language)
    if locale is None:
        return match.group()
    from babel.numbers import format_currency

    if scale:
        name = format_currency(5, currency, locale=locale, format_type="name").lstrip("5.,0\u00a0 ")
        return f"{written} {scale} {name}"
    return format_currency(
        _value(written, language),
        currency,
        locale=locale,
        format_type="name",
        currency_digits=False,
        decimal_quantization=False,
    )


def _english_price(written: str, scale: str, currency: str) -> str:
    value = _value(written, "en")
    names = _currency_names(currency)
    if scale:
        word = _SCALES.get(scale.lower().rstrip("."), scale)
        return f"{_plain(written)} {word} {names[1]}"
    whole, _, part = _plain(written).partition(".")
    name = names[0] if int(whole) == 1 else names[1]
    if len(part) != 2 or currency not in _SUBUNITS:
        return f"{_plain(written)} {names[0] if value == 1 else names[1]}"
    if int(part) == 0:
        return f"{whole} {name}"
    cents = _cents(int(part), _SUBUNITS[currency])
    return f"{whole} {name} and {cents}" if int(whole) else cents


def _cents(count: int, unit: str) -> str:
    if unit == "pence":
        return "1 penny" if count == 1 else f"{count} pence"
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _currency_names(currency: str) -> tuple[str, str]:
    if currency in _PLAIN_NAMES:
        return _PLAIN_NAMES[currency]
    from babel.numbers import get_currency_name

    return get_currency_name(currency, 1, locale="en"), get_currency_name(currency, 5, locale="en")


def _plain(number: str) -> str:
    """An English number without its thousands separators."""
    plain = re.sub(r"[\s\u00a0\u202f']", "", number)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return plain.replace(",", "")
    return plain.replace(",", ".")


# --- units and ranges


def _units(text: str, language: str) -> str:
    pattern = rf"(?<![\w.,])([-−]?)(?!\d+0s\b)({_NUM})(?:\s?({_UNIT})(?![\w²³/]|\.\w)|-({_UNIT})(?![\w²³/-]))"
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
    if unit not in _ENGLISH_UNITS:
        return None
    return f"{_plain(number)} {_ENGLISH_UNITS[unit][value != 1]}"


def _cldr_unit(number: str, value: float, unit: str, locale: str | None) -> str | None:
    """The number with its unit's name, the number as it was written."""
    from babel.core import Locale
    from babel.units import UnknownUnitError, format_unit

    if locale is None or unit not in _UNITS:
        return None
    try:
        said = format_unit(value, _UNITS[unit], length="long", format="#", locale=Locale.parse(locale))
    except (UnknownUnitError, ValueError):
        return None
    formatted = re.search(r"\d[\d.,\u00a0\u202f]*\d|\d", said)
    if formatted is None:
        return None
    written = _plain(number) if locale.startswith("en") else number
    return said.replace(formatted.group(), written, 1)


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
    unit = rf"(?:\s?(?:{_UNIT}))?"
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


def _phones(text: str) -> str:
    """Telephone numbers digit by digit, group by group."""
    pattern = r"(?<![\w.,])(?:\+\d{1,3}[ -]?)?(?:\(\d{1,5}\)[ -]?|0\d{1,4}[ /-])?\d{2,8}(?:[ -]\d{2,8}){0,4}(?![\w.,]?\d)"

    def say(match: re.Match[str]) -> str:
        found = match.group()
        digits = re.sub(r"\D", "", found)
        is_phone = found.startswith(("+", "(", "0")) or re.fullmatch(r"\d{3}-\d{3}-\d{4}|\d{3}-\d{4}", found)
        if not is_phone or not 7 <= len(digits) <= 15:
            return found
        groups = re.findall(r"\d+", found)
        return ("plus " if found.startswith("+") else "") + ", ".join(" ".join(group) for group in groups)

    return re.sub(pattern, say, text)


# --- English words


def _abbreviations(text: str) -> str:
    for pattern, said in _ABBREVIATIONS:
        text = re.sub(pattern, said, text)
    months = "|".join(_MONTH_NAMES)
    text = re.sub(
        rf"\b({months})\.?(?=\s+\d{{1,4}}\b)",
        lambda m: _MONTH_NAMES[m[1].lower()] if m[1][0].isupper() else m[0],
        text,
        flags=re.I,
    )
    text = re.sub(
        rf"(?<=\d )({months})\b\.?(?![a-z])", lambda m: _MONTH_NAMES[m[1].lower()], text, flags=re.I
    )
    text = re.sub(
        rf"\b({'|'.join(_DAYS)})\.(?=\W)",
        lambda m: _DAYS[m[1].lower()] if m[1][0].isupper() else m[0],
        text,
        flags=re.I,
    )
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


_YEAR = re.compile(
    r"(?<![\d.,/:€$£-])(1[1-9]\d\d|20\d\d)(s?)(?![\d:/%€$]|[.,]\d)"
    r"(?!\s+(?:percent|people|million|billion|thousand)\b)(?!\s+(?!is|was|has|as|its|this|does)[a-z]+s\b)"
)
_BEFORE_YEAR = re.compile(
    r"(?:\b(?:in|since|from|until|till|by|of|year|years|and|to|before|after|around|about|early|late|mid|during|between|circa|"
    r"c|summer|spring|autumn|fall|winter|copyright)|"
    rf"\b(?:{'|'.join(_MONTHS)})(?: \d{{1,2}}(?:st|nd|rd|th)?,?)?|\(|\d (?:{'|'.join(_MONTHS)}))\s*$",
    re.I,
)  # fmt: skip


def _years(text: str) -> str:
    """Years as people say them (nineteen eighty-seven), where what stands before shows that it is a year."""
    text = _YEAR.sub(_say_year, text)
    months = "|".join(_MONTHS)
    return re.sub(
        rf"\b({months}) (\d{{1,2}})(?!\d|st|nd|rd|th|:|\s(?:to|o'clock|AM|PM)\b)",
        lambda m: f"{m[1]} {_ordinal(int(m[2]))}",
        text,
    )


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
        (r"(?<=\d)\s*\^\s*(?=[\d-])", " to the power of "),
        (r"(?<=\d)\s*\*\s*(?=\d)", " times "),
        (r"(?<=\d)\s?x\s?(?=\d)", " by "),
        (r"(?<=\d):(?=\d)", " to "),
        (r"\s*(?:<=|=<)\s*", " at most "),
        (r"\s*>=\s*", " at least "),
        (r"\s*!=\s*", " is not "),
        (r"\s*(?:->|=>)\s*", " to "),
        (r"\s*==?\s*", " equals "),
        (r"\s*<\s*(?=[\w-])", " less than "),
        (r"\s*>\s*(?=[\w-])", " more than "),
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
