"""An import of the fleet by some workers, whatever befalls them, and what it came to.

What belongs here: the parts that serve Dagster in the middle, workers on hosts, incidents. What
does not: the network and what hosts share.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from celery.result import AsyncResult
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from ventros_pipeline.crm import plans
from ventros_pipeline.crm.database import normalise_url
from ventros_pipeline.crm.sql import migrations
from ventros_pipeline.jobs.imports import HISTORY_IMPORT
from ventros_pipeline.storage import PooledPostgresStorage
from ventros_pipeline.workers import worker_app
from ventros_pipeline_tests.hosts.network import MIDDLE, Host
from ventros_pipeline_tests.hosts.place import (
    CONNECTIONS,
    REDIS_PORT,
    VENTROS,
    Fleet,
    environment_of_engine,
)
from ventros_pipeline_tests.served import Dagster, free_port, wait_for

BROKER = f"redis://{MIDDLE}:{REDIS_PORT}/0"
PROCESSES = 2
PATIENCE = 900.0
# Longer than it takes to be given up by Dagster and by Postgres.
CUT_SECONDS = 150.0
CHECKOUT = Path(__file__).parents[2]
NEWER = "ventros-newer"
_REVISION = """
from ventros_pipeline.crm.migrate import run_file

revision, down_revision = "9999", "{newest}"


def upgrade():
    run_file("9999_newer.sql")
