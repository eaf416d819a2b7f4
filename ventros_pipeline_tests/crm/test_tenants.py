"""Two tenants in one database, as the role that imports: neither reaches the other's rows."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

import ventros_pipeline
from ventros_pipeline.crm import doctor
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.checks import ONE_TENANT, prove
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel, of_project
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.test_revokes import mark_of
from ventros_pipeline_tests.import_.world import (
    KEY,
    KEY_VARIABLE,
    START,
    World,
    at,
    content,
    edited,
    message,
    write_account,
)

# Of the installation or of a WAHA server; every other table is the tenants'.
SHARED = {
    "alembic_version",
    "api_calls",
    "applied_sql",
    "courtesy_pace",
    "courtesy_slots",
    "installation",
}
# `ventros forget` writes them, as the owner of the CRM's tables.
READ_ONLY = {"erased", "erasures"}
NOW = datetime(2026, 6, 7, 12, tzinfo=UTC)
ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
ANA_LID = "210000000000001@lid"
Rows = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class House:
    """A database with two tenants.

    Attributes:
        root: passes every policy by; it plants, and looks at the truth.
        importer: the role that imports.
    """

    root: Engine
    importer: Engine
    ours: Channel
    theirs: Channel

    @property
    def both(self) -> tuple[Channel, Channel]:
        return self.ours, self.theirs


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    """Both tenants have their sessions on one WAHA server, whose key the operator gave to both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        named = f'{{"ventros": ["{KEY_VARIABLE}"], "beta": ["{KEY_VARIABLE}"]}}'
        patch.setenv("VENTROS_KEY_VARIABLES", named)
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayServer]:
    """An account whose import fills what an import can: merges, edits, revokes, quarantine."""
    first = message(ANA, "3EB0000A", at("2026-06-02 10:00"), "um", push_name="Ana")
    revoked = message(ANA, "3EB0000C", at("2026-06-02 10:02"), "nunca lido")
    rows: list[tuple[str, dict[str, Any] | bytes]] = [
        (ANA, first),
        (ANA, message(ANA, "3EB0000B", at("2026-06-02 10:01"), "dois", from_me=True, ack=3)),
        (ANA, mark_of(revoked, at("2026-06-02 10:02"))),
        (ANA_LID, message(ANA_LID, "3EB0000D", at("2026-06-04 10:00"), key={"remoteJidAlt": ANA})),
        (BIA, edited(message(BIA, "3EB0000E", at("2026-06-03 10:00")), "mais", at("2026-06-05"))),
        (BIA, b'{"id": 7, "timestamp": %d}' % at("2026-06-03 11:00")),
    ]
    folder = write_account(tmp_path_factory.mktemp("account"), rows, lids={ANA_LID: ANA})
    with ReplayServer(folder, api_key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def houses(
    postgres_server: EmbeddedServer, migrated_template: str, replayed: ReplayServer
) -> Iterator[Callable[[], House]]:
    """Makes houses, all with the same two tenants and channels, in which nothing was imported."""
    with ExitStack() as stack:
        first = stack.enter_context(fresh_database(postgres_server.url, migrated_template))
        root = connect(first)
        settle_in(root)
        channels = two_channels(root, replayed.url)
        root.dispose()
        template = root.url.database or ""

        def make() -> House:
            url = stack.enter_context(fresh_database(postgres_server.url, template))
            root = connect(url)
            importer = connect(root.url.set(username="ventros_importer"))
            for engine in (root, importer):
                stack.callback(engine.dispose)
            return House(root, importer, *channels)

        yield make


def settle_in(root: Engine) -> None:
    with root.begin() as connection:
        for script in (
            "DO $$ BEGIN CREATE ROLE ventros_importer LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            read_sql("roles/create_importer.sql"),
        ):
            connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def two_channels(root: Engine, url: str) -> tuple[Channel, Channel]:
    how = {"session": "default", "base_url": url, "api_key_env": KEY_VARIABLE, "agent": "History"}
    ours = add_channel(root, **how)
    with root.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO projects (user_id, billing_account_id, tenant_id, name)"
            " SELECT user_id, billing_account_id, 'beta', 'Beta' FROM projects WHERE id = %s",
            (ours.project_id,),
        )
    theirs = add_channel(root, project="Beta", **how)
    # As when it was added, for whoever reads it from now on.
    return replace(ours, is_shared=True), replace(theirs, is_shared=True)


