"""Undoing one run: what it inserted goes, what it changed is as it was before.

What belongs here: the order of the statements in `sql/undo/`, what stands in the way of them, and
the transaction around them. What does not: recording what a run changes (`changes.py`).

The archive stays, for it is what WAHA said: the days of the run are unknown afterwards, and loading
them again brings the same rows back. Runs are undone in the reverse order where they touched the
same people or rows; what somebody else has edited since is never taken back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg import Cursor, errors, sql
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import changes, removing
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.load import load_values
from ventros_pipeline.crm.removing import RemovalError
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects

# Rows that go back to what they were, and by what each is known. The order is that of what they
# refer to.
_KEYS = {
    "public.contacts": "id",
    "history_sync.people": "contact_id",
    "public.chats": "id",
    "public.contact_custom_fields": "id",
    "public.contact_pipeline_statuses": "id",
    "public.sessions": "id",
    "public.messages": "id",
    "history_sync.message_keys": "message_id",
    "history_sync.merges": "merge_id",
}
_VERSIONED = {"public.contacts", "public.chats", "public.sessions"}
_DATED = _VERSIONED | {
    "public.messages",
    "public.contact_custom_fields",
    "public.contact_pipeline_statuses",
}
_IDENTITY = sql.SQL("history_sync.id_of('identity/' || {row}.project_id || '/' || {row}.address)")
_EDITED = sql.SQL(
    """
    SELECT u.row_id::text FROM undoing AS u INNER JOIN {table} AS t ON {key} = u.row_id
    WHERE u.relation = {relation} AND jsonb_populate_record(t, u.after) *<> t
    ORDER BY u.row_id
    """
)
_EDITED_PLACES = """
    SELECT row_id::text FROM undoing
    WHERE relation = 'history_sync.places' AND history_sync.places_of(row_id) <> after
