"""What every command of `ventros` needs: its common arguments, the settings, the database.

What belongs here: nothing that a single group of commands could keep for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ventros_pipeline import logs
from ventros_pipeline.cli.completion import channel_keys
from ventros_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
ChannelKey = Annotated[
    str,
    typer.Argument(
        help="Key or id of a channel (`ventros channel list`).", autocompletion=channel_keys
    ),
]


def read_settings() -> Settings:
    """Return the settings of this home; `.env` is read first, and logs are written as they say."""
    from ventros_pipeline.environment import load_env_file

    load_env_file()
    settings = get_settings()
    # A person at a terminal sees progress and results, and of the log only what is wrong.
    usual = "INFO" if settings.log_format == "json" else "WARNING"
    logs.configure(settings.log_format, settings.log_level or usual)
    return settings


@contextmanager
def open_database(*, migrated: bool = False) -> Iterator[Engine]:
    """Give the CRM's database for the length of a command, brought up to date if asked for."""
    from ventros_pipeline.crm import migrate
    from ventros_pipeline.environment import open_engine

    engine = open_engine(read_settings())
    try:
        if migrated:
            migrate.migrate(engine)
        yield engine
    finally:
        engine.dispose()
