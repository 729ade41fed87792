from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag import cancel, embeddings
from rag.embeddings import MINILM, MPNET, Embedder, EmbedderError, SentenceEmbedder, open_embedder

TEXTS = ["The library opens at nine.", "", "Bees make honey. " * 40, "鳥が飛ぶ", "The library opens at nine."]


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether vectors agree as well as an index needs: bfloat16 rounds a text a little by its batch."""
    return bool((np.atleast_2d(one * other).sum(axis=1) > 0.9998).all())


def test_vectors_are_unit_length_in_the_order_of_the_texts(embedder: Embedder) -> None:
    vectors = embedder.embed_array(TEXTS * 9)
    assert vectors.shape == (45, embedder.dimension) == (45, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for row, text in enumerate(TEXTS):
        assert alike(vectors[row], embedder.embed_query_array(text))


def test_it_gives_what_sentence_transformers_gives(embedder: Embedder) -> None:
    from sentence_transformers import SentenceTransformer

    folder = embeddings.bundled_folder()
    assert folder is not None
    bare = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = bare.encode(TEXTS, normalize_embeddings=True)
    assert alike(embedder.embed_array(TEXTS), expected)


def test_neither_batches_nor_bfloat16_change_a_vector(
    monkeypatch: pytest.MonkeyPatch, embedder: Embedder
) -> None:
    texts = [TEXTS[at % 4][: 3 * at] for at in range(24)]
    assert isinstance(embedder, SentenceEmbedder)
    alone = np.stack([embedder._forward(embedder._tokenize([text], None))[0] for text in texts])
    monkeypatch.setattr(embeddings, "BATCH", 5)
    monkeypatch.setattr(embeddings, "TOKENIZED", 12)
    for half in (True, False):
        monkeypatch.setattr(embedder, "_half", half)
        assert alike(embedder.embed_array(texts), alone)


def test_a_model_that_only_looks_words_up_is_embedded_too() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "bee": 1, "honey": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    static = SentenceEmbedder(
        SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)]), "static"
    )
    vectors = static.embed_array(["bee", "honey bee", "honey"] * 50)
    assert np.allclose(
        vectors[147:], [static.embed_query_array(text) for text in ("bee", "honey bee", "honey")]
    )


def test_it_is_langchains_embeddings(embedder: Embedder) -> None:
    assert isinstance(embedder, Embeddings)
    documents = embedder.embed_documents(["a library", "a bee"])
    query = embedder.embed_query("where do I borrow books?")
    assert np.dot(query, documents[0]) > np.dot(query, documents[1])
    assert embedder.embed_documents([]) == []


def test_queries_and_texts_from_many_threads(embedder: Embedder) -> None:
    expected = embedder.embed_array(TEXTS)
    wrong: list[str] = []

    def work(number: int) -> None:
        for _ in range(3):
            if not alike(embedder.embed_array(TEXTS), expected):
                wrong.append("texts")
            question = f"question {number} on honey"
            if not alike(embedder.embed_query_array(question), embedder.embed_array([question])[0]):
                wrong.append("query")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_cancelling_stops_between_two_batches(embedder: Embedder) -> None:
    token = cancel.CancelToken()
    token.cancel()
    with cancel.scope(token), pytest.raises(cancel.Cancelled):
        embedder.embed_array(TEXTS)


def test_a_query_vector_cannot_be_changed_by_who_gets_it(embedder: Embedder) -> None:
    with pytest.raises(ValueError, match="read-only"):
        embedder.embed_query_array("bees")[0] = 3


def test_auto_without_a_gpu_is_the_bundled_model(embedder: Embedder) -> None:
    opened = open_embedder("auto", device="cpu", offline=True)
    assert (opened.name, opened.notice) == (MINILM, "")


def test_a_short_name_and_a_folder_open_the_same_model(embedder: Embedder) -> None:
    folder = embeddings.bundled_folder()
    by_short_name = open_embedder("all-MiniLM-L6-v2", device="cpu", offline=True)
    by_folder = open_embedder(str(folder), device="cpu", offline=True)
    assert by_short_name.name == MINILM
    assert by_folder.name == str(folder)
    assert np.allclose(by_short_name.embed_array(TEXTS), by_folder.embed_array(TEXTS), atol=1e-6)


def test_a_named_model_that_is_not_here_is_refused_offline(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="PARLEY_OFFLINE"):
        open_embedder(MPNET, device="cpu", offline=True, cache=tmp_path)


def test_a_folder_that_is_no_model_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EmbedderError, match="PARLEY_EMBEDDER"):
        open_embedder(str(tmp_path), device="cpu", offline=True)


def test_a_hub_that_never_answers_is_given_up_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(embeddings, "HUB_TIMEOUT", 0.5)
        began = time.monotonic()
        with pytest.raises(EmbedderError, match="could not be downloaded"):
            open_embedder(MPNET, device="cpu", cache=tmp_path)
        assert time.monotonic() - began < 10


class Hub(ThreadingHTTPServer):
    """As much of the hub's API as a download needs; it has one model, the files of a folder."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.tokens: set[str | None] = set()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        self.server.tokens.add(self.headers.get("Authorization"))
        folder, file = self.server.folder, self.path.partition("/resolve/main/")[2]
        data = (folder / file).read_bytes() if file else json.dumps(self.listing(folder)).encode()
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{zlib.crc32(file.encode()):x}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    @staticmethod
    def listing(folder: Path) -> object:
        files = [file for file in folder.rglob("*") if file.is_file()]
        sizes = [{"rfilename": str(f.relative_to(folder)), "size": f.stat().st_size} for f in files]
        return {"id": "org/minilm", "sha": "0" * 40, "siblings": sizes}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = embeddings.bundled_folder()
    assert folder
    with Hub(folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", "saved-by-another-program")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_model_is_downloaded_once_and_without_a_token_that_was_not_given(
    hub: Hub, embedder: Embedder, tmp_path: Path
) -> None:
    opened = open_embedder("org/minilm", device="cpu", cache=tmp_path)
    assert np.allclose(opened.embed_array(TEXTS), embedder.embed_array(TEXTS), atol=1e-6)
    assert hub.tokens == {None}
    assert open_embedder("org/minilm", device="cpu", cache=tmp_path, offline=True).name == "org/minilm"


