"""Every threat has a measure and a test that is there; every limit has the value that is said."""

from __future__ import annotations

import re

import pytest

from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.docs.pages import ROOT, Page

TESTS = ROOT / "ventros_pipeline_tests"
THREATS = Page(ROOT / "docs/explanation/threats.md")
LIMITS = Page(ROOT / "docs/explanation/limits.md")
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def rows_of(page: Page) -> list[list[str]]:
    """Return the cells of the rows of all tables, without heads and rules."""
    lines = [line for line in page.text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    rules = [n for n, row in enumerate(lines) if set(row) <= set("|-: ")]
    return [row for n, row in enumerate(cells) if n not in rules and n + 1 not in rules]


ROWS = [row for row in rows_of(THREATS) if len(row) == 3]


def test_there_are_threats() -> None:
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_threat_has_a_measure_and_a_test(row: list[str]) -> None:
    threat, measure, proof = row
    assert threat
    assert measure
    assert NAMED.findall(proof)


@pytest.mark.parametrize(
    ("file", "test"), sorted({*NAMED.findall(THREATS.text), *NAMED.findall(LIMITS.text)})
)
def test_every_test_that_is_named_is_there(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (TESTS / file).read_text("utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize(
    "row", [row for row in rows_of(LIMITS) if "VENTROS_" in row[1]], ids=lambda row: row[0][:40]
)
def test_a_limit_that_is_a_setting_has_the_default_that_is_said(row: list[str]) -> None:
    for name, said in re.findall(r"`VENTROS_([A-Z_]+)` \(([^)]*)\)", row[1]):
        default = Settings.model_fields[name.lower()].default
        assert said.split(" ")[0].replace(",", "") == f"{default:g}", name
