"""How fast this machine is: what `app.py bench` measures, on the sample documents and the embedded engines.

Each figure is taken as a person would feel it, from outside the part that it measures. docs/figures.md says
what was measured where. It judges nothing.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.prompts import CORPUS, sample_questions
from commands.indexing import index
from engines import Engines, Progress
from settings import Settings

ROOT = Path(__file__).parents[1]
FILES = 1000  # small files, for the cost of an index that has nothing to do
Figures = dict[str, Any]


def bench(settings: Settings, progress: Progress | None = None) -> Figures:
    """All figures: seconds end in _s, milliseconds in _ms; p50 and p95 are over the questions asked."""
    parts: list[tuple[str, Callable[[Settings, Path], Figures]]] = [
        ("start", _start),
        ("index", _index),
        ("unchanged files", _unchanged),
        ("typed questions", _typed),
        ("language model", _smollm2),
        ("first audio", _first_audio),
    ]
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        data = Path(folder)
        own = {"corpus": CORPUS, "data": data / "sample", "llm": "extractive"}
        settings = settings.model_copy(update=own)
        for number, (name, measure) in enumerate(parts):
            if progress:
                progress(number, len(parts), name)
            figures |= measure(settings, data)
    if progress:
        progress(len(parts), len(parts), "done")
    return figures


def _start(settings: Settings, folder: Path) -> Figures:
    """`import app`, and a second start until the page answers."""
    code = "import time; t = time.perf_counter(); import app; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True).stdout)
        for _ in range(3)
    ]
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
    return {
        "import_app_s": round(min(imports), 3),
        "second_start_to_page_s": round(_serve_until_answer(settings), 2),
    }


def _serve_until_answer(settings: Settings) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "serve", "--port", str(port), "--data", str(settings.data)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--offline"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not _answers(f"http://127.0.0.1:{port}/"):
                if process.poll() is not None or time.perf_counter() - began > 120:
                    raise RuntimeError("The page did not start. Run app.py serve to see why.")
                time.sleep(0.05)
            return time.perf_counter() - began
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _index(settings: Settings, folder: Path) -> Figures:
    """Indexing a long text, against the same embedder bare on the same chunks."""
    from sentence_transformers import SentenceTransformer

    from rag.chunks import split_documents
    from rag.documents import load_file
    from rag.embeddings import MINILM, bundled_folder

    source = folder / "long"
    source.mkdir()
    samples = [path for corpus in settings.corpus for path in sorted(corpus.iterdir()) if path.is_file()]
    texts = [page.page_content for path in samples for page in load_file(path, path.name)]
    for number in range(6):  # different texts, so that none is embedded only once
        (source / f"{number}.txt").write_text(
            f"Volume {number}\n\n" + "\n\n".join(texts[number:] + texts[:number])
        )
    with Engines(settings.model_copy(update={"data": folder / "speed"})) as engines:
        engines.library.get()
        name = engines.embedder.get().name
        bare_embedder = SentenceTransformer(str(bundled_folder()) if name == MINILM else name)
        documents = [page for path in sorted(source.iterdir()) for page in load_file(path, path.name)]
        chunks = [chunk.indexed_text for chunk in split_documents(documents)]
        bare_embedder.encode(chunks[:32])
        began = time.perf_counter()
        bare_embedder.encode(chunks)
        bare = time.perf_counter() - began
        report = index(engines, [source], ())
    pages = sum(len(page.page_content) for page in documents) / 3000
    return {
        "index_chunks_per_s": round(len(chunks) / report["seconds"], 1),
        "index_pages_per_s": round(pages / report["seconds"], 1),  # of 3,000 characters
        "index_speed_of_bare_embedder": round(bare / report["seconds"], 3),
    }


def _unchanged(settings: Settings, folder: Path) -> Figures:
    source = folder / "many"
    source.mkdir()
    for number in range(FILES):
        (source / f"note-{number}.txt").write_text(
            f"Note {number}: locker {number} opens with key {number * 7}."
        )
    with Engines(settings.model_copy(update={"data": folder / "many-data"})) as engines:
        first = index(engines, [source], ())
        second = index(engines, [source], ())
    return {f"index_{FILES}_files_s": first["seconds"], f"index_{FILES}_unchanged_s": second["seconds"]}


def _typed(settings: Settings, folder: Path) -> Figures:
    """Typed question to first token with quotations, and from Stop to the end of the work."""
    with Engines(settings) as engines:
        assistant = engines.assistant(wait=True)
        list(assistant.answer("Is it warm?"))
        times, stops = [], []
        for question in sample_questions():
            began = time.perf_counter()
            answer = assistant.answer(question)
            times.append(_first_token(answer) - began)
            began = time.perf_counter()
            answer.close()
            answer.wait_stopped(5)
            stops.append(time.perf_counter() - began)
    return {**_spread("typed_first_token", times), **_spread("stop_quotations", stops)}


def _smollm2(settings: Settings, folder: Path) -> Figures:
    """The same with SmolLM2 and three passages; it is stopped inside its prompt and inside its answer."""
    firsts, stops = [], []
    with Engines(settings.model_copy(update={"llm": "smollm2", "k": 3})) as engines:
        assistant = engines.assistant(wait=True)
        list(assistant.answer("Is it warm?"))
        for number, question in enumerate(sample_questions()[:8]):
            began = time.perf_counter()
            answer = assistant.answer(question)
            if number % 2:
                _sources(answer)  # the prompt's own pass has just begun
            else:
                firsts.append(_first_token(answer) - began)
            began = time.perf_counter()
            answer.close()
            answer.wait_stopped(5)
            stops.append(time.perf_counter() - began)
    return {**_spread("smollm2_first_token", firsts), **_spread("stop_smollm2", stops)}


def _first_token(answer: Any) -> float:
    from rag.assistant import Token

    next(event for event in answer if isinstance(event, Token))
    return time.perf_counter()


def _sources(answer: Any) -> None:
    from rag.assistant import Sources

    next(event for event in answer if isinstance(event, Sources))


def _first_audio(settings: Settings, folder: Path) -> Figures:
    """A six-sentence answer at 30 tokens/s: spoken as it comes, and in the tutorials' order."""
    from speech.measure import first_audio
    from speech.tts import open_synthesizer
    from speech.turn import warm

    warm()
    measured = first_audio(open_synthesizer("espeak-ng"))
    return {
        "first_audio_after_first_sentence_ms": round(measured.after_sentence * 1000),
        "first_audio_s": round(measured.streamed, 3),
        "first_audio_tutorial_order_s": round(measured.whole, 3),
        "first_audio_times_earlier": round(measured.whole / measured.streamed, 1),
    }


def _spread(name: str, seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {
        f"{name}_p50_ms": round(statistics.median(ordered) * 1000, 1),
        f"{name}_p95_ms": round(p95 * 1000, 1),
    }
