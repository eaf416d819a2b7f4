from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ventros_pipeline
from ventros_pipeline.waha.secrets import strip_secrets
from ventros_pipeline.waha.wire import MESSAGE_SCHEMA, decode_rows

PAYLOADS = Path(__file__).parents[2].parent / "shared" / "reference" / "payloads"
ACCOUNT = Path(ventros_pipeline.__file__).parent / "replay" / "accounts" / "a"
ME = "5511900000000@c.us"
GOWS = {
    "chat": "554498216002@c.us",
    "chat_alt": "197582060286158@lid",
    "from_me": False,
    "sender": None,
    "ack": 2,
    "push_name": "Contato 02",
}
LID = {"chat": "100614748999418@lid", "chat_alt": "51982558216@c.us", "from_me": False, "ack": 2}
WEB = {"chat": "5511987654321@c.us", "from_me": False, "ack": 1, "sender": None, "chat_alt": None}
OUT = {"from_me": True, "sender": None}

# Written by reading each file. Keys are columns of the frame.
EXPECTED: dict[str, dict[str, Any]] = {
    "gows_dm_in_audio_file": GOWS
    | {
        "raw_kind": "audio",
        "timestamp": 1759876026,
        "stanza_id": "2A2D75B5A172C2ED712B",
        "has_media": True,
        "media_mimetype": "audio/ogg; codecs=opus",
        "media_size": 9515,
        "media_seconds": 4,
        "media_sha256": "Wi5RUbK7jEM2zW1VWbd898E4xvWSENvksTKvYB0/y+M=",
        "forwarded": True,
        "text": None,
    },
    "gows_dm_in_contact_vcard": GOWS
    | {"raw_kind": "contact", "has_media": False, "text": None, "timestamp": 1759875262},
    "gows_dm_in_document_heic": GOWS
    | {
        "raw_kind": "document",
        "media_filename": "IMG_8908.HEIC",
        "media_mimetype": "image/heic",
        "media_size": 1812185,
    },
    "gows_dm_in_document_pdf": GOWS
    | {
        "raw_kind": "document",
        "media_filename": "DOC-20241112-WA0012..pdf",
        "media_mimetype": "application/pdf",
        "media_size": 714721,
    },
    "gows_dm_in_image_caption": GOWS
    | {"raw_kind": "image", "text": "Teste", "media_mimetype": "image/jpeg", "media_size": 98108},
    "gows_dm_in_image_nocaption": GOWS | {"raw_kind": "image", "text": None, "has_media": True},
    "gows_dm_in_location": GOWS
    | {"raw_kind": "location", "latitude": -23.5505, "longitude": -46.6333, "text": None},
    "gows_dm_in_media_403": WEB
    | {
        "raw_kind": "image",
        "ack": 2,
        "has_media": True,
        "media_url": None,
        "media_mimetype": "image/jpeg",
        "media_size": 1000,
    },
    "gows_dm_in_poll": WEB
    | {
        "raw_kind": "poll",
        "ack": 2,
        "text": None,
        "details": {"name": "Qual dia?", "options": ["Seg", "Ter"], "selectable": 1},
    },
    "gows_dm_in_ptt": GOWS | {"raw_kind": "voice", "media_seconds": 3, "media_size": 6145},
    "gows_dm_in_reply": WEB
    | {
        "raw_kind": "text",
        "ack": 2,
        "text": "sim",
        "reply_to": "3EB0AAAAAAAAAAAAAAAAAB",
        "reply_participant": ME,
    },
    "gows_dm_in_sticker": GOWS
    | {"raw_kind": "sticker", "media_mimetype": "image/webp", "timestamp": 1759890188},
    "gows_dm_in_text_ctwa_ad": {
        "raw_kind": "text",
        "chat": "554492504369@c.us",
        "chat_alt": "16217219468111@lid",
        "from_me": False,
        "ack": None,
        "timestamp": 1759425214,
        "text": "Olá! Tenho interesse no curso e queria mais informações, por favor.",
    },
    "gows_dm_in_text_extended": GOWS
    | {"raw_kind": "text", "text": "Teste", "stanza_id": "3FFDB5F2F4D38F66259E"},
    "gows_dm_in_text_lid": {
        "raw_kind": "text",
        "chat": "32161593992794@lid",
        "chat_alt": "558582970407@c.us",
        "text": "Ixi kkk",
        "ack": 2,
    },
    "gows_dm_in_text_rawid_trimmed": {
        "raw_kind": "text",
        "waha_id": "3ACFFE30E9E8040F816D",
        "stanza_id": "3ACFFE30E9E8040F816D",
        "chat": "554490575930@c.us",
        "chat_alt": "25600764544074@lid",
        "from_me": False,
        "ack": None,
        "text": "No momento não consigo",
    },
    "gows_dm_out_text_history_no_status": OUT
    | {"raw_kind": "text", "chat": "5511987654321@c.us", "ack": None, "timestamp": 1577836800},
    "gows_dm_out_text_read": OUT
    | {"raw_kind": "text", "chat": "5511987654321@c.us", "ack": 3, "text": "olá"},
    "gows_group_in_text_lid_participant": {
        "raw_kind": "text",
        "chat": "120363569315946519@g.us",
        "sender": "25248929634436@lid",
        "from_me": False,
        "text": "Bla",
        "ack": 2,
        "stanza_id": "ACAEA927F03171F8B9ACBD8AAEEE1090",
    },
    "gows_status_broadcast_image_trimmed": {
        "raw_kind": "image",
        "chat": "status@broadcast",
        "sender": "554494948014@c.us",
        "sender_alt": "121769258806586@lid",
        "stanza_id": "AC095079CEC24DE9DA36C1B02820D6B2",
        "ack": 2,
        "media_size": 95267,
    },
    "noweb_dm_in_edit_secret_encrypted_leak": LID
    | {"raw_kind": "unknown:secretEncryptedMessage", "from_me": True, "ack": 1, "text": None},
    "noweb_dm_in_history_ack_unknown": {
        "raw_kind": "text",
        "chat": "51982558216@c.us",
        "chat_alt": None,
        "ack": None,
        "text": "teste",
        "push_name": "Contato 13",
    },
    "noweb_dm_in_image_caption": LID
    | {
        "raw_kind": "image",
        "text": "Aquí está el caption.",
        "media_url": "https://example.com/url",
        "media_size": 41161,
        "has_media": True,
    },
    "noweb_dm_in_ptt_media_error": LID
    | {"raw_kind": "voice", "media_url": None, "media_seconds": 4, "media_size": 10460},
    "noweb_dm_in_reaction_in_store": {
        "raw_kind": "text",
        "from_me": True,
        "chat": "51982558216@c.us",
        "chat_alt": "100614748999418@lid",
        "details": {
            "reactions": [
                {
                    "sender": "51982558216@c.us",
                    "from_me": False,
                    "text": "❤️",
                    "at": 1718265740,
                }
            ]
        },
    },
    "noweb_dm_in_reply": LID
    | {
        "raw_kind": "text",
        "reply_to": "AC4A9A54E5E899689948A3A3472D802D",
        "reply_participant": "51914057472@c.us",
    },
    "noweb_dm_in_text_edited_in_store": LID
    | {
        "raw_kind": "text",
        "text": "Editado.",
        "edited": True,
        "edited_at": 1767366766,
        "timestamp": 1767366766,
        "wrappers": ["editedMessage"],
        "stanza_id": "AC4A9A54E5E899689948A3A3472D802D",
    },
    "noweb_dm_in_text_ephemeral_lid": LID
    | {"raw_kind": "text", "text": "Mensaje", "edited": False, "edited_at": None, "wrappers": []},
    "noweb_dm_in_text_forwarded": LID | {"raw_kind": "text", "forwarded": True},
    "noweb_dm_in_text_lid": {
        "raw_kind": "text",
        "chat": "155261089354394@lid",
        "chat_alt": "94741023383@c.us",
        "text": "Where do you deliver",
        "ack": 2,
    },
    "noweb_dm_in_video": LID
    | {"raw_kind": "video", "has_media": True, "media_seconds": 14, "media_size": 3927238},
    "noweb_dm_out_poll": OUT
    | {
        "raw_kind": "poll",
        "ack": 0,
        "details": {
            "name": "¿Cómo estás?",
            "options": ["Genial", "Bien", "Más o menos"],
            "selectable": 1,
        },
    },
    "noweb_dm_out_text_api_by_id": OUT | {"raw_kind": "text", "ack": 2},
    "noweb_dm_out_text_pending": OUT | {"raw_kind": "text", "ack": 0},
    "noweb_dm_out_vcard_forwarded": OUT
    | {"raw_kind": "contact", "ack": 0, "forwarded": True, "text": None},
    "noweb_group_out_user_receipt": {
        "raw_kind": "text",
        "from_me": True,
        "chat": "111111488708371810@g.us",
        "sender": "51914057472@c.us",
        "ack": 1,
    },
    "noweb_group_own_phone_fromMe_false": {
        "raw_kind": "text",
        "from_me": True,
        "chat": "120363657654842644@g.us",
        "sender": "197566390749114@lid",
        "sender_alt": "94757066860@c.us",
    },
    "noweb_list_messages_outgoing": OUT
    | {"raw_kind": "text", "ack": 2, "chat": "51983110047@c.us", "text": "the last message"},
    "noweb_newsletter_in_text": {
        "raw_kind": "text",
        "chat": "120363000000000000@newsletter",
        "ack": None,
        "text": "How are you all?! ❤️",
    },
    "webjs_dm_call_log": WEB
    | {"raw_kind": "call", "ack": 0, "details": {"outcome": "Missed", "video": False}},
    "webjs_dm_in_ciphertext_waiting": WEB | {"raw_kind": "ciphertext", "text": None},
    "webjs_dm_in_edited": WEB
    | {
        "raw_kind": "text",
        "text": "texto corrigido",
        "edited": True,
        "edited_at": 1767226460,
        "timestamp": 1767226400,
    },
    "webjs_dm_in_image": WEB
    | {"raw_kind": "image", "text": "legenda", "media_mimetype": "image/jpeg", "has_media": True},
    "webjs_dm_in_image_expired_no_directpath": WEB
    | {"raw_kind": "image", "text": None, "has_media": False, "timestamp": 1500000000},
    "webjs_dm_in_location": WEB
    | {
        "raw_kind": "location",
        "text": None,
        "latitude": -23.5505,
        "longitude": -46.6333,
        "location_name": "Escritório",
        "location_address": "Av. Exemplo 1",
    },
    "webjs_dm_in_poll": WEB
    | {
        "raw_kind": "poll",
        "text": "Qual dia?",
        "details": {"name": "Qual dia?", "options": ["Seg", "Ter"], "selectable": 1},
    },
    "webjs_dm_in_ptt": WEB | {"raw_kind": "voice", "ack": 4, "media_seconds": 4, "text": None},
    "webjs_dm_in_reply": WEB
    | {
        "raw_kind": "text",
        "text": "sim",
        "reply_to": "3EB000000000000000003",
        "reply_participant": ME,
    },
    "webjs_dm_in_revoked": WEB
    | {
        "raw_kind": "revoked",
        "stanza_id": "3A00000000000000000E",
        "revoked_stanza_id": "3A000000000000000001",
    },
    "webjs_dm_in_text": WEB | {"raw_kind": "text", "text": "Oi", "timestamp": 1767225600},
    "webjs_dm_in_text_lid_dollar1_id": {
        "raw_kind": "text",
        "chat": "100000000000001@lid",
        "stanza_id": "3A000000000000000002",
        "from_me": False,
    },
    "webjs_dm_in_vcard": WEB | {"raw_kind": "contact", "text": None},
    "webjs_dm_out_error": WEB | {"raw_kind": "text", "from_me": True, "ack": -1, "text": "falhou"},
    "webjs_dm_out_text_read": WEB | {"raw_kind": "text", "from_me": True, "ack": 3},
    "webjs_dm_system_e2e_notification": WEB
    | {"raw_kind": "notification", "from_me": True, "ack": 0},
    "webjs_group_gp2_system": {
        "raw_kind": "notification",
        "chat": "120363000000000001@g.us",
        "stanza_id": "255945813",
        "sender": ME,
        "details": {
            "type": "gp2",
            "subtype": "remove",
            "recipients": ["200000000000002@lid"],
        },
    },
    "webjs_group_in_text_lid_participant": {
        "raw_kind": "text",
        "chat": "120363843238473358@g.us",
        "sender": "25248929634436@lid",
        "from_me": False,
        "text": "Blooooo",
    },
    "wpp_dm_in_text": WEB | {"raw_kind": "text", "ack": 0, "text": "Oi"},
}
NOT_MESSAGES = {
    "error_": "answers of failed requests, see test_client",
    "event_": "webhook envelopes whose payload is an ack, a reaction, a vote, a label …",
    "noweb_raw_out_": "Baileys' own objects, answers of send endpoints, without id, time and chat",
    "noweb_chats_overview": "a chat, not a message; its lastMessage is in another sample",
    "webjs_chats_group_with_gp2_last_message": "a group, not a message",
}


