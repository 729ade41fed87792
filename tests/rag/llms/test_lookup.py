"""Guesses, whether they pay, what they change (nothing), and loops: plain lists of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.llms.choosing import Sampling, choose
from rag.llms.lookup import MATCHED, MOST, Lookup
from rag.llms.pace import Pace
from rag.llms.run import Run, looping

TOKENS = st.lists(st.integers(0, 5), max_size=60)


@given(TOKENS, TOKENS, st.integers(1, MOST))
def test_a_guess_is_what_followed_the_same_tokens_before(
    first: list[int], more: list[int], most: int
) -> None:
    lookup = Lookup(first)
    lookup.extend(more)
    tokens, guess = first + more, lookup.guess(most)
    assert len(guess) <= most
    for length in MATCHED:  # the longest run that was there before, where it was last
        run = tokens[len(tokens) - length :]
        places = [n for n in range(length, len(tokens)) if tokens[n - length : n] == run]
        if len(tokens) >= length and places:
            assert guess == tokens[places[-1] : places[-1] + most]
            return
    assert guess == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=6),
    st.lists(st.integers(0, 7), max_size=5),
    st.integers(0, 2**31),
    st.sampled_from([1.0, 1.1, 3.0]),
)
def test_guesses_change_no_greedy_answer(
    written: list[int], guesses: list[int], seed: int, penalty: float
) -> None:
    import torch

    logits = torch.randn(len(guesses) + 1, 8, generator=torch.Generator().manual_seed(seed))
    sampling = Sampling(repetition_penalty=penalty)
    chosen = choose(logits, sampling, written, guesses)
    one_by_one: list[int] = []
    for row, guess in zip(logits, [*guesses, None], strict=True):
        one_by_one += choose(row[None], sampling, [*written, *one_by_one], [])
        if one_by_one[-1] != guess:
            break
    assert chosen == one_by_one


@pytest.mark.parametrize("top", [{"top_k": 3, "top_p": 1.0}, {"top_k": 0, "top_p": 0.6}])
def test_draws_from_what_transformers_would_draw_from(top: dict[str, float]) -> None:
    import torch
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.tensor([[2.0, 1.0, 0.5, 0.2, -1.0, 1.9]])
    ids = torch.tensor([[0]])
    expected = TemperatureLogitsWarper(0.8)(ids, logits)
    if top["top_k"]:
        expected = TopKLogitsWarper(int(top["top_k"]))(ids, expected)
    expected = TopPLogitsWarper(top["top_p"])(ids, expected).softmax(-1)[0]
    torch.manual_seed(3)
    sampling = Sampling(temperature=0.8, top_p=top["top_p"], top_k=int(top["top_k"]))
    counts = torch.zeros(6)
    for _ in range(4000):
        counts[choose(logits, sampling, [], [])[0]] += 1
    assert torch.allclose(counts / 4000, expected, atol=0.03)
    assert (counts[expected == 0] == 0).all()


def test_guesses_are_checked_only_where_that_is_quick_enough() -> None:
    pace = Pace()
    assert pace.best(1, [0, 0.9]) == 0  # nothing is known yet
    pace.saw(0.10, read=0, written=1)
    assert pace.best(1, [0, 0.9, 1.7]) == 2  # worth a try
    for _ in range(20):
        pace.saw(0.40, read=0, written=3)
        pace.saw(0.12, read=0, written=2)
    assert pace.best(1, [0, 0.9, 1.7]) == 1
    assert pace.best(1, [0, 0.1, 0.1]) == 0
    assert pace.best(0, [0]) == 0


def test_the_time_to_read_is_learnt() -> None:
    pace = Pace()
    assert pace.reading(100) is None
    for _ in range(30):
        pace.saw(1.0, read=250, written=0)
    assert pace.reading(500) == pytest.approx(2.0, rel=0.05)


@given(
    st.lists(st.integers(0, 3), max_size=30),
    st.lists(st.integers(4, 99), min_size=1, max_size=40, unique=True),
)
def test_a_phrase_again_and_again_is_a_loop(before: list[int], phrase: list[int]) -> None:
    assert looping(before + phrase * 40)
    assert not looping(before + phrase * 3)


def test_a_run_ends_at_an_end_token_its_limit_or_a_loop() -> None:
    def finish(limit: int, tokens: list[int]) -> tuple[str | None, int]:
        run = Run([1], limit, Sampling())
        for token in tokens:
            if not run.ended.is_set():
                run.write([token], frozenset([9]))
        return run.finish, len(run.written)

    assert finish(10, [1, 2, 9, 3]) == ("stop", 2)
    assert finish(3, [1, 2, 3, 4]) == ("length", 3)
    assert finish(100, [5] * 100) == ("repetition", 32)
