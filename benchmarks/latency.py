"""How long a message takes from WAHA into the CRM, with daemon and sensors as users have them.

    python -m benchmarks.latency [--messages 20]

A home of its own, a replayed WAHA, `ventros up` with its sensors turned on, `ventros serve`. Once a
small account is imported, messages arrive at random moments and are waited for in Postgres: first
with nobody saying so, then each with a signed webhook. All of it is gone at the end. Exit 1 where a
message needed more than one tick and one run. The result is kept in LATENCY.md.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from sqlalchemy import Engine

from benchmarks.arrivals import text_message
from benchmarks.kept import Result, load, middle_and_worst
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer, start
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC
from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.sensors.incremental import ASK_EVERY, LOOK_SECONDS
from ventros_pipeline.waha.events import ALGORITHM, signature_of
from ventros_pipeline_tests.served import FINAL, VENTROS, Dagster, free_port, served, wait_for

KEY, KEY_VARIABLE = "latency-key", "VENTROS_LATENCY_WAHA_KEY"
HOOK_KEY = "latency-webhook-key"
MESSAGES, CHATS, DAYS = 400, 12, 10
SENSORS = ("channel_sensor", "history_sensor", "incremental_sensor")
# Seconds between two messages: they come at any moment of the sensor's minute.
PAUSE = (4.0, 24.0)
PATIENCE = 300.0
_RUNS = """
    query($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results {
        runId status creationTime startTime endTime } } } }"""


@dataclass(frozen=True)
class Arrival:
    """A message: when it was in WAHA, and when in the CRM, epoch."""

    stanza: str
    written: float
    seen: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.seen - self.written


@dataclass(frozen=True)
class Run:
    """A run of the job, as Dagster tells of it, epoch."""

    created: float
    started: float
    ended: float


@dataclass
class Measured:
    """Messages of one kind, and the runs meanwhile."""

    arrivals: list[Arrival] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def ticks_needed(self, arrival: Arrival) -> int:
        """Return how many runs were requested from its arrival until it was there."""
        return sum(arrival.written < run.created < arrival.seen for run in self.runs)


@dataclass
class Office:
    """Everything that runs."""

    waha: ReplayServer
    engine: Engine
    channel: Channel
    dagster: Dagster
    api: str
    dice: random.Random = field(default_factory=lambda: random.Random(3))

    def measure(self, messages: int, *, hinted: bool) -> Measured:
        """Let messages arrive, and wait for each."""
        began = time.time()
        moment, moments = began, []
        for _ in range(messages):
            moment += self.dice.uniform(*PAUSE)
            moments.append(moment)
        waiting: dict[str, float] = {}
        found = Measured()
        while moments or waiting:
            if moments and time.time() >= moments[0]:
                moments.pop(0)
                stanza = f"3EB0{self.dice.getrandbits(64):016X}"
                waiting[stanza] = self._write(stanza, hinted=hinted)
            now = time.time()
            for stanza in self._arrived(list(waiting)):
                found.arrivals.append(Arrival(stanza, waiting.pop(stanza), now))
                say(f"{len(found.arrivals)} of {messages}: {found.arrivals[-1].seconds:.1f} s")
            late = now - min(waiting.values(), default=now)
            assert late < PATIENCE, f"a message is not in the CRM after {late:.0f} s"
            time.sleep(0.1)
        self.rest()
        found.runs = [run for run in self.runs() if run.created >= began]
        return found

    def _write(self, stanza: str, *, hinted: bool) -> float:
        account, second = self.waha.account, int(time.time())
        chats = sorted({chat for chat, _ in account.stored() if chat.endswith("@s.whatsapp.net")})
        chat = self.dice.choice(chats)
        row = text_message(chat, stanza, second)
        account.put_message(chat, row)
        written = time.time()
        if hinted:
            self._say_so({name: row[name] for name in ("id", "timestamp", "from", "fromMe")})
        return written

    def _say_so(self, payload: dict[str, Any]) -> None:
        sent = round(time.time() * 1000)
        event = {
            "id": f"evt_{self.dice.getrandbits(100):026x}",
            "timestamp": sent,
            "event": "message.any",
            "session": self.channel.session,
            "payload": payload,
        }
        body = json.dumps(event).encode()
        answer = httpx.post(
            f"{self.api}/api/v1/waha/channels/{self.channel.id}/events",
            content=body,
            headers={
                "content-type": "application/json",
                "x-webhook-timestamp": str(sent),
                "x-webhook-hmac": signature_of(HOOK_KEY, body),
                "x-webhook-hmac-algorithm": ALGORITHM,
            },
            timeout=30,
        )
        assert answer.status_code == 202, answer.text

    def _arrived(self, stanzas: list[str]) -> list[str]:
        if not stanzas:
            return []
        with self.engine.connect() as connection:
            return list(
                connection.exec_driver_sql(
                    "SELECT k.stanza_id FROM history_sync.message_keys AS k "
                    "JOIN messages AS m ON m.id = k.message_id WHERE k.stanza_id = ANY(%(ids)s)",
                    {"ids": stanzas},
                ).scalars()
            )

    def rest(self) -> None:
        """Wait until no run is queued or going."""

        def look() -> bool | None:
            return all(run["status"] in FINAL for run in self._asked()) or None

        wait_for("end of all runs", look)

    def runs(self) -> list[Run]:
        """Return the runs that succeeded."""
        return [
            Run(run["creationTime"], run["startTime"], run["endTime"])
            for run in self._asked()
            if run["status"] == "SUCCESS"
        ]

    def _asked(self) -> list[dict[str, Any]]:
        answer = self.dagster.ask(_RUNS, job=INCREMENTAL_SYNC)
        found: list[dict[str, Any]] = answer["runsOrError"]["results"]
        return found


@contextmanager
def office() -> Iterator[Office]:
    """Start everything; whatever happens, it is ended."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vl", dir="/tmp")))
        home = folder / "home"
        home.mkdir()
        waha = stack.enter_context(_waha(folder / "account"))
        stack.callback(EmbeddedServer("", home / "postgres").stop)
        settings = {
            "VENTROS_HOME": str(home),
            "VENTROS_HISTORY_START": (datetime.now(UTC).date() - timedelta(days=DAYS)).isoformat(),
            "VENTROS_UI_PORT": str(free_port()),
            "VENTROS_WEBHOOK_HMAC_KEY": HOOK_KEY,
            KEY_VARIABLE: KEY,
        }
        say("importing")
        added = ["channel", "add", "--session", "default", "--url", waha.url]
        _ventros(settings, *added, "--api-key-env", KEY_VARIABLE, "--allow-groups")
        engine = connect(start(home / "postgres").url)
        stack.callback(engine.dispose)
        [channel] = list_channels(engine)
        _ventros(settings, "import", channel.key)
        say("starting the daemon and the API")
        api = stack.enter_context(_api(settings, folder / "serve.log"))
        dagster = stack.enter_context(served(settings, folder / "up.log"))
        for sensor in SENSORS:
            dagster.turn_on(sensor)
        made = Office(waha, engine, channel, dagster, api)
        wait_for("first pass", lambda: made.runs() or None)
        made.rest()
        yield made


