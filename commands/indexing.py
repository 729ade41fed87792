"""Indexing: the documents that are named, and what became of each, as plain values."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import Engines, Progress

if TYPE_CHECKING:
    from rag.corpus import Step

log = logging.getLogger(__name__)


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


def _told(progress: Progress | None) -> Any:
    """Our progress from the corpus's, which also says what happens to each document."""
    if progress is None:
        return None
    return lambda step: progress(step.done, step.total, _far(step))


def _far(step: Step) -> str:
    """A document of a run, and how long the rest of them takes."""
    from rag.estimate import in_words

    return step.source if step.seconds_left is None else f"({in_words(step.seconds_left)} left) {step.source}"
