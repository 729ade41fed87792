"""The routes of the page view: what they send, as what, to whom, and what they refuse."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from rag.folders import hash_file
from rag.store import Page, Source
from speech.audio import wav_bytes
from tests.pdfs import draw_pdf, lines
from tests.ui.scripted import PAGES, Script, starts
from ui.services import LibraryItem
from ui.web import build_ui

HOST = "http://127.0.0.1"
PDF = "lighthouse.pdf"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A script whose PDF has a file."""
    script = Script(tmp_path)
    keep(script, draw_pdf(tmp_path / PDF, *(lines(*text.split("\n")) for text in PAGES)))
    return script


@pytest.fixture
def client(script: Script) -> Iterator[TestClient]:
    with TestClient(build_ui(script.services()), base_url=HOST, follow_redirects=False) as client:
        yield client


def keep(script: Script, path: Path) -> None:
    """The file is in the index, under its name."""
    status = path.stat()
    script.records[path.name] = Source(
        path.name,
        hash_file(path),
        location=str(path),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )
    script.library.known[path.name] = LibraryItem(path.name, "ready")


def page(client: TestClient, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/page", params={"source": PDF, **query}).json()
    return found


def test_a_passage_is_shown_on_its_page(client: TestClient) -> None:
    shown = page(client, start=starts()[1], end=starts()[1] + 8)
    assert (shown["page"], shown["pages"], shown["original"], shown["reason"]) == (2, 3, "pdf", "")
    assert (shown["passage"], shown["place"], shown["at"]) == ("Visitors", "", None)
    after = page(client, start=starts()[1], end=starts()[1] + 8, page=3)
    assert (after["page"], after["passage"], after["after"]) == (3, "", PAGES[2])
    assert "error" in page(client, page=4)
    assert "error" in page(client, number=-1)


def test_the_image_is_sent_once_and_kept_by_the_browser_alone(client: TestClient) -> None:
    query: dict[str, Any] = {"source": PDF, "page": 2, "width": 700}
    answer = client.get("/api/page/image", params=query)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert Image.open(io.BytesIO(answer.content)).size == (900, 1200)
    tag = answer.headers["etag"]
    again = client.get("/api/page/image", params=query, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/page/image", params=query | {"page": 1}, headers={"if-none-match": tag})
    assert other.status_code == 200
    assert client.get("/api/page", params={"source": PDF}).headers["cache-control"] == "no-store"


def test_words_have_their_places(client: TestClient) -> None:
    query: dict[str, Any] = {"source": PDF, "page": 2, "start": starts()[1], "end": starts()[1] + 19}
    words = client.get("/api/page/words", params=query).json()["words"]
    texts = [PAGES[1][start - starts()[1] : end - starts()[1]] for start, end, *_ in words]
    assert texts == ["Visitors", "may", "climb"]
    assert client.get("/api/page/words", params=query | {"page": 1}).json() == {"words": []}
    assert client.get("/api/page/words", params=query | {"page": 9}).status_code == 404


@pytest.mark.parametrize(
    "path", ["/api/page/image?page=1", "/api/page/words?page=1&start=0&end=9", "/api/recording?"]
)
def test_a_request_names_a_document_of_the_index_and_no_file(client: TestClient, path: str) -> None:
    for source in ("../lighthouse.pdf", "/etc/passwd", "file:///etc/passwd", "nothing.pdf", "a\x00b"):
        answer = client.get(path, params=_query(path) | {"source": source})
        assert answer.status_code == 404
        assert answer.json()["error"].endswith(".")
    assert client.get(path, params=_query(path)).status_code == 422


def _query(path: str) -> dict[str, str]:
    """TestClient's params take the place of those in the address."""
    return dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair)


@pytest.mark.parametrize("page", [0, -1, 10**7, 10**20])
def test_there_is_no_such_page(client: TestClient, page: int) -> None:
    answer = client.get("/api/page/image", params={"source": PDF, "page": page})
    assert answer.status_code in {404, 422}


def test_a_file_that_changed_is_shown_as_its_text(client: TestClient, script: Script) -> None:
    path = Path(script.records[PDF].location)
    draw_pdf(path, lines("Something else."))
    shown = page(client, start=starts()[1], end=starts()[1] + 8)
    assert (shown["original"], shown["passage"]) == (None, "Visitors")
    assert "was changed after it was indexed" in shown["reason"]
    refused = client.get("/api/page/image", params={"source": PDF, "page": 1})
    assert (refused.status_code, refused.json()["error"]) == (404, shown["reason"])
    assert refused.headers["cache-control"] == "no-store"
    path.unlink()
    assert "is gone" in page(client)["reason"]


def test_an_image_that_takes_too_long_may_be_asked_for_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: dict[str, Any] = {"error": "timeout"}
    monkeypatch.setattr("rag.reader.Reader.page_image", lambda *args: slow)
    answer = client.get("/api/page/image", params={"source": PDF, "page": 1})
    assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")
    assert answer.json() == {"reason": "This page takes too long to draw. This is its text."}


def test_what_has_no_file_is_text_alone(client: TestClient, script: Script) -> None:
    script.records[PDF] = replace(script.records[PDF], origin="url", location="https://example.org/a.pdf")
    assert (page(client)["original"], page(client)["reason"]) == (None, "")
    assert client.get("/api/page/image", params={"source": PDF, "page": 1}).status_code == 404


def test_what_was_read_in_part_or_heard_weakly_says_so(client: TestClient, script: Script) -> None:
    script.records[PDF] = replace(script.records[PDF], notice="Heard by pocketsphinx, which misunderstands.")
    assert page(client)["reason"] == "Heard by pocketsphinx, which misunderstands."


def test_a_hostile_pdf_gives_its_reason(client: TestClient, script: Script, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 1 0 R >> endobj")
    keep(script, tmp_path / "bad.pdf")
    answer = client.get("/api/page/image", params={"source": "bad.pdf", "page": 1})
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("This is its text.")


def test_a_recording_is_sent_in_parts_as_sound(client: TestClient, script: Script, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(wav_bytes(np.zeros(8000, np.float32), 8000))
    keep(script, path)
    script.pages[:] = [Page("What was said.", 0, 1)]
    assert page(client, source="talk.wav")["original"] == "audio"
    part = client.get("/api/recording", params={"source": "talk.wav"}, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    assert part.headers["content-type"] == "audio/wav"
    assert part.headers["x-content-type-options"] == "nosniff"
    for name in ("page.html", "picture.svg", "note.txt"):
        (tmp_path / name).write_text("<script>alert(1)</script>")
        keep(script, tmp_path / name)
        assert client.get("/api/recording", params={"source": name}).status_code == 404
    assert client.get("/api/recording", params={"source": PDF}).status_code == 404


def test_nothing_is_shown_without_signing_in(script: Script) -> None:
    script.users = {"ada": "engine"}
    paths = (f"/api/page/image?source={PDF}&page=1", f"/api/page/words?source={PDF}&page=1&start=0&end=9")
    with TestClient(build_ui(script.services()), base_url=HOST, follow_redirects=False) as closed:
        for path in (*paths, f"/api/recording?source={PDF}"):
            assert closed.get(path).status_code == 401
        tag = '"any"'
        assert closed.get(paths[0], headers={"if-none-match": tag}).status_code == 401
        closed.post("/login", data={"username": "ada", "password": "engine"})
        for path in paths:
            assert closed.get(path).status_code == 200
