"""What is written becomes what a person would say."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.speakable import speakable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Bold**, *slanted*, __strong__ and ~~old~~.", "Bold, slanted, strong and old."),
        ("It closes at six [1]. [2, 3]", "It closes at six."),
        ("# Opening hours\nThe museum opens.", "Opening hours. The museum opens."),
        ("- a rope\n- a lamp", "a rope. a lamp"),
        ("2. Shut the door.", "2, Shut the door."),
        ("| Day | Hours |\n|---|---|\n| Monday | 9 |", "Day, Hours. Monday, 9"),
        ("> quoted words", "quoted words"),
        ("See [the page](https://example.org/a_b?c=1).", "See the page."),
        ("![A map](map.png)", "A map"),
        ("Go to https://www.example.org/x/y?z=1.", "Go to link to example dot org."),
        ("Write to info@example.org today.", "Write to info at example dot org today."),
        ("Use `os.path` and `my_name`.", "Use os.path and my name."),
        ("```python\nprint(1)\n```", "Here is a piece of code."),
        ("Look:\n```\nx = 1", "Look: Here is a piece of code."),
        ("<b>Bold</b> &amp; more", "Bold and more"),
        ("A line that is\nwrapped.", "A line that is wrapped."),
    ],
)
def test_markup_goes(text: str, said: str) -> None:
    assert speakable(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It costs €12.50.", "It costs 12 euros and 50 cents."),
        ("$3.2 million, £1, 5 USD, $1,200", "3.2 million dollars, 1 pound, 5 dollars, 1200 dollars"),
        ("£0.99 or $5–$10", "99 pence or 5 dollars to 10 dollars"),
        ("5 km, 1 km, 16 GB and 3.5 kg", "5 kilometers, 1 kilometer, 16 gigabytes and 3.5 kilograms"),
        ("−5 °C at 100 km/h", "minus 5 degrees Celsius at 100 kilometers per hour"),
        ("20 % of 10.5%", "20 percent of 10.5 percent"),
        ("9–17 and 1.5–2.5 km", "9 to 17 and 1.5 to 2.5 kilometers"),
        ("9:30–17:00", "9 30 to 5 PM"),
        ("at 9:05, 12:00 or 00:00", "at 9 oh 5, 12 o'clock or midnight"),
        ("from 9 a.m. to 5:30 p.m.", "from 9 AM to 5 30 PM."),
        ("in 1987 and the 1990s", "in nineteen eighty-seven and the nineteen nineties"),
        ("the mid-1990s", "the mid-nineteen nineties"),
        ("1939–1945", "nineteen thirty-nine to nineteen forty-five"),
        ("on 2024-05-03", "on May 3rd, twenty twenty-four"),
        ("on May 3, 2024", "on May 3rd, twenty twenty-four"),
        ("1,234,567 items", "1234567 items"),
        ("version 3.11.2", "version 3 point 11 point 2"),
        ("1/2 of it", "one half of it"),
        ("call 555-1234", "call 5 5 5, 1 2 3 4"),
        ("3 * 4 = 12", "3 times 4 equals 12"),
        ("x <= 4 and y > 3", "x at most 4 and y greater than 3"),
        ("about 20 m²", "about 20 square meters"),
        ("16:9", "16 to 9"),
        ("1500 visitors", "1500 visitors"),
        ("No. 4, p. 12, Fig. 3", "number 4, page 12, figure 3"),
        ("e.g. Dr. Smith vs. Mrs. Jones", "for example Doctor Smith versus Missus Jones"),
        ("St. Paul on Main St. is open", "Saint Paul on Main Street is open"),
        ("apples, pears, etc.", "apples, pears, et cetera."),
        ("C++, C# & R&D", "C plus plus, C sharp and R and D"),
        ("World War II", "World War 2"),
        ("The U.S. is big.", "The U S is big."),
        ("Good 😀 → great ✓", "Good to great"),
        ("this — that", "this, that"),
    ],
)
def test_numbers_and_signs_become_words(text: str, said: str) -> None:
    assert speakable(text) == said


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("de", "Es kostet **12,50 €** [1].", "Es kostet 12,50 Euro."),
        ("de", "Von 9:30–17:00 Uhr, 5 km, 20 %", "Von 9 Uhr 30 bis 17 Uhr, 5 Kilometer, 20 Prozent"),
        ("fr", "Il y a 3 km.", "Il y a 3 kilomètres."),
        ("es", "Hace 20 °C.", "Hace 20 grados Celsius."),
        ("ja", "気温は20 °Cです。[1]", "気温は摂氏 20 度です。"),
        ("de", "am 2024-05-03", "am 3. Mai 2024"),
        ("pt-BR", "São 5 km.", "São 5 quilômetros."),
        ("xx", "**foo** 20 [1]", "foo 20"),
    ],
)
def test_other_languages_have_their_own_units(language: str, text: str, said: str) -> None:
    assert speakable(text, language) == said


@pytest.mark.parametrize("text", ["", " \n", "---", "[2]", "**", "|---|---|", "👍"])
def test_what_has_no_sound_is_empty(text: str) -> None:
    assert speakable(text) == ""


_WORD = st.text(st.characters(categories=["Ll", "Lu"], max_codepoint=0x17F), min_size=2, max_size=8)
_NOISE = st.sampled_from(
    [
        "**",
        "_",
        "`",
        " [1]",
        "# ",
        "\n",
        "\n- ",
        "|",
        "€5",
        "3.5 km",
        "10%",
        "9:30",
        "$",
        "<",
        ">",
        "&",
        "https://a.bc",
        "\\",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_WORD | _NOISE, min_size=1, max_size=12), st.sampled_from(["en", "de", "xx"]))
def test_prose_is_never_lost_and_no_symbol_is_left(parts: list[str], language: str) -> None:
    said = speakable(" ".join(parts), language)
    words = [part for part in parts if part.isalpha()]
    if words and not any(part in ("<", ">", "`", "\\", "$") for part in parts):
        assert said
    assert said == said.strip()
    assert not re.search(r"[*_`#|<>\[\]{}\\~^]", said)
    if language == "en":
        assert all(unicodedata.category(c)[0] in "LNMPZ" for c in said)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["en", "de", "ja", "ar", "xx"]))
def test_any_text_at_all_gives_one_line(text: str, language: str) -> None:
    assert "\n" not in speakable(text, language)
