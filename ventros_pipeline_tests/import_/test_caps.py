"""What a run may take at most: what it has read is kept, and the rest is not read, and says so."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from ventros_pipeline import memory
from ventros_pipeline.archive import Archive, ArchiveError
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.database import connect, libpq_url, timed_out
from ventros_pipeline.environment import open_engine
from ventros_pipeline.failures import TRANSIENT, explained, kind_of
from ventros_pipeline.importer import Importer
from ventros_pipeline.memory import MEGABYTE, MemoryGuard, MemoryLimitError
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.report import report_of
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.import_.world import World, at, message, write_account

ANA = "5511980000001@s.whatsapp.net"
Serve = Callable[[Path], ReplayServer]
SMALL, LARGE = date(2026, 6, 2), date(2026, 6, 3)


@pytest.fixture
def uneven(world: World, replay: Serve, tmp_path: Path) -> World:
    """A small day, one of 800 KB and a small one."""
    dice = random.Random(7)  # noqa: S311 -- no secret; it is only not to be packed
    rows = [(ANA, message(ANA, f"3EB0A{n}", at("2026-06-02 10:00") + n)) for n in range(8)]
    for n in range(20):
        text = dice.randbytes(20_000).hex()
        rows.append((ANA, message(ANA, f"3EB0B{n:02d}", at("2026-06-03 10:00") + n, text)))
    rows.append((ANA, message(ANA, "3EB0C", at("2026-06-04 10:00"))))
    replay(write_account(tmp_path / "account", rows))
    return world


def read(world: World, importer: Importer) -> None:
    """Read in small pages, without the calendar's first day, for which more is asked at once."""
    importer.settings = importer.settings.model_copy(update={"page_size": 5})
    days = world.days[1:]
    ledger.start_run(world.engine, world.channel, importer.run_id, days[0], days[-1])
    for _ in importer.read_days(days):
        pass


def archived(world: World) -> list[date]:
    return [day for day, rows in world.archive.counts(world.channel.key, world.days) if rows]


def assert_the_rest_is_not_read(world: World) -> None:
    """Assert that coverage knows the days before the large one alone, and that all comes later."""
    assert archived(world) == [SMALL]
    known = world.rows("SELECT day FROM history_sync.coverage WHERE day >= :day", day=SMALL)
    assert [row["day"] for row in known] == [SMALL]
    assert world.value("SELECT count(*) FROM messages") == 0
    assert world.import_days()["inserted"] == 29
    assert report_of(world.engine, world.channel).closes
    world.assert_proved()


def test_a_day_that_takes_more_memory_than_a_run_may_have_ends_it_with_a_sentence(
    uneven: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the process has is made up, so that it is too much in the middle of the large day."""

    def made_up() -> int:
        return 2**40 if archived(uneven) else 0

    importer = uneven.importer()
    with monkeypatch.context() as patch:
        patch.setattr(memory, "resident", made_up)
        with pytest.raises(MemoryLimitError, match="VENTROS_MEMORY_LIMIT_MB"):
            read(uneven, importer)
    assert_the_rest_is_not_read(uneven)


def test_memory_that_is_taken_is_seen() -> None:
    guard = MemoryGuard(memory.resident() + 40 * MEGABYTE)
    guard.check()
    taken = bytearray(80 * MEGABYTE)
    with pytest.raises(MemoryLimitError, match="may have"):
        guard.check()
    assert len(taken) == 80 * MEGABYTE


def test_a_day_for_which_the_archive_has_no_room_ends_a_run_with_a_sentence(
    uneven: World,
) -> None:
    importer = uneven.importer()
    importer.archive = Archive(uneven.home / "archive", most_bytes=200_000)
    with pytest.raises(ArchiveError, match=r"2026-06-03.*VENTROS_ARCHIVE_LIMIT_MB"):
        read(uneven, importer)
    assert_the_rest_is_not_read(uneven)


def test_a_row_that_is_too_large_is_counted_kept_and_costs_no_other(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [(ANA, message(ANA, f"3EB0{n}", at("2026-06-02 10:00") + n, "oi")) for n in range(3)]
    rows.append((ANA, message(ANA, "3EB0FF", at("2026-06-02 11:00"), "x" * 5_000_000)))
    replay(write_account(tmp_path / "account", rows))
    figures = world.import_days()
    assert (figures["seen"], figures["inserted"], figures["quarantined"]) == (4, 3, 1)
    [kept] = world.rows("SELECT reason, length(payload) AS size FROM history_sync.quarantine")
    assert kept == {"reason": "too_large", "size": 65_536}
    [whole] = world.archive.read(world.channel.key, [SMALL])["payload"].bin.size().sort()[-1:]
    assert whole > 5_000_000
    assert report_of(world.engine, world.channel).closes


def test_the_limit_of_memory_is_a_share_of_what_there_is_unless_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "none").write_text("max\n")
    files = [tmp_path / "none", tmp_path / "memory.max", tmp_path / "missing"]
    monkeypatch.setattr(memory, "_CONTAINER", files)
    assert MemoryGuard.of(None).limit == 800_000_000
    assert MemoryGuard.of(512).limit == 512 * MEGABYTE
    monkeypatch.setattr(memory, "_CONTAINER", files[:1])
    assert memory.there_is() > memory.resident() > 10 * MEGABYTE


@contextmanager
def holding_channels(url: str) -> Iterator[None]:
    """Hold the lock that a migration of the CRM's own would hold."""
    with psycopg.connect(libpq_url(url)) as session:
        session.execute("LOCK TABLE channels, contacts IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize(
    ("statement", "says"),
    [("SELECT count(*) FROM contacts", "LOCK_TIMEOUT"), ("SELECT pg_sleep(60)", "STATEMENT_TIME")],
)
def test_what_waits_too_long_in_the_database_may_be_tried_again_and_says_so(
    statement: str, says: str, database_url: str
) -> None:
    engine = connect(database_url, statement_timeout=1, lock_timeout=0.2)
    with (
        holding_channels(database_url),
        engine.connect() as connection,
        pytest.raises(OperationalError) as caught,
    ):
        connection.execute(sa.text(statement))
    engine.dispose()
    error = timed_out(caught.value)
    assert error is not None
    assert kind_of(error) == TRANSIENT
    said = explained(error, "default-00000000", [SMALL]).description or ""
    assert says in said
    assert "Nothing of what it was part of was kept" in said


def test_runs_have_limits_of_time(
    database_url: str,
) -> None:
    settings = Settings(database_url=database_url, _env_file=None)  # type: ignore[call-arg]
    engine = open_engine(settings)
    with engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("statement_timeout", "lock_timeout")
        ]
    engine.dispose()
    assert found == ["30min", "5min"]
