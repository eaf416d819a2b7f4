"""Trials: an import that meets an incident, is begun again, and must end as one that met none.

What belongs here: the two accounts that are imported, which steps are tried, and what must be the
same afterwards. What does not: how an incident happens (`steps.py`, `victim.py`).
"""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from benchmarks.live_writer import LiveWriter, deliveries
from ventros_pipeline.crm import embedded
from ventros_pipeline.crm.channels import Channel, add_channel, get_channel
from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.migrate import migrate
from ventros_pipeline.replay.generate import UNTIL, generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.conftest import FAST, in_database, statement
from ventros_pipeline_tests.crashes import disks, steps
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, World, content

MESSAGES, CHATS, DAYS = 110, 8, 16
FIRST = (datetime.fromtimestamp(UNTIL, UTC) - timedelta(days=DAYS)).date()
LAST = datetime.fromtimestamp(UNTIL, UTC).date()
PATIENCE = 60.0
# What `history_sync` says of days and people, without runs and moments. A day that is read again
# may be known better, so of its state only that it is known.
KNOWN = {
    # Without the moment of the read, as the clock here is the machine's own.
    "keys": "SELECT to_jsonb(k) - 'inserted_by_run' - 'changed_by_run' - 'read_at' AS row"
    " FROM history_sync.message_keys AS k",
    "coverage": "SELECT day, rows_known FROM history_sync.coverage WHERE state <> 'unknown'",
    "balance": "SELECT DISTINCT ON (channel_id, day) channel_id, day, seen, filtered, quarantined,"
    " seen - inserted - updated - unchanged - duplicate - filtered - quarantined AS open"
    " FROM history_sync.balance ORDER BY channel_id, day, loaded_at DESC",
    "quarantine": "SELECT day, reason, row_hash FROM history_sync.quarantine",
    "people": "SELECT i.address, c.phone, c.name FROM history_sync.identities AS i"
    " JOIN public.contacts AS c ON c.id = i.contact_id",
    "import": "SELECT history_import_status FROM public.channels",
}


@dataclass(frozen=True)
class Start:
    """Where trials begin: databases to copy, and the archive as it is then.

    Attributes:
        name: what the import has to do.
        database: the CRM with the channel.
        dagster: Dagster's records.
        home: with the archive.
    """

    name: str
    database: str
    dagster: str
    home: Path


@dataclass(frozen=True)
class Trial:
    """An incident at a step."""

    start: Start
    step: tuple[str, int]
    incident: str


