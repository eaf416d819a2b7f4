"""`ventros undo`: take one run back, from a terminal.

What belongs here: arguments, and what a person is told. What does not: what a run changed and what
stands in the way of taking it back (`crm/undo.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database

if TYPE_CHECKING:
    from ventros_pipeline.crm.undo import Undone


def undo(
    run: Annotated[str, typer.Argument(help="Id of a run (`run_id` of `ventros import --json`).")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be undone, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore the state before a run; refused where later runs or people stand on it."""
    from ventros_pipeline.crm.undo import UndoError, undo_run

    with open_database(migrated=True) as engine:
        undone = undo_run(engine, run, dry_run=dry_run)
    refused = bool(undone.obstacles)
    console.result(
        {**undone.as_json(), "undone": not (refused or dry_run), "dry_run": dry_run},
        as_json=as_json,
        show=lambda: _show(undone, dry_run=dry_run),
    )
    if refused:
        raise UndoError(
            f"run {run} cannot be undone, and nothing was changed; see what stands in the way"
        )


def _show(undone: Undone, *, dry_run: bool) -> None:
    for obstacle in undone.obstacles:
        console.say(str(obstacle))
    if undone.obstacles:
        return
    rows = [(name, "removed", rows) for name, rows in undone.removed.items()]
    rows += [(name, "as before", rows) for name, rows in undone.restored.items()]
    console.table("would be undone" if dry_run else "undone", ("rows of", "", "rows"), rows)
    channels = ", ".join(undone.channels)
    console.say(
        f"The archive is kept: importing the same days of {channels} brings them back, and so may "
        "a scheduled pass. `ventros channel disable` keeps a channel as it is."
    )
