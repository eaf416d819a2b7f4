"""A fleet of channels that are kept in step: what a tick costs, idle and with some of them active.

    python -m benchmarks.fleet [--channels 200] [--servers 4] [--share 0.05] [--rounds 3]

Every channel is a session of its own with an account of its own, imported for real; the sensors
look in this process, on a clock that moves a minute from tick to tick, and keep to the default
courtesy. What they request is run, and has to be in the CRM afterwards. Exit 1 where a target is
missed. The result is kept in FLEET.md.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import dagster as dg
from sqlalchemy import Engine

from benchmarks.arrivals import text_message
from benchmarks.imports import KEY_VARIABLE, databases
from benchmarks.kept import Result, load, middle_and_worst
from ventros_pipeline.archive import Archive
from ventros_pipeline.build import build_defs
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.importer import Importer
from ventros_pipeline.instance import register_channels
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import ATTENDED, Pipeline
from ventros_pipeline.runs import QUIET
from ventros_pipeline.sensors.channels import channel_sensor
from ventros_pipeline.sensors.history import history_sensor
from ventros_pipeline.sensors.incremental import incremental_sensor
from ventros_pipeline.settings import get_settings

KEY = "fleet-key"
NOON = datetime(2026, 6, 30, 12, tzinfo=UTC)
DAYS = 5
MESSAGES, CHATS = 40, 4
MINUTE = timedelta(minutes=1)
# Nobody needs courtesy while the fleet is made.
IN_HASTE = {"VENTROS_WAHA_RATE": "100000", "VENTROS_WAHA_CONCURRENCY": "16"}
BUDGET_SECONDS = 40.0


class Clock(Pipeline):
    """A pipeline whose clock the benchmark sets."""

    moment: ClassVar[datetime] = NOON

    def now(self) -> datetime:
        return type(self).moment


@dataclass(frozen=True)
class Tick:
    """What one look of a sensor cost, and what it asked for."""

    seconds: float
    requests: int
    runs: int
    channels: int = 0
    wanted: Sequence[dg.RunRequest] = ()


@dataclass
class Fleet:
    """Channels, the servers they are on, and Dagster."""

    engine: Engine
    servers: list[ReplayServer]
    accounts: list[Account]
    instance: dg.DagsterInstance
    channels: list[Channel] = field(default_factory=list)
    cursor: str | None = None
    run_seconds: list[float] = field(default_factory=list)

    def tick(self, sensor: dg.SensorDefinition) -> Tick:
        """Let a sensor look once, as the daemon would."""
        for server in self.servers:
            server.stats.reset()
        began = time.perf_counter()
        with dg.build_sensor_context(
            instance=self.instance,
            resources={"pipeline": Clock()},
            cursor=self.cursor if sensor is incremental_sensor else None,
        ) as context:
            result = sensor(context)
        seconds = time.perf_counter() - began
        asked = list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []
        if sensor is incremental_sensor and isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        named = sum(len(_channels_of(request)) for request in asked)
        requests = sum(server.stats.total for server in self.servers)
        return Tick(seconds, requests, len(asked), named, asked)

    def run(self, wanted: Sequence[dg.RunRequest]) -> None:
        """Run what a sensor requested, one after the other."""
        job = build_defs(resource_overrides={"pipeline": Clock()}).resolve_job_def(INCREMENTAL_SYNC)
        for request in wanted:
            began = time.perf_counter()
            done = job.execute_in_process(
                instance=self.instance,
                run_config={**request.run_config, "loggers": QUIET},
                tags={**request.tags, ATTENDED: "true"},
            )
            self.run_seconds.append(time.perf_counter() - began)
            assert done.success

    def write(self, numbers: Sequence[int], stanza: str) -> None:
        """Let a message arrive in some channels."""
        for number in numbers:
            account = self.accounts[number]
            chat = next(chat for chat, _ in account.stored() if chat.endswith("@s.whatsapp.net"))
            second = int(Clock.moment.timestamp()) - 10
            account.put_message(chat, text_message(chat, f"{stanza}-{number}", second))

    def arrived(self, stanza: str) -> int:
        """Return how many of them are in the CRM."""
        with self.engine.connect() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM history_sync.message_keys WHERE stanza_id LIKE %(like)s",
                    {"like": f"{stanza}-%"},
                ).scalar_one()
            )


def _channels_of(request: dg.RunRequest) -> list[str]:
    found: list[str] = request.run_config["ops"]["sync_channels"]["config"]["channels"]
    return found


@contextmanager
def fleet(
    channels: int,
    servers: int,
    latency_ms: float,
    *,
    messages: int = MESSAGES,
    chats: int = CHATS,
    days: int = DAYS,
) -> Iterator[Fleet]:
    """Make a fleet: accounts, servers, a database and channels, nothing of it imported."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ventros-fleet-")))
        accounts = [
            _account(folder / str(number), number, messages, chats, days)
            for number in range(channels)
        ]
        for account in accounts:
            stack.callback(account.close)
        served = [
            stack.enter_context(
                ReplayServer(first, others=others, api_key=KEY, latency_ms=latency_ms)
            )
            for first, *others in (accounts[number::servers] for number in range(servers))
        ]
        engine = stack.enter_context(stack.enter_context(databases()).fresh())
        first_day = NOON.date() - timedelta(days=days)
        os.environ |= {
            KEY_VARIABLE: KEY,
            "VENTROS_HOME": str(folder / "home"),
            "VENTROS_DATABASE_URL": libpq_url(engine.url.render_as_string(hide_password=False)),
            "VENTROS_HISTORY_START": first_day.isoformat(),
        }
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        made = Fleet(engine, served, accounts, instance)
        for number in range(channels):
            made.channels.append(_channel(engine, served[number % servers], number))
        register_channels(instance, made.channels)
        yield made


