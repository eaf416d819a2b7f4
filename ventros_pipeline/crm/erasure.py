"""Erasing a person for good (LGPD), and keeping it so.

What belongs here: who the person is, setting tombstones, and the order in which the CRM, the
archive and the media files lose it. What does not: asking for a tombstone (`tombstones.py`), and
where a row of WAHA names people (`waha/erasing.py`).

Tombstones are committed first, so that nothing that runs meanwhile brings the person back; then the
CRM's rows go in one transaction, then the archive's, then files. Cut off anywhere, running it again
finishes: from the archive on, nothing but the tombstones is needed.

A tombstone is an HMAC under a secret of this installation. Whoever lacks the secret learns nothing
from it, and tables made in advance are of no use. The secret lies in the same database, because
every reading needs it: whoever holds all of the database can try every telephone number there is,
some 10^10, in minutes. So a tombstone hides a person from a leaked table, not from a leaked
database.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from psycopg import Cursor, errors, sql
from sqlalchemy.engine import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import changes, removing, sealing
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.identities import people_of
from ventros_pipeline.crm.removing import RemovalError
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_project, seeing_all_projects
from ventros_pipeline.crm.tombstones import read_tombstones, rewriting
from ventros_pipeline.media_store import MediaStore
from ventros_pipeline.transform import phones
from ventros_pipeline.transform.identity import CONTACT_SUFFIX, LID_SUFFIX
from ventros_pipeline.waha.erasing import Eraser

_DELETE_RELATION = sql.SQL(
    "DELETE FROM {table} AS t USING departed WHERE t.contact_id = departed.contact_id"
)
# Every number known of a contact leads to more contacts; more rounds than anybody has numbers.
ROUNDS = 10


class ErasureError(Exception):
    """Nobody was erased; the message says what to do."""


@dataclass(frozen=True)
class Project:
    """A project of the CRM with WhatsApp channels."""

    id: UUID
    name: str
    tenant_id: str


@dataclass(frozen=True)
class Person:
    """Who is to be erased.

    Attributes:
        addresses: all that evidence joins to the number, and its spellings.
        contacts: ids of the CRM's contacts of them.
    """

    project: Project
    addresses: frozenset[str]
    contacts: Sequence[str]

    @property
    def masked(self) -> list[str]:
        """The addresses as a person can recognise and nobody else can dial them."""
        return sorted(_masked(address) for address in self.addresses)

    @property
    def digits(self) -> list[str]:
        """The addresses without their servers."""
        return sorted({address.partition("@")[0] for address in self.addresses})


def find_project(engine: Engine, named: str | None) -> Project:
    """Return the project with an id, a name or a tenant; without any, the only one.

    Raises:
        ErasureError: there is none, or more than one.
    """
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(read_sql("erasure/select_projects.sql"))
        projects = [Project(*row) for row in rows]
    found = [p for p in projects if named is None or named in (str(p.id), p.name, p.tenant_id)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{p.name} ({p.id})" for p in projects) or "none has a WhatsApp channel"
    raise ErasureError(
        f"{len(found)} projects are meant; name one with --project, by its id: {known}"
    )


def find_person(engine: Engine, project: Project, phone: str) -> Person:
    """Return who a telephone number is in a project; also somebody whom nothing is known of.

    Args:
        phone: with the country code, written in any way.

    Raises:
        ErasureError: it is no telephone number, or one of the project's own.
    """
    number = phones.phone_of(re.sub(r"\D", "", phone) + phones.PHONE_SUFFIX)
    if number is None:
        raise ErasureError(
            "that is no telephone number; give it whole, with the country code: +55 11 98000-0001"
        )
    spelled = {f"{spelling[1:]}{phones.PHONE_SUFFIX}" for spelling in phones.candidates(number)}
    channels = [c for c in list_channels(engine) if c.project_id == project.id]
    with of_project(engine, project.id).begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            person = _closure(cursor, project, channels, spelled)
            cursor.execute(read_sql("erasure/own_addresses.sql"), {"project_id": project.id})
            own = {address for (address,) in cursor.fetchall()}
    if own & person.addresses:
        raise ErasureError(
            "that number is a channel's own account, or joined with it; "
            "`ventros people merges CHANNEL` says why, and nobody was erased"
        )
    return person


def forget(
    engine: Engine, archive: Archive, person: Person, *, dry_run: bool = False
) -> dict[str, int]:
    """Erase a person from the CRM, the archive and the media files; return how much went.

    What an earlier erasure of the project was cut off before is done, too.

    Args:
        dry_run: count, and change nothing.

    Raises:
        RemovalError: this role may not delete, or another table of the CRM refers to a row.
        ArchiveError: a file cannot be written; run it again.
        sealing.SealError: a payload in quarantine cannot be looked into.
    """
    channels = [c for c in list_channels(engine) if c.project_id == person.project.id]
    erasing = _Erasing(
        of_project(engine, person.project.id), archive, person, channels, uuid4(), dry_run=dry_run
    )
    return erasing.run()


@dataclass(frozen=True)
class _Erasing:
    """One erasure."""

    served: Engine
    archive: Archive
    person: Person
    channels: Sequence[Channel]
    erasure_id: UUID
    dry_run: bool

    def run(self) -> dict[str, int]:
        if not self.dry_run:
            self._set_tombstones()
        counts = self._empty_crm()
        counts["archive_rows"] = sum(self._empty_archive(channel) for channel in self.channels)
        if not self.dry_run:
            self._end(removing.counted(counts))
        return removing.counted(counts)

    def _set_tombstones(self) -> None:
        with self.served.begin() as connection:
            cursor = _raw(connection).cursor()
            removing.check_rights(cursor)
            tombstones = read_tombstones(cursor, self.person.project.id)
            digests = [tombstones.digest_of(address) for address in self._erased_addresses()]
            self._execute(cursor, "insert_tombstones", digests=digests)
            self._execute(cursor, "insert_erasure", asked_by=removing.who())

    def _erased_addresses(self) -> set[str]:
        """Return the addresses, and LIDs also as they come under the phones' server."""
        lids = [a for a in self.person.addresses if a.endswith(LID_SUFFIX)]
        return {
            *self.person.addresses,
            *(lid.replace(LID_SUFFIX, phones.PHONE_SUFFIX) for lid in lids),
        }

    def _empty_crm(self) -> Counter[str]:
        """Delete the person's rows in one transaction."""
        with self.served.begin() as connection:
            raw = _raw(connection)
            with raw.cursor() as cursor:
                removing.begin(cursor, self.channels)
                try:
                    counts = self._delete_rows(cursor)
                except errors.ForeignKeyViolation as error:
                    raise RemovalError(
                        f"rows of {error.diag.table_name} still refer to the person, and the CRM "
                        "was left as it is; remove them and run the same command again"
                    ) from None
                if self.dry_run:
                    raw.rollback()
                else:
                    self._execute(
                        cursor, "note_counts", counts=json.dumps(removing.counted(counts))
                    )
                    raw.commit()
        return counts

    def _delete_rows(self, cursor: Cursor[Any]) -> Counter[str]:
        counts: Counter[str] = Counter()
        cursor.execute(read_sql("erasure/create_chats.sql"))
        if self.dry_run:
            self._execute(cursor, "insert_erasure", asked_by=None)
        for statement in ("find_departed", "find_chats", "find_removed"):
            self._execute(cursor, statement)
        # One file may be several tenants'.
        with seeing_all_projects(cursor):
            self._execute(cursor, "collect_files")
            counts["media_files"] = sum(files for (files,) in cursor.fetchall())
        self._execute(cursor, "delete_hints")
        self._execute(cursor, "list_ids")
        # Never matches when there is nobody.
        ids = "|".join(found for (found,) in cursor.fetchall()) or "$^"
        self._execute(cursor, "redact_memory", ids=ids)
        self._execute(cursor, "delete_events", ids=ids)
        self._execute(cursor, "delete_logs", ids=ids)
        counts["messages"] = removing.delete_messages(cursor)
        for relation in self._relations(cursor):
            cursor.execute(_DELETE_RELATION.format(table=sql.Identifier("public", relation)))
            counts[relation] += cursor.rowcount
        for name in ("sessions", "merges", "people", "identities"):
            counts[name] = self._execute(cursor, f"delete_{name}")
        counts["group_members"] = self._execute(cursor, "leave_groups")
        self._execute(cursor, "forget_rows")
        for name in ("contacts", "chats", "evidence", "directory"):
            counts[name] = self._execute(cursor, f"delete_{name}")
        self._execute(cursor, "leave_lists")
        counts["messages_of_others"] = self._execute(cursor, "redact_messages")
        counts["quarantine"] = self._empty_quarantine(cursor)
        cursor.execute("DELETE FROM concerned WHERE contact_id IN (TABLE departed)")
        removing.cut_sessions(cursor, self.channels, str(self.erasure_id))
        cursor.execute(
            read_sql("removing/rewind_watermark.sql"),
            {"channel_ids": [channel.id for channel in self.channels]},
        )
        self._execute(cursor, "delete_loads")
        for channel in self.channels:
            changes.note_write(cursor, channel, str(self.erasure_id))
        return counts

    def _relations(self, cursor: Cursor[Any]) -> list[str]:
        """Return the CRM's tables whose rows hang on a contact."""
        cursor.execute(read_sql("identity/list_relations.sql"))
        named = {relation for (relation,) in cursor.fetchall()}
        return sorted({*named, "contact_custom_fields", "contact_pipeline_statuses"})

    def _empty_quarantine(self, cursor: Cursor[Any]) -> int:
        """Delete payloads that name the person; nobody can say what else stands in them."""
        eraser = self._eraser(cursor)
        self._execute(cursor, "select_quarantine")
        found: dict[UUID, list[str]] = {}
        for channel_id, row_hash, payload in cursor.fetchall():
            # The name of a row holds addresses, too, and is all that is kept of one that came in.
            named = row_hash.replace("_", " ")
            if eraser.names(named.encode()) or eraser.names(sealing.open(payload).encode()):
                found.setdefault(channel_id, []).append(row_hash)
        return sum(
            self._execute(cursor, "delete_quarantine", channel_id=channel_id, row_hashes=hashes)
            for channel_id, hashes in found.items()
        )

    def _eraser(self, cursor: Cursor[Any]) -> Eraser:
        """Take out everybody with a tombstone; in a dry run, who would get one."""
        tombstones = read_tombstones(cursor, self.person.project.id)
        if not self.dry_run:
            return Eraser(tombstones.covers)
        would_be = self._erased_addresses()
        return Eraser(lambda address: address in would_be)

    def _empty_archive(self, channel: Channel) -> int:
        """Write the archive's days anew without the person; return how many rows that changes."""
        with rewriting(self.served, channel):
            with self.served.begin() as connection, _raw(connection).cursor() as cursor:
                eraser = self._eraser(cursor)
            if not self.dry_run:
                self.archive.store.tidy(channel.key)
            return self.archive.rewrite(channel.key, eraser.clean, dry_run=self.dry_run)

    def _end(self, counts: Mapping[str, int]) -> None:
        """Delete files that nobody has any more, and close what is open."""
        store = MediaStore(self.archive.store)
        with self.served.begin() as connection:
            cursor = _raw(connection).cursor()
            self._execute(cursor, "select_open")
            for erasure_id, files in cursor.fetchall():
                with seeing_all_projects(cursor):
                    self._execute(cursor, "select_kept_files", files=files)
                    kept = {sha256 for (sha256,) in cursor.fetchall()}
                for sha256 in set(files) - kept:
                    store.delete(sha256)
                told = counts if erasure_id == self.erasure_id else {}
                self._execute(cursor, "end_erasure", erasure_id=erasure_id, counts=json.dumps(told))

    def _execute(self, cursor: Cursor[Any], statement: str, **values: Any) -> int:
        digits = "|".join(self.person.digits)
        cursor.execute(
            read_sql(f"erasure/{statement}.sql"),
            {
                "project_id": self.person.project.id,
                "channel_ids": [channel.id for channel in self.channels],
                "erasure_id": self.erasure_id,
                "addresses": sorted(self._erased_addresses()),
                "contacts": list(self.person.contacts),
                # Of numbers that stand alone, and of those before a server's name.
                "in_text": rf"(?<![0-9])(?:{digits})(?![0-9])",
                "in_ids": rf"(?<![0-9])(?:{digits})(?:_[0-9]+)?(?::[0-9]+)?@",
                **values,
            },
        )
        return cursor.rowcount


