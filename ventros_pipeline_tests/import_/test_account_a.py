"""Account A, whole and once: every figure of expected.json, recomputed from the CRM's own rows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ventros_pipeline.crm import ledger
from ventros_pipeline.report import report_of
from ventros_pipeline_tests.import_.world import World

# What the decoder is judged by: written again here, from the dump's own shapes.
WRAPPERS = ("ephemeralMessage", "viewOnceMessageV2", "documentWithCaptionMessage", "editedMessage")
NO_CONTENT = ("messageContextInfo", "senderKeyDistributionMessage")
CONTENT_TYPES = {
    "text": "text",
    "buttons_response": "text",
    "template_reply": "text",
    "list_response": "text",
    "image": "image",
    "video": "video",
    "gif": "video",
    "video_note": "video",
    "voice": "voice",
    "audio": "audio",
    "document": "document",
    "sticker": "sticker",
    "location": "location",
    "live_location": "location",
    "contact": "contact",
    "contacts": "contact",
    "poll": "system",
    "event": "system",
    "group_invite": "system",
    "list": "system",
}
KINDS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "pollCreationMessageV3": "poll",
    "contactMessage": "contact",
    "liveLocationMessage": "live_location",
    "buttonsResponseMessage": "buttons_response",
    "contactsArrayMessage": "contacts",
    "ptvMessage": "video_note",
    "templateButtonReplyMessage": "template_reply",
    "eventMessage": "event",
    "groupInviteMessage": "group_invite",
    "listResponseMessage": "list_response",
    "listMessage": "list",
}
STATUSES = {-1: "failed", 0: "queued", 1: "sent", 2: "delivered", 3: "read", 4: "read"}
SKIPPED = ("@broadcast", "@newsletter")
MESSAGES = """
    SELECT m.*, k.stanza_id, k.address, k.waha_id, m.timestamp AS at
    FROM messages AS m LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
"""


def content_of(row: dict[str, Any]) -> tuple[str, Any]:
    node = row["message"]["_data"]["message"]
    while wrapper := next((name for name in WRAPPERS if name in node), None):
        node = node[wrapper]["message"]
    return next((key, value) for key, value in node.items() if key not in NO_CONTENT)


def kind_of(row: dict[str, Any]) -> str:
    key, value = content_of(row)
    if key == "videoMessage":
        return "gif" if value.get("gifPlayback") else "video"
    if key == "audioMessage":
        return "voice" if value.get("ptt") else "audio"
    return KINDS[key]


def status_of(row: dict[str, Any]) -> str:
    message = row["message"]
    if not message["fromMe"] or message["ack"] is None:
        return "sent"
    if message["ack"] == 4 and CONTENT_TYPES[kind_of(row)] in ("voice", "video"):
        return "played"
    return STATUSES[message["ack"]]


def stanza_of(row: dict[str, Any]) -> str:
    return str(row["message"]["_data"]["key"]["id"])


def shown(jid: str) -> str:
    return jid.replace("@s.whatsapp.net", "@c.us")


def digest(rows: Iterable[dict[str, Any]]) -> str:
    """Return expected.json's fingerprint of CRM rows: stanza id, second, direction."""
    lines = [
        f"{row['stanza_id']}\t{int(row['at'].timestamp())}\t{str(row['from_me']).lower()}".encode()
        for row in rows
    ]
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


@pytest.fixture(scope="module")
def stored(imported_a: World) -> dict[str, dict[str, Any]]:
    """The CRM's rows by stanza id; in account A a stanza id occurs once."""
    rows = imported_a.rows(MESSAGES)
    assert len({row["stanza_id"] for row in rows}) == len(rows)
    return {row["stanza_id"]: row for row in rows}


