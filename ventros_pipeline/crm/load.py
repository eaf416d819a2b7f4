"""A window of messages into the CRM: one transaction, set-based, unchanged rows untouched.

What belongs here: the order of the statements in `sql/load/` and the transaction around them. What
does not: what a message means (`transform/`), or which days make a window (`importer.py`).

Correctness rests on an advisory lock per channel and on unique constraints, never on an
orchestrator's queue: backfills started from the UI pass by every queue limit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from psycopg import Cursor, errors
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import changes, sealing
from ventros_pipeline.crm import loaded as memories
from ventros_pipeline.crm.channels import WAHA_CHANNEL_TYPE_ID, Channel
from ventros_pipeline.crm.copying import copy_frame
from ventros_pipeline.crm.database import PLANNED_BY_INDEX
from ventros_pipeline.crm.identities import WANTED_SCHEMA, resolve_people, save_evidence
from ventros_pipeline.crm.live import find_live_rows, yield_to_live_rows
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.staging import stage_messages, stage_people
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.crm.tombstones import Tombstones, read_tombstones
from ventros_pipeline.transform import messages, prints
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline.transform.messages import OVER_LIMIT
from ventros_pipeline.transform.prints import MEMORY, OUTCOMES, PRINTS

STAGED_MESSAGES = [
    "day",
    "chat_id",
    "stanza_id",
    "message_id",
    "contact_id",
    "waha_id",
    "address",
    "at",
    "time_trusted",
    "from_me",
    "content_type",
    "text",
    "media_url",
    "media_mimetype",
    "status_rank",
    "can_play",
    "mentions",
    "reply_to_stanza",
    "metadata",
    "kind_is_known",
    "edited_at",
    "read_at",
    "revoked_at",
    "only_revoked",
]
OUTCOMES_COUNTED = ("inserted", "updated", "unchanged", "duplicate")
_MOMENT = pl.Datetime("us", "UTC")
ABSENCE_SCHEMA = pl.Schema(
    {
        "day": pl.Date(),
        "row_key": pl.String(),
        "seen_at": _MOMENT,
        "missed_at": _MOMENT,
        "gone_at": _MOMENT,
    }
)


class ConcurrentWriteError(Exception):
    """The CRM's own writer stored one of these messages a moment ago; the window is tried again."""


