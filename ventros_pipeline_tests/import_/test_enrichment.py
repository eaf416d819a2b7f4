"""Requests to enrich imported media: which, in what words to the CRM, and within the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ventros_pipeline.crm.enrichment import Estimate, Order, enrich, estimate
from ventros_pipeline.replay.files import is_expired
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import Settings
from ventros_pipeline.transform.enrichment import CONTEXTS, KINDS, RULES, rules_for
from ventros_pipeline.waha import media as waha_media
from ventros_pipeline_tests.import_.world import World, at, message, write_account

ANA = "5511980000001@s.whatsapp.net"
NAMES = [f"3EB0{number:04X}" for number in range(200)]
THERE = [name for name in NAMES if not is_expired(name)]
GONE = [name for name in NAMES if is_expired(name)]
MEGABYTE = 1024 * 1024
PRICES = {"whisper": 0.006, "vision": 0.005, "ffmpeg": 0.03, "llamaparse": 0.003}
ORDER = Order(prices=PRICES, media_url="https://files.example.com/media/")
Serve = Callable[[Path], ReplayServer]
Row = tuple[str, dict[str, Any]]

VOICE = {"audio": {"mimetype": "audio/ogg; codecs=opus", "ptt": True, "seconds": 30}}
AUDIO = {"audio": {"mimetype": "audio/mpeg", "seconds": 120}}
IMAGE: dict[str, dict[str, Any]] = {"image": {"mimetype": "image/jpeg"}}
VIDEO = {"video": {"mimetype": "video/mp4", "seconds": 60}}
DOCUMENT = {"document": {"mimetype": "application/pdf", "fileName": "nota.pdf", "pageCount": 4}}
STICKER = {"sticker": {"mimetype": "image/webp"}}


def media(
    stanza: str, time: str, what: dict[str, Any], *, size: int | None = 2000, **more: Any
) -> Row:
    [(kind, node)] = what.items()
    declared = {} if size is None else {"fileLength": size}
    content = {f"{kind}Message": {"directPath": "/x", **declared, **node}}
    when = at(f"2026-06-02 {time}")
    return ANA, message(ANA, stanza, when, None, content=content, hasMedia=True, **more)


# One of each kind, the newest first, and a text.
ONE_OF_EACH = [
    media(THERE[0], "10:09", VOICE),
    media(THERE[1], "10:08", AUDIO),
    media(THERE[2], "10:07", IMAGE),
    media(THERE[3], "10:06", DOCUMENT),
    media(THERE[4], "10:05", VIDEO),
    media(THERE[5], "10:04", STICKER),
    (ANA, message(ANA, THERE[6], at("2026-06-02 10:03"))),
]


@pytest.fixture
def imported(world: World, replay: Serve, tmp_path: Path) -> Callable[..., None]:
    """Imports messages and, if asked to, fetches their files."""

    def run(*rows: Row, files: bool = True) -> None:
        replay(write_account(tmp_path / "account", rows))
        world.import_days()
        if files:
            world.importer().fetch_media(tuple(waha_media.CAPS), max_files=100)

    return run


def ask(world: World, order: Order = ORDER) -> Estimate:
    return enrich(world.engine, world.channel, order, str(uuid4()))


def requests(world: World) -> dict[str, dict[str, Any]]:
    """Return the CRM's enrichments with their groups, by stanza id."""
    rows = world.rows(
        "SELECT k.stanza_id, e.*, g.status AS group_status, g.contact_id AS group_contact, "
        "g.session_id AS group_session, g.message_ids, g.expires_at, m.contact_id, m.session_id, "
        "m.timestamp AS at FROM message_enrichments AS e "
        "JOIN message_groups AS g ON g.id = e.message_group_id "
        "JOIN messages AS m ON m.id = e.message_id "
        "JOIN history_sync.message_keys AS k ON k.message_id = m.id"
    )
    return {row["stanza_id"]: row for row in rows}


def versions(world: World) -> list[Any]:
    tables = ("message_enrichments", "message_groups", "messages", "outbox_events", "channels")
    return [world.rows(f"SELECT ctid::text, xmin::text FROM {t} ORDER BY 1") for t in tables]


