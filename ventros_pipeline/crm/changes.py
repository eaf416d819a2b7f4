"""The record of what a transaction writes over, by which a run can be undone.

What belongs here: holding rows before they are written, and noting which of them differ at the end.
What does not: who writes what (`load.py`, `merging.py`, `live.py`), and taking it back (`undo.py`).

Rows are held as they are come to and compared once, so that no statement that changes them has to
say so. What follows from other rows is not held: sessions, their agents, links of replies, clicks,
members of groups.
"""

from __future__ import annotations

from typing import Any

from psycopg import Cursor

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql


def begin(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Begin the record of a transaction, in which the staging tables are there."""
    note_write(cursor, channel, run_id)


def note_write(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Remember that this run writes at this transaction's moment."""
    _run(cursor, "note_write", channel, run_id)


def hold_people(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Hold the contacts of `staged_people`."""
    _hold(cursor, "find_people", channel, run_id)


def hold_messages(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Hold the messages of `staged_messages` that are not new, and their contacts."""
    _hold(cursor, "find_messages", channel, run_id)


def hold_placed(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Hold the messages of `placed` and `doubled`."""
    _hold(cursor, "find_placed", channel, run_id)


def hold_movers(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Hold the contacts of `moves`, with all that hangs on them."""
    _hold(cursor, "find_movers", channel, run_id)


def note(cursor: Cursor[Any], channel: Channel, run_id: str) -> None:
    """Note which held rows have changed; at the end of the transaction."""
    _run(cursor, "hold_new_places", channel, run_id)
    _run(cursor, "note_changes", channel, run_id)


def _hold(cursor: Cursor[Any], statement: str, channel: Channel, run_id: str) -> None:
    _run(cursor, statement, channel, run_id)
    if cursor.rowcount:
        _run(cursor, "hold_rows", channel, run_id)
        cursor.execute("DELETE FROM to_hold")


def _run(cursor: Cursor[Any], statement: str, channel: Channel, run_id: str) -> None:
    values = {"channel_id": channel.id, "run_id": run_id}
    cursor.execute(read_sql(f"changes/{statement}.sql"), values)
