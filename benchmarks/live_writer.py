"""The CRM's webhook path, imitated: what writes the same tables while an import runs.

As the CRM does it, faults included: ids full or bare, as WAHA delivered them, a number looked up in
the spelling it came in and a new contact where that finds none, sessions of its own, no chat, the
time divided by a thousand, no lock, and an INSERT without ON CONFLICT whose error the caller
swallows. A deadlock makes the delivery fail, and WAHA delivers again.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import psycopg

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.database import libpq_url

SHAPES = ("full", "bare", "engine")
_FIND_CONTACT = """
    SELECT id FROM contacts WHERE project_id = %(project)s AND phone = %(phone)s
      AND deleted_at IS NULL ORDER BY created_at LIMIT 1"""
_ADD_CONTACT = """
    INSERT INTO contacts (project_id, tenant_id, name, email, phone, tags, created_at, updated_at)
    VALUES (%(project)s, %(tenant)s, %(phone)s, '', %(phone)s, '["whatsapp"]', now(), now())
    RETURNING id"""
_FIND_SESSION = """
    SELECT id FROM sessions WHERE contact_id = %(contact)s AND status = 'active'
      AND deleted_at IS NULL ORDER BY started_at DESC LIMIT 1"""
_ADD_SESSION = """
    INSERT INTO sessions (contact_id, tenant_id, channel_type_id, started_at, last_activity_at,
        created_at, updated_at)
    VALUES (%(contact)s, %(tenant)s, 1, now(), now(), now(), now()) RETURNING id"""
_TOUCH = (
    "UPDATE contacts SET last_interaction_at = now(), version = version + 1 WHERE id = %(contact)s",
    "UPDATE sessions SET message_count = message_count + 1, last_activity_at = now() "
    "WHERE id = %(session)s",
)
_ADD_MESSAGE = """
    INSERT INTO messages (tenant_id, timestamp, user_id, project_id, channel_type_id, from_me,
        channel_id, contact_id, session_id, content_type, text, channel_message_id, status, source,
        metadata, created_at, updated_at)
    VALUES (%(tenant)s, to_timestamp(%(second)s / 1000.0), %(user)s, %(project)s, 1, %(from_me)s,
        %(channel)s, %(contact)s, %(session)s, 'text', %(text)s, %(waha_id)s, 'sent', 'webhook',
        '{"source": "app"}', now(), now())"""


@dataclass(frozen=True)
class Delivery:
    """One message as WAHA delivers it to the CRM.

    Attributes:
        waha_id: in the one shape that WAHA uses for this message.
        phone: what the CRM takes for the correspondent's number: digits of a number or of a LID.
    """

    waha_id: str
    phone: str
    second: int
    from_me: bool
    text: str | None


def deliveries(rows: Sequence[Mapping[str, Any]], own_phone: str) -> list[Delivery]:
    """Return what a webhook would have got of an account's messages, each message once.

    Args:
        rows: lines of `messages.ndjson`.
        own_phone: digits of the account's own number.
    """
    found: dict[str, Delivery] = {}
    for row in rows:
        chat, message = row["chatId"], row["message"]
        second = message.get("timestamp")
        key = message["_data"].get("key", {})
        stanza, text = key.get("id"), message.get("body")
        if not chat.endswith(("@s.whatsapp.net", "@lid", "@g.us")) or type(second) is not int:
            continue
        if chat.split("@")[0] == own_phone or not stanza or "\x00" in (text or "\x00"):
            continue
        person = chat
        if chat.endswith("@g.us"):
            person = own_phone if message.get("fromMe") else key.get("participant") or chat
        # A webhook fires once for a message, whatever the store says of it later.
        if stanza not in found and not message["_data"].get("messageStubType"):
            found[stanza] = Delivery(
                _shaped(message["id"], stanza),
                _spelled(person.split("@")[0].split(":")[0]),
                second,
                bool(message.get("fromMe")),
                text,
            )
    return list(found.values())


def _shaped(full: str, stanza: str) -> str:
    match SHAPES[crc32(stanza.encode()) % len(SHAPES)]:
        case "bare":
            return stanza
        case "engine":
            return full.replace("@c.us", "@s.whatsapp.net")
    return full


def _spelled(digits: str) -> str:
    """Return the spelling that this person's number always comes in."""
    return ("", "+")[crc32(digits.encode()) % 2] + digits


@dataclass
class LiveWriter:
    """One worker of the webhook path.

    Attributes:
        done: what became of the deliveries: stored, refused (by the unique index), again (after a
            deadlock); anything else is an error by its name.
    """

    url: str
    channel: Channel
    work: Sequence[Delivery]
    seed: int
    pause: float = 0.005
    stop: threading.Event = field(default_factory=threading.Event)
    done: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Deliver in random order until everything is delivered, or until somebody says stop."""
        order = random.Random(self.seed)
        with psycopg.connect(libpq_url(self.url), autocommit=True) as connection:
            for delivery in order.sample(self.work, len(self.work)):
                if self.stop.wait(order.uniform(0, 2 * self.pause)):
                    return
                while not self._deliver(connection, delivery):
                    self.done["again"] += 1

    def _deliver(self, connection: psycopg.Connection[Any], delivery: Delivery) -> bool:
        try:
            self.store(connection, delivery)
        except psycopg.errors.UniqueViolation:
            self.done["refused"] += 1
        except psycopg.errors.DeadlockDetected:
            return False
        except psycopg.Error as error:
            self.done[type(error).__name__] += 1
        else:
            self.done["stored"] += 1
        return True

    def store(self, connection: psycopg.Connection[Any], delivery: Delivery) -> None:
        """Store one delivery as the CRM does."""
        values: dict[str, Any] = {
            **vars(delivery),
            "project": self.channel.project_id,
            "tenant": self.channel.tenant_id,
            "user": self.channel.user_id,
            "channel": self.channel.id,
        }
        for name, find, add in (
            ("contact", _FIND_CONTACT, _ADD_CONTACT),
            ("session", _FIND_SESSION, _ADD_SESSION),
        ):
            row = (
                connection.execute(find, values).fetchone()
                or connection.execute(add, values).fetchone()
            )
            values[name] = row[0] if row else None
        with connection.transaction():
            for statement in (*_TOUCH, _ADD_MESSAGE):
                connection.execute(statement, values)
