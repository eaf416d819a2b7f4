"""What a person should look at in the CRM, and what to do about it. Nothing here changes a row.

What belongs here: the complaints that a database, a WAHA session and a channel's data give rise to,
each with a plan. What does not: the proofs that every import must pass (`checks.py`), and asking
WAHA (`waha/health.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import checks, migrate, tables
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.merging import unsettled
from ventros_pipeline.crm.plans import CANCELLED, Plan, plan_of
from ventros_pipeline.crm.preconditions import SENSOR
from ventros_pipeline.crm.quarantine import waiting_days
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.stores import ArchiveError
from ventros_pipeline.transform import phones
from ventros_pipeline.waha.health import Health

SAMPLE = 20
# The oldest Postgres that the tests run on.
POSTGRES = 15
# A message may be a day in the future and no more; limits of requests are kept by the minute.
CLOCK_SECONDS = 30.0
# A busy pooler may give the session to a third client first.
POOL_TRIES = 2
# An archived day is written beside the old one before it takes its place.
FREE_BYTES = 2**30
# A sensor looks every half minute, and waits an hour at most for a session that is away.
STALE_HOURS = 3
# Rows of agent_sessions from which on a scan of them is felt.
MANY_SESSIONS = 100_000
_READ, _ADD, _WRITE = ("SELECT",), ("SELECT", "INSERT"), ("SELECT", "INSERT", "UPDATE")
# What an import does with the CRM's tables; sql/roles/create_importer.sql grants exactly this.
NEEDS = {
    "projects": _READ,
    "pipelines": _READ,
    "pipeline_statuses": _READ,
    "agents": _ADD,
    "outbox_events": _ADD,
    "channels": _WRITE,
    "contacts": _WRITE,
    "contact_custom_fields": _WRITE,
    "contact_pipeline_statuses": _WRITE,
    "chats": _WRITE,
    "messages": _WRITE,
    "trackings": _WRITE,
    "message_enrichments": _WRITE,
    "sessions": (*_WRITE, "DELETE"),
    "agent_sessions": (*_WRITE, "DELETE"),
    "message_groups": (*_WRITE, "DELETE"),
}
# Types that hold the same values for us.
_FAMILIES = (("character varying|varchar|text", "text"), ("bigint|integer", "integer"))


@dataclass(frozen=True)
class Complaint:
    """One thing that was found.

    Attributes:
        name: machine-readable.
        says: what is wrong, as a sentence, without text or phone number.
        found: how often.
        plan: what to do: for the first `SAMPLE` cases a line each, then how to go on.
        needs_a_person: false for what a later import or a schedule mends by itself.
    """

    name: str
    says: str
    found: int
    plan: Sequence[str]
    needs_a_person: bool = True


def examine(engine: Engine, channel: Channel) -> list[Complaint]:
    """Look for what imports leave to a person, in a channel and its project."""
    complaints = (
        _strangers(engine, channel),
        _messages_twice(engine, channel),
        _contacts_twice(engine, channel),
        _contested(engine, channel),
        _apart(engine, channel),
        _unresolved(engine, channel),
        _quarantined(engine, channel),
        _stopped(engine, channel),
        _stale(engine, channel),
    )
    return [complaint for complaint in complaints if complaint.found]


def examine_database(engine: Engine, archive: Archive) -> list[Complaint]:
    """Look for what keeps any import from going well: the database, its clock, the archive."""
    complaints = (
        _pending(engine),
        _other_columns(engine),
        _lacking(engine),
        _not_unique(engine),
        _unindexed(engine),
        _old_server(engine),
        _pooled(engine),
        _clock(engine),
        _disk(archive),
        _unreachable(archive),
    )
    return [complaint for complaint in complaints if complaint.found]


def facts_of_database(engine: Engine) -> dict[str, str]:
    """Say which server this is, and whose schema."""
    state = migrate.status(engine)
    embedded = "host" in engine.url.query and engine.url.host is None
    return {
        "postgres": f"{_server(engine)}{' (embedded or by socket)' if embedded else ''}",
        "crm": state.crm,
        "migrated": state.current or "never",
    }


def complaints_of(health: Health) -> list[Complaint]:
    """Say what is wrong with a WAHA session in the words of this room."""
    return [
        Complaint(problem.name, problem.says, 1, [problem.cure], needs_a_person=problem.hinders)
        for problem in health.problems
    ]


def _pending(engine: Engine) -> Complaint:
    pending = migrate.status(engine).pending
    return Complaint(
        "migrations_pending",
        "The database lacks what this version needs.",
        len(pending),
        ["as the owner of the CRM's tables: ventros db migrate"],
    )


def _other_columns(engine: Engine) -> Complaint:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(read_sql("doctor/list_columns.sql")).fetchall()
    there = {(table, column): _family(kind) for table, column, kind in rows}
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    wrong = []
    for table in tables.metadata.sorted_tables:
        for column in table.columns if table.name in NEEDS else ():
            wanted = _family(column.type.compile(dialect).lower())
            found = there.get((table.name, column.name), "missing")
            if there and found != wanted:
                wrong.append(f"public.{table.name}.{column.name} is {found}, expected {wanted}")
    return Complaint(
        "crm_is_other",
        "Tables of the CRM are not what this version was written for.",
        len(wrong),
        [*wrong[:SAMPLE], "use a version of ventros-pipeline that knows this CRM, or tell us"],
    )


def _family(kind: str) -> str:
    """Return the name of a type without its length, the same for types that hold the same."""
    name = re.sub(r"\(\d+(, *\d+)?\)", "", kind)
    for pattern, family in _FAMILIES:
        name = re.sub(rf"^(?:{pattern})\b", family, name)
    return name


def _lacking(engine: Engine) -> Complaint:
    wanted = [(table, privilege) for table, needs in NEEDS.items() for privilege in needs]
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            read_sql("doctor/lacking_privileges.sql"),
            {"tables": [t for t, _ in wanted], "privileges": [p for _, p in wanted]},
        ).fetchall()
    return Complaint(
        "privileges_lacking",
        "This role may not do everything that an import does.",
        len(rows),
        [
            *(f"{table}: {privilege}" for table, privilege in rows[:SAMPLE]),
            "as the owner of the CRM's tables run sql/roles/create_importer.sql, and connect as "
            "ventros_importer",
        ],
    )


def _not_unique(engine: Engine) -> Complaint:
    with engine.connect() as connection:
        found = connection.exec_driver_sql(read_sql("doctor/unique_messages.sql"))
        missing = found.first() is None
    return Complaint(
        "messages_not_unique",
        "The unique index on messages (channel_id, channel_message_id) is missing or invalid.",
        int(missing),
        ["let the CRM apply its migration 000052, which creates it"],
    )


def _server(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar())


def _unindexed(engine: Engine) -> Complaint:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            read_sql("doctor/unindexed_sessions.sql"), {"many": MANY_SESSIONS}
        ).scalar()
    return Complaint(
        "sessions_not_indexed",
        f"agent_sessions has about {rows or 0:,} rows and no index by session, so each session "
        "that older messages join to another one costs a look at all of them.",
        int(rows is not None),
        [
            "as the owner of the CRM's tables, at a quiet moment: CREATE INDEX CONCURRENTLY "
            "agent_sessions_session_id ON public.agent_sessions (session_id)"
        ],
        needs_a_person=False,
    )


def _old_server(engine: Engine) -> Complaint:
    version = _server(engine)
    return Complaint(
        "postgres_is_old",
        f"Postgres {version} is older than any that this version is tested with.",
        int(int(re.split(r"\D", version)[0]) < POSTGRES),
        [f"update it to {POSTGRES} or later"],
        needs_a_person=False,
    )


def _pooled(engine: Engine) -> Complaint:
    """Look for a pooler that gives each transaction to another session of the server.

    What one connection sets for its session, no other may see.
    """
    seen = 0
    for _ in range(POOL_TRIES):
        with engine.connect() as one, engine.connect() as other:
            mark = uuid4().hex
            one.exec_driver_sql(read_sql("doctor/mark_session.sql"), {"mark": mark})
            one.commit()
            found = other.exec_driver_sql(read_sql("doctor/read_mark.sql")).scalar()
            seen += found == mark
            for connection in (other, one):
                connection.exec_driver_sql(read_sql("doctor/mark_session.sql"), {"mark": ""})
                connection.commit()
    return Complaint(
        "pooled_by_transaction",
        "A pooler between here and the CRM's Postgres mixes the sessions of all its clients.",
        int(seen > 0),
        [
            "let VENTROS_DATABASE_URL pass the pooler by, or reach one in session mode; "
            "VENTROS_DAGSTER_DATABASE_URL may go through it"
        ],
    )


def _clock(engine: Engine) -> Complaint:
    with engine.connect() as connection:
        before = time.time()
        there = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar()
        difference = abs(float(there or 0) - (before + time.time()) / 2)
    return Complaint(
        "clocks_differ",
        f"The clocks of this machine and of the database are {difference:.0f} s apart.",
        int(difference > CLOCK_SECONDS),
        ["let both follow a time server"],
    )


def _disk(archive: Archive) -> Complaint:
    free = archive.store.free()
    return Complaint(
        "archive_disk_is_full",
        f"The disk of the archive has {(free or 0) / 2**20:,.0f} MB left.",
        int(free is not None and free < FREE_BYTES),
        ["free some space, or give VENTROS_HOME a larger disk"],
    )


def _unreachable(archive: Archive) -> Complaint:
    why = None
    try:
        archive.store.examine()
    except ArchiveError as error:
        why = str(error)
    return Complaint(
        "archive_unreachable",
        f"The archive cannot be written: {why}.",
        int(why is not None),
        ["do what the sentence says, then `ventros doctor` again"],
    )


def _strangers(engine: Engine, channel: Channel) -> Complaint:
    finding = checks.prove(engine, channel, checks.ONE_TENANT)
    return Complaint(
        "row_of_another_tenant",
        "Rows that belong to this channel are of another project or tenant.",
        finding.found,
        [
            *(
                f"public.{row['relation']} {row['row_id']} has another {row['another']}"
                for row in finding.sample
            ),
            "set right whose each row is, in the CRM; an import moves nothing between tenants",
        ],
    )


def _messages_twice(engine: Engine, channel: Channel) -> Complaint:
    found = [list(row[0]) for row in _ask(engine, channel, "repeated_messages")]
    return Complaint(
        "message_twice",
        "One message stands in several rows of the CRM.",
        len(found),
        [
            f"keep message {kept}, delete {', '.join(copies)} in the CRM"
            for kept, *copies in found[:SAMPLE]
        ],
    )


def _contacts_twice(engine: Engine, channel: Channel) -> Complaint:
    lines: dict[str, list[str]] = {}
    for contact, phone in _ask(engine, channel, "list_phones"):
        if line := phones.line_of(f"{phone.lstrip('+')}{phones.PHONE_SUFFIX}"):
            lines.setdefault(line, []).append(contact)
    found = [contacts for contacts in lines.values() if len(contacts) > 1]
    return Complaint(
        "contact_twice",
        "Several contacts carry one telephone number, perhaps in two spellings.",
        len(found),
        [line for contacts in found[:SAMPLE] for line in _joins(channel, contacts)],
    )


def _joins(channel: Channel, contacts: Sequence[str]) -> Iterator[str]:
    first, *others = contacts
    return (f"ventros people merge {channel.key} {first} {other}" for other in others)


def _contested(engine: Engine, channel: Channel) -> Complaint:
    found = [str(contact) for (contact,) in _ask(engine, channel, "contested_lids")]
    return Complaint(
        "lid_with_two_numbers",
        "WhatsApp has named two numbers for one LID; the better and newer word holds.",
        len(found),
        [
            f"look at contact {contact}; if it holds two people, take them apart with `ventros "
            f"people unmerge {channel.key} MERGE`"
            for contact in found[:SAMPLE]
        ],
    )


def _apart(engine: Engine, channel: Channel) -> Complaint:
    plan = unsettled(engine, channel)
    return Complaint(
        "people_not_settled",
        "Contacts are not yet what is known of their people.",
        len(plan.merges) + len(plan.splits) + len(plan.grown),
        [f"import any day of the channel: ventros import {channel.key} --since 1d"],
        needs_a_person=False,
    )


def _unresolved(engine: Engine, channel: Channel) -> Complaint:
    return Complaint(
        "lid_without_number",
        "WhatsApp has not said whose these LIDs are; they are contacts without a number.",
        len(_ask(engine, channel, "unresolved_lids")),
        ["turn on the schedule identity_sweep_hourly in the Dagster UI: it asks again every hour"],
        needs_a_person=False,
    )


def _quarantined(engine: Engine, channel: Channel) -> Complaint:
    days = waiting_days(engine, channel)
    return Complaint(
        "rows_in_quarantine",
        "Rows of WAHA could not be read; they are kept, and the other rows are not held up.",
        sum(days.values()),
        [
            f"see which and why: ventros quarantine list {channel.key}",
            f"after an update of this program: ventros quarantine retry {channel.key}",
        ],
        needs_a_person=False,
    )


def _stopped(engine: Engine, channel: Channel) -> Complaint:
    """Complain of an import that ended before its end, and not by somebody's wish."""
    plan = plan_of(engine, channel)
    failed = plan is not None and plan.status == "failed" and plan.error != CANCELLED
    return Complaint(
        "import_failed",
        f"The last import failed: {plan.error if plan else ''}",
        int(failed),
        [f"mend that, then go on: ventros import {channel.key}"],
    )


