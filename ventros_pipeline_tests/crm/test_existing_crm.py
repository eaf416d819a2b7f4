"""A CRM that was there before: its owner migrates it, a role that may do little imports into it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy import Engine, StaticPool, create_engine, text
from sqlalchemy.exc import ProgrammingError

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import doctor, media, merging
from ventros_pipeline.crm.channels import add_channel
from ventros_pipeline.crm.courtesy import PostgresCourtesy
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.erasure import find_person, find_project, forget
from ventros_pipeline.crm.migrate import migrate, status
from ventros_pipeline.crm.removing import RemovalError
from ventros_pipeline.crm.sql import read_sql, sql_dir
from ventros_pipeline.crm.tenants import of_all_projects, of_project
from ventros_pipeline.crm.undo import undo_run
from ventros_pipeline.media_store import MediaStore
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.courtesy import Limits
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.crm.catalog import catalog
from ventros_pipeline_tests.import_.test_live_writer import ANA, ANA_LID, BIA, MORNING, deliver
from ventros_pipeline_tests.import_.world import (
    KEY,
    KEY_VARIABLE,
    World,
    message,
    new_world,
    write_account,
)

CRM = Path(__file__).with_name("existing_crm.sql")
SECURED = {
    "projects",
    "pipelines",
    "pipeline_statuses",
    "contacts",
    "contact_pipeline_statuses",
    "messages",
    "sessions",
    "webhook_subscriptions",
    "channels",
}
_SECURITY = """
    SELECT format('%s %s owner %s, rls %s, granted %s', relkind, relname, relowner::regrole,
        relrowsecurity, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('%s %s %s %s', polrelid::regclass, polname, polroles::regrole[],
        pg_get_expr(polqual, polrelid))
    FROM pg_policy INNER JOIN pg_class ON pg_class.oid = polrelid
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT rolname FROM pg_roles"""


def run_script(engine: Engine, script: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


@pytest.fixture
def owner(postgres_server: EmbeddedServer) -> Iterator[Engine]:
    """The owner of a CRM that nobody has migrated yet."""
    with fresh_database(postgres_server.url) as url:
        root = connect(url)
        run_script(root, CRM.read_text(encoding="utf-8"))
        with root.begin() as connection:
            # The role is the server's, and may be there from a test before this one.
            connection.exec_driver_sql(
                "DO $$ BEGIN CREATE ROLE ventros_importer LOGIN; "
                "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
        engine = connect(root.url.set(username="ventros_owner"))
        yield engine
        engine.dispose()
        root.dispose()


@pytest.fixture
def importer_role(owner: Engine) -> Iterator[Engine]:
    """The role that imports, before it was given anything."""
    engine = connect(owner.url.set(username="ventros_importer"))
    yield engine
    engine.dispose()


@pytest.fixture
def importer(owner: Engine, importer_role: Engine) -> Engine:
    """The role that imports, in the migrated CRM."""
    migrate(owner)
    run_script(owner, read_sql("roles/create_importer.sql"))
    return importer_role


@pytest.fixture
def world(importer: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    return new_world(importer, tmp_path / "home", "http://127.0.0.1:9")


def security(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(text(_SECURITY)))


def test_the_crm_of_these_tests_is_what_the_real_one_is(owner: Engine) -> None:
    with owner.connect() as connection:
        tables = connection.scalar(
            text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        )
        indexes = connection.scalar(
            text("SELECT count(*) FROM pg_indexes WHERE tablename = 'messages'")
        )
        secured = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relrowsecurity")))
    assert (tables, indexes, secured) == (42, 28, SECURED)
    assert any("trigger_notify_outbox_event" in line for line in catalog(owner)["triggers"])


def test_migrating_it_adds_history_sync_and_touches_nothing_else(owner: Engine) -> None:
    before = catalog(owner), security(owner)
    assert status(owner).crm == "existing"
    applied = migrate(owner)
    assert [file.name for file in applied if file.skipped] == ["0001_crm_baseline.sql"]
    assert (catalog(owner), security(owner)) == before
    assert catalog(owner, "history_sync")["columns"]
    assert migrate(owner) == []


def test_what_was_remembered_before_tenants_were_kept_apart_is_each_ones_own(
    owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0022"))
        migrate(owner)
    root = connect(owner.url.set(username="postgres"))
    with root.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        [(project, channel)] = connection.exec_driver_sql(
            "WITH known AS ("
            " INSERT INTO history_sync.message_keys VALUES (gen_random_uuid(), gen_random_uuid(),"
            " 'A', gen_random_uuid(), gen_random_uuid(), 'true_a@c.us_A', 'a@c.us', '2026-06-02',"
            " 1, true, true, DEFAULT, now(), NULL, gen_random_uuid(), NULL, NULL, now())"
            " RETURNING *), person AS ("
            " INSERT INTO history_sync.people (contact_id, project_id)"
            " SELECT contact_id, gen_random_uuid() FROM known RETURNING project_id), place AS ("
            " INSERT INTO history_sync.places (message_id, day, waha_id, seen_at)"
            " SELECT message_id, day, waha_id, read_at FROM known)"
            " SELECT project_id, channel_id FROM person, known"
        ).all()
    root.dispose()
    assert migrate(owner)[0].name == "0023_tenants.sql"
    with of_project(owner, project).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM history_sync.people")) == 1
    with of_project(owner, uuid4()).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM history_sync.people")) == 0
    with of_all_projects(owner).connect() as connection:
        assert connection.scalar(text("SELECT channel_id FROM history_sync.places")) == channel


def serve(world: World, folder: Path) -> ReplayServer:
    server = ReplayServer(folder, api_key=KEY).start()
    world.channel = add_channel(
        world.engine,
        session="default",
        base_url=server.url,
        api_key_env=KEY_VARIABLE,
        allow_groups=True,
    )
    return server


def test_the_importer_imports_merges_buries_and_proves(
    world: World, owner: Engine, tmp_path: Path
) -> None:
    rows = [
        (ANA, message(ANA, "3EB0000A", MORNING)),
        (ANA_LID, message(ANA_LID, "3EB0000B", MORNING + 60)),
        (BIA, message(BIA, "3EB0000C", MORNING + 120)),
    ]
    folder = write_account(tmp_path / "account", rows)
    server = serve(world, folder)
    # The webhook is the CRM's and runs as its owner.
    crm = World(owner, world.home, world.channel)
    deliver(crm, "3EB0000C", "5511980000002")
    figures = world.import_days()
    assert (figures["inserted"], figures["seen"]) == (2, 3)
    contact = world.value("SELECT contact_id FROM messages WHERE channel_message_id LIKE '%0000B'")
    crm.execute("INSERT INTO sequence_enrollments (contact_id) VALUES (:id)", id=contact)

    # Who the LID is comes late, a row slips in, a message is taken back.
    alt = {"remoteJidAlt": ANA}
    server.account.put_message(ANA_LID, message(ANA_LID, "3EB0000D", MORNING + 180, key=alt))
    deliver(crm, "3EB0000A", "+5511980000001")
    world.import_days(now=world.now + timedelta(minutes=1))
    assert world.value("SELECT count(*) FROM contacts WHERE deleted_at IS NULL") == 2
    assert crm.value("SELECT contact_id FROM sequence_enrollments") != contact
    world.import_days(now=world.now + timedelta(minutes=2))
    assert server.account.revoke("3EB0000D")
    for minutes in (3, 4):
        world.import_days(now=world.now + timedelta(minutes=minutes))
    assert world.value(
        "SELECT count(*) FROM messages WHERE channel_message_id LIKE '%0000D' "
        "AND metadata #>> '{revoked,by}' = 'absence' AND deleted_at IS NOT NULL"
    )
    world.assert_proved()
    server.stop()


def test_dropping_the_schema_takes_everything_back_and_importing_again_doubles_nothing(
    world: World, owner: Engine, tmp_path: Path
) -> None:
    """The way back of all migrations: what was imported stays, as the CRM's own rows."""
    rows = [
        (ANA, message(ANA, "3EB0000A", MORNING)),
        (ANA, message(ANA, "3EB0000B", MORNING + 7200, from_me=True, ack=3)),
        (ANA_LID, message(ANA_LID, "3EB0000C", MORNING + 60)),
        (BIA, message(BIA, "3EB0000D", MORNING + 120)),
    ]
    server = serve(world, write_account(tmp_path / "account", rows, lids={ANA_LID: ANA}))
    assert world.import_days()["inserted"] == 4
    crm = World(owner, world.home, world.channel)
    tables = ("messages", "contacts", "chats", "sessions", "agent_sessions")

    def stored() -> dict[str, list[dict[str, object]]]:
        return {t: crm.rows(f"SELECT *, xmin::text FROM {t} ORDER BY id") for t in tables}

    before = stored(), catalog(owner)
    crm.execute("DROP SCHEMA history_sync CASCADE")
    assert (stored(), catalog(owner)) == before
    assert status(owner).current is None

    migrate(owner)
    run_script(owner, read_sql("roles/create_importer.sql"))
    figures = world.import_days(now=world.now + timedelta(minutes=1))
    assert (figures["seen"], figures["inserted"]) == (4, 0)
    now = stored()
    for table, known in before[0].items():
        assert [row["id"] for row in now[table]] == [row["id"] for row in known]
    world.assert_proved()
    server.stop()


def test_the_importer_takes_turns_keeps_media_states_and_undoes_merges(
    world: World, tmp_path: Path
) -> None:
    picture = {"imageMessage": {"mimetype": "image/jpeg", "fileLength": "1000"}}
    rows = [
        (ANA, message(ANA, "3EB0000A", MORNING, None, content=picture, hasMedia=True)),
        (ANA_LID, message(ANA_LID, "3EB0000B", MORNING + 60)),
    ]
    server = serve(world, write_account(tmp_path / "account", rows))
    world.import_days()
    courtesy = PostgresCourtesy(world.engine, Limits(rate=100.0, concurrency=1), lease=5.0)
    with courtesy.turn("waha"):
        pass
    media.want(world.engine, world.channel, ["image"])
    assert len(media.next_wanted(world.engine, world.channel, ["image"], limit=5)) == 1
    one, other = (
        str(row["id"]) for row in world.rows("SELECT id FROM contacts WHERE deleted_at IS NULL")
    )
    run = str(uuid4())
    merging.join_contacts(world.engine, world.channel, one, other, run)
    [merged] = merging.list_merges(world.engine, world.channel, limit=5)
    merging.undo_merge(world.engine, world.channel, merged.merge_id, run)
    assert world.value("SELECT count(*) FROM contacts WHERE deleted_at IS NULL") == 2
    world.assert_proved()
    server.stop()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE messages",
        "ALTER TABLE messages ADD COLUMN more text",
        "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
        "TRUNCATE sessions",
        "DELETE FROM messages",
        "DELETE FROM contacts",
        "CREATE TABLE public.mine (id int)",
        "CREATE TABLE history_sync.mine (id int)",
        "DROP SCHEMA history_sync CASCADE",
        "DELETE FROM history_sync.applied_sql",
        "SELECT password_hash FROM users",
        "SELECT key_hash FROM user_api_keys",
        "SELECT encrypted_value_ciphertext FROM credentials",
        "SELECT configuration FROM projects",
        "SELECT secret FROM webhook_subscriptions",
        "SELECT content FROM notes",
        "UPDATE notes SET content = ''",
        "UPDATE projects SET active = false",
        "UPDATE outbox_events SET status = 'pending'",
        "SET ROLE ventros_owner",
        "SET ROLE app_user",
    ],
)
def test_the_importer_may_do_no_more_than_an_import_does(statement: str, importer: Engine) -> None:
    with importer.connect() as connection, pytest.raises(ProgrammingError) as refused:
        connection.execute(text(statement))
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)


