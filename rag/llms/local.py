"""A causal language model in this process, as a LangChain chat model that streams and stops at once.

It knows how to generate with weights that are loaded; it does not know how they were found, placed or
quantized (`load`, `plan`), nor what a prompt is about.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from rag.cancel import CancelToken, current
from rag.llms.errors import GenerationFailed, PromptTooLong
from rag.llms.load import Loaded
from rag.llms.render import render

log = logging.getLogger(__name__)


class FairLock:
    """A lock whose holders come in the order they asked, and whose waiters can be cancelled."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def held(self, token: CancelToken) -> Iterator[None]:
        """Hold the lock for the block; raises `Cancelled` if `token` is set before the turn comes."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
        try:
            with token.on_cancel(self._wake), self._condition:
                self._condition.wait_for(lambda: self._queue[0] is ticket or token.cancelled)
            token.raise_if_cancelled()
            yield
        finally:
            with self._condition:
                self._queue.remove(ticket)
                self._condition.notify_all()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()


class StopText:
    """Cuts a stream of text at the first stop string; holds back what could be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._hold = max((len(stop) for stop in self._stops), default=1) - 1
        self._pending = ""
        self.found = False

    def feed(self, text: str) -> str:
        """What is sure to be said now; `found` is set once a stop string was seen."""
        self._pending += text
        at = min((i for stop in self._stops if (i := self._pending.find(stop)) >= 0), default=-1)
        if at >= 0:
            self.found = True
            sure, self._pending = self._pending[:at], ""
            return sure
        cut = max(0, len(self._pending) - self._hold)
        sure, self._pending = self._pending[:cut], self._pending[cut:]
        return sure

    def rest(self) -> str:
        return self._pending


class LocalChatModel(BaseChatModel):
    """A transformers causal model as a LangChain chat model.

    One generation runs at a time; others wait in the order they came. A generation stops when the token of
    `rag.cancel.current()` (read in the thread that starts the stream) is set, which raises `Cancelled` in the
    reader, and when the stream is closed. It stops between two layers, so a long prompt does not delay it.
    While that token is held the generation waits between two layers, and keeps its turn.

    temperature: 0 is greedy; above it the model samples from the `top_k` likeliest tokens (0: from all), of
        them from those with the total probability `top_p`.
    repetition_penalty: counts what the model wrote itself, not the prompt: what it quotes from a passage is
        not held against it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    loaded: Loaded = Field(exclude=True, repr=False)
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    repetition_penalty: float = 1.1
    max_new_tokens: int = 512
    _turn: FairLock = PrivateAttr(default_factory=FairLock)

    @property
    def model_name(self) -> str:
        return self.loaded.name

    @property
    def context_window(self) -> int:
        """Tokens of prompt and answer together."""
        return self.loaded.window

    @property
    def _llm_type(self) -> str:
        return "parley-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature}

    def get_token_ids(self, text: str) -> list[int]:
        """Token ids by the model's own tokenizer, without a start token."""
        ids: list[int] = self.loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        return self.count_prompt_tokens(messages)

    def count_prompt_tokens(self, messages: Sequence[BaseMessage]) -> int:
        """Tokens of the messages as the model will read them, with all that its template adds."""
        return len(self._prompt_ids(messages))

    def _prompt_ids(self, messages: Sequence[BaseMessage]) -> list[int]:
        prompt = render(self.loaded.tokenizer, messages)
        ids: list[int] = self.loaded.tokenizer(prompt.text, add_special_tokens=prompt.special)["input_ids"]
        return ids

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        caller = current()
        caller.raise_if_cancelled()
        ids = self._prompt_ids(messages)
        if len(ids) >= self.context_window:
            raise PromptTooLong(len(ids), self.context_window)
        generation = Generation(self, ids, min(self.max_new_tokens, self.context_window - len(ids)))
        stopper = StopText(stop or ())
        with caller.leads(generation.token), generation:
            for text in generation:
                if sure := stopper.feed(text):
                    yield _chunk(sure)
                if stopper.found:
                    break
            caller.raise_if_cancelled()
            if rest := stopper.rest():
                yield _chunk(rest)
        yield self._last(generation, stopper)

    def _last(self, generation: Generation, stopper: StopText) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=len(generation.prompt),
            output_tokens=generation.tokens,
            total_tokens=len(generation.prompt) + generation.tokens,
        )
        complete = stopper.found or generation.tokens < generation.limit
        message = AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")
        info = {"finish_reason": "stop" if complete else "length", "model_name": self.model_name}
        return ChatGenerationChunk(message=message, generation_info=info)


