"""Numbers as spreadsheets show them: the codes that people use, and others left as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.formats.number_formats import BUILT_IN, shown


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.125, "0%", "12%"),
        (0.125, "0.0%", "12.5%"),
        (0.125, "0.00\\ %", "12.50 %"),
        (-0.5, "0%;[Red]-0%", "-50%"),
        (1234.5, '#,##0.00 "€"', "1234.50 €"),
        (
            1234.5,
            '_-* #,##0.00\\ [$€-407]_-;-* #,##0.00\\ [$€-407]_-;_-* "-"??\\ [$€-407]_-;_-@_-',
            "1234.50 €",
        ),
        (0, '_-* #,##0.00\\ "€"_-;-* #,##0.00\\ "€"_-;_-* "-"??\\ "€"_-;_-@_-', "- €"),
        (1234.5, "$#,##0", "$1234"),
        (-20, "$#,##0_);($#,##0)", "($20)"),
        (-20, "[$£-809]#,##0.00", "-£20.00"),
        (5, '0.0" kg"', "5.0 kg"),
        (5, 'General" pieces"', "5 pieces"),
        (1.5, "0.##", "1.5"),
        (2, "0.##", "2"),
        (100, "0", "100"),
        (1 / 3, "General", "0.333333333333333"),
        (1 / 3, "# ?/?", "0.333333333333333"),
        (12345.678, "0.00E+00", "12345.678"),
        (1_500_000, '0.0,,"M"', "1500000"),
        (500, "[>100]0.0;0", "500"),
        (45000, "dd/mm/yyyy", "2023-03-15"),
        (45000, "[$-407]d. mmmm yyyy;@", "2023-03-15"),
        (45000.25, "yyyy-mm-dd hh:mm", "2023-03-15 06:00"),
        (45000, "mmm yy", "2023-03"),
        (45000, "yyyy", "2023"),
        (0.75, "h:mm AM/PM", "18:00"),
        (1.5, "[h]:mm", "36:00:00"),
        (1, "d/m/yyyy", "1900-01-01"),
        (61, "d/m/yyyy", "1900-03-01"),
        (-1, "d/m/yyyy", "-1"),
        (1e300, "d/m/yyyy", "1e+300"),
    ],
)
def test_what_a_cell_shows(value: float, code: str, text: str) -> None:
    assert shown(value, code) == text


@given(st.floats(allow_nan=True), st.text('0#?.,%;[]<>$€"\\_*dmyhs:/ @E+-()GeneralAMP', max_size=30))
def test_any_number_and_any_code_give_a_line_of_text(value: float, code: str) -> None:
    assert "\n" not in shown(value, code)


@given(st.floats(-1e9, 1e9), st.sampled_from(sorted(BUILT_IN.values())))
def test_every_code_that_is_built_in_shows_something(value: float, code: str) -> None:
    assert shown(value, code)
