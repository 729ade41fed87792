"""What a conversation gives to the next question: what that leaves out, and the history there is room for.

Functions of one person's messages, which the caller keeps; nothing is remembered here between two calls. It
does not know how the answer is found.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from rag.combine import Step
from rag.followup import carry_over, content_words
from rag.prompts import CONDENSE, SUMMARY, neutralise
from rag.tokens import count_tokens, prompt_room

log = logging.getLogger(__name__)

Model = Runnable[Any, Any]
Notify = Callable[[str], None]

MODES = ("buffer", "summary", "none")
BUDGET = 1000  # tokens of the conversation that go into a prompt
_SUMMARY_MARK = "parley_summary"  # set on the message that holds a summary
_TURNS_READ = 4  # turns that a follow-up question can refer to
_ANSWER_SHOWN = 300  # characters of an answer that the model sees when it completes a question
_LONGEST = 300  # characters of a standalone question
_SHORT_QUESTION = 3  # a question with fewer content words may hang on the conversation without showing it


def contextualize(
    question: str,
    history: Sequence[BaseMessage],
    llm: Model | None = None,
    *,
    on_notice: Notify | None = None,
) -> str:
    """`question` as it would be asked without the conversation: a follow-up completed, any other as it is.

    With `llm` the model completes it, without, or where the model's answer is no such question, the subject
    is carried over by rule (`rag.followup`); `on_notice` is told of the latter. Raises Cancelled.
    """
    turns = _turns(history)[-_TURNS_READ:]
    if not turns or not question.strip():
        return question
    carried = carry_over(question, turns)
    complete = carried == question and len(content_words(question)) >= _SHORT_QUESTION
    if llm is None or complete:
        return carried
    written = _condense(question, turns, llm)
    if written:
        return written
    if on_notice and carried != question:
        on_notice("The language model did not complete the follow-up question; it was completed by rule.")
    return carried


def remember(
    history: Sequence[BaseMessage],
    mode: str = "buffer",
    budget: int = BUDGET,
    llm: Model | None = None,
    *,
    on_notice: Notify | None = None,
) -> list[BaseMessage]:
    """What of `history` goes into the next prompt, in at most about `budget` tokens.

    buffer: the latest whole turns. summary: the latest, and a summary of those before, which `llm` makes;
    without a model the oldest are dropped. none: nothing. Raises ValueError for another mode, and Cancelled.
    """
    if mode not in MODES:
        raise ValueError(f"There is no memory {mode!r}. Choose one of: {', '.join(MODES)}.")
    if mode == "none":
        return []
    kept = _latest(history, budget, llm)
    if mode == "buffer" or llm is None or len(kept) == len(history):
        return kept
    kept = _latest(history, budget // 2, llm)
    summary = _summarise(history[: len(history) - len(kept)], budget // 2, llm)
    if summary:
        return [*_as_turn(summary), *kept]
    if on_notice:
        on_notice("The earlier conversation could not be summarised; only its latest part is remembered.")
    return _latest(history, budget, llm)


def _turns(history: Sequence[BaseMessage]) -> list[tuple[str, str]]:
    """(question, answer) pairs, oldest first; a question without an answer has an empty one."""
    turns: list[tuple[str, str]] = []
    for message in history:
        if message.additional_kwargs.get(_SUMMARY_MARK):
            continue
        if isinstance(message, HumanMessage):
            turns.append((str(message.text), ""))
        elif isinstance(message, AIMessage) and turns:
            turns[-1] = (turns[-1][0], str(message.text))
    return turns


def _latest(history: Sequence[BaseMessage], budget: int, llm: Model | None) -> list[BaseMessage]:
    """The latest whole turns that fit into `budget` tokens; a turn begins with a question."""
    start, tokens = len(history), 0
    for at in range(len(history) - 1, -1, -1):
        tokens += count_tokens(llm, str(history[at].text))
        if tokens > budget:
            break
        if isinstance(history[at], HumanMessage):
            start = at
    return list(history[start:])


def _condense(question: str, turns: Sequence[tuple[str, str]], llm: Model) -> str:
    """The model's standalone question, or "" where it gave none that can be used."""
    spoken = "\n".join(f"Person: {asked}\nAssistant: {answer[:_ANSWER_SHOWN]}" for asked, answer in turns)
    step = Step(llm, CONDENSE.for_model(llm))
    text = _ask(step, {"conversation": neutralise(spoken), "question": question}, _LONGEST * 2, one_line=True)
    written = _clean(text)
    return written if _is_standalone(written, question, spoken) else ""


def _is_standalone(written: str, question: str, spoken: str) -> bool:
    """Whether the model's text is the question made complete, rather than an answer or something else."""
    if not written or len(written) > max(_LONGEST, len(question) + 100):
        return False
    if "?" in question and "?" not in written:
        return False
    words = set(content_words(written))
    known = set(content_words(f"{spoken} {question}"))
    asked = set(content_words(question))
    return len(words & asked) * 2 >= len(asked) and len(words - known) * 3 <= len(words)


def _clean(text: str) -> str:
    """The first line that says something, without a label or quotation marks around it."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = re.sub(
        r"^\W*(?:[\w-]+ )?(?:question|frage|pregunta)\s*:\s*", "", line.strip(), flags=re.IGNORECASE
    )
    return line.strip(" \"'“”„«»*")


def _summarise(messages: Sequence[BaseMessage], budget: int, llm: Model) -> str:
    """The model's summary of `messages`, at most about `budget` tokens; "" where it gave none."""
    step = Step(llm, SUMMARY.for_model(llm))
    names = {HumanMessage: "Person", AIMessage: "Assistant"}
    spoken = [neutralise(f"{names.get(type(m), m.type)}: {m.text}") for m in messages]
    while len(spoken) > 1 and prompt_room(llm) and not step.fits({"conversation": "\n".join(spoken)}):
        spoken = spoken[1:]
    text = _ask(step, {"conversation": "\n".join(spoken)}, budget * 4).strip()
    return text if count_tokens(llm, text) <= budget else ""


def _ask(step: Step, inputs: dict[str, Any], longest: int, one_line: bool = False) -> str:
    """The model's text, read no further than needed; "" if it is too long, or failed, which is logged."""
    text = ""
    try:
        with closing(step.stream(inputs, {})) as pieces:
            for piece in pieces:
                text += piece
                if len(text) > longest:
                    return ""
                if one_line and "\n" in text.strip():
                    break
    except Exception as error:  # any model's own; the caller goes on without it, and says so
        log.warning("The language model failed on the conversation: %s", type(error).__name__)
        return ""
    return text


def _as_turn(summary: str) -> list[BaseMessage]:
    """A summary as a turn of its own: many chat templates want question and answer to alternate."""
    mark = {_SUMMARY_MARK: True}
    return [
        HumanMessage(f"What did we say before, in short? {summary}", additional_kwargs=mark),
        AIMessage("I keep that in mind.", additional_kwargs=mark),
    ]
