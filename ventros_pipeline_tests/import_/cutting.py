"""What cutting every contact's whole history anew would change: nothing, after any load.

A load cuts only around what it brings. This is the rule without that bound, by the same statements.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.load import PLAN_SESSIONS, load_values
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.staging import stage_messages

_EVERYTHING = """
    INSERT INTO touched_contacts (contact_id, span)
    SELECT DISTINCT contact_id, tstzrange('-infinity', 'infinity', '[]')
    FROM history_sync.message_keys WHERE channel_id = %(channel_id)s
"""
_DIFFERENCES = """
    WITH cut AS (
        SELECT session_id, contact_id, min(at) AS first, max(at) AS last, count(*) AS messages,
            count(*) FILTER (WHERE from_me) AS answers
        FROM planned_sessions WHERE NOT is_theirs GROUP BY session_id, contact_id
    ), stored AS (
        SELECT id, s.contact_id, s.started_at, s.ended_at, message_count, messages_from_agent
        FROM public.sessions AS s INNER JOIN history_sync.sessions AS ours ON session_id = id
        WHERE ours.channel_id = %(channel_id)s
    )
    SELECT 'a message in another session', message_id
    FROM planned_sessions AS p
    INNER JOIN public.messages AS m ON m.id = p.message_id
    WHERE m.session_id IS DISTINCT FROM p.session_id
    UNION ALL
    SELECT 'other figures', coalesce(cut.session_id, stored.id)
    FROM cut FULL JOIN stored ON stored.id = cut.session_id
    WHERE cut IS DISTINCT FROM stored
    UNION ALL
    SELECT 'another time in the key', message_id
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.at <> m."timestamp"
    UNION ALL
    SELECT 'another time in our memory', id
    FROM public.sessions AS s
    INNER JOIN history_sync.sessions AS ours ON session_id = id
    WHERE (ours.contact_id, ours.started_at, ours.ended_at)
        <> (s.contact_id, s.started_at, s.ended_at)
"""


def badly_cut(engine: Engine, channel: Channel) -> list[tuple[Any, ...]]:
    """Return what differs from a cut of everything; nothing is kept of that."""
    values = load_values(channel, str(channel.id))
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            stage_messages(cursor)
            cursor.execute(_EVERYTHING, values)
            for statement in PLAN_SESSIONS:
                cursor.execute(read_sql(f"load/{statement}.sql"), values)
            cursor.execute(_DIFFERENCES, values)
            found = cursor.fetchall()
        raw.rollback()
    return found
