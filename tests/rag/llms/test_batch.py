"""Several answers at once: the same texts as alone, nobody starved, nobody harmed by another."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

import rag.llms.batch as batch_module
from rag.cancel import Cancelled, CancelToken, scope
from rag.llms.alone import Alone
from rag.llms.batch import Batch, _piece
from rag.llms.choosing import Sampling
from rag.llms.errors import Busy, GenerationFailed
from rag.llms.footprint import READ_AT_ONCE
from rag.llms.local import LocalChatModel
from rag.llms.pace import Pace
from rag.llms.ragged import ATTENTION, Part, forward
from rag.llms.run import Run
from rag.llms.writers import free_memory
from rag.telling import News, Notice, Queued, listening
from tests.models import open_tiny, tiny_of
from tests.rag.llms.conftest import endless

Forward = Callable[[Any, Sequence[Part], Callable[[], None]], Any]
SLIDING = {
    "head_dim": 16,
    "sliding_window": 12,
    "query_pre_attn_scalar": 16,
    "layer_types": ["sliding_attention", "full_attention"],
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("mistral", {"sliding_window": None}),
    "sliding mistral": ("mistral", {"sliding_window": 12}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "llama": ("llama", {}),
    "gemma2": ("gemma2", SLIDING | {"attn_logit_softcapping": 5.0}),
    "gemma3": ("gemma3_text", SLIDING),
    "phi3": ("phi3", {"pad_token_id": 1, "sliding_window": 12}),
}
PASSAGE = "The lighthouse on the northern cape was built in 1874 and is open from May to September. "


@pytest.fixture
def llm(mistral_path: Path) -> LocalChatModel:
    return open_tiny(mistral_path, max_new_tokens=24)


@pytest.fixture
def slow(slow_path: Path) -> LocalChatModel:
    return endless(slow_path)


def batch_of(llm: LocalChatModel) -> Batch:
    assert isinstance(llm._writer, Batch)
    return llm._writer


def prompt_of(llm: LocalChatModel, text: str) -> list[int]:
    return llm._prompt_ids([HumanMessage(text)])


def run_of(llm: LocalChatModel, text: str, limit: int = 24, **more: Any) -> Run:
    return Run(prompt_of(llm, text), limit, Sampling(), **more)


def read(run: Run) -> list[int]:
    return [token for tokens in run for token in tokens]


@contextmanager
def passing(monkeypatch: pytest.MonkeyPatch, instead: Callable[[Forward], Forward]) -> Iterator[None]:
    """Each pass by way of `instead`."""
    with monkeypatch.context() as patched:
        patched.setattr(batch_module, "forward", instead(forward))
        yield


def plain(model: Any, prompt: list[int], tokens: int, penalty: float = 1.0) -> list[int]:
    """What transformers' own `generate` writes, one answer at a time."""
    run = Run(prompt, tokens, Sampling(repetition_penalty=penalty))
    Alone(model, [1], ()).start(run)
    return read(run)


@pytest.mark.parametrize("penalty", [1.0, 1.2])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_writes_as_transformers_does(family: str, penalty: float, tmp_path: Path) -> None:
    kind, facts = FAMILIES[family]
    path = tiny_of(tmp_path, kind, **facts)  # prompts are longer than its sliding window
    llm, reference = open_tiny(path), open_tiny(path)
    for each in (llm, reference):
        each.loaded.model.float()  # in bfloat16 two tokens may be equally likely
    reference.loaded.model.set_attn_implementation("eager")
    assert llm.loaded.model.config._attn_implementation == ATTENTION
    prompts = [prompt_of(llm, PASSAGE * n + "Who keeps the light?") for n in range(3)]
    runs = [Run(prompt, 40, Sampling(repetition_penalty=penalty)) for prompt in prompts]
    for run in runs:
        llm._writer.start(run)
    written = [read(run) for run in runs]
    assert written == [plain(reference.loaded.model, prompt, 40, penalty) for prompt in prompts]


