"""Accounts, databases and child processes that the rows measure with.

What belongs here: where things are, and making them. What does not: what is measured on them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from benchmarks.speed.machine import SETTINGS
from benchmarks.speed.serving import KEY, served
from ventros_pipeline.crm import embedded
from ventros_pipeline.crm.channels import add_channel
from ventros_pipeline.crm.database import connect, libpq_url, normalise_url
from ventros_pipeline.crm.migrate import migrate
from ventros_pipeline.replay.generate import UNTIL, generate

KEY_VARIABLE = "VENTROS_BENCH_WAHA_KEY"
DAY = 86_400
# Bytes on disk for one message, measured: tables 2,300, the server's file 1,000; archive, account
# and WAL come on top. The big account's tables are copied for each thing that is held against them.
DISK_PER_MESSAGE, DISK_FOR_COPIES = 4_500, 15_000
_TEMPLATE = "bench_template"


@dataclass(frozen=True)
class Account:
    """A generated account.

    Attributes:
        first: its first day, which begins the calendar.
        last: its last day.
    """

    folder: Path
    messages: int
    first: date
    last: date

    @property
    def moment(self) -> datetime:
        """A while after its last message."""
        return datetime.combine(self.last, datetime.min.time(), UTC) + timedelta(days=1)


@dataclass(frozen=True)
class Channel:
    """A channel that a child process imports.

    Attributes:
        dagster: address of Dagster's own database, made as `ventros up` makes it.
    """

    database: str
    key: str
    home: Path
    url: str
    dagster: str


@dataclass(frozen=True)
class Archived:
    """An account that was read once, for rows that begin there.

    Attributes:
        channel: its archive is whole, and nothing is loaded.
        reading: what the child said of reading.
    """

    account: Account
    channel: Channel
    reading: dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """The same, loaded into a copy of the database.

    Attributes:
        loading: what the child said of loading.
    """

    account: Account
    loaded: Channel
    reading: dict[str, Any]
    loading: dict[str, Any]

    @property
    def port(self) -> int:
        """Where its server must listen to be the same channel's."""
        return int(self.loaded.url.rpartition(":")[2])


