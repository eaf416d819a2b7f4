"""Reports made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.crm.plans import Plan
from ventros_pipeline.report.figures import STATES, DayFigures, Report, RunFigures

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CHANNEL = "default-0000000a"
HOSTILE = "<script>alert('x')</script>]]>&\"|`*_\x00\x1b"


def day(text: str, state: str = "exhausted", messages: int = 1) -> DayFigures:
    return DayFigures(date.fromisoformat(text), state, messages, messages, NOW, None)


def plan(status: str = "completed", error: str | None = None) -> Plan:
    return Plan(
        import_id=UUID(int=1),
        channel_id=UUID(int=2),
        driver="command",
        strategy="full",
        status=status,
        error=error,
        days=None,
        max_per_chat=None,
        surveyed=True,
        requested_at=NOW,
        started_at=NOW,
        ended_at=None,
        runs=2,
        days_read=20,
        messages=4000,
        contacts_created=3,
        sessions_created=4,
        seconds=10.0,
        days_done=20,
        days_total=30,
    )


def made(days: Sequence[DayFigures] | None = None, **changes: Any) -> Report:
    """Return the report of a complete channel, but for what is said."""
    balance = changes.pop("balance", {"seen": 10, "inserted": 8, "filtered": 2})
    report = Report(
        channel=CHANNEL,
        balance={**dict.fromkeys(COUNTS, 0), **balance},
        reasons={"broadcast": 2},
        overview={
            "messages": 8,
            "people": 3,
            "one_to_one_chats": 4,
            "sessions": 5,
            "first_at": datetime(2026, 6, 1, tzinfo=UTC),
            "last_at": None,
        },
        breakdown={
            "kind": {"text": 7, "image": 1},
            "direction": {"incoming": 6, "outgoing": 2},
            "status": {"read": 2},
        },
        coverage=[],
        now=NOW,
        days=[day("2026-06-29"), day("2026-06-30"), day("2026-07-01", "reading")]
        if days is None
        else days,
        people={"lids": 2, "number_only": 1},
        sessions={"1": 4, "2-5": 1},
        plan=plan(),
        runs=[RunFigures(date(2026, 6, 1), date(2026, 6, 30), "completed", 4000, 9, 1, 10.0)],
    )
    return replace(report, **changes)


def every_state() -> Report:
    """Return a channel of which a hundred days are known in all ways there are."""
    first = NOW.date() - timedelta(days=99)
    days = [
        DayFigures(first + timedelta(days=n), STATES[n % len(STATES)], n * n, n, NOW, None)
        for n in range(100)
    ]
    missing = [found.day for found in days if found.state == "unknown"]
    return made(days, missing=missing)


def hostile() -> Report:
    """Return a channel whose every text means harm, and whose every number is huge."""
    huge = 10**15
    return made(
        [DayFigures(NOW.date(), "settled", huge, huge, NOW, None)],
        channel=HOSTILE,
        balance={"seen": 6 * huge, **dict.fromkeys(COUNTS[1:], huge)},
        reasons={HOSTILE: huge},
        breakdown={"kind": {HOSTILE: huge}, "direction": {HOSTILE: 1}, "status": {HOSTILE: huge}},
        people={HOSTILE: huge},
        sessions={HOSTILE: huge},
        plan=plan("failed", HOSTILE),
        problem=HOSTILE,
        missing=[date(2026, 6, 30)],
    )