"""


@dataclass
class Outcome:
    """What an import of the fleet came to.

    Attributes:
        runs: runs by the name of their worker and how they ended.
        attempts: ranges of days by how often they were begun.
        connections: the most that Postgres had at once, of the CRM and of Dagster.
        told: what happened, in order.
    """

    workers: int
    seconds: float = 0.0
    messages: int = 0
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    connections: tuple[int, ...] = (0, 0)
    told: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)


class Middle(Dagster):
    """Code server, daemon and webserver as processes of their own, as containers would be."""

    def __init__(self, environment: dict[str, str], port: int, folder: Path) -> None:
        self.url = f"http://{MIDDLE}:{port}"
        self.environment = environment
        self.parts: list[subprocess.Popen[bytes]] = []
        for part in ("code", "daemon", "webserver"):
            with (folder / f"{part}.log").open("wb") as log:
                command = [str(VENTROS), "up", "--only", part, "--host", MIDDLE]
                started = subprocess.Popen(
                    command, env=os.environ | environment, stdout=log, stderr=log
                )
            self.parts.append(started)
        self.process, self.log = started, folder / "webserver.log"

    def end(self) -> None:
        """End all parts."""
        for part in reversed(self.parts):
            part.send_signal(signal.SIGTERM)
        for part in reversed(self.parts):
            try:
                part.wait(20)
            except subprocess.TimeoutExpired:
                part.kill()


@dataclass
class Trial:
    """An import that is under way."""

    fleet: Fleet
    hosts: list[Host]
    middle: Middle
    outcome: Outcome
    began: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        """Note what happens, and say it."""
        line = f"{time.monotonic() - self.began:5.0f} s  {text}"
        self.outcome.told.append(line)
        print(f"      {line}", flush=True)

    def work(self, host: Host, name: str = "", checkout: Path | None = None) -> None:
        """Start a worker on a host, from another checkout if one is given."""
        runs = PROCESSES * len(self.hosts)
        environment = self.middle.environment | self.fleet.environment(host.name, runs)
        if checkout is not None:
            environment["PYTHONPATH"] = str(checkout)
        command = [str(VENTROS), "worker", "--processes", str(PROCESSES)]
        command += ["--name", name or host.name]
        host.start(command, environment, self.fleet.home(host.name) / "worker.log")

    def at_work(self, name: str) -> int:
        """Return how many runs a worker has begun and not ended."""
        inspect = worker_app(BROKER).control.inspect([f"ventros@{name}"], timeout=2)
        return len((inspect.active() or {}).get(f"ventros@{name}", []))

    def wait_for_work(self, name: str) -> int:
        """Wait until a worker has something in its hands; return how much."""
        return wait_for(f"run on {name}", lambda: self.at_work(name) or None, PATIENCE)

    def open(self) -> int:
        """Return how many channels are not imported yet."""
        return len(plans.running_imports(self.fleet.engine))


@contextmanager
def dagster_in_the_middle(fleet: Fleet, runs: int) -> Iterator[Middle]:
    """Serve Dagster with the history sensor on."""
    port = free_port()
    environment = environment_of_engine(BROKER, port, free_port())
    environment |= fleet.environment("middle", runs)
    middle = Middle(environment, port, fleet.home("middle"))
    try:
        middle.wait_until_served()
        middle.turn_on("history_sensor")
        yield middle
    finally:
        middle.end()


def import_fleet(
    fleet: Fleet, hosts: list[Host], befall: Callable[[Trial], None] | None = None
) -> Outcome:
    """Import all channels by one worker on each host, and let something befall them meanwhile."""
    outcome = Outcome(len(hosts))
    with dagster_in_the_middle(fleet, PROCESSES * len(hosts)) as middle:
        trial = Trial(fleet, hosts, middle, outcome)
        try:
            for host in hosts:
                trial.work(host)
            wait_for("first run", lambda: _begun(trial), PATIENCE)
            trial.began = time.monotonic()
            stop = threading.Event()
            watch = threading.Thread(target=_count_connections, args=(trial, stop))
            watch.start()
            if befall is not None:
                befall(trial)
            wait_for("end of all imports", lambda: None if trial.open() else True, PATIENCE)
            outcome.seconds = time.monotonic() - trial.began
            stop.set()
            watch.join()
            _tell_of_runs(fleet, outcome)
        finally:
            for host in hosts:
                host.kill()
    outcome.state = fleet.state()
    outcome.messages = len(outcome.state["keys"])
    return outcome


def import_alone(fleet: Fleet) -> Outcome:
    """Import all channels by commands on one host, one after the other."""
    outcome, began = Outcome(0), time.monotonic()
    environment = os.environ | fleet.environment("alone", 1)
    for channel in fleet.channels:
        command = [str(VENTROS), "import", channel.key, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    outcome.seconds = time.monotonic() - began
    outcome.state = fleet.state()
    outcome.messages = len(outcome.state["keys"])
    return outcome


# -- what befalls workers ------------------------------------------------------------------------


def kill_one(trial: Trial) -> None:
    """Let the first host die while it is at work."""
    host = trial.hosts[0]
    busy = trial.wait_for_work(host.name)
    host.kill()
    trial.tell(f"{host.name} is killed with {busy} runs in its hands")


def cut_one(trial: Trial, meanwhile: Callable[[Trial], None] | None = None) -> None:
    """Cut the second host off while it is at work, until everybody has given it up."""
    host = trial.hosts[1]
    busy = trial.wait_for_work(host.name)
    host.cut()
    back = time.monotonic() + CUT_SECONDS
    trial.tell(f"{host.name} is cut off with {busy} runs in its hands")
    if meanwhile is not None:
        meanwhile(trial)
    time.sleep(max(0.0, back - time.monotonic()))
    host.mend()
    trial.tell(f"{host.name} is back")


def upgrade_one(trial: Trial) -> None:
    """Put a newer version with a migration on the third host while it is at work."""
    host = trial.hosts[2]
    checkout = newer_version(trial.fleet.folder / "newer")
    busy = trial.wait_for_work(host.name)
    environment = trial.middle.environment | trial.fleet.environment("newer", 1)
    environment["PYTHONPATH"] = str(checkout)
    migrated = [str(VENTROS), "db", "migrate", "--json"]
    subprocess.run(migrated, env=os.environ | environment, check=True, capture_output=True)
    old = host.processes[-1]
    old.send_signal(signal.SIGTERM)
    trial.tell(f"the schema is newer, and {host.name} is asked to end with {busy} runs in hand")
    old.wait(PATIENCE)
    trial.work(host, "newer", checkout)
    trial.tell(f"{host.name} has ended its runs and begins anew with the newer version")


def cancel_one(trial: Trial) -> None:
    """Cancel a run in the UI while it reads, and wait until it has ended."""
    run = wait_for("run that reads", lambda: _reading(trial), PATIENCE)
    trial.middle.cancel(run)
    trial.tell("a run is asked to end")
    ended = wait_for("end of it", lambda: trial.middle.ended(run), PATIENCE)
    trial.tell(f"it has ended: {ended}")


def all_three(trial: Trial) -> None:
    """Let all of it happen in one import."""
    kill_one(trial)
    cut_one(trial, meanwhile=upgrade_one)


def newer_version(folder: Path) -> Path:
    """Write a checkout that is one migration ahead and names itself to Postgres."""
    for name in ("ventros_pipeline", "sql"):
        shutil.copytree(CHECKOUT / name, folder / name)
    newest = migrations()[-1].revision
    (folder / "sql" / "9999_newer.sql").write_text(
        "COMMENT ON SCHEMA history_sync IS 'A newer version was here.';\n", "utf-8"
    )
    versions = folder / "ventros_pipeline" / "crm" / "migrations" / "versions"
    (versions / "r9999_newer.py").write_text(_REVISION.format(newest=newest), "utf-8")
    module = folder / "ventros_pipeline" / "crm" / "database.py"
    module.write_text(
        module.read_text("utf-8").replace(
            'application_name: str = "ventros"', f'application_name: str = "{NEWER}"'
        ),
        "utf-8",
    )
    return folder


# -- what is looked at ---------------------------------------------------------------------------


def _reading(trial: Trial) -> str | None:
    """Return a run that has written something and is not done."""
    with trial.fleet.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT run_id FROM history_sync.runs WHERE ended_at IS NULL AND days_read > 0"
        ).scalar()
    return None if found is None else str(found)


def _begun(trial: Trial) -> bool | None:
    for host in trial.hosts:
        log = trial.fleet.home(host.name) / "worker.log"
        assert host.processes[-1].poll() is None, log.read_text("utf-8")
    with trial.fleet.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM history_sync.runs")
        return bool(found.scalar_one()) or None


def _count_connections(trial: Trial, stop: threading.Event) -> None:
    newer = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NEWER}'"
    seen = False
    while not stop.wait(0.5):
        with trial.fleet.engine.connect() as connection:
            now = tuple(connection.exec_driver_sql(CONNECTIONS).one())
            if sum(now) > sum(trial.outcome.connections):
                trial.outcome.connections = now
            if not seen and connection.exec_driver_sql(newer).scalar_one():
                seen = True
                trial.tell("the newer version writes")


def _tell_of_runs(fleet: Fleet, outcome: Outcome) -> None:
    url = normalise_url(fleet.place.url(f"{fleet.name}_dagster"), driver="psycopg2")
    storage = PooledPostgresStorage(url.render_as_string(hide_password=False))
    app = worker_app(BROKER)
    for run in storage.run_storage.get_runs(dg.RunsFilter(job_name=HISTORY_IMPORT)):
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        worker = AsyncResult(task, app=app).worker if task else None
        outcome.runs[str(worker or "nobody").removeprefix("ventros@"), run.status.value] += 1
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        with suppress(AttributeError):
            part.dispose()
    with fleet.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT attempt, count(*) FROM history_sync.plan_ranges GROUP BY attempt"
        )
        outcome.attempts.update({int(attempt): int(number) for attempt, number in found})
