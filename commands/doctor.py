"""What `app.py doctor` says: what works here, what does not, and what to do. It downloads nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines import EngineError, Engines
from settings import Settings

HUB = ("huggingface.co", 443)
TIMEOUT = 2.0  # seconds for a network check
ROOM = 2_000_000_000  # bytes that an index and a small model need


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` is empty where nothing is to be done."""

    mark: Literal["ok", "note", "FAIL"]
    name: str
    finding: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Every check in order; one that breaks is reported, and the others go on."""
    engines = Engines(settings)
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("SQLite", _sqlite),
        ("data folder", lambda: _data(settings.data)),
        ("documents", lambda: _documents(settings)),
        ("watching", lambda: _watching(settings)),
        ("scans", lambda: _scans(settings.ocr)),
        ("GPU", _gpu),
        ("network", lambda: _network(settings.offline)),
        ("search", lambda: _search(engines)),
        ("reranker", lambda: _reranker(engines)),
        ("answers", lambda: _answers(engines)),
        ("hearing", lambda: _hearing(engines)),
        ("endpointing", _endpointing),
        ("echo", _echo),
        ("voice", lambda: _voice(engines)),
        ("https", lambda: _https(settings)),
        ("microphone", lambda: _microphone(settings)),
        ("page", lambda: _page(settings)),
        ("API", lambda: _api(settings)),
    ]
    for name, check in checks:
        try:
            yield check()
        except Exception as error:  # reported: that is what a doctor is for
            yield Check("FAIL", name, f"{error}", "" if _explains(error) else "Run make setup again.")
    engines.close()


def _explains(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in {"rag", "speech", "engines", "serving"}


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if (3, 11) <= sys.version_info < (3, 14):
        return Check("ok", "Python", found)
    return Check(
        "FAIL", "Python", found, "Install Python 3.11, 3.12 or 3.13, then: make clean run PYTHON=python3.12"
    )


def _packages() -> Check:
    """Every pinned package is there, in its version."""
    from packaging.requirements import Requirement

    wrong = []
    folder = Path(__file__).parents[1]
    for line in [*_lines(folder / "requirements.txt"), *_lines(folder / "requirements-nodeps.txt")]:
        text = line.split("#")[0].strip()
        requirement = Requirement(text) if text else None
        if requirement is None or (requirement.marker and not requirement.marker.evaluate()):
            continue
        found = _version(requirement.name)
        if not found or not requirement.specifier.contains(found):
            wrong.append(f"{requirement.name} {found or 'is missing'}")
    if wrong == ["faiss-cpu is missing"] and _version("faiss-gpu-cu12"):
        wrong = []
    if wrong:
        return Check(
            "FAIL",
            "packages",
            ", ".join(wrong),
            "Run make setup, which installs what requirements.txt names.",
        )
    return Check("ok", "packages", "all as in requirements.txt")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sqlite() -> Check:
    from rag.database import sqlite_module

    module = sqlite_module()
    if module is sqlite3:
        return Check("ok", "SQLite", sqlite3.sqlite_version)
    return Check(
        "ok",
        "SQLite",
        f"{module.sqlite_version} from pysqlite3; the system's {sqlite3.sqlite_version} is too old",
    )


def _data(folder: Path) -> Check:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
    if not os.access(existing, os.W_OK):
        return Check("FAIL", "data folder", f"{found}, not writable", "Choose another one with --data DIR.")
    if free < ROOM:
        return Check("note", "data folder", found, "Make room, or choose another disk with --data DIR.")
    return Check("ok", "data folder", found)


def _documents(settings: Settings) -> Check:
    missing = [str(folder) for folder in settings.corpus if not folder.is_dir()]
    if missing:
        return Check(
            "FAIL", "documents", f"no folder {', '.join(missing)}", "Name your folders in PARLEY_CORPUS."
        )
    return Check("ok", "documents", ", ".join(str(folder) for folder in settings.corpus))


def _watching(settings: Settings) -> Check:
    """Whether the system tells of changes in the folders; tried out, as its limits are shared by all."""
    from rag.corpus_watch import Watch

    if not settings.watch:
        return Check("ok", "watching", "off: changes in the folders are taken up when Parley starts")
    folders = [folder.resolve() for folder in settings.corpus if folder.is_dir()]
    with Watch(folders, without=settings.data.resolve()) as watch:
        problem, _, remedy = watch.problem.partition(". ")
    if problem:
        return Check("note", "watching", problem, remedy)
    return Check("ok", "watching", "changes in the folders are noticed at once")


def _scans(setting: str) -> Check:
    from rag.formats.base import Unreadable
    from rag.formats.ocr import languages
    from rag.formats.reasons import remedy

    try:
        return Check("ok", "scans", f"Tesseract reads them, and images: {languages(setting)}")
    except Unreadable as error:
        mark: Literal["ok", "note"] = "ok" if error.code == "ocr_off" else "note"
        return Check(mark, "scans", "not read, nor images", remedy(error.code, error.detail))


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        if built is None:
            return Check(
                "note", "GPU", "this PyTorch is built without CUDA", "With a GPU: make clean setup GPU=1"
            )
        return Check(
            "note", "GPU", f"none that PyTorch (CUDA {built}) can use", "With a GPU: update its driver."
        )
    names = [
        f"{torch.cuda.get_device_name(i)} ({torch.cuda.mem_get_info(i)[0] / 1e9:.1f} of "
        f"{torch.cuda.mem_get_info(i)[1] / 1e9:.1f} GB free)"
        for i in range(torch.cuda.device_count())
    ]
    return Check("ok", "GPU", ", ".join(names))


def _network(offline: bool) -> Check:
    if offline:
        return Check("ok", "network", "PARLEY_OFFLINE is set: nothing is contacted")
    try:
        socket.create_connection(HUB, timeout=TIMEOUT).close()
    except OSError:
        remedy = "Parley works without: models must be on disk, espeak-ng speaks. PARLEY_OFFLINE=1 says so."
        return Check("note", "network", f"{HUB[0]} is out of reach", remedy)
    return Check("ok", "network", f"{HUB[0]} answers")


def _search(engines: Engines) -> Check:
    embedder = engines.embedder.get()
    store, _ = engines.library.get()
    embedder.embed_query("Does it embed?")
    found = f"{embedder.name} on {embedder.device}; {len(store.sources())} documents, {store.count()} chunks"
    if not store.count():
        return Check("note", "search", found, "Index your documents: app.py index")
    return Check("ok", "search", found, embedder.notice)


def _reranker(engines: Engines) -> Check:
    name = engines.settings.reranker
    if name == "none":
        return Check("ok", "reranker", "none: the passages are in the order of the search")
    reranker = engines.retriever().reranker
    if reranker is not None:
        reranker.scores("Does it rank?", ["It does.", "It does not."])
    if engines.reranker_notice:
        return Check("note", "reranker", f"{name}, left out", engines.reranker_notice)
    return Check("ok", "reranker", name)


def _answers(engines: Engines) -> Check:
    finding, remedy = engines.llm.opening.describe()
    return Check("note" if remedy else "ok", "answers", finding, remedy)


def _hearing(engines: Engines) -> Check:
    transcriber = engines.hearing.transcriber.get()
    return Check("note" if transcriber.notice else "ok", "hearing", transcriber.name, transcriber.notice)


def _voice(engines: Engines) -> Check:
    synthesizer = engines.voices.synthesizer.get()
    if synthesizer is None:
        return Check("note", "voice", "none", "PARLEY_TTS=auto gives Parley a voice.")
    seconds = sum(chunk.seconds for chunk in synthesizer.synthesize("Parley can speak.", "en"))
    spoke, why = engines.voices.speaks(engines.settings.tts)
    remedy = f"{why} To leave it at that: PARLEY_TTS={spoke}." if why else ""
    return Check("note" if remedy else "ok", "voice", f"{spoke}, {seconds:.1f} s spoken as a test", remedy)


def _endpointing() -> Check:
    """What tells a finished question from a pause."""
    from speech.completeness import missing

    remedy = missing()
    if remedy:
        return Check("note", "endpointing", "by the words alone", remedy)
    return Check("ok", "endpointing", "by the voice (smart-turn) and the words")


def _echo() -> Check:
    """What keeps the voice from interrupting itself over a loudspeaker."""
    from speech.echo import open_echo_canceller

    notice = open_echo_canceller().notice
    if notice:
        return Check("note", "echo", "not cancelled here, only by the browser", notice)
    return Check("ok", "echo", "cancelled")


def _https(settings: Settings) -> Check:
    from serving.certificates import describe

    found = describe(settings.https, settings.data, settings.host, settings.hosts)
    return Check("ok", "https", found)


def _microphone(settings: Settings) -> Check:
    """Browsers give it to HTTPS, and without it only to pages of their own machine."""
    from serving.certificates import links, near

    scheme = "https" if settings.https else "http"
    far = links(settings.host, settings.port, scheme)
    proxied = [f"https://{name}" for name in settings.hosts]
    own = near(settings.host, settings.port, scheme)
    found = [*([own] if own else []), *(far if settings.https else []), *proxied]
    given = f"the page gets it on {', '.join(found) or 'no address'}"
    if settings.https or proxied or not far:
        return Check("ok", "microphone", given)
    refused = f"{given}; browsers refuse it on {', '.join(far)}"
    return Check("note", "microphone", refused, "For other devices than this one: PARLEY_HTTPS=auto")


def _page(settings: Settings) -> Check:
    from serving.server import bind

    try:
        bind(settings).close()
    except EngineError as error:
        return Check("note", "page", str(error), "If it is Parley itself that runs there, all is well.")
    return Check("ok", "page", f"{settings.host} port {settings.port} is free")


def _api(settings: Settings) -> Check:
    """Whom the routes under /v1 serve."""
    from serving.server import serves_only_here

    if settings.api_key.get_secret_value():
        return Check("ok", "API", "/v1 serves programs that show PARLEY_API_KEY")
    if serves_only_here(settings):
        return Check("ok", "API", "/v1 serves programs on this machine, without a key")
    return Check("note", "API", "/v1 serves nobody", "For programs: PARLEY_API_KEY, at least 16 characters.")
