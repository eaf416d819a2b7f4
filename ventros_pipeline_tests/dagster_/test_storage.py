"""Where Dagster keeps its runs and events, and what it asks of the database for them.

These tests also hold dagster-postgres to what `storage.py` builds on.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster import DagsterInstance
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.runs.migration import RUN_START_END

from ventros_pipeline.crm import embedded
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.environment import DAGSTER_DATABASE, dagster_database_url
from ventros_pipeline.instance import STORAGE_VARIABLE, open_instance
from ventros_pipeline.partitions import (
    CHANNEL,
    RANGE_END,
    RANGE_START,
    history_partitions,
    partition_key,
)
from ventros_pipeline.settings import Settings
from ventros_pipeline.storage import BatchingEventLog, PooledPostgresStorage
from ventros_pipeline_tests.conftest import FAST, in_database

KEY = "default-00000000"
DAYS = [date(2026, 6, 1) + timedelta(days=n) for n in range(31)]
PARTITIONS = history_partitions(DAYS[0])


@dg.asset(partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def loaded(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    for key in context.partition_keys:
        context.add_asset_metadata({"dagster/partition_row_count": 1}, partition_key=key)
    return dg.MaterializeResult()


PROOFS = ("orphans", "balance")


@dg.multi_asset_check(specs=[dg.AssetCheckSpec(name, asset=loaded) for name in PROOFS])
def proofs() -> Iterator[dg.AssetCheckResult]:
    for name in PROOFS:
        yield dg.AssetCheckResult(passed=True, asset_key=loaded.key, check_name=name)


DEFS = dg.Definitions(
    assets=[loaded],
    asset_checks=[proofs],
    jobs=[dg.define_asset_job("load", [loaded])],
    executor=dg.in_process_executor,
)
# A process of its own that opens the same instance, as the daemon does, and adds a key.
OTHER_PROCESS = """
import sys
from dagster import DagsterInstance
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.runs.migration import RUN_START_END
with DagsterInstance.get() as instance:
    print(len(instance.get_runs()))
    instance.add_dynamic_partitions("channel", [sys.argv[1]])
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the environment of the other tests as it was."""
    for name in ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", STORAGE_VARIABLE):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")


@pytest.fixture
def home(short_dir: Path) -> Iterator[Path]:
    """A fresh home with an embedded server that need not survive."""
    folder = short_dir / "home"
    folder.mkdir()
    server = embedded.start(folder / "postgres", settings=FAST)
    yield folder
    server.stop()


@pytest.fixture
def instance(dagster_database_url: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance in a database of the tests' server; `home` has a server of its own."""
    with opened(settings_of(tmp_path, dagster_database_url=dagster_database_url)) as instance:
        yield instance


@contextmanager
def opened(settings: Settings) -> Iterator[DagsterInstance]:
    with open_instance(settings) as instance:
        instance.add_dynamic_partitions(CHANNEL, [KEY])
        yield instance


def settings_of(home: Path, **more: str) -> Settings:
    return Settings(home=home, _env_file=None, **more)  # type: ignore[call-arg, arg-type]


def load_month(instance: DagsterInstance) -> dg.ExecuteInProcessResult:
    tags = {
        RANGE_START: partition_key(KEY, DAYS[0]),
        RANGE_END: partition_key(KEY, DAYS[-1]),
    }
    return DEFS.resolve_job_def("load").execute_in_process(instance=instance, tags=tags)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Note every statement of Dagster's storage."""
    noted: list[str] = []

    def note(_c: object, cursor: object, text: str, *_rest: object) -> None:
        if type(cursor).__module__.startswith("psycopg2"):
            noted.append(text)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


class EndedError(BaseException):
    """The process ends here, in effect."""


@contextmanager
def ended_at_statement(number: int) -> Iterator[None]:
    """End with the so many-th statement of Dagster's storage."""
    seen = 0

    def end(_c: object, cursor: object, *_rest: object) -> None:
        nonlocal seen
        seen += type(cursor).__module__.startswith("psycopg2")
        if seen == number:
            raise EndedError

    sa.event.listen(sa.Engine, "before_cursor_execute", end)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", end)


def test_a_fresh_home_keeps_dagsters_records_in_a_database_of_their_own(home: Path) -> None:
    with open_instance(settings_of(home)) as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "500"

    server = embedded.start(home / "postgres")
    assert "event_logs" in tables(in_database(server.url, DAGSTER_DATABASE))
    assert tables(server.url) == set()
    with psycopg.connect(libpq_url(server.bookkeeping_url(DAGSTER_DATABASE))) as session:
        assert session.execute("SHOW synchronous_commit").fetchone() == ("off",)
    with psycopg.connect(libpq_url(server.url)) as session:
        row = session.execute(
            "SELECT setting FROM pg_db_role_setting, unnest(setconfig) AS setting"
        )
        assert row.fetchall() == [("synchronous_commit=off",)]
    assert "host=" not in (home / "dagster" / "dagster.yaml").read_text()


