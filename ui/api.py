"""The page's state in one answer, and health and metrics for whatever watches the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from rag.documents import SUFFIXES
from ui.library import MAX_UPLOAD, MAX_UPLOADS, Documents
from ui.metrics import Metrics
from ui.services import Services
from ui.web_io import owner_of


def state_routes(services: Services, documents: Documents, metrics: Metrics) -> APIRouter:
    router = APIRouter()
    metrics.count_documents(lambda: documents.listing().counts()["ready"])

    @router.get("/health")
    def health() -> JSONResponse:
        """Whether the server answers, and no more than that: this route is open to everybody."""
        return JSONResponse({"status": "ok"})

    @router.get("/metrics")
    def numbers(request: Request) -> Response:
        """For Prometheus; the guard says who may read them."""
        text, content_type = metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    @router.get("/api/state")
    def state(request: Request) -> JSONResponse:
        kind, _, user = owner_of(request).partition(":")
        return JSONResponse(page_state(services, documents) | {"user": user if kind == "user" else ""})

    return router


def page_state(services: Services, documents: Documents) -> dict[str, Any]:
    """Engines, documents by state, progress, voices, …; `busy` while any of it is about to change."""
    engines = [asdict(engine) for engine in services.engines()]
    counts = documents.listing().counts()
    progress = documents.progress()
    return {
        "engines": engines,
        "documents": counts,
        "collections": list(services.library.collections()),
        "watching": services.library.watching(),
        "progress": asdict(progress) if progress else None,
        "voices": [asdict(voice) for voice in services.voices()],
        "max_upload": MAX_UPLOAD,
        "types": sorted(SUFFIXES),
        "max_uploads": MAX_UPLOADS,
        "suggestions": list(services.suggestions()),
        "busy": bool(progress)
        or any(engine["state"] in {"loading", "asking"} for engine in engines)
        or bool(counts["waiting"] or counts["reading"]),
    }
