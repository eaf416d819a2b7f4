"""WAHA's webhooks: whether WAHA sent one, and which message it is about.

What belongs here: the signature, the envelope, where each event names its message. What does not:
HTTP, and what is kept of an event (`crm/hints.py`).

The signature covers the body and nothing else: not the headers, so their timestamp can be made up
by whoever got hold of an old body. The envelope has a time of its own, which is signed.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ventros_pipeline.waha.ids import AddressKind, kind_of, normalise, parse_message_id
from ventros_pipeline.waha.jsontext import repair

ALGORITHM = "sha512"
# How far a webhook's clock may be from ours, either way.
TOLERANCE = timedelta(minutes=10)
# Chats of which nothing is imported.
SKIPPED = frozenset({AddressKind.STATUS, AddressKind.NEWSLETTER, AddressKind.BROADCAST})
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A stanza id as WhatsApp and other clients make them. Anything else may be an address.
_STANZA = re.compile(r"[A-Za-z0-9._-]{1,128}")
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)


class EventError(ValueError):
    """The body is no envelope of WAHA's; the message says why and quotes nothing of it."""


@dataclass(frozen=True)
class Event:
    """One event, without what is in the message.

    Attributes:
        id: the envelope's, the same when WAHA sends it again.
        session: WAHA's session.
        sent_at: the envelope's time.
        stanza_id: the message it is about; null where it names none.
        message_at: the message's own time; null where the event does not tell it.
        chat: what kind of chat the message is in; null where the event does not tell it.
    """

    id: str
    name: str
    session: str
    sent_at: datetime
    stanza_id: str | None = None
    message_at: datetime | None = None
    chat: AddressKind | None = None


def signature_of(key: str, body: bytes) -> str:
    """Return the signature that WAHA sends with a body: HMAC-SHA512, hexadecimal."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()


def is_signed(key: str, body: bytes, signature: str) -> bool:
    """Return whether a body was signed with a key; it takes as long for any signature."""
    given = signature.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(signature_of(key, body).encode(), given)


def is_current(milliseconds: object, now: datetime) -> bool:
    """Return whether a time in milliseconds, as a number or as text, is about now."""
    text = str(milliseconds)
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return False
    return abs(int(text) / 1000 - now.timestamp()) <= TOLERANCE.total_seconds()


def read_event(body: bytes) -> Event:
    """Return what an envelope says.

    Raises:
        EventError: it is none, or its id, session or time is missing.
    """
    try:
        envelope = msgspec.json.decode(repair(body))
    except (msgspec.MsgspecError, RecursionError):
        raise EventError("the body is not JSON") from None
    if not isinstance(envelope, dict):
        raise EventError("the body is not an object")
    event_id, name, session, sent = (
        envelope.get(member) for member in ("id", "event", "session", "timestamp")
    )
    if not (isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id)):
        raise EventError("the envelope has no id, or none of WAHA's")
    if not (isinstance(name, str) and isinstance(session, str)):
        raise EventError("the envelope names no event or no session")
    if isinstance(sent, bool) or not isinstance(sent, int) or not 0 <= sent < 10**14:
        raise EventError("the envelope has no time in milliseconds")
    payload = envelope.get("payload")
    about = ABOUT.get(name, _nothing)(payload if isinstance(payload, dict) else {})
    sent_at = datetime.fromtimestamp(sent / 1000, UTC)
    return Event(event_id, name, session, sent_at, *about)


_About = tuple[str | None, datetime | None, AddressKind | None]


def _nothing(_payload: Mapping[str, Any]) -> _About:
    return None, None, None


def _itself(payload: Mapping[str, Any]) -> _About:
    """The payload is the message."""
    return _stanza(payload.get("id")), _moment(payload.get("timestamp")), _chat(payload)


def _acknowledged(payload: Mapping[str, Any]) -> _About:
    return _stanza(payload.get("id")), None, _chat(payload)


def _edited(payload: Mapping[str, Any]) -> _About:
    """The payload is the act of editing, with an id and a time of its own."""
    return _stanza(payload.get("editedMessageId")), None, _chat(payload)


def _revoked(payload: Mapping[str, Any]) -> _About:
    before, after = (_object(payload.get(name)) for name in ("before", "after"))
    revoked = _stanza(payload.get("revokedMessageId")) or _stanza(before.get("id"))
    return revoked, _moment(before.get("timestamp")), _chat(before or after)


def _reacted(payload: Mapping[str, Any]) -> _About:
    return _stanza(_object(payload.get("reaction")).get("messageId")), None, _chat(payload)


# The events that are hints, and how each of them names its message.
ABOUT: Mapping[str, Callable[[Mapping[str, Any]], _About]] = {
    "message.any": _itself,
    "message.ack": _acknowledged,
    "message.edited": _edited,
    "message.revoked": _revoked,
    "message.reaction": _reacted,
    "session.status": _nothing,
}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _stanza(message_id: object) -> str | None:
    if not isinstance(message_id, str):
        return None
    stanza = parse_message_id(message_id).stanza
    return stanza if _STANZA.fullmatch(stanza) else None


def _chat(payload: Mapping[str, Any]) -> AddressKind | None:
    message_id, sender = payload.get("id"), payload.get("from")
    chat = parse_message_id(message_id).chat if isinstance(message_id, str) else None
    if chat is None and isinstance(sender, str):
        chat = normalise(sender)
    return kind_of(chat) if chat else None


def _moment(seconds: object) -> datetime | None:
    """Return a time that a message can have; WAHA means seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not math.isfinite(seconds) or not 0 < seconds < 10**11:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment if moment >= _EARLIEST else None
