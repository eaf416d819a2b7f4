"""Which place may hold what, and that nothing else is there after a full run."""

from __future__ import annotations

import base64
import gzip
import io
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import polars as pl
import psycopg
import pytest

from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.leaks.needles import (
    BODY,
    KEY,
    KINDS,
    MEDIA,
    NAME,
    PHONE,
    Needle,
    found_in,
    in_base64,
    marked,
)
from ventros_pipeline_tests.leaks.places import (
    Found,
    in_database,
    in_folder,
    watched_processes,
)
from ventros_pipeline_tests.leaks.run import Left, full_run

PEOPLE, ALL = {NAME, PHONE}, {NAME, PHONE, BODY}
# All that may hold anything, and what; every other place may hold nothing. Keys are nowhere, and
# neither are WhatsApp's own.
IN_FILES = {"archive/*.parquet": ALL}
IN_THE_CRM = {
    "messages.*": ALL,
    "contacts.*": PEOPLE,
    "chats.*": PEOPLE,
    "contact_custom_fields.field_value": {PHONE},
}
IN_HISTORY_SYNC = {
    # Who is who: addresses are what this is about.
    "identities.address": {PHONE},
    "evidence.*": {PHONE},
    "directory.*": PEOPLE,
    "people.name": {NAME},
    "people.anchor": {PHONE},
    "channel_state.own_addresses": {PHONE},
    "lid_lookups.lid": {PHONE},
    "separations.*": {PHONE},
    # WAHA's names of rows have the chat's address in them.
    "message_keys.*": {PHONE},
    "places.waha_id": {PHONE},
    "unknown_rows.address": {PHONE},
    "loaded_days.rows": {PHONE},
    # What a run or a merge has written over, until it cannot be undone any more.
    "changes.*": ALL,
    "merges.*": PEOPLE,
    "merged_rows.before": ALL,
}


@pytest.fixture(scope="module")
def left(
    postgres_server: EmbeddedServer,
    migrated_template: str,
    dagster_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Left]:
    with (
        fresh_database(postgres_server.url, migrated_template) as crm,
        fresh_database(postgres_server.url, dagster_template) as dagster,
    ):
        yield full_run(tmp_path_factory.mktemp("run"), libpq_url(crm), libpq_url(dagster))


def beyond(found: Found, allowed: dict[str, set[str]]) -> dict[str, set[Needle]]:
    """Return what was found where it may not be."""
    leaked = {}
    for place, needles in found.items():
        may = set().union(*(kinds for name, kinds in allowed.items() if fnmatch(place, name)))
        if wrong := {needle for needle in needles if needle.kind not in may}:
            leaked[place] = wrong
    return leaked


def kinds_in(found: Found) -> set[str]:
    return {needle.kind for needles in found.values() for needle in needles}


def test_the_run_did_all_that_it_was_to_do(left: Left) -> None:
    names = [name for name, _ in left.codes]
    failed = [name for name, code in left.codes if code]
    # With a server that answers nothing but errors, and the last one for a channel that is none.
    assert len([name for name in failed if '"import"' in name]) == 3
    # Undoing the first run is refused: a later one stands on it.
    assert [name for name in names[:-9] if name in failed] == [
        name for name in names if '"undo"' in name
    ]
    with psycopg.connect(left.crm) as session:
        count = "SELECT count(*) FROM "
        rows = {
            table: session.execute(f"{count}{table}").fetchone()  # type: ignore[call-overload]
            for table in ("messages", "history_sync.quarantine", "history_sync.hints")
        }
        fetched = session.execute("SELECT state FROM history_sync.media").fetchall()
    assert rows == {
        "messages": (22,),
        "history_sync.quarantine": (2,),
        "history_sync.hints": (1,),
    }
    assert len(fetched) == 1
    assert any("serve" in command for command in left.commands)


def test_nothing_that_is_shown_holds_a_needle(left: Left) -> None:
    keys = tuple(left.keys)
    found = {place: found_in(text.encode(), keys) for place, text in left.printed.items()}
    assert beyond({p: n for p, n in found.items() if n}, {}) == {}
    assert all(left.printed[place] for place in ("report.html", "metrics", "errors of commands"))


