"""`ventros import`: a channel's history through Dagster runs.

What belongs here: arguments, and what a person is told. What does not: which days a run takes
(`planning.py`) and running them (`runs.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.limits import Wish
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
        list[str] | None, typer.Option(help="Only this chat; may be given several times.")
    ] = None,
    max_per_chat: Annotated[
        int | None, typer.Option(min=1, help="Only the newest so many messages of each chat.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which runs there would be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import a channel's history through Dagster runs, newest days first."""
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        wish, plan = plan_import(engine, found, since, until)
        if dry_run:
            _show_plan(found, plan, as_json=as_json)
            return
        done = run_import(engine, found, wish, plan, chats=chat or [], max_per_chat=max_per_chat)
    console.result(done.as_json(), as_json=as_json, show=lambda: _show_import(done))


def plan_import(
    engine: Engine, channel: Channel, since: str | None, until: str | None
) -> tuple[Wish, list[DayRange]]:
    """Return what is wished for, and the days of each run, newest first."""
    from ventros_pipeline.crm.lifecycle import first_day
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.planning import (
        PlanError,
        parse_day,
        parse_wish,
        plan_runs,
        refuse_beyond_limit,
    )
    from ventros_pipeline.runs import today

    settings = read_settings()
    try:
        wish = parse_wish(since, today())
        first = first_day(engine, channel, wish, today())
        last = parse_day(until) if until else None
        refuse_beyond_limit(last, channel.max_days, today())
        importer = Importer(engine, open_archive(settings), settings, channel, run_id="")
        survey = importer.survey(oldest=first is None)
        return wish, plan_runs(
            settings.history_start,
            today(),
            since=first,
            until=last,
            oldest=survey.oldest,
            run_days=settings.run_days if survey.ranges_are_cheap else None,
        )
    except PlanError as error:
        raise console.fail(str(error), code=2) from error


def run_import(
    engine: Engine,
    channel: Channel,
    wish: Wish,
    plan: list[DayRange],
    *,
    chats: Sequence[str] = (),
    max_per_chat: int | None = None,
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
            wish=wish,
            watch=lambda run_id, _days: started.append(run_id),
        )


def _show_plan(channel: Channel, plan: list[DayRange], *, as_json: bool) -> None:
    runs = [{"from": str(d.first), "to": str(d.last), "days": d.days} for d in plan]
    console.result(
        {"channel": channel.key, "dry_run": True, "runs": runs},
        as_json=as_json,
        show=lambda: console.table(
            f"{channel.key}: {len(plan)} runs, newest first; nothing was read",
            ("from", "to", "days"),
            [(d.first, d.last, d.days) for d in plan],
        ),
    )


def _show_import(done: Import) -> None:
    console.table(
        f"{done.channel}, {done.first} to {done.last}, in {done.seconds:.1f} s",
        ("figure", "number"),
        list(done.totals.items()),
    )
