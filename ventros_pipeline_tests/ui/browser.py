"""Driving the Dagster UI: the served pages, the launch dialog, and what GraphQL says of a run.

Found by role and text, not by class: the classes of the UI change with every release.
"""

from __future__ import annotations

import os
import shutil
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
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "The UI tests drive Debian's Chromium, and there is none: `apt-get install chromium` "
    "(.ci/run does it)."
)
# As root there is no sandbox, and a browser that only sees loopback has nobody to phone home to.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# A bound for what takes seconds on an idle machine; nothing here asserts how long it took.
PATIENCE = 180.0
FINAL = ("SUCCESS", "FAILURE", "CANCELED")
VENTROS = Path(sys.executable).with_name("ventros")
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


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless browser."""
    program = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert program, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


class Dagster:
    """A running `ventros up`."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = int(environment["VENTROS_UI_PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(VENTROS), "up"],
                env=os.environ | environment,
                stdout=out,
                stderr=out,
            )

    def wait_until_served(self) -> None:
        """Wait until the code location is loaded, too."""
        wait_for("code location", self._loaded)

    def interrupt(self) -> int:
        """Press Ctrl-C, in effect; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def ask(self, query: str, **variables: object) -> Any:
        """Ask the UI's own GraphQL."""
        body = {"query": query, "variables": variables}
        return httpx.post(f"{self.url}/graphql", json=body, timeout=30).json()["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, newest first."""
        found: list[dict[str, Any]] = self.ask(
            "{ runsOrError { ... on Runs { results { runId status jobName } } } }"
        )["runsOrError"]["results"]
        return found

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
        return True if any(n["location"]["name"] == "ventros_pipeline" for n in nodes) else None


def launch(page: Page, url: str, materialize: str, days: str) -> None:
    """Open a page, press its materialise button, choose the only channel and these days, launch."""
    page.goto(url)
    page.get_by_role("button", name=materialize).click()
    sure = page.get_by_role("button", name="Confirm")
    field = page.get_by_placeholder("ex: 20")
    expect(sure.or_(field)).to_be_visible()
    if sure.is_visible():
        sure.click()  # Nothing upstream is materialised yet; a run refreshes the directory itself.
    dialog = page.get_by_role("dialog").filter(has=field)
    dialog.get_by_role("button", name="All", exact=True).first.click()
    field.fill(days)
    field.press("Enter")
    button = dialog.get_by_role("button", name="Launch")
    expect(button).to_be_enabled()
    button.click()
    expect(dialog).to_be_hidden()
