"""The original's way of importing, imitated fairly: chat by chat, a transaction for each message.

For each message it looks up the contact, the open session and a duplicate, writes the row and the
session's counters, and commits. Left out, in its favour: the 10 ms that the original sleeps for
each event, its 500 ms between pages, its object mapper, and what failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import psycopg

from ventros_pipeline.crm.channels import Channel, get_channel
from ventros_pipeline.crm.database import connect, libpq_url

PAGE = 100
_CONTACT = """
    SELECT id FROM contacts WHERE project_id = %s AND phone = %s AND deleted_at IS NULL LIMIT 1"""
_NEW_CONTACT = """
    INSERT INTO contacts (id, project_id, tenant_id, name, phone, tags, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s, '["whatsapp"]', now(), now())"""
_SESSION = """
    SELECT id, last_activity_at FROM sessions
    WHERE contact_id = %s AND status = 'active' AND deleted_at IS NULL
    ORDER BY started_at DESC LIMIT 1"""
_END_SESSION = """
    UPDATE sessions SET status = 'ended', ended_at = last_activity_at, updated_at = now()
    WHERE id = %s"""
_NEW_SESSION = """
    INSERT INTO sessions (id, contact_id, tenant_id, channel_type_id, started_at, last_activity_at,
        created_at, updated_at)
    VALUES (%s, %s, %s, 1, %s, %s, now(), now())"""
_EVENT = """
    INSERT INTO outbox_events (id, event_id, aggregate_id, aggregate_type, event_type, event_data,
        status)
    VALUES (%s, %s, %s, %s, %s, %s, 'processed')"""
_DUPLICATE = """
    SELECT id FROM messages WHERE channel_message_id = %s AND deleted_at IS NULL LIMIT 1"""
_NEW_MESSAGE = """
    INSERT INTO messages (id, tenant_id, "timestamp", user_id, project_id, channel_type_id, from_me,
        channel_id, contact_id, session_id, content_type, text, channel_message_id, status,
        agent_id, source, metadata, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s, 1, %s, %s, %s, %s, 'text', %s, %s, 'sent', %s, 'history_import', %s,
        now(), now())"""
_COUNT = """
    UPDATE sessions SET message_count = message_count + 1, last_activity_at = %s, updated_at = now()
    WHERE id = %s"""


def import_one_by_one(database: str, channel_key: str, url: str, key: str) -> int:
    """Import every chat; return how many messages were written."""
    engine = connect(database)
    channel = get_channel(engine, channel_key)
    engine.dispose()
    written = 0
    with (
        httpx.Client(base_url=url, headers={"X-Api-Key": key}, timeout=300) as client,
        psycopg.connect(libpq_url(database)) as session,
    ):
        for chat in _chats(client, channel.session):
            for row in _messages(client, channel.session, chat):
                written += _write(session, channel, chat, row)
    return written


def _chats(client: httpx.Client, session: str) -> list[str]:
    answer = client.get(f"/api/{session}/chats", params={"limit": 100_000, "merge": "false"})
    return [row["id"] for row in answer.raise_for_status().json()]


def _messages(client: httpx.Client, session: str, chat: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        answer = client.get(
            f"/api/{session}/chats/{quote(chat, safe='')}/messages",
            params={
                "limit": PAGE,
                "offset": offset,
                "downloadMedia": "false",
                "merge": "false",
                "sortOrder": "asc",
            },
        )
        rows = answer.raise_for_status().json()
        yield from rows
        if not rows:
            return
        offset += PAGE


def _write(
    session: psycopg.Connection[Any], channel: Channel, chat: str, row: dict[str, Any]
) -> int:
    at = datetime.fromtimestamp(row["timestamp"], UTC)
    with session.transaction(), session.cursor() as cursor:
        contact = _contact(cursor, channel, chat.partition("@")[0])
        opened = _session(cursor, channel, contact, at)
        if cursor.execute(_DUPLICATE, (row["id"],)).fetchone():
            return 0
        values = (
            *(uuid4(), channel.tenant_id, at, channel.user_id, channel.project_id, row["fromMe"]),
            *(channel.id, contact, opened, (row.get("body") or "").replace("\x00", "")),
            *(row["id"], channel.agent_id, json.dumps({"ack": row.get("ack"), "chat": chat})),
        )
        cursor.execute(_NEW_MESSAGE, values)
        cursor.execute(_COUNT, (at, opened))
    return 1


def _contact(cursor: psycopg.Cursor[Any], channel: Channel, phone: str) -> UUID:
    found = cursor.execute(_CONTACT, (channel.project_id, phone)).fetchone()
    if found:
        return found[0]  # type: ignore[no-any-return]
    made = uuid4()
    cursor.execute(_NEW_CONTACT, (made, channel.project_id, channel.tenant_id, phone, phone))
    _event(cursor, made, "contact", "contact.created")
    return made


def _session(cursor: psycopg.Cursor[Any], channel: Channel, contact: UUID, at: datetime) -> UUID:
    found = cursor.execute(_SESSION, (contact,)).fetchone()
    if found and at - found[1] <= channel.session_timeout:
        return found[0]  # type: ignore[no-any-return]
    if found:
        cursor.execute(_END_SESSION, (found[0],))
    made = uuid4()
    cursor.execute(_NEW_SESSION, (made, contact, channel.tenant_id, at, at))
    _event(cursor, made, "session", "session.started")
    return made


def _event(cursor: psycopg.Cursor[Any], about: UUID, kind: str, name: str) -> None:
    values = (uuid4(), uuid4(), about, kind, name, json.dumps({"id": str(about)}))
    cursor.execute(_EVENT, values)
