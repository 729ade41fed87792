"""How the library of documents behaves: a second run, a changed file, and questions while files are indexed.

    python -m scripts.measure_library TEXTS [--files 10000] [--indexed 1000]

TEXTS is a folder of text files, whose paragraphs the made-up files consist of. Everything is measured from
outside: the command line, and the page's routes of a served Parley.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "docs" / "sample-questions.jsonl"
WAIT = 600.0  # seconds for what has to happen at all


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path)
    parser.add_argument("--files", type=int, default=10_000, help="small files that do not change")
    parser.add_argument(
        "--indexed", type=int, default=1000, help="files that are indexed while questions come"
    )
    args = parser.parse_args()
    paragraphs = read_paragraphs(args.texts)
    with tempfile.TemporaryDirectory(prefix="parley-library-") as folder:
        figures = measure_in_step(Path(folder, "small"), paragraphs, args.files)
        figures |= measure_questions(Path(folder, "asked"), paragraphs, args.indexed)
    for name, value in figures.items():
        print(f"{name:44} {value}")


def read_paragraphs(folder: Path) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file()]
    return [line.strip() for text in texts for line in text.split("\n") if len(line) > 200]


def write_files(folder: Path, paragraphs: list[str], count: int, size: int, seed: int) -> None:
    """So many text files of about `size` characters, no two alike, in folders of a hundred."""
    rng = random.Random(seed)
    for number in range(count):
        text = f"Note {seed}-{number}\n\n"
        while len(text) < size:
            words = rng.choice(paragraphs).split()
            begin = rng.randrange(max(1, len(words) - 40))
            text += " ".join(words[begin : begin + 40]) + ".\n\n"
        path = folder / f"{number // 100:03}" / f"note-{seed}-{number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def measure_in_step(folder: Path, paragraphs: list[str], count: int) -> dict[str, Any]:
    """A second run with nothing to do, and a changed file through the watcher."""
    corpus, data = folder / "corpus", folder / "data"
    write_files(corpus, paragraphs, count, 250, seed=1)
    first, second = (run_index(corpus, data) for _ in range(2))
    with served(data, corpus) as page:
        wait_until_idle(page)
        found = [seconds_until_found(page, corpus / f"changed-{number}.txt", number) for number in range(5)]
    return {
        f"first index of {count} files, s": round(first, 1),
        "second index, nothing changed, s": round(second, 2),
        "a saved file is searchable after, s": ", ".join(f"{seconds:.2f}" for seconds in found),
    }


def run_index(corpus: Path, data: Path) -> float:
    command = [sys.executable, "app.py", "index", "--corpus", str(corpus), "--data", str(data), "--offline"]
    began = time.perf_counter()
    subprocess.run([*command, "--json"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_until_found(page: httpx.Client, path: Path, number: int) -> float:
    """Save a file, and ask for what only it says until the answer says it."""
    path.write_text(f"The quagga number {number} sleeps in stable {number + 100}.", encoding="utf-8")
    began = time.perf_counter()
    while str(number + 100) not in ask(page, f"In which stable sleeps quagga number {number}?")[1]:
        if time.perf_counter() - began > WAIT:
            raise RuntimeError(f"{path} was not found.")
    return time.perf_counter() - began


def measure_questions(folder: Path, paragraphs: list[str], count: int) -> dict[str, Any]:
    """The time to the first token, idle and while files are indexed."""
    corpus, data = folder / "corpus", folder / "data"
    corpus.mkdir(parents=True)
    questions = [json.loads(line)["question"] for line in QUESTIONS.read_text("utf-8").splitlines()]
    samples = [ROOT / "txt", ROOT / "pdfs"]
    with served(data, corpus, *samples) as page:
        wait_until_idle(page)
        for question in questions[:5]:
            ask(page, question)
        idle = [ask(page, question)[0] for question in questions[5:40]]
        write_files(corpus, paragraphs, count, 3000, seed=2)
        began = time.perf_counter()
        wait_until_busy(page)
        busy, position = [], 40
        while position < len(questions) and (progress := page.get("/api/state").json()["progress"]):
            busy.append(ask(page, questions[position])[0])
            position += 1
        if len(busy) < 20:
            raise RuntimeError(f"Indexing was over after {len(busy)} questions: take more files.")
        done = progress["done"] if progress else count
        wait_until_idle(page)
        took = time.perf_counter() - began
    return {
        f"first token, idle, {len(idle)} questions, ms": shown(idle),
        f"first token, indexing, {len(busy)} questions, ms": shown(busy),
        "times the idle figure (p50, p95)": ratios(busy, idle),
        "files indexed when the last was answered": f"{done} of {count}",
        f"indexing {count} files meanwhile, s": round(took, 1),
    }


def shown(seconds: list[float]) -> str:
    p50, p95 = quantiles(seconds)
    return f"p50 {1000 * p50:.0f}, p95 {1000 * p95:.0f}, most {1000 * max(seconds):.0f}"


def ratios(busy: list[float], idle: list[float]) -> str:
    return ", ".join(f"{b / i:.2f}" for b, i in zip(quantiles(busy), quantiles(idle), strict=True))


def quantiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]


@contextmanager
def served(data: Path, *folders: Path) -> Iterator[httpx.Client]:
    """Parley, served without a voice and a language model; its page is one person's."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "serve", "--offline", "--port", str(port), "--data", str(data)]
    command += ["--llm", "extractive", "--tts", "none"]
    for folder in folders:
        command += ["--corpus", str(folder)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT) as process, httpx.Client(base_url=url, timeout=WAIT) as page:
        try:
            wait_for_page(page, process)
            yield page
        finally:
            process.terminate()


def wait_for_page(page: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            page.get("/").raise_for_status()
            return
        except httpx.TransportError:
            if process.poll() is not None:
                raise RuntimeError("Parley did not start.") from None
            time.sleep(0.1)


def wait_until_idle(page: httpx.Client) -> None:
    while (state := page.get("/api/state").json())["busy"]:
        if not state["progress"] and not any(state["documents"][s] for s in ("waiting", "reading")):
            loading = [engine["kind"] for engine in state["engines"] if engine["state"] == "loading"]
            if loading == ["asr"] or not loading:
                return
        time.sleep(0.2)


def wait_until_busy(page: httpx.Client) -> None:
    while not page.get("/api/state").json()["progress"]:
        time.sleep(0.05)


def ask(page: httpx.Client, question: str) -> tuple[float, str]:
    """Seconds until the first token, and the whole answer."""
    conversation = page.post("/api/conversations").json()["id"]
    began, first, text = time.perf_counter(), 0.0, ""
    body = {"question": question}
    with page.stream("POST", f"/api/conversations/{conversation}/ask", json=body) as lines:
        for line in map(json.loads, lines.iter_lines()):
            if line["type"] == "token":
                first = first or time.perf_counter() - began
                text += line["text"]
            elif line["type"] == "failed":
                raise RuntimeError(line)
    return first, text


if __name__ == "__main__":
    main()
