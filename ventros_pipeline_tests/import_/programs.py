"""A small account, what is true of it, and a CRM to import it into: the parts of `test_programs`.

`Truth` is the model: plain Python that shares no code with the product. It knows which rows WAHA
showed and which of them were loaded, what was said of people, and from that alone which messages
the CRM must hold. `Crm` is the real loader over a real Postgres, with an archive in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Engine

from ventros_pipeline.archive import Archive, Row
from ventros_pipeline.crm import load, merging
from ventros_pipeline.crm.channels import Channel, add_channel
from ventros_pipeline.crm.checks import PROOFS
from ventros_pipeline.crm.merging import Settled, settle_people, undo_merge
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.importer import Importer
from ventros_pipeline.settings import Settings
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline_tests.import_.test_revokes import mark_of
from ventros_pipeline_tests.import_.world import (
    KEY_VARIABLE,
    NOW,
    START,
    at,
    days_between,
    edited,
    message,
)

# -- the account ----------------------------------------------------------------------------------

# Each person's addresses: a phone, a LID, and a second spelling of one of them.
PEOPLE = (
    ("5511980000001@c.us", "210000000000001@lid", "551180000001@c.us"),
    ("5511980000002@c.us", "210000000000002@lid", "210000000000002@c.us"),
    ("5521980000003@c.us", "210000000000003@lid"),
)
ADDRESSES = tuple(address for person in PEOPLE for address in person)
# One by looks: two spellings of one line, and a LID under the phones' server.
ALIKE = ((PEOPLE[0][0], PEOPLE[0][2]), (PEOPLE[1][1], PEOPLE[1][2]))
# The line of each address that is a telephone number.
LINE = {PEOPLE[0][0]: 1, PEOPLE[0][2]: 1, PEOPLE[1][0]: 2, PEOPLE[2][0]: 3}
GROUP = "120363000000000001@g.us"
TRUST = ("operator", "lids", "contacts", "groups", "messages", "stanzas")
# How far along each ack is; an error stands between pending and sent.
RANK = {None: 0, 0: 1, -1: 2, 1: 3, 2: 4, 3: 5}
WORD = {0: "sent", 1: "queued", 2: "failed", 3: "sent", 4: "delivered", 5: "read"}
DAYS = days_between(START + timedelta(days=1), START + timedelta(days=6))
DAY = 86_400


class Stanza(NamedTuple):
    """One sending. What comes in has one sender; what goes out may go to several people."""

    id: str
    day: int
    sender: int | None
    in_group: bool = False

    @property
    def from_me(self) -> bool:
        return self.sender is None

    @property
    def second(self) -> int:
        minute = STANZAS.index(self) * 7
        return at(f"2026-06-0{self.day} 10:{minute:02}")


STANZAS = (
    Stanza("INA", 2, 0),
    Stanza("INB", 3, 1),
    Stanza("INC", 3, 2),
    Stanza("OUT", 2, None),
    Stanza("CAST", 3, None),
    Stanza("GRPA", 2, 0, in_group=True),
    Stanza("GRPB", 3, 1, in_group=True),
    Stanza("GRPO", 3, None, in_group=True),
)


class Seen(NamedTuple):
    """One row as WAHA shows it: a version of a message, under one address of its person.

    Attributes:
        address: the chat's one to one, the sender's in a group.
        version: 0 as it was sent; an edit moves the row's time by so many days.
        alt: the person's other address, as the row says in passing.
        is_mark: the row says only that the message was revoked.
    """

    channel: int
    stanza: Stanza
    address: str
    version: int = 0
    ack: int | None = None
    alt: str | None = None
    is_mark: bool = False

    @property
    def second(self) -> int:
        # A mark's own time is nobody else's: equal times would be taken for evidence.
        return self.stanza.second + (2 * DAY + 13 if self.is_mark else self.version * DAY)

    @property
    def day(self) -> date:
        return datetime.fromtimestamp(self.second, UTC).date()

    @property
    def text(self) -> str:
        return f"{self.stanza.id} {self.version}"

    @property
    def chat(self) -> str:
        return GROUP if self.stanza.in_group else self.address

    def payload(self) -> bytes:
        """Return the row as NOWEB answers it (the mark of a revoke as WEBJS does)."""
        member = "participantAlt" if self.stanza.in_group else "remoteJidAlt"
        row = message(
            self.chat,
            self.stanza.id,
            self.stanza.second,
            f"{self.stanza.id} 0",
            from_me=self.stanza.from_me,
            ack=self.ack,
            participant=self.address if self.stanza.in_group and not self.stanza.from_me else None,
            key={member: self.alt} if self.alt else None,
        )
        if self.is_mark:
            row = mark_of(row, self.second)
        elif self.version:
            row = edited(row, self.text, self.second)
        return json.dumps(row).encode()


class Live(NamedTuple):
    """A row that the CRM's own webhook wrote, of a message one to one.

    Attributes:
        name: WAHA's id as the webhook got it, full or bare.
        by_phone: whether its contact carries the number; else it is a contact of the CRM without.
    """

    channel: int
    stanza: Stanza
    address: str
    name: str
    source: str
    contact: UUID
    by_phone: bool


# -- what is true ---------------------------------------------------------------------------------

Block = frozenset[str]
Pair = frozenset[str]


def pair(one: str, other: str) -> Pair:
    return frozenset((one, other))


def partition(told: dict[tuple[Pair, str], datetime], apart: Collection[Pair]) -> dict[str, Block]:
    """Join addresses into people, by the law alone.

    An operator's word comes first, then looks (in the order of the addresses), then the better
    source, then the newer word. What contradicts something that came before is left out: two people
    with a number each, of which none is a line of the other, and any two addresses that a person
    took apart.
    """
    blocks = {address: frozenset((address,)) for address in ADDRESSES}

    def order(key: tuple[Pair, str]) -> tuple[int, float, list[str]]:
        two, source = key
        return TRUST.index(source), -told[key].timestamp(), sorted(two)

    ranked = sorted(told, key=order)
    by_operator = [two for two, source in ranked if source == "operator"]
    others = [two for two, source in ranked if source != "operator"]
    alike = [pair(*two) for two in sorted(sorted(two) for two in ALIKE)]
    for two in (*by_operator, *alike, *others):
        left, right = (blocks[address] for address in sorted(two))
        is_apart = any(pair(a, b) in apart for a in left for b in right)
        if not is_apart and (two in by_operator or not are_strangers(left, right)):
            blocks.update(dict.fromkeys(left | right, left | right))
    return blocks


def are_strangers(left: Block, right: Block) -> bool:
    """Return whether both have a number, and no line of the one is a line of the other."""
    lines, others = ({LINE[a] for a in block if a in LINE} for block in (left, right))
    return bool(lines and others and not lines & others)


@dataclass
class Facts:
    """What is known of one message from all rows that showed it."""

    seconds: set[int] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)
    ranks: set[int] = field(default_factory=set)
    senders: set[str] = field(default_factory=set)
    is_revoked: bool = False


@dataclass
class Truth:
    """What WAHA showed, what was loaded of it, and what was said of people."""

    archived: list[Seen] = field(default_factory=list)
    loaded: set[Seen] = field(default_factory=set)
    lives: list[Live] = field(default_factory=list)
    told: dict[tuple[Pair, str], datetime] = field(default_factory=dict)
    apart: set[Pair] = field(default_factory=set)

    def tell(self, one: str, other: str, source: str, seen_at: datetime) -> bool:
        """Remember somebody's word; return whether it was never said before."""
        key = (pair(one, other), source)
        is_new = key not in self.told
        self.told[key] = max(seen_at, self.told.get(key, seen_at))
        return is_new

    def load(self, channel: int, days: Collection[date]) -> bool:
        """Take some days as loaded; return whether all that they say of people is new."""
        said: dict[tuple[str, str], int] = {}
        for row in self.archived:
            if row.channel == channel and row.day in days:
                self.loaded.add(row)
                if row.alt and not row.is_mark:
                    two = (row.address, row.alt)
                    said[two] = max(row.second, said.get(two, 0))
        news = [
            self.tell(one, other, "messages", datetime.fromtimestamp(second, UTC))
            for (one, other), second in said.items()
        ]
        return all(news)

    def shown(self) -> list[Seen | Live]:
        """Return every row that anybody has shown."""
        return [*self.archived, *self.lives]

    def days(self) -> dict[int, list[date]]:
        """Return the days of each channel that hold rows, ascending."""
        shown = sorted({(row.channel, row.day) for row in self.archived})
        return {c: [day for channel, day in shown if channel == c] for c, _ in shown}

    def people(self) -> dict[str, Block]:
        return partition(self.told, self.apart)

    def addresses(self) -> set[str]:
        """Return the addresses that loaded messages stand under."""
        return {
            row.address for row in self.loaded if not (row.stanza.in_group and row.stanza.from_me)
        }

    def messages(self, people: dict[str, Block]) -> dict[tuple[int, Block, Stanza], Facts]:
        """Return every message that the CRM must hold: by channel, conversation and stanza."""
        found: dict[tuple[int, Block, Stanza], Facts] = {}
        for row in sorted(self.loaded, key=lambda row: row.is_mark):
            key = (row.channel, self.conversation(row, people), row.stanza)
            facts = found.setdefault(key, Facts())
            if row.is_mark:
                # A mark says nothing of its message, and stands in its place until it comes.
                facts.is_revoked = True
                continue
            facts.seconds.add(row.second)
            facts.versions.add(row.version)
            facts.ranks.add(RANK[row.ack] if row.stanza.from_me else 0)
            facts.senders.add(row.address)
        for live in self.lives:
            key = (live.channel, people[live.address], live.stanza)
            if key in found:
                found[key].seconds.add(live.stanza.second)
                found[key].versions.add(0)
                found[key].senders.add(live.address)
        return found

    @staticmethod
    def conversation(row: Seen, people: dict[str, Block]) -> Block:
        return frozenset((GROUP,)) if row.stanza.in_group else people[row.address]