def payload(name: str) -> tuple[dict[str, Any], set[str]]:
    document = json.loads((PAYLOADS / f"{name}.json").read_text())
    if isinstance(document, list):
        document = document[0]
    me = document.get("me", {})
    own = {me[key] for key in ("id", "lid") if key in me} or {ME, "197566390749114@lid"}
    return document.get("payload", document), own


def one(row: dict[str, Any] | bytes, own: set[str] | None = None) -> dict[str, Any]:
    raw = row if isinstance(row, bytes) else json.dumps(row).encode()
    decoded = decode_rows([raw], own or {ME})
    assert decoded.rejected == []
    found = decoded.frame.row(0, named=True)
    if found["details"]:
        found["details"] = json.loads(found["details"])
    return found


def noweb(message: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    key = {"remoteJid": "5511988887777@s.whatsapp.net", "fromMe": False, "id": "3EB0"}
    data = {"key": key, "message": message or {"conversation": "oi"}}
    row = {"id": "false_5511988887777@c.us_3EB0", "timestamp": 1700000000, "_data": data}
    return {**row, "from": "5511988887777@c.us", "fromMe": False, "body": "oi", **changes}


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payload samples are not here")
def test_every_sample_is_a_message_or_has_a_reason_not_to_be() -> None:
    for path in PAYLOADS.glob("*.json"):
        assert path.stem in EXPECTED or any(path.stem.startswith(n) for n in NOT_MESSAGES), path


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payload samples are not here")
@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_sample_decodes_to_what_it_is(name: str, stripped: bool) -> None:
    document, own = payload(name)
    raw = json.dumps(document).encode()
    found = one(strip_secrets(raw) if stripped else raw, own)
    assert {column: found[column] for column in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payload samples are not here")
def test_cards_and_advertisements_of_the_samples_are_kept() -> None:
    for name in ("gows_dm_in_contact_vcard", "noweb_dm_out_vcard_forwarded", "webjs_dm_in_vcard"):
        (card,) = one(payload(name)[0])["vcards"]
        assert card.startswith("BEGIN:VCARD")
    ad = json.loads(one(payload("gows_dm_in_text_ctwa_ad")[0])["ad"])
    assert (ad["source_type"], ad["source_id"]) == ("ad", "101013282769594188")
    assert ad["source_url"] == "https://example.com/sourceURL"
    assert ad["ctwa_clid"].startswith("burZ")
    assert ad["conversion_source"] == "FB_Ads"


@pytest.fixture(scope="module")
def account() -> pl.DataFrame:
    with gzip.open(ACCOUNT / "messages.ndjson.gz", "rb") as file:
        lines = file.read().splitlines(keepends=False)
    rows = [line[line.index(b'"message":') + 10 : -1] for line in lines]
    decoded = decode_rows([strip_secrets(row) for row in rows], {"5511990000000@c.us"})
    assert decoded.rejected == []
    return decoded.frame


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ACCOUNT / "expected.json").read_text())
    return found


