"""The store is kept equal to the folders: what is read again, what is not, and what failed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag import cancel, database
from rag.corpus import Corpus, CorpusError, Step
from rag.documents import DocumentError, load_file
from rag.embeddings import Embedder
from rag.store import open_store
from tests.rag.place import PARAGRAPH, Place


def test_only_what_changed_costs_anything(place: Place) -> None:
    for number in range(5):
        place.write(f"a/{number}.txt", " ".join(f"{PARAGRAPH}{number}.{n}" for n in range(5)))
    assert place.counts("a") == (5, 0, 0, 0, 0, 0)
    assert place.embedded() == place.store.count() > 10
    assert place.counts("a") == (0, 0, 0, 0, 5, 0)
    place.write("a/1.txt", "Something else entirely.")
    (place.root / "a/2.txt").unlink()
    os.utime(place.root / "a/3.txt", (1, 1))
    assert place.counts("a") == (0, 1, 0, 1, 4 - 1, 0)
    assert place.embedded() == 1
    assert place.names() == ["0.txt", "1.txt", "3.txt", "4.txt"]
    assert place.store.pages("1.txt")[0].text == "Something else entirely."
    assert place.counts("a") == (0, 0, 0, 0, 4, 0)


def test_a_moved_file_is_not_embedded_again(place: Place) -> None:
    place.write("a/old/x.txt", PARAGRAPH * 5)
    place.write("b/y.txt", "Another one.")
    place.counts("a", "b")
    chunks, _ = place.store.count(), place.embedded()
    (place.root / "a/new").mkdir()
    (place.root / "a/old/x.txt").rename(place.root / "a/new/z.txt")
    assert place.counts("a") == (0, 0, 1, 0, 0, 0)
    (place.root / "a/new/z.txt").rename(place.root / "b/z.txt")
    assert place.counts() == (0, 0, 1, 0, 1, 0)
    assert (place.names(), place.store.count(), place.embedded()) == (["y.txt", "z.txt"], chunks, 0)
    assert place.store.search_text("museum", 1)[0].chunk.source == "z.txt"


def test_an_edit_embeds_only_the_chunks_that_changed(place: Place) -> None:
    paragraphs = [f"Paragraph {n}. {PARAGRAPH}" for n in range(20)]
    place.write("a/x.txt", "\n\n".join(paragraphs))
    place.counts("a")
    before = place.embedded()
    place.write("a/x.txt", "\n\n".join([*paragraphs, "A last word."]))
    assert place.counts("a") == (0, 1, 0, 0, 0, 0)
    assert place.embedded() < before / 4


def test_one_folder_is_brought_up_to_date_and_the_rest_left_alone(place: Place) -> None:
    a, b = place.write("a/x.txt", "One."), place.write("b/y.txt", "Two.")
    place.counts("a", "b")
    a.unlink()
    b.unlink()
    assert place.counts("b") == (0, 0, 0, 1, 0, 0)
    assert place.names() == ["x.txt"]
    assert place.counts() == (0, 0, 0, 1, 0, 0)


def test_the_same_relative_path_in_two_folders(place: Place) -> None:
    place.write("a/same.txt", "From a.")
    place.write("b/same.txt", "From b.")
    place.write("deep/b/same.txt", "From deeper.")
    assert place.counts("a", "b", "deep/b") == (3, 0, 0, 0, 0, 0)
    assert place.names() == ["b/same.txt", "deep/b/same.txt", "same.txt"]
    (place.root / "a/same.txt").unlink()
    place.write("b/same.txt", "From b, again.")
    assert place.counts() == (0, 1, 0, 1, 1, 0)
    assert place.names() == ["b/same.txt", "deep/b/same.txt"]  # a name stays


def test_a_folder_in_a_folder_is_indexed_once(place: Place) -> None:
    place.write("a/x.txt", "One.")
    place.write("a/sub/y.txt", "Two.")
    assert place.counts("a", "a/sub") == (2, 0, 0, 0, 0, 0)
    assert place.counts("a/sub") == (0, 0, 0, 0, 1, 0)
    assert place.counts() == (0, 0, 0, 0, 2, 0)


def test_failures_are_reported_each_time_and_tried_again_only_when_changed(place: Place) -> None:
    place.write("a/good.txt", "Good.")
    place.write("a/empty.txt", "")
    place.write("a/broken.pdf", b"%PDF-1.4 broken")
    place.write("a/program.exe", b"MZ")
    report = place.corpus.sync([place.root / "a"])
    assert (report.added, report.chunks) == (1, 1)
    reasons = {failure["source"]: failure["error"] for failure in report.failed}
    assert set(reasons) == {"empty.txt", "broken.pdf", "program.exe"}
    assert ".exe" in reasons["program.exe"]
    again = place.corpus.sync([place.root / "a"])
    assert {failure["source"]: failure["error"] for failure in again.failed} == reasons
    states = {status.source: (status.state, status.reason) for status in place.corpus.status()}
    assert states["good.txt"] == ("ready", "")
    assert states["empty.txt"] == ("failed", reasons["empty.txt"])
    place.write("a/empty.txt", "Now with text.")
    (place.root / "a/program.exe").unlink()
    assert place.counts("a") == (1, 0, 0, 0, 1, 1)
    assert [status.source for status in place.corpus.status() if status.state == "failed"] == ["broken.pdf"]


def test_a_file_that_becomes_unreadable_leaves_the_index_only_if_its_content_is_bad(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("a/x.txt", "One.")
    place.counts("a")
    place.write("a/x.txt", "One, changed.")

    def refuse(path: Path, source: str, **_: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("rag.indexer.load_file", refuse)
        report = place.corpus.sync([place.root / "a"])
    assert "Permission denied" in report.failed[0]["error"]
    assert place.store.pages("x.txt")[0].text == "One."
    place.write("a/x.txt", "  ")
    assert place.counts("a") == (0, 0, 0, 0, 0, 1)
    assert place.names() == []


def test_a_reason_that_may_pass_costs_no_text_and_is_not_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("a/x.txt", PARAGRAPH * 5)
    place.counts("a")
    place.corpus = Corpus(place.store, place.embedder, place.root / "data", size=1000)

    def be_slow(path: Path, source: str, **_: object) -> list[Document]:
        raise DocumentError("The document took too long to read.", passing=True)

    with monkeypatch.context() as patch:
        patch.setattr("rag.indexer.load_file", be_slow)
        assert place.counts("a") == (0, 0, 0, 0, 0, 1)
    assert place.names() == ["x.txt"]
    assert [status.state for status in place.corpus.status()] == ["failed"]
    assert place.counts("a") == (0, 1, 0, 0, 0, 0)
    assert [status.state for status in place.corpus.status()] == ["ready"]


def test_another_way_of_reading_tries_failures_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("a/empty.txt", "")
    read: list[str] = []

    def load(path: Path, source: str, **_: object) -> list[Document]:
        read.append(source)
        return load_file(path, source)

    monkeypatch.setattr("rag.indexer.load_file", load)
    for _ in range(2):
        assert place.counts("a") == (0, 0, 0, 0, 0, 1)
    assert read == ["empty.txt"]
    monkeypatch.setattr("rag.indexer._RECIPE", 1000)
    place.corpus = Corpus(place.store, place.embedder, place.root / "data")
    assert place.counts("a") == (0, 0, 0, 0, 0, 1)
    assert read == ["empty.txt"] * 2


def test_failures_recorded_in_an_earlier_form_are_tried_again(place: Place) -> None:
    with database.opened(place.root / "data" / database.FILE) as db:
        db.execute("DROP TABLE corpus_failures")
        db.execute("CREATE TABLE corpus_failures (location TEXT PRIMARY KEY, source, origin, error, size)")
        db.execute("INSERT INTO corpus_failures VALUES ('/x', 'x', '/', 'It took too long.', 1)")
    place.corpus = Corpus(place.store, place.embedder, place.root / "data")
    assert place.corpus.status() == []
    place.write("a/empty.txt", "")
    assert place.counts("a") == place.counts("a") == (0, 0, 0, 0, 0, 1)


def test_given_and_remembered_in_one_pass(place: Place) -> None:
    place.write("a/x.txt", "One.")
    place.write("b/y.txt", "Two.")
    place.write("c/z.txt", "Three.")
    place.write("d/w.txt", "Four.")
    place.counts("a", "b", "d")
    (place.root / "d/w.txt").unlink()
    (place.root / "b").rename(place.root / "away")
    (place.root / "a/x.txt").write_text("One, changed.")
    seen: list[str] = []
    given = [place.root / name for name in ("a", "b", "c", "d", "nowhere")]
    report = place.corpus.sync(
        given, everything=True, progress=lambda step: seen.append(f"{step.source} {step.state}")
    )
    assert (report.added, report.updated, report.removed, report.unchanged) == (1, 1, 1, 0)
    assert sorted(line for line in seen if line.endswith("reading")) == ["x.txt reading", "z.txt reading"]
    missing, emptied, away = report.notices
    assert "nowhere does not exist" in missing
    assert "d is empty" in emptied  # said once: it was looked at once
    assert "stay in the index" in away
    assert place.corpus.folders() == [str(place.root / name) for name in "abdc"]
    place.write("a/x.txt", "One, changed again.")
    assert place.corpus.sync([place.root / "c"], everything=True).updated == 1  # what is not given, too


def test_missing_folders(place: Place) -> None:
    place.write("a/x.txt", "One.")
    place.write("b/y.txt", "Two.")
    with pytest.raises(CorpusError, match="--corpus"):
        place.counts("nowhere")
    with pytest.raises(CorpusError, match="not a folder"):
        place.counts("a/x.txt")
    place.counts("a", "b")
    (place.root / "b").rename(place.root / "away")
    report = place.corpus.sync()
    assert (report.removed, report.unchanged) == (0, 1)
    assert "stay in the index" in report.notices[0]
    assert place.names() == ["x.txt", "y.txt"]
    place.write("b/new.txt", "Three.")
    assert place.counts() == (1, 0, 0, 1, 1, 0)


def test_emptying_a_folder_is_said(place: Place) -> None:
    path = place.write("a/x.txt", "One.")
    place.counts("a")
    path.unlink()
    report = place.corpus.sync()
    assert report.removed == 1
    assert "is empty" in report.notices[0]


def test_a_place_where_a_drive_was_mounted_is_not_an_empty_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("a/x.txt", "One.")
    folder = str(place.root / "a")
    place.counts("a")
    place.corpus._records.remember_folder(folder, 123456789)  # the drive's device, which is not there now
    path.unlink()
    report = place.corpus.sync()
    assert report.removed == 0
    assert "Connect its drive" in report.notices[0]


def test_other_chunk_options_cut_again(place: Place) -> None:
    place.write("a/x.txt", PARAGRAPH * 10)
    place.counts("a")
    before = place.store.count()
    place.corpus = Corpus(place.store, place.embedder, place.root / "data", size=1000, overlap=0)
    assert place.counts("a") == (0, 1, 0, 0, 0, 0)
    assert place.store.count() < before


def test_progress_tells_every_document_and_its_end(place: Place) -> None:
    for number in range(3):
        place.write(f"a/{number}.txt", f"Number {number}.")
    place.write("a/bad.txt", "")
    steps: list[Step] = []
    place.corpus.sync([place.root / "a"], progress=steps.append)
    assert [s.source for s in steps if s.state == "waiting"] == ["0.txt", "1.txt", "2.txt", "bad.txt"]
    assert {s.source: s.state for s in steps} == {f"{n}.txt": "ready" for n in range(3)} | {
        "bad.txt": "failed"
    }
    assert (steps[-1].done, steps[-1].total) == (4, 4)
    assert sorted(step.done for step in steps) == [step.done for step in steps]


def test_cancelling_keeps_what_is_done_and_the_next_sync_goes_on(place: Place) -> None:
    for number in range(6):
        place.write(f"a/{number}.txt", f"Number {number}. " + PARAGRAPH * 150)  # more than a batch each
    token = cancel.CancelToken()

    def stop_in_the_third(step: Step) -> None:
        if step.done == 2:
            token.cancel()

    with cancel.scope(token), pytest.raises(cancel.Cancelled):
        place.corpus.sync([place.root / "a"], progress=stop_in_the_third)
    assert len(place.names()) == 2  # whichever were read first
    assert {status.state for status in place.corpus.status()} == {"ready"}
    assert place.counts() == (4, 0, 0, 0, 2, 0)


def test_two_syncs_at_once_do_the_work_once(place: Place) -> None:
    for number in range(10):
        place.write(f"a/{number}.txt", f"Number {number}. {PARAGRAPH}")
    added: list[int] = []
    threads = [
        threading.Thread(target=lambda: added.append(place.corpus.sync([place.root / "a"]).added))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, 10]


def test_a_thousand_unchanged_files_cost_little(place: Place) -> None:
    for number in range(1000):
        place.write(f"a/{number % 20}/{number}.txt", f"Number {number}.")
    assert place.counts("a")[0] == 1000
    began = time.thread_time()
    assert place.counts() == (0, 0, 0, 0, 1000, 0)
    assert time.thread_time() - began < 1


def test_it_works_with_the_real_embedder(tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/bees.txt").write_text("Bees collect nectar and turn it into honey.")
    (tmp_path / "a/trains.txt").write_text("The last train to the coast leaves before midnight.")
    store = open_store(tmp_path / "data", dimension=embedder.dimension, embedder=embedder.name)
    Corpus(store, embedder, tmp_path / "data").sync([tmp_path / "a"])
    hit = store.search_vector(embedder.embed_query_array("Which insects make something sweet?"), 1)[0]
    assert hit.chunk.source == "bees.txt"
    store.close()
