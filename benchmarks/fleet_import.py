"""How long a fleet takes to import a year: predicted, and checked against a small one that is.

    python -m benchmarks.fleet_import [--channels 500] [--servers 20] [--messages 20000]

A channel's year is imported in the ranges that a plan makes of it (`VENTROS_RUN_DAYS`), each a run
that reads and then loads. What a range costs (requests, and seconds of this machine for what is not
waiting) is measured on channels that are imported alone and without courtesy. The simulation then
lets a fleet wait for what it has to wait for: turns at its servers, as the default courtesy gives
them, a place in the run queue, and a core. The same simulation predicts the small fleet, which is
imported for real in as many threads as the queue has places; beyond the tolerance, it is wrong, and
the exit code is 1.
The result is kept in FLEET_IMPORT.md.
"""

from __future__ import annotations

import argparse
import heapq
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import inf
from pathlib import Path
from uuid import uuid4

import dagster as dg
import yaml

from benchmarks.fleet import NOON, Fleet, fleet, in_haste
from benchmarks.kept import Result, load
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.importer import Importer
from ventros_pipeline.planning import plan_runs
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline.waha.courtesy import Limits as Courtesy

# The small fleet, in which channels wait for turns, for places and for cores; three ranges each.
SMALL = {"channels": 6, "servers": 2, "messages": 4000, "chats": 20, "days": 200}
# WAHA answered a window of 500 rows in so long (reference/waha-observed.md: one month, limit 500,
# five requests in 0.23 s).
LATENCY_MS = 46.0
TOLERANCE = 0.25
YEAR = 365
DEPLOYED = Path(__file__).parents[1] / "ventros_pipeline" / "deploy" / "dagster.yaml"


@dataclass(frozen=True)
class Cost:
    """What one range of one channel costs.

    Attributes:
        requests: asked of the server, one after the other.
        reading: seconds of a core while reading, answers not counted.
        loading: seconds of a core while loading.
        starting: seconds that a run takes before it does anything.
    """

    requests: int
    reading: float
    loading: float
    starting: float = 0.0


@dataclass(frozen=True)
class Limits:
    """What the fleet has to keep to.

    Attributes:
        rate: requests a second of one server.
        at_once: requests of one server at the same time.
        latency: seconds of one request.
        places: runs at the same time.
        places_of_server: of these, for the channels of one server.
        cores: of the machines that import, together.
    """

    rate: float
    at_once: int
    latency: float
    places: int
    places_of_server: int
    cores: int


@dataclass
class Server:
    """Turns at one server: so many a second, those of a quiet second saved, and so many at once."""

    rate: float
    at_once: int
    next_turn: float = -inf
    ends: list[float] = field(default_factory=list)

    def ask(self, now: float, latency: float) -> float:
        """Return when a request that is made now is answered."""
        begins = max(now, self.next_turn)
        if len(self.ends) >= self.at_once:
            begins = max(begins, heapq.heappop(self.ends))
        pace = Courtesy(rate=self.rate)
        self.next_turn = max(self.next_turn, begins - pace.saved) + pace.spacing
        heapq.heappush(self.ends, begins + latency)
        return begins + latency


def simulate(plans: Sequence[Sequence[Cost]], servers: int, limits: Limits) -> float:
    """Return the seconds in which all ranges of all channels are imported.

    Args:
        plans: the ranges of each channel, in order; a channel has one run at a time.
        servers: how many there are; channels are dealt out to them.
        limits: what is waited for.
    """
    at = [Server(limits.rate, limits.at_once) for _ in range(servers)]
    cores = [0.0] * limits.cores
    waiting = [list(reversed(plan)) for plan in plans]
    running: dict[int, tuple[Cost, int]] = {}
    events: list[tuple[float, int]] = []
    busy = [0] * servers
    now = 0.0
    while True:
        for channel in _startable(waiting, running, busy, limits):
            cost = waiting[channel].pop()
            running[channel] = (cost, cost.requests)
            busy[channel % servers] += 1
            heapq.heappush(events, (now + cost.starting, channel))
        if not events:
            return now
        now, channel = heapq.heappop(events)
        cost, left = running[channel]
        if left > 0:
            running[channel] = (cost, left - 1)
            answered = at[channel % servers].ask(now, limits.latency)
            worked = _work(cores, answered, cost.reading / cost.requests)
            heapq.heappush(events, (worked, channel))
        elif left == 0:
            running[channel] = (cost, -1)
            heapq.heappush(events, (_work(cores, now, cost.loading), channel))
        else:
            del running[channel]
            busy[channel % servers] -= 1