def test_account_a_has_the_expected_kinds(account: pl.DataFrame, expected: dict[str, Any]) -> None:
    assert Counter(account["raw_kind"].to_list()) == expected["by_kind"]
    wrappers = account["wrappers"].explode().drop_nulls().to_list()
    assert Counter(wrappers) == expected["wrappers"]


def test_account_a_has_the_expected_directions_and_acks(
    account: pl.DataFrame, expected: dict[str, Any]
) -> None:
    names = {-1: "ERROR", 0: "PENDING", 1: "SERVER", 2: "DEVICE", 3: "READ", 4: "PLAYED"}
    found = Counter(
        f"fromMe={str(from_me).lower()} ack={ack} {names[ack]}"
        for from_me, ack in account.select("from_me", "ack").iter_rows()
    )
    assert found == expected["by_fromMe_and_ack"]


def test_account_a_has_the_expected_facts(account: pl.DataFrame, expected: dict[str, Any]) -> None:
    extra = expected["extra"]
    assert account["has_media"].sum() == extra["has_media"]
    assert account["reply_to"].count() == extra["reply"]
    assert account["text"].null_count() == extra["body_null"]
    assert account["sender"].count() == extra["with_participant"]
    assert account["push_name"].count() == extra["with_pushName"]
    assert account["latitude"].count() == extra["with_location"]
    assert account["vcards"].list.len().cast(pl.Boolean).sum() == extra["with_vcards"]
    assert account["forwarded"].sum() == extra["forwarded"]
    captioned = account.filter(pl.col("raw_kind").is_in(["image", "video", "gif", "document"]))
    assert captioned["text"].count() == extra["caption_nonempty"]
    reactions = (
        account["details"]
        .drop_nulls()
        .map_elements(
            lambda text: len(json.loads(text).get("reactions", [])), return_dtype=pl.Int64
        )
    )
    assert reactions.sum() == extra["reactions_total"]
    media = account.filter(pl.col("has_media"))
    found = Counter(f"{k} {m}" for k, m in media.select("raw_kind", "media_mimetype").iter_rows())
    assert found == expected["media_by_kind_and_mimetype"]


