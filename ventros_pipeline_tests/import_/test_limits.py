"""Only the newest messages of each chat, only some chats: what is left out is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from ventros_pipeline.crm import ledger
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import World, at, message, write_account

ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
LATE, EARLY = [date(2026, 6, 4), date(2026, 6, 5)], [date(2026, 6, 2), date(2026, 6, 3)]
Serve = Callable[[Path], ReplayServer]


def account(folder: Path) -> Path:
    """Two messages of Ana a day for four days, and one of Bia on the first."""
    rows = [
        (ANA, message(ANA, f"3EB0{day}{hour}", at(f"2026-06-0{day} {hour}:00")))
        for day in (2, 3, 4, 5)
        for hour in (10, 18)
    ]
    return write_account(folder, [*rows, (BIA, message(BIA, "3EB0B", at("2026-06-02 09:00")))])


def import_capped(
    world: World, days: Sequence[date], rows: int, chats: Sequence[str] | None = None
) -> dict[str, int]:
    importer = world.importer()
    ledger.start_run(world.engine, world.channel, importer.run_id, days[0], days[-1])
    importer.refresh_directory()
    for _ in importer.read_days(days, chats=chats):
        pass
    for _ in importer.load_days(days, max_per_chat=rows, partial=chats is not None):
        pass
    return ledger.totals(world.engine, world.channel, [importer.run_id])


def test_a_limit_keeps_the_newest_of_each_chat_over_several_runs(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(account(tmp_path / "account"))
    late, early = import_capped(world, LATE, 3), import_capped(world, EARLY, 3)
    assert (late["seen"], late["inserted"], late["filtered"]) == (4, 3, 1)
    assert (early["seen"], early["inserted"], early["filtered"]) == (5, 1, 4)
    kept = world.rows("SELECT stanza_id FROM history_sync.message_keys ORDER BY stanza_id")
    assert [row["stanza_id"] for row in kept] == ["3EB0418", "3EB0510", "3EB0518", "3EB0B"]
    reasons = world.rows(
        "SELECT DISTINCT jsonb_object_keys(reasons) AS r FROM history_sync.balance"
    )
    assert [row["r"] for row in reasons] == ["over_chat_limit"]
    world.assert_proved()


def test_the_two_addresses_of_a_person_share_one_limit(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    """They are one chat in the CRM, whose limit it is."""
    lid = "210000000000001@lid"
    rows = [
        (who, message(who, f"3EB0{day}{hour}", at(f"2026-06-0{day} {hour}:00")))
        for day in (2, 4)
        for hour, who in ((10, ANA), (12, lid), (14, ANA))
    ]
    replay(write_account(tmp_path / "account", rows, lids={lid: ANA}))
    late, early = import_capped(world, LATE, 2), import_capped(world, EARLY, 2)
    assert (late["inserted"], late["filtered"]) == (2, 1)
    assert (early["inserted"], early["filtered"]) == (0, 3)
    kept = world.rows("SELECT stanza_id FROM history_sync.message_keys ORDER BY stanza_id")
    assert [row["stanza_id"] for row in kept] == ["3EB0412", "3EB0414"]
    assert world.value("SELECT count(*) FROM chats WHERE deleted_at IS NULL") == 1
    world.assert_proved()


def test_the_same_limit_again_changes_nothing(world: World, replay: Serve, tmp_path: Path) -> None:
    replay(account(tmp_path / "account"))
    import_capped(world, LATE, 3)
    again = import_capped(world, LATE, 3)
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 3)


def test_days_of_which_only_some_chats_were_read_do_not_count_as_read(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(account(tmp_path / "account"))
    figures = import_capped(world, EARLY, 100, chats=["5511980000002@c.us"])
    assert (figures["seen"], figures["inserted"]) == (1, 1)
    states = world.rows("SELECT DISTINCT state FROM history_sync.coverage")
    assert [row["state"] for row in states] == ["unknown"]
