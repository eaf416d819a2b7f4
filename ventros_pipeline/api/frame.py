"""What surrounds every request: its id, its limits of size and time, its line in the log.

What belongs here: what holds for all routes and needs no route. What does not: keys, rights, rates.

It is written on ASGI itself: it has to end requests whose body never ends, and to catch every error
before the server would write its traceback, which may quote a statement's parameters.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ventros_pipeline.api.problems import Problem, answer_of, unexpected

# A statement is given less by the database, so that its connection does not outlive the request.
REQUEST_SECONDS = 20.0
BODY_BYTES = 64 * 1024
EVENT_BYTES = 1024 * 1024
EVENTS_PATH = "/api/v1/waha/"
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_log = logging.getLogger("ventros_pipeline.api")


class Frame:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, seconds: float = REQUEST_SECONDS) -> None:
        """Frame an application.

        Args:
            seconds: how long one request may take, its body included.
        """
        self._app, self._seconds = app, seconds
        self._late: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = str(uuid4())
        began = time.monotonic()
        gate = _Gate(send, scope["state"]["request_id"])
        task = asyncio.ensure_future(self._answer(scope, receive, gate))
        await asyncio.wait({task}, timeout=self._seconds)
        if not task.done():
            # A thread cannot be interrupted: what it still does is ended by the database's limits.
            self._late.add(task)
            task.add_done_callback(self._forget)
            task.cancel()
            late = Problem("unavailable", _LATE, headers={"Retry-After": "5"})
            await gate.end_with(scope, receive, late)
        _write_line(scope, gate, time.monotonic() - began)

    async def _answer(self, scope: Scope, receive: Receive, gate: _Gate) -> None:
        try:
            await self._app(scope, _limited(scope, receive), gate.send)
        except Exception as error:  # noqa: BLE001 - the last one to catch it
            if isinstance(error, Problem):
                await gate.end_with(scope, receive, error)
                return
            place = traceback.extract_tb(error.__traceback__)[-1]
            _log.error(
                "unexpected %s at %s:%s, request %s",
                *(type(error).__name__, place.filename, place.lineno, gate.request_id),
            )
            await gate.end_with(scope, receive, unexpected())

    def _forget(self, task: asyncio.Future[None]) -> None:
        self._late.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()


_LATE = (
    "The request took too long and was given up; what it began may still be done. Ask for the "
    "status before trying again."
)


class _Gate:
    """Lets one answer out, whoever gives it first."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id = send, request_id
        self.status = 0
        self._shut = False

    async def send(self, message: Message) -> None:
        if self._shut:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (*_HEADERS, (b"x-request-id", self.request_id.encode()))
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await self._send(message)

    async def end_with(self, scope: Scope, receive: Receive, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun."""
        if not self.status:
            await answer_of(Request(scope), problem)(scope, receive, self.send)
        self._shut = True


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return a receiver that refuses a body above the limit, announced or not."""
    limit = EVENT_BYTES if scope["path"].startswith(EVENTS_PATH) else BODY_BYTES
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    too_large = Problem("too-large", f"A body may have {limit:,} bytes here.")
    received = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal received
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return counted


def _write_line(scope: Scope, gate: _Gate, seconds: float) -> None:
    # The route, not the address: whoever puts a key into a query finds it in no log.
    route = getattr(scope.get("route"), "path", "an unknown path")
    told = {
        "method": scope["method"],
        "route": route,
        "status": gate.status,
        "ms": round(seconds * 1000),
        "request": gate.request_id,
    }
    extra = {"ventros_event": "request", "ventros_facts": told}
    _log.info("%s %s: %s in %s ms, request %s", *told.values(), extra=extra)
