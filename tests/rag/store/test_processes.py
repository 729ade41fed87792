"""Several processes with one store, one of them killed at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.store_local import LocalStore
from tests.rag.store.filling import WORDS, chunks_for, texts, vectors_for

ADDING = """
import sys
from pathlib import Path
from rag.store_local import LocalStore
from tests.rag.store.filling import DIMENSION, put
store = LocalStore(Path(sys.argv[1]), dimension=DIMENSION, embedder="test")
print("ready", flush=True)
for seed in range(int(sys.argv[2]), 100_000):
    put(store, f"{seed % 20}.txt", seed, count=6)
    print(seed, flush=True)
    if seed % 3 == 0:
        store.search_text("library", 1)
"""


def start_adding(folder: Path, first: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ADDING, str(folder), str(first)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_at_any_moment_loses_no_document_and_shows_no_half_one(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    done = 0
    for moment in range(6):
        process = start_adding(tmp_path, done + 1)
        assert process.stdout is not None
        done = int(process.stdout.readline())
        time.sleep(
            random.Random(moment).uniform(0.02, 0.4)
        )  # the moment of the kill, not a wait for something
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        done = max([done, *map(int, output.split())])
        store = local()
        newest = {seed % 20: seed for seed in range(max(done - 19, 1), done + 1)}
        found = {int(source.content_hash.removeprefix("hash")): source for source in store.sources()}
        for seed in newest.values():  # the one after the last reported may have been stored in its place
            assert seed in found or done + 1 in found
        assert all(source.chunks == 6 for source in found.values())
        assert texts(store) == {c.text for seed in found for c in chunks_for("", seed, 6)}
        by_text = {hit.chunk.text for hit in store.search_text(" ".join(WORDS), 10_000)}
        assert by_text == texts(store)
        store.close()
    assert done > 6


def test_another_process_adds_while_this_one_searches(
    local: Callable[[], LocalStore], tmp_path: Path
) -> None:
    store = local()
    process = start_adding(tmp_path, 1)
    try:
        assert process.stdout is not None
        for _ in range(10):
            seed = int(process.stdout.readline())
            (hit,) = store.search_vector(vectors_for(seed, 6)[0], 1)
            names = {source.content_hash for source in store.sources()}
            assert hit.score == pytest.approx(1, abs=1e-5) or f"hash{seed}" not in names
            assert len(store.search_text(" ".join(WORDS), 5)) == 5
    finally:
        process.kill()
        process.communicate()
    assert (
        len(texts(store))
        == len({hit.id for hit in store.search_text(" ".join(WORDS), 1000)})
        == store.count()
    )
