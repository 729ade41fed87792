"""Authorization headers: what is none of ours is nobody, however wild."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.credentials import basic, bearer


@given(st.text(st.characters(exclude_characters=":")), st.text())
def test_what_a_browser_sends_is_read(user: str, password: str) -> None:
    header = "Basic " + base64.b64encode(f"{user}:{password}".encode("utf-8", "replace")).decode()
    assert basic(header)[0] == user.encode("utf-8", "replace").decode()


@given(st.text())
def test_no_header_raises(header: str) -> None:
    for kind in ("", "Basic ", "Bearer "):
        basic(kind + header)
        bearer(kind + header)


@pytest.mark.parametrize("header", ["Basic é", "Basic %%%", "Basic /w==", "Bearer a:b"])
def test_what_is_no_sign_in_is_nobody(header: str) -> None:
    assert basic(header) == ("", "")
