"""Chat messages → the text a causal model reads, by the tokenizer's chat template or as a plain prompt.

It does not know the model, nor how many tokens it takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, ChatMessage

from rag.llms.errors import LLMError
from rag.llms.thinking import CLOSE, begins_thinking

ROLES = {"system": "system", "human": "user", "ai": "assistant"}
Turn = dict[str, str]


class Prompt(NamedTuple):
    """The rendered text; `special` says whether the tokenizer still has to add its own start token."""

    text: str
    special: bool


def render(tokenizer: Any, messages: Sequence[BaseMessage]) -> Prompt:
    """Messages as one prompt that ends where the assistant's answer begins.

    Where the last message is the assistant's, it is that answer's beginning, and the model goes on there.
    A template that refuses a system role (Mistral's raises, others drop it) gets the system text in front of
    the first user turn; one that demands alternating roles gets neighbours of one role merged.

    Raises:
        LLMError: the template refuses the conversation in every form.
    """
    turns = [
        {"role": turn["role"], "content": _defuse(tokenizer, turn["content"])} for turn in as_turns(messages)
    ]
    begun = turns.pop()["content"].rstrip() if len(turns) > 1 and turns[-1]["role"] == "assistant" else ""
    if not getattr(tokenizer, "chat_template", None):
        return Prompt(_plain(turns) + (f" {begun}" if begun else ""), special=True)
    text = _by_template(tokenizer, turns)
    if begun and begins_thinking(text):  # it has thought already
        text = f"{text.rstrip()}\n\n{CLOSE}\n\n"
    return Prompt(text + begun, special=False)


def as_turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """Messages as plain roles and texts."""
    return [{"role": _role(message), "content": str(message.text)} for message in messages]


def _role(message: BaseMessage) -> str:
    role = message.role if isinstance(message, ChatMessage) else message.type
    return ROLES.get(role, role)


def _defuse(tokenizer: Any, text: str) -> str:
    """Break control tokens that a document or a person wrote: `<|im_end|>` in a text must not end a turn."""
    control = [token for token in tokenizer.all_special_tokens if len(token) > 1 and token in text]
    if not control:
        return text
    pattern = "|".join(re.escape(token) for token in sorted(control, key=len, reverse=True))
    return re.sub(pattern, lambda match: f"{match[0][0]} {match[0][1:]}", text)


def _by_template(tokenizer: Any, turns: list[Turn]) -> str:
    from jinja2 import TemplateError

    refusal: TemplateError | None = None
    for form in (turns, folded(turns)):
        try:
            text: str = tokenizer.apply_chat_template(
                form,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,  # Qwen3 writes its thoughts first otherwise; other templates ignore it
            )
        except TemplateError as error:
            refusal = error
            continue
        if all(turn["content"].strip() in text for turn in form):
            return text
    reason = f" ({refusal})" if refusal else ""
    raise LLMError(
        f"The model's chat template refuses this conversation{reason}. Begin a new one, or use another model."
    )


def folded(turns: list[Turn]) -> list[Turn]:
    """The system text in front of the first user turn, and neighbours of one role as one turn."""
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    rest = [turn for turn in turns if turn["role"] != "system"]
    merged: list[Turn] = []
    for turn in [{"role": "user", "content": system}, *rest] if system else rest:
        if merged and merged[-1]["role"] == turn["role"]:
            content = f"{merged[-1]['content']}\n\n{turn['content']}"
            merged[-1] = {"role": turn["role"], "content": content}
        else:
            merged.append(turn)
    return merged


def _plain(turns: list[Turn]) -> str:
    """For a base model, which continues text: one turn is itself, a conversation has its speakers named."""
    merged = folded(turns)
    if len(merged) == 1:
        return merged[0]["content"]
    lines = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in merged]
    return "\n\n".join([*lines, "Assistant:"])
