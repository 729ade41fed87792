"""Choosing the language model on the page. It knows who may, and not how a model is opened."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ui.services import Services
from ui.web_io import owner_of, refuse

KEEP = "A choice holds until Parley is started again. To keep what answers now: PARLEY_LLM={name}."


class Name(BaseModel):
    name: str = Field(min_length=1, max_length=500)


class Chosen(Name):
    agreed: int = Field(0, ge=0)  # bytes of a download


def why_not(services: Services, owner: str) -> str:
    """Why this person may not choose for everybody; empty if they may.

    A model is a download of gigabytes, a path on the server, and what everybody's answers come from. So it is
    chosen by whoever sits at this machine, or by the first user of PARLEY_AUTH.
    """
    if services.users:
        first = next(iter(services.users))
        return "" if owner == f"user:{first}" else f"Only {first} may choose the model: it answers everybody."
    if services.local_only and not services.hosts:
        return ""
    return "Others may open this page, so the model is chosen by the settings: PARLEY_LLM."


def model_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/api")

    def state() -> dict[str, Any]:
        found = services.models.state()
        return asdict(found) | {"keep": KEEP.format(name=_setting(found.name))}

    @router.get("/model")
    def model(request: Request) -> JSONResponse:
        barred = why_not(services, owner_of(request))
        offers = [] if barred else [asdict(offer) for offer in services.models.offers()]
        return JSONResponse(state() | {"barred": barred, "offers": offers})

    @router.get("/model/state")
    def how_far() -> JSONResponse:
        return JSONResponse(state())

    @router.post("/model/look")
    def look(request: Request, wish: Name) -> JSONResponse:
        if barred := why_not(services, owner_of(request)):
            return refuse(403, barred)
        try:
            return JSONResponse(asdict(services.models.look(wish.name.strip())))
        except Exception as error:  # the person reads it
            return refuse(409, error)

    @router.post("/model")
    def choose(request: Request, wish: Chosen) -> JSONResponse:
        if barred := why_not(services, owner_of(request)):
            return refuse(403, barred)
        services.models.choose(wish.name.strip(), wish.agreed)
        return JSONResponse(state())

    @router.post("/model/cancel")
    def cancel(request: Request) -> JSONResponse:
        if barred := why_not(services, owner_of(request)):
            return refuse(403, barred)
        services.models.cancel()
        return JSONResponse(state())

    @router.post("/agree")
    def agree(request: Request) -> JSONResponse:
        if barred := why_not(services, owner_of(request)):
            return refuse(403, barred)
        services.models.agree()
        return JSONResponse({})

    return router


def _setting(name: str) -> str:
    return "extractive" if name == "quotations" else name
