"""A model's name → its shape, which is all that planning needs: what it consists of, without any weights.

It asks this disk first, then the facts of well-known models, then the hub, for the configuration alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.llms.hub import SMOLLM2, cached_folder, fetch_config, on_disk, refuse_first_qwen
from rag.llms.known import known_config
from rag.llms.load import configuration, empty, explained, is_packed


@dataclass(frozen=True)
class Shape:
    """A model without its weights."""

    name: str
    model: Any
    packed: bool  # its files decide how the weights are kept
    download_bytes: int | None = None  # 0: it is on this disk; None: nobody was asked


def shape_of(
    name: str, *, token: str | None = None, offline: bool = False, trust_remote_code: bool = False
) -> Shape:
    """Of a model by name or path; the hub is asked only for what is neither on this disk nor well known.

    Raises:
        ModelUnavailable: not found, gated, no network, a first-generation Qwen, not a model.
    """
    refuse_first_qwen(name)
    here = Path(name).expanduser().exists() or name == SMOLLM2 or cached_folder(name) is not None
    if not here and (config := known_config(name)) is not None:
        return Shape(name, empty(config), packed=False)
    path, download = on_disk(name, offline=offline), 0
    if path is None:
        path, download = fetch_config(name, token, trust_remote_code)
    with explained(name, trust_remote_code):
        config = configuration(name, path, trust_remote_code)
        return Shape(name, empty(config, trust_remote_code), is_packed(path, config), download)
