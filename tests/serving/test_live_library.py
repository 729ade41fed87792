"""The served documents are in step with their folders, with real engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands.indexing import index
from engines import Engines
from rag.assistant import Done, Notice
from rag.corpus import CorpusError
from serving.live_library import LiveLibrary
from settings import Settings
from tests.engines.test_engines import varied

DEADLINE = 30.0  # seconds that a notice and what follows may take on a busy machine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("handbook", "rules"):
        (tmp_path / name).mkdir()
    (tmp_path / "handbook/boats.txt").write_text("The lantern boat returns at eleven.")
    (tmp_path / "rules/dogs.txt").write_text("Dogs stay on the lead in the harbour.")
    folders = (tmp_path / "handbook", tmp_path / "rules")
    return varied(data=tmp_path / "data", corpus=folders, offline=True, llm="extractive")


@pytest.fixture
def served(settings: Settings) -> Iterator[tuple[Engines, LiveLibrary]]:
    with Engines(settings) as engines:
        library = LiveLibrary(engines)
        library.opening()
        library.start()
        yield engines, library
        library.stop()
        until(lambda: not any(thread.name == "library" for thread in threading.enumerate()))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answer(engines: Engines, question: str, collection: str = "") -> str:
    events = list(engines.assistant().answer(question, collection=collection))
    done = events[-1]
    assert isinstance(done, Done)
    return done.text


def test_answers_know_what_changes(served: tuple[Engines, LiveLibrary], tmp_path: Path) -> None:
    engines, library = served
    assert library.progress() is None
    assert "eleven" in answer(engines, "When does the lantern boat return?")
    (tmp_path / "handbook/boats.txt").write_text("The lantern boat returns at noon.")
    (tmp_path / "handbook/ferry").mkdir()
    (tmp_path / "handbook/ferry/prices.txt").write_text("The ferry costs seven crowns.")
    until(lambda: len(library.items()) == 3 and not engines.indexing)
    until(lambda: "noon" in answer(engines, "When does the lantern boat return?"))
    assert "seven crowns" in answer(engines, "What does the ferry cost?")
    (tmp_path / "rules/dogs.txt").unlink()
    until(lambda: len(library.items()) == 2)
    assert library.watching() == ""


def test_a_folder_that_is_added_meanwhile_is_watched_too(
    served: tuple[Engines, LiveLibrary], tmp_path: Path
) -> None:
    engines, library = served
    (tmp_path / "more").mkdir()
    (tmp_path / "more/one.txt").write_text("The tide table hangs in the hall.")
    index(engines, [tmp_path / "more"], ())
    (tmp_path / "more/two.txt").write_text("The bell is rung at dusk.")
    until(lambda: len(library.items()) == 4)


def test_without_watches_the_folders_are_looked_at_now_and_then(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr("watchfiles.watch", refuse)
    monkeypatch.setattr("serving.live_library.POLL", 0.1)
    monkeypatch.setattr("serving.live_library.POLL_SHARE", 1)
    with Engines(settings) as engines:
        library = LiveLibrary(engines)
        library.start()
        assert "only now and then" in library.watching()
        (tmp_path / "rules/cats.txt").write_text("Cats are welcome.")
        until(lambda: len(library.items()) == 3)
        library.stop()


def test_it_can_be_turned_off(settings: Settings, tmp_path: Path) -> None:
    with Engines(settings.model_copy(update={"watch": False})) as engines:
        library = LiveLibrary(engines)
        library.start()
        until(lambda: not any(thread.name == "library" for thread in threading.enumerate()))
        assert len(library.items()) == 2


def test_how_far_it_is_is_said(settings: Settings) -> None:
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
        engines.indexing, engines.indexed = True, "12 of 4,000 files are read"
        events = list(engines.assistant().answer("When does the lantern boat return?"))
        notices = [event.message for event in events if isinstance(event, Notice)]
        assert any("not finished (12 of 4,000 files are read)" in notice for notice in notices)


def test_what_is_being_added_is_missing_from_answers(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
        library = LiveLibrary(engines)
        corpus = engines.library.get()[1]
        monkeypatch.setattr(corpus, "add_file", lambda path, name: engines.indexing)
        assert library.add_file(tmp_path / "slow.txt", "slow.txt") is True
        assert not engines.indexing


def test_a_question_to_one_collection(settings: Settings) -> None:
    with Engines(settings) as engines:
        assert LiveLibrary(engines).collections() == []  # the index is not open yet
        index(engines, settings.corpus, ())
        assert LiveLibrary(engines).collections() == ["handbook", "rules"]
        question = "When does the lantern boat return?"
        assert "eleven" in answer(engines, question, "Handbook")
        assert "eleven" not in answer(engines, question, "rules")
        with pytest.raises(CorpusError, match="There are: handbook, rules"):
            list(engines.assistant().answer(question, collection="papers"))


def test_an_index_in_which_nothing_changed_needs_no_model(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engines(settings) as engines:
        assert index(engines, settings.corpus, ())["added"] == 2
    monkeypatch.setattr("rag.embeddings.open_embedder", lambda *_, **__: pytest.fail("It was loaded."))
    for name in ("auto", "all-MiniLM-L6-v2"):
        with Engines(settings.model_copy(update={"embedder": name})) as engines:
            report = index(engines, settings.corpus, ())
        assert (report["unchanged"], report["chunks"]) == (2, 2)
        states = {file["source"]: file["state"] for file in report["files"]}
        assert states == {"boats.txt": "ready", "dogs.txt": "ready"}