def test_every_table_that_a_statement_names_is_granted(importer: Engine) -> None:
    with importer.connect() as connection:
        tables = set(
            connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        )
        missing = {
            (privilege, table, path.name)
            for path in sql_dir().glob("*/*.sql")
            # What `api/` asks is the server's business (`api/test_server_role.py`); what deletes
            # messages is the owner's.
            if path.parent.name not in ("roles", "api", "undo", "erasure", "removing")
            and path.name != "insert_project.sql"
            for privilege, table in _used(path.read_text(encoding="utf-8"))
            & {(privilege, table) for privilege in _VERBS for table in tables}
            if not connection.scalar(
                text("SELECT has_any_column_privilege(CAST(:t AS text), :p)")
                if privilege != "DELETE"
                else text("SELECT has_table_privilege(CAST(:t AS text), :p)"),
                {"t": f"public.{table}", "p": privilege},
            )
        }
    assert missing == set()


def test_the_importer_may_neither_undo_nor_erase_and_the_owner_may(
    world: World, owner: Engine, tmp_path: Path
) -> None:
    server = serve(world, write_account(tmp_path / "account", [(ANA, message(ANA, "A", MORNING))]))
    world.import_days()
    server.stop()
    (run_id,) = world.run_ids
    person = find_person(world.engine, find_project(world.engine, None), "+5511980000001")
    for refused in (
        lambda: undo_run(world.engine, run_id),
        lambda: forget(world.engine, world.archive, person),
    ):
        with pytest.raises(RemovalError, match=r"nothing was changed; set VENTROS_DATABASE_URL"):
            refused()
    assert world.value("SELECT count(*) FROM messages") == 1
    told = World(of_all_projects(owner), world.home, world.channel)
    assert told.value("SELECT count(*) FROM history_sync.erased") == 0
    assert undo_run(owner, run_id).removed["messages"] == 1
    assert forget(owner, world.archive, person)["archive_rows"] == 1
    assert told.value("SELECT count(*) FROM history_sync.erased") > 0
    # Its security binds the owner, too, who said of no project that it is served.
    assert (
        World(owner, world.home, world.channel).value("SELECT 1 FROM history_sync.erased") is None
    )


