"""Whether Dagster does by itself what it was told to: its daemon, its sensors, its schedules.

What belongs here: complaints about Dagster's own home. What does not: those about the database and
its channels (`crm/doctor.py`). A home that was never served is not made for the question.
"""

from __future__ import annotations

import time

from dagster._core.scheduler.instigation import InstigatorStatus

from ventros_pipeline.crm.doctor import Complaint
from ventros_pipeline.instance import open_instance
from ventros_pipeline.settings import Settings

# The daemon reports every half minute.
HEARTBEAT_SECONDS = 300.0
NONE_ON = (
    "none; nothing runs by itself: turn on what should in the UI, or let cron run ventros sync"
)


def beats(settings: Settings) -> bool:
    """Return whether the daemon of this home has told of itself a short while ago."""
    with open_instance(settings) as instance:
        found = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    return time.time() - max(found, default=0.0) < HEARTBEAT_SECONDS


def examine(settings: Settings) -> tuple[list[Complaint], dict[str, str]]:
    """Look for what stands still; also say what is turned on."""
    if not (settings.dagster_home / "dagster.yaml").exists():
        return [], {}
    with open_instance(settings) as instance:
        on = sorted(
            state.name
            for state in instance.all_instigator_state()
            if state.status is InstigatorStatus.RUNNING
        )
    facts = {"sensors and schedules": ", ".join(on) or NONE_ON}
    if not on or beats(settings):
        return [], facts
    complaint = Complaint(
        "daemon_not_running",
        "Sensors or schedules are turned on, and no daemon ticks them.",
        len(on),
        ["keep it running: ventros up"],
    )
    return [complaint], facts
