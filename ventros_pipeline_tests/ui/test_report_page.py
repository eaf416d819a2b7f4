"""The report page in a real browser: readable by everybody, on any screen, from no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from ventros_pipeline.report.figures import Report
from ventros_pipeline.report.page import page_of
from ventros_pipeline.report.words import Words
from ventros_pipeline_tests.report.made import every_state, hostile, made
from ventros_pipeline_tests.ui.browser import chromium

pytestmark = pytest.mark.browser

PHONE, DESK = 360, 1280
Scheme = Literal["light", "dark"]
CASES: list[tuple[str, Report, str, Scheme, int]] = [
    ("every state by day", every_state(), "en", "light", DESK),
    ("every state by night", every_state(), "pt-BR", "dark", DESK),
    ("every state on a phone", every_state(), "pt-BR", "light", PHONE),
    ("complete by night on a phone", made(), "en", "dark", PHONE),
    ("hostile on a phone", hostile(), "en", "light", PHONE),
    ("never imported", made([], plan=None, runs=[]), "en", "light", DESK),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    ("report", "language", "scheme", "width"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_page_can_be_read_by_everybody_and_asks_nobody(
    browser: Browser, tmp_path: Path, report: Report, language: str, scheme: Scheme, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page_of(report, Words(language)), encoding="utf-8")
    # The checker is a script, which the page's own policy forbids.
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text))

    page.goto(file.as_uri())

    assert asked == [file.as_uri()]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _serious(Axe().run(page).response) == []
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()


def _serious(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