# -- the CRM --------------------------------------------------------------------------------------


class CrashError(Exception):
    """The process was killed here."""


class MemoryStore:
    """The archive's files without a disk: nothing here is about files."""

    place = "memory"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.files.get(name)

    def put(self, name: str, content: bytes, *, sync: bool = True) -> None:
        self.files[name] = content

    def sizes(self, folder: str) -> dict[str, int]:
        inside = f"{folder}/"
        return {name: len(file) for name, file in self.files.items() if name.startswith(inside)}

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def tidy(self, folder: str) -> None: ...


# In one statement, so that emptying costs one round trip; what hangs on these goes by cascade.
_EMPTY = """
    TRUNCATE public.messages, public.sessions, public.contacts, public.chats, history_sync.people,
        history_sync.balance, history_sync.coverage, history_sync.quarantine, history_sync.evidence,
        history_sync.separations, history_sync.channel_state, history_sync.loaded_days,
        history_sync.runs, history_sync.writes, history_sync.changes, history_sync.erased,
        history_sync.erasures CASCADE
"""
_ROWS = """
    SELECT m.id, m.channel_id, k.stanza_id, k.address, m.contact_id, m.from_me, m.text, m.status,
        extract(epoch FROM m."timestamp")::bigint AS second, m.source, m.content_type,
        m.channel_message_id AS name, k.duplicate_of,
        m.deleted_at IS NULL AS is_live, m.metadata ? 'revoked' AS is_revoked,
        (SELECT i.contact_id FROM history_sync.people AS p
         INNER JOIN history_sync.identities AS i USING (contact_id)
         WHERE p.chat_id = k.chat_id LIMIT 1) AS owner
    FROM public.messages AS m LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
"""
_CONTACTS = """
    SELECT c.id, c.phone, c.deleted_at IS NULL AS is_live, coalesce(p.is_ours, false) AS is_ours,
        coalesce(p.is_group, false) AS is_group, p.absorbed_by,
        -- A contact that the CRM made for a number of ours has a name of its own among them, too.
        ARRAY(
            SELECT i.address FROM history_sync.identities AS i
            WHERE i.contact_id = c.id AND i.address NOT LIKE '%%@contact'
        ) AS addresses
    FROM public.contacts AS c LEFT JOIN history_sync.people AS p ON p.contact_id = c.id
"""
_STANZA_EVIDENCE = "SELECT one, other, seen_at FROM history_sync.evidence WHERE source = 'stanzas'"
_BALANCES = """
    SELECT * FROM history_sync.balance
    WHERE seen <> inserted + updated + unchanged + duplicate + filtered + quarantined
"""
# All that a person sees in the CRM and all that we know, whatever rows' versions and moments.
_STATE = {
    "contacts": ("public.contacts", "version,updated_at"),
    "people": ("history_sync.people", ""),
    "identities": ("history_sync.identities", ""),
    "chats": ("public.chats", "version,updated_at"),
    "messages": ("public.messages", "updated_at"),
    "keys": ("history_sync.message_keys", "changed_by_run"),
    "sessions": ("public.sessions", "version,created_at,updated_at"),
    "fields": ("public.contact_custom_fields", "created_at,updated_at"),
    "stages": ("public.contact_pipeline_statuses", "created_at,updated_at"),
}


