"""The report says in one look whether everything is there."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report import Report


def report(**balance: int) -> Report:
    return Report(
        channel="default-0000000a",
        balance={**dict.fromkeys(COUNTS, 0), **balance},
        reasons={"broadcast": 2},
        overview={
            "messages": 7,
            "people": 3,
            "one_to_one_chats": 4,
            "sessions": 5,
            "first_at": datetime(2026, 6, 1, tzinfo=UTC),
            "last_at": None,
        },
        breakdown={"kind": {"text": 6, "image": 1}},
        coverage=[
            {
                "state": "settling",
                "days": 30,
                "from_day": date(2026, 6, 1),
                "to_day": date(2026, 6, 30),
                "rows": Decimal(10),
            }
        ],
    )


def test_a_balance_closes_when_every_row_seen_is_accounted_for() -> None:
    whole = report(
        seen=21, inserted=1, updated=2, unchanged=3, duplicate=4, filtered=5, quarantined=6
    )
    assert whole.closes
    assert "The balance closes." in whole.as_markdown()


@pytest.mark.parametrize("seen", [20, 22])
def test_a_row_too_many_or_too_few_leaves_it_open_and_is_shouted(seen: int) -> None:
    open_balance = report(seen=seen, inserted=21)
    assert not open_balance.closes
    assert "**The balance does not close.**" in open_balance.as_markdown()
    assert open_balance.as_json()["balance_closes"] is False


def test_the_report_as_json_is_plain_data() -> None:
    said = json.loads(json.dumps(report(seen=1, inserted=1).as_json()))
    assert said["balance_closes"] is True
    assert said["first_at"] == "2026-06-01T00:00:00+00:00"
    assert said["last_at"] is None
    assert said["coverage"][0]["rows"] == 10
    assert said["kind"] == {"text": 6, "image": 1}


def test_the_report_as_markdown_has_a_line_for_each_figure() -> None:
    text = report(seen=1234, inserted=1229, filtered=5).as_markdown()
    assert "**1,229 of 1,234 messages of WAHA are in the CRM**" in text
    assert "| broadcast | 2 |" in text
    assert "| settling | 30 | 2026-06-01 | 2026-06-30 |" in text
