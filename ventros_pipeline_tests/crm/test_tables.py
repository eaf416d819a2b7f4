from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Engine, func, insert, inspect, select, text

from ventros_pipeline.crm import tables
from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline_tests.crm.catalog import catalog

OUTBOX_ROW = """
    INSERT INTO outbox_events
        (event_id, aggregate_id, aggregate_type, event_type, event_data, status)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'channel', 'channel.tested', '{}', %s)
    RETURNING id::text"""


@pytest.mark.parametrize("part", ["columns", "constraints", "indexes"])
def test_the_core_tables_and_the_live_database_are_equal(
    part: str, engine: Engine, new_database: Callable[[], str]
) -> None:
    mirror = connect(new_database())
    tables.metadata.create_all(mirror)
    live, mirrored = catalog(engine)[part], catalog(mirror)[part]
    mirror.dispose()
    assert live, "nothing was compared"
    assert live - mirrored == set(), "in the database only"
    assert mirrored - live == set(), "in tables.py only"


def test_every_crm_table_has_a_core_table(engine: Engine) -> None:
    live = set(inspect(engine).get_table_names(schema="public"))
    assert live == {table.name for table in tables.metadata.tables.values()}
    assert len(live) == 24


def test_messages_has_the_28_indexes_that_an_import_really_pays_for(engine: Engine) -> None:
    with engine.connect() as connection:
        indexes = connection.scalar(
            text("SELECT count(*) FROM pg_indexes WHERE tablename = 'messages'")
        )
    assert indexes == 28


def test_an_empty_database_gets_channel_types_and_reserved_agents(engine: Engine) -> None:
    with engine.connect() as connection:
        types = connection.execute(
            select(tables.channel_types.c.id, tables.channel_types.c.name).order_by("id")
        ).all()
        agents = connection.execute(
            select(tables.agents.c.id, tables.agents.c.name, tables.agents.c.tenant_id).order_by(
                "id"
            )
        ).all()
    assert [tuple(row) for row in types] == [
        (1, "waha"),
        (2, "whatsapp"),
        (3, "direct_ig"),
        (4, "messenger"),
        (5, "telegram"),
    ]
    assert [str(row.id)[-2:] for row in agents] == ["01", "02", "03", "04", "05", "10", "99"]
    assert agents[-1].name == "System - Default"
    assert {row.tenant_id for row in agents} == {"system"}


def test_a_json_none_is_null_and_not_the_json_value_null(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(tables.users).values(
                name="A", email="a@example.org", password_hash="", settings=None
            )
        )
        found = connection.scalar(
            select(func.count())
            .select_from(tables.users)
            .where(tables.users.c.email == "a@example.org", tables.users.c.settings.is_(None))
        )
    assert found == 1


def test_the_outbox_notifies_for_pending_rows_and_not_for_processed_ones(database_url: str) -> None:
    target = libpq_url(database_url)
    with (
        psycopg.connect(target, autocommit=True) as listener,
        psycopg.connect(target, autocommit=True) as writer,
    ):
        listener.execute("LISTEN outbox_events")
        writer.execute(OUTBOX_ROW, ["processed"])
        pending = writer.execute(OUTBOX_ROW, ["pending"]).fetchone()
        heard = [note.payload for note in listener.notifies(timeout=2, stop_after=1)]
        heard += [note.payload for note in listener.notifies(timeout=0.2)]
    assert pending is not None
    assert heard == [pending[0]]
