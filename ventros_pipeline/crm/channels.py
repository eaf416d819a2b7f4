"""The CRM's channels as this pipeline needs them: owner, WAHA server, rules.

What belongs here: reading and adding channels. What does not: their import lifecycle.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.row import RowMapping

from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.settings import get_settings
from ventros_pipeline.variables import secret_of

CHANNEL_TYPES = ("waha", "whatsapp_business")
WAHA_CHANNEL_TYPE_ID = 1
# The CRM's reserved agent for rows whose source is history_import.
HISTORY_AGENT = UUID("00000000-0000-0000-0000-000000000099")
SYSTEM_TENANT = "system"
DEFAULT_TIMEOUT_MINUTES = 30
# An error names so many channels, and how to see the others.
MOST_NAMED = 10


class ChannelError(Exception):
    """A channel cannot be found, added or used; the message says what to do."""


@dataclass(frozen=True)
class Channel:
    """One CRM channel.

    Attributes:
        key: partition key, `<waha session>-<first 8 of the channel's uuid>`.
        user_id: the project's owner, who stands in `messages.user_id`.
        agent_id: who gets every imported message.
        session_timeout: gap above which a message opens a new session.
        max_days: how many days back an import may reach, today included; None is no limit.
        max_per_chat: how many messages of each chat it may take; None is no limit.
        is_shared: whether channels of several projects name variables for their keys.
        contact_names: when an import changes a contact's name (`load/rename_contacts.sql`); not
            the CRM's, but set by who imports.
    """

    id: UUID
    key: str
    name: str
    project_id: UUID
    tenant_id: str
    user_id: UUID
    agent_id: UUID
    pipeline_id: UUID | None
    session_timeout: timedelta
    allow_groups: bool
    base_url: str
    session: str
    auth: Mapping[str, Any] = field(repr=False)
    max_days: int | None = None
    max_per_chat: int | None = None
    is_shared: bool = False
    contact_names: Literal["never", "if-raw", "always"] = "if-raw"

    @property
    def waha_server(self) -> str:
        """The server's address without scheme or credentials, for tags and messages."""
        return re.sub(r"^[a-z]+://([^@/]*@)?", "", self.base_url).rstrip("/")

    def api_key(self) -> str | None:
        """Return WAHA's key: from the named variable, else as the CRM stores it.

        Raises:
            ChannelError: the variable that is named is not set, or not this channel's to name.
            SecretFileError: the file that holds it cannot be used.
        """
        variable = self.auth.get("api_key_env")
        if not variable:
            return self.auth.get("token") or self.auth.get("api_key")
        return self._from_environment(variable, "WAHA key")

    def webhook_key(self) -> str | None:
        """Return the key that signs WAHA's webhooks of this channel; None if it has no own.

        Raises:
            ChannelError: the variable that is named is not set, or not this channel's to name.
            SecretFileError: the file that holds it cannot be used.
        """
        variable = self.auth.get("hmac_key_env")
        return self._from_environment(variable, "webhook key") if variable else None

    def _from_environment(self, variable: str, what: str) -> str:
        refuse_other_variables(variable)
        refuse_variables_of_others(variable, self.tenant_id, is_shared=self.is_shared)
        found = secret_of(variable)
        if found is None:
            raise ChannelError(
                f"channel {self.key}: its {what} is in the variable {variable}, which is not "
                f"set; set it, or {variable}_FILE to a file that holds it (in the environment or "
                ".env), and run the command again"
            )
        return found


def refuse_other_variables(variable: str) -> None:
    """Refuse a variable whose name does not say that it is WAHA's: `ChannelError`.

    Whoever may edit a channel in the CRM names the variable and the address that its value is sent
    to: any other secret of this process could be sent to a server of theirs.
    """
    if "WAHA" not in variable.upper():
        raise ChannelError(
            f"a channel's key may only be in a variable whose name holds WAHA, such as WAHA_KEY; "
            f"{variable} does not"
        )