# What changes is noted before, by `touch_sessions.sql` of loads or of merges.
PLAN_SESSIONS = (
    "analyze_touched",
    "find_theirs",
    "touch_theirs",
    "find_spans",
    "analyze_spans",
    "plan_sessions",
    "analyze_sessions",
)
# The CRM writes without our locks. When both wait for each other Postgres ends one of us, and a
# chat of another project may take an external id in between; nothing was kept, and it goes again.
_IN_THE_WAY = (ConcurrentWriteError, errors.DeadlockDetected, errors.UniqueViolation)


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be a message, kept with its payload.

    Attributes:
        day: UTC day it was read in.
        row_key: WAHA's name of the row, or a hash of it.
        reason: machine-readable, `snake_case`.
        payload: the row as archived.
    """

    day: date
    row_key: str
    reason: str
    payload: str


@dataclass(frozen=True)
class Known:
    """What of a window is not looked at, and by what the next load knows the rest.

    Attributes:
        memory: what is remembered of its days; all that stands in it must still hold.
        unchanged: `MEMORY` of the rows that are as they were.
        looked_at: `PRINTS` of the others.
        circumstances: under which the others are remembered; null where nothing is.
    """

    memory: memories.Memory = field(default_factory=memories.Memory)
    unchanged: pl.DataFrame = field(default_factory=MEMORY.to_frame)
    looked_at: pl.DataFrame = field(default_factory=PRINTS.to_frame)
    circumstances: str | None = None


@dataclass(frozen=True)
class Window:
    """What is to be loaded in one transaction.

    Attributes:
        days: UTC days, each with the distinct rows that the archive knows of it.
        now: the moment of the import, UTC.
        judged: decoded rows, divided.
        rejected: rows that go to quarantine.
        evidence: what the rows themselves say of who is whom.
        partial: whether only some chats of these days were read.
        absences: `ABSENCE_SCHEMA`: archived rows that a complete read has missed since they came.
        doubted: rows that were missed in so great a number that nothing follows, by day.
        known: rows of these days that are not looked at, because they are as they were.
        tombstones: how many there were when erased people were taken out of the rows.
    """

    days: dict[date, int]
    now: datetime
    judged: messages.Judged
    rejected: Sequence[Rejected]
    evidence: Sequence[Evidence]
    partial: bool = False
    absences: pl.DataFrame = field(default_factory=ABSENCE_SCHEMA.to_frame)
    doubted: Mapping[date, int] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    tombstones: int = 0


@dataclass
class Loaded:
    """What a load did, summed over its days."""

    seen: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    filtered: int = 0
    quarantined: int = 0
    contacts_created: int = 0
    sessions_created: int = 0
    # Pairs of addresses that these messages showed to be one person.
    evidence_found: int = 0
    by_day: dict[date, dict[str, int]] = field(default_factory=dict)
    # Rows left out and rows in quarantine, by reason.
    filtered_reasons: Counter[str] = field(default_factory=Counter)
    quarantine_reasons: Counter[str] = field(default_factory=Counter)
    # Rows that WAHA showed once and then all at once no more: trouble of its store, no revokes.
    doubted: dict[date, int] = field(default_factory=dict)


@contextmanager
def transaction(engine: Engine, channel: Channel, run_id: str) -> Iterator[Cursor[Any]]:
    """Open a transaction that holds the channel's lock, with the staging tables of people empty.

    What it changes of the rows that are held (`changes.py`) is on record as the run's.

    Locks are taken in one order everywhere, people before channel.
    """
    with of_channel(engine, channel).begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            cursor.execute(PLANNED_BY_INDEX)
            # Nobody moves people while a load stands on them; loads do not hinder each other.
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))",
                (f"ventros/people/{channel.project_id}",),
            )
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                (f"ventros/channel/{channel.id}",),
            )
            stage_people(cursor)
            changes.begin(cursor, channel, run_id)
            yield cursor
            changes.note(cursor, channel, run_id)


def load_window(
    engine: Engine,
    channel: Channel,
    window: Window,
    run_id: str,
    *,
    attempts: int = 3,
) -> Loaded:
    """Load a window; rows, keys, sessions, balance, coverage and watermark commit together.

    Raises:
        ConcurrentWriteError: another writer was in the way `attempts` times in a row.
        loaded.ForgottenError: what is known of unchanged rows holds no more; nothing was kept.
        sqlalchemy.exc.DBAPIError, psycopg.Error: the database refused; nothing was kept.
    """
    for left in reversed(range(attempts)):
        try:
            with transaction(engine, channel, run_id) as cursor:
                return _load(cursor, channel, window, run_id)
        except _IN_THE_WAY:
            if not left:
                raise
    raise ValueError("attempts must be at least 1")


def _load(cursor: Cursor[Any], channel: Channel, window: Window, run_id: str) -> Loaded:
    memories.check(cursor, channel, window.known.memory)
    if len(read_tombstones(cursor, channel.project_id)) != window.tombstones:
        raise memories.ForgottenError("somebody was erased since these rows were looked at")
    loaded = Loaded()
    kept = window.judged.kept
    wanted = pl.concat([_wanted(kept), _standing(cursor, channel, window.known.memory)])
    people, loaded.contacts_created = resolve_people(cursor, channel, wanted, run_id)
    values = load_values(channel, run_id)
    named = pl.concat([kept["stanza_id"], kept["revoked_stanza_id"].drop_nulls()])
    found = find_live_rows(cursor, channel, named.unique().to_list())
    yielded = found and yield_to_live_rows(cursor, channel, values)
    merged = messages.merge(messages.key(kept, people), str(channel.id))
    outcomes = OUTCOMES.to_frame()
    if yielded or not merged.rows.is_empty():
        stage_messages(cursor)
        _stage(cursor, merged, window.absences)
        outcomes = _write(cursor, channel, values, loaded)
    outcomes = prints.with_mates(outcomes, merged.rows)
    _account(cursor, channel, window, run_id, outcomes, loaded)
    _remember(cursor, channel, window, outcomes)
    return loaded


def _stage(cursor: Cursor[Any], merged: messages.Messages, absences: pl.DataFrame) -> None:
    copy_frame(cursor, merged.rows, "staged_rows")
    # Never edited is before any edit, and polars has no -infinity.
    never = pl.col("edited_at").dt.to_string("iso:strict").fill_null("-infinity")
    # Stored in this order; sorted here it needs no file.
    staged = merged.messages.select(STAGED_MESSAGES).sort("at").with_columns(edited_at=never)
    copy_frame(cursor, staged, "staged_messages")
    copy_frame(cursor, absences, "staged_absences")
    cursor.execute(read_sql("load/analyze_staging.sql"))


def _wanted(kept: pl.DataFrame) -> pl.DataFrame:
    """Return the addresses of kept rows: each conversation, and each sender in a group."""
    chats = kept.select(
        pl.col("chat").alias("address"),
        pl.lit(True).alias("has_chat"),
        pl.lit(None, dtype=pl.String).alias("push_name"),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("push_at"),
    ).unique()
    # Only what the other side wrote carries the other side's name.
    senders = (
        kept.group_by("correspondent", "push_name", "from_me")
        .agg(pl.col("at").filter("time_trusted").max().alias("push_at"))
        .select(
            pl.col("correspondent").alias("address"),
            pl.lit(False).alias("has_chat"),
            pl.when(~pl.col("from_me")).then("push_name").alias("push_name"),
            "push_at",
        )
        .sort("address", "push_at", "push_name")
    )
    return pl.concat([chats.sort("address"), senders]).match_to_schema(WANTED_SCHEMA)


def _standing(cursor: Cursor[Any], channel: Channel, memory: memories.Memory) -> pl.DataFrame:
    """Return the people of rows that are not looked at: contacts are kept right all the same."""
    cursor.execute(
        read_sql("loaded/list_people.sql"),
        {
            "channel_id": channel.id,
            "project_id": channel.project_id,
            "days": list(memory.stamps),
        },
    )
    lines = [(address, False, None, None) for (address,) in cursor.fetchall()]
    return pl.DataFrame(lines, schema=WANTED_SCHEMA, orient="row")


def load_values(channel: Channel, run_id: str) -> dict[str, Any]:
    """Return the parameters that the loader's statements share."""
    return {
        "channel_id": channel.id,
        "project_id": channel.project_id,
        "tenant_id": channel.tenant_id,
        "user_id": channel.user_id,
        "agent_id": channel.agent_id,
        "pipeline_id": channel.pipeline_id,
        "channel_type_id": WAHA_CHANNEL_TYPE_ID,
        "timeout": channel.session_timeout,
        # The CRM stores a Go duration.
        "timeout_ns": channel.session_timeout // timedelta(microseconds=1) * 1000,
        "run_id": run_id,
        # Only those that stand in this window's people; a reading of the lists takes all.
        "all_groups": False,
    }