def test_account_a_keeps_chats_days_and_stanza_ids(
    account: pl.DataFrame, expected: dict[str, Any]
) -> None:
    per_chat = {
        chat.replace("@s.whatsapp.net", "@c.us"): facts["count"]
        for chat, facts in expected["per_chat"].items()
        if facts["count"]
    }
    assert Counter(account["chat"].to_list()) == per_chat
    assert account["stanza_id"].n_unique() == expected["distinct_stanza_ids"]
    found = Counter(
        pl.from_epoch(account["timestamp"], time_unit="s").dt.date().cast(pl.String).to_list()
    )
    assert found == expected["by_utc_day"]


def test_no_rows_give_an_empty_frame_of_the_same_schema() -> None:
    assert decode_rows([], set()).frame.schema == MESSAGE_SCHEMA


def test_only_what_cannot_be_a_message_is_rejected_with_a_reason() -> None:
    good = json.dumps(noweb()).encode()
    bad = {
        b"[1]": "not_an_object",
        b"null": "not_an_object",
        b'{"id":': "not_json",
        b"": "not_json",
        b"{}": "no_id",
        b'{"id":null,"from":"1@c.us"}': "no_id",
        b'{"id":{"x":1}}': "no_id",
        b'{"id":"3EB0"}': "no_chat",
        b'{"id":"a","from":"1@c.us","x":' + b"[" * 9000 + b"]" * 9000 + b"}": "too_deep",
    }
    decoded = decode_rows([good, *bad, good], set())
    assert [(r.index, r.reason) for r in decoded.rejected] == list(enumerate(bad.values(), 1))
    assert decoded.frame["index"].to_list() == [0, len(bad) + 1]
    assert decoded.frame.schema == MESSAGE_SCHEMA


