"""Any server that speaks OpenAI's chat API, as a LangChain chat model that streams and stops at once.

It knows the API's questions and answers; it does not know how they travel (`exchange`), nor what a prompt is
about. LangChain's own client for this API is not used: it reads a dozen environment variables meant for
another service, counts tokens with a file from the network, cannot be stopped while it waits, and takes a
stream that broke off for a finished one.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr, SecretStr

from rag.cancel import current
from rag.llms.errors import ModelUnavailable, PromptTooLong, ServerError
from rag.llms.exchange import Exchange, Timeouts, ask, is_loopback, wait_to_retry
from rag.llms.render import as_turns, folded
from rag.llms.thinking import ThoughtFilter

log = logging.getLogger(__name__)

DEFAULT_MODEL = "default"  # servers that hold one model take any name
OF_THE_REQUEST = frozenset({400, 413, 422})  # HTTP's: the server is well, and refuses this question
DEFAULT_WINDOW = 8192  # tokens, where the server does not tell
OTHER_KINDS = re.compile(r"^(?:tts|whisper|dall-e)\b|embed|rerank", re.IGNORECASE)  # they write no answers
ADAPTED = {
    "a system role": "it goes into the first user turn",
    "max_tokens": "it is sent as max_completion_tokens",
    "temperature": "the model's own is used instead of PARLEY_TEMPERATURE",
}
BYTES_PER_TOKEN = 3  # few tokenizers need more tokens than a third of the UTF-8 bytes, in any script


class RemoteChatModel(BaseChatModel):
    """A model behind an OpenAI-compatible server.

    A request stops when the token of `rag.cancel.current()` (read in the thread that starts the stream) is
    set, which raises `Cancelled` in the reader, and when the stream is closed: the connection is shut down,
    which the server notices. While that token is held nothing is read, and no time-out runs.

    url: up to and with "/v1". top_p, top_k, repetition_penalty: sent only if set; the latter two are not in
    OpenAI's API, and a strict server refuses them.
    """

    model_config = ConfigDict(protected_namespaces=())

    url: str
    model_name: str = DEFAULT_MODEL
    key: SecretStr | None = None
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_new_tokens: int = 512
    context_window: int = DEFAULT_WINDOW
    timeouts: Timeouts = Timeouts()
    _refused: set[str] = PrivateAttr(default_factory=set)  # what the server does not take: see `_refusal`
    _trouble: str = PrivateAttr("")

    @property
    def trouble(self) -> str:
        """Why the server failed when it was asked last; empty where it did not."""
        return self._trouble

    @property
    def _llm_type(self) -> str:
        return "parley-remote"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "url": self.url, "temperature": self.temperature}

    def get_num_tokens(self, text: str) -> int:
        """An estimate that is rather too high: the server alone has the tokenizer."""
        return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)

    def get_token_ids(self, text: str) -> list[int]:
        raise NotImplementedError("The server alone has the tokenizer; use get_num_tokens, an estimate.")

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        return self.count_prompt_tokens(messages)

    def count_prompt_tokens(self, messages: Sequence[BaseMessage]) -> int:
        """An estimate that is rather too high, with 8 tokens for the template's share of each message."""
        return sum(8 + self.get_num_tokens(str(message.text)) for message in messages)

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
        try:
            for chunk in self._tries(messages, stop):
                self._trouble = ""
                yield chunk
        except ServerError as error:
            if error.status not in OF_THE_REQUEST:
                self._trouble = str(error)
            raise

    def _tries(self, messages: list[BaseMessage], stop: list[str] | None) -> Iterator[ChatGenerationChunk]:
        """The answer; asked for once more where that may help."""
        may_retry = True
        while True:
            begun = False
            try:
                for chunk in self._attempt(messages, stop):
                    begun = True
                    yield chunk
                return
            except ServerError as error:
                if begun:  # what was written cannot be written once more
                    raise
                if may_retry and wait_to_retry(error):
                    may_retry = False
                    log.warning("the model server failed (%s); asking it once more", _status(error))
                    continue
                refused = _refusal(error, messages)
                if refused is None or refused in self._refused:
                    raise
                self._refused.add(refused)
                log.warning("the model server refuses %s; %s", refused, ADAPTED[refused])

    def _attempt(self, messages: list[BaseMessage], stop: list[str] | None) -> Iterator[ChatGenerationChunk]:
        token = current()
        token.raise_if_cancelled()
        exchange = Exchange(
            f"{self.url}/chat/completions", self._payload(messages, stop), self.key, self.timeouts
        )
        finished: str | None = None
        thoughts = ThoughtFilter()
        with token.on_cancel(exchange.cut), token.leads(exchange.token), exchange:
            for event in exchange:
                finished = _finish_reason(event) or finished
                if chunk := _chunk(event, thoughts):
                    yield chunk
        if finished is None and not exchange.done:
            raise ServerError(
                f"The model server at {self.url} broke off in the middle of the answer. Ask again; "
                "the server's log may say why."
            )
        message = AIMessageChunk(content=thoughts.rest(), chunk_position="last")
        info = {"finish_reason": finished or "stop", "model_name": self.model_name}
        yield ChatGenerationChunk(message=message, generation_info=info)

    def _payload(self, messages: list[BaseMessage], stop: list[str] | None) -> dict[str, Any]:
        folds = "a system role" in self._refused
        conversation = folded(as_turns(messages)) if folds else convert_to_openai_messages(messages)
        limit = "max_completion_tokens" if "max_tokens" in self._refused else "max_tokens"
        optional = {
            "temperature": None if "temperature" in self._refused else self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "repetition_penalty": self.repetition_penalty,
            "stop": stop or None,
        }
        return {
            "model": self.model_name,
            "messages": conversation,
            "stream": True,
            limit: self._room(messages),
        } | {name: value for name, value in optional.items() if value is not None}

    def _room(self, messages: list[BaseMessage]) -> int:
        """New tokens to ask for: servers refuse a request whose prompt and answer exceed the window.

        The prompt's tokens are an estimate that is too high: only one far beyond the window is refused here.
        """
        prompt = self.count_prompt_tokens(messages)
        if prompt > 2 * self.context_window:
            raise PromptTooLong(prompt, self.context_window)
        return max(16, min(self.max_new_tokens, self.context_window - prompt))


