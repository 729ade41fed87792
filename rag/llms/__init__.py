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
from rag.llms.hub import SMOLLM2, cached_folder, cached_instruct_model, download_size, find
from rag.llms.plan import Layout, Quantize

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = [
    "DoesNotFit",
    "GenerationFailed",
    "LLMError",
    "ModelUnavailable",
    "PromptTooLong",
    "ServerError",
    "cached_instruct_model",
    "download_size",
    "open_llm",
    "resolve",
]

DEFAULT = "mistralai/Mistral-7B-Instruct-v0.2"
EXTRACTIVE = "extractive"


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
    token: str | None = None,
    offline: bool = False,
) -> BaseChatModel:
    """Open a language model: "remote" (or "remote:MODEL") at `url`, "smollm2", or a model's name or path.

    Takes as long as loading does; a model that is not on this disk is downloaded first (see `download_size`).

    token: of Hugging Face, for gated and private models.

    Raises:
        LLMError: with what to do.
    """
    name = resolve(name, offline=offline)
    if name == EXTRACTIVE:
        raise ModelUnavailable(
            "No language model is at hand, so answers are quoted from the documents. Set PARLEY_LLM to a "
            f"model's name, a path, remote, or {SMOLLM2}."
        )
    writing: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    if repetition_penalty is not None:
        writing["repetition_penalty"] = repetition_penalty
    if max_new_tokens is not None:
        writing["max_new_tokens"] = max_new_tokens
    if name == "remote" or name.startswith("remote:"):
        from rag.llms.remote import connect

        return connect(url, key=key, model=name.partition(":")[2] or None, offline=offline, **writing)
    from rag.llms.load import load
    from rag.llms.local import LocalChatModel

    path = find(name, token=token, offline=offline, own_code=trust_remote_code)
    loaded = load(name, path, quantize=quantize, layout=gpu_layout, trust_remote_code=trust_remote_code)
    return LocalChatModel(loaded=loaded, **writing)
