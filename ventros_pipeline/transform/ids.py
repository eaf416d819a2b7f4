"""Deterministic ids: the same message, person or chat has the same UUID in any database.

RFC 9562 version 5 (SHA-1 over a namespace and a name), written out because `uuid.uuid5` spends four
fifths of its time building objects; the values are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

NAMESPACE = UUID("6f1c2a52-7f0e-5d0b-9a57-3f3a1d1f7c11")


def uuid_of(*parts: str) -> str:
    """Return the UUID (text) of a name made of `parts`; parts never hold U+001F."""
    digest = hashlib.sha1(NAMESPACE.bytes + "\x1f".join(parts).encode(), usedforsecurity=False)
    value = int.from_bytes(digest.digest()[:16], "big")
    value = value & ~(0xF << 76) | (5 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def contact_id(project_id: str, address: str) -> str:
    """Return the id of the contact first known by `address` (its canonical form) in a project."""
    return uuid_of("contact", project_id, address)


def chat_id(project_id: str, address: str) -> str:
    """Return the id of the conversation with `address` (its canonical form) in a project."""
    return uuid_of("chat", project_id, address)


def message_ids(channel_id: str, chats: Iterable[str], stanzas: Iterable[str]) -> list[str]:
    """Return the ids of messages, one for each pair of conversation and stanza id."""
    return [
        uuid_of("message", channel_id, chat, stanza)
        for chat, stanza in zip(chats, stanzas, strict=True)
    ]