# -- the matrix ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    name: str
    kind: str


VALUES = {
    "text": "x",
    "text[]": [],
    "uuid[]": [],
    "date": "2026-06-02",
    "timestamp with time zone": "2026-06-02 10:00+00",
    "boolean": False,
    "smallint": 1,
    "integer": 1,
    "bigint": 1,
    "jsonb": {},
    "bytea": "\\x" + "00" * 32,
}
# What a CHECK demands.
CHECKED = {
    ("separations", "other"): "y",
    ("coverage", "state"): "settled",
    ("imports", "status"): "completed",
    ("alerts", "topic"): "problem",
}


def made_row(table: str, columns: list[Column], channel: Channel) -> dict[str, Any]:
    """Return a row of a tenant; ids of one name are the same in all of a tenant's tables."""
    row: dict[str, Any] = {}
    for column in columns:
        if column.name == "channel_id":
            row[column.name] = str(channel.id)
        elif column.name == "project_id":
            row[column.name] = str(channel.project_id)
        elif column.kind == "uuid":
            row[column.name] = str(uuid5(channel.id, column.name))
        else:
            row[column.name] = CHECKED.get((table, column.name), VALUES[column.kind])
    return row


@pytest.fixture(scope="module")
def planted(houses: Callable[[], House]) -> House:
    """A house in which each tenant has one row in each of the tenants' tables."""
    house = houses()
    with house.root.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tenants_tables(house.root):
            needed = connection.execute(
                sa.text(
                    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                    " WHERE attrelid = to_regclass('history_sync.' || :table) AND attnum > 0"
                    " AND attnotnull AND NOT atthasdef AND attidentity = '' AND NOT attisdropped"
                ),
                {"table": table},
            )
            columns = [Column(*found) for found in needed]
            names = ", ".join(column.name for column in columns)
            for channel in house.both:
                row = json.dumps(made_row(table, columns, channel))
                connection.execute(
                    sa.text(
                        f"INSERT INTO history_sync.{table} ({names}) SELECT {names} FROM"
                        f" jsonb_populate_record(NULL::history_sync.{table}, CAST(:row AS jsonb))"
                    ),
                    {"row": row},
                )
    return house


def tables_of(root: Engine) -> list[str]:
    with root.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'history_sync'::regnamespace"
            " AND relkind IN ('r', 'p') ORDER BY relname"
        )
        return [str(name) for name in found.scalars()]


def tenants_tables(root: Engine) -> list[str]:
    return [table for table in tables_of(root) if table not in SHARED]


def test_every_table_of_the_schema_says_whose_its_rows_are(houses: Callable[[], House]) -> None:
    house = houses()
    with house.root.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,"
            " coalesce(array_agg(p.polname::text || ' ' || p.polcmd::text || ' ' ||"
            " p.polroles::text || ' ' || p.polpermissive::text) FILTER (WHERE p.oid IS NOT NULL),"
            " '{}') FROM pg_class AS c LEFT JOIN pg_policy AS p ON p.polrelid = c.oid"
            " WHERE c.relnamespace = 'history_sync'::regnamespace AND c.relkind IN ('r', 'p')"
            " GROUP BY c.oid"
        ).all()
    whose = {True: ["shared * {0} true"], False: ["tenant * {0} true"]}
    assert {table: (secured, policies) for table, secured, policies in rows} == {
        table: (True, whose[table in SHARED]) for table in tables_of(house.root)
    }


def outcome(engine: Engine, statement: str, **values: object) -> object:
    """Return what a statement does, and undo it: rows, how many it changed, or why it failed."""
    with engine.connect() as connection:
        try:
            result = connection.execute(sa.text(statement), values)
            return sorted(result.scalars()) if result.returns_rows else result.rowcount
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
                return "refused" if "row-level security" in str(error.orig) else "not permitted"
            # It passed the policy, and met what the planted rows lack.
            return type(error.orig).__name__
        finally:
            connection.rollback()


