"""How large the pipeline's memory and its archive get, and whether they stay quick.

    python -m benchmarks.growth [--messages 10000000] [--sample 20000]

An account of a year is generated and imported for real. Then every table of `history_sync` that has
grown with it is filled up to the number of messages that was asked for: each channel more is a copy
of the first one's rows under ids of its own, written through the tables' own indexes. Foreign keys
are not asked, so that the CRM's own messages need not be there. The result is kept in GROWTH.md.

Ten million messages take some 10 GB under the temporary folder, and a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.imports import KEY_VARIABLE, databases
from benchmarks.kept import Result, load
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import add_channel
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.importer import Importer
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import Settings

DAYS = 365
UNTIL = datetime(2026, 6, 30, 12, tzinfo=UTC)
# One row for the installation, or rows that are few whatever is imported.
NOT_COPIED = ("applied_sql", "alembic_version", "installation")
# Channels that are written in one statement.
AT_ONCE = 25
LOOKS = 50
# A day's keys are found through an index, whose depth grows by one level for some hundredfold.
SLOWER, SLACK_MS = 3.0, 1.0
BIG = 100_000_000


@dataclass(frozen=True)
class Sample:
    """An account that was imported for real.

    Attributes:
        days_bytes: of the archive, a file a day.
        month_bytes: of the same, a file a month.
    """

    messages: int
    channel: str
    days_bytes: int
    day_files: int
    month_bytes: int
    month_files: int


@dataclass(frozen=True)
class Table:
    """A table and what it takes: its heap with TOAST, and its indexes, in bytes."""

    name: str
    rows: int
    heap: int
    indexes: int


def imported(folder: Path, url: str, messages: int) -> Sample:
    """Generate an account and import it; return what the archive takes."""
    from ventros_pipeline.crm.database import connect

    os.environ[KEY_VARIABLE] = "growth-key"
    until = int(UNTIL.timestamp()) - 3600
    generate(folder / "account", messages=messages, chats=200, days=DAYS, seed=7, until=until)
    first = UNTIL.date() - timedelta(days=DAYS)
    settings = Settings(
        home=folder / "home",
        history_start=first,
        waha_rate=100_000,
        waha_concurrency=8,
        _env_file=None,  # type: ignore[call-arg]
    )
    engine = connect(url)
    days = [first + timedelta(days=n) for n in range(DAYS + 1)]
    with ReplayServer(folder / "account", api_key="growth-key") as server:
        channel = add_channel(
            engine,
            session="default",
            base_url=server.url,
            api_key_env=KEY_VARIABLE,
            agent="Growth",
            allow_groups=True,
        )
        archive = Archive(settings.archive_dir)
        importer = Importer(engine, archive, settings, channel, str(uuid4()), UNTIL)
        ledger.start_run(engine, channel, importer.run_id, days[0], days[-1])
        importer.refresh_directory()
        list(importer.read_days(days))
        list(importer.load_days(days))
        ledger.end_run(engine, channel, importer.run_id)
    engine.dispose()
    apart = archive.store.sizes(channel.key)
    archive.compact(channel.key, days)
    together = archive.store.sizes(channel.key)
    return Sample(
        messages,
        str(channel.id),
        sum(apart.values()),
        len(apart),
        sum(together.values()),
        len(together),
    )


def fill(session: psycopg.Connection, channels: int) -> None:
    """Copy the first channel's rows until there are so many channels."""
    session.execute("SET session_replication_role = replica")
    session.execute("SET synchronous_commit = off")
    session.execute("CREATE SCHEMA growth")
    for name in _names(session):
        session.execute(f"CREATE TABLE growth.{name} AS TABLE history_sync.{name}")  # type: ignore[call-overload]
        columns, copied = _copied(session, name)
        began = time.perf_counter()
        for first in range(2, channels + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, channels)
            session.execute(
                f"INSERT INTO history_sync.{name} ({columns}) SELECT {copied} "  # type: ignore[call-overload]
                f"FROM growth.{name} CROSS JOIN generate_series({first}, {last}) AS number"
            )
        say(f"{name}: {time.perf_counter() - began:.0f} s")
    session.execute("DROP SCHEMA growth CASCADE")


def _names(session: psycopg.Connection) -> list[str]:
    found = session.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'history_sync'::regnamespace "
        "AND relkind = 'r' AND relpersistence = 'p' AND NOT relname = ANY(%s) ORDER BY relname",
        [list(NOT_COPIED)],
    )
    return [name for (name,) in found]


def _copied(session: psycopg.Connection, name: str) -> tuple[str, str]:
    """Return a table's columns, and each of them as another channel has it."""
    found = session.execute(
        "SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''",
        [f"history_sync.{name}"],
    ).fetchall()
    other = "md5({}::text || '/' || number)::uuid"
    values = [other.format(name) if kind == "uuid" else name for name, kind in found]
    return ", ".join(name for name, _ in found), ", ".join(values)