def _startable(
    waiting: Sequence[Sequence[Cost]],
    running: dict[int, tuple[Cost, int]],
    busy: Sequence[int],
    limits: Limits,
) -> Iterator[int]:
    """Give the channels whose next range may start, in the queue's order."""
    if len(running) >= limits.places:
        return
    for channel, ranges in enumerate(waiting):
        if len(running) >= limits.places:
            return
        server = channel % len(busy)
        if ranges and channel not in running and busy[server] < limits.places_of_server:
            yield channel


def _work(cores: list[float], now: float, seconds: float) -> float:
    """Take the core that is free first; return when the work is done."""
    begins = max(now, heapq.heappop(cores))
    heapq.heappush(cores, begins + seconds)
    return begins + seconds


def ranges_of(settings: Settings, days: int) -> list[list[date]]:
    """Return the ranges that a plan makes of so many days and today, newest first."""
    begin = settings.history_start
    plan = plan_runs(
        begin,
        begin + timedelta(days=days),
        since=begin,
        until=None,
        oldest=None,
        run_days=settings.run_days,
    )
    return [[span.first + timedelta(days=n) for n in range(span.days)] for span in plan]


def import_range(made: Fleet, channel: Channel, days: Sequence[date]) -> Cost:
    """Import one range as a run does; return what it cost, waiting for answers included."""
    settings = get_settings()
    archive = Archive(settings.archive_dir)
    importer = Importer(made.engine, archive, settings, channel, str(uuid4()), NOON)
    ledger.start_run(made.engine, channel, importer.run_id, days[0], days[-1])
    began = time.perf_counter()
    importer.refresh_directory()
    list(importer.read_days(days))
    read = time.perf_counter()
    list(importer.load_days(days))
    loaded = time.perf_counter()
    ledger.end_run(made.engine, channel, importer.run_id)
    requests = ledger.totals(made.engine, channel, [importer.run_id])["requests"]
    return Cost(requests, read - began, loaded - read)


def measured_alone(made: Fleet, days: int) -> list[list[Cost]]:
    """Import each channel alone and without courtesy; return what its ranges cost."""
    with in_haste():
        ranges = ranges_of(get_settings(), days)
        plans = [
            [import_range(made, channel, span) for span in ranges] for channel in made.channels
        ]
    latency = LATENCY_MS / 1000
    return [
        [Cost(c.requests, max(0.0, c.reading - c.requests * latency), c.loading) for c in plan]
        for plan in plans
    ]


def measured_together(made: Fleet, days: int, limits: Limits) -> float:
    """Import the fleet as the queue would, in threads; return the seconds."""
    get_settings.cache_clear()
    ranges = ranges_of(get_settings(), days)
    servers = {channel.waha_server for channel in made.channels}
    gates = {name: threading.Semaphore(limits.places_of_server) for name in servers}
    places = threading.Semaphore(limits.places)

    def whole(channel: Channel) -> None:
        for span in ranges:
            with gates[channel.waha_server], places:
                import_range(made, channel, span)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(made.channels)) as pool:
        list(pool.map(whole, made.channels))
    return time.perf_counter() - began


def deployed(latency_ms: float, cores: int, places: int | None = None) -> Limits:
    """Return the limits of the settings' defaults and of the queue as it is deployed."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    queue = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))["concurrency"]["runs"]
    of_server = next(
        limit["limit"]
        for limit in queue["tag_concurrency_limits"]
        if limit["key"] == "ventros/waha_server"
    )
    return Limits(
        settings.waha_rate,
        settings.waha_concurrency,
        latency_ms / 1000,
        places or queue["max_concurrent_runs"],
        of_server,
        cores,
    )


def started() -> float:
    """Return the seconds in which a process that runs a range has imported the code."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "import ventros_pipeline.definitions"],
            check=True,
            env={**os.environ, "VENTROS_HOME": home},
        )
        return time.perf_counter() - began


