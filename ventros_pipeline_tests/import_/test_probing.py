"""A probe: one request that tells whether a channel has changed, on each engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ventros_pipeline.crm import sync
from ventros_pipeline.crm.sync import Candidate
from ventros_pipeline.probing import Probed, probe_channels
from ventros_pipeline.replay.control import Fault
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.test_sync import ANA, BIA, OLD, Serve, pass_at, serve
from ventros_pipeline_tests.import_.world import NOW, World, at, edited, message

__all__ = ["serve"]
MINUTE = timedelta(minutes=1)
OUT = (ANA, message(ANA, "OUT", at("2026-06-30 11:30"), "enviada", from_me=True, ack=1))
READ = OUT[1] | {"ack": 3, "ackName": "READ", "_data": OUT[1]["_data"] | {"status": 4}}
Change = Callable[[ReplayServer], Any]


def probe(world: World) -> Probed:
    """Probe the channel as it stands in the database now."""
    return probe_channels(
        world.engine,
        lambda _: world.importer(),
        sync.candidates(world.engine, NOW),
        now=NOW,
        until=time.monotonic() + 30,
    )


def candidate(world: World) -> Candidate:
    [found] = sync.candidates(world.engine, NOW)
    return found


def in_step(world: World) -> None:
    """Import everything, probe, and run the pass that follows."""
    world.import_days()
    assert len(probe(world).changed) == 1
    pass_at(world, NOW + MINUTE)
    assert not candidate(world).has_changed


@pytest.mark.parametrize("waha", ["noweb", "gows", "webjs", "wpp"])
def test_a_probe_is_one_request_and_sees_a_new_message(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve(OLD, waha)
    in_step(world)
    server.stats.reset()
    assert probe(world).changed == []
    assert server.stats.total == 1
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:01"), "novo"))
    assert len(probe(world).changed) == 1
    assert candidate(world).has_changed
    assert server.stats.total == 2
    pass_at(world, NOW + 2 * MINUTE)
    assert probe(world).changed == []


@pytest.mark.parametrize("waha", ["noweb", "gows", "webjs", "wpp"])
def test_the_first_message_of_a_day_makes_one_pass_and_no_second(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve([(ANA, message(ANA, "BEFORE", at("2026-06-28 10:00"), "oi"))], waha)
    in_step(world)
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:01"), "novo"))
    for _ in range(2):
        assert len(probe(world).changed) == 1
        pass_at(world, NOW + 2 * MINUTE)
        server.stats.reset()
        assert probe(world).changed == []
        assert server.stats.total == 1
        server.account.put_message(BIA, message(BIA, "NEWER", at("2026-06-30 12:02"), "mais"))


@pytest.mark.parametrize("waha", ["noweb", "gows"])
@pytest.mark.parametrize(
    "change",
    [
        lambda server: server.account.put_message(ANA, READ),
        lambda server: server.account.put_message(
            ANA, edited(OUT[1], "mudada", at("2026-06-30 11:30"))
        ),
        lambda server: server.account.revoke("OUT"),
    ],
    ids=["ack", "edit", "revoke"],
)
def test_a_probe_sees_what_changes_in_the_newest_messages(
    world: World, serve: Serve, waha: str, change: Change
) -> None:
    server = serve([*OLD, OUT], waha)
    in_step(world)
    change(server)
    assert len(probe(world).changed) == 1


def test_a_server_that_shows_no_messages_of_all_chats_is_asked_for_its_chats(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    world.import_days()
    server.control.fault = lambda request: (
        Fault(200, b"[]", {"content-type": "application/json"})
        if request.template.endswith("/messages")
        else None
    )
    sync.save_shown(world.engine, world.channel, "", NOW)
    assert len(probe(world).changed) == 1
    world.execute("UPDATE history_sync.sync_state SET synced = shown")
    assert probe(world).changed == []
    server.account.put_message(BIA, message(BIA, "NEW", at("2026-06-30 12:01"), "novo"))
    assert len(probe(world).changed) == 1


def test_a_probe_that_fails_says_why_and_leaves_the_channel_alone(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    in_step(world)
    server.control.status = "SCAN_QR_CODE"
    found = probe(world)
    assert found.changed == []
    assert "SCAN_QR_CODE" in found.failures[world.channel.key]
    assert candidate(world).backs_off


def test_what_a_probe_keeps_tells_nothing(world: World, serve: Serve) -> None:
    serve(OLD)
    in_step(world)
    kept = str(world.rows("SELECT shown, synced FROM history_sync.sync_state"))
    assert "5511980000001" not in kept
    assert "dois" not in kept