def test_no_statement_reaches_the_row_of_another_tenant(planted: House) -> None:
    wrong = []

    def expect(what: str, found: object, *allowed: object) -> None:
        if found not in allowed:
            wrong.append((what, found, allowed))

    engines = {
        "nobody": planted.importer,
        "ours": of_channel(planted.importer, planted.ours),
        "theirs": of_project(planted.importer, planted.theirs.project_id),
        "all": of_all_projects(planted.importer),
    }
    for table in tenants_tables(planted.root):
        place = f"history_sync.{table}"
        # A superuser is bound by nothing, so each row is told by its tenant's ids.
        every = outcome(planted.root, f"SELECT t::text FROM {place} AS t")
        assert isinstance(every, list)
        assert len(every) == 2, table
        mine = {
            whose: [row for row in every if named(row, channel)]
            for whose, channel in zip(("ours", "theirs"), planted.both, strict=True)
        }
        seen = {"nobody": [], **mine, "all": every}
        for whose, engine in engines.items():
            what = f"{table} as {whose}"
            expect(
                f"select {what}", outcome(engine, f"SELECT t::text FROM {place} AS t"), seen[whose]
            )
            column = first_column(planted.root, table)
            reached = "not permitted" if table in READ_ONLY else len(seen[whose])
            update = f"UPDATE {place} SET {column} = {column}"
            expect(f"update {what}", outcome(engine, update), reached)
            expect(f"delete {what}", outcome(engine, f"DELETE FROM {place}"), reached)
            for owner, [row] in mine.items():
                add = (
                    f"INSERT INTO {place} OVERRIDING SYSTEM VALUE SELECT (CAST(:row AS {place})).*"
                )
                found = outcome(engine, add, row=row)
                if table in READ_ONLY:
                    expect(f"insert {owner} {what}", found, "not permitted")
                elif row in seen[whose]:
                    expect(f"insert {owner} {what}", found, "UniqueViolation")
                else:
                    expect(f"insert {owner} {what}", found, "refused")
    assert wrong == []


def named(row: str, channel: Channel) -> bool:
    """Return whether a row holds an id of a tenant."""
    known = ("import_id", "merge_id")
    ids = [channel.id, channel.project_id, *(uuid5(channel.id, name) for name in known)]
    return any(str(found) in row for found in ids)


def first_column(root: Engine, table: str) -> str:
    with root.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped AND attidentity = '' ORDER BY attnum LIMIT 1",
            (f"history_sync.{table}",),
        )
        return str(found.scalar_one())


def test_no_row_is_given_to_another_tenant(planted: House) -> None:
    engine = of_channel(planted.importer, planted.ours)
    given = []
    for table in set(tenants_tables(planted.root)) - READ_ONLY:
        for column, value in (
            ("channel_id", planted.theirs.id),
            ("project_id", planted.theirs.project_id),
            ("import_id", uuid5(planted.theirs.id, "import_id")),
            ("merge_id", uuid5(planted.theirs.id, "merge_id")),
        ):
            found = outcome(engine, f"UPDATE history_sync.{table} SET {column} = :to", to=value)
            if found not in ("refused", "UndefinedColumn"):
                given.append((table, column, found))
    # The import and the merge themselves get the id of another one, and stay whose they were.
    assert sorted(given) == [
        ("imports", "import_id", "UniqueViolation"),
        ("merges", "merge_id", "UniqueViolation"),
        ("runs", "import_id", "ForeignKeyViolation"),
    ]


def test_a_key_cannot_refer_to_a_person_of_another_tenant(planted: House) -> None:
    engine = of_channel(planted.importer, planted.ours)
    theirs = uuid5(planted.theirs.id, "contact_id")
    for change in (
        "UPDATE history_sync.identities SET contact_id = :theirs",
        "UPDATE history_sync.merges SET kept = :theirs",
        "UPDATE history_sync.merges SET absorbed = :theirs",
        "UPDATE history_sync.people SET absorbed_by = :theirs",
    ):
        assert outcome(engine, change, theirs=theirs) == "ForeignKeyViolation", change