def year_of(plans: Sequence[Sequence[Cost]], messages: int, starting: float) -> list[Cost]:
    """Return the ranges of a channel with so many messages in a year.

    Requests are those for lists and for the ends of a range, which stay, and one for each page,
    which grow with the messages; so does the work.
    """
    spans = [cost for plan in plans for cost in plan]
    measured = len(plans) * SMALL["messages"]
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    page = settings.page_size
    fixed = max(1.0, (sum(c.requests for c in spans) - measured / page) / len(spans))
    count = len(ranges_of(settings, YEAR))
    each = messages / count
    return [
        Cost(
            round(fixed + each / page),
            sum(c.reading for c in spans) / measured * each,
            sum(c.loading for c in spans) / measured * each,
            starting,
        )
    ] * count


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def table(
    plan: Sequence[Cost], channels: int, servers: int, messages: int
) -> list[tuple[str, ...]]:
    """Return hours for several sizes of the machines and of the queue, the head first."""
    rows = [("runs at once", "cores", "hours", "messages a second", "busiest")]
    for places, cores in ((4, 2), (8, 4), (20, 8), (40, 16), (40, 40)):
        limits = deployed(LATENCY_MS, cores, places)
        seconds = simulate([plan] * channels, servers, limits)
        work = sum(c.reading + c.loading for c in plan)
        answers = sum(c.requests for c in plan) * limits.latency
        starts = sum(c.starting for c in plan)
        named = {
            "cores": channels * work / cores,
            "turns at a server": channels / servers * sum(c.requests for c in plan) / limits.rate,
            "places in the queue": channels * (starts + answers + work) / places,
        }
        rows.append(
            (
                str(places),
                str(cores),
                f"{seconds / 3600:.1f}",
                f"{channels * messages / seconds:,.0f}",
                max(named, key=lambda name: named[name]),
            )
        )
    return rows


def main() -> int:
    """Measure, predict, keep the result; exit 1 where the prediction was not good enough."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet_import", description=__doc__)
    parser.add_argument("--channels", type=int, default=500)
    parser.add_argument("--servers", type=int, default=20)
    parser.add_argument("--messages", type=int, default=20_000, help="of one channel in a year")
    given = parser.parse_args()
    warnings.simplefilter("ignore", dg.BetaWarning)
    before = load()
    limits = deployed(LATENCY_MS, os.cpu_count() or 1)
    how = {name: SMALL[name] for name in ("messages", "chats", "days")}
    with fleet(SMALL["channels"], SMALL["servers"], LATENCY_MS, **how) as made:
        say("each channel alone")
        plans = measured_alone(made, SMALL["days"])
    with fleet(SMALL["channels"], SMALL["servers"], LATENCY_MS, **how) as made:
        say("all together")
        measured = measured_together(made, SMALL["days"], limits)
    predicted = simulate(plans, SMALL["servers"], limits)
    starting = started()
    plan = year_of(plans, given.messages, starting)
    off = predicted / measured - 1
    requests = sum(cost.requests for cost in plan)
    result = Result(
        f"python -m benchmarks.fleet_import --channels {given.channels} --servers {given.servers} "
        f"--messages {given.messages}",
        f"A year of {given.channels} channels on {given.servers} servers",
        [
            f"Checked: {SMALL['channels']} channels on {SMALL['servers']} servers, "
            f"{SMALL['messages']:,} messages each in {SMALL['days']} days and {len(plans[0])} "
            "runs, imported in "
            f"{measured:.1f} s and predicted at {predicted:.1f} s ({off:+.0%}; target: within "
            f"{TOLERANCE:.0%}). Both kept to {limits.rate:g} requests a second and "
            f"{limits.at_once} at once for each server (the settings' defaults), which answers "
            f"after {LATENCY_MS:g} ms (`reference/waha-observed.md`), and to {limits.places} runs "
            f"at once, {limits.places_of_server} for a server (`deploy/dagster.yaml`).",
            f"Predicted below: {given.messages:,} messages a channel. Its year is {len(plan)} "
            f"runs of at most {get_settings().run_days} days and {requests} requests; a run "
            f"begins after {starting:.1f} s, in "
            "which its process imports the code. What Dagster's daemon needs to launch a run is "
            "not in it, nor media files.",
            "`busiest` is what would take longest if nothing else were waited for.",
        ],
        table(plan, given.channels, given.servers, given.messages),
        [] if abs(off) <= TOLERANCE else [f"the small fleet is predicted within {TOLERANCE:.0%}"],
    )
    print(result.keep("FLEET_IMPORT.md", f"{before} before, {load()} after"))
    return 1 if result.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
