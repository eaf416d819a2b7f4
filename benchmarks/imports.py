"""Whole imports, each into a database of its own, as the matrix asks for them with `--import`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import stamina
from sqlalchemy import Engine

from benchmarks.accounts import ATTEMPTS, honest_times
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import embedded, ledger
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.checks import PROOFS, prove
from ventros_pipeline.crm.database import connect, libpq_url, normalise_url
from ventros_pipeline.crm.migrate import migrate
from ventros_pipeline.importer import Importer
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.truth import Fact, Key
from ventros_pipeline.settings import Settings
from ventros_pipeline.waha.errors import WahaNotReadyError

KEY_VARIABLE = "VENTROS_BENCH_WAHA_KEY"
SKIPPED = ("@newsletter", "@broadcast", "@bot")
REQUEUES = 25
_numbers = count(1)


@dataclass(frozen=True)
class Databases:
    """A Postgres server for as long as the matrix runs."""

    server: embedded.EmbeddedServer
    folder: Path

    @contextmanager
    def fresh(self) -> Iterator[Engine]:
        """Give a migrated database that goes when the block ends."""
        name = f"matrix_{next(_numbers)}"
        root = normalise_url(self.server.url).set(database="postgres")
        with psycopg.connect(
            libpq_url(root.render_as_string(hide_password=False)), autocommit=True
        ) as session:
            session.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
            engine = connect(root.set(database=name).render_as_string(hide_password=False))
            migrate(engine)
            yield engine
            engine.dispose()
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


@contextmanager
def databases() -> Iterator[Databases]:
    """Start a server for throw-away databases."""
    stamina.instrumentation.set_on_retry_hooks([])
    folder = Path(tempfile.mkdtemp(prefix="vb", dir="/tmp"))
    server = embedded.start(folder / "pg", settings={"fsync": "off", "full_page_writes": "off"})
    try:
        yield Databases(server, folder)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def is_imported(key: Key, fact: Fact, own_addresses: tuple[str, ...]) -> bool:
    """Say whether a row of WAHA is to be a message in the CRM."""
    chat = key[0]
    return fact.kind != "revoked" and chat not in own_addresses and not chat.endswith(SKIPPED)


def import_all(databases: Databases, server: ReplayServer, limit: int) -> tuple[set[Key], int]:
    """Import an account whole; return the keys in the CRM, and how often it was put back.

    Raises:
        AssertionError: a proof does not hold afterwards.
    """
    os.environ[KEY_VARIABLE] = server.api_key or "none"
    home = Path(tempfile.mkdtemp(prefix="home", dir=databases.folder))
    with databases.fresh() as engine, stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        channel = add_channel(
            engine,
            session="default",
            base_url=server.url,
            api_key_env=KEY_VARIABLE,
            agent="Matrix",
            allow_groups=True,
        )
        importer, requeued = _carry_out(engine, channel, server, home, limit)
        for proof in PROOFS:
            found = prove(engine, channel, proof, importer.run_id).found
            assert not found, f"{found} times this does not hold: {proof.promise}"
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT k.address, k.stanza_id FROM history_sync.message_keys AS k "
                "INNER JOIN messages AS m ON m.id = k.message_id"
            )
            keys = {(address, stanza) for address, stanza in rows}
    shutil.rmtree(home, ignore_errors=True)
    return keys, requeued


def _carry_out(
    engine: Engine, channel: Channel, server: ReplayServer, home: Path, limit: int
) -> tuple[Importer, int]:
    times = [stamp for stamps in honest_times(server.truth).values() for stamp in stamps]
    first = datetime.fromtimestamp(min(times), UTC).date()
    now = datetime.fromtimestamp(max(times), UTC) + timedelta(hours=1)
    settings = Settings(
        home=home,
        history_start=first,
        page_size=limit,
        request_attempts=ATTEMPTS,
        waha_rate=100_000,
        _env_file=None,  # type: ignore[call-arg]
    )
    importer = Importer(engine, Archive(settings.archive_dir), settings, channel, str(uuid4()), now)
    days = [first + timedelta(days=n) for n in range((now.date() - first).days + 1)]
    ledger.start_run(engine, channel, importer.run_id, days[0], days[-1])
    requeued = _read(importer, days)
    for _ in importer.load_days(days):
        pass
    ledger.end_run(engine, channel, importer.run_id)
    return importer, requeued


def _read(importer: Importer, days: Sequence[date]) -> int:
    """Read as the orchestrator does: again, when the session is not ready; return how often."""
    for requeued in range(REQUEUES):
        try:
            importer.refresh_directory()
            for _ in importer.read_days(days):
                pass
        except WahaNotReadyError:
            continue
        return requeued
    raise AssertionError(f"the session was not ready {REQUEUES} times")