@dataclass
class Outcome:
    """What became of a trial.

    Attributes:
        code: how the process with the incident ended; negative by a signal, 0 where it went on.
        problems: what was not as after an import without incident; empty is well.
    """

    trial: Trial
    code: int
    problems: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A database server, two replayed WAHA servers, and a process that forks imports."""

    server: EmbeddedServer
    folder: Path
    processes: subprocess.Popen[str]
    channel: str = ""
    starts: list[Start] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    _steps: dict[str, list[str]] = field(default_factory=dict)

    def prepare(self, now: str, earlier: str) -> None:
        """Make the two starts: nothing imported yet, and imported when there was less."""
        for name in ("fresh", "fresh_dagster"):
            statement(self.server.url, f"CREATE DATABASE {name}")
        engine = connect(in_database(self.server.url, "fresh"))
        migrate(engine)
        channel = add_channel(
            engine,
            session="default",
            base_url=now,
            api_key_env=KEY_VARIABLE,
            agent="History",
            allow_groups=True,
        )
        self.channel = str(channel.id)
        store_live_rows(engine, channel, self.folder / "now")
        engine.dispose()
        home = self.folder / "fresh-home"
        home.mkdir()
        first = Start("a first import", "fresh", "fresh_dagster", home)
        with self._copy(first, keep="again") as world:
            self._point(world, earlier)
            assert self._run(world, None, "kill")[0] == 0, self._errors(world)
            self._point(world, now)
        again = Start("an import of what has changed", "again", "again_dagster", world.home)
        self.starts += [first, again]

    @staticmethod
    def _point(world: World, url: str) -> None:
        world.change_channel(f"config = config || jsonb_build_object('base_url', '{url}'::text)")

    def steps_of(self, start: Start) -> list[str]:
        """Return the steps of an undisturbed import, in order; the first call makes it."""
        if start.name not in self._steps:
            with self._copy(start) as world:
                code, seen = self._run(world, None, "kill")
                assert code == 0, self._errors(world)
                self._steps[start.name] = seen
                self.expected[start.name] = self._state(world)
        return self._steps[start.name]

    def carry_out(self, trial: Trial) -> Outcome:
        """Let an import meet an incident, begin it again, and compare."""
        self.steps_of(trial.start)
        with self._copy(trial.start) as world, self._small_disk(trial, world) as disk:
            if disk is None:
                code, _ = self._run(world, trial.step, trial.incident)
            else:
                with disks.filled(disk, float(trial.step[0].split()[0])):
                    code, _ = self._run(world, None, "kill")
            outcome = Outcome(trial, code)
            if code == -signal.SIGALRM:
                outcome.problems.append("it hung")
            self._wait_for_the_dead(world)
            if code:
                code, _ = self._run(world, None, "kill")
                if code:
                    outcome.problems.append(f"begun again, it failed: {self._errors(world)}")
                    return outcome
            outcome.problems += differences(self._state(world), self.expected[trial.start.name])
            return outcome

    @contextmanager
    def _small_disk(self, trial: Trial, world: World) -> Iterator[Path | None]:
        """Yield the disk that a trial fills; None where it fills none."""
        if trial.incident == disks.OF_THE_SERVER:
            yield self.server.directory.parent
        elif trial.incident == disks.OF_THE_ARCHIVE:
            archive, aside = world.home / "archive", world.home / "aside"
            archive.mkdir(exist_ok=True)
            shutil.copytree(archive, aside)
            with disks.small_disk(archive, disks.ARCHIVE_MEGABYTES):
                shutil.copytree(aside, archive, dirs_exist_ok=True)
                yield archive
        else:
            yield None

    # -- one import ---------------------------------------------------------------------------

    @contextmanager
    def _copy(self, start: Start, *, keep: str = "") -> Iterator[World]:
        name = keep or f"trial_{next(self._numbers)}"
        names = name, f"{name}_dagster"
        home = self.folder / f"{name}-home"
        shutil.copytree(start.home, home)
        for name, template in zip(names, (start.database, start.dagster), strict=True):
            statement(self.server.url, f"CREATE DATABASE {name} TEMPLATE {template}")
        # Copied sequences write no WAL for their next numbers before it: a server that was killed
        # gave out numbers anew that rows had, which only a database just copied can see.
        statement(self.server.url, "CHECKPOINT")
        engine = connect(in_database(self.server.url, names[0]))
        now = datetime.fromtimestamp(UNTIL, UTC) + timedelta(hours=1)
        yield World(engine, home, get_channel(engine, self.channel), FIRST, now)
        engine.dispose()
        if keep:
            return
        for name in names:
            statement(self.server.url, f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(home)

    def _run(
        self, world: World, at: tuple[str, int] | None, incident: str
    ) -> tuple[int, list[str]]:
        database = world.engine.url.database or ""
        task = {
            "at": at,
            "incident": incident,
            "channel": self.channel,
            "last": LAST.isoformat(),
            "database": in_database(self.server.url, database),
            "seen": str(world.home / "steps.json"),
            "errors": str(world.home / "errors.txt"),
            "environment": {
                "VENTROS_HOME": str(world.home),
                "VENTROS_DATABASE_URL": in_database(self.server.url, database),
                "VENTROS_DAGSTER_DATABASE_URL": in_database(self.server.url, f"{database}_dagster"),
                "VENTROS_HISTORY_START": FIRST.isoformat(),
                "VENTROS_WAHA_RATE": "100000",
                "VENTROS_DIRECTORY_MAX_AGE": "0",
                KEY_VARIABLE: KEY,
            },
        }
        answer = ask(self.processes, task)
        seen = world.home / "steps.json"
        return answer["code"], json.loads(seen.read_text()) if seen.exists() else []

    def _wait_for_the_dead(self, world: World) -> None:
        """Wait until the server has noticed that a process is gone; bring it back if it was it."""
        embedded.start(self.server.directory)
        until = time.monotonic() + PATIENCE
        world.engine.dispose()
        alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"
        while world.value(alive, name=steps.VICTIM) and time.monotonic() < until:
            time.sleep(0.01)

    def _state(self, world: World) -> dict[str, Any]:
        world.run_ids[:] = [str(row["run_id"]) for row in world.rows(_LAST_RUN)]
        state: dict[str, Any] = dict(content(world))
        for name, query in KNOWN.items():
            state[name] = sorted(str(row) for row in world.rows(query))
        days = world.archive.days(world.channel.key)
        rows = world.archive.read(world.channel.key, days).select("day", "row_key", "payload")
        state["archive"] = sorted(rows.unique().iter_rows())
        state["proofs"] = {name: n for name, n in world.findings().items() if n}
        return state

    def _errors(self, world: World) -> str:
        return (world.home / "errors.txt").read_text()[-2000:]


_LAST_RUN = "SELECT run_id FROM history_sync.runs ORDER BY started_at DESC LIMIT 1"


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Say what is not as it should be."""
    return [f"other {name}" for name in wanted if found[name] != wanted[name]]