def _account(folder: Path, number: int, messages: int, chats: int, days: int) -> Account:
    """Make a small account of the last days under a session's name of its own."""
    until = int((NOON - timedelta(hours=1)).timestamp())
    generate(folder, messages=messages, chats=chats, days=days, seed=number, until=until)
    account = Account.load(folder)
    account.session["name"] = f"s{number}"
    return account


def _channel(engine: Engine, server: ReplayServer, number: int) -> Channel:
    return add_channel(
        engine,
        session=f"s{number}",
        base_url=server.url,
        api_key_env=KEY_VARIABLE,
        agent="Fleet",
        allow_groups=True,
    )


@contextmanager
def in_haste() -> Iterator[None]:
    """Leave courtesy out for as long as the block lasts."""
    os.environ |= IN_HASTE
    get_settings.cache_clear()
    yield
    for name in IN_HASTE:
        del os.environ[name]
    get_settings.cache_clear()


def import_all(made: Fleet) -> None:
    """Import every channel whole."""
    settings = get_settings()
    days = [settings.history_start + timedelta(days=n) for n in range(DAYS + 1)]
    for channel in made.channels:
        importer = Importer(
            made.engine,
            Archive(settings.archive_dir),
            settings,
            channel,
            str(uuid4()),
            Clock.moment,
        )
        ledger.start_run(made.engine, channel, importer.run_id, days[0], days[-1])
        importer.refresh_directory()
        list(importer.read_days(days))
        list(importer.load_days(days))
        ledger.end_run(made.engine, channel, importer.run_id)


