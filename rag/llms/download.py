"""A model's files → the cache: how much of them is there is told all the while, and a rest goes on later.

huggingface_hub throws away a file that was cut off, which may be gigabytes. So large files are fetched beside
their place in its cache, where the next try finds what is there; the finished file is handed to it. Whoever
cancels (`rag.cancel`) waits for one piece at most. It knows the hub's files; it explains none of its errors.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from rag.cancel import current
from rag.llms.errors import ModelUnavailable

TIMEOUT = 5.0  # seconds for a first answer of the hub
LARGE = 16 << 20  # bytes; what is smaller is fetched anew
BLOCK = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")

Told = Callable[[int], None]  # how many bytes of all files are there


def fetch(name: str, files: Mapping[str, int], token: str | None, told: Told = lambda done: None) -> Path:
    """The folder in the cache, with these files (name → bytes).

    Raises `Cancelled`, `ModelUnavailable` for a file that came broken, and what huggingface_hub raises.
    """
    from huggingface_hub import hf_hub_download

    folder, there = Path(), 0
    for file, size in files.items():
        current().raise_if_cancelled()
        if size >= LARGE:
            _fetch_large(name, file, token, lambda done, before=there: told(before + done))  # type: ignore[misc]
        # One by one: each asks with a timeout, which the whole snapshot's listing does not.
        folder = Path(hf_hub_download(name, file, token=token or False, etag_timeout=TIMEOUT)).parent
        there += size
        told(there)
    return folder


def bytes_there(name: str) -> int:
    """Bytes of a model that are in the cache already, also of files that were cut off."""
    blobs = _repository(name) / "blobs"
    return sum(file.stat().st_size for file in blobs.iterdir()) if blobs.is_dir() else 0


def _repository(name: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


def _fetch_large(name: str, file: str, token: str | None, told: Told) -> None:
    """Put one file where `hf_hub_download` finds it, beginning where the last try ended."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    url = hf_hub_url(name, file)
    facts = get_hf_file_metadata(url, token=token or False, timeout=TIMEOUT)
    if not facts.etag or facts.size is None:
        return  # a server that tells nothing of its files: huggingface_hub fetches it whole
    repository = _repository(name)
    blob = repository / "blobs" / facts.etag
    lock = repository.parent / ".locks" / repository.name / f"{facts.etag}.lock"  # huggingface_hub's own
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        part = blob.with_name(f"{facts.etag}.incomplete")
        with part.open("ab") as sink:
            _receive(url, sink, facts.size, token, told)
        _check(name, file, part, facts.size, facts.etag)
        os.replace(part, blob)


def _receive(url: str, sink: BinaryIO, size: int, token: str | None, told: Told) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if sink.tell() > size:
        sink.truncate(0)
        sink.seek(0)
    headers = build_hf_headers(token=token or False)
    begin = sink.tell()
    http_get(url, sink, resume_size=begin, headers=headers, expected_size=size, tqdm_class=_bar(told))


def _bar(told: Told) -> Any:
    """As much of tqdm's interface as a download uses; it cancels between two pieces."""

    class Bar:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            self._done = initial
            told(initial)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: float | None = 1) -> None:
            self._done += int(count or 0)
            told(self._done)
            current().raise_if_cancelled()

    return Bar


def _check(name: str, file: str, part: Path, size: int, etag: str) -> None:
    """What came is what the hub has: its size, and its checksum where the hub tells it."""
    broken = part.stat().st_size != size or (SHA256.fullmatch(etag) and _sha256(part) != etag)
    if broken:
        part.unlink()
        raise ModelUnavailable(
            f"{file} of {name} came broken: its checksum is another one than the hub's. "
            "Choose the model again; this file is then fetched anew."
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            current().raise_if_cancelled()
            digest.update(block)
    return digest.hexdigest()