@dataclass
class Bench:
    """Everything that the rows share.

    Attributes:
        folder: generated accounts stay here, so that the next run begins at once.
        work: everything else; it goes when the run ends.
        short: whether the sizes are scaled down.
        small: messages of the small account.
        big: messages of the big account.
        largest: messages of an account for memory and growth alone; the big one's, or more.
        repeats: pairs to measure.
        concurrency: requests that may be in flight at one time.
        details: where time went, in Markdown, by what was measured.
    """

    folder: Path
    work: Path
    server: embedded.EmbeddedServer
    short: bool
    small: int
    big: int
    largest: int
    repeats: int
    concurrency: int
    details: dict[str, str] = field(default_factory=dict)
    _archived: dict[int, Archived] = field(default_factory=dict)
    _imported: dict[int, Imported] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def account(self, messages: int, *, seed: int = 7) -> Account:
        """Return an account of ordinary shape: a year, a chat for about 700 messages."""
        chats = min(2000, max(40, messages // 700))
        return self._account(messages, chats, 365, seed, UNTIL)

    def reference(self, part: int = 1) -> Account:
        """Return the reference set, up to today, or one part of so many of it."""
        until = int(time.time()) // DAY * DAY - 1
        return self._account(5683 // part, 1172 // part, 180, 7, until, bursts=0)

    def _account(
        self, messages: int, chats: int, days: int, seed: int, until: int, **how: Any
    ) -> Account:
        name = f"{messages}-{chats}-{days}-{seed}-{until}"
        folder = self.folder / "accounts" / name
        if not folder.exists():
            say(f"generating an account of {messages:,} messages")
            half = folder.with_suffix(f".{os.getpid()}")
            generate(half, messages=messages, chats=chats, days=days, seed=seed, until=until, **how)
            half.rename(folder)
        first = datetime.fromtimestamp(until - days * DAY, UTC).date()
        return Account(folder, messages, first, datetime.fromtimestamp(until, UTC).date())

    # -- databases --------------------------------------------------------------------------

    def session(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect to a database of the server, each statement for itself."""
        return psycopg.connect(libpq_url(self.url(database)), autocommit=True)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        address = normalise_url(self.server.url).set(database=database)
        return address.render_as_string(hide_password=False)

    def foreign_url(self, database: str) -> str:
        """Return the address for programs that insist on a host and a password.

        libpq takes the host of the query, which is the socket's folder.
        """
        socket = quote(str(normalise_url(self.server.url).query["host"]), safe="")
        return f"postgres://postgres:none@localhost:5432/{database}?host={socket}"

    def prepare(self) -> None:
        """Make the database that the others are copied from: migrated and empty."""
        with self.session() as session:
            session.execute(f"CREATE DATABASE {_TEMPLATE}")
        engine = connect(self.url(_TEMPLATE))
        migrate(engine)
        engine.dispose()

    def copied(self, database: str = _TEMPLATE) -> str:
        """Return a new copy of a database, written to disk, so that the copying costs nobody."""
        name = f"bench_{next(self._numbers)}"
        with self.session() as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {database} STRATEGY FILE_COPY")
            session.execute("CHECKPOINT")
        return name

    def drop(self, *databases: str) -> None:
        """Give the disk back."""
        with self.session() as session:
            for name in databases:
                session.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def home(self) -> Path:
        """Return a new folder for an archive and Dagster's files."""
        return Path(tempfile.mkdtemp(prefix="home-", dir=self.work))

    def channel(self, database: str, url: str) -> Channel:
        """Add a channel to a database, with a home of its own."""
        engine = connect(self.url(database))
        added = add_channel(
            engine,
            session="default",
            base_url=url,
            api_key_env=KEY_VARIABLE,
            agent="Bench",
            allow_groups=True,
        )
        engine.dispose()
        return Channel(database, added.key, self.home(), url, self._bookkeeping())

    def _bookkeeping(self) -> str:
        """Make Dagster's own database, with its tables, as the CRM's is made beforehand."""
        from ventros_pipeline.storage import PooledPostgresStorage

        address = self.server.bookkeeping_url(f"dagster_{next(self._numbers)}")
        url = normalise_url(address, driver="psycopg2").render_as_string(hide_password=False)
        PooledPostgresStorage(url)  # Keeps no connection before it is used.
        return address

    def archived(self, messages: int) -> Archived:
        """Return an account that was read without Dagster; the first call does it."""
        if messages not in self._archived:
            account = self.account(messages)
            with served(account.folder) as server:
                channel = self.channel(self.copied(), server.url)
                reading = self.child("read", channel, account)
            self._archived[messages] = Archived(account, channel, reading)
        return self._archived[messages]

    def imported(self, messages: int) -> Imported:
        """Return an account that was read and loaded without Dagster; the first call does it."""
        if messages not in self._imported:
            archived = self.archived(messages)
            loaded = replace(archived.channel, database=self.copied(archived.channel.database))
            loading = self.child("load", loaded, archived.account)
            self._imported[messages] = Imported(archived.account, loaded, archived.reading, loading)
        return self._imported[messages]

    # -- children ---------------------------------------------------------------------------

    def child(self, task: str, channel: Channel, account: Account, **more: Any) -> dict[str, Any]:
        """Run a task of `child.py` in a process of its own; return what it says.

        Raises:
            RuntimeError: it failed; the end of what it wrote is in the text.
        """
        given = {
            "task": task,
            "database": self.url(channel.database),
            "channel": channel.key,
            "home": str(channel.home),
            "url": channel.url,
            "dagster": channel.dagster,
            "first": account.first.isoformat(),
            "last": account.last.isoformat(),
            "now": account.moment.isoformat(),
            "concurrency": self.concurrency,
            **more,
        }
        return run_child([sys.executable, "-m", "benchmarks.speed.child"], given, self._variables())

    @staticmethod
    def _variables() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTROS")}
        return {**kept, KEY_VARIABLE: KEY}


def run_child(
    command: list[str], task: Mapping[str, Any], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Run a program that takes its task as JSON and ends with a line of JSON.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [*command, json.dumps(task)],
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{task.get('task', command[-1])} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


@contextmanager
def bench(folder: Path, **sizes: Any) -> Iterator[Bench]:
    """Start a database server; it and all it held are gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    server = embedded.start(work / "pg", settings=SETTINGS)
    try:
        made = Bench(folder, work, server, **sizes)
        made.prepare()
        yield made
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


def say(text: str) -> None:
    """Tell whoever waits; the table alone goes to standard output."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)