def test_the_rules_are_the_crms_own_and_fit_what_is_fetched() -> None:
    assert [(r.kind, r.provider, r.priority, r.max_bytes // MEGABYTE, r.on) for r in RULES] == [
        ("voice", "whisper", 10, 25, True),
        ("audio", "whisper", 8, 25, True),
        ("image", "vision", 7, 10, True),
        ("document", "llamaparse", 6, 50, True),
        ("video", "ffmpeg", 3, 100, False),
    ]
    assert all(waha_media.CAPS[rule.kind] == rule.max_bytes for rule in RULES)
    assert len(set(CONTEXTS)) == 13
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.enrichment_prices == PRICES
    assert settings.media_url is None


@pytest.mark.parametrize(
    ("said", "kinds", "off", "max_bytes"),
    [
        (None, (), None, 10 * MEGABYTE),
        ({"image": {"enabled": True}}, (), None, 10 * MEGABYTE),
        ({"image": {"enabled": False}}, (), "off_for_channel", 10 * MEGABYTE),
        ({"image": {"enabled": False}}, ("image",), "off_for_channel", 10 * MEGABYTE),
        ({"image": False}, ("image",), "off_for_channel", 10 * MEGABYTE),
        ({"image": {"max_size_bytes": 5000}}, (), None, 5000),
        ({"image": {"max_size_bytes": 99 * MEGABYTE}}, (), None, 10 * MEGABYTE),
        ({"image": {"max_size_bytes": "much"}}, (), None, 10 * MEGABYTE),
        ({"image": ["nonsense"]}, (), None, 10 * MEGABYTE),
        ("nonsense", (), None, 10 * MEGABYTE),
        (None, ("voice",), "kind_not_asked_for", 10 * MEGABYTE),
    ],
)
def test_a_channel_turns_kinds_off_and_lowers_sizes(
    said: object, kinds: tuple[str, ...], off: str | None, max_bytes: int
) -> None:
    [image] = [rule for rule in rules_for(said, kinds, PRICES) if rule["kind"] == "image"]
    assert (image["off"], image["max_bytes"], image["usd"]) == (off, max_bytes, 0.005)


@pytest.mark.parametrize(
    ("said", "kinds", "off"),
    [
        (None, (), "kind_not_asked_for"),
        (None, ("video",), None),
        ({"video": {"enabled": True}}, (), None),
        ({"video": {"enabled": False}}, ("video",), "off_for_channel"),
    ],
)
def test_video_needs_a_word_from_the_channel_or_a_person(
    said: object, kinds: tuple[str, ...], off: str | None
) -> None:
    assert rules_for(said, kinds, PRICES)[-1]["off"] == off


def test_an_import_asks_for_no_enrichment(world: World, imported: Any) -> None:
    imported(*ONE_OF_EACH)
    assert requests(world) == {}
    assert world.value("SELECT count(*) FROM message_groups") == 0


def test_an_estimate_says_what_it_would_be_and_writes_nothing(world: World, imported: Any) -> None:
    imported(*ONE_OF_EACH)
    before = versions(world)

    found = estimate(world.engine, world.channel, replace(ORDER, kinds=KINDS))

    assert versions(world) == before
    assert (found.messages, found.possible_messages, found.price_unknown) == (5, 5, 0)
    assert found.usd == pytest.approx(0.003 + 0.012 + 0.005 + 0.012 + 0.03)
    assert found.left_out == {"no_rule_for_kind": 1}
    lines = {line["kind"]: line for line in found.lines}
    assert list(lines) == ["voice", "audio", "image", "document", "video", "sticker"]
    assert (lines["voice"]["seconds"], lines["document"]["pages"]) == (30, 4)
    assert {line["bytes"] for line in lines.values()} == {2000}
    assert found.as_json()["messages"] == 5


def test_a_request_is_a_pending_row_under_a_completed_group(world: World, imported: Any) -> None:
    imported(*ONE_OF_EACH)

    found = ask(world, replace(ORDER, kinds=KINDS, context="chat_receipt"))

    asked = requests(world)
    assert found.messages == len(asked) == 5
    assert {name: (row["content_type"], row["provider"]) for name, row in asked.items()} == {
        THERE[0]: ("voice", "whisper"),
        THERE[1]: ("audio", "whisper"),
        THERE[2]: ("image", "vision"),
        THERE[3]: ("document", "llamaparse"),
        THERE[4]: ("video", "ffmpeg"),
    }
    for row in asked.values():
        assert (row["status"], row["group_status"]) == ("pending", "completed")
        assert row["message_ids"] == [str(row["message_id"])]
        assert (row["group_contact"], row["group_session"]) == (
            row["contact_id"],
            row["session_id"],
        )
        assert row["expires_at"] == row["at"]
        assert row["context"] == "chat_receipt"
        assert row["metadata"]["source"] == "history_import"
    assert asked[THERE[0]]["metadata"]["priority"] == 10
    assert world.value("SELECT count(*) FROM outbox_events") == 0


def test_the_crms_worker_takes_the_newest_of_a_kind_first(world: World, imported: Any) -> None:
    """It sorts by kind, then by the request's own time."""
    names = THERE[:4]
    imported(*(media(name, f"10:0{n}", VOICE) for n, name in enumerate(names)))
    ask(world)
    asked = sorted(requests(world).values(), key=lambda row: row["created_at"])
    assert [row["stanza_id"] for row in asked] == names[::-1]


def test_an_address_leads_to_the_archived_file_and_ends_like_one(
    world: World, imported: Any
) -> None:
    """A provider tells formats by the end of the address; a hash alone is refused."""
    imported(*ONE_OF_EACH)
    ask(world)
    for name, ending in ((THERE[0], "ogg"), (THERE[2], "jpg"), (THERE[3], "pdf")):
        address, _, fragment = requests(world)[name]["media_url"].partition("#")
        folder, _, path = address.partition("/media/")
        assert folder == "https://files.example.com"
        assert (world.home / "archive" / "media" / path).is_file()
        assert fragment == f"file.{ending}"


def test_without_an_address_for_stored_files_nothing_is_asked_for(
    world: World, imported: Any
) -> None:
    imported(*ONE_OF_EACH)
    found = ask(world, replace(ORDER, media_url=None))
    assert requests(world) == {}
    assert found.left_out == {
        "file_not_served": 4,
        "kind_not_asked_for": 1,
        "no_rule_for_kind": 1,
    }
    assert any("VENTROS_MEDIA_URL" in note for note in found.notes)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://bucket.example.com/ana/voice.ogg", True),
        ("http://localhost:3000/api/files/default/ABC.oga", False),
        ("file:///etc/passwd", False),
    ],
)
def test_a_messages_own_address_counts_when_it_lasts(
    world: World, imported: Any, url: str, asked: bool
) -> None:
    """WAHA deletes its own files after minutes, and gives them to nobody without its key."""
    imported(media(THERE[0], "10:00", VOICE), files=False)
    world.execute("UPDATE messages SET media_url = :url", url=url)
    found = ask(world, replace(ORDER, media_url=None))
    assert [row["media_url"] for row in requests(world).values()] == [url] * asked
    assert found.left_out == ({} if asked else {"file_not_fetched": 1})