def _waha(folder: Path) -> ReplayServer:
    until = int(time.time()) - 60
    generate(folder, messages=MESSAGES, chats=CHATS, days=DAYS, seed=5, until=until)
    return ReplayServer(folder, api_key=KEY, latency_ms=25)


def _ventros(settings: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(
        [str(VENTROS), *command],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ventros {command[0]} failed: {done.stderr[-2000:]}")


@contextmanager
def _api(settings: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run `ventros serve` until the block ends; give its address."""
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(VENTROS), "serve", "--port", str(port)],
            env=os.environ | settings,
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool | None:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/ready", timeout=5).status_code == 200 or None
        except httpx.TransportError:
            return None

    try:
        wait_for("HTTP API", is_ready)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def row(name: str, found: Measured) -> tuple[str, ...]:
    """Return a line of the table."""
    seconds = [arrival.seconds for arrival in found.arrivals]
    return (
        name,
        str(len(seconds)),
        f"{median(seconds):.1f}",
        f"{max(seconds):.1f}",
        str(max(found.ticks_needed(arrival) for arrival in found.arrivals)),
        str(len(found.runs)),
        middle_and_worst([run.started - run.created for run in found.runs]),
        middle_and_worst([run.ended - run.started for run in found.runs]),
    )


HEAD = (
    "",
    "messages",
    "seconds, median",
    "worst",
    "ticks with a run that one needed",
    "runs",
    "seconds from request to start of a run",
    "seconds of a run",
)


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, keep the result, and say whether one tick and one run were enough."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--messages", type=int, default=20)
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # Ended in order, also by `kill`.
    before = load()
    with office() as made:
        say("messages that nobody announces")
        alone = made.measure(given.messages, hinted=False)
        say("messages with a webhook")
        hinted = made.measure(given.messages, hinted=True)
    missed = [
        f"one tick and one run bring a message in ({name})"
        for name, found in (("sensor alone", alone), ("webhooks", hinted))
        if any(found.ticks_needed(arrival) > 1 for arrival in found.arrivals)
    ]
    result = Result(
        "python -m benchmarks.latency",
        "From WAHA into the CRM",
        [
            f"End to end with `ventros up`: an imported account of {MESSAGES} messages, to which "
            f"messages come at random moments, {PAUSE[0]:.0f} to {PAUSE[1]:.0f} s apart, until "
            f"their row is in Postgres. The sensor looks every {LOOK_SECONDS} s and asks WAHA "
            f"every {ASK_EVERY.seconds} s; the daemon takes runs from its queue every 5 s, and "
            "each run is a process of its own.",
            "Target: a message needs one tick and one run.",
        ],
        [HEAD, row("sensor alone", alone), row("with webhooks", hinted)],
        missed,
    )
    print(result.keep("LATENCY.md", f"{before} before, {load()} after"))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