def refuse_variables_of_others(variable: str, tenant_id: str, *, is_shared: bool) -> None:
    """Refuse a variable that may hold the key of another tenant: `ChannelError`.

    Args:
        is_shared: whether other projects name variables, too; then somebody has to say whose each
            one is.
    """
    allowed = get_settings().key_variables
    if allowed is None and is_shared:
        raise ChannelError(
            "channels of several projects name variables for their keys, and nothing says whose "
            f"{variable} is: set VENTROS_KEY_VARIABLES, such as "
            f"{json.dumps({tenant_id: [variable]})}, with every tenant in it"
        )
    if allowed is not None and not any(
        fnmatchcase(variable, pattern) for pattern in allowed.get(tenant_id, ())
    ):
        raise ChannelError(
            f"VENTROS_KEY_VARIABLES does not let channels of the tenant {tenant_id} name the "
            f"variable {variable}; name one that it does, or add it there"
        )


def channel_key(session: str, channel_id: UUID) -> str:
    """Return a channel's partition key, without `|` and `...`, which mean something to Dagster.

    A key with `|` is accepted by Dagster and then silently missing from the partitions.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", session).strip("-") or "session"
    return f"{slug}-{str(channel_id)[:8]}"


def list_channels(engine: Engine) -> list[Channel]:
    """Return all WhatsApp channels of the CRM that are not deleted, by key."""
    return sorted(_select(engine, None), key=lambda channel: channel.key)


def find_channel(engine: Engine, channel_id: UUID) -> Channel | None:
    """Return the WhatsApp channel with an id; None if there is none or it is deleted."""
    return next(iter(_select(engine, channel_id)), None)


def get_channel(engine: Engine, key: str) -> Channel:
    """Return the channel with a partition key, or with an id, or the only one of a session name.

    Raises:
        ChannelError: there is none, or more than one.
    """
    channels = list_channels(engine)
    matches = [c for c in channels if key in (c.key, str(c.id))] or [
        c for c in channels if c.session == key
    ]
    if len(matches) == 1:
        return matches[0]
    problem = f"{len(matches)} channels have" if matches else "no channel has"
    raise ChannelError(f"{problem} the key {key}; {_named(channels, key)}")


def _named(channels: Sequence[Channel], wrong: str) -> str:
    """Say which channels there are, and first the one that was perhaps meant."""
    if not channels:
        return "channels are: none yet: add one with `ventros channel add`"
    by_name = {name: c.key for c in channels for name in (c.session, c.name, c.key)}
    meant = difflib.get_close_matches(wrong, by_name, n=1)
    guess = f"did you mean {by_name[meant[0]]}? " if meant else ""
    keys = ", ".join(channel.key for channel in channels[:MOST_NAMED])
    more = len(channels) - MOST_NAMED
    rest = f" and {more} more (`ventros channel list`)" if more > 0 else ""
    return f"{guess}channels are: {keys}{rest}"


def add_channel(
    engine: Engine,
    *,
    session: str,
    base_url: str,
    api_key_env: str | None,
    agent: str | None = None,
    allow_groups: bool = False,
    project: str | None = None,
) -> Channel:
    """Add a WAHA channel to the CRM, or return the one that is there, its settings renewed.

    Args:
        session: WAHA session name.
        base_url: WAHA's address.
        api_key_env: name of the variable that holds the key; the key itself is not stored.
        agent: name of the agent who gets the imported messages; made where there is none.
        allow_groups: whether group messages are imported.
        project: name or id of the project; needed only where there are several.

    Raises:
        ChannelError: no project fits, the address is not one, or the variable is not this
            project's to name.
    """
    if not re.match(r"^https?://[^\s/]+", base_url):
        # It may hold a password, and is not repeated.
        raise ChannelError("the address of WAHA is not one like https://waha.example.com")
    if api_key_env:
        refuse_other_variables(api_key_env)
    with engine.begin() as connection:
        owner = _project(connection, project)
        if api_key_env:
            refuse_variables_of_others(
                api_key_env,
                owner["tenant_id"],
                is_shared=connection.exec_driver_sql(
                    read_sql("crm/others_name_variables.sql"), {"project_id": owner["id"]}
                ).scalar_one(),
            )
        agent_id = agent_named(connection, owner, agent) if agent else HISTORY_AGENT
        channel_id = _save(
            connection,
            {
                "id": uuid4(),
                "user_id": owner["user_id"],
                "project_id": owner["id"],
                "tenant_id": owner["tenant_id"],
                "session": session,
                "base_url": base_url.rstrip("/"),
                "api_key_env": api_key_env,
                "agent_id": agent_id,
                "allow_groups": allow_groups,
            },
        )
    return get_channel(engine, str(channel_id))


def move_channel(engine: Engine, channel: Channel, base_url: str) -> None:
    """Point a channel at another address of its WAHA server."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            read_sql("crm/move_channel.sql"), {"id": channel.id, "base_url": base_url}
        )