def test_zero_bytes_and_lone_surrogates_are_mended() -> None:
    raw = json.dumps(noweb(body="a\x00b\ud83dc \\ud83d 🎉", id="false_1@c.us_X\x00Y")).encode()
    found = one(raw)
    assert found["text"] == "ab\ufffdc \\ud83d 🎉"
    assert found["waha_id"] == "false_1@c.us_XY"


def test_a_body_of_70_kb_is_kept_whole() -> None:
    assert len(one(noweb(body="ç" * 70_000))["text"]) == 70_000


def test_numbers_no_machine_holds_do_not_cost_the_row() -> None:
    raw = json.dumps(noweb(ack=3, x=1)).encode()
    for monster in (b"1" + b"0" * 5000, b"1e400", b"-1" + b"0" * 30):
        found = one(raw.replace(b'"x": 1', b'"media": {"x": ' + monster + b"}"))
        assert (found["ack"], found["text"]) == (3, "oi")


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.9", 1_700_000_000),
        ('"1700000000"', 1_700_000_000),
        ("0", 0),
        ("-62135596800", -62_135_596_800),
        ("1790000000123", 1_790_000_000_123),
        ("99999999999999999999", None),
        ("null", None),
        ('"soon"', None),
        ("true", None),
        ("{}", None),
    ],
)
def test_a_time_is_kept_raw_and_as_a_number_where_it_is_one(raw: str, seconds: int | None) -> None:
    found = one(
        json.dumps(noweb()).replace('"timestamp": 1700000000', f'"timestamp":{raw}').encode()
    )
    assert (found["timestamp"], found["timestamp_raw"]) == (seconds, raw)


