"""`ventros db`: the CRM's database.

What belongs here: arguments, and what a person is told. What does not: migrating
(`crm/migrate.py`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ventros_pipeline.crm.migrate import Step

db_app = typer.Typer(no_args_is_help=True, help="The CRM's database.")


@db_app.command("migrate")
def db_migrate(
    to: Annotated[
        str | None,
        typer.Option(
            help="Revision to stop at, for example 0019; one before the current goes back, and "
            "says what that loses."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before going back.")] = False,
    as_json: Json = False,
) -> None:
    """Create or update the tables; a database that has a CRM gets only `history_sync`."""
    from ventros_pipeline.crm import migrate

    taken_back: list[str] = []
    applied = []
    with open_database() as engine:
        if to is not None and (steps := migrate.steps_back(engine, to)):
            _agree(steps, yes=yes)
            taken_back = migrate.go_back(engine, to)
        else:
            applied = migrate.migrate(engine, to=to)
    done = [(a.name, "left the CRM alone" if a.skipped else "applied") for a in applied]
    done += [(name, "taken back") for name in taken_back]
    console.result(
        {"applied": [a.name for a in applied if not a.skipped], "taken_back": taken_back},
        as_json=as_json,
        show=lambda: console.table("Migrations", ("file", "did"), done or [("-", "nothing to do")]),
    )


def _agree(steps: Sequence[Step], *, yes: bool) -> None:
    """Say what going back loses, and let a person agree; where nobody can be asked, refuse."""
    for step in steps:
        console.say(f"{step.name}: {step.loses}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here, and nothing was taken back; say --yes")
    typer.confirm("Take these back?", default=False, err=True, abort=True)


@db_app.command("status")
def db_status(as_json: Json = False) -> None:
    """Say which migrations are applied and whose CRM this is."""
    from ventros_pipeline.crm import migrate

    with open_database() as engine:
        status = migrate.status(engine)
    value = {
        "current": status.current,
        "latest": status.latest,
        "pending": list(status.pending),
        "crm": status.crm,
    }
    console.result(
        value,
        as_json=as_json,
        show=lambda: console.table("Database", ("what", "is"), list(value.items())),
    )


@db_app.command("url")
def db_url(as_json: Json = False) -> None:
    """Print an address that psql takes; the embedded server is started if need be."""
    from ventros_pipeline.crm.database import libpq_url
    from ventros_pipeline.environment import database_url

    url = libpq_url(database_url(read_settings()))
    console.result({"url": url}, as_json=as_json, show=lambda: print(url))