def test_a_token_that_was_given_is_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embeddings, "BIG_DOWNLOAD", 1)
    with pytest.raises(EmbedderError, match="PARLEY_DOWNLOAD"):
        open_embedder("org/minilm", device="cpu", cache=tmp_path, token="hf_mine")
    assert hub.tokens == {"Bearer hf_mine"}


def test_a_full_disk_is_said_before_the_download(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(EmbedderError, match=r"download of 0\.1 GB.*Make room"):
        open_embedder("org/minilm", device="cpu", cache=tmp_path / "not" / "yet")


def test_a_name_look_up_that_hangs_is_given_up_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> None:
        over.wait(20)
        raise OSError

    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(embeddings, "HUB_HARD_LIMIT", 0.3)
    began = time.monotonic()
    with pytest.raises(EmbedderError, match="TimeoutError"):
        open_embedder(MPNET, device="cpu", cache=tmp_path)
    assert time.monotonic() - began < 10
    over.set()


def test_auto_with_a_gpu_but_no_hub_says_that_it_fell_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded: list[str] = []

    class OnTheCpu:
        """A GPU cannot be had in this test: the choice is real, the weights stay on the CPU."""

        def __call__(self, folder: Path, name: str, device: str) -> object:
            loaded.append(device)
            return real_load(folder, name, "cpu")

    real_load = embeddings._load
    monkeypatch.setattr(embeddings, "_load", OnTheCpu())
    opened = open_embedder("auto", device="cuda", offline=True, cache=tmp_path)
    assert loaded == ["cuda"]
    assert opened.name == MINILM
    assert "all-mpnet-base-v2" in opened.notice
    assert opened.notice in caplog.text


def test_damaged_weights_in_the_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "BUNDLED_SHA256", "0" * 64)
    with pytest.raises(EmbedderError, match="force-reinstall"):
        open_embedder(MINILM, device="cpu", offline=True)


def test_only_what_pytorch_needs_is_downloaded_and_a_big_one_asks() -> None:
    files = {
        "model.safetensors": 9,
        "pytorch_model.bin": 9,
        "onnx/model.onnx": 9,
        "config.json": 1,
        "README.md": 1,
    }
    assert embeddings._needed_files(files) == {"model.safetensors": 9, "config.json": 1}
    assert "pytorch_model.bin" in embeddings._needed_files({"pytorch_model.bin": 9})
    with pytest.raises(EmbedderError, match=r"2\.5 GB.*PARLEY_DOWNLOAD"):
        embeddings._agree("some/model", 2_500_000_000, agreed=False)
    embeddings._agree("some/model", 2_500_000_000, agreed=True)


def test_importing_the_module_loads_nothing_heavy() -> None:
    code = "import sys, rag.embeddings; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
