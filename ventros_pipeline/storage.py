"""Dagster's storage in Postgres, as dagster-postgres has it, made quick for runs of many days.

Three things of it cost most of an import's time, and are different here:

- it opens a connection for each statement (`NullPool`; 64 for three assets, 8 ms each on a busy
  machine), except in the webserver, which asks for a pool: here everybody does;
- of a batch of events it stores only materialisations at once, but a run of a month plans its 62,
  and its checks, one by one, each in three or four statements; and with every event it notifies a
  channel of the database that nobody has listened to for years;
- it asks for a partition key again and again, and before that each time for the keys' table, and
  before every asset and run whether its tables have columns that all of them have.

A fourth thing is mended: it makes its tables one statement at a time, and from then on looks for
one of them only. Whoever was killed in between, or met a full disk, had a database that no command
could use again; here the tables come all at once or not at all.

What belongs here: how Dagster stores. What does not: where (`instance.py`). `dagster.yaml` names
the class under `storage: custom`. The classes it stands on are dagster-postgres' public ones; that
they call `store_event_batch`, `has_table` and their like is theirs to change, so
`dagster_/test_storage.py` holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from time import monotonic
from typing import TYPE_CHECKING, Any

import dagster_postgres.event_log
import psycopg2
from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.migration import ASSET_DATA_MIGRATIONS
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.migration import OPTIONAL_DATA_MIGRATIONS
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import stamp_alembic_rev
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import create_pg_connection, pg_alembic_config, pg_url_from_config
from psycopg2.extensions import connection as Psycopg2Connection  # noqa: N812 -- it is a class
from sqlalchemy import Engine, MetaData, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, Pool

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

# A process keeps one connection for each of runs, events and schedules, and opens more while its
# threads need them. A server has 100 by default, and up to eight processes of Dagster share it.
MOST_FURTHER_CONNECTIONS = 5
RECYCLE_SECONDS = 300
# A connection that lay longer than this is tried before it is used: the server may have restarted.
TRUSTED_SECONDS = 5.0
NO_LIMIT = 0
# Keys are never taken away while a run may hold them.
KEY_SECONDS = 5.0
CHECKED = (
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
)


class BatchingEventLog(PostgresEventLogStorage):
    """An event log that stores planned days and checks as one batch, too."""

    _engine: Engine

    def __init__(self, postgres_url: str) -> None:
        """Connect; the tables are made where they are missing."""
        self._found_tables: set[str] = set()
        self._found_columns: set[str] = set()
        self._found_keys: dict[tuple[str, str], float] = {}
        super().__init__(postgres_url)
        if not self.has_secondary_index([*ASSET_DATA_MIGRATIONS][-1]):
            self.reindex_events()
            self.reindex_assets()

    def _init_db(self) -> None:
        _make_tables(self._engine, SqlEventLogStorageMetadata)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and nothing else where it tells of no asset."""
        if event.is_dagster_event and event.get_dagster_event().asset_key:
            super().store_event(event)
        else:
            self._store([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that were logged together; those of one kind and asset at once."""
        for (kind, _), some in groupby(events, key=_kind_and_asset):
            batch = list(some)
            if len(batch) > 1 and kind == DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                # Such events have no tags, and the asset's own row tells of the last one only.
                self.store_asset_event(batch[-1], self._insert(batch)[-1])
            elif len(batch) > 1 and kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                self._store(batch)
            else:
                super().store_event_batch(batch)

    def _store(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of no asset, and what checks are to be found by."""
        for entry, number in zip(events, self._insert(events), strict=True):
            if entry.is_dagster_event and entry.dagster_event_type in CHECKED:
                self.store_asset_check_event(entry, number)

    def _insert(self, events: Sequence[EventLogEntry]) -> list[int]:
        """Return the numbers that events were given; they are given in order."""
        insert = self.prepare_insert_event_batch(events)
        with self.index_connection() as connection:
            ids = connection.execute(insert.returning(insert.table.c.id)).scalars().all()
        return sorted(ids)

    def has_table(self, table_name: str) -> bool:
        """Return whether a table is there; one that was seen stays."""
        if table_name not in self._found_tables and super().has_table(table_name):
            self._found_tables.add(table_name)
        return table_name in self._found_tables

    def has_asset_key_col(self, column_name: str) -> bool:
        """Return whether the assets' table has a column; one that was seen stays."""
        if column_name not in self._found_columns and super().has_asset_key_col(column_name):
            self._found_columns.add(column_name)
        return column_name in self._found_columns

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Return whether a key is there; one that was seen a moment ago is.

        Metadata of one day asks twice for the channel of the run: 124 times in a month.
        """
        asked = (partitions_def_name, partition_key)
        if monotonic() - self._found_keys.get(asked, -KEY_SECONDS) < KEY_SECONDS:
            return True
        found = super().has_dynamic_partition(partitions_def_name, partition_key)
        if found:
            self._found_keys[asked] = monotonic()
        return found

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Take a key away."""
        self._found_keys.pop((partitions_def_name, partition_key), None)
        super().delete_dynamic_partition(partitions_def_name, partition_key)


class RememberingRuns(PostgresRunStorage):
    """Records of runs that look once for the columns of their table."""

    _engine: Engine
    _has_times = _has_backfill = False

    def __init__(self, postgres_url: str) -> None:
        """Connect; the tables are made where they are missing."""
        super().__init__(postgres_url)
        if not self.has_built_index([*OPTIONAL_DATA_MIGRATIONS][-1]):
            self.migrate()
            self.optimize()

    def _init_db(self) -> None:
        _make_tables(self._engine, RunStorageSqlMetadata)

    def has_run_stats_index_cols(self) -> bool:
        """Return whether runs have columns for their times; once seen, they stay."""
        self._has_times = self._has_times or super().has_run_stats_index_cols()
        return self._has_times

    def has_backfill_id_column(self) -> bool:
        """Return whether runs have a column for their backfill; once seen, it stays."""
        self._has_backfill = self._has_backfill or super().has_backfill_id_column()
        return self._has_backfill


class WholeSchedules(PostgresScheduleStorage):
    """Ticks of schedules and sensors."""

    _engine: Engine

    def _init_db(self) -> None:
        _make_tables(self._engine, ScheduleStorageSqlMetadata)


class PooledPostgresStorage(DagsterPostgresStorage):
    """Dagster's storage in Postgres with connections that are kept."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Connect; the tables are made where they are missing."""
        # Its own three parts are never used, so they look for no tables either.
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        self._runs = RememberingRuns(postgres_url)
        self._events = BatchingEventLog(postgres_url)
        self._schedules = WholeSchedules(postgres_url)
        for storage in (self._runs, self._events, self._schedules):
            # The name says for whom it was made; what it does is to keep a pool.
            storage.optimize_for_webserver(NO_LIMIT, RECYCLE_SECONDS, MOST_FURTHER_CONNECTIONS)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """Make it from `dagster.yaml`."""
        return cls(pg_url_from_config(config_value), inst_data)

    @property
    def event_log_storage(self) -> BatchingEventLog:
        """Where events and partition keys are."""
        return self._events

    @property
    def run_storage(self) -> RememberingRuns:
        """Where runs are."""
        return self._runs

    @property
    def schedule_storage(self) -> WholeSchedules:
        """Where ticks of sensors and schedules are."""
        return self._schedules


def _make_tables(engine: Engine, metadata: MetaData) -> None:
    """Make the tables of one part of Dagster and say of which version they are, all at once.

    Dagster's engines commit after each statement.
    """
    in_one = engine.execution_options(isolation_level="READ COMMITTED")
    with create_pg_connection(in_one) as connection, connection.begin():
        metadata.create_all(connection)
        stamp_alembic_rev(pg_alembic_config(dagster_postgres.event_log.__file__), connection)


def _kind_and_asset(entry: EventLogEntry) -> tuple[DagsterEventType, str]:
    found = entry.get_dagster_event()
    return found.event_type, found.asset_key.to_string() if found.asset_key else ""


# On all pools of the process, because Dagster's engines are nobody else's to reach; connections of
# psycopg 3, which are ours, are left alone: their engines look for themselves.
@event.listens_for(Pool, "checkin")
def _note_use(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["ventros_used"] = monotonic()


@event.listens_for(Pool, "checkout")
def _try_what_lay_long(connection: object, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a connection that the server has closed, instead of failing a run with it."""
    used = entry.info.get("ventros_used")
    if used is None or monotonic() - used < TRUSTED_SECONDS:
        return
    if isinstance(connection, Psycopg2Connection):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error as error:
            raise DisconnectionError from error  # The pool then opens another.
