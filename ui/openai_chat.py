"""A chat completion of OpenAI's API: its request as a question and a history, an answer's events as chunks.

A conversation is what its request says: nothing of it is kept. It does not know HTTP, nor who asks.

What such a request can say and an answer from documents cannot do is refused where the answer would not be
what was asked for (tools, JSON, several choices), and passed over where it only would have been another one
(temperature, seed, penalties): how answers are written is a matter of Parley's settings. System messages are
passed over, too: Parley's own prompt (PARLEY_PROMPT) is what keeps an answer to the documents.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field

from rag.assistant import Done, Event, Nearest, Notice, Replaced, Sources, Standalone, Token
from rag.tokens import count_tokens
from ui.openai_errors import ApiError

MODEL = "parley"
MAX_QUESTION = 8000  # characters
MAX_STOPS = 4
_MARK = re.compile(r"\[(\d{1,3})\]")
_PASSED_OVER = {"system", "developer"}


class Message(BaseModel):
    role: str
    content: str | list[dict[str, Any]] | None = None

    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        if any(part.get("type") != "text" for part in self.content):
            raise ApiError(
                "A message can have text alone here: no images, no files. For recordings there is "
                "/v1/audio/transcriptions.",
                param="messages",
            )
        return "\n".join(str(part.get("text", "")) for part in self.content)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request's body; the rest is passed over."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None

    @property
    def usage_wanted(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def stops(self) -> tuple[str, ...]:
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)


@dataclass(frozen=True)
class Asked:
    """A request as Parley understands it."""

    question: str
    history: tuple[BaseMessage, ...]
    most: int | None  # tokens of the answer
    stops: tuple[str, ...]


def understood(request: ChatRequest) -> Asked:
    """The last message is the question, those before it are the history. Raises ApiError."""
    _refuse_what_cannot_be(request)
    messages = [message for message in request.messages if message.role not in _PASSED_OVER]
    if not messages or messages[-1].role != "user":
        raise ApiError("The last message has to be the user's: it is the question.", param="messages")
    question = messages[-1].text().strip()
    if not question:
        raise ApiError("The question is empty.", param="messages")
    if len(question) > MAX_QUESTION:
        raise ApiError(
            f"The question has {len(question)} characters; make it shorter than {MAX_QUESTION}. "
            "Parley finds the documents itself.",
            param="messages",
        )
    limits = [limit for limit in (request.max_completion_tokens, request.max_tokens) if limit]
    history = tuple(said for message in messages[:-1] if (said := _said(message)) is not None)
    return Asked(question, history, min(limits, default=None), request.stops)


def _refuse_what_cannot_be(request: ChatRequest) -> None:
    wanted = {
        "n": request.n not in (None, 1),
        "tools": bool(request.tools) and request.tool_choice != "none",
        "functions": bool(request.functions),
        "response_format": (request.response_format or {}).get("type", "text") != "text",
        "logprobs": bool(request.logprobs),
        "modalities": request.modalities not in (None, ["text"]),
        "stop": len(request.stops) > MAX_STOPS,
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise ApiError(
                f"{name}: Parley gives one answer from the documents, as text. Leave this out.",
                param=name,
                code="unsupported_parameter",
            )


def _said(message: Message) -> BaseMessage | None:
    """An earlier message; None where it says nothing."""
    kinds: Mapping[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
    if message.role not in kinds:
        raise ApiError(
            f"There are no messages of the role {message.role!r} here. Use system, user and assistant.",
            param="messages",
        )
    text = message.text().strip()
    return kinds[message.role](text) if text else None


class Limit:
    """Lets an answer's text through until a stop string or so many tokens; what may begin one waits.

    Tokens are counted as in `usage`: an estimate of three bytes each.
    """

    def __init__(self, most: int | None, stops: Sequence[str]) -> None:
        self._most, self._stops = most, stops
        self._passed, self._waits = "", ""
        self.reached = ""  # "stop" or "length"

    def feed(self, piece: str) -> str:
        """What may be sent now."""
        text = self._waits + piece
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.reached, self._waits = "stop", ""
            return self._within(text[: min(ends)])
        waits = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._waits = text[len(text) - waits :]
        return self._within(text[: len(text) - waits])

    def finish(self) -> str:
        """What waited, since the text has ended."""
        text, self._waits = self._waits, ""
        return self._within(text)

    def _within(self, text: str) -> str:
        if self._most is not None and count_tokens(None, self._passed + text) > self._most:
            self.reached = "length"
            room = 3 * self._most - len(self._passed.encode())
            text = text.encode()[: max(room, 0)].decode("utf-8", "ignore")
        self._passed += text
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)


class Completion:
    """One answer on its way to a client. `take` its events; the text it gives is to be sent.

    What a client of another service does not know is in one field, `parley`. A text that was sent cannot be
    taken back: where a model fails in the middle of a stream, the reason and the new text follow it.

    link: the address at which a passage can be seen.
    """

    def __init__(self, asked: Asked, link: Callable[[Document], str], *, streams: bool) -> None:
        self.id, self.created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self.content = ""
        self.done: Done | None = None
        self._asked, self._link, self._streams = asked, link, streams
        self._limit = Limit(asked.most, asked.stops)
        self._begin = 0  # where the answer begins in the content: behind one that failed
        self._sources: tuple[Document, ...] = ()
        self._nearest: tuple[Document, ...] = ()
        self._earlier: list[dict[str, Any]] = []  # annotations of the text that failed
        self._notices: list[str] = []
        self._standalone = asked.question

    @property
    def full(self) -> bool:
        """Whether nothing more of it may be sent."""
        return bool(self._limit.reached)

    def take(self, event: Event) -> str:
        """The text that the event adds."""
        match event:
            case Standalone(question, _):
                self._standalone = question
            case Sources(documents):
                self._sources = documents
            case Nearest(documents):
                self._nearest = documents
            case Notice(message):
                self._notices.append(message)
            case Token(text):
                return self._add(self._limit.feed(text))
            case Replaced(reason):
                return self._replace(reason)
            case Done():
                self.done = event
                return self._add(self._limit.finish())
        return ""

    def _add(self, text: str) -> str:
        self.content += text
        return text

    def _replace(self, reason: str) -> str:
        self._notices.append(reason)
        self._limit = Limit(self._asked.most, self._asked.stops)
        if not self._streams:
            self.content = ""
            return ""
        self._earlier = self.annotations()
        added = self._add(f"\n\n{reason}\n\n")
        self._begin = len(self.content)
        return added

    def annotations(self) -> list[dict[str, Any]]:
        """A citation for each [n]; its indices are those of `content`, the end behind the last character."""
        found = [
            _annotation(mark, self._sources[number - 1], self._link)
            for mark in _MARK.finditer(self.content, self._begin)
            if 0 < (number := int(mark[1])) <= len(self._sources)
        ]
        return [*self._earlier, *found]

    def usage(self) -> dict[str, int]:
        """Estimates: there may be no model that has a tokenizer."""
        texts = [self._asked.question, *(str(message.text) for message in self._asked.history)]
        prompt = sum(count_tokens(None, text) for text in texts)
        prompt += sum(count_tokens(None, document.page_content) for document in self._sources)
        written = count_tokens(None, self.content)
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}

    def whole(self) -> dict[str, Any]:
        """The answer in one object."""
        message = {
            "role": "assistant",
            "content": self.content,
            "refusal": None,
            "annotations": self.annotations(),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return self._head("chat.completion") | {
            "choices": [choice],
            "usage": self.usage(),
            "parley": self.extras(),
        }

    def chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def last_chunks(self, *, usage: bool) -> list[dict[str, Any]]:
        """What follows the text of a stream."""
        chunks = [
            self.chunk({"annotations": self.annotations()}),
            self.chunk({}, self._finish_reason) | {"parley": self.extras()},
        ]
        if usage:
            chunks.append(self._head("chat.completion.chunk") | {"choices": [], "usage": self.usage()})
        return chunks

    def extras(self) -> dict[str, Any]:
        """What is known of the answer beside its text, in the words of `app.py ask --json`."""
        done = self.done
        return {
            "standalone": self._standalone,
            "answered": done.answered if done else None,
            "confidence": done.confidence if done else None,
            "engine": done.engine if done else None,
            "timings": done.timings if done else {},
            "unsupported": [[self._begin + a, self._begin + b] for a, b in done.unsupported] if done else [],
            "sources": [passage(document) for document in self._sources],
            "nearest": [passage(document) for document in self._nearest],
            "notices": self._notices,
        }

    @property
    def _finish_reason(self) -> str:
        return "length" if self._limit.reached == "length" else "stop"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}


def _annotation(mark: re.Match[str], document: Document, link: Callable[[Document], str]) -> dict[str, Any]:
    data = document.metadata
    citation = {
        "start_index": mark.start(),
        "end_index": mark.end(),
        "title": str(data.get("title") or data.get("source") or ""),
        "url": link(document),
    }
    return {"type": "url_citation", "url_citation": citation}


def passage(document: Document) -> dict[str, Any]:
    """A passage and where it stands."""
    data = document.metadata
    names = ("source", "page", "start", "end", "score", "title", "section", "place", "at")
    return {name: data.get(name) for name in names} | {"text": document.page_content}
