"""How far back an import reaches: what is asked for, within what the channel allows.

What belongs here: the arithmetic of limits. What does not: who may import when (`lifecycle.py`),
and how days become runs (`planning.py`).

A channel's limits are the CRM's own columns, `history_import_max_days` and
`history_import_max_messages_per_chat`; null is no limit. Whoever imports may ask for less, never
for more. Days are whole UTC days and today is the first of them, as with `--since 7d`: a limit of
seven days lets nothing in that is older than seven times 24 hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAY = timedelta(days=1)
# The CRM has five words for three meanings.
EVERYTHING = ("full", "all", "maximum")
STRATEGIES = ("time_range", "recent", *EVERYTHING)
# How much of what was imported before is read again: WhatsApp hands history over for hours after
# pairing, so the last day of an import was mostly not complete when it was read.
OVERLAP = timedelta(days=1)


@dataclass(frozen=True)
class DayRange:
    """Contiguous UTC days, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Wish:
    """What an import is asked for, in the CRM's words.

    Attributes:
        strategy: `time_range`, the last `days` days; `recent`, what is new since the last import,
            and everything where there was none; `full`, `all` and `maximum`, everything.
        days: only of `time_range`.
        limit: most messages of each chat; 0 is no limit.
        partial: whether only some chats are asked for.
    """

    strategy: str = "full"
    days: int = 0
    limit: int = 0
    partial: bool = False


def last_days(first: date, today: date, *, limit: int = 0, partial: bool = False) -> Wish:
    """Return the wish for all days from `first` to today."""
    return Wish("time_range", (today - first).days + 1, limit, partial)


def first_allowed(max_days: int | None, today: date) -> date | None:
    """Return the first day that a channel may import; None where it has no limit."""
    return None if max_days is None else today - DAY * (max_days - 1)


def first_wanted(
    wish: Wish, *, today: date, max_days: int | None, imported_until: datetime | None
) -> date | None:
    """Return the first day of an import; None for everything.

    Args:
        max_days: the channel's limit.
        imported_until: up to when everything was imported before; None where nothing was.
    """
    days = [first_allowed(max_days, today)]
    if wish.strategy == "time_range":
        days.append(today - DAY * (wish.days - 1))
    elif wish.strategy == "recent" and imported_until is not None:
        days.append((imported_until - OVERLAP).date())
    return max((day for day in days if day is not None), default=None)


def allowed_days(days: Sequence[date], max_days: int | None, today: date) -> list[date]:
    """Return those of some days that a channel may import."""
    first = first_allowed(max_days, today)
    return [day for day in days if first is None or day >= first]


def tighter(one: int | None, other: int | None) -> int | None:
    """Return the smaller of two limits; None is no limit."""
    return min((limit for limit in (one, other) if limit is not None), default=None)
