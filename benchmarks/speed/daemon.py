"""An import that the daemon runs: sensor, queue, and the runs' own processes.

What belongs here: the request and the wait for its end. Starting `ventros up` is not measured, what
it does with the request is: one run over all days, as the UI launches it, or a plan of runs, which
the sensor requests one after the other.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.speed.places import KEY_VARIABLE, Account, Bench, Channel
from benchmarks.speed.serving import KEY

PATIENCE = 900.0
FINAL = ("SUCCESS", "FAILURE", "CANCELED")
_REPOSITORY = {
    "repositoryLocationName": "ventros_pipeline",
    "repositoryName": "__repository__",
}
_LOADED = """
    { repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"""
_LAUNCH = """
    mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_TURN_ON = """
    mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"""
_STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def launch_run(bench: Bench, channel: Channel, account: Account) -> float:
    """Return the seconds from the launch of one run over all days to its success, checks included.

    Raises:
        RuntimeError: the run did not succeed.
    """
    with _up(bench, channel, account) as url:
        began = time.perf_counter()
        launched = _ask(url, _LAUNCH, params=_request(channel, account))["launchRun"]
        if "run" not in launched:
            raise RuntimeError(f"the run was not launched: {launched}")
        run_id = launched["run"]["runId"]
        status = _wait("end of the run", lambda: _ended(url, run_id))
        if status != "SUCCESS":
            raise RuntimeError(f"the run ended with {status}")
        return time.perf_counter() - began


def carry_out_plan(bench: Bench, channel: Channel, account: Account) -> float:
    """Return the seconds from the request of a whole import to the end of its plan.

    Raises:
        RuntimeError: the plan did not complete.
    """
    from ventros_pipeline.crm import lifecycle, plans
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.database import connect
    from ventros_pipeline.crm.limits import Wish
    from ventros_pipeline.planning import plan_runs
    from ventros_pipeline.settings import Settings

    engine = connect(bench.url(channel.database))
    found = get_channel(engine, channel.key)
    lifecycle.enable(engine, found)

    def over() -> plans.Plan | None:
        plan = plans.plan_of(engine, found)
        return plan if plan and not plan.is_open else None

    with _up(bench, channel, account) as url:
        _ask(url, _TURN_ON, sensor={**_REPOSITORY, "sensorName": "history_sensor"})
        days = plan_runs(
            account.first,
            account.last,
            since=None,
            until=None,
            oldest=None,
            run_days=Settings(_env_file=None).run_days,  # type: ignore[call-arg]
        )
        began = time.perf_counter()
        plans.request(engine, found, Wish("full"), days)
        plan = _wait("end of the plan", over)
        seconds = time.perf_counter() - began
    engine.dispose()
    if plan.status != "completed":
        raise RuntimeError(f"the plan ended as {plan.status}: {plan.error}")
    return seconds


@contextmanager
def _up(bench: Bench, channel: Channel, account: Account) -> Iterator[str]:
    """Run `ventros up` until the block ends; give the address of its GraphQL."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/graphql"
    variables = {
        "VENTROS_HOME": str(channel.home),
        "VENTROS_DATABASE_URL": bench.url(channel.database),
        "VENTROS_DAGSTER_DATABASE_URL": channel.dagster,
        "VENTROS_HISTORY_START": account.first.isoformat(),
        "VENTROS_UI_PORT": str(port),
        KEY_VARIABLE: KEY,
    }
    with (channel.home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ventros")), "up"],
            env=os.environ | variables,
            cwd=channel.home,
            stdout=log,
            stderr=log,
        )
    try:
        _wait("code location", lambda: _ask(url, _LOADED)["repositoriesOrError"].get("nodes"))
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _request(channel: Channel, account: Account) -> dict[str, Any]:
    from ventros_pipeline.jobs.imports import HISTORY_IMPORT
    from ventros_pipeline.partitions import RANGE_END, RANGE_START, partition_key

    tags = {
        RANGE_START: partition_key(channel.key, account.first),
        RANGE_END: partition_key(channel.key, account.last),
        "ventros/channel": channel.key,
    }
    return {
        "selector": {**_REPOSITORY, "jobName": HISTORY_IMPORT},
        "runConfigData": {},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
    }


def _ended(url: str, run_id: str) -> str | None:
    status = _ask(url, _STATUS, id=run_id)["runOrError"].get("status")
    return status if status in FINAL else None


def _ask(url: str, query: str, **variables: object) -> dict[str, Any]:
    """Ask the UI's own GraphQL; nothing while it does not answer yet."""
    try:
        answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60)
        return answer.json()["data"]  # type: ignore[no-any-return]
    except (httpx.TransportError, ValueError):
        return {"repositoriesOrError": {}, "runOrError": {}, "launchRun": {}}


def _wait(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} after {PATIENCE:.0f} s")
        time.sleep(0.25)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