def _chunk(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


class Generation:
    """One run of the model in its own thread, read as an iterator of text.

    Used as a context manager: leaving it cancels the run and waits until its thread has ended. An error of
    the thread is raised in the reader as soon as it happens.
    """

    def __init__(self, llm: LocalChatModel, prompt: list[int], limit: int) -> None:
        from rag.llms.streamer import PieceStreamer

        self.prompt = prompt
        self.limit = limit
        self.tokens = 0
        self.token = CancelToken()
        self._llm = llm
        self._streamer = PieceStreamer(llm.loaded.tokenizer)
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)

    def __enter__(self) -> Generation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.token.cancel()
        self._thread.join()

    def __iter__(self) -> Iterator[str]:
        for item in self._streamer:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            with self._llm._turn.held(self.token):
                self._generate()
        except BaseException as error:  # reported: the reader raises it
            self._streamer.text_queue.put(_explained(error))

    def _generate(self) -> None:
        import torch
        from transformers import StoppingCriteriaList

        loaded = self._llm.loaded
        ids = torch.tensor([self.prompt], device=loaded.model.device)
        with torch.inference_mode(), ExitStack() as hooks:
            for module in loaded.checkpoints:
                hooks.callback(module.register_forward_pre_hook(self._checkpoint).remove)
            loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                streamer=self._streamer,
                stopping_criteria=StoppingCriteriaList([self._stopping]),
                **sampling(self._llm, len(self.prompt)),
                max_new_tokens=self.limit,
            )

    def _checkpoint(self, module: Any, args: Any) -> None:
        """Before each part of each layer: stops, or waits, in the middle of the prompt's own pass."""
        self.token.checkpoint()

    def _stopping(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        self.tokens = input_ids.shape[1] - len(self.prompt)
        self.token.wait_while_held()
        done = self.token.cancelled
        return torch.full((input_ids.shape[0],), done, device=input_ids.device, dtype=torch.bool)


def sampling(llm: LocalChatModel, prompt_tokens: int) -> dict[str, Any]:
    """Arguments of `generate`; only those that act, so that it warns of none."""
    from transformers import LogitsProcessorList
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    options: dict[str, Any] = {"do_sample": llm.temperature > 0}
    if llm.temperature > 0:
        options |= {"temperature": llm.temperature, "top_p": llm.top_p, "top_k": llm.top_k}
    if llm.repetition_penalty != 1.0:
        penalty = RepetitionPenaltyLogitsProcessor(llm.repetition_penalty, prompt_ignore_length=prompt_tokens)
        options["logits_processor"] = LogitsProcessorList([penalty])
    return options


def _explained(error: BaseException) -> BaseException:
    """An error of the generating thread as the reader should see it."""
    import torch

    if not isinstance(error, Exception):  # `Cancelled` among them
        return error
    explained: GenerationFailed
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        explained = GenerationFailed(
            "The model ran out of memory while it wrote. Ask for fewer passages or fewer new tokens, "
            "close other programs on the GPU, or choose a smaller model."
        )
    else:
        log.error("generation failed", exc_info=error)
        explained = GenerationFailed(
            f"The model failed while it wrote ({type(error).__name__}). The log has the details; "
            "try again, or choose another model."
        )
    explained.__cause__ = error
    return explained