def test_a_connection_of_the_pool_keeps_nothing_of_whom_it_served(planted: House) -> None:
    asked = "SELECT pg_backend_pid(), count(*) FROM history_sync.people"
    engine = connect(planted.importer.url, pool_size=1, max_overflow=0)
    try:
        with of_channel(engine, planted.ours).connect() as connection:
            [served] = connection.exec_driver_sql(asked).all()
            connection.commit()
            [again] = connection.exec_driver_sql(asked).all()
        with engine.connect() as connection:
            [nobody] = connection.exec_driver_sql(asked).all()
    finally:
        engine.dispose()
    assert served[0] == again[0] == nobody[0]
    assert (served[1], again[1], nobody[1]) == (1, 1, 0)


# What serves no tenant, and needs none: it reads the CRM's tables, or those that are shared.
SERVE_NOBODY = {
    "crm/access.py": "keys of the API, and how often they call",
    "crm/channels.py": "the CRM's channels",
    "crm/courtesy.py": "turns at WAHA servers",
    "crm/database.py": "whether the server can be reached",
    "crm/doctor.py": "the database itself; of a channel it asks as its tenant",
    "crm/erasure.py": "which projects there are",
    "crm/lifecycle.py": "locks",
    "crm/migrate.py": "says for itself that it changes the rows of all",
    "crm/turns.py": "locks",
}


def test_every_other_transaction_says_whom_it_serves() -> None:
    """The tests that run as a superuser would not notice one that forgets it, and finds nothing."""
    package = Path(ventros_pipeline.__file__).parent
    silent, careless = set(), []
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = path.relative_to(package).as_posix()
        helpers = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            and node.args.args
            and node.args.args[0].arg == "served"
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if re.fullmatch(r"(self\.)?_?engine\.(begin|connect)", name):
                silent.add(place)
            if name in helpers and re.search(r"engine$", ast.unparse(call.args[0])):
                careless.append(f"{place}, line {call.lineno}")
    assert silent == SERVE_NOBODY.keys()
    assert careless == []


# -- whole imports -------------------------------------------------------------------------------


def imported(house: House, channel: Channel, home: Path) -> World:
    """Import as the role that may do little; all proofs and the doctor are asked as that role."""
    world = World(house.importer, home, channel, START, NOW)
    assert world.import_days()["inserted"] == 5
    # Again, with all that a second load looks up.
    world.import_days()
    world.assert_proved()
    doctor.examine(house.importer, channel)
    return world


def everything(root: Engine) -> Rows:
    """Return all rows of the CRM and of the tenants' tables, byte by byte."""
    with root.connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT c.oid::regclass::text FROM pg_class AS c WHERE relkind = 'r' AND relnamespace"
            " IN ('public'::regnamespace, 'history_sync'::regnamespace)"
        ).scalars()
        return {
            table: frozenset(
                connection.exec_driver_sql(f"SELECT t::text FROM {table} AS t").scalars()
            )
            for table in tables.all()
            if table.removeprefix("history_sync.") not in SHARED
        }