def ask(processes: subprocess.Popen[str], task: dict[str, Any]) -> dict[str, Any]:
    """Let a process be forked for a task; return how it ended."""
    assert processes.stdin is not None
    assert processes.stdout is not None
    processes.stdin.write(json.dumps(task) + "\n")
    processes.stdin.flush()
    return json.loads(processes.stdout.readline())  # type: ignore[no-any-return]


@contextmanager
def place(*, small_disks: bool = False) -> Iterator[Place]:
    """Make everything that trials need; it is gone when the block ends.

    Args:
        small_disks: give the database server a disk of its own, which can be filled.
    """
    with ExitStack() as things:
        folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
        things.callback(shutil.rmtree, folder, ignore_errors=True)
        if small_disks:
            things.enter_context(disks.small_disk(folder / "of-server", disks.SERVER_MEGABYTES))
        server = embedded.start(folder / "of-server" / "pg", settings=FAST)
        things.callback(server.stop)
        generate(folder / "now", messages=MESSAGES, chats=CHATS, days=DAYS, seed=11, nasty=True)
        write_earlier(folder / "now", folder / "earlier")
        now, earlier = (
            things.enter_context(ReplayServer(folder / name, api_key=KEY))
            for name in ("now", "earlier")
        )
        processes = subprocess.Popen(
            [sys.executable, "-m", "ventros_pipeline_tests.crashes.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        things.callback(processes.wait)
        things.callback(processes.stdin.close)  # type: ignore[union-attr]
        found = Place(server, folder, processes)
        found.prepare(now.url, earlier.url)
        yield found


def store_live_rows(engine: Engine, channel: Channel, account: Path) -> None:
    """Store every fifth message as the CRM's webhook would have."""
    with gzip.open(account / "messages.ndjson.gz") as lines:
        # What is broken in the store never was a webhook.
        rows = [row for row in map(json.loads, lines) if "key" in row["message"].get("_data", {})]
    own = json.loads((account / "me.json").read_bytes())["id"].partition("@")[0]
    url = engine.url.render_as_string(hide_password=False)
    writer = LiveWriter(url, channel, [], seed=1)
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        for delivery in deliveries(rows, own)[::5]:
            # Whatever the text: half a surrogate pair, which WAHA may send, the CRM refuses.
            writer.store(connection, replace(delivery, text="oi"))


def write_earlier(now: Path, earlier: Path) -> None:
    """Write an account as it was before: fewer messages, lower acks, and no LID explained."""
    shutil.copytree(now, earlier)
    with gzip.open(now / "messages.ndjson.gz") as lines:
        rows = [json.loads(line) for number, line in enumerate(lines) if number % 3]
    with gzip.open(earlier / "messages.ndjson.gz", "wt", encoding="utf-8") as out:
        for row in rows:
            if row["message"].get("ack", 0) in (2, 3):
                row["message"]["ack"] = 1
            out.write(json.dumps(row) + "\n")
    (earlier / "lids.json").write_text("[]", encoding="utf-8")
    contacts = json.loads((now / "contacts.json").read_bytes())
    known = [{name: value for name, value in c.items() if name != "lid"} for c in contacts]
    (earlier / "contacts.json").write_text(json.dumps(known), encoding="utf-8")
