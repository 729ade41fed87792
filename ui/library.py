"""Documents: what is there, adding and removing. It does not know how a document is read.

An upload is received at once and indexed in the background; what becomes of it is in the list.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ui.intake import Intake, Job, discard
from ui.services import LibraryItem, Services, UiError
from ui.web_io import owner_of, pieces, refuse

log = logging.getLogger(__name__)

MAX_UPLOAD = 200 << 20  # bytes


class Url(BaseModel):
    url: str = Field(min_length=1, max_length=2000)


class Name(BaseModel):
    source: str = Field(min_length=1, max_length=4000)


class Documents:
    """The library as the page shows it: what is indexed, and what is on its way."""

    def __init__(self, services: Services) -> None:
        self._library = services.library
        self._intake = Intake(services.data / "incoming", self._add)
        self._intake.resume()

    def items(self) -> list[LibraryItem]:
        """Everything, each name once: what waits or failed just now goes before what was known of it."""
        known = {item.source: item for item in self._library.items()}
        return list((known | {item.source: item for item in self._intake.items()}).values())

    async def upload(self, request: Request, name: str) -> None:
        """Take the request's body in as a file called `name`, and have it indexed."""
        folder = self._intake.new_folder()
        try:
            with _file_of(folder, name).open("wb") as file:
                async for piece in pieces(request, MAX_UPLOAD, name, "Split it into parts."):
                    file.write(piece)
            self._intake.submit(Job(owner_of(request), name, "upload"), folder)
        except BaseException:
            discard(folder)
            raise

    def add_url(self, owner: str, url: str) -> None:
        self._intake.submit(Job(owner, url, "url"), self._intake.new_folder())

    def remove(self, source: str) -> None:
        known = next((item for item in self._library.items() if item.source == source), None)
        forgotten = self._intake.forget(source)
        if known is None and not forgotten:
            raise UiError(f"{source} is not among the documents. Reload the page to see those that are.")
        if known is not None and (known.state == "failed" or not forgotten):
            self._library.remove(source)  # else what is known was there before, and stays

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
        except UiError as error:
            return refuse(413, error)
        return JSONResponse({"source": name})

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
