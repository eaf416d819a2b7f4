"""Brings a database to the newest schema, or back to an older one: numbered SQL files, in order.

Alembic keeps the order (revisions under `crm/migrations/`), the files under `sql/` say what
happens, `history_sync.applied_sql` says which text was run. Each file is one transaction together
with its entry in that table, so a crash leaves a file either applied and recorded or neither. A
file of the same name under `sql/back/` takes it back, in the same way; its first comment says what
that loses.

All of it runs under one session-level advisory lock, on a connection of its own that is closed at
the end: whatever happens, the server drops the lock with the session. It needs a real session: a
pooler in transaction mode (PgBouncer) must be passed by for `ventros db migrate`.

What belongs here: applying, recording, refusing. What does not: any statement about a CRM table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from alembic import command, op
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ventros_pipeline.crm import sql, tenants
from ventros_pipeline.crm.database import DatabaseError

# "ventros" in ASCII and a 1. Only migrations take it; channels have locks of their own.
LOCK_KEY = 0x76656E74726F7301
_POLL_SECONDS = 0.1
# The folder of files that take others back.
_BACK = "back"
# A migration that waits for a lock on `messages` makes everything behind it wait too, the live CRM
# included. Better to give up soon and be started again at a quiet moment.
_LOCK_TIMEOUT = "10s"
# The tables that imported rows go into or hang on. A database with some of them is not a CRM.
_NEEDED = (
    "users",
    "projects",
    "agents",
    "channels",
    "contacts",
    "chats",
    "sessions",
    "messages",
    "outbox_events",
)
# Alembic's `context` and `op` are one per process.
_ALEMBIC = threading.Lock()


class MigrationError(DatabaseError):
    """The database cannot be migrated; the text says what to do."""


@dataclass(frozen=True)
class Applied:
    """One file that `migrate` dealt with. `skipped`: recorded, not run, because a CRM was there."""

    name: str
    sha256: str
    skipped: bool


@dataclass(frozen=True)
class MigrationStatus:
    """Where a database stands. `current` is None where nothing was ever applied."""

    current: str | None
    latest: str
    pending: list[str]
    crm: Literal["ours", "existing", "absent"]


def migrate(engine: Engine, *, to: str | None = None, lock_wait: float = 600.0) -> list[Applied]:
    """Apply what is missing and return it; an up-to-date database gives an empty list.

    Args:
        engine: the database.
        to: the last revision to apply; the newest one if null. It goes forward only.
        lock_wait: seconds to wait for another process that is migrating.

    Raises:
        MigrationError: an applied file was edited, the database is newer than this program, holds
            half a CRM, a statement failed, or another process kept the lock too long.
    """
    with _locked(engine, lock_wait) as (connection, before):
        command.upgrade(_config(connection), to or "head")
        return [entry for name, entry in _applied(connection).items() if name not in before]


def go_back(engine: Engine, to: str, *, lock_wait: float = 600.0) -> list[str]:
    """Take files back, newest first, until a revision is the newest; return their names.

    Args:
        engine: the database.
        to: the revision that stays; nothing after it does.
        lock_wait: seconds to wait for another process that is migrating.

    Raises:
        MigrationError: as for `migrate`; or what would be lost must not be. What was taken back
            before that stays so.
    """
    with _locked(engine, lock_wait) as (connection, before):
        command.downgrade(_config(connection), to)
        return sorted(before.keys() - _applied(connection).keys(), reverse=True)


@dataclass(frozen=True)
class Step:
    """A file that going back would take back, and what that loses."""

    name: str
    loses: str


def steps_back(engine: Engine, to: str) -> list[Step]:
    """Return what `go_back` would take back, newest first; none where the revision lies ahead.

    Raises:
        MigrationError: there is no such revision, or no way back over one of them.
    """
    files = {file.revision: file.name for file in sql.migrations()}
    if to not in files:
        raise MigrationError(f"There is no revision {to}; there are {', '.join(files)}")
    with _said_plainly(), engine.connect() as connection:
        applied = _applied(connection)
    return [
        Step(name, _loss(name))
        for revision, name in sorted(files.items(), reverse=True)
        if revision > to and name in applied
    ]


def refuse_pending(engine: Engine) -> None:
    """Refuse a database that lacks what this version needs, where nothing may be changed.

    Raises:
        MigrationError: it does.
    """
    if pending := status(engine).pending:
        raise MigrationError(
            f"The database lacks {len(pending)} migrations of this version: run "
            "`ventros db migrate`"
        )


def status(engine: Engine) -> MigrationStatus:
    """Say where a database stands, without changing or locking anything."""
    files = sql.migrations()
    with _said_plainly(), engine.connect() as connection:
        applied = _applied(connection)
        current = None
        if _has_table(connection, "history_sync.alembic_version"):
            current = connection.scalar(
                text("SELECT version_num FROM history_sync.alembic_version")
            )
        crm: Literal["ours", "existing", "absent"] = "absent"
        if _crm_tables(connection):
            baseline = applied.get(files[0].name)
            crm = "ours" if baseline is not None and not baseline.skipped else "existing"
    return MigrationStatus(
        current=current,
        latest=files[-1].revision,
        pending=[file.name for file in files if file.name not in applied],
        crm=crm,
    )


def crm_exists(connection: Connection) -> bool:
    """Say whether the database has a CRM already.

    Raises:
        MigrationError: it has only a part of one, so that neither answer would be safe.
    """
    present = _crm_tables(connection)
    if not {"messages", "channels"} & present:
        return False
    if missing := [table for table in _NEEDED if table not in present]:
        raise MigrationError(
            f"The database has a part of a CRM: public.{', public.'.join(missing)} missing. "
            "Let the CRM create its own tables first, or give an empty database"
        )
    return True


def run_file(name: str, *, skip_if: Callable[[Connection], bool] | None = None) -> None:
    """Run one SQL file inside the revision being applied, and record it with its checksum.

    Args:
        name: the file under `sql/`.
        skip_if: where it answers yes, the file is only recorded.

    Raises:
        MigrationError: a statement failed; nothing of the file remains.
    """
    connection = op.get_bind()
    statements = sql.read_sql(name)
    skipped = skip_if is not None and skip_if(connection)
    if not skipped:
        try:
            # Without parameters psycopg sends the text as it is: many statements in one go, and a
            # `%` stays a `%`. SQLAlchemy's own default is an empty tuple, which makes it a
            # placeholder.
            connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
        except DBAPIError as error:
            raise MigrationError(f"{name}{_line(statements, error)}: {_words(error)}") from error
    connection.execute(
        text(
            "INSERT INTO history_sync.applied_sql (name, sha256, skipped)"
            " VALUES (:name, :sha256, :skipped)"
        ),
        {"name": name, "sha256": sql.sha256(statements), "skipped": skipped},
    )


def take_back(name: str) -> None:
    """Undo one SQL file inside the revision being taken back, and strike it from the record.

    Raises:
        MigrationError: a statement failed, or what would be lost must not be; all of it stays.
    """
    connection = op.get_bind()
    statements = sql.read_sql(f"{_BACK}/{name}")
    try:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
    except DBAPIError as error:
        raise MigrationError(
            f"{_BACK}/{name}{_line(statements, error)}: {_words(error)}"
        ) from error
    connection.execute(
        text("DELETE FROM history_sync.applied_sql WHERE name = :name"), {"name": name}
    )


def refuse_back() -> None:
    """Refuse to go back over the CRM's own tables.

    Raises:
        MigrationError: always.
    """
    raise MigrationError("There is no way back over the CRM's own tables: they stay")


@contextmanager
def _locked(engine: Engine, lock_wait: float) -> Iterator[tuple[Connection, dict[str, Applied]]]:
    """Have the database to oneself; give the connection and what is applied."""
    with _said_plainly(), engine.connect() as connection:
        # Closed with the block instead of going back to the pool: the lock ends with it.
        connection.detach()
        _configure(connection)
        _lock(connection, lock_wait)
        _prepare(connection)
        before = _applied(connection)
        _verify(before)
        connection.commit()  # Alembic opens its own transactions, and only outside of one
        with _ALEMBIC:
            yield connection, before


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "ventros_pipeline.crm:migrations")
    return config


def _loss(name: str) -> str:
    """Return the first comment of the file that takes another one back."""
    try:
        lines = sql.read_sql(f"{_BACK}/{name}").splitlines()
    except FileNotFoundError:
        raise MigrationError(f"There is no way back over {name}") from None
    comment = takewhile(lambda line: line.startswith("--"), lines)
    return " ".join(line.removeprefix("--").strip() for line in comment)


def _configure(connection: Connection) -> None:
    settings = {
        "statement_timeout": "0",
        "lock_timeout": _LOCK_TIMEOUT,
        # A migration changes the rows of every tenant.
        tenants.SETTING: tenants.EVERYBODY,
    }
    if (connection.dialect.server_version_info or ()) >= (14,):
        # Without it a server goes on with the statement of a killed client, and keeps its locks.
        settings["client_connection_check_interval"] = "2s"
    for name, value in settings.items():
        connection.execute(
            text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value}
        )
    connection.commit()


def _lock(connection: Connection, wait: float) -> None:
    """Take the advisory lock by asking again and again.

    `pg_advisory_lock` would wait inside a statement, where a lock_timeout or an operator's
    statement_timeout ends it with a text nobody understands.
    """
    deadline = time.monotonic() + wait
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        # A transaction left open while waiting would hold back vacuum.
        connection.commit()
        if time.monotonic() >= deadline:
            raise MigrationError(
                f"Another process has been migrating this database for {wait:.0f} s "
                f"({_holder(connection)}). Wait for it, or end it and try again"
            )
        time.sleep(_POLL_SECONDS)
    connection.commit()


def _holder(connection: Connection) -> str:
    holder = connection.execute(
        text(
            "SELECT activity.pid, activity.application_name FROM pg_locks"
            " JOIN pg_stat_activity AS activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid::bigint << 32) | objid::bigint = :key"
        ),
        {"key": LOCK_KEY},
    ).first()
    return f"server process {holder[0]}, {holder[1]}" if holder else "it has just ended"


def _prepare(connection: Connection) -> None:
    # IF NOT EXISTS asks for the right to create even where there is nothing to create; a DBA may
    # have made the schema for a role that has no such right.
    if not connection.scalar(text("SELECT to_regnamespace('history_sync')::text")):
        connection.execute(text("CREATE SCHEMA history_sync"))
    if not _has_table(connection, "history_sync.applied_sql"):
        connection.execute(
            text(
                "CREATE TABLE history_sync.applied_sql ("
                " name text PRIMARY KEY, sha256 text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now(), skipped boolean NOT NULL)"
            )
        )
    connection.commit()


def _applied(connection: Connection) -> dict[str, Applied]:
    if not _has_table(connection, "history_sync.applied_sql"):
        return {}
    rows = connection.execute(
        text("SELECT name, sha256, skipped FROM history_sync.applied_sql ORDER BY name")
    )
    return {row.name: Applied(row.name, row.sha256, row.skipped) for row in rows}


def _verify(applied: dict[str, Applied]) -> None:
    on_disk = {file.name: file.sha256 for file in sql.migrations()}
    for name, entry in applied.items():
        if name not in on_disk:
            raise MigrationError(
                f"The database has {name}, which this version does not know: it was migrated by a "
                "newer ventros-pipeline. Install that version, or a later one"
            )
        if on_disk[name] != entry.sha256:
            raise MigrationError(
                f"sql/{name} was changed after it had been applied (checksum {on_disk[name][:12]}, "
                f"applied {entry.sha256[:12]}). Put its old text back and write the change as a "
                "new numbered file"
            )


def _has_table(connection: Connection, name: str) -> bool:
    return connection.scalar(text("SELECT to_regclass(:name)::text"), {"name": name}) is not None


def _crm_tables(connection: Connection) -> set[str]:
    return set(
        connection.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('public')"
                " AND relkind IN ('r', 'p') AND relname = ANY(:names)"
            ),
            {"names": list(_NEEDED)},
        )
    )


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise MigrationError(f"The migration failed: {_words(error)}") from error
    except CommandError as error:
        raise MigrationError(f"The chain of revisions is broken: {error}") from error


def _words(error: DBAPIError) -> str:
    """Take the server's own sentence: SQLAlchemy's text would repeat the whole file."""
    words = str(error.orig).splitlines()[0] if error.orig else type(error).__name__
    match getattr(error.orig, "sqlstate", None):
        case "42501":
            return (
                f"{words}. The role needs CREATE on the database and REFERENCES on the CRM's tables"
            )
        case "55P03":
            return f"{words}. The CRM is using its tables; run it again at a quieter moment"
    return words


def _line(statements: str, error: DBAPIError) -> str:
    position = getattr(getattr(error.orig, "diag", None), "statement_position", None)
    return f", line {statements.count(chr(10), 0, int(position)) + 1}" if position else ""
