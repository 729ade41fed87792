"""Evaluation on the page: sets of questions, one measurement at a time, and the results that are kept.

A measurement runs in a thread of its own; whoever asks Parley something meanwhile goes first. It does not
know how anything is measured.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from rag.cancel import Cancelled, CancelToken, scope
from rag.questions import QuestionsError, Row
from rag.store import Page
from ui.answering import shown_passages
from ui.conversations import Passage
from ui.evaluation_files import QuestionSets, Results, as_csv, read_upload, shown
from ui.feedback import Feedback
from ui.services import Services, Trial, UiError
from ui.web_io import owner_of, read_body, refuse

log = logging.getLogger(__name__)

MAX_SET = 4 << 20  # bytes of a set of questions
MAX_PROPOSED = 50
SAMPLE = "Sample questions"

Kind = Literal["measure", "propose"]


class Run(BaseModel):
    name: str = Field(max_length=100)  # of a set
    changes: dict[str, str] = Field(default_factory=dict, max_length=10)
    spoken: bool = False
    noise: float | None = Field(None, ge=-20, le=60)


class Propose(BaseModel):
    count: int = Field(10, ge=1, le=MAX_PROPOSED)
    without: list[str] = Field(default_factory=list, max_length=500)  # questions that are there already


@dataclass(frozen=True)
class Job:
    """What runs, or ran last."""

    number: int
    kind: Kind
    state: Literal["running", "done", "cancelled", "failed"] = "running"
    done: int = 0
    total: int = 0
    what: str = ""
    error: str = ""
    result: str = ""  # the id of what was measured
    rows: Sequence[Row] = ()  # what was proposed

    def as_dict(self) -> dict[str, Any]:
        return asdict(replace(self, rows=())) | {"rows": [row.as_dict() for row in self.rows]}


class Evaluating:
    """One piece of work at a time for the whole server, and the files of what there is."""

    def __init__(self, services: Services, busy: Callable[[], bool]) -> None:
        self._services, self._busy = services, busy
        self.sets = QuestionSets(services.data / "questions")
        self.results = Results(services.data / "evaluations")
        self._lock = threading.Lock()
        self._token = CancelToken()
        self._job: Job | None = None

    @property
    def job(self) -> Job | None:
        return self._job

    def measure(self, run: Run) -> Job:
        """Begin to measure a set. Raises UiError, and QuestionsError for a file that somebody broke."""
        service = self._services.evaluation
        rows = list(service.sample()) if run.name == SAMPLE else self.sets.read(run.name)
        self._check(run)
        trial = Trial(rows, run.changes, run.spoken, run.noise if run.spoken else None)

        def work() -> dict[str, Any]:
            record = service.run(trial, self._told, self._busy)
            return {"result": self.results.add(run.name, record)}

        return self._start("measure", len(rows), work)

    def propose(self, propose: Propose) -> Job:
        def work() -> dict[str, Any]:
            found = self._services.evaluation.propose(propose.count, propose.without, self._told)
            return {"rows": tuple(found)}

        return self._start("propose", propose.count, work)

    def cancel(self) -> None:
        """End what runs; soon, and nothing of it is kept."""
        self._token.cancel()

    def _check(self, run: Run) -> None:
        choices = {choice.name: choice for choice in self._services.evaluation.choices()}
        for name, value in run.changes.items():
            if name not in choices or not choices[name].allows(value):
                raise UiError(f"{name} cannot be compared with {value} here. Choose one of the values shown.")
        mute = self._services.evaluation.mute()
        if run.spoken and mute:
            raise UiError(mute)

    def _start(self, kind: Kind, total: int, work: Callable[[], dict[str, Any]]) -> Job:
        with self._lock:
            if self._job is not None and self._job.state == "running":
                raise UiError("An evaluation runs already. Wait until it is done, or stop it.")
            self._token = CancelToken()
            self._job = Job((self._job.number if self._job else 0) + 1, kind, total=total)
            thread = threading.Thread(target=self._work, args=(self._token, work), name=kind, daemon=True)
        thread.start()
        return self._job

    def _work(self, token: CancelToken, work: Callable[[], dict[str, Any]]) -> None:
        try:
            with scope(token):
                self._become(state="done", **work())
        except Cancelled:
            self._become(state="cancelled")
        except Exception as error:
            log.warning("An evaluation failed: %s", type(error).__name__)
            self._become(state="failed", error=str(error) or "It failed. Try again.")

    def _told(self, done: int, total: int, what: str) -> None:
        self._become(done=done, total=total, what=what)

    def _become(self, **changes: Any) -> None:
        with self._lock:
            if self._job is not None:
                self._job = replace(self._job, **changes)

    def look(self, identifier: str, run: int, number: int) -> dict[str, Any]:
        """One question of a result: where its answer stands, and what was found and said instead."""
        record = self.results.read(identifier)
        try:
            question, row = record["questions"][number], record["runs"][run]["rows"][number]
        except IndexError:
            raise UiError("There is no such question in this result. Reload the page.") from None
        passages = [self._passage(*place) for place in row["places"]]
        return {
            "question": question,
            "heard": row["heard"],
            "answer": row["answer"],
            "kind": row["kind"],
            "expected": expected_place(question, self._services.pages(question.get("source", ""))),
            "sources": shown_passages(passages, row["answer"] or ""),
        }

    def _passage(self, source: str, page: int | None, start: int, end: int, score: float) -> Passage:
        pages = self._services.pages(source)
        there = _page_at(pages, start)
        text = text_at(pages, start, end)
        return Passage(source, page, start, end, score, text, place=there.place, at=there.at)


def text_at(pages: Sequence[Page], start: int, end: int) -> str:
    """The stretch [start, end) of a document's text; empty where it is not there any more."""
    parts = (page.text[max(0, start - page.start) : max(0, end - page.start)] for page in pages)
    return "\n".join(part for part in parts if part)