def test_tables_that_were_half_made_are_made_whole(
    empty_database_url: str, dagster_database_url: str, tmp_path: Path
) -> None:
    """A full disk did this: afterwards no command could use the database."""
    settings = settings_of(tmp_path, dagster_database_url=empty_database_url)
    ended = 0
    with suppress(StopIteration):
        for place in count(3, 12):
            with ended_at_statement(place), suppress(EndedError), open_instance(settings):
                raise StopIteration
            ended += 1
    assert ended > 3
    with opened(settings) as instance:
        assert load_month(instance).success
        assert instance.event_log_storage.has_secondary_index(ASSET_KEY_INDEX_COLS)
        assert instance.run_storage.has_built_index(RUN_START_END)
    assert tables(empty_database_url) == tables(dagster_database_url)


def test_two_processes_work_on_the_same_records(instance: DagsterInstance) -> None:
    load_month(instance)

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OTHER_PROCESS, "second-00000000"],
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "1"
    assert instance.has_dynamic_partition(CHANNEL, "second-00000000")
    assert load_month(instance).success


def test_a_month_is_recorded_in_few_statements(instance: DagsterInstance) -> None:
    load_month(instance)
    with statements() as noted:
        result = load_month(instance)

    # All that dagster-postgres does by itself for this run takes more than 500.
    assert len(noted) < 80
    inserts = [text for text in noted if text.startswith("INSERT INTO event_logs")]
    assert len(inserts) < 20
    assert [text for text in noted if "pg_attribute" in text or "NOTIFY" in text] == []
    planned = instance.get_event_records(
        dg.EventRecordsFilter(
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=loaded.key
        )
    )
    days = sorted(str(record.partition_key) for record in planned if record.run_id == result.run_id)
    assert days == [partition_key(KEY, day) for day in DAYS]
    status = instance.get_materialized_partitions(loaded.key)
    assert status == {partition_key(KEY, day) for day in DAYS}
    for name in PROOFS:
        [newest, _] = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(loaded.key, name), limit=10
        )
        assert (newest.run_id, newest.status.value) == (result.run_id, "SUCCEEDED")
        assert newest.event is not None


def test_connections_are_kept_and_few(instance: DagsterInstance, dagster_database_url: str) -> None:
    with connections() as made:
        load_month(instance)

    assert len(made) <= 3
    with psycopg.connect(libpq_url(dagster_database_url)) as session:
        [used] = session.execute(
            "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        ).fetchone() or (0,)
    assert 0 < used <= 6


@contextmanager
def connections() -> Iterator[list[object]]:
    made: list[object] = []

    def note(connection: object, _entry: object) -> None:
        if type(connection).__module__.startswith("psycopg2"):
            made.append(connection)

    sa.event.listen(sa.Pool, "connect", note)
    try:
        yield made
    finally:
        sa.event.remove(sa.Pool, "connect", note)


def test_a_server_that_was_restarted_fails_no_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ventros_pipeline.storage.TRUSTED_SECONDS", -1.0)
    with opened(settings_of(home)) as instance:
        load_month(instance)
        embedded.start(home / "postgres").stop()
        embedded.start(home / "postgres", settings=FAST)

        assert load_month(instance).success


def test_a_key_that_was_deleted_is_gone_at_once(instance: DagsterInstance) -> None:
    assert instance.has_dynamic_partition(CHANNEL, KEY)

    instance.delete_dynamic_partition(CHANNEL, KEY)

    assert not instance.has_dynamic_partition(CHANNEL, KEY)


def test_a_crms_own_server_gets_none_of_dagsters_tables(
    postgres_server: EmbeddedServer, empty_database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, database_url=empty_database_url)
    before = databases(postgres_server.url)

    with open_instance(settings) as instance:
        instance.add_dynamic_partitions(CHANNEL, [KEY])
        assert not isinstance(instance.event_log_storage, BatchingEventLog)

    assert tables(empty_database_url) == set()
    assert databases(postgres_server.url) == before
    assert not settings.postgres_dir.exists()
    assert (tmp_path / "dagster" / "history" / "runs.db").exists()


def test_a_database_that_was_named_for_dagster_is_used(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    crm, own = new_database(), new_database()
    settings = settings_of(tmp_path, database_url=crm, dagster_database_url=own)

    with open_instance(settings) as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)

    assert tables(crm) == set()
    assert "event_logs" in tables(own)


def test_a_home_that_began_with_sqlite_goes_on_with_it(home: Path) -> None:
    """In a new storage, the sensors that a person had turned on would be off."""
    runs = home / "dagster" / "history" / "runs.db"
    runs.parent.mkdir(parents=True)
    runs.touch()

    assert dagster_database_url(settings_of(home)) is None


def test_dagster_makes_the_storage_from_its_configuration(instance: DagsterInstance) -> None:
    reference = instance.get_ref()
    storage = reference.storage
    assert isinstance(storage, PooledPostgresStorage)


def tables(url: str) -> set[str]:
    with psycopg.connect(libpq_url(url)) as session:
        rows = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def databases(url: str) -> set[str]:
    with psycopg.connect(libpq_url(url)) as session:
        return {row[0] for row in session.execute("SELECT datname FROM pg_database")}
