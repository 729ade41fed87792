"""What is listed of a folder, and the names of its files."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.folders import File, list_files, safe_name
from tests.rag.place import Place


def test_what_is_listed_and_what_is_not(tmp_path: Path) -> None:
    for name in ("b/two.txt", "a.txt", ".hidden", ".git/x.txt", "data/uploads/u.txt", "Übung 1.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "b/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    listing = list_files(tmp_path, without=tmp_path / "data")
    assert [file.relative for file in listing.files] == ["a.txt", "Übung 1.txt", "b/two.txt"]
    assert listing.unreadable == []


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only on Linux")
def test_names_that_are_not_utf_8(place: Place) -> None:
    folder = place.root / "a"
    folder.mkdir()
    for name, text in ((b"caf\xe9.txt", "Coffee."), (b"caf\xe8.txt", "Tea.")):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(text)
    assert place.counts("a") == (2, 0, 0, 0, 0, 0)
    assert place.names() == ["a/caf\ufffd.txt", "caf\ufffd.txt"]
    assert place.counts() == (0, 0, 0, 0, 2, 0)


def test_a_folder_that_cannot_be_listed_keeps_its_documents(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("a/x.txt", "One.")
    place.write("a/sub/y.txt", "Two.")
    place.counts("a")
    scandir = os.scandir

    def refuse(path: Path) -> object:  # file permissions forbid nothing to root, which tests may run as
        if path == place.root / "a/sub":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr("rag.folders.os.scandir", refuse)
        report = place.corpus.sync()
    assert (report.removed, report.unchanged, len(report.failed)) == (0, 1, 1)
    assert place.names() == ["sub/y.txt", "x.txt"]
    assert place.counts() == (0, 0, 0, 0, 2, 0)


def test_names_grow_by_the_path_before_them() -> None:
    file = File(Path("/home/me/docs/x/a.txt"), Path("/home/me/docs"), 0, 0)
    assert "/home/me/docs/x/a.txt (3)" in itertools.islice(file.names(), 7)
    assert list(itertools.islice(file.names(), 3)) == ["x/a.txt", "docs/x/a.txt", "me/docs/x/a.txt"]


@given(st.text(st.characters(), max_size=300))
def test_any_text_becomes_a_safe_file_name(text: str) -> None:
    name = safe_name(text)
    assert name == Path(name).name
    assert not name.startswith(".")
    assert 0 < len(name.encode()) <= 220
    assert safe_name(name) == name
