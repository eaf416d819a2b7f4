"""`ventros forget`: erase a person for good, from a terminal.

What belongs here: arguments, the question before it, and what a person is told. What does not: what
is erased, and how it stays so (`crm/erasure.py`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import Json, open_database, read_settings

if TYPE_CHECKING:
    from ventros_pipeline.crm.erasure import Person


def forget(
    phone: Annotated[
        str,
        typer.Argument(
            help="Telephone number, with the country code; `-` reads it from standard input, where "
            "no other user of this machine sees it."
        ),
    ],
    project: Annotated[
        str | None, typer.Option(help="Project, by id, name or tenant, where there are several.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Erase a person (LGPD) from the CRM, the archive and the media files; nothing reads it again.

    It cannot be taken back. What others wrote stays, without the person's address.
    """
    from ventros_pipeline.crm import erasure
    from ventros_pipeline.environment import open_archive

    with open_database(migrated=True) as engine:
        archive = open_archive(read_settings())
        number = _read() if phone == "-" else phone
        person = erasure.find_person(engine, erasure.find_project(engine, project), number)
        _show(person)
        if not (yes or dry_run):
            _ask()
        counts = erasure.forget(engine, archive, person, dry_run=dry_run)
    console.result(
        {
            "project": str(person.project.id),
            "addresses": person.masked,
            "contacts": len(person.contacts),
            "erased": not dry_run,
            "dry_run": dry_run,
            "counts": counts,
        },
        as_json=as_json,
        show=lambda: console.table(
            "would be erased" if dry_run else "erased",
            ("rows of", "rows"),
            list(counts.items()),
        ),
    )


def _read() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Telephone number", err=True))
    return sys.stdin.readline().strip()


def _show(person: Person) -> None:
    console.say(
        f"project {person.project.name}: {len(person.contacts)} contacts, known by "
        + ", ".join(person.masked)
    )


def _ask() -> None:
    """Let a person confirm; where nobody can be asked, refuse."""
    from ventros_pipeline.crm.erasure import ErasureError

    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here, and nothing was erased; say --yes")
    if not typer.confirm("Erase this person for good?", default=False, err=True):
        raise ErasureError("nobody was erased, because it was not confirmed")
