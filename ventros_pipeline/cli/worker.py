"""`ventros worker`: a host that carries out runs.

What belongs here: arguments, and what a person is told. What does not: the queue and its workers
(`workers.py`).
"""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings


def worker(
    processes: Annotated[int, typer.Option(min=1, help="Runs at the same time on this host.")] = 2,
    name: Annotated[
        str, typer.Option(help="Name among the workers, where two share a host's name.")
    ] = "%h",
    as_json: Json = False,
) -> None:
    """Carry out runs on this host until interrupted; those that it has begun are ended first."""
    from ventros_pipeline.crm.migrate import refuse_pending
    from ventros_pipeline.instance import prepare_home, worker_broker

    settings = read_settings()
    broker = worker_broker(settings)
    with open_database() as engine:
        refuse_pending(engine)
    prepare_home(settings)
    # Every process of Dagster repeats which parts of it are in beta; the lock file pins them.
    warnings.simplefilter("ignore")
    # Everything that a run needs, so that a process for it is there at once.
    from ventros_pipeline import definitions  # noqa: F401
    from ventros_pipeline.workers import worker_app

    console.result(
        {"processes": processes},
        as_json=as_json,
        show=lambda: console.say(f"Carrying out {processes} runs at a time (stop with Ctrl-C)"),
    )
    worker_app(broker).worker_main(
        [
            *("--quiet", "worker", "--pool", "prefork", "--queues", "dagster"),
            *("--concurrency", str(processes), "--hostname", f"ventros@{name}"),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle"),
        ]
    )
