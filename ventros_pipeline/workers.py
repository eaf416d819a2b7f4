"""Runs on other hosts: a Celery worker carries out one run as one process, and is watched.

A run's steps stay in its one process, as everywhere: its assets share a channel's turn, and a
process for each step costs seconds. So Celery takes the place of the run launcher and not of the
executor. Dagster's own launcher believes what Celery's results say, and of a host that was cut off
or lost its power they say `STARTED` for ever; this one also asks the workers which runs they hold.

What belongs here: the queue, its workers, and whether a run still has one. What does not: what
becomes of a run that has none (`dagster.yaml` lets it fail, and the plan or Dagster tries again).
Nothing else imports this module, because Celery comes with the extra `celery` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from celery.utils.nodenames import host_format
from dagster import DagsterRun, StringSource
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClassData
from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_celery.tasks import create_execute_job_task

QUEUE = "dagster"
# How long nobody may hold a run before it counts as lost: a worker that was cut off for a moment
# goes on with it. Below the two minutes after which a plan tries again.
LOST_SECONDS = 60.0
# All workers are asked at once, and may take so long to answer.
ANSWER_SECONDS = 3.0
# One answer serves all runs that the monitor looks at in one round.
KNOWN_SECONDS = 10.0
CELERY: Mapping[str, Any] = {
    # A fresh process for each run: what a run of a month leaves in memory ends with it.
    "worker_max_tasks_per_child": 1,
    # Nothing is held back by a worker that has no process free.
    "worker_prefetch_multiplier": 1,
    # A run goes on while the broker is away, and a worker never gives up on it.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # Longer than any run: a result that is forgotten would let it count as lost.
    "result_expires": 14 * 86400,
    # Names the worker, so that Dagster can say on which host a run was lost.
    "result_extended": True,
    # Dagster keeps the log of a run; this one is the worker's own.
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "redis_socket_keepalive": True,
    "broker_transport_options": {"socket_keepalive": True},
}


def worker_app(broker: str) -> Celery:
    """Return the app that `ventros worker` runs."""
    app = make_app(app_args=_app_args(broker))
    create_execute_job_task(app)
    return app


def answers(broker: str, name: str) -> bool:
    """Return whether a worker of this name is connected to the broker."""
    worker = host_format(f"ventros@{name}")
    return bool(worker_app(broker).control.ping([worker], timeout=ANSWER_SECONDS))


def _app_args(broker: str) -> dict[str, Any]:
    return {
        "broker": broker,
        "backend": broker,
        "config_source": {**DEFAULT_CONFIG, **CELERY},
        "task_default_queue": QUEUE,
    }


class WorkerRunLauncher(CeleryRunLauncher):
    """Hands runs to workers, and knows whether somebody still holds them."""

    def __init__(self, broker: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Use a Redis as broker and for results."""
        super().__init__(QUEUE, broker, broker, config_source=dict(CELERY), inst_data=inst_data)
        self.clock: Callable[[], float] = time.monotonic
        self._missed: dict[str, float] = {}
        self._held: frozenset[str] = frozenset()
        self._asked = -KNOWN_SECONDS

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `dagster.yaml` has to say."""
        return {"broker": StringSource}

    @property
    def supports_resume_run(self) -> bool:
        """Return whether a lost run could be gone on with: it is tried anew, as a whole."""
        return False

    def terminate(self, run_id: str) -> bool:
        """Ask whoever holds a run to end it; return whether somebody was asked.

        Dagster's own launcher notes nowhere that it was asked: the run would fail, and be tried
        again. What nobody ends, because its host is gone, the monitor ends after three minutes.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether a worker holds a run, has ended it, or is gone."""
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task is None:  # It began before the launcher had noted its task.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        said = super().check_run_worker_health(run)
        if said.status in (WorkerStatus.SUCCESS, WorkerStatus.FAILED):
            self._missed.pop(task, None)
            return said
        # Also where the broker forgot the result: what a worker holds is running.
        if task in self._tasks_held():
            self._missed.pop(task, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        missed_for = self.clock() - self._missed.setdefault(task, self.clock())
        if missed_for < LOST_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._missed[task]
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"No worker has held this run for {missed_for:.0f} s: its host is down, or cut off.",
        )

    def _tasks_held(self) -> frozenset[str]:
        """Return the tasks that workers say they are at, or have taken from the queue."""
        if self.clock() - self._asked >= KNOWN_SECONDS:
            self._held = _ask(self.celery)
            self._asked = self.clock()
        return self._held


def _ask(app: Celery) -> frozenset[str]:
    inspect = app.control.inspect(timeout=ANSWER_SECONDS)
    told = [inspect.active() or {}, inspect.reserved() or {}]
    return frozenset(task["id"] for answers in told for tasks in answers.values() for task in tasks)
