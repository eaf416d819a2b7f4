"""The report of a channel: the figures that say whether everything is there, as data and markdown.

What belongs here: which figures, and how they read. What does not: the queries (`crm/ledger.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import Channel


@dataclass(frozen=True)
class Report:
    """Everything that is said of one channel.

    Attributes:
        balance: the seven counts, summed over the newest load of every day.
        reasons: rows that were filtered or quarantined, by reason.
        overview: messages, people, sessions, first and last time.
        breakdown: messages by kind, status, direction.
        coverage: days by what is known of them.
    """

    channel: str
    balance: Mapping[str, int]
    reasons: Mapping[str, int]
    overview: Mapping[str, Any]
    breakdown: Mapping[str, Mapping[str, int]]
    coverage: Sequence[Mapping[str, Any]]

    @property
    def closes(self) -> bool:
        """Whether every row that was seen is accounted for."""
        return ledger.closes(self.balance)

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
        }

    def as_markdown(self) -> str:
        """Return the report as markdown, for the Dagster UI."""
        figures = self.overview
        known = self.balance["seen"] - self.balance["filtered"] - self.balance["quarantined"]
        verdict = "The balance closes." if self.closes else "**The balance does not close.**"
        return "\n\n".join(
            [
                f"**{known:,} of {self.balance['seen']:,} messages of WAHA are in the CRM**; "
                f"{self.balance['filtered']:,} were left out on purpose, "
                f"{self.balance['quarantined']:,} are in quarantine. {verdict}",
                f"{figures['people']:,} people in {figures['one_to_one_chats']:,} one-to-one "
                f"chats, {figures['sessions']:,} sessions, {figures['first_at']} to "
                f"{figures['last_at']}.",
                _table(("balance", "messages"), self.balance.items()),
                _table(("left out because", "messages"), self.reasons.items()),
                *(_table((name, "messages"), v.items()) for name, v in self.breakdown.items()),
                _table(
                    ("days", "number", "from", "to"),
                    ((c["state"], c["days"], c["from_day"], c["to_day"]) for c in self.coverage),
                ),
            ]
        )


def report_of(engine: Engine, channel: Channel) -> Report:
    """Read the report of a channel from the CRM as it stands."""
    days = ledger.latest_balance(engine, channel)
    reasons: dict[str, int] = {}
    for day in days:
        for reason, rows in day["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + rows
    breakdown: dict[str, dict[str, int]] = {}
    for line in ledger.breakdown(engine, channel):
        breakdown.setdefault(line["what"], {})[line["value"]] = line["messages"]
    return Report(
        channel=channel.key,
        balance={name: sum(day[name] for day in days) for name in ledger.COUNTS},
        reasons=dict(sorted(reasons.items())),
        overview=ledger.overview(engine, channel),
        breakdown=breakdown,
        coverage=ledger.coverage(engine, channel),
    )


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else int(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
