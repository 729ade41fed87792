"""`app.py bench --gpu`: what a GPU does with the models that Parley takes there, without downloading any.

Models of their shapes with random weights are made in a temporary folder and opened by Parley's own engines;
docs/performance.md says what each figure means. It judges nothing.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.memory import Memory, gigabytes, given_back
from bench.prompts import CORPUS, sample_prompts, sample_questions, sample_texts
from bench.shapes import mpnet_base, save_causal, save_embedder, size_on_disk
from bench.whisper import large_v3_turbo, save_faster_whisper
from engines import Progress
from rag.llms.known import known_config
from settings import Settings
from speech.audio import RATE, Samples

log = logging.getLogger(__name__)

Figures = dict[str, Any]
SPARE = 1_000_000_000  # bytes of disk beside the weights
AUDIO = (10, 30)  # seconds
AGAIN = 3  # times that a recording is heard; the median counts


class GpuBenchError(Exception):
    """A GPU cannot be measured here; the message says what to do."""


@dataclass(frozen=True)
class Shapes:
    """The models that are measured, as configurations of transformers', and how much of each."""

    llm: Any = field(default_factory=partial(known_config, "mistralai/Mistral-7B-Instruct-v0.2"))
    whisper: Any = field(default_factory=large_v3_turbo)
    embedder: Any = field(default_factory=mpnet_base)
    chunks: int = 512  # that are embedded
    work: Any = None  # bench.decoding.Work; None: what it is by default


def bench_gpu(
    settings: Settings,
    shapes: Shapes | None = None,
    *,
    device: str = "cuda",
    progress: Progress | None = None,
) -> Figures:
    """All figures: seconds end in _s, gigabytes (10⁹ bytes) in _gb.

    Raises:
        GpuBenchError: no GPU, or too little room on the disk.
    """
    if device.startswith("cuda"):
        _need_gpu()
    shapes = shapes or Shapes()
    memory = Memory(device)
    parts: list[tuple[str, Callable[[Path], Figures]]] = [
        ("language model", partial(_llm, settings, shapes, device)),
        ("speech recogniser", partial(_whisper, shapes, device)),
        ("embedder", partial(_embedder, shapes, device)),
    ]
    figures = _machine(device)
    for number, (name, measure) in enumerate(parts):
        if progress:
            progress(number, len(parts), name)
        with tempfile.TemporaryDirectory(prefix="parley-gpu-") as folder, given_back():
            figures |= _measured(name, measure, Path(folder))
    if progress:
        progress(len(parts), len(parts), "done")
    return figures | {"not_given_back_gb": gigabytes(memory.taken())}


def _measured(name: str, measure: Callable[[Path], Figures], folder: Path) -> Figures:
    """What is measured, or why it cannot be: what was measured before is not lost."""
    from rag.embeddings import EmbedderError
    from rag.llms import LLMError
    from speech.asr import TranscriberError

    try:
        return measure(folder)
    except (EmbedderError, LLMError, TranscriberError) as error:
        log.warning("the %s is not measured: %s", name, error)
        return {f"{name.replace(' ', '_')}_not_measured": str(error)}


def _need_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        return
    if torch.version.cuda is None:
        remedy = "This PyTorch is built without CUDA: with a GPU, run make clean setup GPU=1"
    else:
        remedy = "With a GPU, update its driver (app.py doctor says what PyTorch sees)"
    raise GpuBenchError(
        f"bench --gpu needs a CUDA GPU, and PyTorch can use none. {remedy}; or run app.py bench."
    )


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise GpuBenchError(
            f"The model that is measured takes {(size + SPARE) / 1e9:.1f} GB of disk for a while, and "
            f"{folder.parent} has {free / 1e9:.1f} GB free. Make room, or set TMPDIR to a folder elsewhere."
        )


def _machine(device: str) -> Figures:
    import torch

    gpus = range(torch.cuda.device_count() if device.startswith("cuda") else 0)
    packages = ("transformers", "bitsandbytes", "ctranslate2", "sentence-transformers")
    return {
        "device": ", ".join(torch.cuda.get_device_name(gpu) for gpu in gpus) or device,
        "driver": _driver() if gpus else "none",
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "none",
    } | {package.replace("-", "_"): version(package) for package in packages}