def measure(made: Fleet, share: float, rounds: int) -> dict[str, list[Tick]]:
    """Bring the fleet to rest, then let it tick idle and active in turns.

    All within ten minutes of the import, when days begin to be due for another check.
    """
    say(f"importing {len(made.channels)} channels")
    with in_haste():
        import_all(made)
    Clock.moment += MINUTE
    ticks: dict[str, list[Tick]] = {"first": [made.tick(incremental_sensor)]}
    say("the first passes")
    with in_haste():
        made.run(ticks["first"][0].wanted)
    made.run_seconds.clear()
    count = max(1, round(len(made.channels) * share))
    active = random.Random(5).sample(range(len(made.channels)), count)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        Clock.moment += MINUTE
        ticks.setdefault("idle", []).append(made.tick(incremental_sensor))
        ticks.setdefault("history", []).append(made.tick(history_sensor))
        ticks.setdefault("channel", []).append(made.tick(channel_sensor))
        made.write(active, f"NEW{number}")
        Clock.moment += MINUTE
        found = made.tick(incremental_sensor)
        ticks.setdefault("active", []).append(found)
        made.run(found.wanted)
        assert made.arrived(f"NEW{number}") == len(active), "a message is not in the CRM"
    return ticks


NAMES = {
    "first": "`incremental_sensor`, first tick after all imports",
    "idle": "`incremental_sensor`, idle",
    "active": "`incremental_sensor`, {active} channels active",
    "history": "`history_sensor`, no plan open",
    "channel": "`channel_sensor`, no new channel",
}


def missed(ticks: dict[str, list[Tick]], channels: int) -> list[str]:
    """Return which targets were missed."""
    idle, every = ticks["idle"], [tick for found in ticks.values() for tick in found]
    found = {
        f"an idle tick asks at most {channels} times": max(t.requests for t in idle) > channels,
        "an idle tick requests no run": any(t.runs for t in idle),
        f"a tick takes at most {BUDGET_SECONDS:.0f} s": max(t.seconds for t in every)
        > BUDGET_SECONDS,
    }
    return [what for what, is_missed in found.items() if is_missed]


def table(ticks: dict[str, list[Tick]], active: int) -> list[tuple[str, ...]]:
    """Return the table, its head first."""
    rows = [("tick", "requests", "channels to read", "runs requested", "seconds (median)")]
    for kind, name in NAMES.items():
        found = ticks[kind]
        figures = (
            max(tick.requests for tick in found),
            max(tick.channels for tick in found),
            max(tick.runs for tick in found),
        )
        seconds = middle_and_worst([tick.seconds for tick in found])
        rows.append((name.format(active=active), *(str(figure) for figure in figures), seconds))
    return rows


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, keep the result, and say whether the targets were met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--channels", type=int, default=200)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.05, help="channels active in a tick")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 4))
    parser.add_argument("--latency-ms", type=float, default=25, help="WAHA's, for every answer")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # Ended in order, also by `kill`.
    warnings.simplefilter("ignore", dg.BetaWarning)
    for name in IN_HASTE:
        os.environ.pop(name, None)
    before = load()
    with fleet(given.channels, given.servers, given.latency_ms) as made:
        settings = get_settings()
        rate, at_once = settings.waha_rate, settings.waha_concurrency
        ticks = measure(made, given.share, given.rounds)
        runs = middle_and_worst(made.run_seconds)
    active = max(tick.channels for tick in ticks["active"])
    result = Result(
        "python -m benchmarks.fleet",
        f"{given.channels} channels on {given.servers} servers",
        [
            f"Each channel is a session of its own, of {MESSAGES} messages. The sensors keep to "
            f"the default courtesy of {rate:g} requests a second and {at_once} at once for each "
            f"server, which answers after {given.latency_ms:g} ms. {given.rounds} ticks of each "
            "kind; the most of what they asked. Idle means that no message came and no day is due "
            "for a check: a day that may have grown is checked after 20 minutes, 40, … up to a "
            "day, in a run.",
            f"Targets: an idle tick asks at most {given.channels} times, requests no run and takes "
            f"at most {BUDGET_SECONDS:.0f} s. A run over the active channels of one server took "
            f"{runs} s, its directory and checks included; every message was in the CRM after it.",
        ],
        table(ticks, active),
        missed(ticks, given.channels),
    )
    print(result.keep("FLEET.md", f"{before} before, {load()} after"))
    return 1 if result.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
