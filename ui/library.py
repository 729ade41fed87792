"""Documents: what is there, adding and removing, and the page view. It does not know how a document is read.

An upload is taken in at once and indexed in a thread of its own, one after another, so that nobody waits for
somebody else's; what becomes of it is in the list.
"""

from __future__ import annotations

import logging
import queue
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ui.quotes import view
from ui.services import LibraryItem, Services, UiError
from ui.web_io import pieces, refuse

log = logging.getLogger(__name__)

MAX_UPLOAD = 200 << 20  # bytes
MAX_WAITING = 200
_KEPT_FAILURES = 50


class Url(BaseModel):
    url: str = Field(min_length=1, max_length=2000)


class Name(BaseModel):
    source: str = Field(min_length=1, max_length=4000)


class Intake:
    """Adds documents in the background, and knows what waits and what failed."""

    def __init__(self) -> None:
        self._work: queue.Queue[tuple[str, Callable[[], object]]] = queue.Queue()
        self._lock = threading.Lock()
        self._items: dict[str, LibraryItem] = {}
        self._thread: threading.Thread | None = None

    def submit(self, item: LibraryItem, work: Callable[[], object]) -> None:
        """Do `work` when what was submitted before is done."""
        with self._lock:
            if self._work.qsize() >= MAX_WAITING:
                raise UiError("Too many documents wait to be read. Add more when those are done.")
            self._items[item.source] = item
            self._work.put((item.source, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
                self._thread.start()

    def items(self) -> list[LibraryItem]:
        with self._lock:
            return list(self._items.values())

    def forget(self, source: str) -> bool:
        """Take a failure off the list."""
        with self._lock:
            failed = source in self._items and self._items[source].state == "failed"
            if failed:
                del self._items[source]
            return failed

    def _run(self) -> None:
        while True:
            name, work = self._work.get()
            self._mark(name, "reading")
            try:
                work()
            except Exception as error:
                log.info("A document could not be added: %s", type(error).__name__)
                self._mark(name, "failed", str(error) or type(error).__name__)
            else:
                with self._lock:
                    self._items.pop(name, None)

    def _mark(self, name: str, state: Any, reason: str = "") -> None:
        with self._lock:
            origin = self._items[name].origin if name in self._items else ""
            self._items[name] = LibraryItem(name, state, reason=reason, origin=origin)
            failed = [key for key, item in self._items.items() if item.state == "failed"]
            for key in failed[:-_KEPT_FAILURES]:
                del self._items[key]


class Documents:
    """The library as the page shows it: what is indexed, and what is on its way."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._intake = Intake()
        self._incoming = services.data / "incoming"

    def items(self) -> list[LibraryItem]:
        """Everything, each name once: what waits or failed just now goes before what was known of it."""
        known = {item.source: item for item in self._services.library.items()}
        return list((known | {item.source: item for item in self._intake.items()}).values())

    async def upload(self, request: Request, name: str) -> None:
        """Take the request's body in as a file called `name`, and have it indexed."""
        folder = self._incoming / secrets.token_hex(8)
        folder.mkdir(parents=True)
        path = folder / ("upload" + _suffix(name))
        try:
            with path.open("wb") as file:
                async for piece in pieces(request, MAX_UPLOAD, name, "Split it into parts."):
                    file.write(piece)
            item = LibraryItem(name, "waiting", origin="upload")
            self._intake.submit(item, lambda: self._add(path, name))
        except BaseException:
            _discard(path)
            raise

    def add_url(self, url: str) -> None:
        item = LibraryItem(url, "waiting", origin="url")
        self._intake.submit(item, lambda: self._services.library.add_url(url))

    def remove(self, source: str) -> None:
        known = any(item.source == source for item in self._services.library.items())
        if not self._intake.forget(source) and not known:
            raise UiError(f"{source} is not among the documents. Reload the page to see those that are.")
        if known:
            self._services.library.remove(source)

    def _add(self, path: Path, name: str) -> None:
        try:
            self._services.library.add_file(path, name)
        finally:
            _discard(path)


def _suffix(name: str) -> str:
    found = re.search(r"\.[A-Za-z0-9]{1,10}$", name)
    return found.group().lower() if found else ""


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


def library_routes(services: Services, documents: Documents) -> APIRouter:
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
    def add_url(body: Url) -> JSONResponse:
        url = body.url.strip()
        if not re.match(r"https?://[^/\s]", url):
            return refuse(422, "A web page's address begins with http:// or https://.")
        try:
            documents.add_url(url)
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

    @router.get("/page")
    def page(source: str, start: int = 0, end: int = 0, number: int | None = None) -> JSONResponse:
        found = view(services.pages(source), start=start, end=end, number=number)
        if found is None:
            return refuse(404, "The page is not in the index any more: the document was changed or removed.")
        return JSONResponse({"source": source, **asdict(found)})

    return router
