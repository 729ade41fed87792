"""Language models behind one interface: a name → a LangChain chat model that streams and can be cancelled.

It knows which engines there are; each engine's module knows its own. Nothing heavy loads at import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rag.llms.errors import (
    DoesNotFit,
    GenerationFailed,
    LLMError,
    ModelUnavailable,
    PromptTooLong,
    ServerError,
)
from rag.llms.hub import (
    SMOLLM2,
    cached_folder,
    cached_instruct_model,
    cached_models,
    download_size,
    find,
    on_disk,
)
from rag.llms.plan import SMALLER, Layout, Quantize
from rag.llms.survey import Outlook, survey, survey_server

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = [
    "EXTRACTIVE",
    "SMOLLM2",
    "DoesNotFit",
    "GenerationFailed",
    "LLMError",
    "ModelUnavailable",
    "Outlook",
    "PromptTooLong",
    "ServerError",
    "cached_instruct_model",
    "cached_models",
    "download_size",
    "find",
    "open_llm",
    "outlook",
    "resolve",
    "suggested",
]

DEFAULT = "mistralai/Mistral-7B-Instruct-v0.2"
EXTRACTIVE = "extractive"
BYTES_PER_WEIGHT = 0.9  # in 4 bits, with the context that a question needs; a first guess, no plan


def resolve(name: str, *, offline: bool = False) -> str:
    """What `auto` means on this machine; any other name is itself.

    Mistral-7B-Instruct-v0.2 with a CUDA GPU (and a network or a cached copy), else an instruct model of at
    most 2 GB that is already cached, else "extractive", which is not a language model.
    """
    if name != "auto":
        return name
    import torch

    if torch.cuda.is_available() and (not offline or cached_folder(DEFAULT)):
        return DEFAULT
    return cached_instruct_model() or EXTRACTIVE


def suggested() -> dict[str, str]:
    """Models that could be downloaded and would fit into all the memory of this machine: name → a note."""
    import psutil  # type: ignore[import-untyped]

    from rag.llms.machine import free_gpu_memory

    room = sum(free_gpu_memory().values()) or psutil.virtual_memory().total
    return {
        name: f"a download of about {2 * weights / 1e9:.0f} GB"
        for name, weights in reversed(SMALLER)
        if weights * BYTES_PER_WEIGHT < room
    }


def outlook(
    name: str,
    *,
    url: str = "",
    key: str | None = None,
    quantize: Quantize | Literal["auto"] = "auto",
    gpu_layout: Layout = "auto",
    trust_remote_code: bool = False,
    token: str | None = None,
    offline: bool = False,
) -> Outlook:
    """What `open_llm` would do now: where the model would go, how large it is, what is to be downloaded.

    Fetches a configuration at most, and loads no weights; a server is asked for its models.

    Raises:
        LLMError: why it would fail (not found, gated, no network, does not fit, server down) and what to do.
    """
    name = _language_model(name, offline)
    if _is_remote(name):
        return survey_server(url, key=key, model=_served(name), offline=offline)
    return survey(
        name,
        quantize=quantize,
        layout=gpu_layout,
        trust_remote_code=trust_remote_code,
        token=token,
        offline=offline,
    )


def open_llm(
    name: str,
    *,
    url: str = "",
    key: str | None = None,
    quantize: Quantize | Literal["auto"] = "auto",
    gpu_layout: Layout = "auto",
    trust_remote_code: bool = False,
    temperature: float = 0.0,
    top_p: float | None = None,
    top_k: int | None = None,
    repetition_penalty: float | None = None,
    max_new_tokens: int | None = None,
    max_seconds: float | None = None,
    token: str | None = None,
    offline: bool = False,
) -> BaseChatModel:
    """Open a language model: "remote" (or "remote:MODEL") at `url`, "smollm2", or a model's name or path.

    Takes as long as loading does; a model that is not on this disk is downloaded first, if it would fit (see
    `outlook`).

    top_p, top_k, repetition_penalty, max_new_tokens: None is a local model's default (0.95 and 40 when it
        samples, 1, 512); to a server only what is given is sent, and the limit of 512.
    max_seconds: of a local model's answer; None for any time. A server has time-outs of its own.
    token: of Hugging Face, for gated and private models.

    Raises:
        LLMError: with what to do.
    """
    name = _language_model(name, offline)
    given: dict[str, Any] = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "max_new_tokens": max_new_tokens,
    }
    writing = {field: value for field, value in given.items() if value is not None}
    if _is_remote(name):
        from rag.llms.remote import connect

        return connect(url, key=key, model=_served(name), offline=offline, **writing)
    from rag.llms.load import load
    from rag.llms.local import LocalChatModel

    placing: dict[str, Any] = {
        "quantize": quantize,
        "layout": gpu_layout,
        "trust_remote_code": trust_remote_code,
    }
    if on_disk(name, offline=offline) is None:
        survey(name, token=token, offline=offline, **placing)  # raises before the download
    path = find(name, token=token, offline=offline, own_code=trust_remote_code)
    return LocalChatModel(loaded=load(name, path, **placing), max_seconds=max_seconds, **writing)


def _language_model(name: str, offline: bool) -> str:
    name = resolve(name, offline=offline)
    if name == EXTRACTIVE:
        raise ModelUnavailable(
            "No language model is at hand, so answers are quoted from the documents. Set PARLEY_LLM to a "
            f"model's name, a path, remote, or {SMOLLM2}."
        )
    return name


def _is_remote(name: str) -> bool:
    return name == "remote" or name.startswith("remote:")


def _served(name: str) -> str | None:
    """The MODEL of remote:MODEL."""
    return name.partition(":")[2] or None
