"""GGUF files, as transformers reads them, without reading one thing over and over.

It knows which of transformers' steps repeat; it does not know the format.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_patching = threading.Lock()


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def gguf_config(path: Path) -> Any:
    """The model's configuration; the last one read is kept, for a look at a model before it is loaded."""
    return copy.deepcopy(_config(path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=1)
def _config(path: Path, changed: int) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)


@contextmanager
def parsed_once() -> Iterator[None]:
    """Within the block a file's header is parsed once, and a table of tensor names made once.

    transformers parses the header, vocabulary and all, for the configuration, the tokenizer and the weights
    each (3 s a time with 49,000 tokens), and makes one and the same table of names for each of some 400
    modules (3 s together). Both are only read, so its steps can share them.
    """
    import gguf

    with _patching:
        originals = gguf.GGUFReader, gguf.get_tensor_name_map
        gguf.GGUFReader, gguf.get_tensor_name_map = map(functools.cache, originals)
        try:
            yield
        finally:
            gguf.GGUFReader, gguf.get_tensor_name_map = originals
