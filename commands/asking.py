"""Asking and speaking: one answer as plain values, in print while it comes, and as sound."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from engines import EngineError, Engines

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from rag.assistant import Done

log = logging.getLogger(__name__)

NOT_SUPPORTED = "not in the documents"  # after a sentence that no passage says


def ask(
    engines: Engines,
    question: str,
    *,
    collection: str = "",
    speak: Path | None = None,
    live: TextIO | None = None,
) -> dict[str, Any]:
    """Answer one question, from one `collection` or from all documents.

    `live`: print the answer there as it comes; `speak`: write its sound there too.
    """
    from rag.assistant import Checked, Nearest, Notice, Queued, Replaced, Sources, Standalone, Token

    if collection:
        engines.retriever(collection)  # one that is not there is refused before anything is said
    standalone = question
    documents: tuple[Document, ...] = ()
    nearest: tuple[Document, ...] = ()
    done: Done | None = None
    with engines.assistant(wait=True).answer(question, collection=collection) as answer:
        for event in answer:
            match event:
                case Standalone():
                    standalone = event.question
                case Sources():
                    documents = event.documents
                case Nearest():
                    nearest = event.documents
                case Notice():
                    log.warning("%s", event.message)
                case Replaced():
                    log.warning("%s", event.reason)
                    _print(live, "\n")
                case Token():
                    _print(live, event.text)
                case Checked():
                    _print(live, "" if event.supported else f" ({NOT_SUPPORTED})")
                case Queued():  # nobody else asks this process
                    pass
                case _:
                    done = event
    if done is None:
        raise EngineError("The answer ended before it was complete. Ask again.")
    sources, near = ([_source(d.metadata, d.page_content) for d in some] for some in (documents, nearest))
    _print(live, "\n" + "".join(f"\n[{n}] {_place(source)}" for n, source in enumerate(sources, 1)) + "\n")
    _print(live, "".join(f"The nearest that was found: {_place(source)}\n" for source in near))
    if speak is not None:
        _speak(engines, _aloud(done), speak)
    return {
        "question": question,
        "standalone": standalone,
        "answer": done.text,
        "answered": done.answered,
        "unsupported": [list(place) for place in done.unsupported],
        "sources": sources,
        "nearest": near,
        "confidence": done.confidence,
        "timings": {name: round(seconds, 4) for name, seconds in done.timings.items()},
        "engine": {"llm": done.engine, "embedder": engines.embedder.get().name},
    }


def speak(engines: Engines, text: str, out: Path) -> float:
    """Write `text` as sound into a WAV file; returns its seconds."""
    seconds = _speak(engines, [(text, "")], out)
    if not seconds:
        raise EngineError("There was nothing to say, so no file was written. Give some text.")
    return seconds


def _aloud(done: Done) -> Iterator[tuple[str, str]]:
    """The answer in pieces for the voice, each with what is said before it."""
    from rag.languages import not_supported
    from speech.turn import remarked

    starts = [start for start, _ in done.unsupported]
    return remarked(done.text, starts, not_supported(done.language))


def _speak(engines: Engines, pieces: Iterable[tuple[str, str]], out: Path) -> float:
    from speech import turn
    from speech.audio import write_wav

    synthesizer = engines.voices.synthesizer.get()
    if synthesizer is None:
        raise EngineError("There is no voice: PARLEY_TTS is none. Set it to auto or espeak-ng.")
    language = None if engines.settings.language == "auto" else engines.settings.language
    return write_wav(out, turn.speak(pieces, synthesizer, language=language, on_notice=log.warning))


def _source(metadata: dict[str, Any], text: str) -> dict[str, Any]:
    kept = {name: metadata.get(name) for name in ("source", "page", "place", "at", "start", "end", "score")}
    return {**kept, "text": text}


def _place(source: dict[str, Any]) -> str:
    return f"{source['source']}, {source['place']}" if source["place"] else str(source["source"])


def _print(live: TextIO | None, text: str) -> None:
    if live is not None:
        live.write(text)
        live.flush()
