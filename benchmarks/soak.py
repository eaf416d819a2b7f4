"""A long day: a hostile server that changes meanwhile, a bad line, two importers; then the count.

    python -m benchmarks.soak [--seconds 600] [--engine noweb] [--messages 20000] [--seed 1]

Importers are processes that import days and make passes, one channel between them, and go on after
whatever went wrong. When the time is over the server and the line behave, and one import has the
last word. Then the CRM must hold what WAHA holds: nothing missing, nothing extra, every balance
closed, every proof. Exit 1 where it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import stamina
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.accounts import ATTEMPTS, own_addresses
from benchmarks.contention import days_between
from benchmarks.imports import KEY_VARIABLE, Databases, databases, is_imported
from benchmarks.proxy import Proxy
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import add_channel, get_channel
from ventros_pipeline.crm.checks import PROOFS, prove
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.turns import ChannelBusyError, channel_turn
from ventros_pipeline.importer import Importer
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.live import LiveChanges
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import Settings
from ventros_pipeline.syncing import sync

KEY = "soak"
DAYS, CHATS = 120, 60
# One import reads and loads so many days.
SPAN = 45
_CLOSED = """
    SELECT count(*) FROM history_sync.balance WHERE seen <>
        inserted + updated + unchanged + duplicate + filtered + quarantined"""
_STORED = """
    SELECT k.address, k.stanza_id FROM history_sync.message_keys AS k
    INNER JOIN messages AS m ON m.id = k.message_id"""


def soak(
    place: Databases, *, seconds: float, engine: str, messages: int, seed: int
) -> tuple[Counter[str], list[str]]:
    """Run it; return what was done, by name, and what does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="soak", dir=place.folder))
    generate(
        folder / "account",
        messages=messages,
        chats=CHATS,
        days=DAYS,
        seed=seed,
        nasty=True,
        until=int(time.time()) - 3600,
    )
    live = LiveChanges(seed=seed, every=4, most=10**9)
    os.environ[KEY_VARIABLE] = KEY
    with (
        ReplayServer(
            folder / "account",
            api_key=KEY,
            engine=engine,
            faults="hostile",
            seed=seed,
            pace=0.05,
            live=live,
        ) as server,
        Proxy(int(server.url.rpartition(":")[2]), seed) as line,
        place.fresh() as database,
    ):
        channel = add_channel(
            database,
            session="default",
            base_url=f"http://127.0.0.1:{line.port}",
            api_key_env=KEY_VARIABLE,
            agent="Soak",
            allow_groups=True,
        )
        done = _hold(database, str(channel.id), folder, seconds)
        # The day is over: nothing changes any more, and everybody behaves.
        live.most, server.control.fault, line.calm = 0, None, True
        last = _last_word(database, str(channel.id), folder)
        done.update({f"of the line: {name}": n for name, n in line.met.items()})
        done.update({f"of the server: {n}": c for n, c in server.stats.faults.items()})
        done["changes of the account meanwhile"] = len(live.done)
        problems = _judge(database, last, server, own_addresses(folder / "account"), done)
    return done, problems


def _hold(engine: Engine, channel: str, folder: Path, seconds: float) -> Counter[str]:
    """Let two importers work for a while; return what they did."""
    url = engine.url.render_as_string(hide_password=False)
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.soak", "--as-importer"),
                *(url, channel, str(folder), str(time.time() + seconds), str(number)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    done: Counter[str] = Counter()
    for worker in workers:
        told, _ = worker.communicate()
        if worker.returncode:
            raise RuntimeError(f"an importer ended with exit code {worker.returncode}")
        done += Counter(json.loads(told.splitlines()[-1]))
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT sum(requests), sum(retries), sum(messages_read) FROM history_sync.runs"
        ).one()
    for name, number in zip(("requests", "retries", "messages read"), row, strict=True):
        done[name] = int(number or 0)
    return done


