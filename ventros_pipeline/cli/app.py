"""`ventros`: the pipeline from a terminal.

What belongs here: arguments, and which function each command calls. What does not: rules, figures,
or how things are printed (`console.py`). Heavy modules are imported by the commands that need them,
so that `ventros --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ventros_pipeline import console
from ventros_pipeline.cli.enrich import enrich
from ventros_pipeline.cli.forget import forget
from ventros_pipeline.cli.people import people_app
from ventros_pipeline.cli.plans import cancel, follow
from ventros_pipeline.cli.shared import ChannelKey, Json, open_database, read_settings
from ventros_pipeline.cli.sync import coverage, sync
from ventros_pipeline.cli.undo import undo

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.doctor import Complaint
    from ventros_pipeline.crm.limits import Wish
    from ventros_pipeline.planning import DayRange
    from ventros_pipeline.report import Report
    from ventros_pipeline.runs import Import

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the whole WhatsApp history of a WAHA channel into Ventros CRM, once and silently.",
    pretty_exceptions_enable=False,
)
db = typer.Typer(no_args_is_help=True, help="The CRM's database.")
channel_app = typer.Typer(no_args_is_help=True, help="The CRM's WhatsApp channels.")
app.add_typer(db, name="db")
app.add_typer(channel_app, name="channel")
app.add_typer(people_app, name="people")
app.command()(enrich)
app.command()(cancel)
app.command()(sync)
app.command()(coverage)
app.command()(undo)
app.command()(forget)


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 misused."""
    with _errors_in_words():
        app()


@db.command("migrate")
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


@db.command("status")
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


@db.command("url")
def db_url(as_json: Json = False) -> None:
    """Print an address that psql takes; the embedded server is started if need be."""
    from ventros_pipeline.crm.database import libpq_url
    from ventros_pipeline.environment import database_url

    url = libpq_url(database_url(read_settings()))
    console.result({"url": url}, as_json=as_json, show=lambda: print(url))


