"""A causal language model in this process, as a LangChain chat model that streams and stops at once.

It knows how messages become a prompt and tokens become text; it does not know how the weights were found and
placed (`load`, `plan`), nor how tokens are made (`batch`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from rag.cancel import current
from rag.llms.choosing import Sampling
from rag.llms.errors import PromptTooLong
from rag.llms.load import Loaded
from rag.llms.render import Prompt, render
from rag.llms.run import Run, Writer
from rag.llms.stopping import StopText
from rag.llms.streamer import Pieces
from rag.llms.thinking import ThoughtFilter, begins_thinking
from rag.llms.writers import open_writer
from rag.telling import Notice, tell

CUTS = {
    "length": "The answer reached the limit of {limit} tokens and ends there.",
    "time": "The answer took longer than {seconds:.0f} seconds and ends there.",
    "repetition": "The model began to repeat itself, so the answer ends there.",
}


class LocalChatModel(BaseChatModel):
    """A transformers causal model as a LangChain chat model.

    Several answers may be written at once. One stops when the token of `rag.cancel.current()` (read in the
    thread that starts the stream) is set, which raises `Cancelled` in the reader, and when the stream is
    closed; alone it stops between two layers, so a long prompt does not delay it. While that token is held
    the answer stands still. What delays or shortens it is told to `rag.telling`.

    temperature, top_p, top_k, repetition_penalty: see `rag.llms.choosing.Sampling`.
    max_seconds: of one answer, from the asking on; None for any time.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    in_process: ClassVar[bool] = True  # takes stop strings, goes on with an assistant's message at the end

    loaded: Loaded = Field(exclude=True, repr=False)
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    max_seconds: float | None = None
    _writer: Writer = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._writer = open_writer(self.loaded)

    @property
    def model_name(self) -> str:
        return self.loaded.name

    @property
    def writing(self) -> bool:
        """Whether somebody's answer is being written, or waits for that."""
        return self._writer.busy

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
        return self._ids(render(self.loaded.tokenizer, messages))

    def _ids(self, prompt: Prompt) -> list[int]:
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
        prompt = render(self.loaded.tokenizer, messages)
        run = self._run(self._ids(prompt))
        pieces, stopper = Pieces(self.loaded.tokenizer), StopText(stop or ())
        thoughts = ThoughtFilter(thinking=begins_thinking(prompt.text))
        self._writer.start(run)
        with run, caller.leads(run.token):
            for tokens in run:
                if sure := stopper.feed(thoughts.feed(pieces.feed(tokens))):
                    yield _chunk(sure)
                if stopper.found:
                    break
            caller.raise_if_cancelled()
            if not stopper.found:
                rest = stopper.feed(thoughts.feed(pieces.rest()) + thoughts.rest())
                if rest := rest + stopper.rest():
                    yield _chunk(rest)
        yield self._last(run, "stop" if stopper.found else run.finish or "stop")

    def _run(self, ids: list[int]) -> Run:
        room = self.context_window - len(ids)
        if room <= 0:
            raise PromptTooLong(len(ids), self.context_window)
        sampling = Sampling(self.temperature, self.top_p, self.top_k, self.repetition_penalty)
        return Run(ids, min(self.max_new_tokens, room), sampling, self.max_seconds)

    def _last(self, run: Run, finish: str) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=len(run.prompt),
            output_tokens=len(run.written),
            total_tokens=len(run.prompt) + len(run.written),
        )
        if finish in CUTS:
            tell(Notice(CUTS[finish].format(limit=run.limit, seconds=self.max_seconds or 0)))
        message = AIMessageChunk(content="", usage_metadata=usage, chunk_position="last")
        info = {"finish_reason": finish, "model_name": self.model_name}
        return ChatGenerationChunk(message=message, generation_info=info)


def _chunk(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))
