"""`ventros report`: whether everything of a channel is in the CRM, for a person, a page, a program.

What belongs here: arguments, and what a person is told. What does not: the figures and their words
(`report/`), and how far a running import is (`ventros status`).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from ventros_pipeline.report import Report
    from ventros_pipeline.report.words import Words

# What stands in a terminal; months and shares are in the page.
TABLES = ("balance", "reasons", "states", "kind", "direction", "status", "people")


class Language(StrEnum):
    """What a report can be written in."""

    EN = "en"
    PT_BR = "pt-BR"


def report(
    channel: ChannelKey,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write one page that holds everything it needs into this file.", dir_okay=False
        ),
    ] = None,
    lang: Annotated[
        Language, typer.Option(help="Language of the page and the sentences.")
    ] = Language.EN,
    as_json: Json = False,
) -> None:
    """Say whether everything of a channel is in the CRM, why not, and what to do next."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.report import report_of
    from ventros_pipeline.report.verdict import verdict_of
    from ventros_pipeline.report.words import Words

    words = Words(lang.value)
    with open_database(migrated=True) as engine:
        found = report_of(engine, get_channel(engine, channel), start=read_settings().history_start)
    value = {**found.as_json(), "verdict": verdict_of(found).as_json(words)}
    if html is not None:
        from ventros_pipeline.report.page import write_page

        value["html"] = str(write_page(html, found, words))
    console.result(value, as_json=as_json, show=lambda: show_report(found, words))
    if html is not None and not as_json:
        console.say(f"written: {html}")


def show_report(found: Report, words: Words | None = None) -> None:
    """Print the verdict on a channel, why, and its figures."""
    from ventros_pipeline.report.tables import tables_of
    from ventros_pipeline.report.verdict import verdict_of
    from ventros_pipeline.report.words import Words

    words = words or Words()
    verdict = verdict_of(found)
    console.line(verdict.sentence(words), style="bold")
    for reason, says in zip(verdict.reasons, verdict.why(words), strict=True):
        console.line(f"- {says}")
        if reason.detail:
            console.line(f"  {reason.detail}", style="dim")
        console.line(f"  {reason.command}", style="cyan")
    for says in verdict.left_out(words):
        console.line(f"- {says}")
    for table in tables_of(found, words):
        if table.name in TABLES:
            console.line("")
            console.table(table.caption, table.head, table.rows, right=table.numeric)


def show_status(found: Report) -> None:
    """Print how far the import is, that runs or ran last, and what is in the CRM by now."""
    from ventros_pipeline.report.tables import tables_of
    from ventros_pipeline.report.verdict import verdict_of
    from ventros_pipeline.report.words import Words

    words = Words()
    progress = [
        row for table in tables_of(found, words) if table.name == "import" for row in table.rows
    ]
    here = [
        (words.say(f"figure.{name}"), words.show(found.overview[name]))
        for name in ("messages", "people", "sessions")
    ]
    closes = "the balance closes" if found.closes else "THE BALANCE DOES NOT CLOSE"
    head = (words.say("figure"), words.say("value"))
    console.table(f"{found.channel}: {closes}", head, [*progress, *here], right={1})
    console.line("")
    console.line(verdict_of(found).sentence(words))
    console.line(f"ventros report {found.channel}", style="cyan")
