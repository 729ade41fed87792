"""What changes in folders is told once it is whole."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag.corpus_watch import LONGEST, QUIET, Pending, Watch

DEADLINE = 20.0  # seconds that a notice may take on a busy machine


def test_a_file_is_told_when_it_is_quiet(tmp_path: Path) -> None:
    path, pending = tmp_path / "a.txt", Pending()
    path.write_text("One")
    pending.note(path, 0.0)
    assert pending.take(QUIET / 2) == []
    pending.note(path, QUIET / 2)
    assert pending.take(QUIET * 1.2) == []
    assert pending.take(QUIET * 1.6) == [path]
    assert not pending
    assert pending.take(100.0) == []


def test_a_file_that_grows_between_two_looks_waits(tmp_path: Path) -> None:
    path, pending = tmp_path / "a.txt", Pending()
    path.write_text("One")
    pending.note(path, 0.0)
    path.write_text("One and more, of which no notice came")
    assert pending.take(1.0) == []
    assert pending.take(1.0 + QUIET / 2) == []
    assert pending.take(1.1 + QUIET) == [path]


def test_a_file_that_never_stops_is_told_now_and_then(tmp_path: Path) -> None:
    path, pending = tmp_path / "a.log", Pending()
    told = 0
    for tenth in range(int(LONGEST * 10) + 1):
        path.write_text("line\n" * tenth)
        pending.note(path, tenth / 10)
        told += len(pending.take(tenth / 10))
    assert told == 1


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    pending = Pending()
    pending.note(tmp_path / "gone.txt", 0.0)
    assert pending.take(1.0) == [tmp_path / "gone.txt"]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[[Path], set[Path]]]:
    """Gives what was told until a path is, or something in it; the folder and its data folder are watched."""
    (tmp_path / "docs/data").mkdir(parents=True)
    with Watch([tmp_path / "docs"], without=tmp_path / "docs/data") as watch:
        assert watch.problem == ""

        def until(path: Path) -> set[Path]:
            found: set[Path] = set()
            deadline = time.monotonic() + DEADLINE
            while not any(one.is_relative_to(path) or path.is_relative_to(one) for one in found):
                assert time.monotonic() < deadline, found
                found |= set(watch.take(1.0))
            return found

        yield until


def test_files_that_come_change_and_go(tmp_path: Path, told: Callable[[Path], set[Path]]) -> None:
    path = tmp_path / "docs/a.txt"
    path.write_text("One")
    assert told(path) == {path}
    path.write_text("Two")
    assert told(path) == {path}
    path.unlink()
    assert told(path) == {path}
    (tmp_path / "docs/.hidden").write_text("x")
    (tmp_path / "docs/data/parley.db").write_text("x")
    path.write_text("Three")
    assert told(path) == {path}


def test_folders_that_come_and_go(tmp_path: Path, told: Callable[[Path], set[Path]]) -> None:
    deep = tmp_path / "docs/new/deep"
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("One")
    told(deep / "a.txt")
    (deep / "b.txt").write_text("Two")
    told(deep / "b.txt")
    shutil.rmtree(tmp_path / "docs/new")
    told(tmp_path / "docs/new")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only on Linux")
def test_for_a_name_that_is_not_utf_8_its_folder_is_told(
    tmp_path: Path, told: Callable[[Path], set[Path]]
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path / "docs") + b"/caf\xe9.txt")).write_text("Coffee.")
    assert told(tmp_path / "docs") == {tmp_path / "docs"}


def test_where_the_system_has_no_watches_left_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError('OS file watch limit reached. about ["/docs"]')

    monkeypatch.setattr("watchfiles.watch", refuse)
    with Watch([tmp_path], without=tmp_path / "data") as watch:
        assert "only now and then" in watch.problem
        assert "max_user_watches" in watch.problem or sys.platform != "linux"
        assert watch.take(0.01) == []


def test_without_folders_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with Watch([], without=tmp_path) as watch:
        assert (watch.problem, watch.take(0.01)) == ("", [])


def test_stopping_ends_the_waiting(tmp_path: Path) -> None:
    with Watch([tmp_path], without=tmp_path / "data") as watch:
        watch.stop()
        assert watch.take(600) == []
