"""Contacts follow people: merges, and their reversal, without losing or doubling a row.

What belongs here: moving what hangs on a contact when evidence says that its addresses are somebody
else's, and the record of it. What does not: who people are (`transform/identity.py`), which contact
stays (`transform/regrouping.py`), and what a message is (`sql/load/update_messages.sql` merges two
copies by the same laws as two readings).

A message belongs to whom its address belongs to. So a merge and its reversal are one movement with
another assignment of addresses, and the statements of `sql/identity/` do not know which it is. All
of it happens in one transaction that no load of the project overlaps; when it is cut off, nothing
has happened, and the next settling does it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import polars as pl
from psycopg import Cursor, sql
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import changes
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.copying import copy_frame
from ventros_pipeline.crm.database import PLANNED_BY_INDEX
from ventros_pipeline.crm.identities import (
    WANTED_SCHEMA,
    Person,
    contacts_by_phone,
    name_people,
    people_of,
    save_evidence,
    store_people,
)
from ventros_pipeline.crm.load import cut_sessions, load_values
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.staging import stage_messages
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.logs import log_of
from ventros_pipeline.transform import identity, ids, phones
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline.transform.regrouping import Holder, Merge, Regrouping, Split, regroup

# A contact is taken apart and joined in one settling at most this often; each time brings it nearer
# to what evidence says, and two are enough for anything that rules and evidence can make.
ROUNDS = 4
_LOG = log_of("people")
_MOVE_RELATION = sql.SQL(
    """
    WITH moved AS (
        UPDATE {table} AS r SET contact_id = m.taker
        FROM (SELECT DISTINCT giver, taker, merge_id FROM moves WHERE takes_all) AS m
        WHERE r.contact_id = m.giver
        RETURNING m.merge_id, r.id
    )
    INSERT INTO history_sync.merged_rows (merge_id, relation, row_id)
    SELECT merge_id, %(relation)s, id FROM moved
    """
)
_RESTORE_RELATION = sql.SQL(
    """
    UPDATE {table} AS r SET contact_id = merge.absorbed
    FROM history_sync.merged_rows AS moved
    INNER JOIN history_sync.merges AS merge USING (merge_id)
    WHERE moved.merge_id = ANY(%(merge_ids)s::uuid[]) AND moved.relation = %(relation)s
      AND r.id = moved.row_id AND r.contact_id = merge.kept
    """
)


class MergeError(Exception):
    """A merge cannot be made or undone; the message says what to do."""


@dataclass(frozen=True)
class Settled:
    """What a settling did."""

    merged: int = 0
    split: int = 0


@dataclass(frozen=True)
class Foreseen:
    """What would be known of who is whom.

    Attributes:
        addresses: how many were asked for; `people`: how many people those are.
        merged: contacts of the CRM that would be absorbed by others; `split`: taken apart.
    """

    addresses: int
    people: int
    merged: int
    split: int


@dataclass(frozen=True)
class Merged:
    """A merge on record.

    Attributes:
        kept: contact that stayed; `absorbed` went into it.
        sources: kinds of evidence, of `identity.SOURCES`; empty when only looks joined them.
        moved: rows by table.
    """

    merge_id: str
    kept: str
    absorbed: str
    sources: Sequence[str]
    moved: Mapping[str, int]
    at: datetime
    undone: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data; times as ISO 8601 text."""
        undone = self.undone and self.undone.isoformat()
        return {**asdict(self), "at": self.at.isoformat(), "undone": undone}


@dataclass(frozen=True)
class Move:
    """Addresses of one contact that go to another.

    Attributes:
        merge_id: the merge that is made, or the one that is undone; null for addresses that were
            never apart before.
        takes_all: whether everything that hangs on the giver goes along.
    """

    giver: str
    taker: str
    addresses: frozenset[str]
    person: frozenset[str]
    merge_id: str | None
    takes_all: bool = False


def settle_people(
    engine: Engine, channel: Channel, run_id: str, evidence: Sequence[Evidence] | None = None
) -> Settled:
    """Let the contacts of a channel's project follow what is known of its people.

    Args:
        channel: any channel of the project; its directory gives names.
        run_id: who does it.
        evidence: what is newly known, remembered first; when all of it was known before, nothing
            is compared. Without it, everything is.

    Returns:
        How many contacts were absorbed, and how many were taken apart.
    """
    with _cursor(of_channel(engine, channel)) as cursor:
        if evidence is not None and not save_evidence(cursor, channel, evidence):
            return Settled()
        if _plan(cursor, channel).is_empty:
            changes.note_write(cursor, channel, run_id)
            return Settled()
        # Remembered below, with what follows from it: cut off in between, evidence that is known
        # would not be compared again.
        cursor.connection.rollback()
    with _alone(engine, channel, run_id) as movement:
        save_evidence(movement.cursor, channel, evidence or ())
        return movement.settle()


