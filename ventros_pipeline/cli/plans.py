"""The import of a channel as it goes on: watching it, and ending it before its end.

What belongs here: arguments, and what a person is told. What does not: the plan (`crm/plans.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel


def cancel(channel: ChannelKey, as_json: Json = False) -> None:
    """End the import of a channel; a run in flight goes on to its end, and what is loaded stays."""
    from ventros_pipeline.crm import plans
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        cancelled = plans.cancel(engine, found)
    said = "its import is cancelled" if cancelled else "no import of it is open"
    console.result(
        {"channel": found.key, "cancelled": cancelled},
        as_json=as_json,
        show=lambda: console.say(f"channel {found.key}: {said}"),
    )


def follow(engine: Engine, channel: Channel) -> bool:
    """Show the open import of a channel until it ends; return whether it was there and failed."""
    from ventros_pipeline.crm.plans import plan_of

    watched: set[str] = set()

    def look() -> console.Shown | None:
        plan = plan_of(engine, channel)
        if plan is None or not plan.is_open:
            return None
        watched.add(str(plan.import_id))
        return console.Shown(
            plan.days_done, plan.days_total, plan.messages, plan.rate, plan.seconds_left
        )

    console.watch(channel.key, look)
    plan = plan_of(engine, channel)
    return plan is not None and str(plan.import_id) in watched and plan.status == "failed"
