"""The real daemon: a plan goes on while its code is loaded anew, and after its run was killed.

One `ventros up` of its own. What would be minutes of waiting, the sensor's interval and the pause
before another try, is cut short in the databases; everything else is as a user has it.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa
from dagster._core.scheduler.instigation import SensorInstigatorData
from sqlalchemy import Engine

from ventros_pipeline.crm import lifecycle, plans
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.crm.plans import Plan
from ventros_pipeline.daemons import HEARTBEAT_SECONDS
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.dagster_.conftest import ANA
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, message, write_account
from ventros_pipeline_tests.served import Dagster, free_port, healthy, served, wait_for

pytestmark = pytest.mark.daemon

PAGE = 5
PASSWORD = "a-password-of-the-database"
DAYS = 8
STANZAS = [f"3EB0{number:04}" for number in range(2 * DAYS)]
NO_WAIT = "UPDATE history_sync.plan_ranges SET not_before = '-infinity'"
PID = re.compile(r"Started process for run \(pid: (\d+)\)")


@dataclass
class Holding:
    """Holds the third page of messages back for a while, and all after it as long as it is on."""

    is_on: bool = True
    pages: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    went_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: Request) -> Fault | None:
        if request.template == MESSAGES and request.query.get("limit") == str(PAGE):
            self.pages += 1
        if not self.is_on or self.pages <= 2:
            return None
        (self.held if self.pages == 3 else self.went_on).set()
        return Fault(delay=10 if self.pages == 3 else 300)


@dataclass
class Daemon:
    """A running `ventros up`, its home's instance, and the only channel in the CRM."""

    dagster: Dagster
    instance: dg.DagsterInstance
    engine: Engine
    channel: Channel

    def plan(self) -> Plan:
        found = plans.plan_of(self.engine, self.channel)
        assert found is not None
        return found

    def hurry(self) -> None:
        """Let the wait of the plan, and that of its sensor, be over."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(NO_WAIT))
        for state in self.instance.all_instigator_state():
            data = cast("SensorInstigatorData", state.instigator_data)
            rested = data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None)
            self.instance.update_instigator_state(state.with_data(rested))

    def age_heartbeats(self) -> None:
        """Let the daemon have told of itself too long ago."""
        for beat in self.instance.get_daemon_heartbeats().values():
            self.instance.add_daemon_heartbeat(
                beat._replace(timestamp=beat.timestamp - HEARTBEAT_SECONDS)
            )

    def process_of(self, run_id: str) -> psutil.Process | None:
        """Return the process of a run."""
        said = " ".join(record.message for record in self.instance.all_logs(run_id))
        found = PID.search(said)
        return psutil.Process(int(found[1])) if found else None

    def stanzas(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(
                connection.execute(
                    sa.text(
                        "SELECT k.stanza_id FROM messages AS m JOIN history_sync.message_keys AS k "
                        "ON k.message_id = m.id ORDER BY 1"
                    )
                ).scalars()
            )


@pytest.fixture
def holding() -> Holding:
    return Holding()


@pytest.fixture
def waha(tmp_path: Path, holding: Holding) -> Iterator[ReplayServer]:
    """Two messages on each of the last days."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    rows: list[tuple[str, dict[str, Any] | bytes]] = []
    for number, stanza in enumerate(STANZAS):
        moment = noon - timedelta(days=1 + number // 2, minutes=number % 2)
        rows.append((ANA, message(ANA, stanza, int(moment.timestamp()), f"{number}")))
    folder = write_account(tmp_path / "account", rows)
    with ReplayServer(folder, api_key=KEY, fault=holding) as server:
        yield server


@pytest.fixture
def daemon(tmp_path: Path, engine: Engine, waha: ReplayServer) -> Iterator[Daemon]:
    channel = add_channel(engine, session="default", base_url=waha.url, api_key_env=KEY_VARIABLE)
    home = tmp_path / "home"
    settings = {
        "VENTROS_HOME": str(home),
        # The server of the tests trusts everybody; a password would be shown as any is.
        "VENTROS_DATABASE_URL": libpq_url(engine.url.set(password=PASSWORD)),
        "VENTROS_HISTORY_START": str(today() - timedelta(days=30)),
        "VENTROS_PAGE_SIZE": str(PAGE),
        "VENTROS_UI_PORT": str(free_port()),
        KEY_VARIABLE: KEY,
    }
    with (
        served(settings, tmp_path / "up.log") as dagster,
        dg.DagsterInstance.from_config(str(home / "dagster")) as instance,
    ):
        yield Daemon(dagster, instance, engine, channel)


def commands_of(dagster: Dagster) -> dict[int, str]:
    """Return what the list of processes shows of a family."""
    said = {}
    for process in psutil.Process(dagster.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            said[process.pid] = " ".join(process.cmdline())
    return said


def today() -> date:
    return datetime.now(UTC).date()


def test_a_plan_goes_on_while_code_is_loaded_anew_and_after_its_run_was_killed(
    daemon: Daemon, holding: Holding
) -> None:
    run = begin_plan(daemon, holding)
    killed = wait_for("process of the run", lambda: daemon.process_of(run.run_id))
    shown = commands_of(daemon.dagster)
    assert killed.pid in shown
    assert [said for said in shown.values() if KEY in said or PASSWORD in said] == []
    before = daemon.plan()
    daemon.dagster.load_code_anew()
    # The run in hand reads on, in its own process; the plan and the sensors are as they were.
    wait_for("page after it", lambda: holding.went_on.wait(0.5) or None)
    assert killed.is_running()
    assert daemon.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]
    assert daemon.plan().ranges == before.ranges
    os.kill(killed.pid, signal.SIGKILL)
    holding.is_on = False

    plan = end_of_plan(daemon)
    assert (plan.status, plan.error) == ("completed", None)
    assert [(found.state, found.attempt) for found in plan.ranges] == [("done", 2)]
    assert daemon.stanzas() == STANZAS
    runs = {found.run_id: found.status for found in daemon.instance.get_runs()}
    assert runs.pop(run.run_id) == dg.DagsterRunStatus.FAILURE
    assert list(runs.values()) == [dg.DagsterRunStatus.SUCCESS]


def test_a_plan_ends_well_after_processes_of_dagster_were_killed_and_all_was_begun_again(
    daemon: Daemon, holding: Holding
) -> None:
    begin_plan(daemon, holding)
    environment = daemon.dagster.environment
    assert healthy("webserver", environment)
    assert healthy("daemon", environment)
    # Dagster goes down with its daemon; with its code server, only because we see to it.
    for what in ("dagster._daemon", "grpc"):
        [killed] = daemon.dagster.processes(what)
        killed.kill()
        wait_for(f"end of all without {what}", daemon.dagster.process.poll)
        if what == "dagster._daemon":
            daemon.age_heartbeats()
            assert not healthy("webserver", environment)
            assert not healthy("daemon", environment)
        daemon.dagster.begin_again()
    holding.is_on = False

    plan = end_of_plan(daemon)
    assert (plan.status, plan.error) == ("completed", None)
    assert [found.state for found in plan.ranges] == ["done"]
    assert daemon.stanzas() == STANZAS


def begin_plan(daemon: Daemon, holding: Holding) -> dg.DagsterRun:
    """Let a plan begin; return its run, which waits for a page."""
    days = DayRange(today() - timedelta(days=DAYS), today())
    lifecycle.enable(daemon.engine, daemon.channel)
    plans.request(daemon.engine, daemon.channel, Wish("full"), [days])
    for sensor in ("channel_sensor", "history_sensor"):
        daemon.dagster.turn_on(sensor)
    wait_for("page held back", lambda: holding.held.wait(0.5) or None)
    [run] = daemon.instance.get_runs()
    return run


def end_of_plan(daemon: Daemon) -> Plan:
    """Wait until the plan is over, without the waits."""

    def is_over() -> Plan | None:
        daemon.hurry()
        plan = daemon.plan()
        return None if plan.is_open else plan

    return wait_for("end of the plan", is_over, patience=300)
