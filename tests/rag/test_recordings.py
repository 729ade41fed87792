"""Recordings as documents: stretches of what was said, each with its moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rag.cancel import Cancelled, CancelToken, scope
from rag.chunks import split_documents
from rag.corpus import Corpus
from rag.documents import DocumentError, load_file
from rag.recordings import Heard, moment, stretches
from rag.store import open_store
from tests.rag.place import WordHashes


def test_stretches_end_where_something_said_has_ended() -> None:
    said = [(n * 9.0, n * 9.0 + 8, f"s{n}") for n in range(8)]
    assert [(at, text) for at, _, text in stretches(said)] == [
        (0.0, "s0 s1 s2"),
        (27.0, "s3 s4 s5"),
        (54.0, "s6 s7"),
    ]


def test_a_long_pause_begins_another_stretch_and_silence_is_none() -> None:
    said = [(1.0, 2.0, "one"), (20.0, 21.0, "two"), (22.0, 90.0, "three "), (91.0, 92.0, "  ")]
    assert list(stretches(said)) == [(1.0, "0:01", "one"), (20.0, "0:20", "two"), (22.0, "0:22", "three")]
    assert list(stretches([(0.0, 5.0, " ")])) == []


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0:00"), (59.9, "0:59"), (750.2, "12:30"), (3723.0, "1:02:03")]
)
def test_moments(seconds: float, said: str) -> None:
    assert moment(seconds) == said


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"sound")
    return path


def test_a_recording_is_cited_by_its_time(talk: Path) -> None:
    def hear(path: Path, should_stop: Callable[[], bool]) -> Heard:
        assert path == talk
        assert not should_stop()
        return Heard([(0.4, 20.0, "Welcome to the garden."), (731.0, 750.0, "The bees come in May.")])

    found = load_file(talk, "talk.mp3", hear=hear)
    assert [(p.page_content, p.metadata["place"], p.metadata["at"], p.metadata["page"]) for p in found] == [
        ("Welcome to the garden.", "0:00", 0.4, 1),
        ("The bees come in May.", "12:11", 731.0, 2),
    ]
    chunk = split_documents(found)[1]
    assert (chunk.header, chunk.place, chunk.at) == ("talk · 12:11", "12:11", 731.0)


def test_a_recording_in_which_nobody_speaks_or_that_nobody_can_hear(talk: Path) -> None:
    with pytest.raises(DocumentError, match="Nobody speaks"):
        load_file(talk, "talk.mp3", hear=lambda path, should_stop: Heard([]))
    with pytest.raises(DocumentError, match="Recordings are not read here"):
        load_file(talk, "talk.mp3")


def test_what_a_weak_recogniser_heard_says_so_wherever_it_is_cited(talk: Path) -> None:
    said = [(0.4, 20.0, "Welcome to the garden.")]
    [found] = load_file(talk, "talk.mp3", hear=lambda path, should_stop: Heard(said, "pocketsphinx"))
    assert found.metadata["place"] == "0:00, perhaps misheard"
    assert "pocketsphinx, which misunderstands much" in found.metadata["notice"]
    [chunk] = split_documents([found])
    assert (chunk.place, chunk.header) == ("0:00, perhaps misheard", "talk · 0:00"), "it is not searched"


def test_a_recording_is_heard_again_once_it_can_be_heard_well(tmp_path: Path) -> None:
    well, heard = False, list[bool]()
    store = open_store(tmp_path / "data", dimension=64, embedder="words")

    def hear(path: Path, should_stop: Callable[[], bool]) -> Heard:
        heard.append(well)
        return Heard([(0.0, 9.0, "bees" if well else "peace")], "" if well else "pocketsphinx")

    corpus = Corpus(store, WordHashes(), tmp_path / "data", hear=hear, hears_well=lambda: well)
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "talk.mp3").write_bytes(b"sound")
    for _ in range(2):
        corpus.sync([tmp_path / "talks"])
    assert (heard, store.sources()[0].notice != "") == ([False], True)
    well = True
    for _ in range(2):
        corpus.sync([tmp_path / "talks"])
    [source] = store.sources()
    assert (heard, source.notice, store.pages("talk.mp3")[0].text) == ([False, True], "", "bees")
    corpus.close()
    store.close()


def test_hearing_ends_when_it_is_cancelled(talk: Path) -> None:
    token = CancelToken()

    def hear(path: Path, should_stop: Callable[[], bool]) -> Heard:
        token.cancel()
        assert should_stop()
        return Heard([])

    with scope(token), pytest.raises(Cancelled):
        load_file(talk, "talk.mp3", hear=hear)
