"""What a conversation gives to the next question: what that leaves out, and the history there is room for.

Functions of one person's messages, which the caller keeps; nothing is remembered here between two calls. It
does not know how the answer is found.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from rag.combine import Step
from rag.correction_place import Correction
from rag.followup import Resolved, content_words, resolve
from rag.go_on import Further, asks_on
from rag.heard import INTERRUPTED, Place, as_heard, as_understood, heard_places, was_interrupted
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
    return understand(question, history, llm, on_notice=on_notice).question


@dataclass(frozen=True)
class Understood:
    """A question as it would be asked without the conversation."""

    question: str
    heard: tuple[Place, ...] = ()  # passages that the person knows, and does not mean: "no, the other one"
    further: Further | None = None  # what is known of its answer: "go on", "tell me more"
    lost: bool = False  # "go on", and there is nothing to go on with


def understand(
    question: str,
    history: Sequence[BaseMessage],
    llm: Model | None = None,
    *,
    on_notice: Notify | None = None,
) -> Understood:
    """As `contextualize`, which gives only the question."""
    turns = _turns(history)[-_TURNS_READ:]
    if not asks_on(question):
        return _understand(question, turns, llm, on_notice)
    if not turns:
        return Understood(question, lost=True)
    last = turns[-1]
    if last.standalone:
        asked = Understood(last.standalone)
    else:
        asked = _understand(last.question, turns[:-1], llm, on_notice)
    return replace(asked, further=Further(last.told, last.cut, last.heard))


def _understand(
    question: str, turns: Sequence[_Said], llm: Model | None, on_notice: Notify | None
) -> Understood:
    if not turns or not question.strip():
        return Understood(question)
    resolved = resolve(question, [(turn.question, turn.answer) for turn in turns])
    corrected = resolved.correction
    if corrected and corrected.kind in ("other", "repeat"):  # a model could add nothing
        return Understood(resolved.question, turns[-1].heard if corrected.kind == "other" else ())
    complete = resolved.question == question and len(content_words(question)) >= _SHORT_QUESTION
    if llm is None or complete:
        return Understood(resolved.question)
    written = _condense(question, turns, resolved, llm)
    if written:
        return Understood(written)
    if on_notice and resolved.question != question:
        on_notice("The language model did not complete the follow-up question; it was completed by rule.")
    return Understood(resolved.question)


def remember(
    history: Sequence[BaseMessage],
    mode: str = "buffer",
    budget: int = BUDGET,
    llm: Model | None = None,
    *,
    on_notice: Notify | None = None,
) -> list[BaseMessage]:
    """What of `history` goes into the next prompt, in at most about `budget` tokens.

    An answer that the person interrupted ends with INTERRUPTED, so that the model knows how much was heard.
    buffer: the latest whole turns. summary: the latest, and a summary of those before, which `llm` makes;
    without a model the oldest are dropped. none: nothing. Raises ValueError for another mode, and Cancelled.
    """
    if mode not in MODES:
        raise ValueError(f"There is no memory {mode!r}. Choose one of: {', '.join(MODES)}.")
    if mode == "none":
        return []
    history = [as_heard(message) for message in history]
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


@dataclass(frozen=True)
class _Said:
    """One turn of the conversation."""

    question: str
    answer: str = ""
    heard: tuple[Place, ...] = ()
    cut: bool = False  # whether the answer broke off
    standalone: str = ""  # the question as it was understood, where that is known

    @property
    def told(self) -> str:
        """What of the answer reached the person."""
        return self.answer.replace(INTERRUPTED, "").rstrip()

    @property
    def shown(self) -> str:
        """As the model reads it when it completes a question."""
        answer = self.answer.removesuffix(INTERRUPTED).rstrip()
        mark = f" {INTERRUPTED}" if answer != self.answer else ""
        return f"Person: {self.question}\nAssistant: {answer[:_ANSWER_SHOWN]}{mark}"


def _turns(history: Sequence[BaseMessage]) -> list[_Said]:
    """The turns, oldest first; a question without an answer has an empty one.

    An answer to "go on" belongs to the turn before it.
    """
    turns: list[_Said] = []
    asked: BaseMessage | None = None
    for message in history:
        if message.additional_kwargs.get(_SUMMARY_MARK):
            continue
        if isinstance(message, HumanMessage):
            asked = message
            if not (turns and asks_on(str(message.text))):
                turns.append(_Said(str(message.text)))
        elif isinstance(message, AIMessage) and turns:
            before = turns[-1]
            answer = f"{before.told} {as_heard(message).text}".lstrip()
            heard = (*before.heard, *heard_places(message, asked))
            standalone = before.standalone or as_understood(message)
            turns[-1] = _Said(before.question, answer, heard, was_interrupted(message), standalone)
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


def _condense(question: str, turns: Sequence[_Said], resolved: Resolved, llm: Model) -> str:
    """The model's standalone question, or "" where it gave none that can be used."""
    corrected = resolved.correction
    spoken = "\n".join(turn.shown for turn in turns)
    step = Step(llm, CONDENSE.for_model(llm))
    text = _ask(step, {"conversation": neutralise(spoken), "question": question}, _LONGEST * 2, one_line=True)
    written = _clean(text)
    if corrected is None:
        return written if _is_standalone(written, question, spoken) else ""
    known = f"{spoken} {question}"
    right = _is_put_right(written, corrected) and _is_standalone(written, resolved.question, known)
    return written if right else ""


def _is_put_right(written: str, corrected: Correction) -> bool:
    """Whether the model asks what was meant, and not what was replaced."""
    words, new = set(content_words(written)), set(content_words(corrected.new))
    return not words & (set(content_words(corrected.old)) - new) and (not new or bool(words & new))


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