def tables(session: psycopg.Connection) -> list[Table]:
    """Return the tables, the largest first."""
    found = session.execute(
        "SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
        "WHERE relnamespace = 'history_sync'::regnamespace AND relkind = 'r' "
        "ORDER BY pg_total_relation_size(oid) DESC"
    )
    return [Table(*row) for row in found]


def indexes(session: psycopg.Connection) -> list[tuple[str, int]]:
    """Return the indexes of message keys with their bytes, the largest first."""
    found = session.execute(
        "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index "
        "WHERE indrelid = 'history_sync.message_keys'::regclass ORDER BY 2 DESC"
    )
    return [(name.removeprefix("history_sync."), size) for name, size in found]


def look(session: psycopg.Connection, channel: str) -> float:
    """Return the milliseconds in which a day's keys are counted and hashed, as each load does."""
    first = UNTIL.date() - timedelta(days=DAYS)
    taken = []
    for number in range(LOOKS):
        day = first + timedelta(days=1 + number * (DAYS - 2) // LOOKS)
        began = time.perf_counter()
        session.execute(
            "SELECT * FROM history_sync.day_digest(%s, %s, '{}')", [channel, day]
        ).fetchone()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def size(number: float) -> str:
    """Return bytes as a person reads them."""
    return f"{number / 1e9:,.2f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"


def table_of(found: list[Table], messages: int) -> list[tuple[str, ...]]:
    """Return the table of tables, its head first; those of less than a byte a message as one."""
    rows: list[tuple[str, ...]] = [
        ("table", "rows", "heap", "indexes", "bytes a message", f"at {BIG:,} messages")
    ]
    small = [t for t in found if (t.heap + t.indexes) / messages < 1]
    large = [t for t in found if t not in small]
    rest = Table(
        f"{len(small)} others",
        sum(t.rows for t in small),
        sum(t.heap for t in small),
        sum(t.indexes for t in small),
    )
    every = Table(
        "all",
        sum(t.rows for t in found),
        sum(t.heap for t in found),
        sum(t.indexes for t in found),
    )
    for one in (*large, rest, every):
        each = (one.heap + one.indexes) / messages
        rows.append(
            (
                one.name,
                f"{max(one.rows, 0):,}",
                size(one.heap),
                size(one.indexes),
                f"{each:,.1f}",
                size(each * BIG),
            )
        )
    return rows


def main() -> int:
    """Measure, keep the result, and say whether the target was met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--sample", type=int, default=20_000)
    given = parser.parse_args()
    before = load()
    with databases() as server, server.fresh() as engine, tempfile.TemporaryDirectory() as folder:
        url = engine.url.render_as_string(hide_password=False)
        sample = imported(Path(folder), url, given.sample)
        channels = max(1, given.messages // sample.messages)
        with psycopg.connect(libpq_url(url), autocommit=True) as session:
            session.execute("ANALYZE")
            small = look(session, sample.channel)
            began = time.perf_counter()
            fill(session, channels)
            seconds = time.perf_counter() - began
            session.execute("VACUUM (ANALYZE)")
            found, keys = tables(session), indexes(session)
            large = look(session, sample.channel)
    messages = next(t.rows for t in found if t.name == "message_keys")
    slower = large > SLOWER * small + SLACK_MS
    per_day, per_month = sample.days_bytes / sample.messages, sample.month_bytes / sample.messages
    largest = ", ".join(f"`{name}` {size(bytes_)}" for name, bytes_ in keys)
    result = Result(
        f"python -m benchmarks.growth --messages {given.messages} --sample {given.sample}",
        f"`history_sync` and the archive at {messages:,} messages",
        [
            f"An account of {sample.messages:,} messages in {DAYS} days was imported and its rows "
            f"copied to {channels:,} channels in {seconds:,.0f} s. The last column is the one "
            f"before it times {BIG:,}.",
            f"Indexes of `message_keys`: {largest}.",
            f"A day's keys of one channel, as each load asks for them, were found in {small:.2f} "
            f"ms when there was one channel, and in {large:.2f} ms at the end. Target: at most "
            f"{SLOWER:g} times as long, and {SLACK_MS:g} ms.",
            f"Archive: {sample.day_files} files of days took {size(sample.days_bytes)}, "
            f"{per_day:,.0f} bytes a message; put together by month they are {sample.month_files} "
            f"files of {size(sample.month_bytes)}, {per_month:,.0f} bytes a message. At {BIG:,} "
            f"messages that is {size(per_day * BIG)} and {size(per_month * BIG)}.",
        ],
        table_of(found, messages),
        ["a day's keys are found as quickly among many channels"] if slower else (),
    )
    print(result.keep("GROWTH.md", f"{before} before, {load()} after"))
    return 1 if result.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
