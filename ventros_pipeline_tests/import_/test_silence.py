"""An import wakes nobody: no notification, no bot, no timer, no webhook, no bill starts from a row.

What a running CRM reacts to is written here as one table, `WATCHED`, after what is known of its
workers: each table that one of them reads, the rows that it takes, and what would happen then.
Tables that `0001_crm_baseline.sql` lacks are made here, so that an import which wrote to them in a
real CRM would be caught, too. Timers and queues outside of Postgres start from the outbox alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import Notify
from sqlalchemy import Connection, Engine

from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.crm.enrichment import Order, enrich
from ventros_pipeline.crm.merging import settle_people, undo_merge
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline_tests.import_.conftest import START_A, MakeWorld
from ventros_pipeline_tests.import_.world import NOW, World, at, message, write_account

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
MORNING = at("2026-06-02 10:00")
# The only events of an import that anybody may hear. `requested` is not among them: it is the CRM's
# own command, whose consumer starts the CRM's own import of the same channel.
OWN_EVENTS = tuple(
    f"channel.history_import.{event}" for event in ("enabled", "started", "completed", "failed")
)
Serve = Callable[[Path], ReplayServer]


@dataclass(frozen=True)
class Watched:
    """A table that a worker of the CRM reads.

    Attributes:
        waking: SQL condition of the rows that it acts on.
        reason: who reads it and what would happen.
        plant: a statement that makes one such row.
        columns: how the table looks where the baseline lacks it; of those without known columns
            only the number of rows counts.
    """

    table: str
    waking: str
    reason: str
    plant: str
    columns: str = ""


ANY_ROW = "true"
BARE = (
    "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz, deleted_at timestamptz"
)
ONE = "SELECT id FROM {} ORDER BY id LIMIT 1"
GROUP = """
    INSERT INTO message_groups VALUES (
        gen_random_uuid(), (SELECT id FROM contacts LIMIT 1), (SELECT id FROM channels LIMIT 1),
        (SELECT id FROM sessions LIMIT 1), 'tenant', '{}', '%s', now(), NULL, now(), now(), now()
    )
"""
OUTBOX = """
    INSERT INTO outbox_events (
        event_id, aggregate_id, aggregate_type, event_type, event_data, status
    ) VALUES (gen_random_uuid(), gen_random_uuid(), 'x', '%s', '{}', '%s')
