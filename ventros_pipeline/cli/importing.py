"""`ventros import`: a channel's history through Dagster runs.

What belongs here: arguments, and what a person is told. What does not: which days a run takes
(`planning.py`) and running them (`runs.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.limits import Wish
    from ventros_pipeline.foreseeing import Forecast
    from ventros_pipeline.importer import Survey
    from ventros_pipeline.planning import DayRange
    from ventros_pipeline.runs import Import


def import_history(
    channel: ChannelKey,
    since: Annotated[
        str | None,
        typer.Option(
            help="First day: `180d`, a date, or `last` for what is new since the last import. "
            "Everything if omitted."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last day, a date. Today if omitted.")] = None,
    chat: Annotated[
        list[str] | None,
        typer.Option(help="Only this chat of WAHA; may be given several times."),
    ] = None,
    max_per_chat: Annotated[
        int | None, typer.Option(min=1, help="Only the newest so many messages of each chat.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Look at every row again; mends what was changed by hand."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what it would find, cost and join; nothing is written."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a channel's history through Dagster runs, newest days first.

    With --dry-run nothing is written: it says what there is, what it costs and whom it joins, which
    figures are counted and which follow from a sample, and how many requests that took.
    """
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=not dry_run) as engine:
        found = get_channel(engine, channel)
        if dry_run:
            foreseen = foresee(engine, found, since, until)
            if chat or max_per_chat:
                foreseen.notes.append("--chat and --max-per-chat make it less; how much is open.")
            console.result(
                {"channel": found.key, "dry_run": True, **foreseen.as_json()},
                as_json=as_json,
                show=lambda: show_forecast(found.key, foreseen),
            )
            return
        wish, plan, _ = plan_import(engine, found, since, until)
        chats = _chats(engine, found, chat or [])
        done = run_import(
            engine, found, wish, plan, chats=chats, max_per_chat=max_per_chat, force=force
        )
    console.result(done.as_json(), as_json=as_json, show=lambda: _show_import(done))


def _chats(engine: Engine, channel: Channel, named: Sequence[str]) -> list[str]:
    """Return the CRM's ids of WAHA's chats; one that is not known yet is looked for in its lists.

    Raises:
        ChatError: WAHA lists no such chat.
    """
    from uuid import uuid4

    from ventros_pipeline.crm import ledger
    from ventros_pipeline.crm.chats import ChatError, chats_of
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.runs import today
    from ventros_pipeline.waha.ids import normalise

    addresses = [normalise(name) or "" for name in named]
    found = chats_of(engine, channel, addresses)
    if len(found) < len(set(addresses)):
        importer = Importer(
            engine, open_archive(read_settings()), read_settings(), channel, str(uuid4())
        )
        ledger.start_run(engine, channel, importer.run_id, today(), today())
        importer.read_directory()
        ledger.end_run(engine, channel, importer.run_id)
        found = chats_of(engine, channel, addresses)
    if unknown := [place for place, name in enumerate(addresses, 1) if name not in found]:
        raise ChatError(
            f"WAHA lists no chat for --chat number {unknown[0]} of channel {channel.key}, or the "
            "channel imports none of its kind; ids are as WAHA shows them, like `…@c.us`, "
            "`…@lid` or `…@g.us`"
        )
    return [str(found[address]) for address in addresses]


def foresee(engine: Engine, channel: Channel, since: str | None, until: str | None) -> Forecast:
    """Ask WAHA what an import would find; nothing is written, and little is asked.

    Raises:
        MigrationError: the database is not up to date, and a dry run does not change that.
    """
    from ventros_pipeline.crm import migrate
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.foreseeing import forecast
    from ventros_pipeline.importer import Importer

    migrate.refuse_pending(engine)
    settings = read_settings()
    with console.busy(f"asking WAHA about {channel.key}"):
        _, plan, survey = plan_import(engine, channel, since, until)
        return forecast(
            Importer(engine, open_archive(settings), settings, channel, run_id=""),
            plan,
            windows=survey.ranges_are_cheap,
            asked_before=survey.requests,
        )


