"""The raw archive: versions, atomic files, clear errors, no secrets."""

from __future__ import annotations

import errno
import os
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ventros_pipeline.archive import (
    DAY_SCHEMA,
    MARKS,
    VERSION,
    Archive,
    ArchiveError,
    DayWritten,
    Row,
)
from ventros_pipeline.dayfiles import NewerArchiveError

DAY = date(2026, 6, 2)
READ = datetime(2026, 6, 3, 12, tzinfo=UTC)
CHANNEL = "default-00000000"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def rows(**payloads: str) -> list[Row]:
    return [Row(name, text.encode()) for name, text in payloads.items()]


def path(archive: Archive) -> Path:
    return Path(archive.store.place) / archive.name(CHANNEL, DAY)


def files(archive: Archive) -> list[Path]:
    return [file for file in Path(archive.store.place).rglob("*") if file.is_file()]


def payloads(archive: Archive) -> list[tuple[Any, ...]]:
    return archive.read(CHANNEL, [DAY]).select("row_key", "payload", "read_at").rows()


def test_a_day_lies_in_a_file_of_its_own_by_channel_and_year(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, [], read_at=READ)
    assert archive.name(CHANNEL, DAY) == f"{CHANNEL}/2026/2026-06-02.parquet"
    assert files(archive) == [path(archive)]


def test_reading_again_adds_what_is_new_and_removes_nothing(archive: Archive) -> None:
    later = READ + timedelta(hours=1)
    first = archive.write(CHANNEL, DAY, rows(a="1", b="1"), read_at=READ)
    second = archive.write(CHANNEL, DAY, rows(b="2", c="1"), read_at=later)
    assert first == DayWritten(DAY, read=2, known=2, new_versions=2)
    assert second == DayWritten(DAY, read=2, known=3, new_versions=2)
    assert payloads(archive) == [
        ("a", b"1", READ),
        ("b", b"1", READ),
        ("b", b"2", later),
        ("c", b"1", later),
    ]
    assert list(archive.counts(CHANNEL, [DAY])) == [(DAY, 3)]


def test_a_row_that_comes_twice_in_one_read_is_kept_once(archive: Archive) -> None:
    written = archive.write(CHANNEL, DAY, [*rows(a="1"), *rows(a="1")], read_at=READ)
    assert written == DayWritten(DAY, read=1, known=1, new_versions=1)


def test_a_read_that_brings_nothing_new_leaves_the_file_untouched(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)
    before = path(archive).stat()
    again = archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ + timedelta(days=1))
    after = path(archive).stat()
    assert again.new_versions == 0
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_bytes_come_back_as_they_were(archive: Archive) -> None:
    odd = b'{"body":"\\u0000 \\ud83d \xe2\x80\xa8 \xff"}'
    archive.write(CHANNEL, DAY, [Row("a", odd)], read_at=READ)
    assert payloads(archive) == [("a", odd, READ)]


def test_an_empty_day_was_read_and_a_missing_one_was_not(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, [], read_at=READ)
    assert archive.read(CHANNEL, [DAY]).is_empty()
    assert archive.read(CHANNEL, [DAY]).schema == DAY_SCHEMA
    missing = DAY + timedelta(days=1)
    assert list(archive.counts(CHANNEL, [missing])) == [(missing, 0)]
    with pytest.raises(ArchiveError, match=r"2026-06-03.*materialise raw_messages"):
        archive.read(CHANNEL, [DAY, missing])


def test_no_days_are_no_rows(archive: Archive) -> None:
    assert archive.read(CHANNEL, []).schema == DAY_SCHEMA


def test_a_damaged_file_is_named_with_what_to_do(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)
    path(archive).write_bytes(path(archive).read_bytes()[:-20])
    for act in (
        lambda: archive.read(CHANNEL, [DAY]),
        lambda: list(archive.counts(CHANNEL, [DAY])),
        lambda: archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ),
    ):
        with pytest.raises(ArchiveError, match=r"06-02\.parquet is damaged.*move it away"):
            act()


def test_a_write_that_fails_half_way_leaves_the_old_file(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchiveError, match=r"No space left on device; free space"):
        archive.write(CHANNEL, DAY, rows(b="1"), read_at=READ)
    monkeypatch.undo()
    assert payloads(archive) == [("a", b"1", READ)]
    assert files(archive) == [path(archive)]