def undo_merge(engine: Engine, channel: Channel, merge_id: str, run_id: str) -> Settled:
    """Take apart what a merge joined; no evidence joins these addresses again.

    Messages that came since go to whom their address belongs to.

    Raises:
        MergeError: there is no such merge in the project, or a later one stands on it.
    """
    with _alone(engine, channel, run_id) as movement:
        _check_undoable(movement.cursor, channel, merge_id)
        movement.run("insert_separations", {"merge_id": merge_id})
        return movement.settle()


def join_contacts(engine: Engine, channel: Channel, one: str, other: str, run_id: str) -> Settled:
    """Make two contacts one because a person says so; `undo_merge` takes them apart again.

    Unlike evidence, a person's word also retires a contact that the CRM made.

    Args:
        one: id of a contact of the channel's project.
        other: id of another.

    Raises:
        MergeError: one of them is no contact of the project, or neither is known on WhatsApp.
    """
    with _alone(engine, channel, run_id) as movement:
        addresses = [movement.address_of(contact) for contact in (one, other)]
        if all(address.endswith(identity.CONTACT_SUFFIX) for address in addresses):
            raise MergeError(
                f"channel {channel.key}: WhatsApp knows neither of the contacts {one} and {other}; "
                "join them in the CRM"
            )
        movement.run("delete_separations", {"contacts": [one, other]})
        first, second = sorted(addresses)
        said = Evidence(first, second, identity.OPERATOR, datetime.now(UTC))
        save_evidence(movement.cursor, channel, [said])
        return movement.settle()


def meet_contacts(engine: Engine, channel: Channel, run_id: str) -> Settled:
    """Let contacts that the CRM made for numbers of ours take the place of our contacts.

    Both sides may make a contact of one number at the same moment, and nothing in the CRM's tables
    forbids it. The CRM's stays, because its webhook goes on writing on it.
    """
    project = {"project_id": channel.project_id}
    with _cursor(of_channel(engine, channel)) as cursor:
        cursor.execute(read_sql("identity/find_twins.sql"), project)
        if not cursor.rowcount:
            return Settled()
    with _alone(engine, channel, run_id) as movement:
        movement.run("find_twins")
        for contact, address in movement.cursor.fetchall():
            own = f"{contact}{identity.CONTACT_SUFFIX}"
            movement.run("know_contact", {"contact_id": contact, "address": own})
            said = Evidence(own, address, identity.CRM, datetime.now(UTC))
            save_evidence(movement.cursor, channel, [said])
        return movement.settle()


def list_merges(engine: Engine, channel: Channel, *, limit: int) -> list[Merged]:
    """Return the merges of a channel's project, the newest first."""
    with _cursor(of_channel(engine, channel)) as cursor:
        cursor.execute(
            read_sql("identity/list_merges.sql"),
            {"project_id": channel.project_id, "limit": limit},
        )
        return [Merged(*row) for row in cursor.fetchall()]


def unsettled(engine: Engine, channel: Channel) -> Regrouping:
    """Return what a settling would do now."""
    with _cursor(of_channel(engine, channel)) as cursor:
        return _plan(cursor, channel)


def foresee(
    engine: Engine, channel: Channel, evidence: Sequence[Evidence], addresses: Collection[str]
) -> Foreseen:
    """Return what a settling would do if some evidence were known; nothing of it is kept.

    Args:
        evidence: what a channel's lists say now.
        addresses: those whose people are counted.
    """
    with _cursor(of_channel(engine, channel)) as cursor:
        save_evidence(cursor, channel, evidence)
        plan = _plan(cursor, channel)
        people = people_of(cursor, channel, addresses)
        cursor.connection.rollback()
    persons = {people.get(address, frozenset([address])) for address in addresses}
    return Foreseen(len(addresses), len(persons), len(plan.merges), len(plan.splits))