@pytest.fixture(scope="module")
def lived_in(houses: Callable[[], House], tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house in which both tenants have imported; tests give back what they change."""
    house, home = houses(), tmp_path_factory.mktemp("home")
    imported(house, house.ours, home)
    before = everything(house.root)
    imported(house, house.theirs, home)
    after = everything(house.root)
    touched = {table for table, rows in before.items() if rows - after[table]}
    assert touched == set()
    assert len(after["history_sync.message_keys"]) == 10
    return house


def test_two_tenants_end_as_each_one_would_alone(
    lived_in: House, houses: Callable[[], House], tmp_path: Path
) -> None:
    alone: list[dict[str, list[dict[str, Any]]]] = []
    for whose in ("ours", "theirs"):
        house = houses()
        world = imported(house, getattr(house, whose), tmp_path / whose)
        alone.append(content(replace(world, engine=house.root)))
    both = content(World(lived_in.root, tmp_path, lived_in.ours, START, NOW))
    assert all(rows for rows in both.values())
    for table, rows in both.items():
        assert by_text(rows) == by_text([*alone[0][table], *alone[1][table]]), table


def by_text(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(str(row["row"]) for row in rows)


def test_every_row_that_an_import_writes_has_its_channels_tenant(lived_in: House) -> None:
    """Walks the catalogue, so that a table of the CRM that is written one day is looked at."""
    found: dict[str, set[tuple[UUID | None, str | None]]] = {}
    with lived_in.root.connect() as connection:
        columns = connection.exec_driver_sql(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name IN ('project_id', 'tenant_id')"
            " GROUP BY table_name"
        ).all()
        for table, there in columns:
            wanted = [n if n in there else f"NULL AS {n}" for n in ("project_id", "tenant_id")]
            rows = connection.exec_driver_sql(f"SELECT {', '.join(wanted)} FROM {table}")
            found[table] = {(row[0], row[1]) for row in rows}
    known = {(c.project_id, c.tenant_id) for c in lived_in.both}
    for table in ("messages", "contacts", "chats"):
        assert found[table] == known, table
    tenants = {(None, tenant) for _, tenant in known}
    for table in ("sessions", "contact_custom_fields", "outbox_events"):
        assert {(None, tenant) for _, tenant in found[table]} in (tenants, set()), table
    assert found["sessions"] == tenants


CROSSED = {
    "messages": "UPDATE messages SET tenant_id = 'beta' WHERE id = :id",
    "contacts": "UPDATE contacts SET project_id = :theirs WHERE id = :id",
    "chats": "UPDATE chats SET tenant_id = 'beta' WHERE id = :id",
    "agents": "UPDATE agents SET project_id = :theirs, tenant_id = 'beta' WHERE id = :id",
}


def test_rows_of_two_tenants_in_one_channel_are_found_and_named_without_what_is_in_them(
    lived_in: House,
) -> None:
    channel = lived_in.ours
    with lived_in.root.begin() as connection:
        message_id, contact_id, chat_id, session_id, agent_id = connection.exec_driver_sql(
            "SELECT id::text, contact_id::text, chat_id::text, session_id::text, agent_id::text"
            " FROM messages WHERE channel_id = %s AND channel_message_id LIKE %s",
            (channel.id, "%3EB0000A"),
        ).one()
    ids = dict(zip(CROSSED, (message_id, contact_id, chat_id, agent_id), strict=True))
    assert prove(lived_in.importer, channel, ONE_TENANT).found == 0
    before = everything(lived_in.root)
    with lived_in.root.begin() as connection:
        kept = {
            table: connection.execute(
                sa.text(f"SELECT to_jsonb(t) FROM {table} AS t WHERE id = :id"), {"id": row}
            ).scalar_one()
            for table, row in ids.items()
        }
        for table, change in CROSSED.items():
            values = {"id": ids[table], "theirs": lived_in.theirs.project_id}
            connection.execute(sa.text(change), values)
    try:
        finding = prove(lived_in.importer, channel, ONE_TENANT)
        [complaint] = [
            c
            for c in doctor.examine(lived_in.importer, channel)
            if c.name == "row_of_another_tenant"
        ]
    finally:
        with lived_in.root.begin() as connection:
            for table, row in kept.items():
                connection.execute(
                    sa.text(
                        f"UPDATE {table} SET project_id = :project, tenant_id = :tenant"
                        " WHERE id = :id"
                    ),
                    {"project": row["project_id"], "tenant": row["tenant_id"], "id": row["id"]},
                )
    assert everything(lived_in.root) == before
    told = {(row["relation"], row["row_id"], row["another"]) for row in finding.sample}
    assert told >= {
        ("messages", message_id, "tenant"),
        ("contacts", contact_id, "project"),
        ("chats", chat_id, "tenant"),
        ("agents", agent_id, "project, tenant"),
        # A session's project is its contact's.
        ("sessions", session_id, "project"),
    }
    assert all(set(row) == {"day", "relation", "row_id", "another"} for row in finding.sample)
    assert complaint.found == finding.found == len(told)
    assert f"public.chats {chat_id} has another tenant" in complaint.plan


def test_a_channel_of_another_tenant_than_its_project_is_found(lived_in: House) -> None:
    rename = "UPDATE channels SET tenant_id = %s WHERE id = %s"
    with lived_in.root.begin() as connection:
        connection.exec_driver_sql(rename, ("beta", lived_in.ours.id))
    try:
        finding = prove(lived_in.importer, lived_in.ours, ONE_TENANT)
    finally:
        with lived_in.root.begin() as connection:
            connection.exec_driver_sql(rename, (lived_in.ours.tenant_id, lived_in.ours.id))
    assert ("channels", str(lived_in.ours.id)) in {
        (row["relation"], row["row_id"]) for row in finding.sample
    }
