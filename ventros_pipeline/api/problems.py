"""Errors over HTTP: `application/problem+json` (RFC 9457), and never what was sent or what broke.

What belongs here: every problem's status, title and shape, in answers and in the OpenAPI document.
What does not: when a problem arises.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException as StarletteHTTPException

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:ventros:problem:"
_log = logging.getLogger("ventros_pipeline.api")

# What may go wrong, by the last part of a problem's `type`.
KINDS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be read"),
    "unauthenticated": (401, "No valid key or signature"),
    "forbidden": (403, "Not allowed"),
    "not-found": (404, "Nothing is here"),
    "method-not-allowed": (405, "Another method is needed"),
    "busy": (409, "The import's state does not allow it"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "invalid": (422, "The request is not valid"),
    "refused": (422, "The channel cannot be imported as it is"),
    "too-many-requests": (429, "Too many calls"),
    "internal": (500, "Something broke"),
    "turned-off": (503, "This is turned off"),
    "unavailable": (503, "Not now"),
}
_BY_STATUS = {status: kind for kind, (status, _) in reversed(list(KINDS.items()))}

# pydantic's sentences that repeat a part of what was sent, said without it.
_SAID = {
    "json_invalid": "it is not valid JSON",
    "extra_forbidden": "it has a member that is not known",
    "uuid_parsing": "it is not a UUID",
    "uuid_type": "it is not a UUID",
}


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="Where, like `body.strategy`.")
    says: str


class ProblemDetails(BaseModel):
    """A problem as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description=f"`{_TYPE}…`, one for each kind of problem.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, as a sentence.")
    instance: str = Field(description="This very occurrence, as the server's log names it.")
    errors: list[Fault] | None = Field(
        default=None, description="Of an invalid request: what is wrong."
    )


class Problem(HTTPException):
    """Ends a request with a problem."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Fault] = (),
    ) -> None:
        """Make a problem of `KINDS`.

        Args:
            detail: what happened and what to do, without anything that was sent.
        """
        super().__init__(KINDS[kind][0], detail, dict(headers or {}))
        self.kind, self.errors = kind, list(errors)


def answer_of(request: Request, problem: Problem) -> JSONResponse:
    """Return the answer that a problem is."""
    status, title = KINDS[problem.kind]
    details = ProblemDetails(
        type=_TYPE + problem.kind,
        title=title,
        status=status,
        detail=problem.detail,
        instance=f"urn:uuid:{request.state.request_id}",
        errors=problem.errors or None,
    )
    return JSONResponse(
        details.model_dump(exclude_none=True), status, problem.headers, media_type=MEDIA_TYPE
    )


def unexpected() -> Problem:
    """Return what is said of an error that nobody foresaw: nothing."""
    return Problem(
        "internal", "The request failed for a reason of the server's own; its log has the instance."
    )


def described(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of an operation's problems."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in (*kinds, "bad-request", "too-large", "internal", "unavailable"):
        status, title = KINDS[kind]
        schema = {"$ref": "#/components/schemas/Problem"}
        content = {MEDIA_TYPE: {"schema": schema}}
        found.setdefault(status, {"description": title, "content": content})
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def install(app: FastAPI) -> None:
    """Let every error of an application end as a problem."""
    app.add_exception_handler(StarletteHTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    for unreachable in (OperationalError, PoolTimeoutError):
        app.add_exception_handler(unreachable, _of_database)


def _of_http(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return answer_of(request, error)
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    kind = _BY_STATUS.get(status, "internal")
    phrase = HTTPStatus(KINDS[kind][0]).phrase
    headers = error.headers if isinstance(error, StarletteHTTPException) else None
    return answer_of(request, Problem(kind, f"{phrase}.", headers=headers))


def _of_validation(request: Request, error: Exception) -> JSONResponse:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    faults = [Fault(at=_place(e), says=_SAID.get(e["type"], e["msg"])) for e in found]
    says = "; ".join(f"{fault.at}: {fault.says}" for fault in faults)
    return answer_of(request, Problem("invalid", says, errors=faults))


def _of_database(request: Request, error: Exception) -> JSONResponse:
    _log.error(
        "the database failed: %s, request %s", type(error).__name__, request.state.request_id
    )
    detail = "The database did not answer in time. Try again in a moment."
    return answer_of(request, Problem("unavailable", detail, headers={"Retry-After": "5"}))


def _place(error: Mapping[str, Any]) -> str:
    """Say where a fault is, without names that the sender made up."""
    place = [part for part in error["loc"] if isinstance(part, str)]
    return ".".join(place[:-1] if error["type"] == "extra_forbidden" else place)