def _write(
    cursor: Cursor[Any], channel: Channel, values: dict[str, Any], loaded: Loaded
) -> pl.DataFrame:
    """Run the loader's statements in order; return what became of each row, `OUTCOMES`."""
    _run(cursor, values, "adopt_messages", "resolve_messages")
    changes.hold_messages(cursor, channel, values["run_id"])
    _run(
        cursor,
        values,
        "fill_marks",
        "rename_taken",
        "upsert_places",
        "judge_revokes",
        "tombstone_messages",
        "lift_tombstones",
        "touch_sessions",
        *PLAN_SESSIONS,
    )
    loaded.sessions_created = _insert(cursor, channel, values)
    _run(
        cursor,
        values,
        "note_moves",
        "update_messages",
        "move_messages",
        "delete_sessions",
        "record_clicks",
        "link_replies",
        "find_moments",
        "touch_contacts",
        "enter_pipeline",
        "touch_chats",
        "update_groups",
        "advance_watermark",
        "find_evidence",
    )
    loaded.evidence_found = cursor.rowcount
    if loaded.evidence_found:
        # Rows that have not changed are not asked again, so a settling that is cut off after this
        # must be known to be due.
        _run(cursor, values, "mark_settle_due")
    _run(cursor, values, "list_outcomes")
    return pl.DataFrame(cursor.fetchall(), schema=OUTCOMES, orient="row")


