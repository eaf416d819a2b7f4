"""Imports in processes of their own, begun within milliseconds.

Run as a program it imports everything heavy once and forks a process for each line of JSON that it
is given; the answer to a line says how that process ended. A process that has done any work with
polars may not be forked, so this one does none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from ventros_pipeline import build, importer, runs
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.database import connect
from ventros_pipeline.instance import open_instance
from ventros_pipeline.planning import plan_runs
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.crashes import steps

# Small, so that a run has several transactions and an import several runs.
WINDOW_ROWS, RUN_DAYS = 25, 8

# What takes longer waits for itself: an import here takes a few seconds.
HUNG_SECONDS = 300
INCIDENTS: dict[str, steps.Incident] = {
    "kill": steps.kill,
    "disk full": steps.no_space,
    "session ended": steps.cut,
    "deadlock": steps.refuse("40P01"),
    "serialization failure": steps.refuse("40001"),
    "server's disk full": steps.refuse("53100"),
    "server out of memory": steps.refuse("53200"),
    "lock timeout": steps.refuse("55P03"),
    "statement cancelled": steps.refuse("57014"),
    "server killed": steps.kill_server,
    "clock set back": steps.set_clock_back,
}


def import_all(task: dict[str, Any]) -> None:
    """Import the channel as `ventros import` does."""
    settings = get_settings()
    engine = connect(task["database"], application_name=steps.VICTIM)
    plan = plan_runs(
        settings.history_start,
        date.fromisoformat(task["last"]),
        since=None,
        until=None,
        oldest=None,
        run_days=RUN_DAYS,
    )
    with open_instance(settings) as instance:
        channel = get_channel(engine, task["channel"])
        runs.import_history(build.build_defs(), instance, engine, channel, plan)


def _become(task: dict[str, Any]) -> None:
    os.environ |= task["environment"]
    os.chdir(task["environment"]["VENTROS_HOME"])
    get_settings.cache_clear()
    importer.WINDOW_ROWS = WINDOW_ROWS
    found = steps.Steps(
        at=tuple(task["at"]) if task["at"] else None,
        incident=INCIDENTS[task["incident"]],
    )
    found.watch()
    signal.alarm(HUNG_SECONDS)
    try:
        import_all(task)
    finally:
        Path(task["seen"]).write_text(json.dumps(found.seen), encoding="utf-8")


def _forked(work: Callable[[], None], errors: Path) -> int:
    """Run something in a child; return its exit code, negative where a signal ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 -- the child ends here, whatever happened
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Answer lines of JSON until there are no more."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        task = json.loads(line)
        code = _forked(lambda task=task: _become(task), Path(task["errors"]))  # type: ignore[misc]
        print(json.dumps({"code": code}), flush=True)


if __name__ == "__main__":
    main()
