"""How many tokens a text has for a model, and how many a model can read.

It does not know what the text is for, and never asks a hub for a tokenizer: LangChain's default count loads
GPT-2's from there, so a model that has no count of its own gets an estimate.
"""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

_BYTES_PER_TOKEN = 3  # UTF-8; English has about 4, so the estimate errs on the long side


def base_model(llm: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The model inside `llm.bind(…)`, `llm.with_retry(…)` and `llm.with_fallbacks(…)`."""
    while True:
        if isinstance(llm, RunnableBindingBase):
            llm = llm.bound
        elif isinstance(llm, RunnableWithFallbacks):
            llm = llm.runnable
        else:
            return llm


def count_tokens(llm: Runnable[Any, Any] | None, text: str) -> int:
    """Tokens of `text`, by the model's own tokenizer where it has one, else estimated from its bytes."""
    model = base_model(llm) if llm is not None else None
    if isinstance(model, BaseLanguageModel) and _counts(model):
        return model.get_num_tokens(text)
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def count_prompt_tokens(llm: Runnable[Any, Any], messages: list[BaseMessage], text: str) -> int:
    """Tokens of a whole prompt: of `messages` in the model's template where it can tell, else of `text`."""
    count = getattr(base_model(llm), "count_prompt_tokens", None)
    return int(count(messages)) if callable(count) else count_tokens(llm, text)


def prompt_room(llm: Runnable[Any, Any]) -> int | None:
    """Tokens that a prompt may have so that the answer fits the window too; None if the model does not say.

    An answer reserves at most half of the window: a long `max_new_tokens` is a limit, not an expectation.
    """
    model = base_model(llm)
    window = getattr(model, "context_window", None)
    if not isinstance(window, int) or window <= 0:
        return None
    answer = getattr(model, "max_new_tokens", None)
    return window - min(answer if isinstance(answer, int) else 0, window // 2)


def _counts(model: BaseLanguageModel[Any]) -> bool:
    """Whether the model counts by itself, rather than with LangChain's default."""
    kind = type(model)
    return (
        model.custom_get_token_ids is not None
        or kind.get_num_tokens is not BaseLanguageModel.get_num_tokens
        or kind.get_token_ids is not BaseLanguageModel.get_token_ids
    )
