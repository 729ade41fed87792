"""What an answer rests on, as it is: a page's text, its image, the places of its words, a recording's sound.

A request names a document and a page, never a file: the file is the one that the index has recorded. It does
not know how a page is drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from rag.originals import Original, OriginalError, PageImages, find_original, image_width
from ui.quotes import view
from ui.services import Services
from ui.web_io import refuse

GONE = "The page is not in the index any more: the document was changed or removed."
_REVALIDATE = "private, no-cache"  # a browser may keep it, but asks each time; signed out, it gets nothing

Name = Annotated[str, Query(min_length=1, max_length=4000)]
Number = Annotated[int, Query(ge=1, le=10_000_000)]
Offset = Annotated[int, Query(ge=0)]


def page_routes(services: Services, images: PageImages) -> APIRouter:
    shown = _Originals(services, images)
    router = APIRouter(prefix="/api")
    router.get("/page")(shown.page)
    router.get("/page/image")(shown.image)
    router.get("/page/words")(shown.words)
    router.get("/recording")(shown.recording)
    return router


class _Originals:
    """The routes' answers."""

    def __init__(self, services: Services, images: PageImages) -> None:
        self._services = services
        self._images = images

    def page(
        self,
        source: Name,
        start: Offset = 0,
        end: Offset = 0,
        number: int | None = None,
        page: int | None = None,
    ) -> JSONResponse:
        found = view(self._services.pages(source), start=start, end=end, number=number, page=page)
        if found is None:
            return refuse(404, GONE)
        kind, reason = self._kind(source)
        return JSONResponse({"source": source, **asdict(found), "original": kind, "reason": reason})

    def image(self, request: Request, source: Name, page: Number, width: Number = 1200) -> Response:
        try:
            file = self._drawable(source)
            tag = _tag(file, page, image_width(width))
            headers = {"ETag": tag, "Cache-Control": _REVALIDATE}
            if tag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            return Response(self._images.image(file, page, width), media_type="image/jpeg", headers=headers)
        except OriginalError as error:
            if error.passing:  # nothing is wrong with the request
                return JSONResponse({"reason": str(error)}, 202, {"Cache-Control": "no-store"})
            return refuse(404, error)

    def words(self, source: Name, page: Number, start: Offset, end: Offset) -> JSONResponse:
        text = next((each for each in self._services.pages(source) if (each.page or 1) == page), None)
        if text is None:
            return refuse(404, GONE)
        try:
            return JSONResponse({"words": self._images.words(self._drawable(source), text, start, end)})
        except OriginalError as error:
            return refuse(404, error)

    def recording(self, source: Name) -> Response:
        try:
            file = self._original(source)
        except OriginalError as error:
            return refuse(404, error)
        if file is None or not file.media_type:
            return refuse(404, "This document is not a recording.")
        return FileResponse(file.path, media_type=file.media_type, headers={"Cache-Control": _REVALIDATE})

    def _kind(self, source: str) -> tuple[str | None, str]:
        """What the original is, where it can be shown, and what a person should know of it."""
        kind = None
        try:
            if (file := self._original(source)) is not None:
                kind = file.kind
        except OriginalError as error:
            return None, str(error)
        record = self._services.record(source)
        return kind, record.notice if record is not None else ""

    def _original(self, source: str) -> Original | None:
        record = self._services.record(source)
        return find_original(record) if record is not None else None

    def _drawable(self, source: str) -> Original:
        found = self._original(source)
        if found is None or found.kind not in {"pdf", "picture"}:
            raise OriginalError("This document has no page that could be drawn. This is its text.")
        return found


def _tag(file: Original, page: int, width: int) -> str:
    return f'"{hashlib.sha256(f"{file.content_hash} {page} {width}".encode()).hexdigest()[:32]}"'
