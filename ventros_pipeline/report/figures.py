"""Everything that is said of one channel, read from the CRM as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm import coverage, figures, ledger
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.limits import first_allowed
from ventros_pipeline.crm.plans import Plan, plan_of

DAY = timedelta(days=1)
# From what is known least to what is known best.
STATES = ("unknown", "reading", "settling", "settled", "exhausted")


@dataclass(frozen=True)
class DayFigures:
    """One day of a channel.

    Attributes:
        state: what is known of it, one of `STATES`.
        messages: how many of it stand in the CRM.
        rows: how many WAHA has shown of it.
        asked_at: when WAHA was last asked about it.
        check_at: when it is to be looked at again; null for never.
    """

    day: date
    state: str
    messages: int = 0
    rows: int = 0
    asked_at: datetime | None = None
    check_at: datetime | None = None


@dataclass(frozen=True)
class RunFigures:
    """One run of the newest import."""

    from_day: date
    to_day: date
    status: str
    messages: int
    requests: int
    retries: int
    seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Report:
    """Everything that is said of one channel.

    Attributes:
        now: the moment it is said of, UTC.
        start: the calendar's first day, which stands for everything before it, too.
        balance: the seven counts, summed over the newest load of every day.
        open_days: days whose balance does not close.
        quarantine_days: days of which rows are in quarantine.
        reasons: rows that were filtered or quarantined, by reason.
        overview: messages, people, sessions, first and last time.
        breakdown: messages by kind, status, direction.
        coverage: days by what is known of them.
        days: every day that is wanted, ascending, today last; and days that are covered beyond.
        missing: wanted days of the past that were never read, or only some of their chats.
        people: people by the evidence for who they are.
        sessions: sessions by how many messages they hold.
        plan: the import that runs, or ran last.
        runs: its runs, oldest first.
        problem: what keeps WAHA from being read, as long as a person has not mended it.
        max_days, max_per_chat: the channel's limits; null is no limit.
    """

    channel: str
    balance: Mapping[str, int]
    reasons: Mapping[str, int]
    overview: Mapping[str, Any]
    breakdown: Mapping[str, Mapping[str, int]]
    coverage: Sequence[Mapping[str, Any]]
    now: datetime
    start: date | None = None
    open_days: Sequence[date] = ()
    quarantine_days: Sequence[date] = ()
    days: Sequence[DayFigures] = ()
    missing: Sequence[date] = ()
    people: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    plan: Plan | None = None
    runs: Sequence[RunFigures] = ()
    problem: str | None = None
    max_days: int | None = None
    max_per_chat: int | None = None

    @property
    def closes(self) -> bool:
        """Whether every row that was seen is accounted for, on every day."""
        return ledger.closes(self.balance) and not self.open_days

    @property
    def today(self) -> date:
        """The day that is not over yet."""
        return self.now.date()

    @property
    def in_crm(self) -> int:
        """How many of the rows that were seen are in the CRM, also as another's copy."""
        return self.balance["seen"] - self.balance["filtered"] - self.balance["quarantined"]

    @property
    def asked_at(self) -> datetime | None:
        """When WAHA was last asked about any day."""
        return max((d.asked_at for d in self.days if d.asked_at is not None), default=None)

    def days_in(self, state: str) -> list[DayFigures]:
        """Return the days of the past of which this is known."""
        return [d for d in self.days if d.state == state and d.day < self.today]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data; times as ISO 8601 text."""
        return {
            "channel": self.channel,
            "balance": dict(self.balance),
            "balance_closes": self.closes,
            "reasons": dict(self.reasons),
            **{name: _plain(value) for name, value in self.overview.items()},
            **{name: dict(values) for name, values in self.breakdown.items()},
            "coverage": [{n: _plain(v) for n, v in line.items()} for line in self.coverage],
            "missing_days": len(self.missing),
            "people_by_evidence": dict(self.people),
            "sessions_by_messages": dict(self.sessions),
            "asked_at": _plain(self.asked_at),
        }


def report_of(
    engine: Engine,
    channel: Channel,
    *,
    start: date | None = None,
    now: datetime | None = None,
) -> Report:
    """Read the report of a channel from the CRM as it stands.

    Args:
        start: first day of the calendar; if omitted, the first day that anything is known of.
        now: the present moment, UTC, if omitted.
    """
    now = now or datetime.now(UTC)
    balances = ledger.latest_balance(engine, channel)
    reasons: dict[str, int] = {}
    for day in balances:
        for reason, rows in day["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + rows
    counts = figures.count_messages(engine, channel)
    known = _known_days(coverage.list_days(engine, channel), counts.pop("day", {}))
    days, missing = _wanted_days(known, start, channel.max_days, now.date())
    plan = plan_of(engine, channel)
    runs = figures.list_runs(engine, channel, plan.import_id) if plan else []
    return Report(
        channel=channel.key,
        balance={name: sum(day[name] for day in balances) for name in ledger.COUNTS},
        reasons=dict(sorted(reasons.items())),
        overview=ledger.overview(engine, channel),
        breakdown=counts,
        coverage=ledger.coverage(engine, channel),
        now=now,
        start=start,
        open_days=[day["day"] for day in balances if not ledger.closes(day)],
        quarantine_days=[day["day"] for day in balances if day["quarantined"]],
        days=days,
        missing=missing,
        people=figures.count_people(engine, channel),
        sessions=figures.count_sessions(engine, channel),
        plan=plan,
        runs=[RunFigures(**run) for run in runs],
        problem=ledger.channel_state(engine, channel).problem,
        max_days=channel.max_days,
        max_per_chat=channel.max_per_chat,
    )


def _known_days(
    lines: Sequence[Mapping[str, Any]], messages: Mapping[str, int]
) -> dict[date, DayFigures]:
    """Put together what is known of each day and how many messages of it are in the CRM."""
    found = {
        line["day"]: DayFigures(
            day=line["day"],
            state=line["state"],
            messages=messages.get(line["day"].isoformat(), 0),
            rows=int(line["rows"]),
            asked_at=max(filter(None, (line["read_at"], line["checked_at"])), default=None),
            check_at=line["check_at"],
        )
        for line in lines
    }
    for text, count in messages.items():
        day = date.fromisoformat(text)
        # A message of a day that was never read: it came with another day's rows.
        found.setdefault(day, DayFigures(day, "unknown", messages=count))
    return found


def _wanted_days(
    known: Mapping[date, DayFigures], start: date | None, max_days: int | None, today: date
) -> tuple[list[DayFigures], list[date]]:
    """Return the days of a report, and those of them in the past that are missing.

    The calendar's first day also stands for everything before it. Where that was read, an import of
    everything has asked WAHA for its oldest message, and the days between the two hold nothing that
    WAHA has shown: they are neither listed nor missing.
    """
    covered = [day for day, found in known.items() if found.state != "unknown"]
    if not covered:
        return sorted(known.values(), key=lambda found: found.day), []
    first = max(filter(None, (start or min(covered), first_allowed(max_days, today))))
    after = [day for day in covered if day > first]
    if first in covered and after:
        days = [first, *_days_from(min(after), today)]
    else:
        days = list(_days_from(first, today))
    listed = [known.get(day) or DayFigures(day, "unknown") for day in days]
    beyond = [found for day, found in known.items() if day not in set(days)]
    missing = [found.day for found in listed if found.state == "unknown" and found.day < today]
    return sorted([*listed, *beyond], key=lambda found: found.day), missing


def _days_from(first: date, last: date) -> list[date]:
    return [first + DAY * number for number in range((last - first).days + 1)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else int(value)
