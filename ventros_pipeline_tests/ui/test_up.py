"""`ventros up`, then one day and thirty days of a channel from the Dagster UI.

`make browser` runs these alone. They share one UI and one database and run in the order in which
they stand: what the first one imports, the later ones build on.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.served import VENTROS, Dagster, free_port
from ventros_pipeline_tests.ui.browser import chromium, launch

pytestmark = pytest.mark.browser

KEY, KEY_VARIABLE = "ui-test-key", "VENTROS_UI_TEST_WAHA_KEY"
START = date(2026, 8, 1)
ONE_DAY = date(2026, 9, 10)
FIRST, LAST = date(2026, 8, 20), date(2026, 9, 18)
IMPORT_JOB = "/locations/ventros_pipeline/jobs/history_import"

Truth = dict[date, set[tuple[str, int]]]


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Stanza id and second of every message of the account, by day, as its own dump says."""
    days: Truth = {}
    for line in gzip.decompress((BUNDLED_ACCOUNT / "messages.ndjson.gz").read_bytes()).split(b"\n"):
        if not line:
            continue
        row = json.loads(line)
        second = row["message"]["timestamp"]
        kept = not row["chatId"].endswith(("@broadcast", "@newsletter"))
        if kept and isinstance(second, int) and 0 < second < 2**31:
            day = datetime.fromtimestamp(second, UTC).date()
            days.setdefault(day, set()).add((row["message"]["_data"]["key"]["id"], second))
    return days


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedServer, migrated_template: str) -> Iterator[Engine]:
    with fresh_database(postgres_server.url, migrated_template) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def environment(
    database: Engine,
    postgres_server: EmbeddedServer,
    dagster_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The settings of one home, with the demo's account replayed and added as a channel.

    Dagster keeps its records in Postgres here, and in SQLite in `dagster_/test_daemon.py`.
    """
    with (
        fresh_database(postgres_server.url, dagster_template) as bookkeeping,
        ReplayServer(BUNDLED_ACCOUNT, api_key=KEY) as waha,
    ):
        settings = {
            "VENTROS_HOME": str(tmp_path_factory.mktemp("home")),
            "VENTROS_DATABASE_URL": libpq_url(database.url.render_as_string(hide_password=False)),
            "VENTROS_DAGSTER_DATABASE_URL": libpq_url(bookkeeping),
            "VENTROS_HISTORY_START": START.isoformat(),
            "VENTROS_UI_PORT": str(free_port()),
            KEY_VARIABLE: KEY,
        }
        command = ["channel", "add", "--session", "default", "--url", waha.url]
        subprocess.run(
            [str(VENTROS), *command, "--api-key-env", KEY_VARIABLE, "--allow-groups"],
            env=os.environ | settings,
            check=True,
            capture_output=True,
        )
        yield settings


@pytest.fixture(scope="module")
def dagster(environment: dict[str, str]) -> Iterator[Dagster]:
    """A running UI; whatever a failed test leaves of it is ended."""
    running = Dagster(environment, Path(environment["VENTROS_HOME"]) / "up.log")
    try:
        running.wait_until_served()
        yield running
    finally:
        if running.process.poll() is None:
            running.interrupt()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield page
    page.close()


def imported(engine: Engine) -> set[tuple[str, int]]:
    """Return stanza id and second of every message in the CRM."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT k.stanza_id, extract(epoch FROM m.timestamp)::bigint AS second "
                "FROM messages AS m JOIN history_sync.message_keys AS k ON k.message_id = m.id"
            )
        ).all()
        stored = connection.execute(sa.text("SELECT count(*) FROM messages")).scalar_one()
    found = {(row.stanza_id, row.second) for row in rows}
    assert len(found) == len(rows) == stored
    return found


def versions(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id::text, xmin::text FROM messages"))
        return {(row[0], row[1]) for row in rows}


def test_one_day_is_materialised_from_the_ui(
    dagster: Dagster, page: Page, database: Engine, truth: Truth
) -> None:
    known = {run["runId"] for run in dagster.runs()}

    launch(page, dagster.url + IMPORT_JOB, "Materialize all", ONE_DAY.isoformat())

    assert dagster.wait_for_new_run(known) == "SUCCESS"
    assert imported(database) == truth[ONE_DAY]
    assert dagster.materialized("crm_messages") == 1


def test_thirty_days_are_backfilled_from_the_ui(
    dagster: Dagster, page: Page, database: Engine, truth: Truth
) -> None:
    """Launched from the job, where Dagster tags the run with the first day as well."""
    span = f"[{FIRST}...{LAST}]"

    launch(page, dagster.url + IMPORT_JOB, "Materialize all", span)

    assert dagster.wait_for_backfill() == "COMPLETED_SUCCESS"
    days = [FIRST + timedelta(days=n) for n in range(30)]
    assert days[-1] == LAST
    assert imported(database) == set().union(*(truth[day] for day in days))
    for asset in ("raw_messages", "crm_messages"):
        assert dagster.materialized(asset) == 30


def test_the_asset_loads_a_day_again_and_rewrites_nothing(
    dagster: Dagster, page: Page, database: Engine
) -> None:
    before, known = versions(database), {run["runId"] for run in dagster.runs()}

    launch(page, f"{dagster.url}/assets/crm_messages", "Materialize", ONE_DAY.isoformat())

    assert dagster.wait_for_new_run(known) == "SUCCESS"
    assert versions(database) == before


def test_the_check_reports_are_green(dagster: Dagster, page: Page) -> None:
    statuses = dagster.checks("crm_messages")
    assert len(statuses) >= 6
    assert set(statuses.values()) == {"SUCCEEDED"}

    page.goto(f"{dagster.url}/assets/crm_messages?view=checks")
    for name in statuses:
        expect(page.get_by_text(name).first).to_be_visible()
    green = page.get_by_role("img", name="check_circle")
    expect(green.nth(len(statuses) - 1)).to_be_visible()
    expect(page.get_by_role("img", name="cancel")).to_have_count(0)


def test_an_interrupt_ends_the_whole_family(dagster: Dagster) -> None:
    family = psutil.Process(dagster.process.pid).children(recursive=True)
    assert len(family) >= 4  # dagster dev, webserver, daemon, code server

    assert dagster.interrupt() == 0

    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    said = dagster.log.read_text()
    assert dagster.url in said
    assert "Traceback" not in said
    assert "Warning" not in said