def test_every_message_that_is_not_asked_for_is_counted_by_its_reason(
    world: World, imported: Any
) -> None:
    imported(
        media(THERE[0], "10:00", IMAGE),
        media(THERE[1], "10:01", IMAGE, from_me=True),
        media(THERE[2], "10:02", IMAGE, size=11 * MEGABYTE),
        media(GONE[0], "10:03", IMAGE),
        media(THERE[3], "10:04", IMAGE),
        media(THERE[4], "10:05", IMAGE),
        media(THERE[5], "10:06", VOICE),
        media(THERE[6], "10:07", STICKER),
        media(THERE[7], "10:08", IMAGE),
    )
    by_stanza = "(SELECT message_id FROM history_sync.message_keys WHERE stanza_id = :stanza)"
    live = f"UPDATE messages SET source = 'webhook' WHERE id = {by_stanza}"
    world.execute(live, stanza=THERE[3])
    gone = f"UPDATE messages SET deleted_at = now() WHERE id = {by_stanza}"
    world.execute(gone, stanza=THERE[4])
    unfetched = f"DELETE FROM history_sync.media WHERE message_id = {by_stanza}"
    world.execute(unfetched, stanza=THERE[7])
    world.change_channel(
        """config = config || '{"ai_processing": {"voice": {"enabled": false}}}'"""
    )

    found = ask(world)

    assert set(requests(world)) == {THERE[0]}
    assert found.left_out == dict.fromkeys(
        (
            "file_expired",
            "file_not_fetched",
            "no_rule_for_kind",
            "not_imported",
            "off_for_channel",
            "revoked",
            "sent_by_us",
            "too_large",
        ),
        1,
    )
    assert set(requests(world)) == {THERE[0]}
    ask(world, replace(ORDER, outgoing=True))
    assert set(requests(world)) == {THERE[0], THERE[1]}