def _closure(
    cursor: Cursor[Any], project: Project, channels: Sequence[Channel], addresses: set[str]
) -> Person:
    """Follow addresses to contacts and back until nothing is new."""
    contacts: list[str] = []
    for _ in range(ROUNDS):
        people = people_of(cursor, channels[0], addresses)
        found = {other for address in addresses for other in people[address]}
        values = {
            "project_id": project.id,
            "addresses": sorted(found),
            "digits": sorted({address.partition("@")[0] for address in found}),
        }
        cursor.execute(read_sql("erasure/find_contacts.sql"), values)
        contacts = sorted(contact for (contact,) in cursor.fetchall())
        cursor.execute(
            read_sql("identity/addresses_of.sql"), {"project_id": project.id, "contacts": contacts}
        )
        found |= {address for address, _ in cursor.fetchall()}
        found = {address for address in found if not address.endswith(CONTACT_SUFFIX)}
        found |= {
            f"{spelling[1:]}{phones.PHONE_SUFFIX}"
            for address in found
            if (phone := phones.phone_of(address))
            for spelling in phones.candidates(phone)
        }
        if found == addresses:
            break
        addresses = found
    return Person(project, frozenset(addresses), contacts)


def _masked(address: str) -> str:
    digits, at, server = address.partition("@")
    return f"{digits[:4]}{'*' * max(len(digits) - 6, 0)}{digits[-2:]}{at}{server}"


def _raw(connection: Any) -> Any:
    raw = connection.connection.driver_connection
    if raw is None:
        raise ConnectionError("the database connection was closed")
    return raw