def _driver() -> str:
    """Its version, as its own tool says."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown (nvidia-smi does not answer)"
    return said.strip().partition("\n")[0]


def _llm(settings: Settings, shapes: Shapes, device: str, folder: Path) -> Figures:
    from bench.decoding import Work, measure_llm
    from rag.embeddings import MINILM
    from rag.llms.load import load

    _need_room(folder, size_on_disk(shapes.llm))
    work = shapes.work or Work()
    # What a prompt is made of is the same on every machine, so that figures can be compared.
    same = {"embedder": MINILM, "reranker": "none", "k": 4, "floor": 0.0, "compress": False}
    asked = sample_prompts(settings.model_copy(update=same), folder / "index", work.prompts)
    path = save_causal(folder / "llm", shapes.llm, device, list(sample_texts()))
    memory = Memory(device)
    began = time.perf_counter()
    loaded = load("The measured model", path, quantize="nf4", layout=settings.gpu_layout)
    seconds = time.perf_counter() - began
    shutil.rmtree(path)  # its room is given back early
    return {"load_s": round(seconds, 1)} | measure_llm(loaded, asked, work, memory)


def _whisper(shapes: Shapes, device: str, folder: Path) -> Figures:
    """Speech of 10 s and 30 s, transcribed as a question is."""
    from speech.asr import open_transcriber

    path = save_faster_whisper(folder / "whisper", shapes.whisper, device=device)
    memory = Memory(device)
    engine = open_transcriber(f"faster-whisper:{path}", device=device, offline=True)
    engine.load()
    figures: Figures = {"whisper_gb": gigabytes(memory.taken_in_all())}
    for seconds in AUDIO:
        audio = _speech(seconds)
        engine.transcribe(audio)
        heard = [engine.transcribe(audio) for _ in range(AGAIN)]
        figures[f"whisper_{seconds}_s_of_speech_s"] = round(statistics.median(t.elapsed for t in heard), 4)
        figures[f"whisper_{seconds}_s_of_speech_characters"] = len(heard[0].text)
    return figures | {"whisper_working_gb": gigabytes(memory.taken_in_all())}


def _speech(seconds: int) -> Samples:
    """The sample questions, one after the other, said by espeak-ng."""
    from speech.audio import decode, wav_bytes
    from speech.tts import open_synthesizer

    voice = open_synthesizer("espeak-ng")
    parts: list[Samples] = []
    for question in sample_questions():
        chunks = list(voice.synthesize(question, "en"))
        parts.append(decode(wav_bytes(np.concatenate([each.samples for each in chunks]), chunks[0].rate)))
        if sum(map(len, parts)) >= seconds * RATE:
            break
    return np.concatenate(parts)[: seconds * RATE]


def _embedder(shapes: Shapes, device: str, folder: Path) -> Figures:
    """The chunks of the sample documents, again and again, as an index embeds them."""
    from rag.embeddings import BATCH, open_embedder

    path = save_embedder(folder / "embedder", shapes.embedder, device, list(sample_texts()))
    memory = Memory(device)
    embedder = open_embedder(str(path), device=device, offline=True)
    weights = memory.taken()
    chunks = list(islice(cycle(_chunks()), shapes.chunks))
    embedder.embed_array(chunks[: 2 * BATCH])
    memory.forget_peak()
    began = time.perf_counter()
    embedder.embed_array(chunks)  # its vectors are in main memory when it returns
    seconds = time.perf_counter() - began
    return {
        "embedder_gb": gigabytes(weights),
        "embedder_peak_gb": gigabytes(memory.peak()),
        "embedder_batch": BATCH,
        "embedder_chunks_per_s": round(len(chunks) / seconds, 1),
    }


def _chunks() -> Sequence[str]:
    from rag.chunks import split_documents
    from rag.documents import load_file

    paths = [path for folder in CORPUS for path in sorted(folder.iterdir()) if path.is_file()]
    pages = [page for path in paths for page in load_file(path, path.name)]
    return [chunk.indexed_text for chunk in split_documents(pages)]
