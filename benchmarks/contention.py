"""Importers and the CRM's live writer on one channel at the same time, with importers killed.

    python -m benchmarks.contention [--seconds 60] [--importers 4] [--writers 4]

Importers are processes that import account A over real HTTP, again and again, and are killed at
random (SIGKILL). Writers imitate the CRM's webhook (`live_writer.py`). At the end the writers have
delivered what they could, one last import runs undisturbed, and then everything must be as if there
had been one import alone: the same messages, each once, every proof holds. Exit 1 where it is not.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.imports import KEY_VARIABLE, Databases, databases
from benchmarks.live_writer import LiveWriter, deliveries
from ventros_pipeline import importer as importing
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel, add_channel, get_channel
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT, prove, prove_times
from ventros_pipeline.crm.database import connect
from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.importer import Importer, archived_times
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import Settings

START = date(2025, 7, 1)
# Small windows and short runs, so that a kill finds some days loaded and some not.
WINDOW_ROWS = 500
RUN_DAYS = 100
# Seconds without a loaded day after which an importer is killed all the same.
PATIENCE = 10.0
_LOADED = "SELECT sum(days_loaded) FROM history_sync.runs"
# Independent of our keys: what stands in the CRM's own table, by the stanza ids in it.
_STANZAS = """
    SELECT coalesce((regexp_match(
        channel_message_id,
        '^(?:true|false)_[^@]+@[a-z.]+_(.+?)(?:_[^_@]+(?:_\\d+)?(?::\\d+)?@[a-z.]+)?$'
    ))[1], channel_message_id) FROM messages WHERE deleted_at IS NULL"""


@dataclass
class Result:
    """What a contest came to.

    Attributes:
        counts: what was done, by name.
        problems: what does not hold; empty is well.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass
