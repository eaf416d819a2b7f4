"""Dagster's own home: its configuration, its instance, and the channels as partition keys.

What belongs here: where Dagster keeps its runs and events. What does not: what runs do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import yaml

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.database import kept_alive, normalise_url
from ventros_pipeline.environment import dagster_database_url
from ventros_pipeline.partitions import CHANNEL
from ventros_pipeline.settings import Settings

STORAGE_VARIABLE = "VENTROS_DAGSTER_STORAGE_URL"
BROKER_VARIABLE = "VENTROS_BROKER_URL"
_STORAGE = {
    "module": "ventros_pipeline.storage",
    "class": "PooledPostgresStorage",
    "config": {"postgres_url": {"env": STORAGE_VARIABLE}},
}
# What differs where runs go to the workers of other hosts.
_CELERY = {
    "run_launcher": {
        "module": "ventros_pipeline.workers",
        "class": "WorkerRunLauncher",
        "config": {"broker": {"env": BROKER_VARIABLE}},
    },
    # What a process prints stays on its host, where the page of a run could not show it.
    "compute_logs": {
        "module": "dagster.core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
}
# Nobody tells when a host dies, so it is looked for often.
_CELERY_MONITORING = {"poll_interval_seconds": 20}


class InstanceError(Exception):
    """Dagster's home is not as the engine needs it; the message says what to do."""


def prepare_home(settings: Settings) -> None:
    """Write Dagster's configuration and point this process, and its children, at it.

    Addresses stay in the environment, so the file holds no password.

    Raises:
        InstanceError: the configuration is somebody else's to write, and not there.
    """
    # Recording the partitions of a range run one by one took three times as long; see storage.py.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")
    if settings.engine == "kubernetes":
        _expect_chart()
        return
    if settings.engine == "celery":
        _expect_celery()
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load(
        resources.files("ventros_pipeline.deploy").joinpath("dagster.yaml").read_text("utf-8")
    )
    config["concurrency"]["runs"]["max_concurrent_runs"] = settings.concurrent_runs
    if settings.engine == "celery" and settings.broker_url is not None:
        os.environ[BROKER_VARIABLE] = settings.broker_url.get_secret_value()
        config |= _CELERY
        config["run_monitoring"] |= _CELERY_MONITORING
    address = dagster_database_url(settings)
    if address is not None:
        # dagster-postgres binds NOTIFY's argument in a way that only psycopg 2 understands.
        url = kept_alive(normalise_url(address, driver="psycopg2"))
        os.environ[STORAGE_VARIABLE] = url.render_as_string(hide_password=False)
        config["storage"] = {"custom": _STORAGE}
    # Whoever shares this home reads it whole, or would go on with Dagster's defaults.
    written = home / f"dagster.yaml.{os.uname().nodename}.{os.getpid()}"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    written.replace(home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)


def _expect_celery() -> None:
    if find_spec("dagster_celery") is None:
        raise InstanceError(
            "VENTROS_ENGINE=celery needs what the usual installation leaves out: install "
            "ventros_pipeline/deploy/requirements.lock, or ventros-pipeline[celery]"
        )


def _expect_chart() -> None:
    home = os.environ.get("DAGSTER_HOME", "")
    if not home or not (Path(home) / "dagster.yaml").exists():
        raise InstanceError(
            "VENTROS_ENGINE=kubernetes takes Dagster's configuration from the chart, and there is "
            "no dagster.yaml in DAGSTER_HOME: run this in a pod of the chart, or set "
            "VENTROS_ENGINE=local"
        )


def worker_broker(settings: Settings) -> str:
    """Return where a worker gets runs from.

    Raises:
        InstanceError: the settings hand runs to nobody.
    """
    if settings.engine != "celery" or settings.broker_url is None:
        raise InstanceError(
            f"VENTROS_ENGINE={settings.engine} hands no run to a worker: set VENTROS_ENGINE=celery "
            "and VENTROS_BROKER_URL, here and where webserver and daemon run"
        )
    return settings.broker_url.get_secret_value()


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance that the UI of this home shows."""
    prepare_home(settings)
    return dg.DagsterInstance.get()


def register_channels(instance: dg.DagsterInstance, channels: Iterable[Channel]) -> list[str]:
    """Make channels known as partition keys; keys are never taken away. Return the new ones."""
    known = set(instance.get_dynamic_partitions(CHANNEL))
    fresh = [channel.key for channel in channels if channel.key not in known]
    if fresh:
        instance.add_dynamic_partitions(CHANNEL, fresh)
    return fresh