def test_a_process_that_dies_before_the_rename_leaves_the_old_file(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)

    def dies(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        archive.write(CHANNEL, DAY, rows(b="1"), read_at=READ)
    monkeypatch.undo()
    assert payloads(archive) == [("a", b"1", READ)]
    archive.write(CHANNEL, DAY, rows(b="1"), read_at=READ)
    assert list(archive.counts(CHANNEL, [DAY])) == [(DAY, 2)]


def test_a_folder_that_cannot_be_made_is_an_archive_error(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file stands where the folder should be")
    with pytest.raises(ArchiveError, match="fix the permissions"):
        Archive(tmp_path / "archive").write(CHANNEL, DAY, rows(a="1"), read_at=READ)


# -- months ---------------------------------------------------------------------------------------

WEEK = [DAY + timedelta(days=n) for n in range(7)]
MONTH = f"{CHANNEL}/2026/2026-06.parquet"


@pytest.fixture
def week(archive: Archive) -> pl.DataFrame:
    """Seven days, the third of them empty, as they read before anything is put together."""
    for number, day in enumerate(WEEK):
        written = [] if number == 2 else rows(a=f"{number}", b="1")
        archive.write(CHANNEL, day, written, read_at=read_at(number))
    return archive.read(CHANNEL, WEEK)


def test_days_put_together_read_as_before_in_one_file(archive: Archive, week: pl.DataFrame) -> None:
    assert archive.compact(CHANNEL, WEEK[:6]) == 5
    assert archive.store.sizes("").keys() == {MONTH, archive.name(CHANNEL, WEEK[6])}
    assert archive.read(CHANNEL, WEEK).equals(week)
    assert archive.days(CHANNEL) == WEEK
    assert [rows for _, rows in archive.counts(CHANNEL, WEEK)] == [2, 2, 0, 2, 2, 2, 2]
    assert archive.compact(CHANNEL, WEEK) == 1
    assert archive.read(CHANNEL, WEEK[::-1]).sort("day", maintain_order=True).equals(week)
    assert archive.compact(CHANNEL, WEEK) == 0


def test_a_day_of_a_month_is_read_again_with_all_that_was_known(
    archive: Archive, week: pl.DataFrame
) -> None:
    archive.compact(CHANNEL, WEEK)
    again = archive.write(CHANNEL, WEEK[1], rows(a="1", c="1"), read_at=read_at(60))
    assert again == DayWritten(WEEK[1], read=2, known=3, new_versions=1)
    assert archive.write(CHANNEL, WEEK[2], [], read_at=read_at(60)).known == 0
    assert archive.store.sizes("").keys() == {MONTH, archive.name(CHANNEL, WEEK[1])}
    now = archive.read(CHANNEL, WEEK)
    assert now.height == week.height + 1
    archive.compact(CHANNEL, WEEK)
    assert archive.read(CHANNEL, WEEK).equals(now)


@pytest.mark.parametrize("deletions", range(3))
def test_a_kill_while_days_are_put_together_loses_nothing(
    archive: Archive, week: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    gone: list[str] = []
    delete = archive.store.delete

    def killed(name: str) -> None:
        if len(gone) == deletions:
            raise KeyboardInterrupt
        gone.append(name)
        delete(name)

    monkeypatch.setattr(archive.store, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        archive.compact(CHANNEL, WEEK)
    monkeypatch.undo()
    assert len(archive.store.sizes("")) == 8 - deletions
    assert archive.read(CHANNEL, WEEK).equals(week)
    archive.compact(CHANNEL, WEEK)
    assert list(archive.store.sizes("")) == [MONTH]
    assert archive.read(CHANNEL, WEEK).equals(week)


def test_a_day_that_joins_its_month_while_it_is_read_is_found_there(
    archive: Archive, week: pl.DataFrame
) -> None:
    found = archive.each(CHANNEL, WEEK)
    frames = [next(found)]
    archive.compact(CHANNEL, WEEK)
    assert pl.concat([*frames, *found]).equals(week)


def test_what_nobody_may_keep_leaves_a_month_and_a_day_that_hides_it(
    archive: Archive, week: pl.DataFrame
) -> None:
    archive.compact(CHANNEL, WEEK)
    archive.write(CHANNEL, WEEK[1], rows(c="1"), read_at=read_at(60))
    names = list(archive.store.sizes(""))

    def clean(payload: bytes) -> bytes | None:
        return None if payload == b"1" else payload

    assert archive.rewrite(CHANNEL, clean, dry_run=True) == 8
    assert archive.rewrite(CHANNEL, clean) == 8
    assert list(archive.store.sizes("")) == names
    kept = [pl.read_parquet(archive.store.get(name) or b"")["payload"].to_list() for name in names]
    assert sorted(chain(*kept)) == [b"0", b"3", b"4", b"5", b"6"]
    assert archive.days(CHANNEL) == WEEK


def test_days_leave_a_month_and_its_file_goes_with_the_last(
    archive: Archive, week: pl.DataFrame
) -> None:
    archive.compact(CHANNEL, WEEK)
    archive.write(CHANNEL, WEEK[0], rows(c="1"), read_at=read_at(60))
    before = sum(archive.store.sizes("").values())
    freed = archive.delete(CHANNEL, WEEK[:3])
    assert archive.days(CHANNEL) == WEEK[3:]
    assert archive.read(CHANNEL, WEEK[3:]).equals(week.filter(pl.col("day").is_in(WEEK[3:])))
    assert freed == before - sum(archive.store.sizes("").values()) > 0
    archive.delete(CHANNEL, WEEK)
    assert archive.store.sizes("") == {}


def test_a_month_that_would_fill_memory_stays_in_days(
    archive: Archive, week: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ventros_pipeline.archive.MONTH_BYTES", 1000)
    assert archive.compact(CHANNEL, WEEK) == 0
    assert archive.read(CHANNEL, WEEK).equals(week)


# -- formats --------------------------------------------------------------------------------------


def test_a_file_of_format_1_is_read_marked_and_joins_a_month(archive: Archive) -> None:
    """It was written by the release before formats had numbers, and is kept as it was."""
    path(archive).parent.mkdir(parents=True)
    path(archive).write_bytes((Path(__file__).parent / "archives/format_1.parquet").read_bytes())
    kept = archive.read(CHANNEL, [DAY])
    assert kept["row_key"].to_list() == ["a", "b", "c", "b"]
    assert b"dois, mudado" in kept["payload"][3]
    assert marks(archive, "c") == (None, 60, None, None)
    payload = kept["payload"][0]
    archive.write(CHANNEL, DAY, [Row("a", payload)], read_at=read_at(90))
    archive.write(CHANNEL, DAY + timedelta(days=1), [], read_at=READ)
    assert archive.compact(CHANNEL, WEEK) == 1
    assert archive.read(CHANNEL, [DAY]).equals(kept)


def test_a_file_of_a_newer_release_is_refused_and_left_as_it_is(
    archive: Archive, week: pl.DataFrame
) -> None:
    archive.compact(CHANNEL, WEEK[1:])
    for name in (MONTH, archive.name(CHANNEL, DAY)):
        file = Path(archive.store.place) / name
        newer = {"ventros.format": "3", "ventros.days": "2026-06-03"}
        pl.read_parquet(file).with_columns(x=1).write_parquet(file, metadata=newer)
    before = {name: archive.store.get(name) for name in archive.store.sizes("")}
    for act in (
        lambda: archive.read(CHANNEL, WEEK[:1]),
        lambda: archive.read(CHANNEL, WEEK[1:]),
        lambda: archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ),
        lambda: archive.write(CHANNEL, WEEK[1], rows(a="1"), read_at=READ),
        lambda: archive.days(CHANNEL),
        lambda: archive.compact(CHANNEL, WEEK),
        lambda: archive.rewrite(CHANNEL, lambda _: None),
        lambda: archive.delete(CHANNEL, WEEK),
    ):
        with pytest.raises(NewerArchiveError, match=r"newer release .*format 3.*install"):
            act()
    assert {name: archive.store.get(name) for name in archive.store.sizes("")} == before


# -- what a read misses ---------------------------------------------------------------------------


def read_at(minute: int) -> datetime:
    return READ + timedelta(minutes=minute)


def reads(archive: Archive, *shown: str, first: int = 0, complete: bool = True) -> list[DayWritten]:
    """Write reads a minute apart; each letter of a word is a row that the read showed."""
    return [
        archive.write(
            CHANNEL, DAY, rows(**dict.fromkeys(word, "1")), read_at=read_at(n), complete=complete
        )
        for n, word in enumerate(shown, start=first)
    ]


def marks(archive: Archive, row_key: str) -> tuple[Any, ...]:
    """Return seen_at, missed_at, gone_at and doubted_at of a row, as minutes."""
    frame = archive.read(CHANNEL, [DAY]).filter(pl.col("row_key") == row_key)
    [found] = frame.select(MARKS.names()).unique().rows()
    return tuple(None if at is None else (at - READ) // timedelta(minutes=1) for at in found)


def test_the_first_two_complete_reads_that_miss_a_row_are_remembered(archive: Archive) -> None:
    reads(archive, "abc", "ab", "ab", "ab")
    assert marks(archive, "c") == (None, 1, 2, None)
    assert marks(archive, "a") == (None, None, None, None)


def test_a_row_that_is_still_missing_after_two_reads_leaves_the_file_untouched(
    archive: Archive,
) -> None:
    reads(archive, "abc", "ab", "ab")
    before = path(archive).stat()
    reads(archive, "ab", "ab", first=3)
    after = path(archive).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_read_that_is_not_complete_misses_nothing_and_still_sees(archive: Archive) -> None:
    reads(archive, "abc", "ab", "a", complete=False)
    assert marks(archive, "b") == marks(archive, "c") == (None, None, None, None)
    reads(archive, "ab", first=3)
    assert marks(archive, "c") == (None, 3, None, None)
    reads(archive, "c", first=4, complete=False)
    assert marks(archive, "c") == (4, None, None, None)


def test_a_row_seen_again_in_a_new_version_forgets_all_its_absences(archive: Archive) -> None:
    reads(archive, "abc", "ab", "ab")
    archive.write(CHANNEL, DAY, rows(a="1", b="1", c="2"), read_at=read_at(3), complete=True)
    assert marks(archive, "c") == (3, None, None, None)
    reads(archive, "ab", first=4)
    assert marks(archive, "c") == (3, 4, None, None)


def test_one_read_is_one_look_and_an_older_one_misses_nothing_that_came_later(
    archive: Archive,
) -> None:
    reads(archive, "ab", first=5)
    reads(archive, "a", first=3)
    assert marks(archive, "b") == (None, None, None, None)
    reads(archive, "a", first=6)
    reads(archive, "a", first=6)
    assert marks(archive, "b") == (None, 6, None, None)
    reads(archive, "ab", first=4)  # An older sight changes nothing.
    assert marks(archive, "b")[1:] == (6, None, None)


@pytest.mark.parametrize(
    ("known", "missing", "vanished"), [(20, 10, 0), (20, 11, 11), (19, 18, 0), (3, 3, 3), (1, 1, 1)]
)
def test_too_many_rows_missing_at_once_are_counted_and_not_missed(
    archive: Archive, known: int, missing: int, vanished: int
) -> None:
    names = [f"row{n}" for n in range(known)]
    for minute, kept in enumerate((names, names[missing:], names[missing:])):
        shown = rows(**dict.fromkeys(kept, "1"))
        written = archive.write(CHANNEL, DAY, shown, read_at=read_at(minute), complete=True)
    assert written.vanished == vanished
    expected = (None, None, None, 1) if vanished else (None, 1, 2, None)
    assert marks(archive, "row0") == expected
    archive.write(
        CHANNEL, DAY, rows(**dict.fromkeys(names, "1")), read_at=read_at(3), complete=True
    )
    assert marks(archive, "row0") == (3, None, None, None)


def test_a_file_of_the_first_release_reads_as_if_nothing_was_ever_missed(archive: Archive) -> None:
    path(archive).parent.mkdir(parents=True)
    pl.DataFrame(
        [("a", READ, b"1"), ("b", READ, b"1")], schema=VERSION, orient="row"
    ).write_parquet(path(archive))
    before = path(archive).read_bytes()
    assert archive.read(CHANNEL, [DAY]).schema == DAY_SCHEMA
    assert marks(archive, "b") == (None, None, None, None)
    reads(archive, "ab", first=1)
    assert path(archive).read_bytes() == before
    reads(archive, "a", first=2)
    assert marks(archive, "b") == (None, 2, None, None)


@settings(max_examples=100, deadline=None)
@given(
    moments=st.lists(
        st.tuples(st.integers(1, 30), st.booleans()), max_size=8, unique_by=lambda read: read[0]
    ),
    data=st.data(),
)
def test_what_two_absences_since_the_last_sight_say_is_no_matter_of_order(
    tmp_path_factory: pytest.TempPathFactory,
    moments: list[tuple[int, bool]],
    data: st.DataObject,
) -> None:
    """With the moments of all sights known; an unremarkable one is not written down."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    for minute, is_shown in [(0, True), *data.draw(st.permutations(moments))]:
        shown = rows(a="1", b="1", **({"c": f"{minute}"} if is_shown else {}))
        archive.write(CHANNEL, DAY, shown, read_at=read_at(minute), complete=True)
    last = max((minute for minute, is_shown in moments if is_shown), default=0)
    absences = sorted(minute for minute, is_shown in moments if not is_shown and minute > last)
    found = marks(archive, "c")[1:3]
    assert found[0] is None or found[0] > last
    assert (found[1] is None) or len(absences) >= 2
    assert set(found) - {None} <= set(absences)
