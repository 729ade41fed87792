"""Bringing only what changed up to date, what changes meanwhile, and a kill in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from langchain_core.documents import Document

from rag.corpus import Corpus, Report, Step
from rag.documents import load_file
from tests.rag.place import PARAGRAPH, Place
from tests.rag.test_documents import make_pdf

ROOT = Path(__file__).parents[2]


def changed(place: Place, *names: str) -> tuple[int, ...]:
    """added, updated, moved, removed, unchanged, failed"""
    r = place.corpus.sync_places([place.root / name for name in names])
    return r.added, r.updated, r.moved, r.removed, r.unchanged, len(r.failed)


def test_only_what_changed_is_looked_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/one.txt", "a/two.txt", "a/three.txt"):
        place.write(name, f"This is {name}.")
    place.counts("a")
    place.write("a/one.txt", "Changed.")
    place.write("a/four.txt", "New.")
    (place.root / "a/two.txt").unlink()
    place.write("a/three.txt", "Changed as well, which nobody tells.")
    monkeypatch.setattr("rag.folders.os.scandir", lambda _: pytest.fail("A whole folder was listed."))
    assert changed(place, "a/one.txt", "a/two.txt", "a/four.txt") == (1, 1, 0, 1, 0, 0)
    assert place.names() == ["four.txt", "one.txt", "three.txt"]
    assert place.store.pages("one.txt")[0].text == "Changed."
    assert place.store.pages("three.txt")[0].text == "This is a/three.txt."


def test_folders_that_come_and_go(place: Place) -> None:
    place.write("a/one.txt", "One.")
    place.write("a/old/two.txt", "Two.")
    place.write("a/older.txt", "A name that begins alike.")
    place.counts("a")
    place.write("a/new/deep/three.txt", "Three.")
    shutil.rmtree(place.root / "a/old")
    assert changed(place, "a/new", "a/old") == (1, 0, 0, 1, 0, 0)
    (place.root / "a/new/deep").rename(place.root / "a/new/deeper")
    assert changed(place, "a/new/deep", "a/new/deeper") == (0, 0, 1, 0, 0, 0)
    assert place.names() == ["new/deeper/three.txt", "older.txt", "one.txt"]


def test_what_is_not_in_a_folder_of_ours_is_left_out(place: Place) -> None:
    place.write("a/one.txt", "One.")
    place.counts("a")
    for name in ("b/two.txt", "a/.hidden/three.txt", "a/.four.txt", "data/five.txt"):
        place.write(name, "Not ours.")
    assert changed(place, "b/two.txt", "a/.hidden", "a/.hidden/three.txt", "a/.four.txt", "data") == (0,) * 6
    assert place.names() == ["one.txt"]


def test_what_is_behind_a_link_has_one_name(place: Place) -> None:
    place.write("a/real/one.txt", "One.")
    (place.root / "a/link").symlink_to(place.root / "a/real", target_is_directory=True)
    place.counts("a")
    [name] = place.names()
    place.write("a/real/one.txt", "Changed.")
    assert changed(place, "a/link/one.txt", "a/real/one.txt")[:4] == (0, 1, 0, 0)
    assert place.names() == [name]


def test_a_folder_that_is_not_there_keeps_its_documents(place: Place) -> None:
    place.write("a/one.txt", "One.")
    place.counts("a")
    (place.root / "a").rename(place.root / "away")
    report = place.corpus.sync_places([place.root / "a/one.txt"])
    assert report.removed == 0
    assert "Connect its drive" in report.notices[0]
    (place.root / "away").rename(place.root / "a")
    place.corpus._records.remember_folder(str(place.root / "a"), 123456789)  # as on another drive
    (place.root / "a/one.txt").unlink()
    assert place.corpus.sync_places([place.root / "a/one.txt"]).removed == 0
    assert place.names() == ["one.txt"]


def test_a_failure_is_forgotten_when_the_file_goes(place: Place) -> None:
    bad = place.write("a/bad.txt", "")
    place.counts("a")
    bad.unlink()
    changed(place, "a/bad.txt")
    assert place.corpus.status() == []


def test_a_file_that_is_written_to_while_it_is_read_is_not_indexed_half(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("a/one.txt", "The beginning.")

    def load(at: Path, source: str, **_: object) -> list[Document]:
        documents = load_file(at, source)
        with at.open("a") as file:
            file.write(" And more of it.")
        return documents

    with monkeypatch.context() as patch:
        patch.setattr("rag.indexer.load_file", load)
        report = place.corpus.sync([place.root / "a"])
    assert (report.added, "while it was read" in report.failed[0]["error"]) == (0, True)
    assert place.counts("a") == (1, 0, 0, 0, 0, 0)
    assert place.store.pages("one.txt")[0].text == path.read_text()


def test_what_changes_during_a_long_sync_does_not_wait_for_its_end(place: Place) -> None:
    for number in range(8):
        place.write(f"a/{number}.txt", f"Number {number}. " + PARAGRAPH * 150)  # more than a batch each
    place.write("a/late.txt", "A draft.")
    place.counts("a")
    for number in range(8):
        place.write(f"a/{number}.txt", f"Number {number}, changed. " + PARAGRAPH * 150)
    seen: list[tuple[str, int]] = []

    def between() -> None:
        if not seen:
            place.write("a/late.txt", "Changed in the middle.")
            report = place.corpus.sync_places([place.root / "a/late.txt"])
            seen.append((place.store.pages("late.txt")[0].text, report.updated))

    report = place.corpus.sync([place.root / "a"], between=between)
    assert seen == [("Changed in the middle.", 1)]
    assert (report.updated, report.failed) == (8, [])


def test_what_a_run_in_the_middle_has_done_is_not_done_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.corpus_sync.READ_AHEAD", 2)
    for number in range(8):
        place.write(f"a/{number}.txt", f"Number {number}. " + PARAGRAPH * 150)
    runs: list[Report] = []

    def between() -> None:
        if not runs:
            runs.append(place.corpus.sync_places([place.root / "a"]))

    report = place.corpus.sync([place.root / "a"], between=between)
    assert (runs[0].added, report.added + report.unchanged, report.failed) == (7, 8, [])
    assert report.unchanged >= 5  # all but the first, and what was read ahead of it


def test_what_costs_little_is_read_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.corpus_sync.READERS", 1)
    place.write("a/1-photo.png", b"\x89PNG" + b"x")
    place.write("a/2-talk.mp3", b"ID3")
    place.write("a/3-large.txt", PARAGRAPH * 50)
    place.write("a/4-small.txt", "Small.")
    steps: list[Step] = []
    place.corpus.sync([place.root / "a"], progress=steps.append)
    read = [step.source for step in steps if step.state == "reading"]
    assert read[:2] == ["4-small.txt", "3-large.txt"]
    assert sorted(read[2:]) == ["1-photo.png", "2-talk.mp3"]


def test_the_rest_of_the_time_is_estimated(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100_000))
    monkeypatch.setattr("rag.corpus_sync.time.monotonic", lambda: float(next(clock)))
    for number in range(20):
        place.write(f"a/{number}.txt", f"Number {number}.")
    steps: list[Step] = []
    place.corpus.sync([place.root / "a"], progress=steps.append)
    assert steps[0].seconds_left is None
    assert steps[-1].seconds_left is not None


def _write(text: str, canvas: Any) -> None:
    canvas.drawString(72, 700, text)


def kill_readers() -> None:
    for process in psutil.Process().children():
        if any(part.endswith("extract.py") for part in process.cmdline()):
            process.kill()


def test_readers_that_are_killed_cost_no_document(place: Place) -> None:
    for number in range(6):
        path = make_pdf(place.root / "sent.pdf", partial(_write, f"This is number {number}."))
        place.write(f"a/{number}.pdf", path.read_bytes())
    place.write("a/text.txt", "Plain text needs no reader.")
    kills = threading.Semaphore(3)

    def kill(step: Step) -> None:
        if step.state == "reading" and step.source.endswith(".pdf") and kills.acquire(blocking=False):
            kill_readers()

    report = place.corpus.sync([place.root / "a"], progress=kill)
    assert report.added + len(report.failed) == 7
    assert all(failure["error"] for failure in report.failed)
    assert place.corpus.sync([place.root / "a"]).failed == []
    assert len(place.names()) == 7


def index_in_a_process(data: Path, folder: Path) -> subprocess.Popen[str]:
    """Indexes slowly, and says a line for each document that is stored."""
    code = """