@pytest.fixture(scope="module")
def wanted(dump_a: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The dump's rows that belong into the CRM, by stanza id."""
    return {stanza_of(row): row for row in dump_a if not row["chatId"].endswith(SKIPPED)}


def test_the_balance_with_groups_says_what_the_account_holds(imported_a: World) -> None:
    report = report_of(imported_a.engine, imported_a.channel)
    assert report.balance == {
        "seen": 8985,
        "inserted": 8370,
        "updated": 0,
        "unchanged": 0,
        "duplicate": 0,
        "filtered": 615,
        "quarantined": 0,
    }
    assert report.reasons == {"broadcast": 386, "newsletter": 229}
    assert report.closes
    assert imported_a.value("SELECT count(*) FROM messages") == 8370


def test_the_balance_without_groups_counts_each_group_message_as_left_out(
    imported_a_without_groups: World,
) -> None:
    report = report_of(imported_a_without_groups.engine, imported_a_without_groups.channel)
    assert report.balance["seen"] == 8985
    assert report.balance["inserted"] == 6604
    assert report.reasons == {"broadcast": 386, "group_not_allowed": 1766, "newsletter": 229}
    assert report.closes


def test_every_day_has_as_many_rows_as_the_account_says(
    imported_a: World, expected_a: dict[str, Any]
) -> None:
    seen = imported_a.rows("SELECT day, seen FROM history_sync.balance WHERE seen > 0")
    assert {row["day"].isoformat(): row["seen"] for row in seen} == expected_a["by_utc_day"]


def test_forty_seven_chats_are_forty_three_people(
    imported_a: World, expected_a: dict[str, Any]
) -> None:
    overview = ledger.overview(imported_a.engine, imported_a.channel)
    people = expected_a["people"]
    assert overview["one_to_one_chats"] == people["one_to_one_chats_listed"] == 47
    assert overview["people"] == people["distinct_after_lids_all"] == 43
    assert overview["people_with_messages"] == people["distinct_after_lids_with_messages"] == 41


def test_without_groups_a_contact_exists_for_each_person_and_for_nobody_else(
    imported_a_without_groups: World,
) -> None:
    contacts = imported_a_without_groups.rows("SELECT name, phone, external_id FROM contacts")
    assert len(contacts) == 43
    assert len({contact["phone"] for contact in contacts if contact["phone"]}) == 42
    [unmapped] = [contact for contact in contacts if contact["phone"] is None]
    assert unmapped["external_id"] == "206763581949725@lid"
    assert all(contact["name"] for contact in contacts)


@pytest.mark.parametrize("groups", [True, False])
def test_each_chat_has_its_count_and_its_fingerprint(
    groups: bool, expected_a: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    name = "imported_a" if groups else "imported_a_without_groups"
    world: World = request.getfixturevalue(name)
    by_address: dict[str, list[dict[str, Any]]] = {}
    for row in world.rows(MESSAGES):
        by_address.setdefault(row["address"], []).append(row)
    skipped = SKIPPED if groups else (*SKIPPED, "@g.us")
    imported = {chat: e for chat, e in expected_a["per_chat"].items() if not chat.endswith(skipped)}
    for chat, known in imported.items():
        rows = by_address.pop(shown(chat), [])
        assert (len(rows), digest(rows)) == (known["count"], known["sha256"])
    assert not by_address


def test_the_two_chats_of_one_person_are_one_conversation_with_one_contact(
    imported_a: World, expected_a: dict[str, Any]
) -> None:
    rows = imported_a.rows(MESSAGES)
    for canonical, known in expected_a["per_merged_chat"].items():
        addresses = {shown(chat) for chat in known["chats"]}
        [chat_id] = {row["chat_id"] for row in rows if row["address"] in addresses}
        merged = [row for row in rows if row["chat_id"] == chat_id]
        assert (len(merged), digest(merged)) == (known["count"], known["sha256"])
        assert len({row["contact_id"] for row in merged}) == 1
        phone = imported_a.value(
            "SELECT phone FROM contacts WHERE id = :id", id=merged[0]["contact_id"]
        )
        assert phone == f"+{canonical.partition('@')[0]}"


def test_kinds_are_the_accounts_kinds_in_the_crms_ten_types(
    stored: dict[str, dict[str, Any]],
    wanted: dict[str, dict[str, Any]],
    dump_a: list[dict[str, Any]],
    expected_a: dict[str, Any],
) -> None:
    assert Counter(map(kind_of, dump_a)) == expected_a["by_kind"]
    for stanza, row in wanted.items():
        kind = kind_of(row)
        assert stored[stanza]["content_type"] == CONTENT_TYPES[kind]
        assert stored[stanza]["metadata"]["kind"] == kind
    assert stored.keys() == wanted.keys()


def test_statuses_follow_the_acks_of_outgoing_messages_only(
    stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    said = {stanza: status_of(row) for stanza, row in wanted.items()}
    assert {stanza: row["status"] for stanza, row in stored.items()} == said
    acks = {stanza: row["message"]["ack"] for stanza, row in wanted.items()}
    assert {stanza: row["metadata"].get("ack") for stanza, row in stored.items()} == acks
    assert Counter(said.values())["failed"] == sum(
        row["message"]["fromMe"] and row["message"]["ack"] == -1 for row in wanted.values()
    )
    assert not any(row["delivered_at"] or row["read_at"] for row in stored.values())


def test_every_message_has_its_place_and_its_original_time(
    imported_a: World, stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    channel = imported_a.channel
    [agent] = imported_a.rows("SELECT id FROM agents WHERE name = 'History'")
    [project] = imported_a.rows(
        "SELECT user_id, tenant_id FROM projects WHERE id = :id", id=channel.project_id
    )
    whole = {
        "tenant_id": project["tenant_id"],
        "user_id": project["user_id"],
        "project_id": channel.project_id,
        "channel_id": channel.id,
        "agent_id": agent["id"],
        "source": "history_import",
        "channel_type_id": 1,
        "deleted_at": None,
    }
    chats = {row["id"] for row in imported_a.rows("SELECT id FROM chats")}
    sessions = {
        row["id"]: row["contact_id"]
        for row in imported_a.rows("SELECT id, contact_id FROM sessions")
    }
    for stanza, row in stored.items():
        said = wanted[stanza]["message"]
        assert {name: row[name] for name in whole} == whole
        assert row["chat_id"] in chats
        assert sessions[row["session_id"]] == row["contact_id"]
        assert row["at"] == datetime.fromtimestamp(said["timestamp"], UTC)
        assert row["from_me"] is said["fromMe"]
        assert row["channel_message_id"] == row["waha_id"] == said["id"]
    assert {row["session_id"] for row in stored.values()} == sessions.keys()


def test_every_message_has_its_text_and_its_media_type(
    stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    for stanza, row in wanted.items():
        _, content = content_of(row)
        said = row["message"]
        assert stored[stanza]["text"] == said["body"]
        if said["hasMedia"]:
            assert stored[stanza]["media_mimetype"] == content["mimetype"]
        caption = content.get("caption") if isinstance(content, dict) else None
        if caption and said["hasMedia"]:
            assert stored[stanza]["text"] == caption
        mentioned = [] if isinstance(content, str) else mentions_of(content)
        assert (stored[stanza]["mentions"] or []) == mentioned
    assert sum(row["message"]["hasMedia"] for row in wanted.values()) == sum(
        row["media_mimetype"] is not None for row in stored.values()
    )


def mentions_of(content: dict[str, Any]) -> list[str]:
    return [shown(jid) for jid in content.get("contextInfo", {}).get("mentionedJid") or []]


def test_every_message_keeps_what_has_no_column_as_metadata(
    stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    counted: Counter[str] = Counter()
    for stanza, row in wanted.items():
        said, metadata = row["message"], stored[stanza]["metadata"]
        assert metadata["chat"] == said["from"]
        assert metadata.get("sender") == said.get("participant")
        if said["location"]:
            place = metadata["location"]
            assert place["latitude"] == float(said["location"]["latitude"])
            assert place["longitude"] == float(said["location"]["longitude"])
            assert place.get("name") == said["location"].get("name")
        assert metadata.get("contacts") == (said["vCards"] or None)
        if kind_of(row) == "document":
            assert metadata["filename"] == content_of(row)[1]["fileName"]
        assert metadata.get("quoted_id") == (said["replyTo"] or {}).get("id")
        counted.update(
            name for name in ("location", "contacts", "filename", "quoted_id") if metadata.get(name)
        )
    assert all(counted[name] > 50 for name in ("location", "contacts", "filename", "quoted_id"))


def test_a_reply_is_linked_where_the_quoted_message_is_in_the_same_conversation(
    stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    linked = 0
    for stanza, row in wanted.items():
        quoted = stored.get((row["message"]["replyTo"] or {}).get("id", ""))
        here = stored[stanza]
        target = quoted["id"] if quoted and quoted["chat_id"] == here["chat_id"] else None
        assert here["reply_to_id"] == target
        linked += target is not None
    assert linked > 100


def test_in_groups_a_message_belongs_to_its_sender_and_ours_to_the_group(
    imported_a: World, stored: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    contact_of = {
        row["address"]: row["contact_id"]
        for row in imported_a.rows("SELECT address, contact_id FROM history_sync.identities")
    }
    for stanza, row in wanted.items():
        said = row["message"]
        if row["chatId"].endswith("@g.us"):
            whose = said["from"] if said["fromMe"] else said["participant"]
            assert stored[stanza]["contact_id"] == contact_of[whose]


def test_own_addresses_are_no_contacts(imported_a: World, expected_a: dict[str, Any]) -> None:
    own = [expected_a["me"]["id"], expected_a["me"]["lid"]]
    known = imported_a.rows(
        "SELECT 1 FROM history_sync.identities WHERE address = ANY(:own)", own=own
    )
    phones = imported_a.rows("SELECT 1 FROM contacts WHERE phone LIKE '%5511990000000'")
    assert not known
    assert not phones


def test_a_phone_number_never_comes_from_a_lid(
    imported_a: World, expected_a: dict[str, Any]
) -> None:
    lids = {
        row["address"].partition("@")[0]
        for row in imported_a.rows(
            "SELECT address FROM history_sync.identities WHERE address LIKE '%@lid'"
        )
    }
    phones = {
        row["phone"].lstrip("+")
        for row in imported_a.rows("SELECT phone FROM contacts WHERE phone IS NOT NULL")
    }
    assert len(lids) > 15
    assert not lids & phones


def test_nothing_is_in_quarantine_and_every_proof_holds(
    imported_a: World, imported_a_without_groups: World
) -> None:
    for world in (imported_a, imported_a_without_groups):
        assert world.value("SELECT count(*) FROM history_sync.quarantine") == 0
        world.assert_proved()


def test_an_import_starts_nothing_in_the_crm(imported_a: World) -> None:
    for table in ("outbox_events", "contact_events", "message_groups", "message_enrichments"):
        assert imported_a.value(f"SELECT count(*) FROM {table}") == 0


def test_the_archive_holds_every_row_and_no_secret(
    imported_a: World, dump_a: list[dict[str, Any]]
) -> None:
    archived = imported_a.archive.read(imported_a.channel.key, imported_a.days)
    assert archived["row_key"].n_unique() == archived.height == len(dump_a)
    secrets = {secret for row in dump_a for secret in secrets_of(row["message"])}
    assert len(secrets) > 2000
    whole = b"\n".join(archived["payload"].to_list())
    assert b'"mediaKey":null' in whole
    assert not secrets & set(re.findall(rb"[A-Za-z0-9+/=]{16,}", whole))


def secrets_of(node: object) -> Iterator[bytes]:
    """Yield the base64 of every key, secret and thumbnail, at any depth."""
    items = node.items() if isinstance(node, dict) else enumerate(node or ())
    for name, value in items:
        if name in ("mediaKey", "messageSecret", "jpegThumbnail") and value:
            yield value["data"].encode()
        elif isinstance(value, dict | list):
            yield from secrets_of(value)


def test_a_second_import_rewrites_nothing(
    imported_a_without_groups: World, now_a: datetime
) -> None:
    """Two hours later, so that the lists are read anew as well."""
    world = imported_a_without_groups
    tables = (
        "messages",
        "sessions",
        "agent_sessions",
        "contacts",
        "contact_custom_fields",
        "chats",
        "history_sync.message_keys",
        "history_sync.identities",
        "history_sync.sessions",
    )

    def versions() -> dict[str, list[dict[str, Any]]]:
        return {t: world.rows(f"SELECT ctid::text, xmin::text FROM {t} ORDER BY 1") for t in tables}

    before = versions()
    again = world.import_days(now=now_a + timedelta(hours=2))
    assert versions() == before
    assert (again["inserted"], again["updated"]) == (0, 0)
    assert again["unchanged"] == 6604
    assert (again["contacts_created"], again["sessions_created"]) == (0, 0)
    world.assert_proved()


def test_what_the_server_is_and_who_we_are_is_remembered(imported_a: World) -> None:
    state = ledger.channel_state(imported_a.engine, imported_a.channel)
    assert state.engine == "NOWEB"
    assert state.waha_version == "2026.4.1"
    assert state.own_addresses == {"5511990000000@c.us", "199900000000001@lid"}
    assert state.directory_read_at == imported_a.now
    assert state.watermark == imported_a.value("SELECT max(timestamp) FROM messages")
