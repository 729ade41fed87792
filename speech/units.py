"""Units and currencies: as they are written → as CLDR, or English, calls them. Nothing but tables."""

from __future__ import annotations

import re

# What is written → CLDR's identifier, which has a name in every language.
UNITS = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter", "mm": "length-millimeter",
    "µm": "length-micrometer", "μm": "length-micrometer", "nm": "length-nanometer", "mi": "length-mile",
    "ft": "length-foot", "yd": "length-yard", "kg": "mass-kilogram", "g": "mass-gram",
    "mg": "mass-milligram", "t": "mass-tonne", "lb": "mass-pound", "lbs": "mass-pound",
    "oz": "mass-ounce", "l": "volume-liter", "L": "volume-liter", "ml": "volume-milliliter",
    "mL": "volume-milliliter", "cl": "volume-centiliter", "m²": "area-square-meter",
    "m2": "area-square-meter", "km²": "area-square-kilometer", "km2": "area-square-kilometer",
    "cm²": "area-square-centimeter", "ha": "area-hectare", "m³": "volume-cubic-meter",
    "m3": "volume-cubic-meter", "cm³": "volume-cubic-centimeter", "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit", "℃": "temperature-celsius", "℉": "temperature-fahrenheit",
    "°": "angle-degree", "%": "concentr-percent", "‰": "concentr-permille",
    "km/h": "speed-kilometer-per-hour", "kph": "speed-kilometer-per-hour", "mph": "speed-mile-per-hour",
    "m/s": "speed-meter-per-second", "kB": "digital-kilobyte", "KB": "digital-kilobyte",
    "MB": "digital-megabyte", "GB": "digital-gigabyte", "TB": "digital-terabyte",
    "PB": "digital-petabyte", "Mbit": "digital-megabit", "Gbit": "digital-gigabit",
    "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz", "W": "power-watt", "kW": "power-kilowatt", "MW": "power-megawatt",
    "GW": "power-gigawatt", "kWh": "energy-kilowatt-hour", "V": "electric-volt",
    "mA": "electric-milliampere", "hPa": "pressure-hectopascal", "bar": "pressure-bar",
    "ms": "duration-millisecond", "s": "duration-second", "sec": "duration-second",
    "min": "duration-minute", "h": "duration-hour", "hrs": "duration-hour", "hr": "duration-hour",
    "kcal": "energy-foodcalorie", "kJ": "energy-kilojoule", "px": "graphics-pixel",
    "dpi": "graphics-dot-per-inch", "rpm": "frequency-revolution-per-minute",
    "ppm": "concentr-part-per-1e6",
}  # fmt: skip
# What CLDR does not have, in English: one, several.
ENGLISH_UNITS = {
    "GiB": ("gibibyte", "gibibytes"), "MiB": ("mebibyte", "mebibytes"),
    "KiB": ("kibibyte", "kibibytes"), "MB/s": ("megabyte per second", "megabytes per second"),
    "GB/s": ("gigabyte per second", "gigabytes per second"),
    "Mbit/s": ("megabit per second", "megabits per second"),
    "Gbit/s": ("gigabit per second", "gigabits per second"),
    "Mbps": ("megabit per second", "megabits per second"),
    "fps": ("frame per second", "frames per second"), "dB": ("decibel", "decibels"),
    "N": ("newton", "newtons"), "Pa": ("pascal", "pascals"), "Wh": ("watt hour", "watt hours"),
    "µs": ("microsecond", "microseconds"), "ns": ("nanosecond", "nanoseconds"),
    "°K": ("kelvin", "kelvin"), "sqm": ("square meter", "square meters"),
    "mA": ("milliampere", "milliamperes"), "µg": ("microgram", "micrograms"),
}  # fmt: skip
UNIT = "|".join(re.escape(unit) for unit in sorted({*UNITS, *ENGLISH_UNITS}, key=len, reverse=True))

SYMBOLS = {
    "€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY",
    "₴": "UAH",
}  # fmt: skip
CODES = [
    "EUR", "USD", "GBP", "JPY", "CHF", "INR", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK",
    "HUF", "CNY", "RUB", "KRW", "BRL", "MXN",
]  # fmt: skip
# English: what a hundredth is called, and the plain names.
SUBUNITS = {
    "EUR": "cent", "USD": "cent", "GBP": "pence", "CAD": "cent", "AUD": "cent", "NZD": "cent",
    "CHF": "centime",
}  # fmt: skip
PLAIN_NAMES = {
    "USD": ("dollar", "dollars"), "GBP": ("pound", "pounds"), "JPY": ("yen", "yen"),
    "INR": ("rupee", "rupees"),
}  # fmt: skip
SCALE = r"(?:thousand|million|billion|trillion|[kKMB](?![a-zA-Z])|bn|mn|[mM]io\.?|[mM]rd\.?|m(?![a-zA-Z²³]))"
SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "mio": "million", "b": "billion", "bn": "billion",
}  # fmt: skip
