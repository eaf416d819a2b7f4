"""A dry run's figures against what the account really holds, and how little it asks."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

import pytest

from ventros_pipeline import foreseeing
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.limits import DayRange
from ventros_pipeline.planning import plan_runs
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.transform.times import Calendar
from ventros_pipeline.waha import counting
from ventros_pipeline.waha.counting import PROBE, Counter
from ventros_pipeline.waha.errors import WahaUnsupportedError
from ventros_pipeline.waha.pages import timestamp_of
from ventros_pipeline_tests.import_.world import World


class Store:
    """A list of rows behind the client's door; it counts how often it is asked."""

    def __init__(self, rows: int, *, offsets: bool = True) -> None:
        self.rows = [b"%d" % n for n in range(rows)]
        self.offsets = offsets
        self.asked = 0

    def messages(self, _chat: str, *, limit: int, offset: int, **_: object) -> list[bytes]:
        self.asked += 1
        return self.rows[offset if self.offsets else 0 :][:limit]


@pytest.mark.parametrize("rows", [0, 1, PROBE - 1, PROBE, PROBE + 1, 777, 123_456])
@pytest.mark.parametrize("off", [0.0, 0.9, 1.0, 1.1, 40.0])
def test_rows_are_counted_in_few_requests_whatever_was_guessed(rows: int, off: float) -> None:
    store, guess = Store(rows), round(rows * off)
    assert Counter(store).count(None, None, guess) == rows  # type: ignore[arg-type]
    assert store.asked <= 3 + 2 * max(rows // PROBE, guess // PROBE, 1).bit_length()


def test_a_server_that_ignores_offsets_is_not_counted_for_ever() -> None:
    with pytest.raises(WahaUnsupportedError):
        Counter(Store(500, offsets=False)).count(None, None)  # type: ignore[arg-type]


def tables(world: World) -> dict[str, int]:
    names = world.rows(
        "SELECT schemaname || '.' || relname AS name FROM pg_stat_user_tables "
        "WHERE relname NOT IN ('courtesy_slots', 'courtesy_pace') "
        "AND schemaname NOT LIKE 'pg_temp%'"
    )
    return {n["name"]: world.value(f"SELECT count(*) FROM {n['name']}") for n in names}


def test_account_a_is_foreseen_as_it_was_imported(
    imported_a: World, dump_a: list[dict[str, Any]], replayed_a: ReplayServer
) -> None:
    world, today = imported_a, imported_a.now.date()
    importer = world.importer()
    survey = importer.survey(oldest=True)
    plan = plan_runs(world.start, today, since=None, until=None, oldest=survey.oldest, run_days=31)
    before = tables(world)
    asked = sum(replayed_a.stats.requests.values())

    found = foreseeing.forecast(importer, plan, windows=survey.ranges_are_cheap)

    assert tables(world) == before
    assert found.requests_made == sum(replayed_a.stats.requests.values()) - asked
    assert found.requests_made < 100
    calendar = Calendar(world.start, world.now)
    days = Tally(calendar.day_of(timestamp_of(_raw(row))) for row in dump_a)
    for run in found.runs:
        stored = sum(n for day, n in days.items() if run.days.first <= day <= run.days.last)
        assert run.exact
        assert abs((run.rows or 0) - stored) <= 0.02 * stored + 2
    assert found.rows == pytest.approx(len(dump_a), rel=0.01)
    value = found.as_json()
    kept = world.value("SELECT count(*) FROM history_sync.message_keys")
    assert value["rows"]["imported"] == pytest.approx(kept, rel=0.1)
    balance = ledger.latest_balance(world.engine, world.channel)
    filtered = sum(day["filtered"] for day in balance)
    assert sum(value["rows"]["left_out"].values()) == pytest.approx(filtered, rel=0.4)
    assert value["people"]["contacts_merged"] == 0
    assert value["people"]["people"] < value["people"]["addresses"]
    assert found.media is not None
    assert found.media.bytes > 0


def _raw(row: dict[str, Any]) -> bytes:
    return b'{"timestamp": %d}' % (row["message"].get("timestamp") or 0)


def test_the_requests_of_an_import_are_foreseen(imported_a: World) -> None:
    world = imported_a
    whole = [DayRange(world.start, world.now.date())]
    found = foreseeing.forecast(world.importer(), whole, windows=True)
    first_run = world.rows("SELECT requests FROM history_sync.runs ORDER BY started_at LIMIT 1")
    foreseen = (found.reading_requests or 0) + found.directory_requests
    assert foreseen == pytest.approx(first_run[0]["requests"], rel=0.35)


def test_what_cannot_be_counted_is_called_a_guess(
    imported_a: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreseeing, "WINDOW_REQUESTS", 0)
    monkeypatch.setattr(foreseeing, "SAMPLE_PAGES", 3)
    plan: Sequence[DayRange] = plan_runs(
        imported_a.start,
        imported_a.now.date(),
        since=None,
        until=None,
        oldest=None,
        run_days=31,
    )
    found = foreseeing.forecast(imported_a.importer(), plan, windows=True)
    assert not any(run.exact for run in found.runs)
    assert sum(run.rows or 0 for run in found.runs) == pytest.approx(found.rows, rel=0.02)
    assert not any(chat.exact for chat in found.chats)
    assert found.as_json()["sample"] == {"rows": found.sample_rows, "complete": False}
    assert found.sample_rows <= 3 * counting.PROBE


def test_a_browser_is_asked_for_the_newest_rows_alone(imported_a: World) -> None:
    plan = [DayRange(imported_a.start, imported_a.now.date())]
    found = foreseeing.forecast(imported_a.importer(), plan, windows=False)
    assert (found.rows, found.runs[0].rows) == (None, None)
    assert len(found.chats) == foreseeing.SAMPLE_CHATS
    assert found.as_json()["rows"]["imported"] is None
    assert "counts nothing" in found.notes[0]