def cut_sessions(cursor: Cursor[Any], channel: Channel, run_id: str, touch: str) -> None:
    """Cut a channel's sessions anew where nothing is loaded.

    Args:
        touch: name of the statement that says of which contacts, for example
            `identity/touch_sessions`.
    """
    cursor.execute("TRUNCATE touched_contacts, touched_spans, their_sessions, planned_sessions")
    cursor.execute(read_sql(f"{touch}.sql"))
    _run(
        cursor,
        load_values(channel, run_id),
        *PLAN_SESSIONS,
        "upsert_sessions",
        "move_messages",
        "delete_sessions",
        "record_clicks",
    )


def _insert(cursor: Cursor[Any], channel: Channel, values: dict[str, Any]) -> int:
    """Insert sessions and messages; what the CRM stored meanwhile is adopted, and nothing redone.

    Trying the whole window again was not enough: beside four busy writers each try met another row.
    What is inserted holds its ids from here on, and what was skipped is there to be adopted, so
    once more is enough.
    """
    cursor.execute(read_sql("load/upsert_sessions.sql"), values)
    sessions_created = _scalar(cursor)
    _run(cursor, values, "insert_messages")
    if not _skipped(cursor):
        return sessions_created
    _run(cursor, values, "adopt_messages", "resolve_skipped")
    changes.hold_messages(cursor, channel, values["run_id"])
    if left := _skipped(cursor):
        raise ConcurrentWriteError(
            f"{left} messages were written and deleted again by another process meanwhile; "
            "nothing of this window was kept; run the same days again"
        )
    cursor.execute("TRUNCATE touched_spans, their_sessions, planned_sessions")
    _run(cursor, values, "upsert_places", "tombstone_messages", "touch_sessions", *PLAN_SESSIONS)
    cursor.execute(read_sql("load/upsert_sessions.sql"), values)
    return sessions_created + _scalar(cursor)


def _skipped(cursor: Cursor[Any]) -> int:
    cursor.execute(read_sql("load/find_skipped.sql"))
    return _scalar(cursor)


def _run(cursor: Cursor[Any], values: dict[str, Any], *statements: str) -> None:
    for statement in statements:
        cursor.execute(read_sql(f"load/{statement}.sql"), values)