def _select(engine: Engine, channel_id: UUID | None) -> list[Channel]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            read_sql("crm/list_channels.sql"), {"channel_id": channel_id}
        )
        return [_channel(row) for row in rows.mappings()]


def _project(connection: Connection, wanted: str | None) -> RowMapping:
    rows = (
        connection.execute(
            sa.text(
                "SELECT id, user_id, tenant_id, name FROM projects WHERE deleted_at IS NULL "
                "AND active AND tenant_id <> :system ORDER BY created_at, id"
            ),
            {"system": SYSTEM_TENANT},
        )
        .mappings()
        .all()
    )
    if wanted:
        rows = [row for row in rows if wanted in (row["name"], str(row["id"]))]
    elif not rows:
        connection.exec_driver_sql(read_sql("crm/insert_project.sql"))
        return _project(connection, None)
    if len(rows) != 1:
        raise ChannelError(
            f"{len(rows)} projects fit; name one with --project (its name or id)"
            if rows
            else f"no project is called {wanted}"
        )
    return rows[0]


def agent_named(connection: Connection, owner: Mapping[Any, Any], name: str) -> UUID:
    """Return the agent of a project (`id`, `tenant_id`) by name; it is made where there is none."""
    found = connection.execute(
        sa.text(
            "SELECT id FROM agents WHERE project_id = :project AND name = :name "
            "AND deleted_at IS NULL ORDER BY created_at, id LIMIT 1"
        ),
        {"project": owner["id"], "name": name},
    ).scalar()
    if found is None:
        found = connection.execute(
            sa.text(
                "INSERT INTO agents (project_id, tenant_id, name, created_at, updated_at) "
                "VALUES (:project, :tenant, :name, now(), now()) RETURNING id"
            ),
            {"project": owner["id"], "tenant": owner["tenant_id"], "name": name},
        ).scalar_one()
    return UUID(str(found))


def _save(connection: Connection, values: Mapping[str, Any]) -> UUID:
    """Update the project's channel of this server and session, or insert it."""
    for statement in ("crm/update_channel.sql", "crm/insert_channel.sql"):
        found = connection.exec_driver_sql(read_sql(statement), dict(values)).scalar()
        if found is not None:
            return UUID(str(found))
    raise ChannelError("the channel was not stored")


def _channel(row: RowMapping) -> Channel:
    config = row["config"] or {}
    session = config.get("session_id") or row["external_id"] or ""
    return Channel(
        id=row["id"],
        key=channel_key(session, row["id"]),
        name=row["name"],
        project_id=row["project_id"],
        tenant_id=row["tenant_id"],
        user_id=row["owner_id"],
        agent_id=row["default_agent_id"] or HISTORY_AGENT,
        pipeline_id=row["pipeline_id"],
        session_timeout=timedelta(minutes=row["timeout_minutes"] or DEFAULT_TIMEOUT_MINUTES),
        allow_groups=bool(row["allow_groups"]),
        base_url=(config.get("base_url") or "").rstrip("/"),
        session=session,
        auth=config.get("auth") or {},
        max_days=row["max_days"],
        max_per_chat=row["max_per_chat"],
        is_shared=row["is_shared"],
    )
