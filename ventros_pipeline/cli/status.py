"""`ventros status`: what of a channel is in the CRM.

What belongs here: arguments, and what a person is told. What does not: the figures (`report.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.plans import follow
from ventros_pipeline.cli.quarantine import tell_waiting
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database

if TYPE_CHECKING:
    from ventros_pipeline.report import Report


def status(
    channel: ChannelKey,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the import that runs, until it ends, first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what of a channel is in the CRM, and whether the balance closes.

    With --watch, exit 1 when the import that was watched has failed.
    """
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.plans import plan_of
    from ventros_pipeline.crm.preconditions import LifecycleError
    from ventros_pipeline.crm.quarantine import waiting_days
    from ventros_pipeline.report import report_of

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        failed = watch and follow(engine, found)
        report, plan = report_of(engine, found), plan_of(engine, found)
        waiting = waiting_days(engine, found)
    value = {
        **report.as_json(),
        "quarantined_days": {str(day): rows for day, rows in waiting.items()},
        "import": plan and plan.as_json(),
    }

    def show() -> None:
        show_report(report)
        tell_waiting(found.key, waiting)

    console.result(value, as_json=as_json, show=show)
    if failed and plan is not None:
        raise LifecycleError(f"the import failed: {plan.error}")


def show_report(report: Report) -> None:
    """Print the figures of a channel as tables."""
    figures = report.overview
    verdict = "the balance closes" if report.closes else "THE BALANCE DOES NOT CLOSE"
    lines: list[tuple[str, Any]] = [
        *report.balance.items(),
        *((f"  left out: {reason}", rows) for reason, rows in report.reasons.items()),
        ("messages in the CRM", figures["messages"]),
        ("people", figures["people"]),
        ("one-to-one chats", figures["one_to_one_chats"]),
        ("contacts who wrote or were written to", figures["contacts"]),
        ("sessions", figures["sessions"]),
        *((f"  {state['state']} days", state["days"]) for state in report.coverage),
    ]
    console.table(f"{report.channel}: {verdict}", ("figure", "number"), lines)
    for name, values in report.breakdown.items():
        console.table(f"\nmessages by {name}", (name, "messages"), list(values.items()))