def test_nothing_is_asked_for_twice(world: World, imported: Any) -> None:
    imported(*ONE_OF_EACH)
    assert ask(world).messages == 4
    before = versions(world)
    again = ask(world)
    assert versions(world) == before
    assert again.messages == 0
    assert again.left_out["requested_before"] == 4

    world.execute("UPDATE message_enrichments SET status = 'failed', metadata = NULL")
    assert ask(world).messages == 0


def test_what_the_crm_enriched_itself_is_left_alone(world: World, imported: Any) -> None:
    imported(media(THERE[0], "10:00", IMAGE))
    ask(world)
    world.execute("UPDATE message_enrichments SET id = gen_random_uuid(), provider = 'tesseract'")
    assert ask(world).left_out == {"requested_before": 1}
    assert len(requests(world)) == 1


def test_the_same_request_has_the_same_ids_in_an_empty_crm(world: World, imported: Any) -> None:
    imported(*ONE_OF_EACH)
    ask(world)
    first = {name: (row["id"], row["message_group_id"]) for name, row in requests(world).items()}
    world.execute("DELETE FROM message_groups")
    assert requests(world) == {}
    ask(world)
    again = {name: (row["id"], row["message_group_id"]) for name, row in requests(world).items()}
    assert again == first


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ({"max_messages": 2}, 2),
        ({"max_usd": 0.012}, 2),
        ({"max_usd": 0.018}, 3),
        ({"max_usd": 0.0179}, 2),
        ({"max_usd": 0}, 0),
        ({"max_messages": 1, "max_usd": 1}, 1),
        ({}, 5),
    ],
)
def test_a_budget_stops_a_run_and_the_newest_come_first(
    world: World, imported: Any, limits: dict[str, Any], asked: int
) -> None:
    """Each of these costs 0.006 USD."""
    minute = {"audio": {"mimetype": "audio/mpeg", "seconds": 60}}
    names = THERE[:5]
    imported(*(media(name, f"10:0{9 - n}", minute) for n, name in enumerate(names)))
    order = replace(ORDER, **limits)
    foretold = estimate(world.engine, world.channel, order)

    found = ask(world, order)

    assert list(found.lines) == list(foretold.lines)
    assert set(requests(world)) == set(names[:asked])
    assert found.messages == asked
    assert found.usd == pytest.approx(0.006 * asked)
    assert found.left_out == ({"over_budget": 5 - asked} if asked < 5 else {})
    assert found.possible_messages == 5
    assert found.possible_usd == pytest.approx(0.03)


def test_the_next_run_goes_on_where_the_budget_ended(world: World, imported: Any) -> None:
    names = THERE[:3]
    imported(*(media(name, f"10:0{9 - n}", IMAGE) for n, name in enumerate(names)))
    for asked in (1, 2, 3, 3):
        ask(world, replace(ORDER, max_messages=1))
        assert set(requests(world)) == set(names[:asked])


