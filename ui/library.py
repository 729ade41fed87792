"""Documents: what is there, adding and removing. It does not know how a document is read.

An upload is received at once and indexed in the background; what becomes of it is in the list, which may be
thousands long and is sent a part at a time.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ui.intake import BusyError, Intake, Job, discard
from ui.services import LibraryItem, Progress, Services, State, UiError
from ui.web_io import owner_of, pieces, refuse

log = logging.getLogger(__name__)

MAX_UPLOAD = 200 << 20  # bytes
MAX_UPLOADS = 10_000  # documents that were added on the page
ROOM = 500 << 20  # bytes of the disk that uploads leave free
MOST = 500  # documents in one part of the list
_ORDER: Sequence[State] = ("reading", "failed", "waiting", "ready")  # what a person wants to see first
_SHARE = 10  # making the list takes at most one part in so many of the time


class Url(BaseModel):
    url: str = Field(min_length=1, max_length=2000)


class Name(BaseModel):
    source: str = Field(min_length=1, max_length=4000)


@dataclass(frozen=True)
class Listing:
    """All documents, in the order of the list."""

    items: Sequence[LibraryItem] = ()
    made: float = float("-inf")  # time.monotonic()
    took: float = 0.0  # seconds

    def counts(self) -> dict[State, int]:
        counted = Counter(item.state for item in self.items)
        return {state: counted[state] for state in get_args(State)}

    def part(self, state: str, search: str, offset: int, limit: int) -> tuple[list[LibraryItem], int]:
        """Some of those in a state and with a text in their name or title (empty: any); and how many are."""
        wanted = search.strip().casefold()
        found = [
            item
            for item in self.items
            if (not state or item.state == state)
            and (not wanted or wanted in item.source.casefold() or wanted in item.title.casefold())
        ]
        return found[offset : offset + limit], len(found)


class Documents:
    """The library as the page shows it: what is indexed, and what is on its way."""

    def __init__(self, services: Services) -> None:
        self._library = services.library
        self._data = services.data
        self._intake = Intake(services.data / "incoming", self._add)
        self._lock = threading.Lock()
        self._listing = Listing()
        self._intake.resume()

    def listing(self) -> Listing:
        """As it is now; where it is long, as it was a moment ago."""
        with self._lock:
            began = time.monotonic()
            if began - self._listing.made > _SHARE * self._listing.took:
                items = sorted(self._items(), key=lambda item: _ORDER.index(item.state))
                self._listing = Listing(items, time.monotonic(), time.monotonic() - began)
            return self._listing

    def progress(self) -> Progress | None:
        """How far the folders have come, else what was added on the page."""
        return self._library.progress() or self._intake.progress()

    def _items(self) -> list[LibraryItem]:
        """Everything, each name once: what waits or failed just now goes before what was known of it."""
        known = {item.source: item for item in self._library.items()}
        return list((known | {item.source: item for item in self._intake.items()}).values())

    def _changed(self) -> None:
        """What a person did is seen at once."""
        with self._lock:
            self._listing = Listing()

    async def upload(self, request: Request, name: str) -> None:
        """Take the request's body in as a file called `name`, and have it indexed."""
        self._check_room(int(request.headers.get("content-length") or 0))
        folder = self._intake.new_folder()
        try:
            with _file_of(folder, name).open("wb") as file:
                async for piece in pieces(request, MAX_UPLOAD, name, "Split it into parts."):
                    file.write(piece)
            self._intake.submit(Job(owner_of(request), name, "upload"), folder)
        except BaseException:
            discard(folder)
            raise
        finally:
            self._changed()

    def _check_room(self, size: int) -> None:
        uploads = sum(item.origin == "upload" for item in self.listing().items)
        if uploads >= MAX_UPLOADS:
            raise UiError(
                f"There are {uploads:,} added documents, more are not taken. Remove some, or put them all "
                "into a folder and name it in PARLEY_CORPUS."
            )
        free = shutil.disk_usage(self._data).free
        if free - size < ROOM:
            raise UiError(f"The disk has only {free >> 20:,} MB free. Make room, then add it again.")

    def add_url(self, owner: str, url: str) -> None:
        self._intake.submit(Job(owner, url, "url"), self._intake.new_folder())
        self._changed()

    def remove(self, source: str) -> None:
        self._changed()
        known = next((item for item in self._library.items() if item.source == source), None)
        forgotten = self._intake.forget(source)
        if known is None and not forgotten:
            raise UiError(f"{source} is not among the documents. Reload the page to see those that are.")
        if known is not None and (known.state == "failed" or not forgotten):
            self._library.remove(source)  # else what is known was there before, and stays
        self._changed()

    def _add(self, job: Job, folder: Path) -> None:
        try:
            if job.origin == "url":
                self._library.add_url(job.source)
            else:
                self._library.add_file(_file_of(folder, job.source), job.source)
        except Exception as error:
            told = ("failed", str(error))
            if not any((item.state, item.reason) == told for item in self._library.items()):
                raise
            log.info("The library could not add a document: %s", type(error).__name__)  # and lists it itself


def _file_of(folder: Path, name: str) -> Path:
    found = re.search(r"\.[A-Za-z0-9]{1,10}$", name)
    return folder / ("upload" + (found.group().lower() if found else ""))


def library_routes(documents: Documents) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.post("/library/files")
    async def upload(request: Request, name: str) -> JSONResponse:
        name = re.sub(r"[\x00-\x1f\x7f]", "", name.replace("\\", "/").rpartition("/")[2]).strip()[-200:]
        if not name:
            return refuse(422, "The file has no name. Give it one, then drop it again.")
        try:
            await documents.upload(request, name)
        except BusyError as error:
            return refuse(429, error)
        except UiError as error:
            return refuse(413, error)
        return JSONResponse({"source": name})

    @router.get("/library")
    def items(
        state: str = "",
        search: str = "",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=0, le=MOST)] = 100,
    ) -> JSONResponse:
        """A part of the list: the items, and how many there are in all."""
        found, total = documents.listing().part(state, search, offset, limit)
        return JSONResponse({"items": [asdict(item) for item in found], "total": total})

    @router.post("/library/urls")
    def add_url(request: Request, body: Url) -> JSONResponse:
        url = body.url.strip()
        if not re.match(r"https?://[^/\s]", url):
            return refuse(422, "A web page's address begins with http:// or https://.")
        try:
            documents.add_url(owner_of(request), url)
        except UiError as error:
            return refuse(429, error)
        return JSONResponse({"source": url})

    @router.post("/library/remove")
    def remove(body: Name) -> JSONResponse:
        try:
            documents.remove(body.source)
        except Exception as error:
            log.info("A document could not be removed: %s", type(error).__name__)
            return refuse(422, error)
        return JSONResponse({})

    return router