@channel_app.command("add")
def channel_add(
    session: Annotated[str, typer.Option(help="WAHA session name.")],
    url: Annotated[str, typer.Option(help="WAHA's address, like https://waha.example.com.")],
    api_key_env: Annotated[
        str | None, typer.Option(help="Variable that holds WAHA's key; the key is not stored.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Agent who gets the messages; made if there is none.")
    ] = None,
    allow_groups: Annotated[bool, typer.Option("--allow-groups", help="Import groups.")] = False,
    project: Annotated[
        str | None, typer.Option(help="Project by name or id, where there are several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a WAHA session as a channel of the CRM, or renew the one that is there."""
    from ventros_pipeline.crm.channels import add_channel
    from ventros_pipeline.instance import open_instance, register_channels

    with open_database(migrated=True) as engine:
        added = add_channel(
            engine,
            session=session,
            base_url=url,
            api_key_env=api_key_env,
            agent=agent,
            allow_groups=allow_groups,
            project=project,
        )
        register_channels(open_instance(read_settings()), [added])
    console.result(
        {"channel": added.key, "id": str(added.id)},
        as_json=as_json,
        show=lambda: console.say(f"channel {added.key}; next: ventros import {added.key}"),
    )


@channel_app.command("list")
def channel_list(as_json: Json = False) -> None:
    """List the WhatsApp channels of the CRM."""
    from ventros_pipeline.crm.channels import list_channels
    from ventros_pipeline.crm.lifecycle import state_of
    from ventros_pipeline.crm.plans import plan_of

    with open_database(migrated=True) as engine:
        found = [(c, state_of(engine, c), plan_of(engine, c)) for c in list_channels(engine)]
    console.result(
        {
            "channels": [
                {"channel": c.key, "id": str(c.id), "name": c.name}
                | {"import": {**state.as_json(), "progress": newest and newest.as_json()}}
                for c, state, newest in found
            ]
        },
        as_json=as_json,
        show=lambda: console.table(
            "Channels",
            ("key", "name", "WAHA", "groups", "import", "last import"),
            [
                (
                    c.key,
                    c.name,
                    c.waha_server,
                    "yes" if c.allow_groups else "no",
                    state.status if state.enabled or not state.decided else "off",
                    f"{state.last_import_at:%Y-%m-%d %H:%M} UTC" if state.last_import_at else "-",
                )
                for c, state, _ in found
            ],
        ),
    )


@channel_app.command("enable")
def channel_enable(
    channel: ChannelKey,
    agent: Annotated[
        str | None, typer.Option(help="Agent who gets the messages; the present one if omitted.")
    ] = None,
    max_days: Annotated[
        int | None, typer.Option(min=1, help="Only the last so many days; no limit if omitted.")
    ] = None,
    max_per_chat: Annotated[
        int | None,
        typer.Option(min=1, help="Only the newest messages of each chat; no limit if omitted."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn the import of a channel on, with these limits; `ventros import` may only narrow them."""
    from ventros_pipeline.crm import lifecycle
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        lifecycle.enable(engine, found, agent=agent, max_days=max_days, max_per_chat=max_per_chat)
        state = lifecycle.state_of(engine, found)
    console.result(
        {"channel": found.key, "import": state.as_json()},
        as_json=as_json,
        show=lambda: console.say(f"channel {found.key} may be imported"),
    )


@channel_app.command("disable")
def channel_disable(channel: ChannelKey, as_json: Json = False) -> None:
    """Turn the import of a channel off; a run in flight goes on to its end."""
    from ventros_pipeline.crm import lifecycle
    from ventros_pipeline.crm.channels import get_channel

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        lifecycle.disable(engine, found)
        state = lifecycle.state_of(engine, found)
    console.result(
        {"channel": found.key, "import": state.as_json()},
        as_json=as_json,
        show=lambda: console.say(f"channel {found.key} is not imported any more"),
    )


@app.command("doctor")
def doctor(
    channel: Annotated[
        str | None,
        typer.Argument(help="Channel: key, id or session name. Only the database if omitted."),
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


@app.command("import")
def import_command(
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
        wish, plan = _plan(engine, found, since, until)
        if dry_run:
            _show_plan(found, plan, as_json=as_json)
            return
        done = _import(engine, found, wish, plan, chats=chat or [], max_per_chat=max_per_chat)
    console.result(done.as_json(), as_json=as_json, show=lambda: _show_import(done))


@app.command()
def status(
    channel: ChannelKey,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the import that runs, until it ends, first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what of a channel is in the CRM, and whether the balance closes.

    With --watch, exit 1 when the import that was watched has failed.
    """
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.plans import plan_of
    from ventros_pipeline.report import report_of

    with open_database(migrated=True) as engine:
        found = get_channel(engine, channel)
        failed = watch and follow(engine, found)
        report, plan = report_of(engine, found), plan_of(engine, found)
    value = {**report.as_json(), "import": plan and plan.as_json()}
    console.result(value, as_json=as_json, show=lambda: _show_report(report))
    if failed and plan is not None:
        raise console.fail(f"the import failed: {plan.error}")


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(help="Folder of an account.", exists=True)],
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 3001,
    engine: Annotated[str, typer.Option(help="WAHA engine to imitate.")] = "noweb",
    latency_ms: Annotated[int, typer.Option(help="Milliseconds added to every answer.")] = 0,
    faults: Annotated[
        str, typer.Option(help="How badly it behaves: none, flaky or hostile.")
    ] = "none",
    seed: Annotated[int, typer.Option(help="Which faults; the same seed, the same ones.")] = 0,
    api_key: Annotated[
        str, typer.Option(help="The key that clients must send; any will do if omitted.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Serve a recorded or generated account as a WAHA server, until interrupted."""
    from ventros_pipeline.replay.server import serve

    if read_settings().env == "production":
        raise console.fail("VENTROS_ENV=production refuses the replay server")

    def ready(url: str) -> None:
        console.result(
            {"url": url},
            as_json=as_json,
            show=lambda: console.say(f"WAHA is replayed at {url} (stop with Ctrl-C)"),
        )

    try:
        serve(
            directory,
            port=port,
            engine=engine,
            latency_ms=latency_ms,
            api_key=api_key,
            faults=faults,
            seed=seed,
            ready=ready,
        )
    except ValueError as error:
        raise console.fail(str(error), code=2) from error
    except KeyboardInterrupt:
        console.say("stopped")


@app.command()
def up(as_json: Json = False) -> None:
    """Migrate the database and serve the Dagster UI until interrupted."""
    from ventros_pipeline.crm.channels import list_channels
    from ventros_pipeline.instance import open_instance, register_channels
    from ventros_pipeline.serving import serve_ui

    settings = read_settings()
    with open_database(migrated=True) as engine, open_instance(settings) as instance:
        register_channels(instance, list_channels(engine))
    url = f"http://127.0.0.1:{settings.ui_port}"
    console.result(
        {"url": url},
        as_json=as_json,
        show=lambda: console.say(f"Dagster UI: {url} (stop with Ctrl-C)"),
    )
    raise typer.Exit(serve_ui(settings))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8090,
    as_json: Json = False,
) -> None:
    """Migrate the database and serve the HTTP API until interrupted."""
    from ventros_pipeline.api import server

    with open_database(migrated=True):
        pass

    def ready(url: str) -> None:
        console.result(
            {"url": url},
            as_json=as_json,
            show=lambda: console.say(f"HTTP API: {url}/openapi.json (stop with Ctrl-C)"),
        )

    server.serve(read_settings(), host, port, ready)


@app.command()
def demo(
    account: Annotated[
        Path | None, typer.Option(help="Folder of an account; the bundled one if omitted.")
    ] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Exit when the import is done.")] = False,
    as_json: Json = False,
) -> None:
    """Import a replayed WhatsApp account end to end: WAHA, archive, CRM, checks, report."""
    from ventros_pipeline.demo import demo_channel
    from ventros_pipeline.report import report_of

    # The replayed server needs no courtesy; the processes of the UI inherit this.
    os.environ.setdefault("VENTROS_WAHA_RATE", "1000")
    settings = read_settings()
    if settings.env == "production":
        raise console.fail("VENTROS_ENV=production refuses the demo")
    with open_database(migrated=True) as engine, demo_channel(engine, account) as channel:
        console.say(f"WAHA is replayed at {channel.base_url}, as channel {channel.key}")
        done = _import(engine, channel, *_plan(engine, channel, None, None))
        report = report_of(engine, channel)
        console.result(
            {"import": done.as_json(), "report": report.as_json()},
            as_json=as_json,
            show=lambda: _show_report(report),
        )
        if sys.stdout.isatty() and not no_ui and not as_json:
            from ventros_pipeline.serving import serve_ui

            console.say(f"Dagster UI: http://127.0.0.1:{settings.ui_port} (stop with Ctrl-C)")
            raise typer.Exit(serve_ui(settings))


def _plan(
    engine: Engine, channel: Channel, since: str | None, until: str | None
) -> tuple[Wish, list[DayRange]]:
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


def _import(
    engine: Engine,
    channel: Channel,
    wish: Wish,
    plan: list[DayRange],
    *,
    chats: Sequence[str] = (),
    max_per_chat: int | None = None,
) -> Import:
    from ventros_pipeline.build import build_defs
    from ventros_pipeline.crm import ledger
    from ventros_pipeline.instance import open_instance
    from ventros_pipeline.runs import import_history

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
        return import_history(
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


def _show_report(report: Report) -> None:
    figures = report.overview
    verdict = "the balance closes" if report.closes else "THE BALANCE DOES NOT CLOSE"
    lines: list[tuple[str, Any]] = [
        *report.balance.items(),
        *((f"  left out: {reason}", rows) for reason, rows in report.reasons.items()),
        ("messages in the CRM", figures["messages"]),
        ("people", figures["people"]),
        ("one-to-one chats", figures["one_to_one_chats"]),
        ("contacts who wrote or were written to", figures["contacts"]),
        ("sessions", figures["sessions"]),
        *((f"  {state['state']} days", state["days"]) for state in report.coverage),
    ]
    console.table(f"{report.channel}: {verdict}", ("figure", "number"), lines)
    for name, values in report.breakdown.items():
        console.table(f"\nmessages by {name}", (name, "messages"), list(values.items()))


def _examined(engine: Engine, key: str | None) -> tuple[list[Complaint], dict[str, str]]:
    """Examine the database and, once it is migrated, a channel: its WAHA session, then its data."""
    from ventros_pipeline.crm import doctor
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.waha import health

    settings = read_settings()
    complaints = doctor.examine_database(engine, settings.archive_dir)
    facts = doctor.facts_of_database(engine)
    if key is None or any(found.name == "migrations_pending" for found in complaints):
        return complaints, facts
    channel = get_channel(engine, key)
    with Importer(engine, open_archive(settings), settings, channel, run_id="").client() as client:
        found = health.examine(client)
    complaints += [*doctor.complaints_of(found), *doctor.examine(engine, channel)]
    return complaints, facts | found.facts


def _show_complaints(complaints: Sequence[Complaint], facts: dict[str, str]) -> None:
    for name, value in facts.items():
        console.say(f"[dim]{name}: {value}[/]")
    if not complaints:
        console.say("nothing to complain of")
    for complaint in complaints:
        console.say(f"[bold]{complaint.found:,} x {complaint.name}[/]: {complaint.says}")
        for step in complaint.plan:
            console.say(f"  {step}")


def _tell_retries() -> None:
    """Say each retry in a sentence; stamina itself writes to standard output."""
    from stamina.instrumentation import RetryDetails, set_on_retry_hooks

    def say(details: RetryDetails) -> None:
        console.say(f"[dim]WAHA did not answer; trying again in {details.wait_for:.0f} s[/]")

    set_on_retry_hooks([say])


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Turn the project's own errors into a sentence and exit code 1; a bug keeps its traceback."""
    _tell_retries()
    try:
        yield
    except ValidationError as error:
        # Only the settings are validated so, and the value that is wrong may be a password.
        for problem in error.errors(include_input=False, include_url=False):
            names = "".join(f"VENTROS_{str(name).upper()}: " for name in problem["loc"])
            console.fail(names + problem["msg"].removeprefix("Value error, "))
        sys.exit(1)
    except Exception as error:
        if not type(error).__module__.startswith("ventros_pipeline"):
            raise
        console.fail(str(error))
        sys.exit(1)