@contextmanager
def _cursor(served: Engine) -> Iterator[Cursor[Any]]:
    with served.begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            yield cursor


@contextmanager
def _alone(engine: Engine, channel: Channel, run_id: str) -> Iterator[_Movement]:
    """Open a transaction that no load of the project overlaps, with the staging tables made."""
    siblings = [c for c in list_channels(engine) if c.project_id == channel.project_id]
    with _cursor(of_channel(engine, channel)) as cursor:
        movement = _Movement(cursor, channel, siblings, run_id)
        cursor.execute(PLANNED_BY_INDEX)
        movement.run("lock_people")
        stage_messages(cursor)
        changes.begin(cursor, channel, run_id)
        yield movement
        changes.note(cursor, channel, run_id)
    log = _LOG.about(channel=channel.key, run=run_id)
    for move in movement.merged:
        log.info("people merged", kept=move.taker, absorbed=move.giver, merge=move.merge_id)


def _plan(cursor: Cursor[Any], channel: Channel) -> Regrouping:
    """Compare the contacts of the project with its people."""
    cursor.execute(read_sql("identity/select_holders.sql"), {"project_id": channel.project_id})
    current: dict[str, str] = {}
    holders: dict[str, Holder] = {}
    for address, contact, *facts in cursor.fetchall():
        current[address] = contact
        holders[contact] = Holder(contact, *facts)
    return regroup(current, people_of(cursor, channel, current), holders)


def _check_undoable(cursor: Cursor[Any], channel: Channel, merge_id: str) -> None:
    cursor.execute(
        read_sql("identity/select_merge.sql"),
        {"merge_id": merge_id, "project_id": channel.project_id},
    )
    found = cursor.fetchone()
    if found is None:
        raise MergeError(
            f"channel {channel.key}: its project has no merge {merge_id}; see "
            f"`ventros people merges {channel.key}`"
        )
    undone, later = found
    if undone:
        raise MergeError(f"channel {channel.key}: merge {merge_id} is undone already")
    if later:
        raise MergeError(
            f"channel {channel.key}: the contact of merge {merge_id} was itself absorbed later; "
            f"undo merge {later} first"
        )


