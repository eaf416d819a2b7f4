"""`ventros init`: from nothing to a channel that can be imported; each answer is tested at once.

What belongs here: the questions, their order, and what is said when an answer does not work. What
does not: the tests themselves (`waha/health.py`, `crm/doctor.py`), adding a channel
(`crm/channels.py`) and the file of settings (`environment.py`).

On a terminal it asks for what no option gave, and asks again for what does not work. Without one,
or with `--yes`, it asks nothing and the first answer that does not work ends it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ventros_pipeline import console
from ventros_pipeline.cli.importing import foresee, show_forecast
from ventros_pipeline.cli.shared import Json, read_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ventros_pipeline.crm.channels import Channel
    from ventros_pipeline.crm.doctor import Complaint
    from ventros_pipeline.waha.health import Health

ENV_FILE = Path(".env")
KEY_VARIABLE = "WAHA_KEY"
DATABASE_VARIABLE = "VENTROS_DATABASE_URL"
# Longest that one test of an address takes; WAHA itself waits up to 15 s for a session.
PATIENCE = 20.0


class InitError(Exception):
    """A step of `ventros init` did not work; the message says what to do."""


@dataclass
class Setup:
    """What is known so far.

    Attributes:
        asks: whether there is a person to ask.
        yes: whether everything that is asked for is agreed to.
        key: WAHA's key; empty for a server without one.
        typed_key: whether it was given just now, so that it has to be kept somewhere.
        typed_database: likewise.
    """

    asks: bool
    yes: bool
    waha_url: str | None
    session: str | None
    key_variable: str
    key: str | None
    database_url: str | None
    typed_key: bool = False
    typed_database: bool = False
    said: list[str] = field(default_factory=list)

    def ask(self, question: str, given: str | None, default: str = "", **how: Any) -> str:
        """Return what was given, else what a person answers, else the default."""
        if given is not None or not self.asks:
            return default if given is None else given
        return str(typer.prompt(question, default=default, err=True, **how)).strip()

    def agree(self, question: str, *, default: bool = True) -> bool:
        """Return whether a person agrees; without one, whether `--yes` does."""
        if self.yes or not self.asks:
            return self.yes
        return typer.confirm(question, default=default, err=True)

    def again(self, problem: str) -> None:
        """Let the person answer once more, or end.

        Raises:
            InitError: there is no person.
        """
        if not self.asks:
            raise InitError(problem)
        console.fail(problem)

    def warn(self, sentence: str) -> None:
        """Say something that is no hindrance, and keep it for the result."""
        self.said.append(sentence)
        console.say(sentence)


def init(
    waha_url: Annotated[
        str | None, typer.Option(help="WAHA's address, like http://localhost:3000.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="WAHA session name.")] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Variable for WAHA's key; its name holds WAHA.")
    ] = KEY_VARIABLE,
    api_key_stdin: Annotated[
        bool, typer.Option("--api-key-stdin", help="Read WAHA's key from standard input.")
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="The CRM's Postgres; an empty text for the embedded one."),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Agent who gets the messages; made if there is none.")
    ] = None,
    allow_groups: Annotated[bool, typer.Option("--allow-groups", help="Import groups.")] = False,
    project: Annotated[
        str | None, typer.Option(help="Project by name or id, where there are several.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say at the end what an import would find.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: write .env and migrate the database.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set everything up: WAHA, the database, .env and a channel, each tested as it is given."""
    from ventros_pipeline.environment import load_env_file
    from ventros_pipeline.variables import secret_of

    load_env_file()
    known_url = secret_of(DATABASE_VARIABLE)
    if database_url:
        os.environ[DATABASE_VARIABLE] = database_url
    setup = Setup(
        asks=sys.stdin.isatty() and not yes and not api_key_stdin,
        yes=yes,
        waha_url=waha_url,
        session=session,
        key_variable=api_key_env,
        key=sys.stdin.readline().strip() if api_key_stdin else secret_of(api_key_env),
        database_url=database_url if database_url is not None else known_url,
        typed_key=api_key_stdin,
        typed_database=database_url is not None and database_url != (known_url or ""),
    )
    health = settle_waha(setup)
    with settle_database(setup) as engine:
        wrote = keep_answers(setup)
        applied, facts = settle_tables(setup, engine)
        added = _add(setup, engine, agent, allow_groups=allow_groups, project=project)
        foreseen = None
        if dry_run or (setup.asks and setup.agree("Shall a dry run say what there is?")):
            foreseen = foresee(engine, added, None, None)
    commands = [
        f"ventros import {added.key} --dry-run",
        f"ventros import {added.key}",
        "ventros up",
    ]
    commands = commands[1:] if foreseen else commands

    def show() -> None:
        if foreseen is not None:
            show_forecast(added.key, foreseen)
        console.say(f"channel {added.key} is ready; next:\n  " + "\n  ".join(commands))

    console.result(
        {
            "channel": added.key,
            "id": str(added.id),
            "env_file": str(ENV_FILE.resolve()),
            "wrote": wrote,
            "waha": health.facts,
            "database": facts,
            "migrated": applied,
            "warnings": setup.said,
            "forecast": foreseen and foreseen.as_json(),
            "next": commands,
        },
        as_json=as_json,
        show=show,
    )


