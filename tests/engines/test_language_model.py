"""The life of a language model: swapped while it answers, cancelled, failed, unloaded, and really gone."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.language_model import LanguageModel
from engines.model_opening import ModelOpening, weights_of
from rag import llms
from serving.switching import PageModels
from settings import Settings
from tests.models import tiny_mistral, tiny_qwen

SECONDS = 30.0  # that anything here may take on a busy machine


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_mistral(tmp_path_factory.mktemp("mistral")))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_qwen(tmp_path_factory.mktemp("qwen")))


Opened = Callable[..., LanguageModel]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Begins with a model in force."""
    all_of_them: list[LanguageModel] = []

    def make(wish: str, **fields: Any) -> LanguageModel:
        build: Any = Settings
        settings = build(_env_file=None, llm=wish, offline=True, max_new_tokens=8, **fields)
        all_of_them.append(LanguageModel(settings, can_ask=True))
        all_of_them[-1].get()
        return all_of_them[-1]

    yield make
    for llm in all_of_them:
        llm.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def settled(llm: LanguageModel) -> None:
    until(lambda: llm.coming is None)


class Gate:
    """Holds a step of opening until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        self.reached, self._go = threading.Event(), threading.Event()
        step_itself = getattr(ModelOpening, step)

        def held(*args: Any) -> Any:
            self.reached.set()
            assert self._go.wait(SECONDS)
            return step_itself(*args)

        monkeypatch.setattr(f"engines.model_opening.ModelOpening.{step}", held)

    def go(self) -> None:
        self._go.set()


def test_the_old_model_answers_until_the_new_one_is_warm(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened(mistral)
    assert (llm.in_force.name, llm.in_force.where, llm.state) == (mistral, "CPU", "ready")
    gate = Gate(monkeypatch, "warm")
    llm.choose(qwen)
    assert gate.reached.wait(SECONDS)
    coming = llm.coming
    assert coming is not None
    assert (coming.name, coming.phase) == (qwen, "warming")
    assert llm.in_force.name == mistral
    assert llm.notices() == []  # a model answers
    old = llm.ready()
    assert old is not None
    assert old.invoke("Who?").content
    gate.go()
    settled(llm)
    assert (llm.in_force.name, llm.error) == (qwen, None)


def test_an_answer_that_runs_ends_on_the_model_it_began_with_which_is_then_freed(
    opened: Opened, mistral: str, qwen: str
) -> None:
    llm = opened(mistral)
    old = llm.ready()
    assert old is not None
    gone = weakref.ref(weights_of(old))
    answer = old.stream("Who keeps the light?")
    said = [next(answer)]
    llm.choose(qwen)
    settled(llm)
    assert llm.in_force.name == qwen
    said += list(answer)
    info = [piece.response_metadata for piece in said if piece.response_metadata]
    assert info[-1]["model_name"] == mistral
    assert gone() is not None
    del old, answer
    until(lambda: gone() is None)


def test_loading_tells_how_far_it_is(opened: Opened, mistral: str, qwen: str) -> None:
    llm = opened(mistral)
    told: list[tuple[int, int]] = []
    llm.opening.load(qwen, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == len(told) > 10


REASONS = {
    "missing": "choices",
    "truncated": "model.safetensors",
    "wrong architecture": "does not write text",
    "bad config": "cannot be loaded",
}


@pytest.mark.parametrize("what", REASONS)
def test_one_that_cannot_be_had_leaves_the_old_one_in_force(
    opened: Opened, mistral: str, tmp_path: Path, what: str
) -> None:
    llm = opened(mistral)
    before = llm.ready()
    llm.choose(str(broken(tmp_path / "broken", what)))
    settled(llm)
    assert llm.ready() is before
    assert llm.in_force.name == mistral
    assert llm.error is not None
    assert REASONS[what] in str(llm.error)
    assert llm.error.__traceback__ is None
    assert llm.get() is before  # whoever waits has a model
    llm.choose(mistral)
    assert llm.error is None


def broken(folder: Path, what: str) -> Path:
    if what == "missing":
        return folder
    tiny_qwen(folder)
    weights = folder / "model.safetensors"
    if what == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif what == "wrong architecture":
        (folder / "config.json").write_text('{"model_type": "clip", "architectures": ["CLIPModel"]}')
    else:
        (folder / "config.json").write_text("{")
    return folder


def test_what_is_on_its_way_can_be_cancelled(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened(mistral)
    gate = Gate(monkeypatch, "load")
    llm.choose(qwen)
    assert gate.reached.wait(SECONDS)
    llm.cancel()
    assert (llm.coming, llm.in_force.name) == (None, mistral)
    gate.go()
    llm.choose("extractive")  # waits until the cancelled one has stopped
    settled(llm)
    assert (llm.in_force.name, llm.ready()) == ("quotations", None)


def test_the_choice_that_was_made_last_holds(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened("extractive")
    gate = Gate(monkeypatch, "load")
    llm.choose(qwen)
    assert gate.reached.wait(SECONDS)
    llm.choose(mistral)
    gate.go()
    settled(llm)
    assert llm.in_force.name == mistral


class Narrow:
    """Memory for one model: nothing fits while the weights that were in force are there."""

    def __init__(self, llm: LanguageModel, monkeypatch: pytest.MonkeyPatch, *, room: bool) -> None:
        self._weights = weakref.ref(weights_of(llm.ready()))
        self.freed = threading.Event()
        self.answering: list[str] = []
        outlook = llm.opening.outlook

        def narrow(name: str) -> Any:
            if self._weights() is not None:
                raise llms.DoesNotFit(f"{name} does not fit.")
            self.freed.set()
            self.answering.append(llm.in_force.name)
            if not room and len(self.answering) == 1:
                raise llms.DoesNotFit(f"{name} does not fit at all.")
            return outlook(name)

        monkeypatch.setattr(llm.opening, "outlook", narrow)


def test_where_two_do_not_fit_the_old_one_goes_first(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened(mistral)
    narrow = Narrow(llm, monkeypatch, room=True)
    prospect = llm.look(qwen)
    assert (prospect.outlook, "does not fit" in prospect.instead) == (None, True)
    running = llm.ready()
    assert running is not None
    llm.choose(qwen)
    until(lambda: llm.in_force.name == "quotations")
    (notice,) = llm.notices()
    assert "still loading; this answer quotes the documents" in notice
    assert not narrow.freed.is_set()  # an answer still runs on it
    del running
    settled(llm)
    assert (llm.in_force.name, narrow.answering) == (qwen, ["quotations"])


def test_the_old_one_comes_back_if_the_new_one_does_not_fit_alone_either(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened(mistral)
    Narrow(llm, monkeypatch, room=False)
    llm.choose(qwen)
    until(lambda: llm.in_force.name == mistral and llm.coming is None and llm.error is not None)
    assert "does not fit at all" in str(llm.error)
    assert llm.get() is not None


def test_an_idle_model_leaves_the_memory_until_the_next_question(
    opened: Opened, mistral: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []
    monkeypatch.setattr(
        "engines.model_opening.ModelOpening.warm",
        lambda _, model: loaded.append(weakref.ref(weights_of(model))),
    )
    llm = opened(mistral, idle_unload=0.002)
    until(lambda: loaded[0]() is None)
    assert (llm.in_force.name, llm.unloaded) == ("quotations", mistral)
    gate = Gate(monkeypatch, "load")
    llm.wake()
    assert gate.reached.wait(SECONDS)
    (notice,) = llm.notices()
    assert "still loading; this answer quotes the documents" in notice
    assert "unloaded after 0.002 minutes without a question" in notice
    gate.go()
    until(lambda: len(loaded) == 2)


def test_nothing_is_unloaded_by_default(opened: Opened, mistral: str) -> None:
    llm = opened(mistral)
    assert not [thread for thread in threading.enumerate() if thread.name == "unload the idle model"]
    assert llm.ready() is not None


def test_a_failure_at_the_first_word_is_a_failure_of_the_new_one(
    opened: Opened, mistral: str, qwen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = opened(mistral)

    def fails(self: object, model: object) -> None:
        raise llms.GenerationFailed("The model ran out of memory while it wrote.")

    monkeypatch.setattr("engines.model_opening.ModelOpening.warm", fails)
    llm.choose(qwen)
    settled(llm)
    assert (llm.in_force.name, "ran out of memory" in str(llm.error)) == (mistral, True)
    assert not PageModels(llm).look(mistral).in_force  # choosing it again clears the failure


def test_quotations_can_be_chosen_as_they_are_looked_at(opened: Opened, mistral: str) -> None:
    llm = opened(mistral)
    llm.choose(llm.look("extractive").name)
    settled(llm)
    assert (llm.in_force.name, llm.error) == ("quotations", None)
    page = PageModels(llm)
    assert page.look("extractive").in_force
    llm._unloaded = mistral  # as after idleness: what answers now is no choice
    assert not page.look("extractive").in_force
    llm.choose("extractive")
    llm.wake()
    assert (llm.coming, llm.in_force.llm) == (None, None)