def test_a_file_that_another_tenant_has_too_stays_when_one_has_a_person_erased(
    world: World, owner: Engine, tmp_path: Path
) -> None:
    server = serve(world, write_account(tmp_path / "account", [(ANA, message(ANA, "A", MORNING))]))
    world.import_days()
    server.stop()
    store = MediaStore(world.archive.store)
    shared = store.put(b"a picture")
    root = connect(owner.url.set(username="postgres"))
    try:
        with root.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            media = "INSERT INTO history_sync.media (message_id, channel_id, state, sha256) VALUES"
            ours = connection.exec_driver_sql("SELECT id FROM public.messages").scalar_one()
            connection.exec_driver_sql(
                f"{media} (%s, %s, 'stored', %s)", (ours, world.channel.id, shared)
            )
            # Of a channel of another project; what else it has does not matter here.
            connection.exec_driver_sql(
                f"{media} (%s, %s, 'stored', %s)", (uuid4(), uuid4(), shared)
            )
        person = find_person(owner, find_project(owner, None), "+5511980000001")
        assert "media_files" not in forget(owner, world.archive, person)
    finally:
        root.dispose()
    assert world.archive.store.size(store.name(shared)) is not None


_VERBS = {
    "INSERT": r"INSERT INTO",
    "UPDATE": r"UPDATE",
    "DELETE": r"DELETE FROM",
    "SELECT": r"(?<!DELETE )FROM|JOIN",
}


