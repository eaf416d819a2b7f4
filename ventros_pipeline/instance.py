"""Dagster's own home: its configuration, its instance, and the channels as partition keys.

What belongs here: where Dagster keeps its runs and events. What does not: what runs do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import resources

import dagster as dg
import yaml

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.database import normalise_url
from ventros_pipeline.environment import dagster_database_url
from ventros_pipeline.partitions import CHANNEL
from ventros_pipeline.settings import Settings

STORAGE_VARIABLE = "VENTROS_DAGSTER_STORAGE_URL"
_STORAGE = {
    "module": "ventros_pipeline.storage",
    "class": "PooledPostgresStorage",
    "config": {"postgres_url": {"env": STORAGE_VARIABLE}},
}


def prepare_home(settings: Settings) -> None:
    """Write Dagster's configuration and point this process, and its children, at it.

    The storage's address stays in the environment, so the file holds no password.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load(
        resources.files("ventros_pipeline.deploy").joinpath("dagster.yaml").read_text("utf-8")
    )
    address = dagster_database_url(settings)
    if address is not None:
        # dagster-postgres binds NOTIFY's argument in a way that only psycopg 2 understands.
        url = normalise_url(address, driver="psycopg2")
        os.environ[STORAGE_VARIABLE] = url.render_as_string(hide_password=False)
        config["storage"] = {"custom": _STORAGE}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    # Recording the partitions of a range run one by one took three times as long; see storage.py.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")


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
