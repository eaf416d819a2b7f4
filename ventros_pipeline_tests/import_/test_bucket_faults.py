"""An object store that fails, refuses, or is not there, in the middle of an import."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ventros_pipeline import stores
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm import doctor
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import Settings
from ventros_pipeline.stores import ArchiveError, ArchiveRefusedError, ArchiveUnreachableError
from ventros_pipeline_tests.buckets import KEYS, S3
from ventros_pipeline_tests.import_.world import NOW, World, at, message, write_account

CHAT = "5511980000001@s.whatsapp.net"
LAST = date(2026, 6, 5)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = {name: timedelta(milliseconds=1) for name in ("init_backoff", "max_backoff")}
    monkeypatch.setattr(stores, "RETRIES", {"max_retries": 3, "backoff": backoff})


@pytest.fixture
def far(
    world: World, replay: Callable[[Path], ReplayServer], tmp_path: Path, s3: S3
) -> tuple[World, S3]:
    """A world of five days with a message each, whose archive is in a bucket."""
    world.place = s3.uri
    rows = [
        (CHAT, message(CHAT, f"M{n}", at(f"2026-06-0{n} 10:00"), f"texto {n}")) for n in range(1, 6)
    ]
    replay(write_account(tmp_path / "account", rows))
    return world, s3


def puts_of(day: str, times: int, seen: list[int]) -> Callable[[str, str], int | None]:
    """Return a fault that refuses some uploads of one day."""

    def fault(method: str, path: str) -> int | None:
        if method != "PUT" or day not in path or len(seen) >= times:
            return None
        seen.append(503)
        return 503

    return fault


def test_a_store_that_slows_down_is_asked_again(far: tuple[World, S3]) -> None:
    world, s3 = far
    refused: list[int] = []
    s3.fault = puts_of("2026-06-03", 3, refused)
    assert world.import_days()["inserted"] == 5
    assert refused == [503] * 3
    world.assert_proved()


def test_a_store_that_goes_on_failing_leaves_its_day_unread_and_the_others_kept(
    far: tuple[World, S3],
) -> None:
    world, s3 = far
    s3.fault = puts_of("2026-06-03", 99, [])
    with pytest.raises(ArchiveUnreachableError, match=r"503 .*run the same days"):
        world.import_days()
    s3.fault = lambda *_: None
    assert world.archive.days(world.channel.key) == [date(2026, 6, 1), date(2026, 6, 2)]
    # All came in one page, so none of them counts as read, and what is there is read once more.
    assert world.rows("SELECT day FROM history_sync.coverage") == []
    assert world.import_days()["inserted"] == 5
    world.assert_proved()


def test_a_store_that_is_gone_says_so_and_nothing_of_it_is_lost(
    far: tuple[World, S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = far
    world.import_days()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ArchiveUnreachableError, match="does not answer"):
        world.import_days()
    [found] = doctor.examine_database(world.engine, world.archive)
    assert found.name == "archive_unreachable"


@pytest.mark.parametrize(
    ("fault", "uri", "says"),
    [
        (lambda *_: 403, None, "does not let us in .*: give the key the right"),
        (lambda *_: 401, None, "does not let us in .*: give the key the right"),
        (lambda *_: None, "s3://elsewhere/archive", "has no such bucket: make it"),
    ],
)
def test_a_store_that_refuses_is_a_matter_of_configuration(
    s3: S3, fault: Any, uri: str | None, says: str
) -> None:
    s3.fault = fault
    archive = Archive(uri or s3.uri)
    for act in (
        lambda: archive.write("default-0", LAST, [], read_at=NOW),
        lambda: archive.days("default-0"),
        archive.store.examine,
    ):
        with pytest.raises(ArchiveRefusedError, match=says) as raised:
            act()
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)


def test_files_of_other_schemes_open_and_a_store_without_its_variables_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_SERVICE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ArchiveRefusedError, match=r"AZURE_…"):
        Archive("az://container/archive")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert Archive("az://container/archive").store.place == "az://container/archive"
    assert Archive("gs://bucket").store.place == "gs://bucket"
    assert Archive(f"file://{tmp_path}/x").store.place == f"{tmp_path}/x"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://key:secret@bucket/archive",
        "s3://bucket/archive?X-Amz-Signature=secret",
        "az://container/archive#secret",
        "https://bucket.example.com/secret",
        "s3://",
        "/var/secret",
    ],
)
def test_an_address_with_a_secret_or_of_no_store_is_refused_and_not_quoted(uri: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(archive_uri=uri, _env_file=None)  # type: ignore[call-arg]
    [problem] = raised.value.errors(include_input=False, include_url=False)
    assert "without user, password or options" in problem["msg"]
    assert "secret" not in problem["msg"]


def test_a_bucket_keeps_lists_and_deletes_as_a_folder_does(s3: S3, tmp_path: Path) -> None:
    bucket, folder = stores.open_store(s3.uri), stores.open_store(tmp_path)
    said = []
    for store in (bucket, folder):
        store.put("a/2026/x", b"old")
        store.put("a/2026/x", b"news")
        store.put("ab/y", b"\0\xff", sync=False)
        store.examine()
        store.tidy("a")
        listed = (store.sizes("a"), store.sizes(""), store.sizes("none"))
        ends = [store.tail("a/2026/x", most) for most in (2, 99)] + [store.tail("none", 2)]
        assert ends == [b"ws", b"news", None]
        found = (store.get("a/2026/x"), store.get("ab/y"), store.get("a/none"), store.size("none"))
        store.delete("a/2026/x")
        store.delete("a/2026/x")
        said.append((listed, found, store.sizes("")))
    assert said[0] == said[1]
    assert said[0][0][0] == {"a/2026/x": 4}
    with pytest.raises(ArchiveError):
        stores.open_store(tmp_path / "ab" / "y").put("z", b"")