def _used(statements: str) -> set[tuple[str, str]]:
    """Return (privilege, table) of tables of the schema public that statements name."""
    code = re.sub(r"--.*", "", statements)
    return {
        (privilege, table)
        for privilege, verb in _VERBS.items()
        for table in re.findall(rf"(?:{verb})\s+(?:public\.)?([a-z_]+)\b(?!\.)", code)
    }


def test_the_importer_finds_nothing_to_migrate_and_the_doctor_nothing_to_complain_of(
    importer: Engine, tmp_path: Path
) -> None:
    assert migrate(importer) == []
    assert doctor.examine_database(importer, Archive(tmp_path / "not" / "yet")) == []
    assert doctor.facts_of_database(importer)["crm"] == "existing"


def complaints(engine: Engine, folder: Path) -> dict[str, doctor.Complaint]:
    return {found.name: found for found in doctor.examine_database(engine, Archive(folder))}


def test_the_doctor_says_what_the_owner_has_to_do_first(
    owner: Engine, tmp_path: Path, importer_role: Engine
) -> None:
    found = complaints(owner, tmp_path)
    assert found.keys() == {"migrations_pending"}
    assert "ventros db migrate" in found["migrations_pending"].plan[0]
    migrate(owner)
    assert complaints(owner, tmp_path) == {}
    with owner.begin() as connection:
        # Everything but what row-level security asks for.
        connection.execute(text("GRANT USAGE ON SCHEMA history_sync TO ventros_importer"))
        for schema in ("public", "history_sync"):
            connection.execute(
                text(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO ventros_importer")
            )
    lacking = complaints(importer_role, tmp_path)["privileges_lacking"]
    assert "messages: a policy for this role" in lacking.plan
    assert "sql/roles/create_importer.sql" in lacking.plan[-1]
    assert lacking.found == len(SECURED - {"webhook_subscriptions"})


def test_the_doctor_names_what_the_crm_has_otherwise(owner: Engine, tmp_path: Path) -> None:
    migrate(owner)
    with owner.begin() as connection:
        for change in (
            "DROP INDEX idx_messages_unique_channel_msg_id",
            "ALTER TABLE chats ALTER COLUMN participants TYPE text",
            "ALTER TABLE sessions DROP COLUMN agent_ids",
            "ALTER TABLE contacts ALTER COLUMN name TYPE varchar(80)",
        ):
            connection.execute(text(change))
    found = complaints(owner, tmp_path)
    assert found.keys() == {"crm_is_other", "messages_not_unique"}
    assert set(found["crm_is_other"].plan[:-1]) == {
        "public.chats.participants is text, expected jsonb",
        "public.sessions.agent_ids is missing, expected jsonb",
    }


def test_the_doctor_minds_the_clock_and_the_disk(
    owner: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(owner)
    monkeypatch.setattr(doctor, "CLOCK_SECONDS", -1.0)
    monkeypatch.setattr(doctor, "FREE_BYTES", 2**60)
    assert complaints(owner, tmp_path).keys() == {"clocks_differ", "archive_disk_is_full"}


def test_the_doctor_tells_of_sessions_that_are_not_ones_own(owner: Engine, tmp_path: Path) -> None:
    migrate(owner)
    assert not complaints(owner, tmp_path)
    # All connections are one session of the server, as behind a pooler in transaction mode.
    mixed = create_engine(owner.url, poolclass=StaticPool)
    assert complaints(mixed, tmp_path).keys() == {"pooled_by_transaction"}
    mixed.dispose()


def test_the_doctor_names_an_index_that_many_sessions_lack(
    owner: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(owner)
    with owner.begin() as connection:
        connection.execute(text("ANALYZE agent_sessions"))
    assert not complaints(owner, tmp_path)
    monkeypatch.setattr(doctor, "MANY_SESSIONS", 0)
    [found] = complaints(owner, tmp_path).values()
    assert found.name == "sessions_not_indexed"
    assert not found.needs_a_person
    with owner.begin() as connection:
        said = found.plan[0].partition(": ")[2].replace(" CONCURRENTLY", "")
        connection.execute(text(said))
    assert not complaints(owner, tmp_path)


def test_what_the_importer_was_given_can_be_given_twice_and_taken_back(
    owner: Engine, importer: Engine
) -> None:
    run_script(owner, read_sql("roles/create_importer.sql"))
    run_script(owner, read_sql("roles/drop_importer.sql"))
    with importer.connect() as connection, pytest.raises(ProgrammingError):
        connection.execute(text("SELECT count(*) FROM public.messages"))
    assert not any("ventros_importer" in line for line in security(owner) - {"ventros_importer"})
