"""What the load is held against: a direct COPY; and what it writes when nothing has changed."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from benchmarks.speed.places import Account, Bench, Channel
from ventros_pipeline.archive import Archive, Row

CHANGED_SHARE = 0.01
# What a load writes a line of for each message or session, in the order of their foreign keys.
TABLES = (
    "public.sessions",
    "public.agent_sessions",
    "history_sync.sessions",
    "public.messages",
    "history_sync.message_keys",
)
_COLUMNS = """
    SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass
      AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Written:
    """What the server has written.

    Attributes:
        wal: bytes of WAL.
        pages: whole pages in it, one for each page's first change after a checkpoint.
        versions: row versions of the two big tables.
    """

    wal: int
    pages: int
    versions: int

    def since(self, before: Written) -> Written:
        """Return what was written between two moments."""
        return Written(
            self.wal - before.wal, self.pages - before.pages, self.versions - before.versions
        )


def indexes(session: psycopg.Connection[Any]) -> int:
    """Return how many indexes the CRM's messages have."""
    found = session.execute(
        "SELECT count(*) FROM pg_index WHERE indrelid = 'public.messages'::regclass"
    ).fetchone()
    return int(found[0]) if found else 0


def written(bench: Bench, database: str) -> Written:
    """Return what has been written so far.

    Statistics of a session come when it ends, so the child that wrote must be gone.
    """
    time.sleep(0.5)
    with bench.session(database) as session:
        found = session.execute(
            "SELECT pg_current_wal_lsn() - '0/0', (SELECT wal_fpi FROM pg_stat_wal), "
            "coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) "
            "FROM pg_stat_user_tables WHERE relname IN ('messages', 'message_keys')"
        ).fetchone()
    assert found is not None
    return Written(int(found[0]), int(found[1]), int(found[2]))


def settle(bench: Bench, database: str) -> None:
    """Do what autovacuum would have done some minutes later, so that it is not counted."""
    with bench.session(database) as session:
        session.execute("VACUUM (ANALYZE)")
        # Whoever first reads the statistics just written marks them as read: 65 pages of WAL.
        session.execute("VACUUM pg_catalog.pg_statistic")
        session.execute("CHECKPOINT")


def export(bench: Bench, database: str, to: Path) -> int:
    """Write `TABLES` as COPY takes them, in the order in which they were stored; count messages."""
    to.mkdir(exist_ok=True)
    with bench.session(database) as session:
        for table in TABLES:
            statement = sql.SQL(
                "COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT (FORMAT binary)"
            ).format(_columns(session, table), _name(table))
            with (
                (to / table).open("wb") as file,
                session.cursor() as cursor,
                cursor.copy(statement) as copy,
            ):
                for block in copy:
                    file.write(block)
        found = session.execute("SELECT count(*) FROM public.messages").fetchone()
    return int(found[0]) if found else 0


def emptied(bench: Bench, database: str) -> str:
    """Return a copy of a database without what `TABLES` held: contacts and chats stay."""
    name = bench.copied(database)
    with bench.session(name) as session:
        session.execute("TRUNCATE public.sessions, public.messages CASCADE")
    return name


def copy_directly(bench: Bench, database: str, rows: Path) -> dict[str, float]:
    """COPY into the tables with all their indexes; return each one's seconds, commit included."""
    took: dict[str, float] = {}
    with bench.session(database) as session:
        for table in TABLES:
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
                _name(table), _columns(session, table)
            )
            began = time.perf_counter()
            with (
                (rows / table).open("rb") as file,
                session.cursor() as cursor,
                cursor.copy(statement) as copy,
            ):
                while block := file.read(_CHUNK):
                    copy.write(block)
            took[table] = time.perf_counter() - began
    return took


def changed_copy(bench: Bench, channel: Channel, account: Account) -> tuple[Channel, int]:
    """Return the channel with another archive, in which WAHA has shown 1 % of the acks risen."""
    home = bench.home()
    shutil.copytree(channel.home / "archive", home / "archive")
    archive = Archive(home / "archive")
    later = account.moment + timedelta(hours=1)
    every = round(1 / CHANGED_SHARE)
    due = changed = 0
    for day in _days(account):
        payloads = archive.read(channel.key, [day])
        due += payloads.height
        rows: list[Row] = []
        for row_key, payload in _rising(payloads):
            if changed >= due // every:
                break
            rows.append(Row(row_key, payload))
            changed += 1
        if rows:
            archive.write(channel.key, day, rows, read_at=later)
    return replace(channel, home=home), changed


def _rising(payloads: pl.DataFrame) -> list[tuple[str, bytes]]:
    """Return outgoing rows that are not read yet, as they look once they are."""
    rows = []
    for row_key, payload in payloads.select("row_key", "payload").iter_rows():
        for name in (b"SERVER", b"DEVICE"):
            ack = b'"ack":%d,"ackName":"%s"' % (1 if name == b"SERVER" else 2, name)
            if b'"fromMe":true' in payload and ack in payload:
                rows.append((row_key, payload.replace(ack, b'"ack":3,"ackName":"READ"')))
    return rows


def _days(account: Account) -> list[date]:
    days = (account.last - account.first).days + 1
    return [account.first + timedelta(days=n) for n in range(days)]


def _columns(session: psycopg.Connection[Any], table: str) -> sql.Composed:
    names = [name for (name,) in session.execute(_COLUMNS, (table,))]
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