def plan_import(
    engine: Engine, channel: Channel, since: str | None, until: str | None
) -> tuple[Wish, list[DayRange], Survey]:
    """Return what is wished for, the days of each run, newest first, and what WAHA said of them."""
    from ventros_pipeline.crm.lifecycle import first_day
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.planning import parse_day, parse_wish, plan_runs, refuse_beyond_limit
    from ventros_pipeline.runs import today

    settings = read_settings()
    wish = parse_wish(since, today())
    first = first_day(engine, channel, wish, today())
    last = parse_day(until) if until else None
    refuse_beyond_limit(last, channel.max_days, today())
    importer = Importer(engine, open_archive(settings), settings, channel, run_id="")
    survey = importer.survey(oldest=first is None)
    plan = plan_runs(
        settings.history_start,
        today(),
        since=first,
        until=last,
        oldest=survey.oldest,
        run_days=settings.run_days if survey.ranges_are_cheap else None,
    )
    return wish, plan, survey


def run_import(
    engine: Engine,
    channel: Channel,
    wish: Wish,
    plan: list[DayRange],
    *,
    chats: Sequence[str] = (),
    max_per_chat: int | None = None,
    force: bool = False,
) -> Import:
    """Run a plan and show how far it is."""
    from ventros_pipeline import runs
    from ventros_pipeline.build import build_defs
    from ventros_pipeline.crm import ledger
    from ventros_pipeline.instance import open_instance

    started: list[str] = []

    def poll() -> tuple[int, int]:
        runs = ledger.current_runs(engine, channel, started)
        return sum(r["days_loaded"] for r in runs), sum(r["messages_read"] for r in runs)

    # Dagster repeats on every load that parts of it are in beta; the lock file pins what we use.
    warnings.simplefilter("ignore")
    with (
        open_instance(read_settings()) as instance,
        console.progress(channel.key, sum(days.days for days in plan), poll),
    ):
        return runs.import_history(
            build_defs(),
            instance,
            engine,
            channel,
            plan,
            chats=chats,
            max_per_chat=max_per_chat,
            force=force,
            wish=wish,
            watch=lambda run_id, _days: started.append(run_id),
        )


def show_forecast(channel: str, found: Forecast) -> None:
    """Print what a dry run found."""
    from datetime import timedelta

    value = found.as_json()
    console.table(
        f"{channel}: {len(found.runs)} runs, newest first; nothing was written",
        ("from", "to", "days", "rows", ""),
        [
            (
                run.days.first,
                run.days.last,
                run.days.days,
                "?" if run.rows is None else run.rows,
                "" if run.exact or run.rows is None else "about",
            )
            for run in found.runs
        ],
    )
    about = "" if value["sample"]["complete"] else "about "
    if found.rows is None:
        about = "in the sample: "
    if found.chats:
        console.table(
            f"\nlargest of {found.chats_listed:,} listed chats",
            ("chat", "rows", ""),
            [
                (c.chat, c.rows, "at least" if c.at_least else "" if c.exact else "about")
                for c in found.chats
            ],
        )
    rows, people, requests = value["rows"], value["people"], value["requests"]
    lines: list[tuple[str, Any]] = [
        ("rows in WAHA's store", "?" if found.rows is None else found.rows),
        (f"{about}messages to import", "?" if rows["imported"] is None else rows["imported"]),
        *((f"  {about}left out: {reason}", n) for reason, n in found.left_out.items()),
        (f"{about}rows that cannot be read", found.unreadable),
    ]
    if found.media:
        lines += [
            (f"{about}media files", found.media.files),
            (f"{about}their MB, where they declare a size", round(found.media.bytes / 1e6)),
        ]
    lines += [
        ("addresses talked with one to one", people["addresses"]),
        ("  people that they are", people["people"]),
        ("contacts of the CRM that would be joined", people["contacts_merged"]),
        ("contacts of the CRM that would be taken apart", people["contacts_split"]),
        ("about so many requests to read", requests["reading"]),
        ("  and for the lists", requests["directory"]),
    ]
    if found.seconds is not None:
        lines.append(("time to read, at least", timedelta(seconds=round(found.seconds))))
    console.table("\nforecast", ("figure", "number"), lines)
    console.say(
        f"Based on {found.sample_rows:,} rows; this dry run made {found.requests_made} requests."
    )
    for note in found.notes:
        console.say(note)
    console.say(f"next: ventros import {channel}")


def _show_import(done: Import) -> None:
    console.table(
        f"{done.channel}, {done.first} to {done.last}, in {done.seconds:.1f} s",
        ("figure", "number"),
        list(done.totals.items()),
    )
