"""Whether the files of a model's weights are whole: looked at before gigabytes are read, and named if not.

It reads the beginnings of the files alone. It knows safetensors, its index, and that PyTorch's files are zip
archives; it does not know what the tensors mean.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.llms.errors import ModelUnavailable

INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}  # of a number; the other types say it in their name


def refuse_broken(name: str, folder: Path) -> None:
    """Raise `ModelUnavailable` with each file that is missing, cut short, or not what the index says."""
    faults = list(_faults(folder))
    if faults:
        raise ModelUnavailable(
            f"{name} cannot be loaded: {'; '.join(faults)}. Delete what is broken and download it again, or "
            "choose another model."
        )


def _faults(folder: Path) -> Iterator[str]:
    promised = _promised(folder)
    files = {path.name for path in folder.glob("model*.safetensors")} if not promised else set(promised)
    for file in sorted(files):
        fault = _fault(folder / file, promised.get(file, set()))
        if fault:
            yield f"{file} {fault}"
    for path in sorted(folder.glob("pytorch_model*.bin") if not files else ()):
        if not zipfile.is_zipfile(path):
            yield f"{path.name} is cut short or damaged"


def _promised(folder: Path) -> dict[str, set[str]]:
    """By the index: file → the tensors that are in it."""
    try:
        text = (folder / INDEX).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    files: dict[str, set[str]] = {}
    try:
        for tensor, file in json.loads(text)["weight_map"].items():
            files.setdefault(file, set()).add(tensor)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{folder / INDEX} is damaged. Delete it and download it again.") from error
    return files


def _fault(path: Path, promised: set[str]) -> str:
    """What is wrong with one file of safetensors; "" if nothing is."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    try:
        header, start = _header(path)
        described = {key: value for key, value in header.items() if key != "__metadata__"}
        end = start + max((value["data_offsets"][1] for value in described.values()), default=0)
        odd = [key for key, value in described.items() if not _adds_up(value)]
    except (ValueError, LookupError, TypeError):
        return f"is cut short or damaged: its {size:,} bytes do not begin with a list of tensors"
    if size != end:
        return f"has {size:,} bytes and should have {end:,}"
    if odd:
        return f"is damaged: the size of {odd[0]} does not match its shape"
    if missing := promised - described.keys():
        return f"lacks {len(missing)} of the tensors that {INDEX} says are in it, such as {min(missing)}"
    return ""


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The list of tensors, and where their data begins."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= LONGEST_HEADER:
            raise ValueError("not a length")
        return json.loads(file.read(length)), 8 + length


def _adds_up(tensor: dict[str, Any]) -> bool:
    begin, end = tensor["data_offsets"]
    kind = tensor["dtype"]
    bits = BITS.get(kind) or int("".join(filter(str.isdigit, kind.partition("_")[0])))
    return bool(math.prod(tensor["shape"]) * bits == (end - begin) * 8)