def test_guesses_that_are_right_save_passes(llm: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "writing", lambda pace, tokens: 0.01)  # as if a guess cost nothing
    run = run_of(llm, PASSAGE, limit=200)
    run.looped = False  # what a random model writes soon repeats itself, which is easy to guess
    batch = batch_of(llm)
    before = batch.passes
    batch.start(run)
    written = read(run)
    assert len(written) == 200
    assert batch.passes - before < 120


def test_who_comes_later_does_not_wait_for_the_end(slow: LocalChatModel) -> None:
    long, short = run_of(slow, PASSAGE, limit=4000), run_of(slow, "And who keeps it?", limit=5)
    long.looped = False
    with long, short:
        slow._writer.start(long)
        next(iter(long))
        slow._writer.start(short)
        assert len(read(short)) == 5
        assert not long.ended.is_set()
        before = len(long.written)
        next(iter(long))
        assert len(long.written) >= before


def test_prompts_are_read_in_their_order_as_many_as_a_pass_holds(
    slow: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(slow)
    batch._read = 40
    long = run_of(slow, PASSAGE, limit=4000)
    long.looped = False
    later = [Run([7] * n, 1, Sampling()) for n in (90, 21, 30)]  # 40 + 50; 21 + 19; 11
    held, pieces = threading.Event(), []

    def recording(original: Forward) -> Forward:
        def instead(model: Any, parts: Sequence[Part], check: Callable[[], None]) -> Any:
            held.wait(30)  # until all of them have asked
            if batch._waiting or len(batch._seats) > 1:
                pieces.append([len(part.tokens) for part in parts if batch_run(batch, part) in later])
            return original(model, parts, check)

        return instead

    with long, passing(monkeypatch, recording):
        batch.start(long)
        for run in later:
            batch.start(run)
        held.set()
        firsts = [len(read(run)) for run in later]
    assert firsts == [1, 1, 1]
    assert [sizes for sizes in pieces if sizes] == [[40], [50], [21, 19], [11]]


def batch_run(batch: Batch, part: Part) -> Run:
    return next(seat.run for seat in batch._seats if seat.cache is part.cache)


def test_an_error_harms_only_the_one_with_whom_it_comes(
    llm: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [f"Question number {n}?" for n in range(3)]
    expected = [llm.invoke(text).content for text in good]
    bad = prompt_of(llm, "The bad one")

    def failing(original: Forward) -> Forward:
        def instead(model: Any, parts: Sequence[Part], check: Callable[[], None]) -> Any:
            if any(list(part.tokens) == bad for part in parts):
                raise RuntimeError("layer exploded")
            return original(model, parts, check)

        return instead

    got: dict[str, object] = {}

    def ask(text: str) -> None:
        try:
            got[text] = llm.invoke(text).content
        except GenerationFailed as error:
            got[text] = error

    with passing(monkeypatch, failing):
        threads = [threading.Thread(target=ask, args=(text,)) for text in [*good, "The bad one"]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert isinstance(got["The bad one"], GenerationFailed)
    assert [got[text] for text in good] == expected


@pytest.mark.parametrize(("failures", "written"), [(1, True), (100, False)])
def test_where_memory_runs_out_once_the_answer_goes_on(
    llm: LocalChatModel, monkeypatch: pytest.MonkeyPatch, failures: int, written: bool
) -> None:
    expected = llm.invoke("Who keeps the light?").content
    left = [failures]

    def failing(original: Forward) -> Forward:
        def instead(model: Any, parts: Sequence[Part], check: Callable[[], None]) -> Any:
            if parts[0].cache.length > 20 and left[0]:
                left[0] -= 1
                raise MemoryError
            return original(model, parts, check)

        return instead

    with passing(monkeypatch, failing):
        if written:
            assert llm.invoke("Who keeps the light?").content == expected
        else:
            with pytest.raises(GenerationFailed, match="ran out of memory"):
                llm.invoke("Who keeps the light?")
    assert llm.invoke("Who keeps the light?").content == expected


def test_a_cancelled_answer_takes_part_in_no_further_pass(slow: LocalChatModel) -> None:
    batch, moments = batch_of(slow), random.Random(5)
    for _ in range(15):
        token, text = CancelToken(), PASSAGE * moments.randint(1, 20)

        def ask(token: CancelToken = token, text: str = text) -> None:
            with scope(token), pytest.raises(Cancelled):
                slow.invoke(text)

        thread = threading.Thread(target=ask)
        before = batch.passes
        thread.start()
        time.sleep(moments.uniform(0, 0.1))  # any moment will do: that is what is tested
        token.cancel()
        at = batch.passes
        thread.join(10)
        assert not thread.is_alive()
        assert batch.passes <= max(at, before) + 1  # one may have begun between the two lines


def test_cancelling_one_leaves_the_others(slow: LocalChatModel) -> None:
    stay, go = run_of(slow, PASSAGE, limit=30), run_of(slow, "And?", limit=4000)
    for run in (stay, go):
        run.looped = False
        slow._writer.start(run)
    next(iter(go))
    go.token.cancel()
    assert go.ended.wait(5)
    with stay:
        assert len(read(stay)) == 30


def test_what_prompts_have_in_common_is_read_once(
    llm: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = PASSAGE * 5
    expected = [llm.invoke(rules + text).content for text in ("Who?", "When?", "Where?")]
    fresh = llm.model_copy()
    fresh._writer = Batch(llm.loaded.model, [1], free_memory)
    sizes: list[int] = []

    def counting(original: Forward) -> Forward:
        def instead(model: Any, parts: Sequence[Part], check: Callable[[], None]) -> Any:
            sizes.append(max(len(part.tokens) for part in parts))
            return original(model, parts, check)

        return instead

    got, read_tokens = [], []
    with passing(monkeypatch, counting):
        for text in ("Who?", "When?", "Where?"):
            sizes.clear()
            got.append(fresh.invoke(rules + text).content)
            read_tokens.append(max(sizes))
    assert got == expected
    whole = len(prompt_of(llm, rules))
    assert read_tokens[0] >= whole - 5
    assert read_tokens[2] < 20


def test_who_must_wait_is_told_and_comes_when_there_is_room(llm: LocalChatModel) -> None:
    def room(device: Any) -> int:
        return 1  # for one answer, which is always let in

    batch = Batch(llm.loaded.model, [1], room)
    first = run_of(llm, "Who?", limit=4)
    batch.start(first)
    read(first)  # from now on it knows what an answer takes
    news: list[News] = []
    runs = [run_of(llm, f"Question {n}?", limit=20) for n in range(3)]
    with listening(news.append):
        for run in runs:
            batch.start(run)
        for run in runs:
            assert read(run)
    waits = [each for each in news if isinstance(each, Queued)]
    assert any(wait.before == 2 for wait in waits)
    assert all(wait.seconds is None or wait.seconds >= 0 for wait in waits)


def test_nobody_waits_for_ever(slow: LocalChatModel) -> None:
    batch = Batch(slow.loaded.model, [1], lambda device: 1, patience=0.2)
    first = run_of(slow, "Who?", limit=1)
    batch.start(first)
    read(first)
    long, late = run_of(slow, PASSAGE, limit=4000), run_of(slow, "And?")
    long.looped = False
    with long:
        batch.start(long)
        next(iter(long))
        batch.start(late)
        with pytest.raises(Busy, match=r"one answer being written.*Ask again in a minute"):
            read(late)


class LeavesJustThen(CancelToken):
    """It is cancelled right after somebody has seen that it is not."""

    @property
    def cancelled(self) -> bool:
        before = super().cancelled
        self.cancel()
        return before


def test_who_leaves_while_the_seats_are_looked_through_is_let_go(slow: LocalChatModel) -> None:
    run = run_of(slow, "Who?", limit=4000)
    run.token = LeavesJustThen()
    Batch(slow.loaded.model, [1], lambda device: 10**12).start(run)
    assert run.ended.wait(10)


def test_an_answer_ends_at_its_time(slow: LocalChatModel) -> None:
    news: list[News] = []
    llm = slow.model_copy(update={"max_seconds": 0.3})
    with listening(news.append):
        answer = llm.invoke("Who?")
    assert answer.response_metadata["finish_reason"] == "time"
    assert next(each for each in news if isinstance(each, Notice)).message.startswith(
        "The answer took longer"
    )


def test_an_answer_that_repeats_itself_is_ended(llm: LocalChatModel) -> None:
    news: list[News] = []
    endless = llm.model_copy(update={"max_new_tokens": 2000, "repetition_penalty": 1.0})
    with listening(news.append):
        answer = endless.invoke("Who?")  # a random model that takes the likeliest soon goes round in circles
    assert answer.response_metadata["finish_reason"] == "repetition"
    assert any(isinstance(each, Notice) and "repeat itself" in each.message for each in news)


def test_who_stands_still_in_the_middle_of_a_pass_keeps_nobody_waiting(slow: LocalChatModel) -> None:
    still, other = run_of(slow, PASSAGE * 40, limit=5), run_of(slow, "And who?", limit=5)
    reached = threading.Event()

    def hold(*_: Any) -> None:
        if not reached.is_set():
            still.token.hold()
            reached.set()

    layer = slow.loaded.model.model.layers[4]
    handle = layer.register_forward_pre_hook(hold)
    try:
        with still, other:
            slow._writer.start(still)
            assert reached.wait(10)
            slow._writer.start(other)
            assert len(read(other)) == 5
            assert len(still.written) <= 1  # the pass under way went on
            still.token.release()
            assert len(read(still)) == 5
    finally:
        handle.remove()


def test_where_there_is_no_memory_for_what_is_known_it_is_read_again(
    llm: LocalChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = llm.invoke("Who keeps the light?").content

    def fail(*_: Any) -> None:
        raise MemoryError

    for name in ("start", "learn"):
        monkeypatch.setattr(batch_of(llm)._prefixes, name, fail)
    assert llm.invoke("Who keeps the light?").content == expected


def test_who_goes_on_does_not_wait_for_another_who_is_held(slow: LocalChatModel) -> None:
    first, second = run_of(slow, "Who?", limit=4000), run_of(slow, PASSAGE * 20, limit=4000)
    first.looped = second.looped = False
    with first, second:
        slow._writer.start(first)
        next(iter(first))
        first.token.hold()
        slow._writer.start(second)
        next(iter(second))
        second.token.hold()  # perhaps in the middle of its pass
        before, began = len(first.written), time.monotonic()
        first.token.release()
        while len(first.written) < before + 3 and time.monotonic() - began < 8:
            first.ended.wait(0.01)
        assert len(first.written) >= before + 3


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_positions_that_turn_with_the_length_are_written_alone(kind: str, tmp_path: Path) -> None:
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
        rope["original_max_position_embeddings"] = 64
    else:
        rope |= {"factor": 2.0}
    family = "phi3" if kind == "longrope" else "llama"
    path = tiny_of(tmp_path, family, pad_token_id=1, rope_parameters=rope)
    assert isinstance(open_tiny(path, max_new_tokens=3)._writer, Alone)


@given(st.integers(1, 5000), st.integers(0, READ_AT_ONCE))
def test_no_pass_reads_more_than_the_plan_reckons_with(left: int, budget: int) -> None:
    piece = _piece(left, budget)
    assert piece <= min(left, READ_AT_ONCE, budget + budget // 4)
    assert piece in (left, budget)
