"""Driving the Dagster UI: the served pages and the launch dialog.

Found by role and text, not by class: the classes of the UI change with every release.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "The UI tests drive Debian's Chromium, and there is none: `apt-get install chromium` "
    "(.ci/run does it)."
)
# As root there is no sandbox, and a browser that only sees loopback has nobody to phone home to.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless browser."""
    program = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    assert program, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


def launch(page: Page, url: str, materialize: str, days: str) -> None:
    """Open a page, press its materialise button, choose the only channel and these days, launch."""
    page.goto(url)
    page.get_by_role("button", name=materialize).click()
    sure = page.get_by_role("button", name="Confirm")
    field = page.get_by_placeholder("ex: 20")
    expect(sure.or_(field)).to_be_visible()
    if sure.is_visible():
        sure.click()  # Nothing upstream is materialised yet; a run refreshes the directory itself.
    dialog = page.get_by_role("dialog").filter(has=field)
    dialog.get_by_role("button", name="All", exact=True).first.click()
    field.fill(days)
    field.press("Enter")
    button = dialog.get_by_role("button", name="Launch")
    expect(button).to_be_enabled()
    button.click()
    expect(dialog).to_be_hidden()
