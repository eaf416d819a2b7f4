"""Makes the documentation's pictures anew: the Dagster UI and the report page of the demo's import.

    .venv/bin/python docs/screenshots.py

It imports the demo's account into a home of its own, which takes a minute or two, serves the UI,
and needs Chromium as the UI's tests do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect

from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.report.words import LANGUAGES
from ventros_pipeline_tests.served import VENTROS, free_port, served
from ventros_pipeline_tests.ui.browser import chromium

IMAGES = Path(__file__).parent / "images"
# The calendar begins on the day of the account's first message, so that every day is filled.
START = "2025-07-15"
SENSORS = (
    *("channel_sensor", "history_sensor", "incremental_sensor"),
    *("failure_alert", "problem_alert"),
)
SCHEDULES = ("identity_sweep_hourly", "nightly_checks", "settle_daily", "weekly_retention")
ASSETS = (
    *("channel_directory", "raw_messages", "crm_messages"),
    *("message_media", "media_enrichment", "import_report"),
)
PAGES: tuple[tuple[str, str, Literal["light", "dark"], int, int], ...] = (
    ("light", "en", "light", 1120, 1500),
    ("dark", "en", "dark", 1120, 1500),
    ("phone", "en", "light", 360, 1500),
    ("pt-BR", "pt-BR", "light", 1120, 1500),
)
SHOWN_DAYS, SHOWN_DAY = "[2026-08-20...2026-09-18]", "2026-09-16"


def main() -> None:
    """Import, serve, take the pictures."""
    with tempfile.TemporaryDirectory(prefix="vt", dir="/tmp") as folder:
        settings = {
            "VENTROS_HOME": folder,
            "VENTROS_HISTORY_START": START,
            "VENTROS_UI_PORT": str(free_port()),
        }
        environment = os.environ | settings
        done = subprocess.run(
            [VENTROS, "demo", "--no-ui", "--json"], env=environment, check=True, capture_output=True
        )
        channel = json.loads(done.stdout)["report"]["channel"]
        for language in LANGUAGES:
            page = Path(folder) / f"{language}.html"
            command = [VENTROS, "report", channel, "--html", page, "--lang", language]
            subprocess.run(command, env=environment, check=True)
        try:
            with served(settings, Path(folder) / "up.log") as dagster, chromium() as browser:
                take(browser, dagster.url)
                take_assets(browser, dagster.url, channel)
                take_report(browser, Path(folder))
        finally:
            EmbeddedServer("", Path(folder) / "postgres").stop()


def take(browser: Browser, url: str) -> None:
    """Write what all assets look like together: the graph, a filled calendar, the switches."""
    IMAGES.mkdir(exist_ok=True)
    expect.set_options(timeout=60_000)
    # The graph is drawn with its figures only where all of it fits.
    page = browser.new_page(viewport={"width": 1800, "height": 800})
    page.goto(url)
    page.get_by_role("button", name="Hide navigation").click()
    lineage(page, f"{url}/assets/crm_messages?view=lineage&lineageScope=neighborhood")
    page.screenshot(path=IMAGES / "assets.png")
    page.set_viewport_size({"width": 1440, "height": 720})
    partitions(page, f"{url}/assets/crm_messages?view=partitions")
    page.screenshot(path=IMAGES / "backfill.png")
    automation(page, f"{url}/automation")
    page.screenshot(path=IMAGES / "automation.png")


def take_assets(browser: Browser, url: str, channel: str) -> None:
    """Write the page of every asset, and the report as its run shows it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    for asset in ASSETS:
        page.goto(f"{url}/assets/{asset}")
        expect(page.get_by_text("When to materialise it").first).to_be_visible()
        expect(page.get_by_text("Loading")).to_have_count(0)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"asset-{asset}.png")
    # A long text is shown in a dialog of its own.
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_role("img", name="Balance", exact=True)).to_be_visible()
    page.wait_for_timeout(1000)  # It comes up slowly, and at its end.
    page.get_by_role("heading", level=3).filter(has_text=channel).evaluate(
        "heading => heading.scrollIntoView()"
    )
    page.screenshot(path=IMAGES / "report-run.png")


def take_report(browser: Browser, folder: Path) -> None:
    """Write the report page as it looks by day, by night, on a phone and in Portuguese."""
    for name, language, scheme, width, height in PAGES:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page = context.new_page()
        page.goto((folder / f"{language}.html").as_uri())
        page.screenshot(path=IMAGES / f"report-{name}.png")
        context.close()


def lineage(page: Page, url: str) -> None:
    """Show the assets with their groups, partitions and checks."""
    page.goto(f"{url}&lineageDepth=5")
    expect(page.get_by_text("import_report").first).to_be_visible()
    expect(page.get_by_text("100% filled").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^(\d+) / \1 Passed$"))).to_be_visible()
    expect(page.get_by_text("Loading")).to_have_count(0)


def partitions(page: Page, url: str) -> None:
    """Show that every day of the channel is there, and what is known of one of them."""
    page.goto(url)
    expect(page.get_by_text("Missing (0)")).to_be_visible()
    days = page.get_by_placeholder("ex: 20")
    days.fill(SHOWN_DAYS)
    days.press("Enter")
    page.get_by_text(SHOWN_DAY, exact=True).first.click()
    expect(page.get_by_text("partition_row_count").first).to_be_visible()


def automation(page: Page, url: str) -> None:
    """Show the sensors and schedules, all of them off."""
    page.goto(url)
    for name in (*SENSORS, *SCHEDULES):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    # The switches come with what stands below each name, a while after the names. The sensor of
    # failed runs is of another kind than the others.
    expect(page.get_by_text("Standard sensor")).to_have_count(len(SENSORS) - 1)
    expect(page.get_by_text("Scheduled At")).to_have_count(len(SCHEDULES))


if __name__ == "__main__":
    main()
