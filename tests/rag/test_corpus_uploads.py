"""Documents that people send and web pages they name; what is taken off the list again."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.corpus import Corpus, CorpusError, Step
from rag.documents import DocumentError, load_file
from tests.rag.place import PARAGRAPH, Place


def test_uploads(place: Place) -> None:
    sent = place.write("sent/anything", "An upload on bees.")
    name = place.corpus.add_file(sent, "../../etc/Bienen – Notizen.txt")
    assert name == "Bienen – Notizen.txt"
    assert place.corpus.add_file(sent, "again.txt") == name
    sent.write_text("Another upload.")
    assert place.corpus.add_file(sent, "Bienen – Notizen.txt") == "Bienen – Notizen (2).txt"
    with pytest.raises(DocumentError, match=r"cannot read \.exe files"):
        place.corpus.add_file(place.write("sent/program", b"MZ"), "x.exe")
    place.write("a/x.txt", "One.")
    assert place.counts("a") == (1, 0, 0, 0, 0, 0)
    assert place.counts() == (0, 0, 0, 0, 3, 0)
    uploads = place.root / "data/uploads"
    assert sorted(path.name for path in uploads.iterdir()) == ["Bienen – Notizen (2).txt", name]
    place.corpus.remove(name)
    assert place.names() == ["Bienen – Notizen (2).txt", "x.txt"]
    assert len(list(uploads.iterdir())) == 1
    with pytest.raises(CorpusError, match="is in the folder"):
        place.corpus.remove("x.txt")
    with pytest.raises(CorpusError, match="no document"):
        place.corpus.remove("unknown")


def uploading(corpus: Corpus, sent: Path) -> Callable[[Step], None]:
    """A progress function that uploads when the first document is about to be read."""
    uploaded: list[str] = []

    def upload(step: Step) -> None:
        if step.state == "reading" and not uploaded:
            uploaded.append(step.source)
            corpus.add_file(sent, "report.txt")

    return upload


def kept(place: Place) -> dict[str, str]:
    return {name: place.store.pages(name)[0].text for name in place.names()}


def test_an_upload_during_a_sync_takes_no_name_that_waits(place: Place) -> None:
    place.write("a/0.txt", "Zero.")
    place.write("a/report.txt", "From the folder.")
    sent = place.write("sent/f", "From a person.")
    report = place.corpus.sync([place.root / "a"], progress=uploading(place.corpus, sent))
    assert (report.added, report.failed) == (2, [])
    assert sorted(kept(place).values()) == ["From a person.", "From the folder.", "Zero."]
    assert kept(place)["report.txt"] == "From the folder."
    assert place.counts() == (0, 0, 0, 0, 3, 0)


@pytest.mark.parametrize("folders", [["a"], None])
def test_a_sync_during_an_upload_takes_no_name_that_is_promised(
    place: Place, monkeypatch: pytest.MonkeyPatch, folders: list[str] | None
) -> None:
    place.write("a/report.txt", "")
    place.counts("a")
    place.write("a/report.txt", "From the folder.")

    late = iter(
        [lambda: place.counts(*folders or ())]
    )  # while the upload is read; its own files are not late

    def load_late(path: Path, source: str, **_: object) -> list[Document]:
        next(late, list)()
        return load_file(path, source)

    monkeypatch.setattr("rag.indexer.load_file", load_late)
    assert place.corpus.add_file(place.write("sent/f", "From a person."), "report.txt") == "report.txt"
    assert kept(place) == {"report.txt": "From a person.", "a/report.txt": "From the folder."}
    assert place.counts() == (0, 0, 0, 0, 2, 0)


def test_another_process_never_replaces_a_document_of_the_same_name(place: Place) -> None:
    place.write("a/report.txt", "From the folder.")
    sent = place.write("sent/f", "From a person.")
    other = Corpus(place.store, place.embedder, place.root / "data")  # it knows nothing of our promises
    report = place.corpus.sync([place.root / "a"], progress=uploading(other, sent))
    assert (report.added, [failure["source"] for failure in report.failed]) == (0, ["report.txt"])
    assert kept(place) == {"report.txt": "From a person."}
    assert place.counts("a") == (1, 0, 0, 0, 0, 0)
    assert kept(place) == {"report.txt": "From a person.", "a/report.txt": "From the folder."}


def test_a_failed_upload_is_shown_until_the_next(place: Place) -> None:
    sent = place.write("sent/f", "  ")
    with pytest.raises(DocumentError) as caught:
        place.corpus.add_file(sent, "blank.txt")
    (status,) = place.corpus.status()
    assert (status.source, status.state, status.reason) == ("blank.txt", "failed", str(caught.value))
    sent.write_text("Text.")
    assert place.corpus.add_file(sent, "blank.txt") == "blank.txt"
    assert [status.state for status in place.corpus.status()] == ["ready"]


def test_a_failed_upload_can_be_taken_off_the_list(place: Place, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"no pdf")
    with pytest.raises(DocumentError):
        place.corpus.add_file(tmp_path / "broken.pdf", "broken.pdf")
    place.corpus.remove("broken.pdf")
    assert place.corpus.status() == []
    with pytest.raises(CorpusError):
        place.corpus.remove("broken.pdf")


def test_forgetting_a_folder(place: Place) -> None:
    place.write("a/x.txt", "One.")
    place.write("b/y.txt", "Two.")
    place.counts("a", "b")
    place.write("b/empty.txt", "")
    assert place.counts("b") == (0, 0, 0, 0, 1, 1)
    assert place.corpus.forget_folder(place.root / "b/../a") == 1
    assert place.corpus.folders() == [str(place.root / "b")]
    assert place.counts() == (0, 0, 0, 0, 1, 1)
    with pytest.raises(CorpusError, match=rf"These are: {place.root / 'b'}"):
        place.corpus.forget_folder(str(place.root / "a"))
    shutil.rmtree(place.root / "b")  # it need not be there
    assert place.corpus.forget_folder(str(place.root / "b")) == 1
    assert (place.corpus.folders(), place.corpus.status()) == ([], [])
    with pytest.raises(CorpusError, match="There are none"):
        place.corpus.forget_folder("b")


def test_web_pages(place: Place) -> None:
    body = (
        f"<html><head><title>Bees</title></head><body><article><p>{PARAGRAPH * 8}</p></article></body></html>"
    )
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    def serve(server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                client.sendall(answer.encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/bees.html"
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        refused = place.corpus.sync(urls=[url])
        assert (refused.added, refused.failed[0]["source"]) == (0, url)
        place.corpus = Corpus(place.store, place.embedder, place.root / "data", allow_private=True)
        assert place.corpus.sync().added == 1  # a URL that failed is remembered, and tried again
        assert place.corpus.sync(urls=[url]).unchanged == 1
        assert place.names() == [url]
        assert [status.state for status in place.corpus.status()] == ["ready"]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    place.corpus = Corpus(place.store, place.embedder, place.root / "data", offline=True)
    report = place.corpus.sync(urls=[url])
    assert "PARLEY_OFFLINE" in report.failed[0]["error"]
    assert place.names() == [url]  # what was indexed stays
    place.corpus.remove(url)
    assert (place.names(), place.corpus.sync().failed) == ([], [])
