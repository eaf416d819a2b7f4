"""Who calls, how often, and what they may see: asked before anything of a request is looked at.

What belongs here: keys in headers, rates, a channel for its rights. What does not: the rules, which
are the CRM's (`crm/access.py`).

There is no way around it: no key, no setting and no environment makes the API answer without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy.engine import Engine
from starlette.concurrency import run_in_threadpool

from ventros_pipeline.api.problems import Problem
from ventros_pipeline.crm import access
from ventros_pipeline.crm.access import Caller, Right
from ventros_pipeline.crm.channels import Channel, find_channel
from ventros_pipeline.settings import Settings

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="An API key of the CRM's user."
)
_HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="apiKey", description="The same, as it is."
)
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Service:
    """What every request is answered with.

    Attributes:
        now: the clock, UTC.
    """

    engine: Engine
    settings: Settings
    now: Callable[[], datetime]


def service_of(request: Request) -> Service:
    """Return the application's service."""
    found: Service = request.app.state.service
    return found


class GuardedRoute(APIRoute):
    """A route that asks for the key, counts the call and refuses what is not JSON, in this order.

    FastAPI reads and judges the body before its dependencies, so that a stranger would be told
    what is wrong with it; this runs before both.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the guard."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.state.caller = await run_in_threadpool(_admit, request)
            await refuse_other_types(request)
            return await handle(request)

        return guarded


async def refuse_other_types(request: Request) -> None:
    """Refuse a body that does not say that it is JSON."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/json" and await request.body():
        raise Problem("unsupported-media-type", "Send the body as application/json.")


def _admit(request: Request) -> Caller:
    service = service_of(request)
    key = _key_of(request)
    caller = access.caller_of(service.engine, key, service.now()) if key else None
    if caller is None:
        raise Problem(
            "unauthenticated",
            "Send a valid API key of the CRM, as `Authorization: Bearer …` or `X-API-Key: …`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    kind = "read" if request.method in _READING else "start"
    settings = service.settings
    limit = settings.api_read_rate if kind == "read" else settings.api_start_rate
    wait = access.count_call(service.engine, caller, kind, limit)
    if wait > 0:
        raise Problem(
            "too-many-requests",
            f"A key may make {limit} calls of this kind a minute.",
            headers={"Retry-After": str(math.ceil(wait))},
        )
    return caller


def _key_of(request: Request) -> str | None:
    """Return the one key that was sent; two that differ, or one in another scheme, are none."""
    keys = set(request.headers.getlist("x-api-key"))
    for given in request.headers.getlist("authorization"):
        scheme, _, key = given.partition(" ")
        keys.add(key.strip() if scheme.lower() == "bearer" else "")
    return keys.pop() if len(keys) == 1 else None


@dataclass(frozen=True)
class Allowed:
    """A channel, and what the caller may do with it: at least see it."""

    channel: Channel
    rights: frozenset[Right]


def _visible(
    request: Request,
    channel_id: UUID,
    _bearer: Annotated[object, Security(_BEARER)],
    _header: Annotated[object, Security(_HEADER)],
) -> Allowed:
    engine = service_of(request).engine
    rights = access.rights_of(engine, request.state.caller, channel_id)
    channel = find_channel(engine, channel_id) if rights else None
    if channel is None:
        # One answer for a channel that does not exist and for another tenant's.
        raise Problem("not-found", "There is no such WhatsApp channel.")
    return Allowed(channel, rights)


def _readable(allowed: Annotated[Allowed, Depends(_visible)]) -> Channel:
    return allowed.channel


def _startable(allowed: Annotated[Allowed, Depends(_visible)]) -> Channel:
    if Right.START not in allowed.rights:
        raise Problem(
            "forbidden",
            "Only the project's owner, its admins and its supervisors may start or cancel an "
            "import, and no user who may only read.",
        )
    return allowed.channel


ReadableChannel = Annotated[Channel, Depends(_readable)]
StartableChannel = Annotated[Channel, Depends(_startable)]
ServiceOf = Annotated[Service, Depends(service_of)]