import sys, time
from pathlib import Path
from rag.corpus import Corpus
from rag.store import open_store
from tests.rag.place import WordHashes

class Slow(WordHashes):
    def embed_array(self, texts):
        time.sleep(0.05)  # an embedder that takes its time; nothing is waited for
        return super().embed_array(texts)

data, folder = map(Path, sys.argv[1:])
store = open_store(data, dimension=64, embedder="words")
corpus = Corpus(store, Slow(), data, size=200, overlap=20)
corpus.sync([folder], progress=lambda step: step.state == "ready" and print(step.source, flush=True))
"""
    command = [sys.executable, "-c", code, str(data), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_after_a_kill_the_rest_is_indexed(place: Place) -> None:
    texts = {f"{n}.txt": f"Number {n}. " + PARAGRAPH * 150 for n in range(12)}  # more than a batch each
    for name, text in texts.items():
        place.write(f"a/{name}", text)
    process = index_in_a_process(place.root / "data", place.root / "a")
    assert process.stdout
    stored = [process.stdout.readline().strip() for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = place.names()
    assert set(stored) <= set(kept)
    assert len(kept) < len(texts)
    report: Report = place.corpus.sync([place.root / "a"])
    assert (report.added, report.unchanged, report.failed) == (len(texts) - len(kept), len(kept), [])
    assert {name: place.store.pages(name)[0].text for name in place.names()} == texts
    hits = place.store.search_text("museum", 10_000)
    assert len(hits) == place.store.count() == sum(source.chunks for source in place.store.sources())


def test_a_data_folder_of_an_earlier_version_is_taken_up(place: Place) -> None:
    from rag import database

    place.write("a/one.txt", PARAGRAPH)
    place.counts("a")
    place.corpus.close()
    with database.opened(place.root / "data" / database.FILE) as db:
        db.execute("DROP TABLE corpus_copies")
    place.corpus = Corpus(place.store, place.embedder, place.root / "data", size=200, overlap=20)
    assert place.counts("a") == (0, 0, 0, 0, 1, 0)
    assert os.path.exists(place.root / "data" / database.FILE)