def _page_at(pages: Sequence[Page], start: int) -> Page:
    return next((page for page in reversed(pages) if page.start <= start), Page(""))


def expected_place(question: dict[str, Any], pages: Sequence[Page]) -> dict[str, Any] | None:
    """Where the answer stands, for the page view: the named span, else an answer on the named page."""
    if not pages or not question.get("source"):
        return None
    if spans := question.get("spans"):
        start, end = spans[0]
        return _place(question, start, end, pages)
    named = question.get("pages", ())
    candidates = [page for page in pages if not named or page.page in named]
    for each in candidates:
        for answer in question.get("answers", ()):
            words = r"\s+".join(map(re.escape, answer.split()))
            if words and (found := re.search(words, each.text, re.IGNORECASE)):
                start, end = found.span()
                return _place(question, each.start + start, each.start + end, pages)
    if not named or not candidates:
        return None
    first = candidates[0]
    return _place(question, first.start, first.start, pages)


def _place(question: dict[str, Any], start: int, end: int, pages: Sequence[Page]) -> dict[str, Any]:
    text, there = text_at(pages, start, end), _page_at(pages, start)
    place = {"source": question["source"], "page": there.page, "place": there.place, "at": there.at}
    return place | {"start": start, "end": end, "text": text, "pieces": [[text, True]]}


def evaluation_routes(services: Services, evaluating: Evaluating, feedback: Feedback) -> APIRouter:
    router = APIRouter(prefix="/api/evaluation")

    @router.get("")
    def state(request: Request) -> JSONResponse:
        job = evaluating.job
        return JSONResponse(
            {
                "job": job.as_dict() if job else None,
                "sets": evaluating.sets.names(),
                "sample": SAMPLE if services.evaluation.sample() else "",
                "results": evaluating.results.summaries(),
                "choices": [asdict(choice) for choice in services.evaluation.choices()],
                "mute": services.evaluation.mute(),
                "feedback": len(feedback.rows(owner_of(request))),
            }
        )

    @router.get("/feedback")
    def disliked(request: Request) -> JSONResponse:
        return _rows(feedback.rows(owner_of(request)))

    @router.post("/propose")
    def propose(body: Propose) -> Response:
        return _started(lambda: evaluating.propose(body))

    @router.post("/run")
    def run(body: Run) -> Response:
        return _started(lambda: evaluating.measure(body))

    @router.post("/cancel")
    def cancel() -> JSONResponse:
        evaluating.cancel()
        return JSONResponse({})

    _add_set_routes(router, services, evaluating)
    _add_result_routes(router, evaluating)
    return router


def _add_set_routes(router: APIRouter, services: Services, evaluating: Evaluating) -> None:
    sets = evaluating.sets

    @router.get("/sets")
    def read(name: str) -> Response:
        try:
            return _rows(services.evaluation.sample() if name == SAMPLE else sets.read(name))
        except (UiError, QuestionsError) as error:
            return refuse(404, error)

    @router.post("/sets")
    async def write(request: Request, name: str) -> Response:
        try:
            if name == SAMPLE:
                raise UiError(f"{SAMPLE} cannot be changed. Save it under another name.")
            rows = read_upload(await _text(request, name), "The set")
            sets.write(name, rows)
        except (UiError, QuestionsError) as error:
            return refuse(422, error)
        return JSONResponse({"name": name, "questions": len(rows)})

    @router.post("/read")
    async def read_file(request: Request, name: str) -> Response:
        """The questions of a file, which is not kept."""
        try:
            return _rows(read_upload(await _text(request, name), name))
        except (UiError, QuestionsError) as error:
            return refuse(422, error)

    @router.delete("/sets")
    def remove(name: str) -> Response:
        try:
            sets.remove(name)
        except UiError as error:
            return refuse(422, error)
        return JSONResponse({})


def _add_result_routes(router: APIRouter, evaluating: Evaluating) -> None:
    results = evaluating.results

    @router.get("/results/{identifier}")
    def read(identifier: str, form: Literal["page", "json", "csv"] = "page") -> Response:
        try:
            record = results.read(identifier)
        except UiError as error:
            return refuse(404, error)
        if form == "page":
            return JSONResponse(shown(record))
        body = Response(as_csv(record), media_type="text/csv") if form == "csv" else JSONResponse(record)
        body.headers["Content-Disposition"] = f'attachment; filename="evaluation-{identifier}.{form}"'
        return body

    @router.get("/results/{identifier}/{run}/{number}")
    def look(identifier: str, run: int, number: int) -> Response:
        try:
            return JSONResponse(evaluating.look(identifier, run, number))
        except UiError as error:
            return refuse(404, error)

    @router.delete("/results/{identifier}")
    def remove(identifier: str) -> JSONResponse:
        results.remove(identifier)
        return JSONResponse({})


def _started(start: Callable[[], Job]) -> Response:
    try:
        return JSONResponse(start().as_dict())
    except (UiError, QuestionsError) as error:
        return refuse(409, error)


def _rows(rows: Sequence[Row]) -> JSONResponse:
    return JSONResponse({"rows": [row.as_dict() for row in rows]})


async def _text(request: Request, name: str) -> str:
    body = await read_body(request, MAX_SET, name, "Split it into parts.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UiError(f"{name} is not UTF-8 text. Save it as UTF-8, then try again.") from None
