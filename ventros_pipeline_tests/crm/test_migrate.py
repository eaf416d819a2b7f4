from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from ventros_pipeline.crm import sql
from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.migrate import (
    LOCK_KEY,
    MigrationError,
    go_back,
    migrate,
    status,
    steps_back,
)
from ventros_pipeline_tests.crm.catalog import catalog

FILES = [file.name for file in sql.migrations()]
BASELINE = FILES[0]
MIGRATOR = """
import json, sys
from ventros_pipeline.crm import sql
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.migrate import migrate
if len(sys.argv) > 2:
    from pathlib import Path
    sql.sql_dir = lambda: Path(sys.argv[2])
applied = migrate(connect(sys.argv[1], application_name="migrator"))
print(json.dumps([file.name for file in applied]))
"""


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sql_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQL files in a folder where a test may change them."""
    folder = tmp_path / "sql"
    shutil.copytree(sql.sql_dir(), folder)
    monkeypatch.setattr(sql, "sql_dir", lambda: folder)
    return folder


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_an_empty_database_gets_a_crm_and_history_sync(each_empty_engine: Engine) -> None:
    before = status(each_empty_engine)
    assert (before.current, before.pending, before.crm) == (None, FILES, "absent")

    applied = migrate(each_empty_engine)

    assert [(file.name, file.skipped) for file in applied] == [(name, False) for name in FILES]
    after = status(each_empty_engine)
    assert (after.current, after.pending, after.crm) == (after.latest, [], "ours")


def test_migrating_twice_applies_nothing(each_empty_engine: Engine) -> None:
    migrate(each_empty_engine)
    before = catalog(each_empty_engine), catalog(each_empty_engine, "history_sync")
    assert migrate(each_empty_engine) == []
    assert (catalog(each_empty_engine), catalog(each_empty_engine, "history_sync")) == before


def test_a_database_that_already_has_a_crm_gets_only_history_sync(
    each_empty_engine: Engine,
) -> None:
    with each_empty_engine.begin() as connection:
        connection.exec_driver_sql(
            sql.read_sql(BASELINE), execution_options={"no_parameters": True}
        )
        # As in a real CRM, which was not made by this file: its names and rows are its own.
        connection.execute(text("DELETE FROM agents"))
        connection.execute(text("ALTER TABLE messages ADD COLUMN of_the_crm text"))
    before = catalog(each_empty_engine)
    assert status(each_empty_engine).crm == "existing"

    applied = migrate(each_empty_engine)

    assert [file.name for file in applied if file.skipped] == [BASELINE]
    assert catalog(each_empty_engine) == before
    assert catalog(each_empty_engine, "history_sync")["columns"]
    with each_empty_engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM agents")) == 0
    after = status(each_empty_engine)
    assert (after.pending, after.crm) == ([], "existing")


def test_half_a_crm_is_refused_by_the_names_of_what_is_missing(empty_engine: Engine) -> None:
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE TABLE channels (id uuid PRIMARY KEY)"))
    with pytest.raises(MigrationError, match=r"public\.users.*public\.messages"):
        migrate(empty_engine)
    assert status(empty_engine).pending == FILES


def test_an_edited_file_is_refused_and_named(empty_engine: Engine, sql_copy: Path) -> None:
    migrate(empty_engine)
    edited = sql_copy.parent / "edited"
    shutil.copytree(sql_copy, edited)
    with (edited / BASELINE).open("a") as file:
        file.write("-- one more line\n")
    sql.sql_dir = lambda: edited  # the fixture puts the original back

    with pytest.raises(MigrationError, match=f"{BASELINE} was changed.*new numbered file"):
        migrate(empty_engine)


def test_line_ends_of_a_checkout_are_no_edit(empty_engine: Engine, sql_copy: Path) -> None:
    migrate(empty_engine)
    windows = sql_copy.parent / "windows"
    shutil.copytree(sql_copy, windows)
    for file in windows.glob("*.sql"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    sql.sql_dir = lambda: windows

    assert migrate(empty_engine) == []


def test_a_database_of_a_newer_version_is_refused(empty_engine: Engine) -> None:
    migrate(empty_engine)
    with empty_engine.begin() as connection:
        connection.execute(
            text("INSERT INTO history_sync.applied_sql VALUES ('0999_later.sql', '', now(), false)")
        )
    with pytest.raises(MigrationError, match=r"0999_later\.sql.*newer"):
        migrate(empty_engine)


def test_a_percent_sign_and_many_statements_survive(empty_engine: Engine, sql_copy: Path) -> None:
    (sql_copy / FILES[-1]).write_text(
        "CREATE TABLE history_sync.percent AS SELECT 'a % b %(c)s %%'::text AS value;\n"
        "SELECT 1 WHERE 'x' LIKE '%x%';\n"
        "INSERT INTO history_sync.percent VALUES (':d {e}');\n"
    )
    migrate(empty_engine)
    with empty_engine.connect() as connection:
        values = connection.scalars(text("SELECT value FROM history_sync.percent")).all()
    assert values == ["a % b %(c)s %%", ":d {e}"]


def test_a_failing_file_leaves_nothing_and_says_where(empty_engine: Engine, sql_copy: Path) -> None:
    (sql_copy / FILES[1]).write_text(
        "CREATE TABLE history_sync.half (id int);\n\nSELECT * FROM nowhere;\n"
    )
    with pytest.raises(MigrationError, match=f'{FILES[1]}, line 3: relation "nowhere"'):
        migrate(empty_engine)
    assert status(empty_engine).pending == FILES[1:]
    assert not catalog(empty_engine, "history_sync")["columns"] & {"half.id 1: integer"}


def test_two_migrators_at_once_apply_each_file_once(each_empty_engine: Engine) -> None:
    url = url_of(each_empty_engine)
    with psycopg.connect(libpq_url(url), autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        migrators = [
            subprocess.Popen([sys.executable, "-c", MIGRATOR, url], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        waiting, deadline = 0, time.monotonic() + 30
        while waiting < 2 and time.monotonic() < deadline:
            row = gate.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrator'"
                " AND datname = current_database()"
            ).fetchone()
            waiting = row[0] if row else 0
            time.sleep(0.05)
        assert waiting == 2
        time.sleep(0.5)  # both have asked for the lock by now
        gate.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])
        outputs = [migrator.communicate(timeout=60)[0] for migrator in migrators]

    assert [migrator.returncode for migrator in migrators] == [0, 0]
    assert sorted(name for output in outputs for name in json.loads(output)) == FILES


def test_a_migrator_that_is_killed_leaves_no_lock(empty_engine: Engine, sql_copy: Path) -> None:
    slow = sql_copy.parent / "slow"
    shutil.copytree(sql_copy, slow)
    (slow / FILES[1]).write_text("SELECT pg_sleep(300);\n")
    victim = subprocess.Popen([sys.executable, "-c", MIGRATOR, url_of(empty_engine), str(slow)])
    deadline = time.monotonic() + 30
    while status(empty_engine).pending != FILES[1:] and time.monotonic() < deadline:
        time.sleep(0.05)
    victim.kill()
    victim.wait()

    assert [file.name for file in migrate(empty_engine, lock_wait=30)] == FILES[1:]


def test_a_migrator_that_waits_too_long_names_the_other_one(empty_engine: Engine) -> None:
    target = libpq_url(url_of(empty_engine))
    with psycopg.connect(target, autocommit=True, application_name="the other") as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        pid = other.info.backend_pid
        with pytest.raises(MigrationError, match=f"server process {pid}, the other"):
            migrate(empty_engine, lock_wait=0.3)


def test_a_role_without_the_right_to_create_is_told_so(empty_engine: Engine) -> None:
    role = f"poor_{time.monotonic_ns()}"
    with empty_engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    poor = connect(empty_engine.url.set(username=role))
    with pytest.raises(MigrationError, match="needs CREATE on the database"):
        migrate(poor)
    poor.dispose()
    with empty_engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {role}"))


def test_every_numbered_file_has_one_revision_and_they_are_a_chain() -> None:
    config = Config()
    config.set_main_option("script_location", "ventros_pipeline.crm:migrations")
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    numbers = [file.revision for file in sql.migrations()]
    assert [revision.revision for revision in reversed(revisions)] == numbers
    assert [revision.down_revision for revision in reversed(revisions)] == [None, *numbers[:-1]]


@pytest.mark.parametrize("name", FILES)
def test_no_numbered_file_ends_its_own_transaction(name: str) -> None:
    assert not re.search(
        r"^\s*(BEGIN|COMMIT|ROLLBACK)\b[^;\n]*;", sql.read_sql(name), re.IGNORECASE | re.MULTILINE
    )


def test_migrating_reads_no_alembic_ini_and_leaves_logging_alone(
    empty_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").write_text("this is no ini file")
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("ventros_pipeline.tests.bystander")
    before = logging.getLogger().handlers[:], logging.getLogger().level
    migrate(empty_engine)
    assert (logging.getLogger().handlers, logging.getLogger().level) == before
    assert not logger.disabled


def test_every_file_can_be_taken_back_to_the_very_schema_before_it(empty_engine: Engine) -> None:
    """And forward again: only the order of columns may differ then."""
    before = {}
    for file in sql.migrations():
        migrate(empty_engine, to=file.revision)
        before[file.revision] = catalog(empty_engine), catalog(empty_engine, "history_sync")
    revisions = list(before)
    for previous, revision in reversed(list(itertools.pairwise(revisions))):
        [step] = steps_back(empty_engine, previous)
        assert step.loses.startswith("Loses"), step.name
        assert go_back(empty_engine, previous) == [step.name]
        found = catalog(empty_engine), catalog(empty_engine, "history_sync")
        assert found == before[previous], f"{revision} leaves something"
    assert status(empty_engine).current == "0001"
    with pytest.raises(MigrationError, match="no revision 0000"):
        steps_back(empty_engine, "0000")
    assert [file.name for file in migrate(empty_engine)] == FILES[1:]
    found = catalog(empty_engine, "history_sync")
    wanted = before[revisions[-1]][1]
    for part in ("constraints", "indexes", "functions"):
        assert found[part] == wanted[part]
    assert {re.sub(r" \d+:", ":", line) for line in found["columns"]} == {
        re.sub(r" \d+:", ":", line) for line in wanted["columns"]
    }


def test_an_installed_wheel_migrates_without_a_checkout(
    empty_database_url: str, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    installed = tmp_path / "site-packages"
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(installed)
    # A decoy where a checkout would have its files.
    (installed / "sql").mkdir()
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n{MIGRATOR}"
        f"\nassert str(sql.sql_dir()) == {str(installed / 'ventros_pipeline' / 'sql')!r}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, empty_database_url],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == FILES