def test_a_missing_time_is_null() -> None:
    row = noweb()
    del row["timestamp"]
    assert (one(row)["timestamp"], one(row)["timestamp_raw"]) == (None, "null")


@pytest.mark.parametrize(
    ("ack", "name", "number"),
    [
        (3, "READ", 3),
        ("3", None, 3),
        (None, "PLAYED", 4),
        (None, "UNKNOWN", None),
        (None, None, None),
        ("NaN", "UNKNOWN", None),
        (-1, "ERROR", -1),
        (9, None, None),
        (True, None, None),
        ({}, [], None),
    ],
)
def test_an_ack_is_a_number_or_nothing(ack: Any, name: Any, number: int | None) -> None:
    assert one(noweb(ack=ack, ackName=name))["ack"] == number


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ({"imageMessage": {"caption": "c"}}, "image", "c"),
        ({"videoMessage": {"gifPlayback": True}}, "gif", None),
        ({"ptvMessage": {}}, "video_note", None),
        ({"audioMessage": {"ptt": True}}, "voice", None),
        ({"audioMessage": {}}, "audio", None),
        ({"extendedTextMessage": {"text": "t"}}, "text", "t"),
        ({"messageContextInfo": {}, "conversation": "t"}, "text", "t"),
        ({"pollCreationMessageV5": {"name": "n"}}, "poll", None),
        ({"pollCreationMessageV4": {"message": {"pollCreationMessage": {}}}}, "poll", None),
        ({"albumMessage": {"expectedImageCount": 2}}, "album", None),
        ({"viewOnceMessageV2": {"message": {"imageMessage": {}}}}, "image", None),
        ({"viewOnceMessageV2": {"message": {}}}, "view_once_empty", None),
        ({"viewOnceMessage": None}, "view_once_empty", None),
        (
            {"ephemeralMessage": {"message": {"editedMessage": {"message": {}}}}},
            "unknown:empty",
            None,
        ),
        ({"protocolMessage": {"type": 0, "key": {"id": "X"}}}, "revoked", None),
        ({"protocolMessage": {"type": 14, "key": {"id": "X"}}}, "protocol", None),
        ({"interactiveMessage": {"body": {"text": "x"}}}, "interactive", None),
        ({"newThingMessage": {}}, "unknown:newThingMessage", None),
        ({"conversation": 5}, "text", None),
        ({"imageMessage": "broken"}, "image", None),
        ({}, "text", "oi"),
    ],
)
def test_a_kind_is_named_after_the_unwrapped_content(
    message: dict[str, Any], kind: str, text: str | None
) -> None:
    row = noweb(body=None)
    row["_data"]["message"] = message
    if not message:
        row["_data"].pop("message")
        row["body"] = "oi"
    found = one(row)
    assert (found["raw_kind"], found["text"]) == (kind, text)


def test_a_revoke_names_its_target() -> None:
    message = {"protocolMessage": {"type": "REVOKE", "key": {"ID": "3EB0TARGET"}}}
    assert one(noweb(message))["revoked_stanza_id"] == "3EB0TARGET"


def test_mentions_and_both_spellings_of_a_quote_are_read() -> None:
    for quote, mentions in (("stanzaId", "mentionedJid"), ("stanzaID", "mentionedJID")):
        context = {
            quote: "3EB0Q",
            "participant": "5511977776666:3@s.whatsapp.net",
            "quotedMessage": {},
            mentions: ["5511977776666@s.whatsapp.net", "199900000000009@lid", 5],
        }
        found = one(noweb({"extendedTextMessage": {"text": "t", "contextInfo": context}}))
        assert (found["reply_to"], found["reply_participant"]) == ("3EB0Q", "5511977776666@c.us")
        assert found["mentions"] == ["5511977776666@c.us", "199900000000009@lid"]


def test_a_name_for_the_other_address_before_alt_fields_is_read_for_others_only() -> None:
    row = noweb()
    row["_data"]["key"] |= {"remoteJid": "1@lid", "senderPn": "5511988887777@s.whatsapp.net"}
    row["from"] = "1@lid"
    assert one(row)["chat_alt"] == "5511988887777@c.us"
    row["fromMe"] = True
    assert one(row)["chat_alt"] is None


