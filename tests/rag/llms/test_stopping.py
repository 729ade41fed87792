"""Stop strings: the same cut however the text comes, and nothing held back that is sure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.llms.stopping import StopText


@given(st.lists(st.text("ab\n", max_size=4)), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3))
def test_a_stop_string_cuts_however_the_text_is_cut(pieces: list[str], stops: list[str]) -> None:
    stopper, said, read = StopText(stops), "", ""
    for piece in pieces:
        read += piece
        said += stopper.feed(piece)
        if stopper.found:
            break
        held = read[len(said) :]
        assert not held or any(stop.startswith(held) for stop in stops)
    said += stopper.rest()
    ends = [read.index(stop) for stop in stops if stop in read]
    assert said == (read[: min(ends)] if ends else read)
    assert stopper.found == bool(ends)
