"""What the commands do, as functions from engines to plain results.

It knows neither the command line's arguments nor its output formats.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from engines import EngineError, Engines, Progress

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from rag.assistant import Done
    from rag.corpus import Step
    from rag.questions import Row

log = logging.getLogger(__name__)

NOT_SUPPORTED = "not in the documents"  # after a sentence that no passage says


def index(
    engines: Engines,
    folders: Sequence[Path],
    urls: Sequence[str],
    forget: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring the index up to date with these folders and URLs; the report as plain values.

    `forget`: folders that leave the index; their files stay where they are.
    """
    _, corpus = engines.library.get()
    removed = sum(corpus.forget_folder(folder) for folder in forget)
    named = {folder.resolve() for folder in engines.settings.corpus}
    for folder in forget:
        if Path(folder).expanduser().resolve() in named:
            log.warning(
                "PARLEY_CORPUS names %s, so it comes back at the next start. Name others there.", folder
            )
    report = corpus.sync(folders, urls, progress=_told(progress))
    report.removed += removed
    for notice in report.notices:
        log.warning("%s", notice)
    known = corpus.status()
    files = [
        {"source": s.source, "state": s.state, "reason": s.reason, "copy_of": s.copy_of, "notice": s.notice}
        for s in known
    ]
    partly = [{"source": s.source, "notice": s.notice} for s in known if s.notice]
    return report.as_dict() | {"partly": partly, "files": files}


def index_first(engines: Engines, *, always: bool, progress: Progress | None = None) -> None:
    """Index the corpus folders if the index is empty, or `always`; failures are logged."""
    store, _ = engines.library.get()
    if always or not store.count():
        for failure in index(engines, engines.settings.corpus, (), progress=progress)["failed"]:
            log.warning("not read: %s: %s", failure["source"], failure["error"])


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


def evaluate_on(
    engines: Engines,
    rows: Sequence[Row],
    progress: Progress | None = None,
    *,
    changes: Mapping[str, str] | None = None,
    spoken: bool = False,
    noise: float | None = None,
) -> dict[str, Any]:
    """Measure retrieval and answers on questions, as `rag.questions.read_questions` reads them.

    `changes`, `spoken` and `noise` are those of `evaluation.measuring.Plan`.
    """
    from evaluation.measuring import Plan, measure
    from evaluation.reporting import as_result

    _look_for_documents(engines, rows)
    plan = Plan(rows, changes=changes or {}, spoken=spoken, noise=noise)
    return as_result(measure(engines, plan, progress))


def _look_for_documents(engines: Engines, rows: Sequence[Row]) -> None:
    """Say before all is measured if the questions are about other documents than those in the index."""
    store, _ = engines.library.get()
    wanted = {row.source for row in rows if row.source}
    if wanted and not any(store.find_source(source) for source in wanted):
        log.warning(
            "None of the documents that the questions are about is in the index (%s, …). Name their folder "
            "with --corpus.",
            min(wanted),
        )


def _aloud(done: Done) -> Iterator[tuple[str, str]]:
    """The answer in pieces for the voice, each with what is said before it."""
    from rag.languages import not_supported
    from speech.turn import remarked

    starts = [start for start, _ in done.unsupported]
    return remarked(done.text, starts, not_supported(done.language))


def _speak(engines: Engines, pieces: Iterable[tuple[str, str]], out: Path) -> float:
    from speech import turn
    from speech.audio import write_wav

    synthesizer = engines.synthesizer.get()
    if synthesizer is None:
        raise EngineError("There is no voice: PARLEY_TTS is none. Set it to auto or espeak-ng.")
    language = None if engines.settings.language == "auto" else engines.settings.language
    return write_wav(out, turn.speak(pieces, synthesizer, language=language, on_notice=log.warning))


def _told(progress: Progress | None) -> Any:
    """Our progress from the corpus's, which also says what happens to each document."""
    if progress is None:
        return None
    return lambda step: progress(step.done, step.total, _far(step))


def _far(step: Step) -> str:
    """A document of a run, and how long the rest of them takes."""
    from rag.estimate import in_words

    return step.source if step.seconds_left is None else f"({in_words(step.seconds_left)} left) {step.source}"


def _source(metadata: dict[str, Any], text: str) -> dict[str, Any]:
    kept = {name: metadata.get(name) for name in ("source", "page", "place", "at", "start", "end", "score")}
    return {**kept, "text": text}


def _place(source: dict[str, Any]) -> str:
    return f"{source['source']}, {source['place']}" if source["place"] else str(source["source"])


def _print(live: TextIO | None, text: str) -> None:
    if live is not None:
        live.write(text)
        live.flush()
