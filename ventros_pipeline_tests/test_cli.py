"""`ventros` as scripts and people call it: results, exit codes, and sentences for what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, event

from ventros_pipeline import cli
from ventros_pipeline.crm import migrate, plans
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.database import DatabaseError, libpq_url
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.instance import STORAGE_VARIABLE
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, at, message, write_account

VENTROS = Path(sys.executable).with_name("ventros")
ANA = "5511980000001@s.whatsapp.net"
# All days of which the account has anything, and the ones beside them. Up to today it would be
# more runs every month.
ITS_DAYS = ("--since", "2026-06-01", "--until", "2026-06-04")
PLANT = """
    INSERT INTO messages
    SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', gen_random_uuid(), 'source', 'history_import', 'channel_message_id', '3EB0000A'
    ))).*
    FROM messages AS m WHERE m.channel_message_id LIKE '%3EB0000A'
"""
IMPORT_KEYS = [
    "run_id",
    "channel",
    "from",
    "to",
    "seen",
    "inserted",
    "updated",
    "unchanged",
    "duplicate",
    "filtered",
    "quarantined",
    "contacts_created",
    "sessions_created",
    "requests",
    "retries",
    "seconds",
]


@dataclass
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The result: one JSON object on the last line of standard output, and nothing else."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found

    @property
    def sentence(self) -> str:
        """What is wrong, in one line on standard error."""
        assert self.out == ""
        assert "Traceback" not in self.err
        return self.err.strip()


Ventros = Callable[..., Said]


@pytest.fixture(scope="module")
def waha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayServer]:
    rows = [
        (ANA, message(ANA, "3EB0000A", at("2026-06-02 10:00"), "um")),
        (ANA, message(ANA, "3EB0000B", at("2026-06-03 10:00"), "dois", from_me=True, ack=3)),
    ]
    folder = write_account(tmp_path_factory.mktemp("account"), rows)
    with ReplayServer(folder, api_key=KEY) as server:
        yield server


@pytest.fixture
def settings(
    engine: Engine, dagster_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The environment of one home on fresh databases."""
    chosen = {
        "VENTROS_HOME": str(tmp_path / "home"),
        "VENTROS_DATABASE_URL": libpq_url(engine.url.render_as_string(hide_password=False)),
        "VENTROS_DAGSTER_DATABASE_URL": libpq_url(dagster_database_url),
        "VENTROS_HISTORY_START": "2026-06-01",
        "VENTROS_REQUEST_ATTEMPTS": "1",
        "DAGSTER_HOME": "",
        STORAGE_VARIABLE: "",
        KEY_VARIABLE: KEY,
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield chosen
    get_settings.cache_clear()


@pytest.fixture
def ventros(
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Ventros:
    """Runs a command in this process, through the same `main` as the program."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["ventros", *arguments])
        get_settings.cache_clear()
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def channel(ventros: Ventros, waha: ReplayServer) -> str:
    added = ventros("channel", "add", "--session", "default", "--url", waha.url, *OPTIONS)
    return str(added.json["channel"])


OPTIONS = ("--api-key-env", KEY_VARIABLE, "--agent", "Histórico", "--json")


# -- results -------------------------------------------------------------------------------------


def test_an_added_channel_is_named_by_key_and_id(ventros: Ventros, waha: ReplayServer) -> None:
    command = ("channel", "add", "--session", "default", "--url", waha.url, *OPTIONS)

    first, again = ventros(*command), ventros(*command)

    assert first.code == 0
    assert list(first.json) == ["channel", "id"]
    assert first.json["channel"] == f"default-{UUID(first.json['id']).hex[:8]}"
    assert again.json == first.json


def test_the_channels_are_listed(ventros: Ventros, channel: str) -> None:
    listed = ventros("channel", "list", "--json").json["channels"]
    assert [found["channel"] for found in listed] == [channel]
    assert channel in ventros("channel", "list").out


def test_a_channel_is_enabled_with_limits_and_shown_with_its_last_import(
    ventros: Ventros, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything, in two runs: the calendar's first day, and all from the oldest message to today.
    monkeypatch.setenv("VENTROS_RUN_DAYS", "366")
    said = ventros("channel", "enable", channel, "--agent", "Outra", "--max-days", "900", "--json")
    assert said.code == 0
    assert said.json["import"]["enabled"] is True
    assert (said.json["import"]["status"], said.json["import"]["max_days"]) == ("idle", 900)
    assert ventros("import", channel, "--json").code == 0

    [listed] = ventros("channel", "list", "--json").json["channels"]
    assert (listed["import"]["status"], listed["import"]["stats"]["processed"]) == ("completed", 2)
    assert listed["import"]["progress"]["status"] == "completed"
    assert listed["import"]["last_import_date"][:10] in ventros("channel", "list").out


def test_an_import_that_is_cancelled_has_ended_and_another_can_begin(
    ventros: Ventros, channel: str, engine: Engine
) -> None:
    assert ventros("cancel", channel, "--json").json == {"channel": channel, "cancelled": False}
    ventros("channel", "enable", channel)
    found = get_channel(engine, channel)
    plans.request(engine, found, Wish(), [DayRange(date(2026, 6, 1), date(2026, 6, 4))])
    refused = ventros("import", channel)
    assert refused.code == 1
    assert f"end it with `ventros cancel {channel}`" in refused.sentence

    assert ventros("cancel", channel, "--json").json["cancelled"] is True
    status = ventros("status", channel, "--json").json["import"]
    assert (status["status"], status["error"]) == ("failed", plans.CANCELLED)
    assert "no import of it is open" in ventros("cancel", channel).err
    done = ventros("import", channel, *ITS_DAYS, "--json")
    assert done.code == 0
    plan = ventros("status", channel, "--watch", "--json").json["import"]
    assert (plan["driver"], plan["status"], plan["days_done"]) == ("command", "completed", 4)
    assert [found["state"] for found in plan["ranges"]] == ["done"]


def test_a_running_import_is_watched_until_it_ends(
    ventros: Ventros, channel: str, engine: Engine
) -> None:
    ventros("channel", "enable", channel)
    found = get_channel(engine, channel)
    plans.request(engine, found, Wish(), [DayRange(date(2026, 6, 1), date(2026, 6, 4))])
    seen = threading.Event()

    def look_then_cancel() -> None:
        seen.wait(30)
        plans.cancel(engine, found)

    @event.listens_for(Engine, "before_cursor_execute")
    def notice(_: object, __: object, statement: str, *___: object) -> None:
        if "plan_ranges" in statement and threading.current_thread() is threading.main_thread():
            seen.set()

    canceller = threading.Thread(target=look_then_cancel)
    canceller.start()
    said = ventros("status", channel, "--watch", "--json")
    canceller.join()
    event.remove(Engine, "before_cursor_execute", notice)

    assert said.code == 1
    assert json.loads(said.out)["import"]["status"] == "failed"
    assert f"the import failed: {plans.CANCELLED}" in said.err


def test_only_what_is_new_since_the_last_import_is_planned(ventros: Ventros, channel: str) -> None:
    assert ventros("import", channel, *ITS_DAYS).code == 0
    planned = ventros("import", channel, "--since", "last", "--dry-run", "--json").json["runs"]
    # The newest message is of 3 June; the day before it is read again.
    assert planned[-1]["from"] == "2026-06-02"


def test_an_import_reaches_no_further_back_than_its_channel_allows(
    ventros: Ventros, channel: str
) -> None:
    ventros("channel", "enable", channel, "--max-days", "3")
    wide = ("--since", "180d", "--dry-run", "--json")
    narrow = ("--since", "2d", "--dry-run", "--json")
    assert [run["days"] for run in ventros("import", channel, *wide).json["runs"]] == [3]
    assert [run["days"] for run in ventros("import", channel, *narrow).json["runs"]] == [2]

    said = ventros("import", channel, "--until", "2026-06-04")
    assert said.code == 2
    assert "the channel imports its last 3 days only" in said.sentence


def test_a_disabled_channel_is_not_imported(ventros: Ventros, channel: str) -> None:
    assert ventros("channel", "disable", channel, "--json").json["import"]["enabled"] is False
    assert "off" in ventros("channel", "list").out
    said = ventros("import", channel, "--json")
    assert said.code == 1
    assert f"turn it on with `ventros channel enable {channel}`" in said.sentence


def test_a_dry_run_says_what_there_is_and_writes_nothing(
    ventros: Ventros,
    channel: str,
    waha: ReplayServer,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waha.stats.reset()
    monkeypatch.setenv("VENTROS_RUN_DAYS", "31")
    days = ("--since", "2026-06-02", "--until", "2026-07-20", "--dry-run")
    said = ventros("import", channel, *days, "--json")
    assert said.code == 0
    found = said.json
    assert found["runs"] == [
        {"from": "2026-06-20", "to": "2026-07-20", "days": 31, "rows": 0, "exact": True},
        {"from": "2026-06-02", "to": "2026-06-19", "days": 18, "rows": 2, "exact": True},
    ]
    assert found["rows"] == {"stored": 2, "imported": 2, "left_out": {}, "unreadable": 0}
    assert found["requests"]["made"] == sum(waha.stats.requests.values())
    assert ANA.partition("@")[0] not in json.dumps(found)
    shown = ventros("import", channel, *days, "--chat", ANA)
    assert f"this dry run made {found['requests']['made']} requests" in shown.err
    assert f"next: ventros import {channel}" in shown.err
    assert "--chat and --max-per-chat make it less" in shown.err
    with engine.connect() as connection:
        for table in ("public.messages", "public.contacts", "history_sync.evidence"):
            rows = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            assert (table, rows) == (table, 0)
    assert not (tmp_path / "home" / "archive").exists()


def test_some_chats_are_imported_and_no_run_is_configured_with_a_number(
    ventros: Ventros, channel: str, dagster_database_url: str
) -> None:
    said = ventros("import", channel, *ITS_DAYS, "--chat", ANA, "--json")
    assert said.code == 0
    assert said.json["inserted"] > 0
    with psycopg.connect(libpq_url(dagster_database_url)) as session:
        kept = session.execute(
            "SELECT run_body FROM runs UNION ALL SELECT event FROM event_logs"
        ).fetchall()
    assert kept
    assert not [body for (body,) in kept if ANA.partition("@")[0] in body]

    nobody = ventros("import", channel, *ITS_DAYS, "--chat", "5511980009999@c.us")
    assert nobody.code == 1
    assert "WAHA lists no chat for --chat number 1" in " ".join(nobody.err.split())
    assert "5511980009999" not in nobody.err


def test_a_dry_run_does_not_migrate(
    ventros: Ventros, channel: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = migrate.MigrationStatus("0001", "0002", ["0002_history_sync.sql"], "ours")
    monkeypatch.setattr(migrate, "status", lambda _: pending)
    said = ventros("import", channel, "--dry-run")
    assert (said.code, "run `ventros db migrate`" in said.sentence) == (1, True)


def test_an_import_prints_its_figures_and_status_the_whole(ventros: Ventros, channel: str) -> None:
    said = ventros("import", channel, *ITS_DAYS, "--json")

    assert said.code == 0
    figures = said.json
    assert list(figures) == IMPORT_KEYS
    assert (figures["from"], figures["to"]) == ("2026-06-01", "2026-06-04")
    assert (figures["seen"], figures["inserted"], figures["contacts_created"]) == (2, 2, 1)
    assert figures["requests"] > 0

    status = ventros("status", channel, "--json").json
    assert status["messages"] == 2
    assert status["balance_closes"] is True
    assert "the balance closes" in ventros("status", channel).out


def test_piped_it_is_quiet_and_only_the_result_is_on_standard_output(
    settings: dict[str, str], channel: str
) -> None:
    command = [str(VENTROS), "import", channel, "--since", "2026-06-02", "--until", "2026-06-03"]
    done = subprocess.run(
        [*command, "--json"], check=False, env=os.environ | settings, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Said(0, done.stdout, done.stderr).json["inserted"] == 2


def test_the_address_of_the_database_is_one_that_clients_take(ventros: Ventros) -> None:
    said = ventros("db", "url")
    assert said.code == 0
    with psycopg.connect(said.out.strip()) as session:
        assert session.execute("SELECT count(*) FROM channels").fetchone() == (0,)
    assert ventros("db", "url", "--json").json == {"url": said.out.strip()}


def test_migrations_are_applied_once_and_reported(
    ventros: Ventros, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTROS_DATABASE_URL", libpq_url(empty_database_url))

    applied = ventros("db", "migrate", "--json").json["applied"]
    again = ventros("db", "migrate", "--json").json["applied"]
    status = ventros("db", "status", "--json").json

    assert applied
    assert again == []
    assert (status["pending"], status["current"]) == ([], status["latest"])
    assert "nothing to do" in ventros("db", "migrate").out
    refused = ventros("db", "migrate", "--to", "0016")
    assert refused.code == 2
    assert "0017_known_rows.sql: Loses nothing" in refused.err
    assert "nobody can be asked here" in refused.err
    back = ventros("db", "migrate", "--to", "0016", "--yes", "--json").json["taken_back"]
    assert back[-1] == "0017_known_rows.sql"
    assert ventros("db", "status", "--json").json["current"] == "0016"
    assert ventros("db", "migrate", "--to", "0017", "--json").json["applied"] == back[-1:]
    assert "no revision 0999" in ventros("db", "migrate", "--to", "0999").sentence
    assert ventros("db", "migrate", "--json").json["applied"] == back[-2::-1]


# -- what is wrong -------------------------------------------------------------------------------


def test_an_unknown_channel_is_said_with_the_ones_that_are_there(
    ventros: Ventros, channel: str
) -> None:
    said = ventros("status", "nobody")
    assert said.code == 1
    assert said.sentence == f"error: no channel has the key nobody; channels are: {channel}"
    meant = ventros("status", "defalt")
    assert f"did you mean {channel}? channels are: {channel}" in meant.sentence


@pytest.mark.parametrize("since", ["yesterday", "0d", "2026-13-01"])
def test_a_day_that_is_none_is_misuse(ventros: Ventros, channel: str, since: str) -> None:
    said = ventros("import", channel, "--since", since)
    assert said.code == 2
    assert f"{since!r} is no day" in said.sentence


@pytest.mark.parametrize("command", [("import",), ("frobnicate",), ("channel", "add", "--json")])
def test_misuse_ends_with_2(ventros: Ventros, command: tuple[str, ...]) -> None:
    said = ventros(*command)
    assert said.code == 2
    assert said.out == ""


def test_a_waha_that_is_down_is_one_sentence(ventros: Ventros) -> None:
    added = ventros(
        "channel", "add", "--session", "default", "--url", "http://127.0.0.1:9", *OPTIONS
    )
    said = ventros("import", added.json["channel"], "--since", "2026-06-02", "--json")
    assert said.code == 1
    assert said.sentence.startswith("error: WAHA session 'default'")
    assert "Check that WAHA runs" in said.sentence


def test_a_key_that_is_not_set_is_named(
    ventros: Ventros, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    said = ventros("import", channel)
    assert said.code == 1
    assert f"the variable {KEY_VARIABLE}, which is not set" in said.sentence


def test_a_database_that_is_lost_before_the_first_step_is_said(
    ventros: Ventros, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ventros_pipeline import resources

    def lose(_: object) -> Engine:
        raise DatabaseError("the database is gone")

    monkeypatch.setattr(resources, "open_engine", lose)
    said = ventros("import", channel, "--since", "2026-06-02", "--until", "2026-06-02")
    assert (said.code, said.sentence) == (1, "error: the database is gone")


def contacts(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id::text FROM contacts WHERE deleted_at IS NULL")
        return sorted(found.scalars())


def test_two_contacts_of_one_number_are_a_complaint_with_a_plan_that_works(
    ventros: Ventros, channel: str, engine: Engine
) -> None:
    assert ventros("import", channel, *ITS_DAYS).code == 0
    assert ventros("doctor", channel, "--json").json["complaints"] == []
    with engine.begin() as connection:
        # As people spell it who have not heard of the ninth digit.
        connection.exec_driver_sql(
            "INSERT INTO contacts (project_id, tenant_id, name, phone, created_at) "
            "SELECT project_id, tenant_id, 'Ana', '551180000001', now() FROM channels"
        )
    said = ventros("doctor", channel, "--json")
    assert said.code == 1
    [complaint] = said.json["complaints"]
    assert (complaint["name"], complaint["found"]) == ("contact_twice", 1)
    [command] = complaint["plan"]
    assert command.startswith(f"ventros people merge {channel} ")
    assert "80000001" not in json.dumps(said.json)

    assert ventros(*command.split()[1:], "--json").json == {"merged": 1, "split": 0}
    assert len(contacts(engine)) == 1
    assert ventros("doctor", channel).code == 0
    [merge] = ventros("people", "merges", channel, "--json").json["merges"]
    assert (merge["sources"], merge["undone"]) == (["operator"], None)

    undone = ventros("people", "unmerge", channel, merge["merge_id"], "--json")
    assert undone.json == {"merged": 0, "split": 1}
    assert len(contacts(engine)) == 2
    again = ventros("people", "unmerge", channel, merge["merge_id"])
    assert (again.code, "is undone already" in again.sentence) == (1, True)


def test_a_message_in_two_rows_is_a_complaint_that_names_which_one_to_keep(
    ventros: Ventros, channel: str, engine: Engine
) -> None:
    assert ventros("import", channel, *ITS_DAYS).code == 0
    with engine.begin() as connection:
        kept = connection.exec_driver_sql(
            "SELECT id::text FROM messages WHERE channel_message_id LIKE '%%3EB0000A'"
        ).scalar()
        connection.exec_driver_sql(PLANT.replace("%", "%%"))
    said = ventros("doctor", channel, "--json")
    assert said.code == 1
    [complaint] = said.json["complaints"]
    assert complaint["name"] == "message_twice"
    assert complaint["plan"][0].startswith(f"keep message {kept}, delete ")
    assert "um" not in complaint["plan"][0].split()
    shown = ventros("doctor", channel)
    assert shown.code == 1
    assert "1 x message_twice" in shown.err


def test_a_failed_check_is_said_with_its_repair(
    ventros: Ventros, channel: str, settings: dict[str, str]
) -> None:
    days = ("import", channel, "--since", "2026-06-02", "--until", "2026-06-03")
    assert ventros(*days).code == 0
    with psycopg.connect(settings["VENTROS_DATABASE_URL"], autocommit=True) as session:
        session.execute(PLANT)

    said = ventros("import", channel, "--since", "2026-06-02", "--until", "2026-06-02")

    assert said.code == 1
    assert said.sentence.startswith("error: check keys_match_rows: 1 times")
    repair = f"import {channel} --since 2026-06-02 --until 2026-06-02 --force"
    assert f"Repair: `ventros {repair}`." in " ".join(said.sentence.split())


# -- production ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("demo",), ("db", "status"), ("up",)])
def test_production_refuses_the_embedded_database(
    ventros: Ventros, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VENTROS_ENV", "production")
    monkeypatch.delenv("VENTROS_DATABASE_URL")
    said = ventros(*command)
    assert said.code == 1
    assert "VENTROS_ENV=production refuses the embedded Postgres" in said.sentence


@pytest.mark.parametrize("command", [("demo",), ("replay", ".")])
def test_production_refuses_what_is_replayed(
    ventros: Ventros, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VENTROS_ENV", "production")
    said = ventros(*command)
    assert said.code == 1
    assert "VENTROS_ENV=production refuses the" in said.sentence


def test_a_wrong_setting_is_named_and_its_value_is_not_said(
    ventros: Ventros, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTROS_PAGE_SIZE", "s3cret")
    said = ventros("db", "status")
    assert said.code == 1
    assert "VENTROS_PAGE_SIZE: " in said.sentence
    assert "s3cret" not in said.sentence


def test_a_port_that_is_taken_is_said(
    ventros: Ventros, waha: ReplayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTROS_UI_PORT", waha.url.rpartition(":")[2])
    said = ventros("up")
    assert said.code == 1
    assert "set VENTROS_UI_PORT to a free port" in said.sentence


# -- taking back ---------------------------------------------------------------------------------


def test_a_run_is_undone_and_a_person_erased_from_a_terminal(
    ventros: Ventros, channel: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ("--since", "2026-06-01", "--until", "2026-06-10", "--json")
    run_id = ventros("import", channel, *days).json["run_id"]
    would_be = ventros("undo", run_id, "--dry-run", "--json").json
    assert (would_be["undone"], would_be["removed"]["messages"]) == (False, 2)
    undone = ventros("undo", run_id, "--json")
    assert undone.code == 0
    assert undone.json == {**would_be, "undone": True, "dry_run": False}
    assert "was undone already" in ventros("undo", run_id, "--json").sentence

    second = ventros("import", channel, *days)
    assert second.code == 0, second.err
    assert second.json["inserted"] == 2
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE messages SET text = 'x', updated_at = clock_timestamp()")
        again = connection.exec_driver_sql(
            "SELECT run_id::text FROM history_sync.runs WHERE undone_at IS NULL"
        ).scalar_one()
    refused = ventros("undo", again, "--json")
    assert refused.code == 1
    assert "nothing was changed" in refused.err
    (obstacle,) = refused.json["obstacles"]
    assert (obstacle["kind"], obstacle["relation"], obstacle["count"]) == ("edited", "messages", 2)

    unasked = ventros("forget", "+55 11 98000-0001")
    assert (unasked.code, unasked.out) == (2, "")
    monkeypatch.setattr(sys, "stdin", StringIO("+55 11 98000-0001\n"))
    erased = ventros("forget", "-", "--yes", "--json")
    assert erased.json["counts"]["messages"] == 2
    assert erased.json["addresses"] == ["5511*******01@c.us", "5511******01@c.us"]
    assert "5511980000001" not in erased.out + erased.err
    foreseen = ventros("import", channel, *days, "--dry-run").json["rows"]
    assert (foreseen["imported"], foreseen["left_out"]) == (0, {"erased": 2})
    assert ventros("import", channel, *days).json["inserted"] == 0
    assert ventros("forget", "Ana", "--yes").code == 1
