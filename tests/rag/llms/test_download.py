"""Downloads that tell how far they are, are cancelled, go on where they stopped, and are checked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.language_model import LanguageModel
from rag.cancel import Cancelled, CancelToken, scope
from rag.llms import ModelUnavailable, download_size
from rag.llms.hub import cached_folder, find
from serving.switching import PageModels
from settings import Settings
from tests.rag.llms.hubs import PIECE, Hub

NAME = "org/tiny-instruct"
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def all_files_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llms.download.LARGE", 100_000)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", PIECE)


def etag(hub: Hub, file: str = WEIGHTS) -> str:
    return hashlib.sha256((hub.folder / file).read_bytes()).hexdigest()


def test_how_far_it_is_is_told_in_bytes(hub: Hub) -> None:
    told: list[tuple[int, int]] = []
    total = download_size(NAME)
    find(NAME, told=lambda done, of: told.append((done, of)))
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert told[-1] == (total, total)
    assert len(told) > (hub.folder / WEIGHTS).stat().st_size // PIECE


def test_a_cancelled_download_goes_on_where_it_stopped(hub: Hub, cache: Path) -> None:
    hub.slow = True
    hub.etags[WEIGHTS] = etag(hub)
    token = CancelToken()
    size = download_size(NAME)

    def told(done: int, total: int) -> None:
        hub.pieces.release()
        if done > 4 * PIECE + 60_000:  # in the middle of the weights
            token.cancel()

    for _ in range(2):
        hub.pieces.release()
    with scope(token), pytest.raises(Cancelled):
        find(NAME, told=told)
    assert cached_folder(NAME) is None
    rest = download_size(NAME)
    assert 0 < rest < size - 2 * PIECE

    hub.slow = False
    hub.fetched.clear()
    folder = find(NAME)
    assert hub.fetched == [WEIGHTS]
    (begin,) = hub.ranges
    assert int(begin.removeprefix("bytes=").rstrip("-")) >= 2 * PIECE
    assert (folder / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()
    assert not list(cache.rglob("*.incomplete"))


def test_a_file_that_comes_broken_is_named_and_fetched_anew(hub: Hub) -> None:
    hub.etags[WEIGHTS] = etag(hub)
    right = (hub.folder / WEIGHTS).read_bytes()
    (hub.folder / WEIGHTS).write_bytes(bytes([right[0] ^ 1]) + right[1:])
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors of org/tiny-instruct came broken"):
        find(NAME)
    (hub.folder / WEIGHTS).write_bytes(right)
    assert (find(NAME) / WEIGHTS).read_bytes() == right


def test_more_than_the_whole_file_is_thrown_away(hub: Hub, cache: Path) -> None:
    hub.etags[WEIGHTS] = etag(hub)
    blobs = cache / f"models--{NAME.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    size = (hub.folder / WEIGHTS).stat().st_size
    (blobs / f"{etag(hub)}.incomplete").write_bytes(b"x" * (size + 5))
    assert (find(NAME) / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()


@pytest.fixture
def life() -> Iterator[LanguageModel]:
    build: Any = Settings
    llm = LanguageModel(build(_env_file=None, llm="extractive", max_new_tokens=4), can_ask=True)
    llm.get()
    yield llm
    llm.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_model_that_is_chosen_shows_its_download_is_cancelled_and_goes_on(
    hub: Hub, life: LanguageModel
) -> None:
    hub.slow = True
    hub.etags[WEIGHTS] = etag(hub)
    page = PageModels(life)
    assert page.look("extractive").in_force
    prospect = page.look(NAME)
    assert not prospect.in_force
    assert prospect.download > (hub.folder / WEIGHTS).stat().st_size
    assert "It is a download of 1 MB, to " in prospect.text
    page.choose(NAME, prospect.download)
    seen = [0]
    while seen[-1] < prospect.download / 2:  # each piece that is let go is told
        hub.pieces.release()
        until(lambda: page.state().done > seen[-1])
        seen.append(page.state().done)
    assert len(seen) > 5
    state = page.state()
    assert (state.name, state.coming) == ("quotations", NAME)
    assert state.text.startswith("Downloading: 1 MB of 1 MB")
    page.cancel()
    assert page.state().coming == ""
    hub.slow = False
    hub.pieces.release(100)
    page.choose(NAME, prospect.download)
    until(lambda: not page.state().coming)
    assert (page.state().name, page.state().where, page.state().error) == (NAME, "CPU", "")
    assert page.look(NAME).in_force
    assert page.look("extractive").text.startswith("Answers quote the documents")
    assert len(hub.ranges) == 1


def test_a_broken_download_is_said_and_the_old_one_goes_on(hub: Hub, life: LanguageModel) -> None:
    hub.etags[WEIGHTS] = "0" * 64
    page = PageModels(life)
    page.choose(NAME, 0)
    until(lambda: not page.state().coming)
    assert page.state().name == "quotations"
    assert "came broken" in page.state().error
    assert page.line().state == "failed"
