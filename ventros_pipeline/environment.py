"""Settings made into live things that are not Dagster's: the database and the archive."""

from __future__ import annotations

import os

from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import database, embedded
from ventros_pipeline.settings import Settings


def database_url(settings: Settings) -> str:
    """Return the CRM's address: the configured server, else the embedded one, which is started."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.postgres_dir).url


def open_engine(settings: Settings) -> Engine:
    """Connect to the CRM's database.

    Raises:
        DatabaseError: it cannot be reached; the message says what to do.
    """
    return database.connect(database_url(settings))


def open_archive(settings: Settings) -> Archive:
    """Return the raw archive under `VENTROS_HOME`."""
    return Archive(settings.archive_dir)


def load_env_file() -> None:
    """Put the variables of `.env` that are not set into the environment.

    Settings read `.env` by themselves; WAHA's keys are named by channels and read from the
    environment, here and in the processes that Dagster starts.
    """
    from dotenv import dotenv_values

    for name, value in dotenv_values(".env").items():
        if value is not None:
            os.environ.setdefault(name, value)
