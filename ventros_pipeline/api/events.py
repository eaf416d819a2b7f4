"""WAHA's webhooks: each one is checked, kept once as a hint, and answered at once.

What belongs here: the headers, and which answer an event gets. What does not: the signature and the
envelope (`waha/events.py`), the reading that hints cause.

A webhook shows no API key: it is signed. Without a key to check that with, nothing is taken.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from ventros_pipeline.api.guard import Service, ServiceOf, refuse_other_types
from ventros_pipeline.api.problems import Fault, Problem, described
from ventros_pipeline.crm import hints
from ventros_pipeline.crm.channels import Channel, ChannelError, find_channel
from ventros_pipeline.logs import log_of
from ventros_pipeline.variables import SecretFileError
from ventros_pipeline.waha.events import (
    ABOUT,
    ALGORITHM,
    SKIPPED,
    Event,
    EventError,
    is_current,
    is_signed,
    read_event,
)
from ventros_pipeline.waha.ids import AddressKind

_LOG = log_of("api")
router = APIRouter(tags=["webhooks"])
_SIGNATURE = APIKeyHeader(
    name="X-Webhook-Hmac",
    auto_error=False,
    scheme_name="webhookSignature",
    description="HMAC-SHA512 of the body, hexadecimal, as WAHA sends it.",
)
_HEADERS = ("x-webhook-hmac", "x-webhook-hmac-algorithm", "x-webhook-timestamp")
# What a channel that does not exist is signed with: asked in vain, so that it takes as long.
_NO_KEY = "no channel has this key"

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["id", "timestamp", "event", "session"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                    "timestamp": {
                        "type": "integer",
                        "description": "Milliseconds, within 10 minutes of now.",
                    },
                    "event": {"type": "string"},
                    "session": {"type": "string"},
                    "payload": {},
                },
            }
        }
    },
}
_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "X-Webhook-Hmac-Algorithm",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "const": ALGORITHM},
    },
    {
        "name": "X-Webhook-Timestamp",
        "in": "header",
        "required": True,
        "description": "Milliseconds, within 10 minutes of now.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    },
]


class Taken(BaseModel):
    """What became of an event."""

    stored: bool
    reason: str | None = Field(default=None, description="Why it was not stored.")


async def _raw_body(request: Request) -> bytes:
    """Return the body's bytes: the signature is theirs, not that of what they mean."""
    await refuse_other_types(request)
    return await request.body()


@router.post(
    "/api/v1/waha/channels/{channel_id}/events",
    summary="Take a webhook of WAHA",
    operation_id="takeEvent",
    status_code=202,
    responses={
        200: {"description": "The event was known already; nothing has changed", "model": Taken},
        **described(
            "unauthenticated", "forbidden", "unsupported-media-type", "invalid", "turned-off"
        ),
    },
    openapi_extra={"requestBody": _BODY, "parameters": _PARAMETERS},
)
def take(
    request: Request,
    response: Response,
    channel_id: UUID,
    service: ServiceOf,
    body: Annotated[bytes, Depends(_raw_body)],
    _signature: Annotated[object, Security(_SIGNATURE)],
) -> Taken:
    """Keep which message an event is about, never what is in it."""
    channel = find_channel(service.engine, channel_id)
    try:
        return _kept(request, response, service, channel, body)
    except Problem as problem:
        log = _LOG.about(channel=channel.key if channel else None)
        log.warning("webhook refused", reason=problem.kind, request=request.state.request_id)
        raise


def _kept(
    request: Request, response: Response, service: Service, channel: Channel | None, body: bytes
) -> Taken:
    _refuse_forged(request, service, channel, body)
    event = _read(body)
    if channel is None or event.session != channel.session:
        raise Problem("forbidden", "The event is not of this channel's session.")
    if not is_current(round(event.sent_at.timestamp() * 1000), service.now()):
        raise Problem("unauthenticated", "The event is older than 10 minutes, or of the future.")
    if (reason := _ignored(event, channel)) is not None:
        return Taken(stored=False, reason=reason)
    if not hints.store(service.engine, channel, event, service.now()):
        response.status_code = 200
        return Taken(stored=False, reason="it is known already")
    return Taken(stored=True)


def _refuse_forged(
    request: Request, service: Service, channel: Channel | None, body: bytes
) -> None:
    key = _key_of(service, channel)
    signature, algorithm, sent = (_single(request, name) for name in _HEADERS)
    signed = is_signed(key, body, signature) and key != _NO_KEY
    current = is_current(sent, service.now())
    if not (signed and current and algorithm == ALGORITHM):
        raise Problem(
            "unauthenticated",
            "The webhook is not signed with this channel's key, not with sha512, or not now.",
        )


def _key_of(service: Service, channel: Channel | None) -> str:
    """Return the key that a channel's webhooks are signed with.

    Raises:
        Problem: there is none.
    """
    try:
        own = channel.webhook_key() if channel else None
    except (ChannelError, SecretFileError):
        own = ""
    common = service.settings.webhook_hmac_key
    if own is None and common is not None:
        own = common.get_secret_value() if channel else _NO_KEY
    if not own:
        raise Problem(
            "turned-off",
            "Webhooks are not taken: set VENTROS_WEBHOOK_HMAC_KEY, or the variable that the "
            "channel's auth.hmac_key_env names.",
        )
    return own


def _single(request: Request, name: str) -> str:
    """Return a header that was sent once; one that was sent twice is none."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else ""


def _read(body: bytes) -> Event:
    try:
        return read_event(body)
    except EventError as error:
        fault = Fault(at="body", says=str(error))
        raise Problem("invalid", f"{error}.", errors=[fault]) from None


def _ignored(event: Event, channel: Channel) -> str | None:
    """Return why an event is no hint; None if it is one."""
    if event.name not in ABOUT:
        return "events of this kind change nothing that is imported"
    if event.chat in SKIPPED:
        return "nothing of this kind of chat is imported"
    if event.chat is AddressKind.GROUP and not channel.allow_groups:
        return "the channel takes no groups"
    return None
