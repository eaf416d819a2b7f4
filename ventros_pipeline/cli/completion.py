"""What a shell offers where a command wants a channel.

What belongs here: names for the Tab key, quickly or not at all. Whoever presses it wants no error,
so nothing is said when there is no database, none that answers, or one that is not migrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

# Longest that somebody at a prompt is kept waiting for a database that is far away.
_SECONDS = "2"


def channel_keys(incomplete: str) -> list[tuple[str, str]]:
    """Return the keys of channels that begin so, each with the channel's name."""
    try:
        with _quick_engine() as engine:
            if engine is None:
                return []
            from ventros_pipeline.crm.channels import list_channels

            return [(c.key, c.name) for c in list_channels(engine) if c.key.startswith(incomplete)]
    except Exception:  # noqa: BLE001 -- whatever it is, a prompt is no place to tell it
        return []


@contextmanager
def _quick_engine() -> Iterator[Engine | None]:
    """Give the database if it is there: the embedded server is not started for a name."""
    from ventros_pipeline.cli.shared import read_settings
    from ventros_pipeline.crm import database, embedded

    settings = read_settings()
    address = settings.database_url and settings.database_url.get_secret_value()
    address = address or embedded.find(settings.postgres_dir)
    if not address:
        yield None
        return
    url = database.normalise_url(address)
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _SECONDS})
    engine = database.connect(url, statement_timeout=float(_SECONDS))
    try:
        yield engine
    finally:
        engine.dispose()
