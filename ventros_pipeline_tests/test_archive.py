"""The raw archive: versions, atomic files, clear errors, no secrets."""

from __future__ import annotations

import errno
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ventros_pipeline.archive import DAY_SCHEMA, Archive, ArchiveError, DayWritten, Row

DAY = date(2026, 6, 2)
READ = datetime(2026, 6, 3, 12, tzinfo=UTC)
CHANNEL = "default-00000000"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def rows(**payloads: str) -> list[Row]:
    return [Row(name, text.encode()) for name, text in payloads.items()]


def payloads(archive: Archive) -> list[tuple[Any, ...]]:
    return archive.read(CHANNEL, [DAY]).select("row_key", "payload", "read_at").rows()


def test_a_day_lies_in_a_file_of_its_own_by_channel_and_year(archive: Archive) -> None:
    path = archive.path(CHANNEL, DAY)
    archive.write(CHANNEL, DAY, [], read_at=READ)
    assert path == archive.directory / CHANNEL / "2026" / "2026-06-02.parquet"
    assert [file for file in archive.directory.rglob("*") if file.is_file()] == [path]


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
    assert archive.count(CHANNEL, DAY) == 3


def test_a_row_that_comes_twice_in_one_read_is_kept_once(archive: Archive) -> None:
    written = archive.write(CHANNEL, DAY, [*rows(a="1"), *rows(a="1")], read_at=READ)
    assert written == DayWritten(DAY, read=1, known=1, new_versions=1)


def test_a_read_that_brings_nothing_new_leaves_the_file_untouched(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)
    before = archive.path(CHANNEL, DAY).stat()
    again = archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ + timedelta(days=1))
    after = archive.path(CHANNEL, DAY).stat()
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
    assert archive.count(CHANNEL, missing) == 0
    with pytest.raises(ArchiveError, match=r"2026-06-03.*materialise raw_messages"):
        archive.read(CHANNEL, [DAY, missing])


def test_no_days_are_no_rows(archive: Archive) -> None:
    assert archive.read(CHANNEL, []).schema == DAY_SCHEMA


def test_a_damaged_file_is_named_with_what_to_do(archive: Archive) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)
    path = archive.path(CHANNEL, DAY)
    path.write_bytes(path.read_bytes()[:-20])
    for act in (
        lambda: archive.read(CHANNEL, [DAY]),
        lambda: archive.count(CHANNEL, DAY),
        lambda: archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ),
    ):
        with pytest.raises(ArchiveError, match=r"2026-06-02\.parquet is damaged.*move it away"):
            act()


def test_a_write_that_fails_half_way_leaves_the_old_file(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write(CHANNEL, DAY, rows(a="1"), read_at=READ)

    def full(frame: pl.DataFrame, path: Path, **how: object) -> None:
        path.write_bytes(b"PAR1 half a fi")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(ArchiveError, match=r"No space left on device; free space"):
        archive.write(CHANNEL, DAY, rows(b="1"), read_at=READ)
    monkeypatch.undo()
    assert payloads(archive) == [("a", b"1", READ)]
    assert [f.name for f in archive.directory.rglob("*") if f.is_file()] == ["2026-06-02.parquet"]


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
    assert archive.count(CHANNEL, DAY) == 2


def test_a_folder_that_cannot_be_made_is_an_archive_error(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file stands where the folder should be")
    with pytest.raises(ArchiveError, match="fix the permissions"):
        Archive(tmp_path / "archive").write(CHANNEL, DAY, rows(a="1"), read_at=READ)
