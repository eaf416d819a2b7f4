"""The figures of all channels at once, for whoever watches them from outside.

What belongs here: asking for figures that cost no more than channels and days; nothing here looks
at messages. What does not: what a figure means (`ventros_pipeline/metrics.py`), and one channel's
own report (`ledger.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import list_channels
from ventros_pipeline.crm.plans import Plan, running_imports
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects
from ventros_pipeline.metrics import BY_NAME, RANGE_STATES

_QUESTIONS = ("totals", "states", "days", "quarantine")
OTHER = "other"


class Sample(NamedTuple):
    """One figure of one channel; `label` is the value of the metric's second label."""

    metric: str
    channel: str
    label: str | None
    value: float


def measure(engine: Engine) -> list[Sample]:
    """Return the figures of every channel that is not deleted, each metric and label once."""
    keys = {channel.id: channel.key for channel in list_channels(engine)}
    sums: dict[tuple[str, str, str | None], float] = {}
    for metric, channel_id, label, value in (*_stored(engine), *_of_imports(engine)):
        if channel_id not in keys:
            continue
        key = keys[channel_id]
        for each in BY_NAME[metric].values:
            sums.setdefault((metric, key, each), 0.0)
        place = (metric, key, _bounded(metric, label))
        sums[place] = sums.get(place, 0.0) + value
    return [Sample(*place, value) for place, value in sums.items()]


def _bounded(metric: str, label: str | None) -> str | None:
    """Return the label if it is one that the metric can have: a newer version may know others."""
    known = BY_NAME[metric].values
    return label if label is None or label in known or OTHER not in known else OTHER


def _stored(engine: Engine) -> Iterator[tuple[str, UUID, str | None, float]]:
    with of_all_projects(engine).connect() as connection:
        for question in _QUESTIONS:
            rows = connection.exec_driver_sql(read_sql(f"metrics/{question}.sql"))
            for row in rows.mappings():
                yield row["metric"], row["channel_id"], row["label"], row["value"]


def _of_imports(engine: Engine) -> Iterator[tuple[str, UUID, str | None, float]]:
    for plan in running_imports(engine):
        for state in RANGE_STATES:
            ranges = sum(found.state == state for found in plan.ranges)
            yield "ventros_import_ranges", plan.channel_id, state, float(ranges)
        for name, value in _progress(plan).items():
            if value is not None:
                yield name, plan.channel_id, None, value


def _progress(plan: Plan) -> Mapping[str, float | None]:
    return {
        "ventros_import_days_left": float(max(plan.days_total - plan.days_done, 0)),
        "ventros_import_messages_per_second": plan.rate,
        "ventros_import_seconds_left": plan.seconds_left,
    }