def test_what_has_no_known_price_is_kept_out_of_a_sum_of_money(world: World, imported: Any) -> None:
    unknown = {"document": {"mimetype": "text/plain", "fileName": "n.txt"}}
    imported(media(THERE[0], "10:00", unknown), media(THERE[1], "10:01", IMAGE))

    found = estimate(world.engine, world.channel, replace(ORDER, max_usd=5))
    assert (found.messages, found.left_out) == (1, {"price_unknown": 1})

    found = ask(world, replace(ORDER, max_messages=5))
    assert (found.messages, found.price_unknown, found.usd) == (2, 1, 0.005)
    assert requests(world)[THERE[0]]["metadata"]["estimated_usd"] is None


def test_a_size_that_nobody_states_is_counted_as_unknown(world: World, imported: Any) -> None:
    imported(media(THERE[0], "10:00", IMAGE, size=None), files=False)
    world.execute("UPDATE messages SET media_url = 'https://bucket.example.com/a.jpg'")
    [line] = ask(world).lines
    assert (line["outcome"], line["bytes"], line["bytes_unknown"]) == ("fits", 0, 1)


@pytest.mark.parametrize("nonsense", ['"12 s"', "-4", "1e400", "0", "{}"])
def test_a_length_that_is_none_is_unknown(world: World, imported: Any, nonsense: str) -> None:
    imported(media(THERE[0], "10:00", VOICE))
    world.execute(
        "UPDATE messages SET metadata = jsonb_set(metadata, '{media,seconds}', CAST(:v AS jsonb))",
        v=nonsense,
    )
    [line] = estimate(world.engine, world.channel, ORDER).lines
    assert line["price_unknown"] == (nonsense != "1e400")


def test_a_provider_that_costs_nothing_has_a_known_price(world: World, imported: Any) -> None:
    imported(media(THERE[0], "10:00", {"audio": {"mimetype": "audio/mpeg"}}))
    free = replace(ORDER, prices=PRICES | {"whisper": 0.0}, max_usd=0)
    assert ask(world, free).messages == 1


def test_a_request_for_a_message_that_was_revoked_since_is_taken_back(
    world: World, imported: Any
) -> None:
    imported(media(THERE[0], "10:00", IMAGE), media(THERE[1], "10:01", IMAGE))
    ask(world)
    world.execute(
        "UPDATE message_enrichments SET status = 'completed' WHERE id = :id",
        id=requests(world)[THERE[1]]["id"],
    )
    world.execute("UPDATE messages SET deleted_at = now()")
    found = ask(world)
    assert set(requests(world)) == {THERE[1]}
    assert found.left_out == {"revoked": 2}
    assert world.value("SELECT count(*) FROM message_groups") == 1


def test_a_group_follows_its_message_to_another_contact(world: World, imported: Any) -> None:
    imported(media(THERE[0], "10:00", IMAGE))
    ask(world)
    world.execute("UPDATE message_groups SET contact_id = gen_random_uuid(), session_id = id")
    ask(world)
    row = requests(world)[THERE[0]]
    assert (row["group_contact"], row["group_session"]) == (row["contact_id"], row["session_id"])


def test_a_channel_whose_ai_is_off_is_told_so(world: World, imported: Any) -> None:
    imported(media(THERE[0], "10:00", IMAGE))
    assert len(estimate(world.engine, world.channel, ORDER).notes) == 1
    world.change_channel("ai_enabled = true")
    assert estimate(world.engine, world.channel, ORDER).notes == []


def test_account_a_is_estimated_by_what_its_messages_say(imported_a: World) -> None:
    """Nothing was fetched there, so nothing fits; the counts add up to the CRM's media."""
    found = estimate(imported_a.engine, imported_a.channel, ORDER)
    media_rows = imported_a.value(
        "SELECT count(*) FROM messages WHERE content_type = ANY(:kinds)",
        kinds=[*KINDS, "sticker"],
    )
    assert media_rows > 2000
    assert sum(line["messages"] for line in found.lines) == media_rows
    assert found.messages == 0
    assert found.left_out["file_not_fetched"] > 1000
    assert found.left_out["sent_by_us"] > 500
    pages = sum(line["pages"] for line in found.lines)
    assert pages >= 300