def _account(
    cursor: Cursor[Any],
    channel: Channel,
    window: Window,
    run_id: str,
    outcomes: pl.DataFrame,
    loaded: Loaded,
) -> None:
    """Write balance, coverage and quarantine of each day, and sum them into `loaded`."""
    filtered = _filtered(window)
    quarantined = _quarantine(cursor, channel, window.rejected, run_id)
    _release(cursor, channel, window, run_id, outcomes)
    counted = _outcomes(outcomes, window.known.unchanged)
    for day, seen in window.days.items():
        counts = {
            "seen": seen,
            **dict.fromkeys(OUTCOMES_COUNTED, 0),
            **counted.get(day, {}),
            "filtered": sum(filtered.get(day, {}).values()),
            "quarantined": sum(quarantined.get(day, {}).values()),
        }
        loaded.by_day[day] = counts
        if window.doubted.get(day):
            loaded.doubted[day] = window.doubted[day]
        loaded.filtered_reasons.update(filtered.get(day, {}))
        loaded.quarantine_reasons.update(quarantined.get(day, {}))
        for name, count in counts.items():
            setattr(loaded, name, getattr(loaded, name) + count)
    reasons = [json.dumps({**filtered.get(d, {}), **quarantined.get(d, {})}) for d in window.days]
    identified = {"channel_id": channel.id, "run_id": run_id, "days": list(window.days)}
    balance = {
        name: [counts[name] for counts in loaded.by_day.values()]
        for name in ("seen", *OUTCOMES_COUNTED, "filtered", "quarantined")
    }
    cursor.execute(
        read_sql("load/insert_balance.sql"), {**identified, **balance, "reasons": reasons}
    )
    rows = list(window.days.values())
    cursor.execute(
        read_sql("load/upsert_coverage.sql"),
        {**identified, "rows": rows, "partial": window.partial, "now": window.now},
    )


def _filtered(window: Window) -> dict[date, Counter[str]]:
    """Return how many rows of each day were left out, by reason."""
    known = window.known.unchanged.filter(pl.col("left_out").is_not_null())
    counted = known.group_by("day", "left_out", maintain_order=True).len()
    found: dict[date, Counter[str]] = {}
    for day, reason, rows in (*window.judged.filtered.iter_rows(), *counted.iter_rows()):
        found.setdefault(day, Counter())[reason] += rows
    return found


def _outcomes(outcomes: pl.DataFrame, unchanged: pl.DataFrame) -> dict[date, Counter[str]]:
    """Return what became of the messages among each day's rows, looked at or not."""
    found: dict[date, Counter[str]] = {}
    for day, outcome, rows in prints.count(outcomes, unchanged).iter_rows():
        found.setdefault(day, Counter())[outcome] = rows
    return found


def _quarantine(
    cursor: Cursor[Any], channel: Channel, rejected: Sequence[Rejected], run_id: str
) -> dict[date, Counter[str]]:
    """Keep rejected rows; return how many of each day, by reason."""
    rows = _distinct(rejected)
    found: dict[date, Counter[str]] = {}
    for row in rows:
        found.setdefault(row.day, Counter())[row.reason] += 1
    if rows:
        cursor.execute(
            read_sql("load/upsert_quarantine.sql"),
            {
                "channel_id": channel.id,
                "run_id": run_id,
                "row_hashes": [row.row_key for row in rows],
                "days": [row.day for row in rows],
                "reasons": [row.reason for row in rows],
                "payloads": [sealing.seal(row.payload) for row in rows],
            },
        )
    return found


def _release(
    cursor: Cursor[Any], channel: Channel, window: Window, run_id: str, outcomes: pl.DataFrame
) -> None:
    """Let rows out of quarantine that this load could read."""
    identified = {"channel_id": channel.id, "run_id": run_id}
    cursor.execute(read_sql("load/select_waiting.sql"), {**identified, "days": list(window.days)})
    waiting = pl.DataFrame(
        cursor.fetchall(), schema={"day": pl.Date, "row_key": pl.String}, orient="row"
    )
    if waiting.is_empty():
        return
    became = pl.concat(
        [
            outcomes.select("day", "row_key", pl.col("outcome").alias("became")),
            window.judged.left_out.select("day", "row_key", pl.col("reason").alias("became")),
            # What is neither was readable, and beyond the newest of its chat.
            window.known.looked_at.select("day", "row_key", pl.lit(OVER_LIMIT).alias("became")),
        ]
    ).unique(["day", "row_key"], keep="first", maintain_order=True)
    rejected = [row.row_key for row in window.rejected]
    freed = waiting.join(became, on=["day", "row_key"], maintain_order="left").filter(
        ~pl.col("row_key").is_in(rejected)
    )
    values = {"row_hashes": freed["row_key"].to_list(), "became": freed["became"].to_list()}
    cursor.execute(read_sql("load/release_quarantine.sql"), {**identified, **values})


