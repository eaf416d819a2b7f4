"""`ventros quarantine`: rows of WAHA that could not be read, and another try at them.

What belongs here: arguments, and what a person is told. What does not: what waits and what became
of it (`crm/quarantine.py`), and why a row cannot be read (`waha/wire.py`).

A row is shown as its shape: names of members, kinds and lengths of values. What it says is a
customer's message, so it is printed only to whoever asks for it with `--payload`, on standard
output and nowhere else: not into a log, not into the metadata of a run.
"""

from __future__ import annotations

import warnings
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.limits import DayRange
    from ventros_pipeline.crm.quarantine import Heap, Letter

quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that could not be read.")


@quarantine_app.command("list")
def quarantine_list(
    channel: ChannelKey,
    rows: Annotated[bool, typer.Option("--rows", help="A line for each row, with its id.")] = False,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="With --rows: those that came in since, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what waits in quarantine, by reason and day; with --rows also row by row."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.quarantine import heaps, letters

    if resolved and not rows:
        raise typer.BadParameter("--resolved needs --rows")
    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        waiting = heaps(engine, found)
        single = letters(engine, found, resolved=resolved) if rows else []
    value: dict[str, Any] = {
        "channel": found.key,
        "waiting": sum(heap.rows for heap in waiting),
        "reasons": [heap.as_json() for heap in waiting],
    }
    if rows:
        value["rows"] = [letter.as_json() for letter in single]
    console.result(
        value,
        as_json=as_json,
        show=lambda: _show_letters(found, single) if rows else _show_heaps(found, waiting),
    )


@quarantine_app.command("show")
def quarantine_show(
    channel: ChannelKey,
    row: Annotated[str, typer.Argument(metavar="ID", help="Id of a row (`list --rows`).")],
    payload: Annotated[
        bool,
        typer.Option(
            "--payload", help="Print the row as WAHA gave it: text, names and numbers included."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one row: its shape, without what it says; all of it only with --payload."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.quarantine import letter, redacted

    with open_database(migrated=True) as engine:
        found = letter(engine, get_channel(engine, channel), row)
    shown = found.payload if payload else redacted(found.payload)
    console.result(
        {**found.as_json(), "redacted": not payload, "payload": shown},
        as_json=as_json,
        show=lambda: _show_letter(found, shown),
    )


@quarantine_app.command("retry")
def quarantine_retry(
    channel: ChannelKey,
    day: Annotated[
        list[str] | None,
        typer.Option(help="Only rows of this day; may be given several times."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load the days of rows in quarantine again, from the archive, and say what became of each."""
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.quarantine import letters
    from ventros_pipeline.planning import parse_day

    wanted = {parse_day(text) for text in day or []}
    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        tried = {n.id: n for n in letters(engine, found) if not wanted or n.day in wanted}
        missing = _load_again(engine, found, {letter.day for letter in tried.values()})
        after = [n for n in letters(engine, found, resolved=True) if n.id in tried]
    still = [letter for letter in after if letter.resolved_at is None]
    console.result(
        {
            "channel": found.key,
            "tried": len(tried),
            "resolved": len(after) - len(still),
            "waiting": len(still),
            "days_without_archive": [str(day) for day in missing],
            "rows": [letter.as_json() for letter in after],
        },
        as_json=as_json,
        show=lambda: _show_retry(found, after, missing),
    )


def tell_waiting(channel: str, days: Mapping[date, int]) -> None:
    """Say that days of a channel have rows in quarantine, and how to see them."""
    if days:
        console.say(
            f"{sum(days.values()):,} rows of {len(days):,} days wait in quarantine: ventros "
            f"quarantine list {channel}"
        )


def _load_again(engine: Engine, channel: Channel, days: set[date]) -> list[date]:
    """Load days again; return those that the archive does not have."""
    from ventros_pipeline.build import build_defs
    from ventros_pipeline.crm import ledger
    from ventros_pipeline.crm.quarantine import spans
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.instance import open_instance
    from ventros_pipeline.runs import load_again

    settings = read_settings()
    archived = open_archive(settings).days(channel.key)
    ranges = spans(days, archived, settings.run_days)
    if not ranges:
        return sorted(days)
    started: list[str] = []

    def poll() -> tuple[int, int]:
        runs = ledger.current_runs(engine, channel, started)
        return sum(run["days_loaded"] for run in runs), 0

    def watch(run_id: str, _days: DayRange) -> None:
        started.append(run_id)

    # Dagster repeats on every load that parts of it are in beta; the lock file pins what we use.
    warnings.simplefilter("ignore")
    with (
        open_instance(settings) as instance,
        console.progress(channel.key, sum(span.days for span in ranges), poll),
    ):
        load_again(build_defs(), instance, channel, ranges, watch=watch)
    return sorted(days.difference(archived))


def _show_heaps(channel: Channel, waiting: Sequence[Heap]) -> None:
    rows = sum(heap.rows for heap in waiting)
    console.table(
        f"{channel.key}: {rows:,} rows wait in quarantine",
        ("reason", "day", "rows", "first seen", "last seen"),
        [
            (
                heap.reason,
                heap.day,
                heap.rows,
                _minute(heap.first_seen_at),
                _minute(heap.last_seen_at),
            )
            for heap in waiting
        ],
    )
    if rows:
        console.say(
            f"next: ventros quarantine list {channel.key} --rows; after an update: ventros "
            f"quarantine retry {channel.key}"
        )


def _show_letters(channel: Channel, found: Sequence[Letter]) -> None:
    console.table(
        f"{channel.key}: {len(found):,} rows",
        ("id", "day", "reason", "seen", "first seen", "last seen", "became"),
        [
            (
                n.id,
                n.day,
                n.reason,
                n.times_seen,
                _minute(n.first_seen_at),
                _minute(n.last_seen_at),
                n.became or "-",
            )
            for n in found
        ],
    )
    if found:
        console.say(f"next: ventros quarantine show {channel.key} {found[0].id}")


def _show_letter(found: Letter, shown: str) -> None:
    became = f"became {found.became}" if found.became else "it waits"
    console.say(f"{found.reason} on {found.day}, seen {found.times_seen} times; {became}")
    print(shown)


def _show_retry(channel: Channel, rows: Sequence[Letter], missing: Sequence[date]) -> None:
    still = sum(row.resolved_at is None for row in rows)
    console.table(
        f"{channel.key}: {len(rows) - still:,} of {len(rows):,} rows came in",
        ("id", "day", "reason", "became"),
        [(n.id, n.day, n.reason, n.became or "cannot be read yet") for n in rows],
    )
    for day in missing:
        console.say(
            f"{day} is not in this archive; read it again: ventros import {channel.key} "
            f"--since {day} --until {day}"
        )
    if still:
        console.say("what still waits is kept; a later version may read it")


def _minute(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
