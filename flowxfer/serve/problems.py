"""Errors as answers: a status, and JSON with one sentence."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from flowxfer.errors import FlowxferError, InputError, MissingExtraError

__all__ = ["RESPONSES", "Problem", "Refusal", "answer", "handle_errors"]

log = logging.getLogger(__name__)

_STATUS: Sequence[tuple[type[FlowxferError], int]] = ((InputError, 422), (MissingExtraError, 501), (FlowxferError, 500))
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM, errno.EDQUOT}
_UNEXPECTED = "the service failed at this request, which is its own mistake; its log tells more"


class Problem(BaseModel):
    """What went wrong."""

    error: str = Field(
        description="One sentence: what was expected, what came, and the way out.",
        examples=["expected the field target, got none; send it as multipart/form-data"],
    )


class Refusal(HTTPException):
    """A request that is refused before the library sees it."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, sentence, headers)


_CAUSES = {
    400: "the body is not what its Content-Type says",
    413: "the body, a picture or the number of faces is above its limit",
    415: "a file is neither a picture nor latents",
    422: "a field is missing or has a wrong value, or a file is damaged or not the model's",
    500: "a mistake of the service",
    501: "the service was installed without what aligning needs",
    503: "too many requests are waiting, or this one took too long; Retry-After tells when to come again",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": cause.capitalize()} for status, cause in _CAUSES.items()
}


def answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Say what went wrong."""
    return JSONResponse({"error": sentence}, status, headers)


def handle_errors(app: FastAPI) -> None:
    """Make every error of an application a :class:`Problem`."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        sentence = f"there is no {request.url.path} here; /openapi.json lists what is"
        if error.status_code == 405:
            sentence = f"{request.url.path} does not take {request.method}"
        elif error.status_code != 404:
            sentence = str(error.detail)
        return answer(error.status_code, sentence, dict(error.headers or {}))

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(422, _sentence(error.errors()[0]))

    async def expected(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FlowxferError)
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if status == 500:
            log.error("%s", error)
        return answer(status, str(error))

    async def exhausted(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OSError)
        if error.errno not in _EXHAUSTED:
            raise error
        log.error("a request was refused: %s", error)
        sentence = f"expected room for this request, but the system has none ({error.strerror}); try again in a second"
        return answer(503, sentence, {"Retry-After": "1"})

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer(500, _UNEXPECTED)  # the server logs the error itself, with its traceback

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(FlowxferError, expected)
    app.add_exception_handler(OSError, exhausted)
    app.add_exception_handler(Exception, unexpected)


def _sentence(problem: Any) -> str:
    place = [str(part) for part in problem["loc"] if part != "body"]
    field = place[0] if place else "the body"
    if problem["type"] == "missing":
        return f"expected the field {field}, got none; send it as multipart/form-data"
    message = str(problem["msg"])
    return f"{field}: {message[:1].lower()}{message[1:]}, got {str(problem.get('input'))[:80]!r}"
