"""Merges commute: versions come in any order, twice, in one window or in several."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import Engine

from ventros_pipeline.archive import Row
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.transform import messages
from ventros_pipeline.transform.times import Calendar
from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline.waha.wire import decode_rows
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.world import NOW, START, World, at, edited, message, new_world

ANA = "5511980000001@s.whatsapp.net"
CALENDAR = Calendar(START, NOW)
CHANNEL = "00000000-0000-0000-0000-00000000c0de"
PEOPLE = pl.DataFrame({"address": ["5511980000001@c.us"], "contact_id": ["ana"], "chat_id": ["c"]})
TIMES = [at("2026-06-02 10:00"), at("2026-06-02 10:01"), at("2026-06-03 10:00"), 0, None]

MEDIA = {"imageMessage": {"mimetype": "image/jpeg", "fileLength": 10}}
UNKNOWN = {"hologramMessage": {"depth": 3}}
FORWARDED = {"isForwarded": True, "mentionedJid": [ANA]}
CONTENTS: list[dict[str, Any]] = [
    {"conversation": "um"},
    MEDIA,
    {"extendedTextMessage": {"text": "um", "contextInfo": FORWARDED}},
    {"locationMessage": {"degreesLatitude": 1.5, "degreesLongitude": 2.5, "name": "Loja"}},
    {"audioMessage": {"ptt": True, "mimetype": "audio/ogg", "seconds": 3}},
]


@st.composite
def versions(draw: st.DrawFn) -> list[tuple[datetime, dict[str, Any]]]:
    """Draw versions of one message, each read at its own moment, in any order.

    They differ as versions of a real message do: in what they know of it, in status, in time, and
    in the text where they are edits.
    """
    from_me = draw(st.booleans())
    content = draw(st.sampled_from(CONTENTS))
    found: list[tuple[datetime, dict[str, Any]]] = []
    for number in range(draw(st.integers(2, 4))):
        time = draw(st.sampled_from(TIMES))
        row = message(
            ANA,
            "3EB0000A",
            time,
            draw(st.sampled_from([None, "um"])),
            from_me=from_me,
            ack=draw(st.sampled_from([None, -1, 0, 1, 2, 3, 4])),
            content=draw(st.sampled_from([content, UNKNOWN])),
            replyTo=draw(st.sampled_from([None, {"id": "3EB0000B"}])),
        )
        if time and draw(st.booleans()):
            row = edited(row, f"mudado {time}", time)
        found.append((NOW - timedelta(days=1) + timedelta(minutes=number), row))
    return draw(st.permutations(found))


def keyed(rows: Sequence[tuple[datetime, dict[str, Any]]]) -> pl.DataFrame:
    payloads = [json.dumps(row).encode() for _, row in rows]
    frame = decode_rows(payloads, []).frame.with_columns(
        pl.Series("day", [CALENDAR.day_of(envelope_of(p).timestamp) for p in payloads]),
        pl.Series("row_key", [envelope_of(p).row_key for p in payloads]),
        pl.Series("read_at", [read for read, _ in rows], dtype=pl.Datetime("us", "UTC")),
    )
    judged = messages.judge(frame, CALENDAR, own_addresses=[], allow_groups=True)
    return messages.key(judged.kept, PEOPLE)


@settings(max_examples=100, deadline=None)
@given(versions(), st.integers(0, 2))
def test_versions_in_any_order_and_twice_are_one_and_the_same_message(
    rows: list[tuple[datetime, dict[str, Any]]], repeated: int
) -> None:
    ordered = messages.merge(keyed(sorted(rows, key=lambda row: row[0])), CHANNEL)
    shuffled = messages.merge(keyed([*rows, *rows[:repeated]]), CHANNEL)
    assert ordered.messages.height == 1
    assert_frame_equal(ordered.messages, shuffled.messages)
    for merged in (ordered, shuffled):
        assert merged.rows["is_primary"].sum() == 1
        assert merged.rows.height == merged.rows["day"].n_unique()


# -- through the loader ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[World]:
    """A world that is emptied again and again."""
    with fresh_database(postgres_server.url, migrated_template) as url:
        engine: Engine = connect(url)
        yield new_world(engine, tmp_path_factory.mktemp("home"), "http://127.0.0.1:9")
        engine.dispose()


def archive_them(world: World, rows: Sequence[tuple[datetime, dict[str, Any]]]) -> list[date]:
    """Put versions into the archive as a reader would, each on its day; return the days."""
    shutil.rmtree(world.home, ignore_errors=True)
    days = set()
    for read_at, row in rows:
        payload = json.dumps(row).encode()
        envelope = envelope_of(payload)
        day = CALENDAR.day_of(envelope.timestamp)
        world.archive.write(
            world.channel.key, day, [Row(envelope.row_key, payload)], read_at=read_at
        )
        days.add(day)
    return sorted(days)


def load(world: World, windows: Sequence[list[date]]) -> None:
    """Empty the CRM, then load these windows one after the other."""
    for table in (
        "history_sync.balance",
        "history_sync.message_keys",
        "messages",
        "agent_sessions",
        "sessions",
        "history_sync.people",
        "contact_custom_fields",
        "contacts",
        "chats",
    ):
        world.execute(f"DELETE FROM {table}")
    for days in windows:
        for _ in world.importer().load_days(days):
            pass


def stored(world: World) -> list[dict[str, Any]]:
    """Return all that is known of the messages, without the moments and runs of writing.

    `sessions.version` counts writes when a time moved, so it is left out, too.
    """
    return world.rows(
        """
        SELECT (to_jsonb(m) - '{created_at,updated_at}'::text[])::text AS message,
            (to_jsonb(k) - '{inserted_by_run,changed_by_run}'::text[])::text AS key,
            (to_jsonb(s) - '{created_at,updated_at,version}'::text[])::text AS session
        FROM messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        LEFT JOIN sessions AS s ON s.id = m.session_id
        """
    )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=versions(), newest_first=st.booleans())
def test_days_loaded_in_any_order_and_twice_give_the_same_row_as_one_window(
    scratch: World, rows: list[tuple[datetime, dict[str, Any]]], newest_first: bool
) -> None:
    days = archive_them(scratch, rows)
    load(scratch, [days])
    [whole] = stored(scratch)
    load(scratch, [[day] for day in sorted(days, reverse=newest_first)] * 2)
    assert stored(scratch) == [whole]
    assert scratch.value("SELECT count(*) FROM sessions") == 1
    assert not scratch.value(
        "SELECT count(*) FROM history_sync.balance WHERE seen <> inserted + updated + unchanged "
        "+ duplicate + filtered + quarantined"
    )


def one(world: World, *rows: dict[str, Any]) -> dict[str, Any]:
    """Load versions, read in this order, day by day, newest day first; return the CRM's row."""
    read = [(NOW + timedelta(minutes=n), row) for n, row in enumerate(rows)]
    load(world, [[day] for day in reversed(archive_them(world, read))])
    [found] = world.rows("SELECT *, timestamp AS at FROM messages")
    return found


