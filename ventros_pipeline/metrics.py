"""Every metric that `ventros serve` exports: its name, what it counts, its labels and their values.

What belongs here: the one table that the exporter, the reference page and the dashboard's tests
read. What does not: where a figure comes from (`crm/measuring.py`, `sql/metrics/`), and how it is
served (`api/metrics.py`).

Labels are few and bounded: a channel's key, and states and reasons that the code names. No label
holds a person's name, a number or a text.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

OUTCOMES = ("inserted", "updated", "unchanged", "duplicate", "filtered", "quarantined")
DAY_STATES = ("unknown", "reading", "settling", "settled", "exhausted")
RANGE_STATES = ("waiting", "running", "done", "failed")
QUARANTINE_REASONS = (
    *("not_json", "too_deep", "not_an_object", "no_id", "no_chat", "id_too_long"),
    "other",
)


class Metric(NamedTuple):
    """One metric as Prometheus sees it. Each has the label `channel`, and at most one other.

    Attributes:
        values: what the other label can be; a sample of a channel has all of them, or none.
    """

    name: str
    kind: Literal["counter", "gauge"]
    says: str
    label: str | None = None
    values: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in order."""
        return ("channel",) if self.label is None else ("channel", self.label)


METRICS = (
    Metric(
        "ventros_messages_total",
        "counter",
        "Rows of WAHA that loads have looked at, by what became of them. A row that is loaded "
        "again counts again.",
        "outcome",
        OUTCOMES,
    ),
    Metric(
        "ventros_lag_seconds",
        "gauge",
        "Seconds since the channel was last known to be complete: a whole import, a pass, or a "
        "look at WAHA that showed nothing new. Absent before the first.",
    ),
    Metric(
        "ventros_coverage_days",
        "gauge",
        "Days of the channel by how far they are known (`ventros coverage`).",
        "state",
        DAY_STATES,
    ),
    Metric(
        "ventros_oldest_open_day_age_seconds",
        "gauge",
        "Seconds since the beginning of the oldest day that is not settled yet. Absent where every "
        "day is.",
    ),
    Metric("ventros_requests_total", "counter", "Requests of runs to WAHA, retries included."),
    Metric("ventros_retries_total", "counter", "Requests of runs that were a second try or later."),
    Metric(
        "ventros_breaker_open",
        "gauge",
        "1 while a process leaves the session alone because most of its requests failed: of all "
        "processes the one that opened its breaker last, until that one has rested or has got "
        "an answer.",
    ),
    Metric(
        "ventros_breaker_openings_total",
        "counter",
        "How often a process began to leave the session alone.",
    ),
    Metric(
        "ventros_quarantine_rows",
        "gauge",
        "Rows that could not be imported and are kept, by reason. 0 needs nobody.",
        "reason",
        QUARANTINE_REASONS,
    ),
    Metric(
        "ventros_problem",
        "gauge",
        "1 while a person has to mend something before the channel can be read.",
    ),
    Metric(
        "ventros_runs_total",
        "counter",
        "Runs that have ended, by how. One whose days were loaded and whose checks then failed "
        "counts as both.",
        "state",
        ("completed", "failed"),
    ),
    Metric("ventros_runs_running", "gauge", "Runs that have begun and not ended."),
    Metric(
        "ventros_import_ranges",
        "gauge",
        "Ranges of days of the import that runs now, by state. Absent while none runs.",
        "state",
        RANGE_STATES,
    ),
    Metric(
        "ventros_import_days_left",
        "gauge",
        "Days of the import that runs now and are not loaded yet. Absent while none runs.",
    ),
    Metric(
        "ventros_import_messages_per_second",
        "gauge",
        "Messages that the import that runs now has read in a second of its runs. Absent before "
        "the first.",
    ),
    Metric(
        "ventros_import_seconds_left",
        "gauge",
        "Seconds that the days left take at the pace of those loaded. Absent before the first.",
    ),
    Metric(
        "ventros_hints_waiting",
        "gauge",
        "Webhooks of WAHA that were taken and that no pass has followed yet.",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def metrics_reference() -> list[tuple[str, str, str, str]]:
    """Return each metric's name, type, labels and meaning, as a page tells it."""
    return [
        (
            metric.name,
            metric.kind,
            "channel" if not metric.label else f"channel, {metric.label}",
            metric.says + (f" Values: {', '.join(metric.values)}." if metric.values else ""),
        )
        for metric in METRICS
    ]
