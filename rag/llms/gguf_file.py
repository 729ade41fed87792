"""GGUF files, as transformers reads them, without reading one thing over and over.

It knows which of transformers' steps repeat; it does not know the format.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rag.importing import import_transformers
from rag.llms.loading_bar import counted

_patching = threading.Lock()


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def gguf_config(path: Path) -> Any:
    """The model's configuration; the last one read is kept, for a look at a model before it is loaded."""
    return copy.deepcopy(_config(path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=1)
def _config(path: Path, changed: int) -> Any:
    import_transformers()
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)


@contextmanager
def parsed_once() -> Iterator[None]:
    """Within the block a file's header is parsed once, and a table of tensor names made once.

    transformers parses the header, vocabulary and all, for the configuration, the tokenizer and the weights
    each (3 s a time with 49,000 tokens), and makes one and the same table of names for each of some 400
    modules (3 s together). Both are only read, so its steps can share them. While it converts the weights it
    draws a bar of its own, past its hook for such: `loading_bar` counts in its place.
    """
    import_transformers()
    import gguf
    from transformers import modeling_gguf_pytorch_utils as reading

    with _patching, ExitStack() as patched:
        for module, name, instead in (
            (gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
            (gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
            (reading, "tqdm", counted),
        ):
            patched.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, instead)
        yield