class Contest:
    """One channel, and everybody who writes on it."""

    engine: Engine
    url: str
    home: Path
    channel: Channel
    now: datetime
    result: Result = field(default_factory=Result)
    runs: int = 0

    @property
    def days(self) -> list[date]:
        return days_between(START, self.now.date())

    def fight(self, seconds: float, importers: int, writers: list[LiveWriter]) -> None:
        """Let everybody write for a while, and kill importers in between."""
        dice = random.Random(7)
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        running = [self._begin() for _ in range(importers)]
        until = time.monotonic() + seconds
        loaded, since = 0, time.monotonic()
        pause = dice.uniform(0.5, 3)
        while time.monotonic() < until:
            time.sleep(0.1)
            waited = time.monotonic() - since
            # On a busy machine importers that are killed by the clock would never load a day.
            if waited > PATIENCE or (waited > pause and _value(self.engine, _LOADED) > loaded):
                dice.choice(running).kill()
                loaded, since = _value(self.engine, _LOADED), time.monotonic()
                pause = dice.uniform(0.5, 3)
            running = [p if p.poll() is None else self._replaced(p) for p in running]
        for process in running:
            process.kill()
            process.wait()
        for thread, writer in zip(threads, writers, strict=True):
            writer.stop.set()
            thread.join()
            self.result.counts += Counter({f"webhook: {k}": n for k, n in writer.done.items()})

    def _begin(self) -> subprocess.Popen[bytes]:
        self.runs += 1
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.contention", "--as-importer"),
                *(self.url, str(self.channel.id), str(self.home), self.now.isoformat()),
                *(str(day) for day in self._next_days()),
            ],
            stderr=(self.home / f"importer-{self.runs}.err").open("wb"),
        )

    def _next_days(self) -> tuple[date, date]:
        """Give each importer other days than the one before it, the newest first."""
        last = len(self.days) - RUN_DAYS * self.runs % len(self.days)
        return self.days[max(0, last - RUN_DAYS)], self.days[last - 1]

    def _replaced(self, ended: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        outcome = {0: "imports ended", -9: "imports killed"}.get(ended.returncode, "imports failed")
        self.result.counts[outcome] += 1
        if outcome == "imports failed":
            self.result.problems.append(f"an import ended with exit code {ended.returncode}")
        return self._begin()


def import_once(
    engine: Engine, channel: Channel, home: Path, now: datetime, days: Sequence[date]
) -> str:
    """Import some days; return the run."""
    importing.WINDOW_ROWS = WINDOW_ROWS
    settings = Settings(
        home=home,
        history_start=START,
        waha_rate=100_000,
        waha_concurrency=64,
        _env_file=None,  # type: ignore[call-arg]
    )
    importer = Importer(engine, Archive(settings.archive_dir), settings, channel, str(uuid4()), now)
    ledger.start_run(engine, channel, importer.run_id, days[0], days[-1])
    importer.refresh_directory()
    for _ in importer.read_days(days):
        pass
    for _ in importer.load_days(days):
        pass
    ledger.end_run(engine, channel, importer.run_id)
    return importer.run_id


def contend(place: Databases, *, seconds: float, importers: int, writers: int) -> Result:
    """Run a contest on account A and judge it."""
    truth = json.loads((BUNDLED_ACCOUNT / "expected.json").read_bytes())
    now = datetime.fromtimestamp(truth["captured_at"], UTC)
    own_phone = truth["me"]["id"].partition("@")[0]
    lines = gzip.decompress((BUNDLED_ACCOUNT / "messages.ndjson.gz").read_bytes()).splitlines()
    work = deliveries([json.loads(line) for line in lines if line], own_phone)
    account = Account.load(BUNDLED_ACCOUNT)
    with ReplayServer(account, api_key="contest") as server:
        os.environ[KEY_VARIABLE] = "contest"
        with place.fresh() as engine:
            alone = _contest(engine, place, server.url, now)
            import_once(engine, alone.channel, alone.home, now, alone.days)
            expected = _stanzas(engine)
        with place.fresh() as engine:
            contest = _contest(engine, place, server.url, now)
            # Everybody delivers everything once in the time there is.
            pause = seconds / len(work)
            rivals = [
                LiveWriter(contest.url, contest.channel, work, seed, pause)
                for seed in range(writers)
            ]
            contest.fight(seconds, importers, rivals)
            run_id = import_once(engine, contest.channel, contest.home, now, contest.days)
            _judge(contest, run_id, expected)
    account.close()
    return contest.result


def _contest(engine: Engine, place: Databases, base_url: str, now: datetime) -> Contest:
    channel = add_channel(
        engine,
        session="default",
        base_url=base_url,
        api_key_env=KEY_VARIABLE,
        agent="Contest",
        allow_groups=True,
    )
    home = Path(tempfile.mkdtemp(prefix="home", dir=place.folder))
    return Contest(engine, engine.url.render_as_string(hide_password=False), home, channel, now)


def _stanzas(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(stanza for (stanza,) in connection.exec_driver_sql(_STANZAS))


def _judge(contest: Contest, run_id: str, expected: Counter[str]) -> None:
    """Compare with an import that nobody disturbed, and ask every proof."""
    engine, channel, result = contest.engine, contest.channel, contest.result
    there = _stanzas(engine)
    for says, found in (
        ("messages are lost", (expected - there).total()),
        ("messages are double, or nobody sent them", (there - expected).total()),
    ):
        result.counts[says] = found
        if found:
            result.problems.append(f"{found} {says}")
    days = [
        day
        for day, rows in Archive(contest.home / "archive").counts(channel.key, contest.days)
        if rows
    ]
    said = archived_times(Archive(contest.home / "archive"), channel.key, days)
    broken = {proof.promise: prove(engine, channel, proof, run_id).found for proof in PROOFS}
    broken[TIMES_KEPT.promise] = prove_times(engine, channel, days, said).found
    result.problems += [f"{n} times this does not hold: {says}" for says, n in broken.items() if n]
    for name, statement in _FIGURES.items():
        result.counts[name] = _value(engine, statement)
    for name in ("rows of the webhook deleted by nobody", "numbers with a contact of either side"):
        if result.counts[name]:
            result.problems.append(f"{result.counts[name]} {name}")


_FIGURES = {
    "messages": "SELECT count(*) FROM messages WHERE deleted_at IS NULL",
    "of the webhook, known to us": "SELECT count(*) FROM messages AS m JOIN "
    "history_sync.message_keys AS k ON k.message_id = m.id WHERE m.source = 'webhook'",
    "of the webhook, in the place of one of ours": "SELECT count(DISTINCT duplicate_of) "
    "FROM history_sync.message_keys AS k JOIN messages AS m ON m.id = k.duplicate_of "
    "WHERE m.source = 'webhook'",
    "rows of the webhook deleted by nobody": "SELECT count(*) FROM messages "
    "WHERE source = 'webhook' AND deleted_at IS NOT NULL AND metadata -> 'revoked' IS NULL",
    "contacts": "SELECT count(*) FROM contacts WHERE deleted_at IS NULL",
    "numbers with a contact of either side": "SELECT count(*) FROM (SELECT FROM contacts AS c "
    "LEFT JOIN history_sync.people AS p ON p.contact_id = c.id "
    "WHERE c.deleted_at IS NULL AND c.phone <> '' GROUP BY regexp_replace(c.phone, '\\D', '', 'g') "
    "HAVING count(*) > 1 AND bool_or(p.is_ours)) AS twins",
    "contacts of ours that gave way to the CRM's": "SELECT count(*) FROM history_sync.merges AS m "
    "JOIN history_sync.people AS p ON p.contact_id = m.kept WHERE NOT p.is_ours",
    "runs": "SELECT count(*) FROM history_sync.runs",
}


def _value(engine: Engine, statement: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(statement).scalar() or 0)


def days_between(first: date, last: date) -> list[date]:
    """Return all days from the first to the last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _as_importer(url: str, channel: str, home: str, now: str, first: str, last: str) -> None:
    engine = connect(url, application_name="contestant")
    days = days_between(date.fromisoformat(first), date.fromisoformat(last))
    moment = datetime.fromisoformat(now)
    import_once(engine, get_channel(engine, channel), Path(home), moment, days)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contest of the command line; print what was done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--importers", type=int, default=4)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--as-importer", nargs=6, help=argparse.SUPPRESS)
    given: Any = parser.parse_args(arguments)
    if given.as_importer:
        _as_importer(*given.as_importer)
        return 0
    with databases() as place:
        result = contend(
            place, seconds=given.seconds, importers=given.importers, writers=given.writers
        )
    table = Table("what", "how often", title=f"{given.seconds:.0f} s on one channel")
    for name, count in result.counts.items():
        table.add_row(name, f"{count:,}")
    console = Console()
    console.print(table)
    for problem in result.problems:
        console.print(f"does not hold: {problem}", style="red")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