FIRST, SECOND = at("2026-06-02 10:00"), at("2026-06-03 09:00")


@pytest.mark.parametrize(
    ("acks", "status"),
    [
        ((1, 3), "read"),
        ((3, 1), "read"),
        ((3, None), "read"),
        ((-1, 1), "sent"),
        ((1, -1), "sent"),
        ((0, -1), "failed"),
        ((None, None), "sent"),
        ((4, 2), "read"),
    ],
)
def test_status_only_rises(scratch: World, acks: tuple[Any, Any], status: str) -> None:
    for times in ((FIRST, FIRST), (FIRST, SECOND), (SECOND, FIRST)):
        rows = (
            message(ANA, "A", time, from_me=True, ack=ack)
            for time, ack in zip(times, acks, strict=True)
        )
        found = one(scratch, *rows)
        assert found["status"] == status


def test_an_incoming_message_has_no_status_of_ours_to_fail(scratch: World) -> None:
    found = one(scratch, message(ANA, "A", FIRST, ack=-1), message(ANA, "A", SECOND, ack=3))
    assert found["status"] == "sent"


def test_an_edit_wins_and_the_original_time_stays(scratch: World) -> None:
    original = message(ANA, "A", FIRST, "antes")
    changed = edited(original, "depois", SECOND)
    for rows in ((original, changed), (changed, original)):
        found = one(scratch, *rows)
        assert found["text"] == "depois"
        assert found["at"] == datetime.fromtimestamp(FIRST, UTC)
        assert found["metadata"]["edited"] is True


def test_a_trusted_time_wins_over_any_other_and_takes_its_marks_away(scratch: World) -> None:
    for rows in ((0, FIRST), (FIRST, 0), (None, FIRST), (4_102_444_800, FIRST)):
        found = one(scratch, *(message(ANA, "A", time) for time in rows))
        assert found["at"] == datetime.fromtimestamp(FIRST, UTC)
        assert "timestamp_problem" not in found["metadata"]
        assert "timestamp_raw" not in found["metadata"]


def test_what_is_known_never_becomes_unknown(scratch: World) -> None:
    known = message(ANA, "A", FIRST, None, content=MEDIA, hasMedia=True)
    unknown = message(ANA, "A", SECOND, None, content={"hologramMessage": {"depth": 3}})
    for rows in ((known, unknown), (unknown, known)):
        found = one(scratch, *rows)
        assert (found["content_type"], found["media_mimetype"]) == ("image", "image/jpeg")
        assert found["metadata"]["kind"] == "image"


def test_an_edited_message_that_stands_in_two_days_is_one_row_and_both_days_close(
    scratch: World,
) -> None:
    original = message(ANA, "A", FIRST, "antes")
    days = archive_them(scratch, [(NOW, original), (NOW, edited(original, "depois", SECOND))])
    load(scratch, [days])
    balance = scratch.rows("SELECT day, seen, inserted, duplicate FROM history_sync.balance")
    assert sorted(balance, key=lambda line: line["day"]) == [
        {"day": date(2026, 6, 2), "seen": 1, "inserted": 1, "duplicate": 0},
        {"day": date(2026, 6, 3), "seen": 1, "inserted": 0, "duplicate": 1},
    ]
    scratch.assert_proved()
