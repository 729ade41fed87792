from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from rag import cancel, embeddings
from rag.embeddings import MINILM, MPNET, Embedder, EmbedderError, open_embedder

TEXTS = ["The library opens at nine.", "", "Bees make honey. " * 40, "鳥が飛ぶ", "The library opens at nine."]


def test_vectors_are_unit_length_in_the_order_of_the_texts(embedder: Embedder) -> None:
    vectors = embedder.embed_array(TEXTS * 9)
    assert vectors.shape == (45, embedder.dimension) == (45, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for row, text in enumerate(TEXTS):
        assert np.allclose(vectors[row], embedder.embed_query_array(text), atol=1e-5)


def test_it_gives_what_sentence_transformers_gives(embedder: Embedder) -> None:
    from sentence_transformers import SentenceTransformer

    folder = embeddings.bundled_folder()
    assert folder is not None
    bare = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = bare.encode(TEXTS, normalize_embeddings=True)
    assert np.allclose(embedder.embed_array(TEXTS), expected, atol=1e-5)


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
            if not np.allclose(embedder.embed_array(TEXTS), expected, atol=1e-5):
                wrong.append("texts")
            question = f"question {number} on honey"
            if not np.allclose(
                embedder.embed_query_array(question), embedder.embed_array([question])[0], atol=1e-5
            ):
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
