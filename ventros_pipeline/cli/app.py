"""`ventros`: the commands, put together.

What belongs here: a line for each command, which lives in a file named by its noun. What does not:
anything that a command does. Heavy modules are imported by the commands that need them, so that
`ventros --help` answers at once.
"""

from __future__ import annotations

import typer

from ventros_pipeline.cli.channel import channel_app
from ventros_pipeline.cli.db import db_app
from ventros_pipeline.cli.demo import demo, replay
from ventros_pipeline.cli.doctor import doctor
from ventros_pipeline.cli.enrich import enrich
from ventros_pipeline.cli.errors import errors_in_words
from ventros_pipeline.cli.forget import forget
from ventros_pipeline.cli.healthy import healthy
from ventros_pipeline.cli.importing import import_history
from ventros_pipeline.cli.init import init
from ventros_pipeline.cli.people import people_app
from ventros_pipeline.cli.plans import cancel
from ventros_pipeline.cli.quarantine import quarantine_app
from ventros_pipeline.cli.report import report
from ventros_pipeline.cli.serving import serve, up
from ventros_pipeline.cli.status import status
from ventros_pipeline.cli.sync import coverage, sync
from ventros_pipeline.cli.undo import undo
from ventros_pipeline.cli.worker import worker

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the whole WhatsApp history of a WAHA channel into Ventros CRM, once and silently.",
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(demo)
app.command()(up)
app.add_typer(db_app, name="db")
app.add_typer(channel_app, name="channel")
app.command("import")(import_history)
app.command()(sync)
app.command()(status)
app.command()(report)
app.command()(coverage)
app.command()(cancel)
app.command()(enrich)
app.add_typer(people_app, name="people")
app.add_typer(quarantine_app, name="quarantine")
app.command()(undo)
app.command()(forget)
app.command()(doctor)
app.command()(serve)
app.command()(worker)
app.command()(healthy)
app.command()(replay)


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 misused."""
    with errors_in_words():
        app()
