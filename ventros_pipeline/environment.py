"""Settings made into live things that are not Dagster's: the database and the archive."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import database, embedded
from ventros_pipeline.settings import Settings

DAGSTER_DATABASE = "dagster"
# Where containers are given secrets: a file for each, named like the variable.
SECRETS = Path("/run/secrets")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def database_url(settings: Settings) -> str:
    """Return the CRM's address: the configured server, else the embedded one, which is started."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.postgres_dir).url


def dagster_database_url(settings: Settings) -> str | None:
    """Return the address of Dagster's own database; None where it has none and uses SQLite.

    Never the CRM's own: on a server that is somebody else's, nothing is made that was not asked
    for. Beside the embedded one it gets a database of its own.
    """
    if settings.dagster_database_url is not None:
        return settings.dagster_database_url.get_secret_value()
    if settings.database_url is not None or _has_sqlite_storage(settings.dagster_home):
        return None
    return embedded.start(settings.postgres_dir).bookkeeping_url(DAGSTER_DATABASE)


def _has_sqlite_storage(home: Path) -> bool:
    """Return whether Dagster has kept its runs in SQLite here before.

    Such a home goes on with it: in a new storage every sensor and schedule would silently be off.
    """
    return (home / "history" / "runs.db").exists()


def open_engine(settings: Settings) -> Engine:
    """Connect to the CRM's database.

    Raises:
        DatabaseError: it cannot be reached; the message says what to do.
    """
    # A request in flight holds a connection; one more waits for a turn, and two do the rest.
    return database.connect(
        database_url(settings),
        max_overflow=settings.waha_concurrency + 1,
        statement_timeout=settings.statement_timeout,
        lock_timeout=settings.lock_timeout,
    )


def open_archive(settings: Settings) -> Archive:
    """Return the raw archive, at its URI or under `VENTROS_HOME`.

    Raises:
        ArchiveRefusedError: the environment has not what an object store needs.
    """
    most = settings.archive_limit_mb * 1024 * 1024
    return Archive(settings.archive_uri or settings.archive_dir, most_bytes=most)


def load_env_file() -> None:
    """Put variables that are not set into the environment: a container's secrets, then `.env`.

    Settings read `.env` by themselves; WAHA's keys are named by channels and read from the
    environment, here and in the processes that Dagster starts.
    """
    for name, value in (*secret_values(SECRETS).items(), *env_values(Path(".env")).items()):
        os.environ.setdefault(name, value)


def secret_values(folder: Path) -> dict[str, str]:
    """Return what the files of a folder hold whose names are those of variables."""
    if not folder.is_dir():
        return {}
    return {
        path.name: path.read_text(encoding="utf-8").rstrip("\r\n")
        for path in sorted(folder.iterdir())
        if _VARIABLE.fullmatch(path.name) and path.is_file()
    }


def env_values(path: Path) -> dict[str, str]:
    """Return the variables that a file of settings sets; none where there is no file."""
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Set variables in a file of settings; all else in it stays, and only its owner can read it."""
    from dotenv import set_key

    path.touch(mode=0o600)
    path.chmod(0o600)  # Before a secret is in it; every later version has the mode of the last.
    for name, value in values.items():
        set_key(path, name, value)
