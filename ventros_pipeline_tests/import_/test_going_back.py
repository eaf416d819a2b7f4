"""An imported database goes back to older schemas and forward again; the CRM's rows stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.crm import sql
from ventros_pipeline.crm.migrate import MigrationError, go_back, migrate, status
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.test_erasure import ana, erase  # noqa: F401 -- a fixture
from ventros_pipeline_tests.import_.world import World, at, content, message, write_account

PEOPLE = [f"551198000000{n}@s.whatsapp.net" for n in range(3)]
LID = "210000000000001@lid"


@pytest.fixture
def imported(world: World, replay: Callable[[Path], ReplayServer], tmp_path: Path) -> World:
    """Two months of three people, one of them under two addresses."""
    rows = [
        (
            chat := LID if n % 5 == 0 else PEOPLE[n % 3],
            message(chat, f"M{n}", at(f"2026-06-{1 + n % 20:02} 10:{n:02}"), f"texto {n}"),
        )
        for n in range(40)
    ]
    replay(write_account(tmp_path / "account", rows, lids={LID: PEOPLE[0]}))
    world.import_days()
    world.import_days()
    return world


def crm(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the CRM's tables, but for the agents' parts in sessions."""
    tables = world.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return {
        table["name"]: world.rows(f"SELECT t::text AS row FROM {table['name']} AS t ORDER BY 1")
        for table in tables
        if table["name"] != "agent_sessions"
    }


def test_the_crm_keeps_its_rows_on_the_way_back_and_forth(imported: World) -> None:
    before, whole = crm(imported), content(imported)
    assert len(before["messages"]) == 40
    revisions = [file.revision for file in sql.migrations()]
    for revision in reversed(revisions[:-1]):
        go_back(imported.engine, revision)
        assert status(imported.engine).current == revision
        assert crm(imported) == before, revision
    migrate(imported.engine)
    assert crm(imported) == before
    # Nothing is known any more, and everything is found again.
    figures = imported.import_days()
    assert (figures["seen"], figures["inserted"]) == (40, 0)
    assert content(imported)["messages"] == whole["messages"]
    imported.assert_proved()


def test_an_import_goes_on_after_steps_back_and_forward(imported: World) -> None:
    whole = content(imported)
    for revision in [file.revision for file in sql.migrations()][-2:1:-6]:
        go_back(imported.engine, revision)
        migrate(imported.engine)
        figures = imported.import_days()
        assert (figures["seen"], figures["inserted"]) == (40, 0), revision
        again = content(imported)
        assert again["messages"] == whole["messages"], revision
        assert {row["id"] for row in again["agent_sessions"]} == {
            row["id"] for row in whole["agent_sessions"]
        }
        imported.assert_proved()


def test_nobody_who_was_erased_comes_back_by_going_back(ana: World) -> None:  # noqa: F811
    erase(ana)
    newest = status(ana.engine).current
    with pytest.raises(MigrationError, match=r"people were erased .* no way back over 0020"):
        go_back(ana.engine, "0019")
    # What was taken back before that can be put on again.
    assert status(ana.engine).current == "0020"
    migrate(ana.engine)
    assert status(ana.engine).current == newest


def test_who_keeps_contacts_apart_is_not_overruled_by_going_back(imported: World) -> None:
    imported.execute(
        "INSERT INTO history_sync.separations (project_id, one, other) "
        "SELECT id, 'a', 'b' FROM projects"
    )
    with pytest.raises(MigrationError, match=r"keeps contacts apart .* no way back over 0005"):
        go_back(imported.engine, "0004")