def _importer(engine: Engine, channel: str, folder: Path) -> tuple[Importer, list[date]]:
    now = datetime.now(UTC)
    first = (now - timedelta(days=DAYS + 2)).date()
    settings = Settings(
        home=folder / "home",
        history_start=first,
        page_size=100,
        request_attempts=ATTEMPTS,
        waha_rate=100_000,
        directory_max_age=5,
        _env_file=None,  # type: ignore[call-arg]
    )
    importer = Importer(
        engine,
        Archive(settings.archive_dir),
        settings,
        get_channel(engine, channel),
        str(uuid4()),
        now,
    )
    return importer, days_between(first, now.date())


def _import(importer: Importer, days: Sequence[date]) -> None:
    importer.refresh_directory()
    for _ in importer.read_days(days):
        pass
    for _ in importer.load_days(days):
        pass


def _work(engine: Engine, channel: str, folder: Path, dice: random.Random) -> str:
    """Import some days, or make a pass; return what was done."""
    importer, days = _importer(engine, channel, folder)
    ledger.start_run(engine, importer.channel, importer.run_id, days[0], days[-1])
    error: str | None = None
    try:
        with channel_turn(engine, importer.channel, wait=30):
            if dice.random() < 0.5:
                sync(importer, reread_days=3)
                return "passes"
            begin = dice.randrange(len(days) - SPAN)
            _import(importer, days[begin : begin + SPAN])
            return "imports of 45 days"
    except ChannelBusyError:
        return "the channel was busy"
    except Exception as failed:  # noqa: BLE001 -- what fails is counted, and tried again
        error = type(failed).__name__
        return f"failed: {error}"
    finally:
        ledger.end_run(engine, importer.channel, importer.run_id, error=error)


def _last_word(engine: Engine, channel: str, folder: Path) -> Importer:
    """Read and load every day twice: what is revoked shows at the second look."""
    for _ in range(2):
        importer, days = _importer(engine, channel, folder)
        ledger.start_run(engine, importer.channel, importer.run_id, days[0], days[-1])
        _import(importer, days)
        ledger.end_run(engine, importer.channel, importer.run_id)
    return importer


def _judge(
    engine: Engine,
    last: Importer,
    server: ReplayServer,
    own: tuple[str, ...],
    done: Counter[str],
) -> list[str]:
    with engine.connect() as connection:
        stored = {tuple(row) for row in connection.exec_driver_sql(_STORED)}
        unclosed = connection.exec_driver_sql(_CLOSED).scalar_one()
    truth = server.truth
    now = {key for key, fact in truth.now.items() if is_imported(key, fact, own)}
    done["messages of WAHA at the end"] = len(now)
    done["messages stored"] = len(stored)
    found = {
        "messages are missing": len(now - stored),
        "messages are extra": len(stored - truth.everything.keys()),
        "balances are not closed": unclosed,
    }
    done.update(found)
    for proof in PROOFS:
        found[f"times this does not hold: {proof.promise}"] = prove(
            engine, last.channel, proof, last.run_id
        ).found
    return [f"{number} {says}" for says, number in found.items() if number]


def _as_importer(url: str, channel: str, folder: str, until: str, number: str) -> None:
    """Work until the time is over; the last line says how often what was done."""
    stamina.instrumentation.set_on_retry_hooks([])
    stamina.set_testing(True, attempts=ATTEMPTS, cap=True)
    engine = connect(url, application_name="soak")
    dice, done = random.Random(int(number)), Counter[str]()
    while time.time() < float(until):
        done[_work(engine, channel, Path(folder), dice)] += 1
    print(json.dumps(done), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it for the command line; print what was done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--engine", choices=("noweb", "gows", "webjs", "wpp"), default="noweb")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--as-importer", nargs=5, help=argparse.SUPPRESS)
    given: Any = parser.parse_args(arguments)
    if given.as_importer:
        _as_importer(*given.as_importer)
        return 0
    with databases() as place:
        done, problems = soak(
            place,
            seconds=given.seconds,
            engine=given.engine,
            messages=given.messages,
            seed=given.seed,
        )
    table = Table("what", "how often", title=f"{given.seconds:.0f} s on {given.engine.upper()}")
    for name, number in done.items():
        table.add_row(name, f"{number:,}")
    console = Console()
    console.print(table)
    for problem in problems:
        console.print(f"does not hold: {problem}", style="red")
    return 1 if problems else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # No server of ours stays behind.
    sys.exit(main())