def settle_waha(setup: Setup) -> Health:
    """Ask where WAHA is until a session of it can be read."""
    url, session = "http://localhost:3000", "default"
    while True:
        url = setup.waha_url = setup.ask("WAHA's address", setup.waha_url, url)
        session = setup.session = setup.ask("Session", setup.session, session)
        if setup.key is None and setup.asks:
            setup.key = setup.ask(
                "WAHA's API key (empty for none)", None, hide_input=True, show_default=False
            )
            setup.typed_key = bool(setup.key)
        health = _examine(setup)
        hindering = [problem for problem in health.problems if problem.hinders]
        for problem in health.problems:
            if not problem.hinders:
                setup.warn(f"{problem.says} To mend it, {problem.cure}.")
        if not hindering:
            console.say(", ".join(f"{name} {value}" for name, value in health.facts.items()))
            return health
        setup.again("; ".join(f"{found.says} To mend it, {found.cure}." for found in hindering))
        setup.waha_url = setup.session = setup.key = None


def _examine(setup: Setup) -> Health:
    from ventros_pipeline.crm.channels import refuse_other_variables
    from ventros_pipeline.waha import health
    from ventros_pipeline.waha.client import WahaClient, WahaServer
    from ventros_pipeline.waha.errors import WahaError

    refuse_other_variables(setup.key_variable)
    server = WahaServer(
        base_url=setup.waha_url or "",
        session=setup.session or "",
        api_key=setup.key or "",
        total_timeout=PATIENCE,
        attempts=1,
        hosts=read_settings().allowed_hosts,
    )
    try:
        with WahaClient(server) as client, console.busy("asking WAHA"):
            return health.examine(client)
    except WahaError as error:
        problem = health.Problem("waha_refuses", str(error), "correct the address or the session")
        return health.Health(problems=[problem])


@contextmanager
def settle_database(setup: Setup) -> Iterator[Engine]:
    """Ask for the database until it can be reached, and give it."""
    from ventros_pipeline.crm.database import DatabaseError

    while True:
        if setup.database_url is None and setup.asks:
            setup.database_url = setup.ask(
                "The CRM's Postgres (empty for an embedded one, to try things out)",
                None,
                show_default=False,
            )
            setup.typed_database = bool(setup.database_url)
        try:
            with console.busy("connecting"):
                engine = _connected(setup.database_url)
            break
        except DatabaseError as error:
            setup.again(str(error))
            setup.database_url = None
    try:
        yield engine
    finally:
        engine.dispose()