@dataclass(frozen=True)
class _Movement:
    """Moves addresses, and all that hangs on them, between contacts."""

    cursor: Cursor[Any]
    channel: Channel
    siblings: Sequence[Channel]
    run_id: str
    merged: list[Move] = field(default_factory=list)

    def settle(self) -> Settled:
        """Move until contacts and people agree."""
        merged = split = 0
        for _ in range(ROUNDS):
            plan = _plan(self.cursor, self.channel)
            if plan.is_empty:
                break
            if plan.splits:
                self.split(plan.splits)
                split += len(plan.splits)
            elif plan.merges:
                self.merge(plan.merges)
                merged += len(plan.merges)
            else:
                self.grow(plan.grown)
        values = {**load_values(self.channel, self.run_id), "all_groups": True}
        self.cursor.execute(read_sql("load/update_groups.sql"), values)
        return Settled(merged, split)

    def address_of(self, contact: str) -> str:
        """Return an address of a contact; one that WhatsApp does not know gets one of its own."""
        found = self._rows("select_contact", {"contact_id": contact})
        if not found:
            raise MergeError(
                f"channel {self.channel.key}: its project has no contact {contact}; "
                f"`ventros doctor {self.channel.key}` names those that look like one person"
            )
        address = str(found[0][0] or f"{contact}{identity.CONTACT_SUFFIX}")
        self.run("know_contact", {"contact_id": contact, "address": address})
        return address

    def merge(self, merges: Sequence[Merge]) -> None:
        """Absorb contacts.

        Those that the CRM made stay, without what we hung on them, unless a person said it.
        """
        gone = self._column(
            "list_retiring",
            {
                "absorbed": [merge.absorbed for merge in merges],
                "keepers": [merge.keeper for merge in merges],
            },
        )
        held = self._rows("addresses_of", {"contacts": [merge.absorbed for merge in merges]})
        moves = [
            Move(
                merge.absorbed,
                merge.keeper,
                frozenset(address for address, contact in held if contact == merge.absorbed),
                merge.person,
                str(uuid4()),
                merge.absorbed in gone,
            )
            for merge in merges
        ]
        self._begin(moves)
        self.run("insert_merges", _merge_columns(moves))
        self.run("retire_contacts")
        # Once so that rows can move to the takers, once more for what they know then.
        self._store(moves, undo=False)
        self._move(undo=False)
        for relation in ("custom_fields", "stages", "sessions"):
            self.run(f"move_{relation}")
        self._move_relations()
        self.run("absorb_contacts")
        self.merged.extend(moves)
        self._cut_sessions()
        self._store(moves, undo=False)
        self.run("remember_contacts")

    def split(self, splits: Sequence[Split]) -> None:
        """Give addresses that are somebody else's to a contact of their own."""
        moves = [self._leaving(split) for split in splits]
        undone = [move.merge_id for move in moves if move.merge_id]
        self._begin(moves)
        self.run("restore_messages", {"merge_ids": undone})
        self.run("restore_contacts", {"merge_ids": undone})
        self._restore_relations(undone)
        self.run("clear_phones", _phones_left(moves))
        self.run("revive_contacts")
        self._store(moves, undo=True)
        self._move(undo=True)
        self._cut_sessions()
        self._store(moves, undo=True)
        self._store_persons(self._left_behind(moves))
        self.run("close_chats", {"merge_ids": undone})
        self.run("end_merges", {"merge_ids": undone})

    def grow(self, grown: Mapping[str, frozenset[str]]) -> None:
        """Give contacts the addresses that evidence adds to them.

        A number that a contact of the CRM carries makes that contact known first; the two are then
        one person, and the next round merges them.
        """
        known = self._holders_of({a for person in grown.values() for a in person})
        added = {contact: person - known.keys() for contact, person in grown.items()}
        carried = contacts_by_phone(self.cursor, self.channel, added)
        self._store_persons(
            [
                Person(carried.get(contact, contact), _canonical(addresses), set(addresses))
                if carried.get(contact, contact) != contact
                else Person(contact, _canonical(grown[contact]), set(addresses))
                for contact, addresses in added.items()
            ]
        )

    def _leaving(self, split: Split) -> Move:
        """Find who takes the addresses that leave: who had them before, else a new contact.

        Who had them before comes first even when the person has another contact by now: what came
        with them in the merge goes back to it, and the next round merges it where it belongs.
        """
        holders = self._holders_of(split.person)
        holder = next((held for held in holders.values() if held != split.giver), None)
        found = self._rows(
            "find_merge", {"kept": split.giver, "addresses": sorted(split.addresses)}
        )
        merge_id, absorbed = found[0] if found else (None, None)
        taker = absorbed or holder or self._new_contact(split)
        return Move(split.giver, taker, split.addresses, split.person, merge_id)

    def _left_behind(self, moves: Sequence[Move]) -> list[Person]:
        """Return the givers as they are now."""
        held: dict[str, set[str]] = {}
        for address, contact in self._rows("addresses_of", {"contacts": [m.giver for m in moves]}):
            held.setdefault(contact, set()).add(address)
        return [Person(contact, _canonical(a), a) for contact, a in sorted(held.items())]

    def _new_contact(self, split: Split) -> str:
        project = str(self.channel.project_id)
        wanted = [
            *(ids.contact_id(project, a) for a in (_canonical(split.person), *split.person)),
            ids.uuid_of("contact", project, split.giver, _canonical(split.person)),
        ]
        taken = set(self._column("taken_contacts", {"contacts": wanted}))
        return next(contact for contact in wanted if contact not in taken)

    def _begin(self, moves: Sequence[Move]) -> None:
        self.run("clear_moves")
        lines = [
            (address, move.giver, move.taker, move.merge_id, move.takes_all)
            for move in moves
            for address in sorted(move.addresses)
        ]
        columns = ["address", "giver", "taker", "merge_id", "takes_all"]
        copy_frame(self.cursor, pl.DataFrame(lines, schema=columns, orient="row"), "moves")
        self.run("analyze_moves")
        changes.hold_movers(self.cursor, self.channel, self.run_id)

    def _move(self, *, undo: bool) -> None:
        """Move the addresses of `moves` and the messages under them."""
        self.run("name_chats")
        self.run("open_chats")
        self.run("move_identities")
        self.run("place_messages")
        self.run("place_copies")
        self.run("find_duplicates")
        self.run("analyze_moves")
        self.run("forget_days", {"everything": undo})
        if not undo:
            self.run("remember_messages")
        self._merge_copies()
        for statement in (
            "pass_tombstones",
            "park_messages",
            "land_messages",
            "land_keys",
            "retire_duplicates",
        ):
            self.run(statement)
        self.run("relink_replies")
        self.run("touch_chats")

    def _merge_copies(self) -> None:
        """Merge what copies know into the rows that stay, by the laws of any reading."""
        for channel in self.siblings:
            values = load_values(channel, self.run_id)
            for copy in self._column("list_copies", values):
                self.cursor.execute("DELETE FROM staged_messages")
                self.run("stage_duplicates", {"channel_id": channel.id, "copy": copy})
                self.cursor.execute(read_sql("load/update_messages.sql"), values)
        self.cursor.execute("DELETE FROM staged_messages")

    def _cut_sessions(self) -> None:
        """Cut the sessions of givers and takers anew, channel by channel."""
        for channel in self.siblings:
            cut_sessions(self.cursor, channel, self.run_id, "identity/touch_sessions")

    def _store(self, moves: Sequence[Move], *, undo: bool) -> None:
        """Make the takers, and their conversations where messages will need one."""
        chats: dict[str, str | None] = dict(
            self._rows("select_chats", {"contacts": [c for m in moves for c in (m.giver, m.taker)]})
        )
        talking = set(self._column("list_talking")) if undo else {m for m in chats if chats[m]}
        persons: dict[str, Person] = {}
        for move in moves:
            person = persons.setdefault(
                move.taker, Person(move.taker, _canonical(move.person), set(move.person))
            )
            needs_chat = (move.taker if undo else move.giver) in talking
            person.chat_id = (
                chats.get(move.taker)
                or person.chat_id
                or (
                    # By the contact, not by an address: the giver may keep the address's own.
                    ids.chat_id(str(self.channel.project_id), move.taker) if needs_chat else None
                )
            )
        # Two givers may part with addresses of one person, to different takers for now.
        takers = {address: move.taker for move in moves for address in move.addresses}
        for person in persons.values():
            for address in person.addresses:
                takers.setdefault(address, person.contact_id)
            person.addresses = {a for a in person.addresses if takers[a] == person.contact_id}
        self._store_persons(list(persons.values()))

    def _store_persons(self, persons: list[Person]) -> None:
        self.cursor.execute("TRUNCATE staged_people, staged_identities")
        name_people(self.cursor, self.channel, persons, WANTED_SCHEMA.to_frame())
        store_people(self.cursor, self.channel, persons, self.run_id)

    def _move_relations(self) -> None:
        """Move rows of any other table of the CRM that hang on a contact."""
        for relation in self._column("list_relations"):
            self.cursor.execute(
                _MOVE_RELATION.format(table=sql.Identifier("public", relation)),
                {"relation": relation},
            )

    def _restore_relations(self, merge_ids: Sequence[str]) -> None:
        for relation in self._column("list_moved_relations", {"merge_ids": merge_ids}):
            self.cursor.execute(
                _RESTORE_RELATION.format(table=sql.Identifier("public", relation)),
                {"relation": relation, "merge_ids": merge_ids},
            )

    def _holders_of(self, addresses: Iterable[str]) -> dict[str, str]:
        return dict(self._rows("holders_of", {"addresses": sorted(addresses)}))

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> None:
        """Run a statement of `sql/identity/`."""
        self.cursor.execute(
            read_sql(f"identity/{statement}.sql"),
            {
                "project_id": self.channel.project_id,
                "channel_ids": [channel.id for channel in self.siblings],
                "run_id": self.run_id,
                **(values or {}),
            },
        )

    def _rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        self.run(statement, values)
        return self.cursor.fetchall()

    def _column(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        return [row[0] for row in self._rows(statement, values)]


def _canonical(person: Collection[str]) -> str:
    return identity.canonical(min(person), {min(person): frozenset(person)})


def _merge_columns(moves: Sequence[Move]) -> dict[str, Any]:
    return {
        "merge_ids": [move.merge_id for move in moves],
        "givers": [move.giver for move in moves],
        "takers": [move.taker for move in moves],
        "people": [msgspec.json.encode(sorted(move.person)).decode() for move in moves],
    }


def _phones_left(moves: Sequence[Move]) -> dict[str, Any]:
    left = [
        (move.giver, phone)
        for move in moves
        for address in sorted(move.addresses)
        if (phone := phones.phone_of(address))
    ]
    return {"givers": [giver for giver, _ in left], "phones": [phone for _, phone in left]}
