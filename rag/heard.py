"""What of an answer reached the person, and from which passages, as a conversation's messages tell it.

A message's `additional_kwargs` may have `interrupted` (True: its text is only what was heard), `sources`
([[source, start, end], …]: what the answer cites, in the order of its text, as far as it was written) and
`standalone` (the question as it was understood).
It does not know the question that comes next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

INTERRUPTED = "… (the person interrupted here)"
Place = tuple[str, int, int]  # source, and the offsets where a passage starts and ends in it
_MARK = re.compile(r"\[(\d{1,3})\]")
_CLOSED = re.compile(r"[.!?。！？।…][\"'”’»)]*(?:\s*\[\d{1,3}\])*$")
_SAME_PLACE = 0.5  # of the shorter of two passages


def was_interrupted(message: BaseMessage) -> bool:
    return message.additional_kwargs.get("interrupted") is True


def as_understood(message: BaseMessage) -> str:
    """The question that an answer answers; empty where its message does not tell."""
    standalone = message.additional_kwargs.get("standalone")
    return standalone if isinstance(standalone, str) else ""


def as_heard(message: BaseMessage) -> BaseMessage:
    """`message` as a model should read it: where it was cut off, its text says so."""
    text = str(message.text)
    if not was_interrupted(message) or text.endswith(INTERRUPTED):
        return message
    return message.model_copy(update={"content": f"{text.rstrip()} {INTERRUPTED}".lstrip()})


def heard_places(answer: BaseMessage, question: BaseMessage | None = None) -> list[Place]:
    """The passages that the person has heard something of; the sentence that was cut off counts as heard."""
    places = _places(answer) or (_places(question) if question else [])
    if not was_interrupted(answer):
        return places
    text = str(answer.text).removesuffix(INTERRUPTED).rstrip()
    complete = len(set(_MARK.findall(text)))
    return places[: max(1, complete + (not _CLOSED.search(text)))]


def _places(message: BaseMessage) -> list[Place]:
    """What `message` says of its sources; what is no place in a source is left out."""
    listed = message.additional_kwargs.get("sources")
    return [found for each in listed if (found := _place(each))] if isinstance(listed, list | tuple) else []


def _place(value: Any) -> Place | None:
    try:
        source, start, end = value
        return str(source), int(start), int(end)
    except (TypeError, ValueError):
        return None


def apart(documents: Sequence[Document], heard: Sequence[Place]) -> tuple[list[Document], list[Document]]:
    """The passages of which nothing was heard, and the others, each in their order."""
    known = [any(_shows(document, place) for place in heard) for document in documents]
    fresh = [document for document, is_known in zip(documents, known, strict=True) if not is_known]
    return fresh, [document for document, is_known in zip(documents, known, strict=True) if is_known]


def _shows(document: Document, place: Place) -> bool:
    data = document.metadata
    found = _place((data.get("source"), data.get("start"), data.get("end")))
    if found is None or found[0] != place[0]:
        return False
    shared = min(found[2], place[2]) - max(found[1], place[1])
    shorter = min(found[2] - found[1], place[2] - place[1])
    return shared > _SAME_PLACE * shorter or found == place