def _connected(url: str | None) -> Engine:
    from ventros_pipeline.crm import embedded
    from ventros_pipeline.crm.database import DatabaseError, connect

    settings = read_settings()
    if url:
        return connect(url)
    if settings.env == "production":
        raise DatabaseError("VENTROS_ENV=production refuses the embedded Postgres")
    return connect(embedded.start(settings.postgres_dir).url)


def keep_answers(setup: Setup) -> list[str]:
    """Write what was typed into `.env`, for its owner alone; return the variables' names.

    Raises:
        InitError: a variable has another value there, and nobody agreed to change it.
    """
    from ventros_pipeline.environment import env_values, write_env
    from ventros_pipeline.settings import get_settings

    wanted = {}
    if setup.typed_key and setup.key:
        wanted[setup.key_variable] = setup.key
    if setup.typed_database:
        wanted[DATABASE_VARIABLE] = setup.database_url or ""
    there = env_values(ENV_FILE)
    wanted = {name: value for name, value in wanted.items() if there.get(name) != value}
    changed = [name for name in wanted if name in there]
    if changed and not setup.agree(
        f"{ENV_FILE} has {', '.join(changed)} already. Overwrite?", default=False
    ):
        raise InitError(
            f"{ENV_FILE.resolve()} has {', '.join(changed)} already, and it was left as it is: "
            "change it there, or say --yes"
        )
    if wanted:
        write_env(ENV_FILE, wanted)
        os.environ.update(wanted)
        get_settings.cache_clear()
        console.say(f"wrote {', '.join(wanted)} into {ENV_FILE.resolve()}, readable by you alone")
    return list(wanted)


def settle_tables(setup: Setup, engine: Engine) -> tuple[list[str], dict[str, str]]:
    """Migrate if agreed to, and look whether an import may do what it does.

    Returns:
        The files that were applied, and what the database is.

    Raises:
        InitError: the database is not migrated, or something of it needs a person.
    """
    from ventros_pipeline.crm import doctor, migrate
    from ventros_pipeline.environment import open_archive

    state = migrate.status(engine)
    applied: list[str] = []
    if state.pending:
        whose = "has a CRM, which is left as it is" if state.crm == "existing" else "has no CRM yet"
        if not setup.agree(f"The database {whose}. Apply {len(state.pending)} migrations?"):
            raise InitError(
                "the database lacks what this version needs; as the owner of the CRM's tables run "
                "`ventros db migrate`, then `ventros init` again"
            )
        applied = [done.name for done in migrate.migrate(engine) if not done.skipped]
    complaints = doctor.examine_database(engine, open_archive(read_settings()))
    for complaint in complaints:
        if not complaint.needs_a_person:
            setup.warn(_in_words(complaint))
    if wrong := [_in_words(found) for found in complaints if found.needs_a_person]:
        raise InitError(" ".join(wrong))
    facts = doctor.facts_of_database(engine)
    console.say(", ".join(f"{name} {value}" for name, value in facts.items()))
    return applied, facts


def _in_words(complaint: Complaint) -> str:
    return f"{complaint.says} To mend it: {'; '.join(complaint.plan)}."


def _add(
    setup: Setup, engine: Engine, agent: str | None, *, allow_groups: bool, project: str | None
) -> Channel:
    from ventros_pipeline.crm.channels import add_channel
    from ventros_pipeline.instance import open_instance, register_channels

    agent = setup.ask(
        "Agent who gets the messages (empty for none of its own)", agent, show_default=False
    )
    groups = allow_groups or (setup.asks and setup.agree("Import groups, too?", default=False))
    added = add_channel(
        engine,
        session=setup.session or "",
        base_url=setup.waha_url or "",
        api_key_env=setup.key_variable if setup.key else None,
        agent=agent or None,
        allow_groups=groups,
        project=project,
    )
    register_channels(open_instance(read_settings()), [added])
    return added