def _refusal(error: ServerError, messages: Sequence[BaseMessage]) -> str | None:
    """What of a request the server refuses that can be said in another way; a key of `ADAPTED`.

    A chat template may have no system role; OpenAI's reasoning models refuse the two others.
    """
    said = error.detail.lower()
    if error.status == 400 and "max_completion_tokens" in said:
        return "max_tokens"
    if error.status == 400 and "unsupported" in said and "'temperature'" in said:
        return "temperature"
    if error.status in (400, 422, 500) and "role" in said and any(m.type == "system" for m in messages):
        return "a system role"
    return None


def _status(error: ServerError) -> str:
    return "no answer" if error.status is None else f"HTTP {error.status}"


def _finish_reason(event: dict[str, Any]) -> str | None:
    choices = event.get("choices") or [{}]
    reason = choices[0].get("finish_reason")
    return str(reason) if reason else None


def _chunk(event: dict[str, Any], thoughts: ThoughtFilter) -> ChatGenerationChunk | None:
    """The text, or the token counts, that an event carries."""
    choices = event.get("choices") or [{}]
    text = thoughts.feed((choices[0].get("delta") or {}).get("content") or "")
    usage = _usage(event.get("usage"))
    if not text and not usage:
        return None
    return ChatGenerationChunk(message=AIMessageChunk(content=text, usage_metadata=usage))


def _usage(counts: Any) -> UsageMetadata | None:
    if not isinstance(counts, dict) or not isinstance(counts.get("prompt_tokens"), int):
        return None
    prompt, answer = counts["prompt_tokens"], counts.get("completion_tokens") or 0
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)


def connect(
    url: str,
    *,
    key: str | None = None,
    model: str | None = None,
    offline: bool = False,
    timeouts: Timeouts | None = None,
    **writing: Any,
) -> RemoteChatModel:
    """Find out what `url` serves, and open it.

    model: asked from the server if None. writing: `RemoteChatModel`'s temperature, max_new_tokens and so on.

    Raises:
        ModelUnavailable: no or a wrong URL, a server elsewhere while offline, a choice to be made.
        ServerError: the server cannot be reached (`transient`: it may come up later) or refuses the key.
    """
    base = base_url(url, offline)
    secret = SecretStr(key) if key else None
    timeouts = timeouts or Timeouts()
    listed = _listed(base, secret, timeouts)
    writers = {name: window for name, window in listed.items() if not OTHER_KINDS.search(name)}
    if model is None and len(writers) > 1:
        names = ", ".join(sorted(writers)[:8])
        raise ModelUnavailable(
            f"The server at {base} has several models ({names}). Name one: PARLEY_LLM=remote:NAME."
        )
    chosen = model or next(iter(writers or listed), DEFAULT_MODEL)
    window = listed.get(chosen) or DEFAULT_WINDOW
    return RemoteChatModel(
        url=base, model_name=chosen, key=secret, context_window=window, timeouts=timeouts, **writing
    )


def base_url(url: str, offline: bool) -> str:
    """A server's address, up to and with "/v1". Raises ModelUnavailable where it may not be asked."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelUnavailable(
            f"The model server's address {url!r} is not a URL. Set PARLEY_LLM_URL, for example "
            "http://127.0.0.1:8000/v1."
        )
    if offline and not is_loopback(parts.hostname):
        raise ModelUnavailable(
            f"The model server {parts.hostname} is not this machine and the network is switched off. "
            "Set PARLEY_OFFLINE=0, or choose a local model."
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _listed(base: str, key: SecretStr | None, timeouts: Timeouts) -> dict[str, int | None]:
    """The server's models, each with its window if told; none where the server does not list them.

    Raises:
        ServerError: the server cannot be reached or refuses the key.
    """
    try:
        answer = json.loads(ask(f"{base}/models", key, timeouts))
        return {str(entry["id"]): entry.get("max_model_len") for entry in answer["data"]}
    except ServerError as error:
        if error.transient or error.status in (None, 401, 403):
            raise
        log.warning("the model server does not list its models (%s)", _status(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("the model server's list of models is not one")
    return {}