"""


def bare(table: str, reason: str) -> Watched:
    """Return a table whose columns are not known: an import has no business there at all."""
    return Watched(table, ANY_ROW, reason, f"INSERT INTO {table} DEFAULT VALUES", BARE)


WATCHED = (
    Watched(
        "outbox_events",
        f"status <> 'processed' AND event_type NOT IN {OWN_EVENTS}",
        "The API hears each pending row, drains 1,000 at start-up and publishes them: contact "
        "events, business webhooks, session timers. A worker would retry failed ones.",
        OUTBOX % ("contact.created", "failed"),
    ),
    Watched(
        "message_groups",
        "status IN ('pending', 'processing')",
        "A worker sends pending and expired groups to the AI agent every 5 seconds, however old.",
        GROUP % "pending",
    ),
    Watched(
        "message_groups",
        "status = 'expired'",
        "The same worker, the same agent.",
        GROUP % "expired",
    ),
    Watched(
        "message_enrichments",
        "status IN ('pending', 'processing')",
        "A worker has each of them transcribed or described, for money. Only media_enrichment asks "
        "for that.",
        GROUP % "completed"
        + """;
        INSERT INTO message_enrichments (message_id, message_group_id, content_type, provider,
            media_url)
        SELECT m.id, g.id, 'voice', 'whisper', 'https://example.com/a'
        FROM (SELECT id FROM messages LIMIT 1) AS m, (SELECT id FROM message_groups LIMIT 1) AS g
        """,
    ),
    Watched(
        "agent_ai_interactions",
        ANY_ROW,
        "What was sent to the AI agent for a group.",
        "INSERT INTO agent_ai_interactions (id, concatenated_content, message_count) "
        "VALUES (gen_random_uuid(), 'x', 1)",
        "id uuid PRIMARY KEY, concatenated_content text NOT NULL, message_count bigint NOT NULL, "
        "sent_to_ai boolean NOT NULL DEFAULT false",
    ),
    Watched(
        "sessions",
        "status = 'active'",
        "A timer ends active sessions, and a live message would join one of years ago.",
        f"UPDATE sessions SET status = 'active' WHERE id = ({ONE.format('sessions')})",
    ),
    Watched(
        "sessions",
        "ended_at IS NULL",
        "The same timer.",
        f"UPDATE sessions SET ended_at = NULL WHERE id = ({ONE.format('sessions')})",
    ),
    Watched(
        "agent_sessions",
        "is_active",
        "An agent is at work in the session: routing counts it against the agent's load.",
        "INSERT INTO agent_sessions (agent_id, session_id, joined_at) "
        f"SELECT ({ONE.format('agents')}), ({ONE.format('sessions')}), now()",
    ),
    Watched(
        "contact_events",
        "is_realtime AND NOT delivered",
        "The timeline pushes undelivered events to whoever looks at the contact.",
        "INSERT INTO contact_events (contact_id, tenant_id, event_type, category, priority, "
        f"source, occurred_at) SELECT ({ONE.format('contacts')}), 't', 'session.started', "
        "'session', 'normal', 'system', now()",
    ),
    Watched(
        "domain_event_logs",
        ANY_ROW,
        "The copy of what was published; a row means that something was.",
        "INSERT INTO domain_event_logs (event_type, aggregate_id, aggregate_type, tenant_id, "
        "occurred_at, published_at) VALUES ('x', gen_random_uuid(), 'x', 't', now(), now())",
    ),
    Watched(
        "processed_events",
        ANY_ROW,
        "The consumers' memory; a row means that one reacted, or never will to that event.",
        "INSERT INTO processed_events (event_id, consumer_name) VALUES (gen_random_uuid(), 'x')",
    ),
    Watched(
        "webhook_subscriptions",
        "last_triggered_at IS NOT NULL OR success_count + failure_count > 0",
        "A delivery to a customer's own system.",
        "UPDATE webhook_subscriptions SET last_triggered_at = now()",
        "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, url text NOT NULL, "
        "events text[], active boolean DEFAULT true, last_triggered_at timestamptz, "
        "success_count bigint DEFAULT 0, failure_count bigint DEFAULT 0",
    ),
    Watched(
        "channels",
        "history_import_status = 'importing'",
        "While it stands there the CRM puts incoming webhooks into a queue that nobody empties.",
        "UPDATE channels SET history_import_status = 'importing'",
    ),
    Watched(
        "channels",
        "messages_received > 0 OR messages_sent > 0",
        "Counters of live traffic.",
        "UPDATE channels SET messages_received = 1",
    ),
    bare("automations", "Rules that fire on events and timers."),
    bare("broadcasts", "Scheduled sending to lists."),
    bare("campaigns", "Scheduled sending to lists."),
    bare("sequences", "Series of messages by the clock."),
    bare("sequence_steps", "Series of messages by the clock."),
    bare(
        "sequence_enrollments", "Who is in such a series: the next message goes out by the clock."
    ),
    bare("contact_event_store", "Event sourcing: projections follow it."),
    bare("tracking_enrichments", "Asks Meta's ads interface for each tracking."),
    bare("usage_meters", "What the customer's bill is computed from."),
    bare("invoices", "A bill."),
    bare("subscriptions", "A bill every month."),
)
SUBSCRIBED = (
    "INSERT INTO webhook_subscriptions (name, url, events) "
    "VALUES ('ERP', 'https://erp.example.com', '{message.received,contact.created}')"
)


@dataclass
class Listener:
    """Listens as the CRM's API does."""

    engine: Engine
    _payloads: list[str] = field(default_factory=list)

    def __enter__(self) -> Listener:
        url = libpq_url(self.engine.url.render_as_string(hide_password=False))
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.add_notify_handler(self._note)
        self._connection.execute("LISTEN outbox_events")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _note(self, notify: Notify) -> None:
        self._payloads.append(notify.payload)

    def heard(self) -> list[str]:
        """Return the types of all events heard so far; notifications come in order of commits."""
        last = str(uuid4())
        self._connection.execute("SELECT pg_notify('outbox_events', %s)", (last,))
        while last not in self._payloads:
            self._connection.execute("SELECT")
        self._payloads.remove(last)
        with self.engine.connect() as connection:
            types = connection.execute(
                sa.text("SELECT event_type FROM outbox_events WHERE id::text = ANY(:ids)"),
                {"ids": self._payloads},
            )
            return sorted(types.scalars())