def test_webjs_ids_may_be_objects_without_a_serialized_form() -> None:
    key = {
        "fromMe": False,
        "remote": {"server": "g.us", "user": "1203"},
        "id": "255",
        "participant": {"$1": "5511988887777@c.us"},
    }
    found = one({"id": key, "timestamp": 1, "fromMe": False, "_data": {"id": key, "type": "gp2"}})
    assert found["waha_id"] == "false_1203@g.us_255_5511988887777@c.us"
    assert (found["chat"], found["sender"]) == ("1203@g.us", "5511988887777@c.us")


def test_webjs_puts_no_file_name_or_thumbnail_into_the_text() -> None:
    def text(kind: str, body: str, **data: Any) -> Any:
        fields = {"type": kind, "body": body, **data}
        row = {"id": "false_1@c.us_A", "from": "1@c.us", "body": body, "hasMedia": True}
        return one({**row, "_data": fields})["text"]

    assert text("document", "a.pdf", filename="a.pdf") is None
    assert text("document", "see this", filename="a.pdf", caption="see this") == "see this"
    assert text("image", "Q" * 400) is None
    assert text("chat", "/9j/ is not a picture here") == "/9j/ is not a picture here"


def test_answers_invitations_and_orders_keep_their_details() -> None:
    invite = {"groupJid": "1203@g.us", "groupName": "G", "inviteCode": "c", "caption": "entre"}
    assert one(noweb({"groupInviteMessage": invite}))["details"]["group"] == "1203@g.us"
    answer = {"selectedButtonId": "b1", "selectedDisplayText": "Sim"}
    assert one(noweb({"buttonsResponseMessage": answer}))["details"] == {"id": "b1", "text": "Sim"}
    order = {"orderId": "o", "itemCount": 2, "totalAmount1000": {"low": 5000, "high": 0}}
    assert one(noweb({"orderMessage": order}))["details"] == {
        "order": "o",
        "items": 2,
        "total_1000": 5000,
    }


fields = st.sampled_from(
    [
        "id",
        "timestamp",
        "from",
        "to",
        "participant",
        "fromMe",
        "body",
        "hasMedia",
        "media",
        "ack",
        "ackName",
        "location",
        "vCards",
        "replyTo",
        "_data",
        "key",
        "message",
        "Info",
        "Message",
        "remoteJid",
        "contextInfo",
        "externalAdReply",
        "type",
        "reactions",
        "conversation",
        "name",
        "imageMessage",
        "pollCreationMessage",
        "options",
        "listMessage",
        "sections",
        "rows",
        "seconds",
        "ephemeralMessage",
        "fileLength",
        "mimetype",
        "vcard",
        "latitude",
        "quotedMessage",
        "low",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["1@c.us", "1203@g.us", "false_1@c.us_A", "vcard", "poll_creation", "order"])
)
anything = st.recursive(
    scalars,
    lambda i: st.lists(i, max_size=4) | st.dictionaries(fields, i, max_size=8),
    max_leaves=40,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.dictionaries(fields, anything, max_size=12) | anything, max_size=4))
def test_no_row_of_any_shape_stops_a_page(rows: list[Any]) -> None:
    decoded = decode_rows([json.dumps(row).encode() for row in rows], {"1@c.us"})
    assert decoded.frame.schema == MESSAGE_SCHEMA
    seen = {*decoded.frame["index"].to_list(), *(r.index for r in decoded.rejected)}
    assert seen == set(range(len(rows)))


@settings(max_examples=300, deadline=None)
@given(fields, anything, st.sampled_from(["noweb", "gows", "webjs"]))
def test_a_broken_field_of_a_real_message_costs_only_that_field(
    name: str, value: Any, engine: str
) -> None:
    data = {
        "noweb": {
            "key": {"id": "A", "remoteJid": "1@c.us"},
            "message": {"listMessage": {name: value}},
        },
        "gows": {
            "Info": {"ID": "A", name: value},
            "Message": {"pollCreationMessage": {name: value}},
        },
        "webjs": {"id": {"id": "A"}, "type": "order", name: value},
    }[engine]
    row = {name: value, "id": "false_1@c.us_A", "from": "1@c.us", "_data": data}
    assert decode_rows([json.dumps(row).encode()], set()).rejected == []
