"""WhatsApp addresses (JIDs) and message ids, parsed in one place.

What belongs here: the normal form of an address, what kind of thing an address names, and the parts
of a serialized message id. What does not: whether two addresses are one person (that needs evidence
and lives with the identities), and anything about a message's content.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


class AddressKind(StrEnum):
    """What an address names."""

    PERSON = "person"
    LID = "lid"
    GROUP = "group"
    NEWSLETTER = "newsletter"
    BROADCAST = "broadcast"
    STATUS = "status"
    BOT = "bot"
    NULL = "null"
    UNKNOWN = "unknown"


class MessageId(NamedTuple):
    """The parts of a message id; a bare stanza id has only `stanza`."""

    from_me: bool | None
    chat: str | None
    stanza: str
    participant: str | None


# `hosted` and `hosted.lid` are the same people reached through Meta's hosted business accounts.
_SERVERS = {"s.whatsapp.net": "c.us", "hosted": "c.us", "hosted.lid": "lid"}
_KINDS = {
    "c.us": AddressKind.PERSON,
    "lid": AddressKind.LID,
    "g.us": AddressKind.GROUP,
    "newsletter": AddressKind.NEWSLETTER,
    "broadcast": AddressKind.BROADCAST,
    "bot": AddressKind.BOT,
    "meta.ai": AddressKind.BOT,
}
_DEVICE = re.compile(r"^(\d+)(?:_\d+)?(?::\d+)?$")
# Stanza ids may contain "_" (third-party clients make their own), so only a last part that looks
# like an address is a participant.
_SERIALIZED = re.compile(
    r"^(true|false)_(.+?@[A-Za-z.]+)_(.+?)(?:_([^_@]+@[A-Za-z.]+))?$", re.DOTALL
)


@lru_cache(maxsize=65536)
def normalise(address: str) -> str | None:
    """Return the one form under which an address is kept, or None for an empty one.

    Args:
        address: any form WAHA or an engine uses: `5511…@s.whatsapp.net`, `5511…:12@s.whatsapp.net`,
            `…_1:2@lid`, `5511…@C.US`, bare digits, `+5511…`.

    Returns:
        `user@server` with `@s.whatsapp.net` as `@c.us`, device and agent removed, the server in
        lower case; bare digits become `digits@c.us`. Text that is no address is returned as it is,
        so that a caller can count it under its own name.
    """
    text = address.strip()
    user, at, server = text.rpartition("@")
    if not at:
        digits = text.removeprefix("+")
        return f"{digits}@c.us" if digits.isascii() and digits.isdigit() else text or None
    server = _SERVERS.get(server.lower(), server.lower())
    if not user:
        return None
    if server in ("c.us", "lid") and (bare := _DEVICE.match(user)):
        user = bare[1]
    return f"{user}@{server}"


@lru_cache(maxsize=65536)
def kind_of(address: str) -> AddressKind:
    """Return what a normalised address names; never raises."""
    user, at, server = address.rpartition("@")
    kind = _KINDS.get(server, AddressKind.UNKNOWN) if at else AddressKind.UNKNOWN
    if kind is AddressKind.PERSON and user == "0":
        return AddressKind.NULL
    if kind is AddressKind.BROADCAST and user == "status":
        return AddressKind.STATUS
    return kind


def parse_message_id(message_id: str) -> MessageId:
    """Split `{fromMe}_{chat}_{stanza}[_{participant}]`; anything else is a bare stanza id.

    Args:
        message_id: WAHA's `id`, or the bare id that replies, edits and older GOWS payloads carry.

    Returns:
        The parts, addresses normalised. Never raises. The chat part may be `@lid` today and `@c.us`
        tomorrow for the same message, so only `stanza` is fit for a key.
    """
    match = _SERIALIZED.match(message_id)
    if match is None:
        return MessageId(None, None, message_id, None)
    from_me, chat, stanza, participant = match.groups()
    return MessageId(
        from_me == "true", normalise(chat), stanza, normalise(participant) if participant else None
    )
