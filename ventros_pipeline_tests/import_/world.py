"""One channel, its archive and its database, and small accounts written by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import Engine

from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel, add_channel, get_channel
from ventros_pipeline.crm.checks import PROOFS, prove, prove_times
from ventros_pipeline.importer import Importer, archived_times
from ventros_pipeline.settings import Settings

KEY = "correct-horse-battery-staple"
KEY_VARIABLE = "VENTROS_TEST_WAHA_KEY"
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
START = date(2026, 6, 1)
ME, ME_LID = "5511990000000@c.us", "199900000000001@lid"


@dataclass
class World:
    """A channel with everything an importer needs; every import is a run of its own."""

    engine: Engine
    home: Path
    channel: Channel
    start: date = START
    now: datetime = NOW
    place: str | None = None  # URI of the archive, where it is not in the home.
    run_ids: list[str] = field(default_factory=list)

    @property
    def archive(self) -> Archive:
        return Archive(self.place or self.home / "archive")

    @property
    def days(self) -> list[date]:
        return days_between(self.start, self.now.date())

    def importer(self, *, now: datetime | None = None) -> Importer:
        self.run_ids.append(str(uuid4()))
        settings = Settings(
            home=self.home,
            history_start=self.start,
            request_attempts=1,
            _env_file=None,  # type: ignore[call-arg]
        )
        return Importer(
            self.engine, self.archive, settings, self.channel, self.run_ids[-1], now or self.now
        )

    def import_days(
        self, days: Sequence[date] | None = None, *, now: datetime | None = None
    ) -> dict[str, int]:
        """Run one import of contiguous days and return its figures."""
        days = days or self.days
        importer = self.importer(now=now)
        ledger.start_run(self.engine, self.channel, importer.run_id, days[0], days[-1])
        importer.refresh_directory()
        for _ in importer.read_days(days):
            pass
        for _ in importer.load_days(days):
            pass
        ledger.end_run(self.engine, self.channel, importer.run_id)
        return ledger.totals(self.engine, self.channel, [importer.run_id])

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]

    def value(self, statement: str, **values: object) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(statement), values).scalar()

    def execute(self, statement: str, **values: object) -> int:
        with self.engine.begin() as connection:
            return connection.execute(sa.text(statement), values).rowcount

    def change_channel(self, assignment: str) -> None:
        """Change the channel's own row and read it anew."""
        self.execute(f"UPDATE channels SET {assignment} WHERE id = :id", id=self.channel.id)
        self.channel = get_channel(self.engine, str(self.channel.id))

    def findings(self) -> dict[str, int]:
        """Ask every proof; return how many violations each one found."""
        found = {
            proof.name: prove(self.engine, self.channel, proof, self.run_ids[-1]).found
            for proof in PROOFS
        }
        days = self.archive.days(self.channel.key)
        said = archived_times(self.archive, self.channel.key, days)
        found["original_times_kept"] = prove_times(self.engine, self.channel, days, said).found
        return found

    def assert_proved(self) -> None:
        """Assert that every proof holds."""
        assert not {name: found for name, found in self.findings().items() if found}


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def new_world(
    engine: Engine,
    home: Path,
    base_url: str,
    *,
    allow_groups: bool = True,
    start: date = START,
    now: datetime = NOW,
) -> World:
    channel = add_channel(
        engine,
        session="default",
        base_url=base_url,
        api_key_env=KEY_VARIABLE,
        agent="History",
        allow_groups=allow_groups,
    )
    return World(engine, home, channel, start, now)


# -- what an import leaves ---------------------------------------------------------------------