def furnish(engine: Engine) -> None:
    """Make the tables of a real CRM that the baseline lacks, with a customer who wants to hear."""
    with engine.begin() as connection:
        there = set(sa.inspect(connection).get_table_names(schema="public"))
        for watched in WATCHED:
            if watched.table not in there:
                connection.execute(sa.text(f"CREATE TABLE {watched.table} ({watched.columns})"))
                there.add(watched.table)
        connection.execute(sa.text(SUBSCRIBED))


def violations(connection: Connection) -> dict[str, int]:
    """Count the rows that would wake somebody, by table and condition."""
    counts = {}
    for watched in WATCHED:
        statement = f"SELECT count(*) FROM {watched.table} WHERE {watched.waking}"
        counts[f"{watched.table}: {watched.waking}"] = connection.execute(sa.text(statement))
    return {name: rows for name, result in counts.items() if (rows := result.scalar_one())}


def assert_silent(world: World, listener: Listener) -> None:
    with world.engine.connect() as connection:
        assert violations(connection) == {}
    assert [event for event in listener.heard() if event not in OWN_EVENTS] == []


@pytest.fixture(scope="module")
def silent_a(
    empty_world: MakeWorld, replayed_a: ReplayServer, now_a: datetime
) -> Iterator[tuple[World, Listener]]:
    """Account A, imported in full over HTTP while somebody listens."""
    world = empty_world(replayed_a.url, start=START_A, now=now_a)
    furnish(world.engine)
    with Listener(world.engine) as listener:
        world.import_days()
        yield world, listener


@pytest.fixture
def listener(world: World) -> Iterator[Listener]:
    """Somebody who listens to the test's own CRM."""
    furnish(world.engine)
    with Listener(world.engine) as listener:
        yield listener


def test_a_full_import_wakes_nobody(silent_a: tuple[World, Listener]) -> None:
    world, listener = silent_a
    assert world.value("SELECT count(*) FROM messages") > 8000
    assert world.value("SELECT count(*) FROM sessions") > 1000
    assert_silent(world, listener)


def test_importing_again_wakes_nobody(silent_a: tuple[World, Listener], now_a: datetime) -> None:
    """Two hours later, so that the lists are read anew as well."""
    world, listener = silent_a
    world.import_days(now=now_a + timedelta(hours=2))
    assert_silent(world, listener)


@pytest.mark.parametrize("watched", WATCHED, ids=lambda watched: f"{watched.table}")
def test_each_kind_of_violation_would_be_found(
    silent_a: tuple[World, Listener], watched: Watched
) -> None:
    world, _ = silent_a
    with world.engine.connect() as connection:
        assert violations(connection) == {}
        for statement in watched.plant.split(";"):
            connection.execute(sa.text(statement))
        found = violations(connection)
        connection.rollback()
    assert found[f"{watched.table}: {watched.waking}"] >= 1


