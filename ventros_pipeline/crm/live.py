"""Beside the CRM's live writer, which stores the same messages at the same time.

What belongs here: finding rows that the CRM wrote and no key of ours names, and letting them take
the place of ours. What does not: what the load itself adopts (`sql/load/adopt_messages.sql`).

The webhook takes no lock of ours, and the unique index on `channel_message_id` stops a second row
only where both sides use one id. It does not where the webhook stores the bare stanza id, or the
full id under the person's other address: such a row may be committed at any moment, also right
after our own commit, and no look inside our transaction can be the last one. So nothing tries to be
first: every load of a channel begins by looking at the rows of the CRM that it does not know,
whatever day they are of, and where one is a message that we have stored the CRM's row stays and
ours becomes its copy. What slips in behind one load is put right by the next. A trigger or an index
on the CRM's table would have been earlier, but it would run inside the webhook's own transaction,
where an error of ours is a message that the CRM loses. Nor is the CRM's table read through for it:
rows that no key names are kept in a table of ours, which learns what was written since the last
look, and only those are compared of whose stanza id a message was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import polars as pl
from psycopg import Cursor

from ventros_pipeline.crm import changes
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.copying import copy_frame
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.staging import stage_messages
from ventros_pipeline.transform import phones
from ventros_pipeline.transform.identity import LID_SUFFIX

_PEOPLE = pl.Schema({"live_contact": pl.String(), "person": pl.String(), "is_self": pl.Boolean()})


def find_live_rows(cursor: Cursor[Any], channel: Channel, stanzas: Collection[str]) -> bool:
    """Find the CRM's rows that no key names, and where they may belong; say whether any is there.

    The people of the window must be known already: a row is found by its people's addresses.

    Args:
        stanzas: the window's own.
    """
    values: dict[str, Any] = {"channel_id": channel.id, "project_id": channel.project_id}
    cursor.execute(read_sql("live/begin_look.sql"), values)
    [(since,)] = cursor.fetchall()
    cursor.execute(read_sql("live/find_rows.sql"), {**values, "since": since})
    cursor.execute(read_sql("live/list_rows.sql"), {**values, "stanzas": list(stanzas)})
    if not cursor.rowcount:
        return False
    stage_messages(cursor)
    copy_frame(cursor, _people_of_bare_rows(cursor, channel), "live_people")
    cursor.execute(read_sql("live/place_rows.sql"), values)
    return True


def yield_to_live_rows(cursor: Cursor[Any], channel: Channel, values: Mapping[str, Any]) -> bool:
    """Let rows of the CRM take the place of ours, with all that ours know; say whether any did.

    Runs before the window's own messages are staged: the copies are merged by the same statements.
    """
    cursor.execute(read_sql("live/know_rows.sql"), values)
    if not cursor.rowcount:
        return False
    _run(cursor, values, "identity/find_duplicates", "live/touch_sessions")
    changes.hold_placed(cursor, channel, values["run_id"])
    cursor.execute(read_sql("identity/list_copies.sql"), values)
    for (copy,) in cursor.fetchall():
        cursor.execute(read_sql("identity/stage_duplicates.sql"), {**values, "copy": copy})
        _run(cursor, values, "load/update_messages")
        cursor.execute("DELETE FROM staged_messages")
    _run(
        cursor,
        values,
        "identity/pass_tombstones",
        "identity/park_messages",
        "identity/land_messages",
        "identity/land_keys",
        "identity/retire_duplicates",
        "live/relink_replies",
    )
    return True


def _run(cursor: Cursor[Any], values: Mapping[str, Any], *statements: str) -> None:
    for statement in statements:
        cursor.execute(read_sql(f"{statement}.sql"), values)


def _people_of_bare_rows(cursor: Cursor[Any], channel: Channel) -> pl.DataFrame:
    cursor.execute(read_sql("live/list_contacts.sql"))
    addresses = {contact: _addresses(digits) for contact, digits in cursor.fetchall()}
    everything = sorted({address for found in addresses.values() for address in found})
    cursor.execute(
        read_sql("identity/holders_of.sql"),
        {"project_id": channel.project_id, "addresses": everything},
    )
    holders: dict[str, str] = dict(cursor.fetchall())
    cursor.execute(
        "SELECT own_addresses FROM history_sync.channel_state WHERE channel_id = %s", [channel.id]
    )
    own = {address for (found,) in cursor.fetchall() for address in found}
    lines: set[tuple[str, str | None, bool]] = set()
    for contact, spelled in addresses.items():
        # Itself too: a contact that the pipeline knows need not carry a number.
        lines.add((contact, contact, not own.isdisjoint(spelled)))
        lines |= {(contact, holders[address], False) for address in spelled if address in holders}
    return pl.DataFrame(sorted(lines), schema=_PEOPLE, orient="row")


def _addresses(digits: Iterable[str]) -> set[str]:
    """Return every address that some digits of a contact may be, in all spellings of a number."""
    found = set()
    for text in digits:
        found.add(f"{text}{LID_SUFFIX}")
        if phone := phones.phone_of(f"{text}{phones.PHONE_SUFFIX}"):
            found |= {f"{other[1:]}{phones.PHONE_SUFFIX}" for other in phones.candidates(phone)}
    return found
