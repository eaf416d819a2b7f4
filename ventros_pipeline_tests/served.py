"""A running `ventros up`: started, asked through its own GraphQL, ended with all its children."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

# A bound for what takes seconds on an idle machine; nothing here asserts how long it took.
PATIENCE = 180.0
FINAL = ("SUCCESS", "FAILURE", "CANCELED")
VENTROS = Path(sys.executable).with_name("ventros")
LOCATION = "ventros_pipeline"
Found = TypeVar("Found")


def wait_for(what: str, look: Callable[[], Found | None], patience: float = PATIENCE) -> Found:
    """Look again and again until there is something; give up with a sentence."""
    deadline = time.monotonic() + patience
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"no {what} after {patience:.0f} s"
        time.sleep(0.25)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def healthy(part: str, environment: dict[str, str], *options: str) -> bool:
    """Ask a part how it is, as what restarts containers does."""
    asked = subprocess.run(
        [str(VENTROS), "healthy", part, *options, "--json"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said: bool = json.loads(asked.stdout)["healthy"]
    assert asked.returncode == (0 if said else 1), asked.stderr
    return said


class Dagster:
    """A running `ventros up`."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = int(environment["VENTROS_UI_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.environment = environment
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [str(VENTROS), "up"],
                env=os.environ | self.environment,
                stdout=out,
                stderr=out,
            )

    def begin_again(self) -> None:
        """Start it anew where it has ended, as a service manager does."""
        if self.process.poll() is not None:
            self.process = self._begin()
        self.wait_until_served()

    def processes(self, word: str) -> list[psutil.Process]:
        """Return the processes of the family in whose command a word stands."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [found for found in family if word in found.cmdline()]

    def wait_until_served(self) -> None:
        """Wait until the code location is loaded, too."""
        wait_for("code location", self._loaded)

    def interrupt(self) -> int:
        """Press Ctrl-C, in effect; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def end(self) -> None:
        """End it and whatever is left of it, also where it does not listen."""
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            self.process.kill()
        finally:
            for left in psutil.wait_procs(family, timeout=5)[1]:
                left.kill()

    def ask(self, query: str, **variables: object) -> Any:
        """Ask the UI's own GraphQL."""
        body = {"query": query, "variables": variables}
        return httpx.post(f"{self.url}/graphql", json=body, timeout=PATIENCE).json()["data"]

    def turn_on(self, sensor: str) -> None:
        """Turn a sensor on, as the switch on the page *Automation* does."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "sensorName": sensor,
        }
        found = self.ask(
            "mutation($it: SensorSelector!) { startSensor(sensorSelector: $it) "
            "{ __typename ... on Sensor { sensorState { status } } } }",
            it=selector,
        )["startSensor"]
        assert found["__typename"] == "Sensor", found
        assert found["sensorState"]["status"] == "RUNNING"

    def load_code_anew(self) -> None:
        """Load the code location anew, as the button on the page *Deployment* does."""
        found = self.ask(
            "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) "
            "{ __typename ... on WorkspaceLocationEntry { loadStatus locationOrLoadError "
            "{ __typename } } } }",
            name=LOCATION,
        )["reloadRepositoryLocation"]
        assert found["__typename"] == "WorkspaceLocationEntry", found
        assert found["loadStatus"] == "LOADED", found
        assert found["locationOrLoadError"]["__typename"] == "RepositoryLocation", found

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, newest first."""
        found: list[dict[str, Any]] = self.ask(
            "{ runsOrError { ... on Runs { results { runId status jobName } } } }"
        )["runsOrError"]["results"]
        return found

    def cancel(self, run_id: str) -> None:
        """Ask a run to end, as the button *Terminate* on its page does."""
        found = self.ask(
            "mutation($run: String!) { terminateRun(runId: $run) { __typename } }", run=run_id
        )["terminateRun"]
        assert found["__typename"] == "TerminateRunSuccess", found

    def ended(self, run_id: str) -> str | None:
        """Return how a run has ended; None while it has not."""
        [status] = [run["status"] for run in self.runs() if run["runId"] == run_id]
        return status if status in FINAL else None

    def wait_for_new_run(self, known: set[str]) -> str:
        """Wait until a run that was not known has ended; return its status."""

        def look() -> str | None:
            fresh = [run for run in self.runs() if run["runId"] not in known]
            return fresh[0]["status"] if fresh and fresh[0]["status"] in FINAL else None

        return wait_for("finished run", look)

    def wait_for_backfill(self) -> str:
        """Wait until the newest backfill has ended; return its status."""

        def look() -> str | None:
            found = self.ask(
                "{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills "
                "{ results { status isAssetBackfill numPartitions } } } }"
            )["partitionBackfillsOrError"]["results"]
            return found[0]["status"] if found and "COMPLETED" in found[0]["status"] else None

        return wait_for("finished backfill", look)

    def materialized(self, asset: str) -> int:
        """Return how many partitions of an asset the UI counts as materialised."""
        counts: dict[str, int] = self.ask(
            "query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) "
            "{ ... on AssetNode { partitionStats { numMaterialized } } } }",
            path=[asset],
        )["assetNodeOrError"]["partitionStats"]
        return counts["numMaterialized"]

    def checks(self, asset: str) -> dict[str, str]:
        """Return how the newest execution of each check of an asset ended."""
        found = self.ask(
            "query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) "
            "{ ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks "
            "{ name executionForLatestMaterialization { status } } } } } } }",
            path=[asset],
        )["assetNodeOrError"]["assetChecksOrError"]["checks"]
        return {c["name"]: c["executionForLatestMaterialization"]["status"] for c in found}

    def _loaded(self) -> bool | None:
        assert self.process.poll() is None, self.log.read_text()
        try:
            found = self.ask(
                "{ repositoriesOrError { ... on RepositoryConnection { nodes "
                "{ location { name } } } } }"
            )
        except httpx.TransportError:
            return None
        nodes = found["repositoriesOrError"].get("nodes", [])
        return True if any(n["location"]["name"] == LOCATION for n in nodes) else None


@contextmanager
def served(environment: dict[str, str], log: Path) -> Iterator[Dagster]:
    """Run `ventros up` until the block ends, however it ends."""
    dagster = Dagster(environment, log)
    try:
        dagster.wait_until_served()
        yield dagster
    finally:
        dagster.end()
