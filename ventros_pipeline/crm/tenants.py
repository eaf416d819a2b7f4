"""Whose rows of `history_sync` a transaction sees and may write. A project is a tenant.

What belongs here: the three answers that a transaction can give, and the setting that tells them to
the database. What does not: the policies that read it (`sql/0023_tenants.sql`), and who may ask for
which channel (`access.py`).

A transaction on an engine that gives no answer finds `history_sync` empty and cannot write to it,
for any role but a superuser: what is forgotten fails closed. The setting is the transaction's own
and ends with it, so a pool, ours or one between us and the server, hands nothing on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from ventros_pipeline.crm.channels import Channel

SETTING = "history_sync.project"
EVERYBODY = "*"
_OPTION = "ventros_project"
_SET = "SELECT set_config(%s, %s, true)"


def of_channel(engine: Engine, channel: Channel) -> Engine:
    """Return an engine whose transactions are those of a channel's project."""
    return of_project(engine, channel.project_id)


def of_project(engine: Engine, project_id: UUID) -> Engine:
    """Return an engine whose transactions are those of one project."""
    return _for(engine, str(project_id))


def of_all_projects(engine: Engine) -> Engine:
    """Return an engine for the operator's work on all projects at once.

    Each caller has a reason: it looks over a fleet, or serves a run, which may have channels
    of several.
    """
    return _for(engine, EVERYBODY)


@contextmanager
def seeing_all_projects(cursor: Cursor[Any]) -> Iterator[None]:
    """Let some statements of a project's transaction see all projects, for the length of the block.

    For what is asked of something that tenants share. An error ends the transaction anyway.
    """
    cursor.execute("SELECT current_setting(%s)", (SETTING,))
    [(served,)] = cursor.fetchall()
    cursor.execute(_SET, (SETTING, EVERYBODY))
    yield
    cursor.execute(_SET, (SETTING, served))


def listen(engine: Engine) -> None:
    """Let the transactions of an engine, and of those made from it here, say whose they are."""
    event.listen(engine, "begin", _tell)


def _for(engine: Engine, whose: str) -> Engine:
    return engine.execution_options(**{_OPTION: whose})


def _tell(connection: Connection) -> None:
    whose = connection.get_execution_options().get(_OPTION)
    if whose is not None:
        connection.exec_driver_sql(_SET, (SETTING, whose))