def content(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return the CRM's rows, whole, but for the columns that say when a row was written.

    `created_at` and `updated_at` are the moment of the import, not of the message; a chat says the
    same of its contact under `joined_at`. `version` of contacts and chats counts writes, and their
    last message comes with every day; a session's counts what it has absorbed.
    """
    keep = "to_jsonb(t) - 'created_at' - 'updated_at'"
    found = {
        table: world.rows(f"SELECT id, ({keep})::text AS row FROM {table} AS t ORDER BY id")
        for table in ("messages", "sessions", "agent_sessions", "contact_custom_fields")
    }
    keep += " - 'version'"
    found["contacts"] = world.rows(
        f"SELECT id, ({keep})::text AS row FROM contacts AS t ORDER BY id"
    )
    chat = f"({keep} || jsonb_build_object('participants', participants #- '{{0,joined_at}}'))"
    found["chats"] = world.rows(f"SELECT id, {chat}::text AS row FROM chats AS t ORDER BY id")
    keys = "to_jsonb(t) - 'inserted_by_run' - 'changed_by_run'"
    found["keys"] = world.rows(
        f"SELECT message_id, ({keys})::text AS row FROM history_sync.message_keys AS t ORDER BY 1"
    )
    return found


# -- accounts by hand ----------------------------------------------------------------------------


def at(text: str) -> int:
    """Return the epoch second of `2026-06-02 10:00`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def shown(jid: str) -> str:
    return jid.replace("@s.whatsapp.net", "@c.us")


def message(
    chat: str,
    stanza: str,
    timestamp: Any,
    text: str | None = "oi",
    *,
    from_me: bool = False,
    ack: int | None = None,
    participant: str | None = None,
    push_name: str | None = None,
    content: dict[str, Any] | None = None,
    key: dict[str, str] | None = None,
    **members: Any,
) -> dict[str, Any]:
    """Return a message as NOWEB answers it.

    Args:
        content: `_data.message`; a plain text by default.
        key: further members of `_data.key`, such as `remoteJidAlt`.
        members: further members of the message, or other values for them.
    """
    address = shown(chat)
    inner = {"remoteJid": chat, "fromMe": from_me, "id": stanza, **(key or {})}
    whole: dict[str, Any] = {
        "id": f"{str(from_me).lower()}_{address}_{stanza}",
        "timestamp": timestamp,
        "from": address,
        "fromMe": from_me,
        "source": "app",
        "body": text,
    }
    if participant:
        whole["id"] += f"_{shown(participant)}"
        whole |= {"to": address, "participant": shown(participant)}
        inner["participant"] = participant
    data: dict[str, Any] = {
        "key": inner,
        "message": content or {"conversation": text},
        "messageTimestamp": timestamp,
    }
    if push_name:
        data["pushName"] = push_name
    whole |= {"hasMedia": False, "media": None, "ack": ack, "location": None, "vCards": None}
    return whole | {"replyTo": None, "_data": data} | members


def edited(row: dict[str, Any], text: str, timestamp: int) -> dict[str, Any]:
    """Return what NOWEB makes of a row when it is edited: the wrapper, and the time of the edit."""
    content = {"editedMessage": {"message": {"conversation": text}}}
    data = row["_data"] | {"message": content, "messageTimestamp": timestamp}
    return row | {"timestamp": timestamp, "body": text, "_data": data}


def write_account(
    folder: Path,
    rows: Sequence[tuple[str, dict[str, Any] | bytes]],
    *,
    lids: dict[str, str] | None = None,
    contacts: Sequence[dict[str, Any]] = (),
    groups: dict[str, Any] | None = None,
    chats: Sequence[str] = (),
) -> Path:
    """Write an account folder that holds these messages, by chat.

    Args:
        rows: (chat id, message); a message may be JSON text, to be served as it is.
        chats: further chats that are listed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = dict.fromkeys([*(chat for chat, _ in rows), *chats])
    with gzip.open(folder / "messages.ndjson.gz", "wb") as out:
        for chat in listed:
            found = [row for where, row in rows if where == chat]
            texts = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in found]
            for text in sorted(texts, key=_order):
                out.write(b'{"chatId":"%s","message":%s}\n' % (chat.encode(), text))
    files: dict[str, Any] = {
        "me.json": {"id": ME, "pushName": "Conta", "lid": ME_LID},
        "chats.json": [
            {"id": chat, "conversationTimestamp": at("2026-06-30 00:00")} for chat in listed
        ],
        "contacts.json": list(contacts),
        "lids.json": [{"lid": lid, "pn": shown(pn)} for lid, pn in (lids or {}).items()],
        "groups.json": groups or {},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder


def _order(text: bytes) -> str:
    """WAHA sorts by the JSON text of the time."""
    return json.dumps(json.loads(text).get("timestamp"))
