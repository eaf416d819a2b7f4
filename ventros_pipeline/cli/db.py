"""`ventros db`: the CRM's database.

What belongs here: arguments, and what a person is told. What does not: migrating
(`crm/migrate.py`).
"""

from __future__ import annotations

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings

db_app = typer.Typer(no_args_is_help=True, help="The CRM's database.")


@db_app.command("migrate")
def db_migrate(as_json: Json = False) -> None:
    """Create or update the tables; a database that has a CRM gets only `history_sync`."""
    from ventros_pipeline.crm import migrate

    with open_database() as engine:
        applied = migrate.migrate(engine)
    console.result(
        {"applied": [a.name for a in applied if not a.skipped]},
        as_json=as_json,
        show=lambda: console.table(
            "Migrations",
            ("file", "did"),
            [(a.name, "left the CRM alone" if a.skipped else "applied") for a in applied]
            or [("-", "nothing to do")],
        ),
    )


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
