"""What all hosts share: Postgres, Redis, S3, replayed WAHA servers, the fleet's channels.

What belongs here: making it, and what an import leaves in it. What does not: workers and what
befalls them (`trials.py`).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import embedded, lifecycle
from ventros_pipeline.crm.channels import Channel, add_channel, get_channel, list_channels
from ventros_pipeline.crm.checks import PROOFS, prove
from ventros_pipeline.crm.database import connect, libpq_url, normalise_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.migrate import migrate
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests import buckets
from ventros_pipeline_tests.conftest import FAST, in_database, statement
from ventros_pipeline_tests.crashes.trials import KNOWN
from ventros_pipeline_tests.hosts.network import MIDDLE, NETWORK
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, World, content
from ventros_pipeline_tests.served import wait_for

VENTROS = Path(sys.executable).with_name("ventros")
DAYS, RUN_DAYS, CHATS = 60, 20, 12
REDIS_PORT = 6390
# Connections of Postgres to the CRM and to Dagster's database, the harness's own left out.
CONNECTIONS = """
    SELECT
        count(*) FILTER (WHERE datname = current_database()),
        count(*) FILTER (WHERE datname <> current_database())
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name NOT LIKE 'hosts-%%'"""


@dataclass(frozen=True)
class Size:
    """How large a fleet is, and how slow its WAHA."""

    channels: int = 6
    servers: int = 3
    messages: int = 1500
    latency_ms: int = 300
    page_size: int = 50


@dataclass
class Place:
    """A fleet that nothing has been imported of, to be copied for each trial."""

    server: EmbeddedServer
    folder: Path
    bucket: str
    waha: list[ReplayServer]
    size: Size
    first: date
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """Return the address of a database as any host reaches it."""
        url = normalise_url(self.server.url).set(
            database=database, host=MIDDLE, port=5432, query={}
        )
        return libpq_url(url)

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """Give a fleet with databases and an archive of its own."""
        name = f"fleet_{next(self._numbers)}"
        for database, template in ((name, "TEMPLATE fleet"), (f"{name}_dagster", "")):
            statement(self.server.url, f"CREATE DATABASE {database} {template}")
        subprocess.run(
            ["redis-cli", "-h", MIDDLE, "-p", str(REDIS_PORT), "FLUSHALL"],
            check=True,
            capture_output=True,
        )
        engine = connect(self.url(name), application_name="hosts-harness")
        folder = self.folder / name
        folder.mkdir()
        try:
            yield Fleet(self, name, engine, folder)
        finally:
            engine.dispose()
            for database in (name, f"{name}_dagster"):
                statement(self.server.url, f"DROP DATABASE {database} WITH (FORCE)")
            shutil.rmtree(folder)


@dataclass
class Fleet:
    """One copy of the fleet, to be imported by some hosts."""

    place: Place
    name: str
    engine: Any
    folder: Path

    @property
    def channels(self) -> list[Channel]:
        """All channels, by key."""
        return list_channels(self.engine)

    def home(self, host: str) -> Path:
        """Return the home of a host, which no other uses."""
        home = self.folder / host
        home.mkdir(exist_ok=True)
        return home

    @property
    def archive(self) -> str:
        """Where the archive lies, in the bucket that all hosts reach."""
        return f"{self.place.bucket}/{self.name}"

    def environment(self, host: str, runs: int) -> dict[str, str]:
        """Return the settings of a host."""
        return {
            "VENTROS_HOME": str(self.home(host)),
            "VENTROS_ARCHIVE_URI": self.archive,
            "VENTROS_DATABASE_URL": self.place.url(self.name),
            "VENTROS_DAGSTER_DATABASE_URL": self.place.url(f"{self.name}_dagster"),
            "VENTROS_HISTORY_START": self.place.first.isoformat(),
            "VENTROS_RUN_DAYS": str(RUN_DAYS),
            "VENTROS_PAGE_SIZE": str(self.place.size.page_size),
            "VENTROS_WAHA_RATE": "8",
            "VENTROS_CONCURRENT_RUNS": str(runs),
            KEY_VARIABLE: KEY,
        }

    def state(self) -> dict[str, Any]:
        """Return what the import left, without runs and moments."""
        world = World(self.engine, self.folder, self.channels[0], self.place.first)
        state: dict[str, Any] = dict(content(world))
        for name, query in KNOWN.items():
            state[name] = sorted(str(row) for row in world.rows(query))
        archive = Archive(self.archive)
        state["archive"], state["proofs"] = [], {}
        for channel in self.channels:
            rows = archive.read(channel.key, archive.days(channel.key))
            state["archive"] += sorted(rows.select("day", "row_key", "payload").iter_rows())
            for proof in PROOFS:
                if found := prove(self.engine, channel, proof, None).found:
                    state["proofs"][channel.key, proof.name] = found
        return state


@contextmanager
def place(size: Size) -> Iterator[Place]:
    """Make everything that hosts share; the network has to be there."""
    with ExitStack() as things:
        folder = Path(tempfile.mkdtemp(prefix="vthosts", dir="/tmp"))
        things.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        hba = folder / "pg_hba.conf"
        hba.write_text(f"local all all trust\nhost all all {NETWORK}.0/24 trust\n")
        server = embedded.start(
            folder / "pg", settings={**FAST, "listen_addresses": MIDDLE, "hba_file": str(hba)}
        )
        things.callback(server.stop)
        things.enter_context(_redis(folder))
        bucket = things.enter_context(buckets.serving(MIDDLE)).uri
        until = datetime.now(UTC) - timedelta(hours=3)
        first = (until - timedelta(days=DAYS)).date()
        accounts = [_account(folder / str(n), n, until, size) for n in range(size.channels)]
        for account in accounts:
            things.callback(account.close)
        waha = [
            things.enter_context(
                ReplayServer(
                    one, others=others, api_key=KEY, latency_ms=size.latency_ms, host=MIDDLE
                )
            )
            for one, *others in (accounts[n :: size.servers] for n in range(size.servers))
        ]
        statement(server.url, "CREATE DATABASE fleet")
        engine = connect(in_database(server.url, "fleet"))
        migrate(engine)
        for number in range(size.channels):
            url = waha[number % size.servers].url
            _channel(engine, number, url)
        engine.dispose()
        yield Place(server, folder, bucket, waha, size, first)


def _account(folder: Path, number: int, until: datetime, size: Size) -> Account:
    generate(
        folder,
        messages=size.messages,
        chats=CHATS,
        days=DAYS - 1,
        seed=number,
        nasty=True,
        until=int(until.timestamp()),
    )
    account = Account.load(folder)
    account.session["name"] = f"s{number}"
    return account


def _channel(engine: Any, number: int, url: str) -> None:
    added = add_channel(
        engine,
        session=f"s{number}",
        base_url=url,
        api_key_env=KEY_VARIABLE,
        agent="Hosts",
        allow_groups=True,
    )
    lifecycle.enable(engine, get_channel(engine, added.key))


def _listens(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "redis-server has ended; its log says why"
    with suppress(OSError), socket.create_connection((MIDDLE, REDIS_PORT), timeout=1):
        return True
    return False


@contextmanager
def _redis(folder: Path) -> Iterator[None]:
    options = ["--bind", MIDDLE, "--port", str(REDIS_PORT), "--save", "", "--dir", str(folder)]
    options += ["--protected-mode", "no"]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
    try:
        wait_for("Redis", lambda: _listens(process) or None)
        yield
    finally:
        process.terminate()
        process.wait()


def environment_of_engine(url: str, port: int, code_port: int) -> dict[str, str]:
    """Return the settings that hand runs to workers, the same on all hosts."""
    return {
        "VENTROS_ENGINE": "celery",
        "VENTROS_BROKER_URL": url,
        "VENTROS_CODE_SERVER": f"{MIDDLE}:{code_port}",
        "VENTROS_UI_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