def _stale(engine: Engine, channel: Channel) -> Complaint:
    """Complain of a plan that nobody goes on with: its daemon or its sensor is off."""
    plan = plan_of(engine, channel)
    return Complaint(
        "plan_is_stale",
        f"An import is planned, and nothing has moved it for {STALE_HOURS} hours.",
        int(plan is not None and _is_stale(plan, datetime.now(UTC))),
        [
            "turn on history_sensor in the Dagster UI, and keep its daemon running: ventros up",
            f"or give the plan up: ventros cancel {channel.key}",
        ],
    )


def _is_stale(plan: Plan, now: datetime) -> bool:
    """Return whether an open plan of the sensor has neither a running range nor one that moved."""
    if not plan.is_open or plan.driver != SENSOR or plan.running is not None:
        return False
    moments = [m for r in plan.ranges for m in (r.started_at, r.ended_at, r.not_before) if m]
    return now - max(moments, default=plan.requested_at) > timedelta(hours=STALE_HOURS)


def _ask(engine: Engine, channel: Channel, question: str) -> Sequence[Any]:
    known = {"channel_id": channel.id, "project_id": channel.project_id}
    with of_channel(engine, channel).connect() as connection:
        return connection.exec_driver_sql(read_sql(f"doctor/{question}.sql"), known).fetchall()