"""
_RESTORE = sql.SQL(
    """
    UPDATE {table} AS t SET {columns}
    FROM undoing AS u
    INNER JOIN {table} AS old ON {old_key} = u.row_id
    CROSS JOIN LATERAL jsonb_populate_record(old, u.before) AS was
    WHERE u.relation = {relation} AND {key} = u.row_id
    """
)
_MOVE_BACK = sql.SQL(
    """
    UPDATE {table} AS t SET contact_id = moved.back_to
    FROM (
        SELECT r.row_id, m.kept AS is_with, m.absorbed AS back_to
        FROM history_sync.merged_rows AS r
        INNER JOIN history_sync.merges AS m USING (merge_id)
        WHERE r.relation = %(relation)s AND m.run_id = %(run_id)s::uuid AND m.undone_at IS NULL
        UNION ALL
        SELECT r.row_id, m.absorbed, m.kept
        FROM history_sync.merged_rows AS r
        INNER JOIN history_sync.merges AS m USING (merge_id)
        WHERE r.relation = %(relation)s AND m.run_id <> %(run_id)s::uuid
          AND m.undone_at IN (SELECT written_at FROM run_moments)
    ) AS moved
    WHERE t.id = moved.row_id AND t.contact_id = moved.is_with
    """
)
_FOREIGN_ROWS = sql.SQL(
    """
    SELECT t.id::text FROM {table} AS t INNER JOIN departed USING (contact_id)
    WHERE NOT (t.id = ANY(%(ours)s::uuid[])) ORDER BY t.id
    """
)
# What of these tables on a contact is the run's own, and goes with it.
_OWN_ROWS = {
    "contact_custom_fields": (
        "SELECT f.id FROM public.contact_custom_fields AS f INNER JOIN departed USING (contact_id)"
        " INNER JOIN run_moments ON run_moments.written_at = f.created_at"
    ),
    "contact_pipeline_statuses": (
        "SELECT s.id FROM public.contact_pipeline_statuses AS s"
        " INNER JOIN departed USING (contact_id)"
        " INNER JOIN run_moments ON run_moments.written_at = s.created_at"
    ),
    "trackings": (
        "SELECT t.id FROM public.trackings AS t INNER JOIN departed USING (contact_id)"
        " INNER JOIN removed ON t.metadata ->> 'message_id' = removed.message_id::text"
    ),
    "message_groups": ("SELECT history_sync.id_of('enrichment/group/' || message_id) FROM removed"),
}
# What an obstacle's list names at most; the count says how many there are.
NAMED = 20


class UndoError(Exception):
    """A run cannot be undone; the message says what to do."""


@dataclass(frozen=True)
class Obstacle:
    """Something that would be lost or contradicted.

    Attributes:
        kind: `later_run`, or `edited` or `hangs_on` for rows of a table.
        relation: the table; None for runs.
        ids: of runs or rows, the first of them.
        count: how many there are.
    """

    kind: str
    relation: str | None
    ids: Sequence[str]
    count: int

    def __str__(self) -> str:
        """Say it in a sentence, with what to do."""
        named = ", ".join(self.ids) + (", ..." if self.count > len(self.ids) else "")
        if self.kind == "later_run":
            return (
                f"{self.count} later runs worked on the same rows or people; undo them first, in "
                f"this order: {named}"
            )
        if self.kind == "edited":
            return (
                f"{self.count} rows of {self.relation} were edited since, by a person or by the "
                f"CRM: {named}; take these edits back in the CRM, or keep the run"
            )
        return (
            f"{self.count} rows of {self.relation} hang on what the run made: {named}; remove them "
            "in the CRM, or keep the run"
        )


@dataclass(frozen=True)
class Undone:
    """What undoing a run did, or would do.

    Attributes:
        channels: keys of the channels it wrote to.
        removed: rows that go, by table.
        restored: rows that are as they were, by table.
        obstacles: what stands in the way; when there is any, nothing was changed.
    """

    run_id: str
    channels: Sequence[str]
    removed: dict[str, int] = field(default_factory=dict)
    restored: dict[str, int] = field(default_factory=dict)
    obstacles: Sequence[Obstacle] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def undo_run(engine: Engine, run_id: str, *, dry_run: bool = False) -> Undone:
    """Restore the state before a run, over all the channels it wrote to.

    Args:
        dry_run: do all of it and take it back: the figures are exact, and nothing is changed.

    Raises:
        UndoError: there is no such run, it still runs, is undone, or was never on record.
        RemovalError: this role may not delete, or another table of the CRM refers to a row.
    """
    try:
        UUID(run_id)
    except ValueError as error:
        raise UndoError(
            f"{run_id} is no run: a run's id is a UUID, as `ventros import --json` prints it and "
            "the Dagster UI shows it"
        ) from error
    everywhere = list_channels(engine)
    # A run may have many channels.
    with of_all_projects(engine).begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            undoing = _begin(cursor, everywhere, run_id)
            obstacles = undoing.obstacles()
            if obstacles:
                raw.rollback()
                return Undone(run_id, undoing.keys, obstacles=obstacles)
            try:
                undone = undoing.apply()
            except errors.ForeignKeyViolation as error:
                raise RemovalError(
                    f"run {run_id} cannot be undone: rows of {error.diag.table_name} still refer "
                    "to what it made; nothing was changed; remove them in the CRM first"
                ) from None
            if dry_run:
                raw.rollback()
            else:
                raw.commit()
    return undone


def _begin(cursor: Cursor[Any], everywhere: Sequence[Channel], run_id: str) -> _Undoing:
    """Find the run, take the locks and stage what is to be undone."""
    found = _select(cursor, run_id)
    mine = [channel for channel in everywhere if channel.id in found]
    if missing := found - {channel.id for channel in mine}:
        raise UndoError(
            f"run {run_id} wrote to {len(missing)} channels that are deleted; bring them back in "
            "the CRM first"
        )
    projects = {channel.project_id for channel in mine}
    channels = [channel for channel in everywhere if channel.project_id in projects]
    removing.begin(cursor, channels)
    # It may have been undone while we waited for the locks.
    _select(cursor, run_id)
    undoing = _Undoing(cursor, run_id, mine, channels, str(uuid4()))
    cursor.execute(read_sql("undo/create_undoing.sql"))
    for statement in (
        "find_moments",
        "find_removed",
        "compose_changes",
        "keep_moving_times",
        "find_departed",
        "find_concerned",
    ):
        undoing.run(statement)
    cursor.execute(read_sql("removing/find_concerned.sql"))
    return undoing


def _select(cursor: Cursor[Any], run_id: str) -> set[UUID]:
    """Return the channels of a run that can be undone."""
    cursor.execute(read_sql("undo/select_run.sql"), {"run_id": run_id})
    rows = cursor.fetchall()
    if not rows:
        raise UndoError(f"no run {run_id} ever wrote to this database; nothing was changed")
    if any(status == "running" for _, status, *_ in rows):
        raise UndoError(f"run {run_id} still runs; let it end, or terminate it, and try again")
    if undone := next((at for _, _, _, at, *_ in rows if at), None):
        raise UndoError(f"run {run_id} was undone already, on {undone:%Y-%m-%d %H:%M} UTC")
    if not all(is_recorded for _, _, is_recorded, *_ in rows):
        raise UndoError(
            f"what run {run_id} changed is not on record (any more): it is older than "
            "VENTROS_UNDO_KEEP_DAYS, or than the version that keeps this record"
        )
    return {channel_id for channel_id, *_ in rows}


@dataclass(frozen=True)
class _Undoing:
    """One undoing, inside its transaction.

    Attributes:
        mine: channels that the run wrote to.
        channels: all of their projects.
        undo_id: as what the undoing itself writes.
    """

    cursor: Cursor[Any]
    run_id: str
    mine: Sequence[Channel]
    channels: Sequence[Channel]
    undo_id: str

    @property
    def keys(self) -> list[str]:
        return [channel.key for channel in self.mine]

    def obstacles(self) -> list[Obstacle]:
        """Return what stands in the way."""
        if later := self._column("later_runs"):
            # What they changed would look like edits.
            return [Obstacle("later_run", None, later[:NAMED], len(later))]
        edited: dict[str, list[str]] = {}
        for relation in self._relations():
            if rows := self._edited(relation):
                edited.setdefault(relation.partition(".")[2], []).extend(rows)
        for statement in ("edited_inserts", "foreign_replies"):
            self.run(statement)
            for relation, row in self.cursor.fetchall():
                edited.setdefault(relation, []).append(row)
        found = [
            Obstacle("edited", relation, rows[:NAMED], len(rows))
            for relation, rows in sorted(edited.items())
        ]
        hanging = {name: self._foreign(name) for name in self._relations_of_contacts()}
        return found + [
            Obstacle("hangs_on", relation, rows[:NAMED], len(rows))
            for relation, rows in hanging.items()
            if rows
        ]

    def apply(self) -> Undone:
        """Undo the run; return what that did."""
        removed = {"messages": removing.delete_messages(self.cursor)}
        self.run("park_keys")
        restored = {relation: self._restore(relation) for relation in self._relations()}
        self._restore_relations()
        for statement in ("delete_places", "insert_places"):
            self.run(statement)
        self.run("release_sessions")
        removed["message_keys"] = self.run("delete_keys")
        removed["merges"] = self.run("delete_merges")
        removed["evidence"] = self.run("delete_evidence")
        # Where they stand by now.
        self.run("find_concerned")
        removing.cut_sessions(self.cursor, self.channels, self.undo_id)
        for name in ("fields", "stages", "identities"):
            removed[name] = self.run(f"delete_{name}")
        self.run("delete_people")
        removed["contacts"] = self.run("delete_contacts")
        removed["chats"] = self.run("delete_chats")
        self.run("settle_kept")
        self._rewind()
        removed["quarantine"] = self.run("delete_quarantine")
        for project in {channel.project_id: channel for channel in self.channels}.values():
            values = {**load_values(project, self.undo_id), "all_groups": True}
            self.cursor.execute(read_sql("load/update_groups.sql"), values)
        for channel in self.mine:
            changes.note_write(self.cursor, channel, self.undo_id)
        undone = Undone(
            self.run_id, self.keys, removing.counted(removed), removing.counted(restored)
        )
        told = json.dumps({"removed": undone.removed, "restored": undone.restored})
        self.run("end_run", undone=told, undone_by=removing.who())
        return undone

    def run(self, statement: str, **values: Any) -> int:
        """Run a statement of `sql/undo/`; return how many rows it changed."""
        self.cursor.execute(
            read_sql(f"undo/{statement}.sql"),
            {
                "run_id": self.run_id,
                "project_ids": [channel.project_id for channel in self.channels],
                "channel_ids": [channel.id for channel in self.channels],
                "run_channels": [channel.id for channel in self.mine],
                **values,
            },
        )
        return self.cursor.rowcount

    def _rewind(self) -> None:
        """Let all that is remembered of the run's days say that they are not loaded."""
        for statement in ("forget_days", "forget_loads", "delete_balance", "rewind_channels"):
            self.run(statement)
        self.cursor.execute(
            read_sql("removing/rewind_watermark.sql"), {"channel_ids": [c.id for c in self.mine]}
        )

    def _relations(self) -> list[str]:
        """Return the tables of which rows are to be restored, in order."""
        self.cursor.execute("SELECT DISTINCT relation FROM undoing")
        found = {relation for (relation,) in self.cursor.fetchall()}
        ordered = (*_KEYS, "history_sync.identities", "history_sync.places")
        return [relation for relation in ordered if relation in found]

    def _edited(self, relation: str) -> list[str]:
        if relation == "history_sync.places":
            self.cursor.execute(_EDITED_PLACES)
        else:
            statement = _EDITED.format(
                table=_table(relation), key=_key(relation, "t"), relation=sql.Literal(relation)
            )
            self.cursor.execute(statement)
        return [row for (row,) in self.cursor.fetchall()]

    def _restore(self, relation: str) -> int:
        if relation == "history_sync.places":
            return 0
        self.cursor.execute(
            "SELECT DISTINCT jsonb_object_keys(before) FROM undoing WHERE relation = %s", [relation]
        )
        columns: list[sql.Composable] = [
            sql.SQL("{0} = was.{0}").format(sql.Identifier(name))
            for (name,) in self.cursor.fetchall()
        ]
        if not columns:
            return 0
        if relation in _VERSIONED:
            columns.append(sql.SQL("version = t.version + 1"))
        if relation in _DATED:
            columns.append(sql.SQL("updated_at = now()"))
        self.cursor.execute(
            _RESTORE.format(
                table=_table(relation),
                columns=sql.SQL(", ").join(columns),
                key=_key(relation, "t"),
                old_key=_key(relation, "old"),
                relation=sql.Literal(relation),
            )
        )
        return self.cursor.rowcount

    def _restore_relations(self) -> None:
        for relation in self._column("list_relations"):
            self.cursor.execute(
                _MOVE_BACK.format(table=sql.Identifier("public", relation)),
                {"relation": relation, "run_id": self.run_id},
            )

    def _relations_of_contacts(self) -> list[str]:
        self.cursor.execute(read_sql("identity/list_relations.sql"))
        return sorted({*_OWN_ROWS, *(relation for (relation,) in self.cursor.fetchall())})

    def _foreign(self, relation: str) -> list[str]:
        ours: list[Any] = []
        if own := _OWN_ROWS.get(relation):
            self.cursor.execute(own)
            ours = [row for (row,) in self.cursor.fetchall()]
        self.cursor.execute(
            _FOREIGN_ROWS.format(table=sql.Identifier("public", relation)), {"ours": ours}
        )
        return [row for (row,) in self.cursor.fetchall()]

    def _column(self, statement: str) -> list[Any]:
        self.run(statement)
        return [row[0] for row in self.cursor.fetchall()]


def _table(relation: str) -> sql.Identifier:
    return sql.Identifier(*relation.split("."))


def _key(relation: str, row: str) -> sql.Composable:
    """Return by what a row is known, in a statement where it goes by the name `row`."""
    if relation == "history_sync.identities":
        return _IDENTITY.format(row=sql.Identifier(row))
    return sql.Identifier(row, _KEYS[relation])