class Crm:
    """A database with two channels of one project, emptied between programs."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, history_start=START, _env_file=None)  # type: ignore[call-arg]
        self.channels: list[Channel] = [
            add_channel(
                engine,
                session=session,
                base_url="http://127.0.0.1:9",
                api_key_env=KEY_VARIABLE,
                agent="History",
                allow_groups=True,
            )
            for session in ("first", "second")
        ]
        self.empty()

    def empty(self) -> None:
        self.archive = Archive(self.settings.archive_dir)
        self.archive.store = MemoryStore()  # type: ignore[assignment]
        self.reads = count()
        for channel in self.channels:
            for day in DAYS:
                self.archive.write(channel.key, day, [], read_at=NOW)
        self.forget()

    def forget(self) -> None:
        """Empty the database, and keep the archive."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(_EMPTY)

    def read(self, row: Seen) -> None:
        """Put a row into the archive as a reader would."""
        payload = row.payload()
        self.archive.write(
            self.channels[row.channel].key,
            row.day,
            [Row(json.loads(payload)["id"], payload)],
            read_at=NOW - timedelta(days=1) + timedelta(minutes=next(self.reads)),
        )

    def load(self, channel: int, days: Sequence[date], run_id: str | None = None) -> None:
        run_id = run_id or str(uuid4())
        run = Importer(
            self.engine, self.archive, self.settings, self.channels[channel], run_id, NOW
        )
        for _ in run.load_days(days):
            pass

    def learn(self, one: str, other: str, source: str, seen_at: datetime) -> Settled:
        return self.learn_all([(one, other, source, seen_at)])

    def learn_all(self, told: Iterable[tuple[str, str, str, datetime]]) -> Settled:
        evidence = [Evidence(*said) for said in told]
        return settle_people(self.engine, self.channels[0], str(uuid4()), evidence)

    def settle(self) -> Settled:
        return settle_people(self.engine, self.channels[0], str(uuid4()))

    def is_settled(self) -> bool:
        return merging.unsettled(self.engine, self.channels[0]).is_empty

    def undo(self, merge_id: str) -> Settled:
        return undo_merge(self.engine, self.channels[0], merge_id, str(uuid4()))

    def separate(self, apart: Iterable[Pair]) -> None:
        with self.engine.begin() as connection:
            for two in apart:
                one, other = sorted(two)
                connection.exec_driver_sql(
                    "INSERT INTO history_sync.separations (project_id, one, other)"
                    " VALUES (%(project)s, %(one)s, %(other)s)",
                    {"project": self.channels[0].project_id, "one": one, "other": other},
                )

    def query(self, statement: str, **values: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql(statement, values or None)
            return [dict(row) for row in found.mappings()]

    def rows(self) -> list[dict[str, Any]]:
        return self.query(_ROWS)

    def contacts(self) -> list[dict[str, Any]]:
        return self.query(_CONTACTS)

    def stanza_evidence(self) -> list[tuple[str, str, datetime]]:
        return [tuple(row.values()) for row in self.query(_STANZA_EVIDENCE)]

    def merges(self) -> list[dict[str, Any]]:
        return self.query(
            "SELECT merge_id::text, kept_addresses, absorbed_addresses, undone_at, EXISTS ("
            " SELECT FROM history_sync.merges AS later"
            " WHERE later.absorbed = m.kept AND later.undone_at IS NULL) AS stands_under"
            " FROM history_sync.merges AS m ORDER BY merged_at, absorbed_addresses"
        )

    def state(self) -> dict[str, list[Any]]:
        lines = " UNION ALL ".join(
            f"SELECT '{name}' AS kind, (to_jsonb(t) - '{{{without}}}'::text[])::text AS row"
            f" FROM {table} AS t"
            for name, (table, without) in _STATE.items()
        )
        found: dict[str, list[Any]] = {name: [] for name in _STATE}
        for row in self.query(lines):
            found[row["kind"]].append(row["row"])
        # What the importer itself wrote and took back is no difference: a field that tells an
        # address, a conversation that a merge opened.
        for name in ("fields", "chats"):
            found[name] = [row for row in found[name] if '"deleted_at": null' in row]
        return {name: sorted(rows) for name, rows in found.items()}

    def findings(self) -> dict[str, Any]:
        """Ask every proof of every channel; return what is violated."""
        found: dict[str, Any] = {}
        for channel in self.channels:
            for proof in PROOFS:
                known = {
                    "channel_id": channel.id,
                    "project_id": channel.project_id,
                    "run_id": None,
                    "days": None,
                    "since": None,
                    "until": None,
                }
                if violations := self.query(read_sql(proof.statement), **known):
                    found[proof.name] = violations
        # Of all runs, where the proof asks for one.
        if violations := self.query(_BALANCES):
            found["balance_closes"] = violations
        return found

    # -- the CRM's own writer ---------------------------------------------------------------------

    def write_live(self, live: Live) -> Live | None:
        """Store a message as the CRM's webhook does; None where it holds that name already."""
        channel = self.channels[live.channel]
        values = {
            "id": uuid4(),
            "contact": live.contact,
            "phone": live.address.partition("@")[0] if live.by_phone else None,
            "project": channel.project_id,
            "tenant": channel.tenant_id,
            "owner": channel.user_id,
            "channel": channel.id,
            "name": live.name,
            "source": live.source,
            "from_me": live.stanza.from_me,
            "text": f"{live.stanza.id} 0",
            "at": datetime.fromtimestamp(live.stanza.second, UTC),
        }
        with self.engine.begin() as connection:
            if connection.execute(sa.text(_IS_STORED), values).scalar():
                return None
            known = connection.execute(sa.text(_CONTACT_OF), values).scalar()
            values["contact"] = known or live.contact
            if known is None:
                connection.execute(sa.text(_INSERT_CONTACT), values)
            connection.execute(sa.text(_INSERT_LIVE), values)
            contact = known or live.contact
        return live._replace(contact=contact)

    @contextmanager
    def crash(self, owner: Any, name: str) -> Iterator[None]:
        """Kill whatever runs `name` when all of it is done and nothing is committed."""
        whole: Callable[..., Any] = getattr(owner, name)

        def killed(*arguments: Any, **named: Any) -> None:
            whole(*arguments, **named)
            raise CrashError(name)

        with patch.object(owner, name, killed):
            yield


LATE_IN_LOAD = (load, "_account")
LATE_IN_SETTLING = (merging._Movement, "_cut_sessions")
_IS_STORED = (
    "SELECT EXISTS (SELECT FROM messages WHERE channel_id = :channel"
    " AND channel_message_id = :name AND deleted_at IS NULL)"
)
# The CRM stores phones with and without the plus sign.
_CONTACT_OF = (
    "SELECT id FROM contacts WHERE ltrim(phone, '+') = :phone AND deleted_at IS NULL"
    " UNION ALL SELECT id FROM contacts WHERE id = :contact LIMIT 1"
)
_INSERT_CONTACT = (
    "INSERT INTO contacts (id, project_id, tenant_id, name, phone, created_at)"
    " VALUES (:contact, :project, :tenant, 'Do balcão', :phone, now())"
)
_INSERT_LIVE = (
    "INSERT INTO messages (id, tenant_id, timestamp, user_id, project_id, from_me, channel_id,"
    " contact_id, text, channel_message_id, source, status, created_at) VALUES (:id, :tenant, :at,"
    " :owner, :project, :from_me, :channel, :contact, :text, :name, :source, 'sent', now())"
)


def addresses_by_contact(contacts: Iterable[dict[str, Any]]) -> dict[str, UUID]:
    return {address: row["id"] for row in contacts for address in row["addresses"]}