def _remember(
    cursor: Cursor[Any],
    channel: Channel,
    window: Window,
    outcomes: pl.DataFrame,
) -> None:
    """Remember what was looked at, so that the next load need not."""
    known = window.known
    if known.circumstances is None:
        return
    rejected = pl.DataFrame(
        [(row.day, row.row_key) for row in window.rejected],
        schema={"day": pl.Date, "row_key": pl.String},
        orient="row",
    )
    # What is in the future now has a time to be trusted one day.
    future = window.judged.kept.filter(pl.col("time_problem") == "future").select("day", "row_key")
    seen = prints.memory_of(
        known.looked_at, outcomes, window.judged.left_out, pl.concat([rejected, future])
    )
    memories.remember(
        cursor,
        channel,
        known.memory,
        pl.concat([known.unchanged, seen]),
        list(window.days),
        known.circumstances,
    )


def _distinct(rejected: Sequence[Rejected]) -> list[Rejected]:
    """Return the newest version of each rejected row."""
    return list({row.row_key: row for row in rejected}.values())


def _scalar(cursor: Cursor[Any]) -> int:
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def save_directory(
    engine: Engine,
    channel: Channel,
    *,
    entries: pl.DataFrame,
    evidence: Sequence[Evidence],
    own_addresses: Sequence[str],
    engine_name: str,
    waha_version: str,
    listed_at: datetime,
    wanted: pl.DataFrame,
    run_id: str,
) -> int:
    """Store what WAHA lists now, and make the contacts and chats of the listed conversations.

    Args:
        entries: `address`, `has_chat`, `book_name`, `push_name`, `subject`, `members` (JSON text of
            a list of `{address, is_admin}`, or null).
        evidence: what the lists say of who is whom.
        wanted: `identities.WANTED_SCHEMA` of the conversations that the channel imports.

    Returns:
        How many contacts were made.
    """
    with transaction(engine, channel, run_id) as cursor:
        tombstones = read_tombstones(cursor, channel.project_id)
        entries, wanted = _without(tombstones, entries), _without(tombstones, wanted)
        save_evidence(cursor, channel, evidence)
        cursor.execute(
            read_sql("load/save_directory.sql"),
            {
                "channel_id": channel.id,
                "listed_at": listed_at,
                "addresses": entries["address"].to_list(),
                "has_chat": entries["has_chat"].to_list(),
                "book_names": entries["book_name"].to_list(),
                "push_names": entries["push_name"].to_list(),
                "subjects": entries["subject"].to_list(),
                "members": entries["members"].to_list(),
            },
        )
        _, created = resolve_people(cursor, channel, wanted, run_id)
        cursor.execute(
            read_sql("load/save_channel_state.sql"),
            {
                "channel_id": channel.id,
                "own_addresses": list(own_addresses),
                "engine": engine_name,
                "waha_version": waha_version,
                "listed_at": listed_at,
            },
        )
        return created


def _without(tombstones: Tombstones, listed: pl.DataFrame) -> pl.DataFrame:
    """Return what is listed of addresses, without people who were erased, also as members."""
    if not tombstones:
        return listed
    kept = [not tombstones.covers(address) for address in listed["address"]]
    listed = listed.filter(pl.Series(kept, dtype=pl.Boolean))
    if "members" not in listed.columns:
        return listed
    members = [
        text and json.dumps([m for m in json.loads(text) if not tombstones.covers(m["address"])])
        for text in listed["members"]
    ]
    return listed.with_columns(pl.Series("members", members, dtype=pl.String))


def update_groups(engine: Engine, channel: Channel, run_id: str) -> None:
    """Bring subjects and members of the project's groups up to what was listed last."""
    with transaction(engine, channel, run_id) as cursor:
        values = {**load_values(channel, run_id), "all_groups": True}
        cursor.execute(read_sql("load/update_groups.sql"), values)