@pytest.mark.parametrize(
    ("event", "status", "heard"),
    [
        ("message.created", "pending", True),
        ("session.started", "pending", True),
        ("channel.history_import.requested", "pending", True),
        ("contact.created", "processed", False),
    ],
)
def test_a_listener_hears_what_is_pending_and_only_that(
    world: World, listener: Listener, event: str, status: str, heard: bool
) -> None:
    world.execute(OUTBOX % (event, status))
    assert listener.heard() == [event] * heard
    if heard:
        with pytest.raises(AssertionError):
            assert_silent(world, listener)


@pytest.mark.parametrize("event", OWN_EVENTS)
def test_the_channels_own_events_may_be_heard(world: World, listener: Listener, event: str) -> None:
    world.execute(OUTBOX % (event, "pending"))
    assert listener.heard() == [event]
    assert_silent(world, listener)


def test_the_trigger_is_the_crms_own(engine: Engine) -> None:
    """As it is known: after insert, for each row, when it is pending, with the row's id."""
    with engine.connect() as connection:
        [definition] = connection.execute(
            sa.text(
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
                "AND tgrelid = 'outbox_events'::regclass"
            )
        ).scalars()
    assert "trigger_notify_outbox_event AFTER INSERT ON public.outbox_events" in definition
    assert "FOR EACH ROW WHEN (((new.status)::text = 'pending'::text))" in definition


def test_people_who_merge_and_part_wake_nobody(
    world: World, replay: Serve, listener: Listener, tmp_path: Path
) -> None:
    rows = [
        (ANA, message(ANA, "P1", MORNING, push_name="Ana")),
        (ANA_LID, message(ANA_LID, "L1", MORNING + 120)),
        (ANA_LID, message(ANA_LID, "L2", MORNING + 7200, from_me=True)),
    ]
    replay(write_account(tmp_path / "account", rows))
    world.import_days()
    learned = Evidence(ANA_LID, "5511980000001@c.us", "lids", datetime(2026, 6, 29, tzinfo=UTC))
    merged = settle_people(world.engine, world.channel, str(uuid4()), [learned])
    assert merged.merged == 1
    assert_silent(world, listener)
    merge = world.value("SELECT merge_id::text FROM history_sync.merges")
    undo_merge(world.engine, world.channel, str(merge), str(uuid4()))
    assert_silent(world, listener)


def test_tombstones_that_come_and_go_wake_nobody(
    world: World, replay: Serve, listener: Listener, tmp_path: Path
) -> None:
    rows = [(ANA, message(ANA, name, MORNING + 60 * n)) for n, name in enumerate("ABC")]
    server = replay(write_account(tmp_path / "account", rows))
    deleted = "SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL"

    def read_again(times: int) -> None:
        for _ in range(times):
            world.import_days(now=NOW + timedelta(minutes=len(world.run_ids)))

    read_again(2)
    found: Any = server.account.row("B")
    assert server.account.revoke("B")
    read_again(2)
    assert world.value(deleted) == 1
    assert_silent(world, listener)
    server.account.put_message(ANA, found[1])
    read_again(2)
    assert world.value(deleted) == 0
    assert_silent(world, listener)


def test_a_request_for_enrichment_wakes_the_enrichment_worker_and_nobody_else(
    world: World, replay: Serve, listener: Listener, tmp_path: Path
) -> None:
    node = {"mimetype": "audio/ogg", "ptt": True, "seconds": 30}
    row = message(ANA, "V1", MORNING, None, content={"audioMessage": node}, hasMedia=True)
    replay(write_account(tmp_path / "account", [(ANA, row)]))
    world.import_days()
    world.execute("UPDATE messages SET media_url = 'https://files.example.com/v1.ogg'")
    prices = dict.fromkeys(("whisper", "vision", "ffmpeg", "llamaparse"), 0.01)

    assert enrich(world.engine, world.channel, Order(prices), str(uuid4())).messages == 1

    with world.engine.connect() as connection:
        assert violations(connection) == {
            "message_enrichments: status IN ('pending', 'processing')": 1
        }
    assert listener.heard() == []