def test_nothing_in_dagsters_database_holds_a_needle(left: Left) -> None:
    assert beyond(in_database(left.dagster, "public", tuple(left.keys)), {}) == {}
    with psycopg.connect(left.dagster) as session:
        failures = "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'STEP_FAILURE'"
        assert session.execute(failures).fetchone() == (2,)


def test_files_hold_what_people_wrote_in_the_archive_alone_and_keys_nowhere(left: Left) -> None:
    found = in_folder(left.home, tuple(left.keys))
    assert beyond(found, IN_FILES) == {}
    # It is by design that the archive holds it: were it not found, nothing would be.
    assert kinds_in(found) == ALL


def test_tables_hold_what_they_are_for_and_keys_nowhere(left: Left) -> None:
    keys = tuple(left.keys)
    ours = in_database(left.crm, "history_sync", keys)
    assert beyond(ours, IN_HISTORY_SYNC) == {}
    assert kinds_in(ours) == ALL
    assert beyond(in_database(left.crm, "public", keys), IN_THE_CRM) == {}


def test_no_list_of_processes_shows_a_needle(left: Left) -> None:
    found = {command: found_in(command.encode(), tuple(left.keys)) for command in left.commands}
    assert {command for command, needles in found.items() if needles} == set()


# -- that they would be found ----------------------------------------------------------------------

SAMPLES = {
    BODY: marked("b", " tudo bem?"),
    NAME: marked("n"),
    PHONE: "+55 (11) 98765-4321",
    MEDIA: marked("m"),
    KEY: marked("k"),
}


def parquet(text: str) -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"payload": [text.encode()]}).write_parquet(out, compression="zstd")
    return out.getvalue()


def ipc(text: str) -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"row": [text]}).write_ipc(out, compression="zstd")
    return out.getvalue()


FORMS = {
    "plain": str.encode,
    "gzip": lambda text: gzip.compress(text.encode()),
    "zlib": lambda text: zlib.compress(text.encode()),
    "parquet": parquet,
    "ipc": ipc,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_needle_of_each_kind_is_found_in_each_form_in_files_and_columns(
    form: str, kind: str, tmp_path: Path
) -> None:
    data = FORMS[form](SAMPLES[kind])
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    (tmp_path / "deep" / "folder" / "file").write_bytes(data)
    with sqlite3.connect(tmp_path / "runs.db") as session:
        session.execute("CREATE TABLE kept (id INT, value BLOB)")
        session.execute("INSERT INTO kept VALUES (1, ?)", (data,))
    session.close()
    found = in_folder(tmp_path)
    assert set(found) == {"deep/folder/file", "runs.db"}
    assert kinds_in(found) == {kind}


def test_a_needle_of_each_kind_is_found_in_each_type_of_column(
    empty_database_url: str,
) -> None:
    url = libpq_url(empty_database_url)
    names = [kind.replace(" ", "_") for kind in KINDS]
    with psycopg.connect(url, autocommit=True) as session:
        for name, kind in zip(names, KINDS, strict=True):
            session.execute(
                f"CREATE TABLE {name} (a text, b jsonb, c bytea, d text[], e json)".encode()
            )
            text = SAMPLES[kind]
            session.execute(
                f"INSERT INTO {name} VALUES (%s, jsonb_build_object('x', %s::text), %s, "
                "ARRAY[%s], json_build_object('x', %s::text))".encode(),
                (text, text, zlib.compress(text.encode()), text, text),
            )
    found = in_database(url, "public")
    assert {place: kinds_in({place: needles}) for place, needles in found.items()} == {
        f"{name}.{column}": {kind}
        for name, kind in zip(names, KINDS, strict=True)
        for column in "abcde"
    }


def test_a_key_is_found_in_base64_and_in_a_list_of_processes() -> None:
    key = SAMPLES[KEY]
    for before in ("", "u:", "user:"):
        said = base64.b64encode(f"{before}{key}:x".encode())
        assert {needle.kind for needle in found_in(said, (key,))} == {KEY}
    assert len(set(in_base64(key))) == 3
    program = "import sys; sys.stdin.read()"
    with (
        watched_processes() as watched,
        subprocess.Popen([sys.executable, "-c", program, key], stdin=subprocess.PIPE) as process,
    ):
        while not any(key in command for command in watched.seen):
            assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
