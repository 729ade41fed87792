"""Refusals in the shape that clients of OpenAI's API read. It does not know what is refused."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from ui.services import UiError

_CODES = {401: "invalid_api_key", 404: "not_found", 413: "request_too_large"}


class ApiError(UiError):
    """A request that cannot be served; the message says why and what to do."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def response(self) -> JSONResponse:
        return api_error(self.status, str(self), param=self.param, code=self.code)


def error_body(status: int, message: str, *, param: str | None = None, code: str = "") -> dict[str, object]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}


def api_error(status: int, message: str, *, param: str | None = None, code: str = "") -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(error_body(status, message, param=param, code=code), status, headers)
