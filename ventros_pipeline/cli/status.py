"""`ventros status`: how far the import of a channel is.

What belongs here: arguments, and what a person is told. What does not: the figures (`report/` of
the package), and whether everything is there (`ventros report`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.plans import follow
from ventros_pipeline.cli.quarantine import tell_waiting
from ventros_pipeline.cli.report import show_status
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database


def status(
    channel: ChannelKey,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the import that runs, until it ends, first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say how far the import of a channel is, and what is in the CRM by now.

    Whether everything is there is what `ventros report` says. With --watch, exit 1 when the import
    that was watched has failed.
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
        show_status(report)
        tell_waiting(found.key, waiting)

    console.result(value, as_json=as_json, show=show)
    if failed and plan is not None:
        raise LifecycleError(f"the import failed: {plan.error}")
