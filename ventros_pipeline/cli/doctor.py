"""`ventros doctor`: what a person should look at, and what to do.

What belongs here: which rooms are asked, and how their complaints are shown. What does not: the
complaints (`crm/doctor.py`, `waha/health.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ventros_pipeline import console
from ventros_pipeline.cli.completion import channel_keys
from ventros_pipeline.cli.shared import Json, open_database, read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.doctor import Complaint


def doctor(
    channel: Annotated[
        str | None,
        typer.Argument(
            help="Channel: key, id or session name. Only the database if omitted.",
            autocompletion=channel_keys,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a person should look at, and what to do; nothing is changed.

    Exit 1 when something needs a person.
    """
    from dataclasses import asdict

    with open_database() as engine:
        complaints, facts = _examined(engine, channel)
    console.result(
        {"complaints": [asdict(complaint) for complaint in complaints], "facts": facts},
        as_json=as_json,
        show=lambda: _show_complaints(complaints, facts),
    )
    if any(complaint.needs_a_person for complaint in complaints):
        raise typer.Exit(1)


def _examined(engine: Engine, key: str | None) -> tuple[list[Complaint], dict[str, str]]:
    """Examine the database and, once it is migrated, a channel: its WAHA session, then its data."""
    from ventros_pipeline import daemons
    from ventros_pipeline.crm import doctor
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.waha import health

    settings = read_settings()
    archive = open_archive(settings)
    complaints = doctor.examine_database(engine, archive)
    facts = doctor.facts_of_database(engine)
    if any(found.name == "migrations_pending" for found in complaints):
        return complaints, facts
    stalled, automation = daemons.examine(settings)
    complaints, facts = complaints + stalled, facts | automation
    if key is None:
        return complaints, facts
    channel = get_channel(engine, key)
    with Importer(engine, archive, settings, channel, run_id="").client() as client:
        found = health.examine(client)
    complaints += [*doctor.complaints_of(found), *doctor.examine(engine, channel)]
    return complaints, facts | found.facts


def _show_complaints(complaints: Sequence[Complaint], facts: dict[str, str]) -> None:
    for name, value in facts.items():
        console.say(f"[dim]{name}: {value}[/]")
    if not complaints:
        console.say("nothing to complain of")
    for complaint in complaints:
        console.say(f"[bold]{complaint.found:,} x {complaint.name}[/]: {escape(complaint.says)}")
        for step in complaint.plan:
            console.say(f"  {escape(step)}")
